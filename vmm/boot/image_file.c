#include "vmm/boot/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <elf.h>

#include "vmm/base/message.h"
#include "vmm/boot/image_check.h"
#include "vmm/boot/image_read.h"
#include "vmm/boot/image_refuse.h"

enum {
	MAX_HEADERS = 256, /* program headers; ld makes a dozen */
	MAX_NOTES = 65536, /* in one PT_NOTE segment: what comes behind is not looked at */
};

/* ---- The ELF header ------------------------------------------------------------------------ */

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return " (Intel 80386)";
	case EM_ARM:
		return " (Arm)";
	case EM_AARCH64:
		return " (AArch64)";
	case EM_RISCV:
		return " (RISC-V)";
	case EM_PPC64:
		return " (PowerPC 64)";
	default:
		return "";
	}
}

static const char *type_advice(unsigned type)
{
	switch (type) {
	case ET_REL:
		return " (an object file): link it first, statically";
	case ET_DYN:
		return " (position-independent, or a shared library): link it with -static -no-pie";
	case ET_CORE:
		return " (a core dump)";
	default:
		return "";
	}
}

/* e_ident: what kind of ELF file it is at all. */
static bool check_ident(const struct image *image, const unsigned char *ident)
{
	static const char where[] = "ELF header";

	if (ident[EI_CLASS] != ELFCLASS64)
		return image_refuse(
		    image, where, "EI_CLASS is %u%s: must be %d (64-bit objects)", ident[EI_CLASS],
		    ident[EI_CLASS] == ELFCLASS32 ? " (32-bit; build with -m64)" : "", ELFCLASS64);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return image_refuse(
		    image, where, "EI_DATA is %u%s: must be %d (little-endian)", ident[EI_DATA],
		    ident[EI_DATA] == ELFDATA2MSB ? " (big-endian)" : "", ELFDATA2LSB);
	if (ident[EI_VERSION] != EV_CURRENT)
		return image_refuse(image, where, "EI_VERSION is %u: must be %d", ident[EI_VERSION],
		                    EV_CURRENT);
	if (ident[EI_OSABI] != ELFOSABI_SYSV && ident[EI_OSABI] != ELFOSABI_GNU &&
	    ident[EI_OSABI] != ELFOSABI_STANDALONE)
		return image_refuse(
		    image, where,
		    "EI_OSABI is %u: must be %d (System V), %d (GNU) or %d (standalone)",
		    ident[EI_OSABI], ELFOSABI_SYSV, ELFOSABI_GNU, ELFOSABI_STANDALONE);
	if (ident[EI_ABIVERSION] != 0)
		return image_refuse(image, where, "EI_ABIVERSION is %u: must be 0",
		                    ident[EI_ABIVERSION]);
	return true;
}

/* A table of `count` headers must lie in the file. */
static bool check_table(const struct image *image, const char *what, const char *field,
                        uint64_t offset, uint64_t count, uint64_t size)
{
	if (offset > image->file_size || count * size > image->file_size - offset)
		return image_refuse(image, "ELF header",
		                    "%s is 0x%" PRIx64 ": %" PRIu64 " %s headers of %" PRIu64
		                    " bytes there reach beyond the end of the file, 0x%" PRIx64
		                    " (truncated?)",
		                    field, offset, count, what, size, image->file_size);
	return true;
}

/* Where the header has no room for how many sections there are, section 0 says it (gABI, "ELF
 * Header").  False after a message. */
static bool count_sections(const struct image *image, const Elf64_Ehdr *e, uint64_t *count,
                           uint64_t *names)
{
	const bool in_table = e->e_shnum == 0 && e->e_shoff != 0;
	Elf64_Shdr zero = {.sh_type = SHT_NULL};

	*count = e->e_shnum;
	*names = e->e_shstrndx;
	if (!in_table && (e->e_shstrndx != SHN_XINDEX || e->e_shoff == 0))
		return true;
	if (!check_table(image, "section", "e_shoff", e->e_shoff, 1, sizeof(zero)) ||
	    !image_read(image, &zero, sizeof(zero), e->e_shoff))
		return false;
	if (in_table && (zero.sh_type != SHT_NULL || zero.sh_size == 0))
		return image_refuse(image, "ELF header",
		                    "e_shoff is 0x%" PRIx64
		                    " but e_shnum is 0, and no section 0 there has the number",
		                    e->e_shoff);
	if (in_table)
		*count = zero.sh_size;
	if (e->e_shstrndx == SHN_XINDEX)
		*names = zero.sh_link;
	return true;
}

