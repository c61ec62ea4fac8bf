#include "vmm/boot/pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <gelf.h>
#include <libelf.h>

#include "vmm/base/message.h"
#include "vmm/boot/image_read.h"
#include "vmm/boot/image_refuse.h"
#include "vmm/boot/pc_map.h"

/* ---- One piece ----------------------------------------------------------------------------- */

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static bool check_room(const struct image *image, const struct plan *plan, const char *what,
                       const struct piece *piece)
{
	const uint64_t low_end = plan->mem < RS_HOLE ? plan->mem : RS_HOLE;

	if (piece->gpa > low_end || piece->memsz > low_end - piece->gpa)
		return image_refuse(image, what,
		                    "wants 0x%" PRIx64 " bytes at 0x%" PRIx64
		                    ", and RAM ends at 0x%" PRIx64 "%s",
		                    piece->memsz, piece->gpa, low_end,
		                    plan->mem < RS_HOLE ? ": give more with --mem" : "");
	for (const struct pc_area *area = pc_areas; area->name; area++) {
		if (overlap(piece->gpa, piece->memsz, area->gpa, area->size))
			return image_refuse(image, what,
			                    "wants 0x%" PRIx64 " bytes at 0x%" PRIx64
			                    ", where the %s lies, 0x%" PRIx64 " to 0x%" PRIx64
			                    ": link it to 1 MiB or above",
			                    piece->memsz, piece->gpa, area->name, area->gpa,
			                    area->gpa + area->size - 1);
	}
	for (unsigned i = 0; i < image->piece_count; i++) {
		const struct piece *other = &image->pieces[i];

		if (overlap(piece->gpa, piece->memsz, other->gpa, other->memsz))
			return image_refuse(image, what,
			                    "wants 0x%" PRIx64 " bytes at 0x%" PRIx64
			                    ", where another piece lies at 0x%" PRIx64,
			                    piece->memsz, piece->gpa, other->gpa);
	}
	return true;
}

bool pieces_add(struct image *image, const struct plan *plan, const char *what, struct piece piece)
{
	if (piece.memsz == 0 && piece.filesz == 0)
		return true;
	if (piece.filesz > piece.memsz)
		return image_refuse(
		    image, what, "has 0x%" PRIx64 " bytes in the file for 0x%" PRIx64 " in memory",
		    piece.filesz, piece.memsz);
	if (piece.filesz &&
	    (piece.offset > image->file_size || piece.filesz > image->file_size - piece.offset))
		return image_refuse(image, what,
		                    "0x%" PRIx64 " bytes at offset 0x%" PRIx64
		                    " reach beyond the end of the file, 0x%" PRIx64 " (truncated?)",
		                    piece.filesz, piece.offset, image->file_size);
	if (image->piece_count == IMAGE_PIECES_MAX)
		return image_refuse(image, what, "is more than the %d pieces a kernel may have",
		                    IMAGE_PIECES_MAX);
	if (!check_room(image, plan, what, &piece))
		return false;
	image->pieces[image->piece_count++] = piece;
	return true;
}

/* ---- ELF ----------------------------------------------------------------------------------- */

/* NULL after a message.  Nobody ends it but elf_end. */
static Elf *open_elf(const struct image *image, GElf_Ehdr *header)
{
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(image->fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, header))
		return elf;
	elf_end(elf);
	return NULL;
}

static bool take_segments(struct image *image, const struct plan *plan, Elf *elf,
                          const GElf_Ehdr *header)
{
	size_t count;
	bool moved = false;

	if (elf_getphdrnum(elf, &count) < 0)
		return image_refuse(image, "ELF header", "its program headers cannot be read: %s",
		                    elf_errmsg(-1));
	image->entry_gpa = header->e_entry;
	for (size_t i = 0; i < count; i++) {
		char what[40];
		GElf_Phdr p;

		if (!gelf_getphdr(elf, (int)i, &p))
			return image_refuse(image, "program headers", "%s", elf_errmsg(-1));
		if (p.p_type != PT_LOAD)
			continue;
		snprintf(what, sizeof(what), "program header %zu", i);
		if (!pieces_add(image, plan, what,
		                (struct piece){p.p_offset, p.p_filesz, p.p_paddr, p.p_memsz}))
			return false;
		if (!moved && header->e_entry - p.p_vaddr < p.p_memsz) {
			image->entry_gpa = p.p_paddr + (header->e_entry - p.p_vaddr);
			moved = true;
		}
	}
	return image->piece_count > 0 ||
	       image_refuse(image, "program headers", "none is PT_LOAD: there is nothing to run");
}