/* Sections mean nothing to a loader, but a table that is not where the header says is a damaged
 * file. */
static bool check_sections(const struct image *image, const Elf64_Ehdr *e)
{
	static const char where[] = "ELF header";
	uint64_t count, names;

	if (e->e_shoff != 0 && e->e_shentsize != sizeof(Elf64_Shdr))
		return image_refuse(image, where, "e_shentsize is %u: must be %zu", e->e_shentsize,
		                    sizeof(Elf64_Shdr));
	if (!count_sections(image, e, &count, &names))
		return false;
	/* What is larger than this is larger than any file, and does not overflow. */
	if (count > UINT64_MAX / sizeof(Elf64_Shdr))
		count = UINT64_MAX / sizeof(Elf64_Shdr);
	if (count != 0 &&
	    !check_table(image, "section", "e_shoff", e->e_shoff, count, sizeof(Elf64_Shdr)))
		return false;
	if (names != SHN_UNDEF && names >= count)
		return image_refuse(
		    image, where, "e_shstrndx is %" PRIu64 ": must be less than e_shnum, %" PRIu64,
		    names, count);
	return true;
}

static bool check_elf_header(struct image *image, Elf64_Ehdr *header)
{
	static const char where[] = "ELF header";
	Elf64_Ehdr e = {0};
	size_t have = image->file_size < sizeof(e) ? image->file_size : sizeof(e);

	if (!image_read(image, &e, have, 0))
		return false;
	if (have < SELFMAG || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0)
		return image_refuse(
		    image, where,
		    "EI_MAG is %02x %02x %02x %02x: must be 7f 45 4c 46; this is not an ELF file",
		    e.e_ident[0], e.e_ident[1], e.e_ident[2], e.e_ident[3]);
	if (have < sizeof(e))
		return image_refuse(image, where,
		                    "the file has %" PRIu64
		                    " bytes: the header alone takes %zu (truncated?)",
		                    image->file_size, sizeof(e));
	if (!check_ident(image, e.e_ident))
		return false;
	if (e.e_type != ET_EXEC)
		return image_refuse(image, where, "e_type is %u%s: must be %d (executable)",
		                    e.e_type, type_advice(e.e_type), ET_EXEC);
	if (e.e_machine != EM_X86_64)
		return image_refuse(image, where, "e_machine is %u%s: must be %d (x86-64)",
		                    e.e_machine, machine_name(e.e_machine), EM_X86_64);
	if (e.e_version != EV_CURRENT)
		return image_refuse(image, where, "e_version is %" PRIu32 ": must be %d",
		                    e.e_version, EV_CURRENT);
	if (e.e_flags != 0)
		return image_refuse(image, where, "e_flags is 0x%" PRIx32 ": must be 0 on x86-64",
		                    e.e_flags);
	if (e.e_ehsize != sizeof(Elf64_Ehdr))
		return image_refuse(image, where, "e_ehsize is %u: must be %zu", e.e_ehsize,
		                    sizeof(Elf64_Ehdr));
	if (e.e_phnum == 0)
		return image_refuse(image, where,
		                    "e_phnum is 0: an executable has program headers");
	if (e.e_phnum > MAX_HEADERS)
		return image_refuse(image, where, "e_phnum is %u: at most %d are read", e.e_phnum,
		                    MAX_HEADERS);
	if (e.e_phentsize != sizeof(Elf64_Phdr))
		return image_refuse(image, where, "e_phentsize is %u: must be %zu", e.e_phentsize,
		                    sizeof(Elf64_Phdr));
	if (!check_table(image, "program", "e_phoff", e.e_phoff, e.e_phnum, sizeof(Elf64_Phdr)))
		return false;
	if (e.e_phoff < sizeof(Elf64_Ehdr))
		return image_refuse(image, where,
		                    "e_phoff is 0x%" PRIx64 ": lies in the ELF header itself",
		                    e.e_phoff);

	if (!check_sections(image, &e))
		return false;
	image->entry = e.e_entry;
	*header = e;
	return true;
}

/* ---- Program headers ----------------------------------------------------------------------- */

/* What p_offset and p_filesz name must lie in the file. */
static bool check_file_range(const struct image *image, unsigned header, const Elf64_Phdr *p)
{
	if (p->p_offset > image->file_size || p->p_filesz > image->file_size - p->p_offset)
		return image_refuse_header(image, header,
		                           "p_offset 0x%" PRIx64 " with p_filesz 0x%" PRIx64
		                           " reaches beyond the end of the file, 0x%" PRIx64
		                           " (truncated?)",
		                           p->p_offset, p->p_filesz, image->file_size);
	return true;
}

/* VA and GPA of a segment, by themselves. */
static bool check_addresses(const struct image *image, unsigned header, const Elf64_Phdr *p,
                            uint64_t ram_size)
{
	const uint64_t kernel_half = ~((uint64_t)RS_USER_END - 1);
	uint64_t last = p->p_vaddr + (p->p_memsz - 1);

	if (last < p->p_vaddr)
		return image_refuse_header(image, header,
		                           "p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
		                           " wraps around the address space",
		                           p->p_vaddr, p->p_memsz);
	if (last >= RS_USER_END && p->p_vaddr < kernel_half)
		return image_refuse_header(image, header,
		                           "p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
		                           " is not canonical: must end below 0x%" PRIx64
		                           " or begin at or above 0x%" PRIx64,
		                           p->p_vaddr, p->p_memsz, (uint64_t)RS_USER_END,
		                           kernel_half);
	/* What lies behind the image is the VMM's and then the guest's: the first RAM it is. */
	if (ram_size > RS_HOLE)
		ram_size = RS_HOLE;
	if (p->p_paddr > ram_size || p->p_memsz > ram_size - p->p_paddr)
		return image_refuse_header(image, header,
		                           "p_paddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
		                           " lies outside RAM, 0 to 0x%" PRIx64 ": link it lower%s",
		                           p->p_paddr, p->p_memsz, ram_size,
		                           ram_size < RS_HOLE ? ", or give more with --mem" : "");
	if ((p->p_vaddr ^ p->p_paddr) & (PAGE_SIZE - 1))
		return image_refuse_header(image, header,
		                           "p_vaddr 0x%" PRIx64 " and p_paddr 0x%" PRIx64
		                           " differ in the low 12 bits: a page maps whole",
		                           p->p_vaddr, p->p_paddr);
	return true;
}

static bool check_alignment(const struct image *image, unsigned header, const Elf64_Phdr *p)
{
	if (p->p_align & (p->p_align - 1))
		return image_refuse_header(image, header,
		                           "p_align is 0x%" PRIx64 ": must be 0 or a power of 2",
		                           p->p_align);
	if (p->p_align > 1 && (p->p_vaddr ^ p->p_offset) & (p->p_align - 1))
		return image_refuse_header(image, header,
		                           "p_vaddr 0x%" PRIx64 " and p_offset 0x%" PRIx64
		                           " differ modulo p_align, 0x%" PRIx64,
		                           p->p_vaddr, p->p_offset, p->p_align);
	return true;
}

static bool check_flags(const struct image *image, unsigned header, const Elf64_Phdr *p)
{
	const uint32_t rights = PF_R | PF_W | PF_X;

	if (p->p_flags & ~(rights | PF_MASKOS | PF_MASKPROC))
		return image_refuse_header(image, header,
		                           "p_flags is 0x%" PRIx32 ": has bits without a meaning",
		                           p->p_flags);
	if (!(p->p_flags & rights))
		return image_refuse_header(image, header,
		                           "p_flags is 0x%" PRIx32 ": nobody may use the segment",
		                           p->p_flags);
	if (p->p_flags & PF_W && p->p_flags & PF_X)
		return image_refuse_header(
		    image, header,
		    "p_flags is 0x%" PRIx32
		    " (writable and executable): a segment may be one of the two",
		    p->p_flags);
	return true;
}