bool pieces_hold(const struct image *image, uint64_t gpa)
{
	for (unsigned i = 0; i < image->piece_count; i++) {
		if (gpa - image->pieces[i].gpa < image->pieces[i].filesz)
			return true;
	}
	return false;
}

bool pieces_take_elf(struct image *image, const struct plan *plan)
{
	GElf_Ehdr header;
	Elf *elf = open_elf(image, &header);
	bool good;

	if (!elf)
		return image_is_elf(image, 32) || image_is_elf(image, 64)
		           ? image_refuse(image, "ELF header", "cannot be read: %s", elf_errmsg(-1))
		           : image_refuse(image, "ELF header",
		                          "there is none, and nothing else says where the kernel "
		                          "is to be loaded");
	good = header.e_machine == EM_X86_64 || header.e_machine == EM_386 ||
	       image_refuse(image, "ELF header",
	                    "e_machine is %u: a kernel for another processor; must be %d (x86-64) "
	                    "or %d (80386)",
	                    header.e_machine, EM_X86_64, EM_386);
	good = good && take_segments(image, plan, elf, &header) &&
	       (pieces_hold(image, image->entry_gpa) ||
	        image_refuse(image, "ELF header",
	                     "e_entry is 0x%" PRIx64 ": lies in none of its segments",
	                     header.e_entry));
	elf_end(elf);
	return good;
}

/* ---- Notes --------------------------------------------------------------------------------- */

/* That are looked at: of one segment, and of a file. */
enum { NOTES_MAX = 4096, NOTE_SEGMENTS_MAX = 16 };

/* Copies the descriptor of a note of this name, and, unless any, this type.  -1: none. */
static int find_in(const Elf_Data *data, const char *name, bool any, uint32_t type, void *to,
                   unsigned size)
{
	size_t at = 0, name_at, desc_at;
	GElf_Nhdr note;

	for (unsigned i = 0; i < NOTES_MAX; i++) {
		const size_t next =
		    gelf_getnote((Elf_Data *)(uintptr_t)data, at, &note, &name_at, &desc_at);
		const char *bytes = data->d_buf;

		if (next == 0)
			break;
		at = next;
		if (note.n_namesz != strlen(name) + 1 ||
		    memcmp(bytes + name_at, name, note.n_namesz) != 0 ||
		    (!any && note.n_type != type))
			continue;
		if (note.n_descsz < size)
			size = note.n_descsz;
		if (size)
			memcpy(to, bytes + desc_at, size);
		return (int)size;
	}
	return -1;
}

static int find_note(const struct image *image, const char *name, bool any, uint32_t type, void *to,
                     unsigned size)
{
	GElf_Ehdr header;
	Elf *elf = open_elf(image, &header);
	size_t count = 0;
	int found = -1, looked = 0;

	if (!elf || elf_getphdrnum(elf, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count && found < 0 && looked < NOTE_SEGMENTS_MAX; i++) {
		GElf_Phdr p;
		const Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &p))
			break;
		if (p.p_type != PT_NOTE || p.p_filesz > (1 << 20))
			continue;
		looked++;
		data = elf_getdata_rawchunk(elf, (int64_t)p.p_offset, p.p_filesz,
		                            p.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		if (data)
			found = find_in(data, name, any, type, to, size);
	}
	elf_end(elf);
	return found;
}

unsigned pieces_find_note(const struct image *image, const char *name, uint32_t type, void *to,
                          unsigned size)
{
	const int found = find_note(image, name, false, type, to, size);

	return found > 0 ? (unsigned)found : 0;
}

bool pieces_have_note(const struct image *image, const char *name)
{
	return find_note(image, name, true, 0, NULL, 0) >= 0;
}

/* ---- Into RAM ------------------------------------------------------------------------------ */

bool pieces_load(const struct image *image, const struct memory *memory)
{
	for (unsigned i = 0; i < image->piece_count; i++) {
		const struct piece *piece = &image->pieces[i];
		void *to = memory_at(memory, piece->gpa, piece->memsz);

		if (!to) /* opened for another size of RAM */
			return image_refuse(image, "a piece", "0x%" PRIx64 " lies outside RAM",
			                    piece->gpa);
		if (!image_read(image, to, piece->filesz, piece->offset))
			return false;
	}
	return true;
}

uint64_t pieces_end(const struct image *image)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < image->piece_count; i++) {
		const uint64_t last = image->pieces[i].gpa + image->pieces[i].memsz;

		if (last > end)
			end = last;
	}
	return (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}