static bool take_load(struct image *image, unsigned header, const Elf64_Phdr *p, uint64_t ram_size)
{
	if (p->p_filesz > p->p_memsz)
		return image_refuse_header(image, header,
		                           "p_filesz is 0x%" PRIx64
		                           ": must not be above p_memsz, 0x%" PRIx64,
		                           p->p_filesz, p->p_memsz);
	if (p->p_memsz == 0)
		return true; /* nothing to load, and ld does write such headers */
	if (!check_file_range(image, header, p) || !check_flags(image, header, p) ||
	    !check_alignment(image, header, p) || !check_addresses(image, header, p, ram_size))
		return false;
	if (image->count == RS_MAX_SEGMENTS)
		return image_refuse_header(image, header,
		                           "is PT_LOAD number %d: at most %d are possible",
		                           RS_MAX_SEGMENTS + 1, RS_MAX_SEGMENTS);

	struct segment *segment = &image->segments[image->count++];

	*segment = (struct segment){
	    .header = header,
	    .offset = p->p_offset,
	    .filesz = p->p_filesz,
	    .va = p->p_vaddr,
	    .gpa = p->p_paddr,
	    .memsz = p->p_memsz,
	    .flags = p->p_flags & (PF_R | PF_W | PF_X),
	};

	uint64_t end = segment_page_gpa(segment) + segment_page_size(segment);

	if (end > image->end)
		image->end = end;
	return true;
}

/* ---- The note ------------------------------------------------------------------------------ */

/* The notes of a segment, read in pieces: how long they are is the file's to say. */
struct notes {
	const struct image *image;
	unsigned header;
	uint64_t start, size; /* in the file */
	uint64_t first;       /* what `bytes` begins with, from start */
	size_t count;
	uint8_t bytes[4096];
};

/* `size` bytes of the notes, at most a piece; NULL after a message. */
static const void *notes_at(struct notes *notes, uint64_t at, size_t size)
{
	if (at < notes->first || at + size > notes->first + notes->count) {
		const uint64_t left = notes->size - at;

		notes->first = at;
		notes->count = left < sizeof(notes->bytes) ? (size_t)left : sizeof(notes->bytes);
		if (!image_read(notes->image, notes->bytes, notes->count, notes->start + at))
			return NULL;
	}
	return notes->bytes + (at - notes->first);
}

/* The note at `at` has our name, whatever else it says of itself. */
static bool take_note(struct image *image, struct notes *notes, uint64_t at, uint64_t desc,
                      const Elf64_Nhdr *note)
{
	const unsigned header = notes->header;
	const void *bytes;

	if (note->n_namesz != sizeof(RS_NOTE_NAME))
		return image_refuse_header(image, header,
		                           RS_NOTE_NAME " note: n_namesz is %u: must be %zu",
		                           note->n_namesz, sizeof(RS_NOTE_NAME));
	if (image->noted)
		return image_refuse_header(image, header,
		                           "is the second with a " RS_NOTE_NAME " note");
	if (note->n_type != RS_NOTE_TYPE)
		return image_refuse_header(image, header,
		                           RS_NOTE_NAME " note: n_type is %u: must be %d",
		                           note->n_type, RS_NOTE_TYPE);
	if (note->n_descsz != sizeof(struct rs_note))
		return image_refuse_header(image, header,
		                           RS_NOTE_NAME " note: n_descsz is %u: must be %zu",
		                           note->n_descsz, sizeof(struct rs_note));
	if (desc + sizeof(struct rs_note) > notes->size)
		return image_refuse_header(image, header,
		                           RS_NOTE_NAME " note at p_offset + 0x%" PRIx64
		                                        ": n_namesz and n_descsz reach beyond "
		                                        "p_filesz, 0x%" PRIx64,
		                           at, notes->size);
	bytes = notes_at(notes, desc, sizeof(image->note));
	if (!bytes)
		return false;
	memcpy(&image->note, bytes, sizeof(image->note));
	image->noted = true;
	return true;
}

/* Looks for ours.  What others have written there, how they padded it and what comes behind it is
 * nothing to us: where their notes make no sense there is none of ours behind them. */
static bool take_notes(struct image *image, unsigned header, const Elf64_Phdr *p)
{
	static const char name[] = RS_NOTE_NAME;
	const uint64_t align = p->p_align == 8 ? 8 : 4;
	struct notes notes = {.image = image, .header = header, .start = p->p_offset};
	Elf64_Nhdr note;
	uint64_t at = 0, desc;

	if (p->p_filesz != 0 && !check_file_range(image, header, p))
		return false;
	notes.size = p->p_filesz;
	for (unsigned i = 0; i < MAX_NOTES && at < notes.size; i++) {
		const uint64_t left = notes.size - at;
		const size_t head = sizeof(note) + sizeof(name);
		const uint8_t *bytes;

		if (left < sizeof(note))
			break;
		bytes = notes_at(&notes, at, left < head ? (size_t)left : head);
		if (!bytes)
			return false;
		memcpy(&note, bytes, sizeof(note));
		desc = (at + sizeof(note) + note.n_namesz + align - 1) & ~(align - 1);
		if (left >= head && note.n_namesz >= sizeof(name) &&
		    memcmp(bytes + sizeof(note), name, sizeof(name)) == 0 &&
		    !take_note(image, &notes, at, desc, &note))
			return false;
		at = (desc + note.n_descsz + align - 1) & ~(align - 1);
	}
	return true;
}

static bool take_header(struct image *image, unsigned i, const Elf64_Phdr *p, uint64_t ram_size)
{
	switch (p->p_type) {
	case PT_LOAD:
		return take_load(image, i, p, ram_size);
	case PT_NOTE:
		return take_notes(image, i, p);
	case PT_INTERP:
		return image_refuse_header(
		    image, i, "is PT_INTERP: a dynamic linker is wanted; link with -static");
	case PT_DYNAMIC:
		return image_refuse_header(
		    image, i, "is PT_DYNAMIC: relocation is wanted; link with -static -no-pie");
	default: /* what a loader need not know, by the ABI */
		return true;
	}
}

static bool read_program_headers(struct image *image, const Elf64_Ehdr *e, uint64_t ram_size)
{
	Elf64_Phdr headers[MAX_HEADERS];

	if (!image_read(image, headers, e->e_phnum * sizeof(headers[0]), e->e_phoff))
		return false;
	for (unsigned i = 0; i < e->e_phnum; i++) {
		if (!take_header(image, i, &headers[i], ram_size))
			return false;
	}
	if (image->count == 0)
		return image_refuse(image, "program headers",
		                    "none is PT_LOAD: there is nothing to run");
	return true;
}

/* ---- Signs ---------------------------------------------------------------------------------- */

bool image_is_elf(const struct image *image, unsigned bits)
{
	return image->head_size > EI_CLASS && !memcmp(image->head, ELFMAG, SELFMAG) &&
	       image->head[EI_CLASS] == (bits == 64 ? ELFCLASS64 : ELFCLASS32);
}

/* Whether one of the first notes of this segment is ours.  Only a sign: the rest is image_take's.
 */
static bool has_our_note(const struct image *image, const Elf64_Phdr *p)
{
	static const char name[] = RS_NOTE_NAME;
	uint8_t notes[4096];
	const uint64_t size = p->p_filesz < sizeof(notes) ? p->p_filesz : sizeof(notes);

	return p->p_offset <= image->file_size && size <= image->file_size - p->p_offset &&
	       image_read(image, notes, size, p->p_offset) &&
	       memmem(notes, size, name, sizeof(name));
}

bool image_claims_note(struct image *image)
{
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (!image_is_elf(image, 64) || image->head_size < sizeof(e))
		return false;
	memcpy(&e, image->head, sizeof(e));
	for (unsigned i = 0; i < e.e_phnum && e.e_phentsize == sizeof(p); i++) {
		const uint64_t at = e.e_phoff + (uint64_t)i * sizeof(p);

		if (at < e.e_phoff || at > image->head_size - sizeof(p))
			break;
		memcpy(&p, image->head + at, sizeof(p));
		if (p.p_type == PT_NOTE && has_our_note(image, &p))
			return true;
	}
	return false;
}

/* ---- The interface ------------------------------------------------------------------------- */

bool image_take(struct image *image, uint64_t ram_size)
{
	Elf64_Ehdr header = {0};

	return check_elf_header(image, &header) && read_program_headers(image, &header, ram_size) &&
	       image_check(image);
}

bool image_open(struct image *image, const char *path, uint64_t ram_size)
{
	*image = IMAGE_CLOSED;
	image->path = path;
	return image_open_file(image) && image_take(image, ram_size);
}

bool image_place(const struct image *image, const struct memory *memory)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];
		void *to = memory_at(memory, s->gpa, s->memsz);

		if (!to) /* image_open was given another ram_size */
			return image_refuse_header(
			    image, s->header, "p_paddr 0x%" PRIx64 " lies outside RAM", s->gpa);
		if (!image_read(image, to, s->filesz, s->offset))
			return false;
	}
	return true;
}

bool image_has_code(const struct image *image, const struct memory *memory, const char *bytes,
                    size_t size)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];
		const void *text = memory_at(memory, s->gpa, s->filesz);

		if (s->flags & PF_X && text && memmem(text, s->filesz, bytes, size))
			return true;
	}
	return false;
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
	free(image->head);
	image->head = NULL;
}
