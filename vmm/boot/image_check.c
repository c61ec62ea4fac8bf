#include "vmm/boot/image_check.h"

#include <inttypes.h>
#include <stddef.h>

#include <elf.h>

#include "vmm/base/layout.h"
#include "vmm/boot/image_refuse.h"

/* ---- Segments against each other and against the address space ----------------------------- */

/* Whether [a, a + alen) and [b, b + blen) have a byte in common.  Neither is empty; the end may be
 * 2^64. */
static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a <= b + (blen - 1) && b <= a + (alen - 1);
}

static bool check_place(const struct image *image, const struct segment *s)
{
	const struct layout_region *kernel = &layout_regions[LAYOUT_IMAGE];
	const struct layout_region *text = &layout_regions[LAYOUT_ENTRY_TEXT];
	uint64_t va = segment_page_va(s), size = segment_page_size(s), last = va + (size - 1);

	for (unsigned i = 0; i < LAYOUT_REGIONS; i++) {
		const struct layout_region *region = &layout_regions[i];

		if (region->filler == LAYOUT_BY_VMM && overlap(va, size, region->va, region->size))
			return image_refuse_header(image, s->header,
			                           "p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
			                           " lies on the VMM's %s at 0x%" PRIx64,
			                           s->va, s->memsz, region->name, region->va);
	}
	if (!image->noted || segment_is_user(s))
		return true;
	if ((va >= kernel->va && last < kernel->va + kernel->size) ||
	    (va >= text->va && last < text->va + text->size))
		return true;
	return image_refuse_header(image, s->header,
	                           "p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
	                           ": with a " RS_NOTE_NAME " note it must lie in 0x%" PRIx64
	                           " to 0x%" PRIx64 " (image), 0x%" PRIx64 " to 0x%" PRIx64
	                           " (entry text) or below 0x%" PRIx64,
	                           s->va, s->memsz, kernel->va, kernel->va + kernel->size, text->va,
	                           text->va + text->size, (uint64_t)RS_USER_END);
}

/* Two segments: no common byte; a common page only if it can be one page for both. */
static bool check_pair(const struct image *image, const struct segment *a, const struct segment *b)
{
	if (overlap(a->va, a->memsz, b->va, b->memsz))
		return image_refuse_header(image, b->header,
		                           "p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
		                           " overlaps program header %u at 0x%" PRIx64
		                           " with 0x%" PRIx64,
		                           b->va, b->memsz, a->header, a->va, a->memsz);
	if (overlap(a->gpa, a->memsz, b->gpa, b->memsz))
		return image_refuse_header(image, b->header,
		                           "p_paddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
		                           " overlaps program header %u at 0x%" PRIx64
		                           " with 0x%" PRIx64,
		                           b->gpa, b->memsz, a->header, a->gpa, a->memsz);

	bool same_va = overlap(segment_page_va(a), segment_page_size(a), segment_page_va(b),
	                       segment_page_size(b));
	bool same_gpa = overlap(segment_page_gpa(a), segment_page_size(a), segment_page_gpa(b),
	                        segment_page_size(b));

	if ((same_va || same_gpa) && a->flags != b->flags)
		return image_refuse_header(
		    image, b->header,
		    "p_flags is 0x%" PRIx32
		    ", but it shares a page with program header %u, whose p_flags is "
		    "0x%" PRIx32 ": align the segments to pages",
		    b->flags, a->header, a->flags);
	if ((same_va || same_gpa) && a->va - a->gpa != b->va - b->gpa)
		return image_refuse_header(
		    image, b->header,
		    "p_vaddr 0x%" PRIx64 " and p_paddr 0x%" PRIx64
		    " share a page with program header %u in one space but not in the "
		    "other: align the segments to pages",
		    b->va, b->gpa, a->header);
	return true;
}

static bool check_segments(const struct image *image)
{
	for (unsigned i = 0; i < image->count; i++) {
		if (!check_place(image, &image->segments[i]))
			return false;
		for (unsigned j = 0; j < i; j++) {
			if (!check_pair(image, &image->segments[j], &image->segments[i]))
				return false;
		}
	}
	return true;
}

/* ---- Addresses of code --------------------------------------------------------------------- */

/* Whether all of [va, va + len) is code that the kernel may run. */
static bool is_code(const struct image *image, uint64_t va, uint64_t len)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];

		if (!(s->flags & PF_X) || (image->noted && segment_is_user(s)))
			continue;
		if (va >= s->va && va - s->va < s->memsz && len <= s->memsz - (va - s->va))
			return true;
	}
	return false;
}

static bool check_note_address(const struct image *image, const char *field, uint64_t va,
                               uint64_t len)
{
	if (is_code(image, va, len))
		return true;
	return image_refuse(image, RS_NOTE_NAME " note",
	                    "%s is 0x%" PRIx64 ": %" PRIu64
	                    " bytes there must lie in one executable segment of the kernel half",
	                    field, va, len);
}

static bool check_bitmap(const struct image *image, const char *field, const uint64_t bitmap[4],
                         uint32_t vectors)
{
	for (unsigned v = vectors; v < 256; v++) {
		if (bitmap[v / 64] >> v % 64 & 1)
			return image_refuse(
			    image, RS_NOTE_NAME " note",
			    "%s has vector %u: must be less than vector_count, %" PRIu32, field, v,
			    vectors);
	}
	return true;
}

static bool check_note(const struct image *image)
{
	static const char where[] = RS_NOTE_NAME " note";
	const struct rs_note *note = &image->note;

	if (note->abi != RS_ABI_VERSION)
		return image_refuse(image, where, "abi is %" PRIu32 ": this VMM speaks %d",
		                    note->abi, RS_ABI_VERSION);
	if (note->size != sizeof(*note))
		return image_refuse(image, where, "size is %" PRIu32 ": must be %zu", note->size,
		                    sizeof(*note));
	if (note->vector_stride < 1 || note->vector_stride > PAGE_SIZE)
		return image_refuse(image, where, "vector_stride is %" PRIu32 ": must be 1 to %d",
		                    note->vector_stride, PAGE_SIZE);
	if (note->vector_count < 32 || note->vector_count > 256)
		return image_refuse(image, where, "vector_count is %" PRIu32 ": must be 32 to 256",
		                    note->vector_count);
	if (!check_note_address(image, "vectors", note->vectors,
	                        (uint64_t)(note->vector_count - 1) * note->vector_stride + 1) ||
	    !check_bitmap(image, "user_vectors", note->user_vectors, note->vector_count) ||
	    !check_bitmap(image, "trap_gates", note->trap_gates, note->vector_count))
		return false;
	for (unsigned v = 0; v < sizeof(note->ist); v++) {
		if (note->ist[v] > 7)
			return image_refuse(image, where, "ist[%u] is %u: must be 0 to 7", v,
			                    note->ist[v]);
	}
	if (note->syscall_entry &&
	    !check_note_address(image, "syscall_entry", note->syscall_entry, 1))
		return false;
	if (note->compat_entry && !note->syscall_entry)
		return image_refuse(
		    image, where, "compat_entry is 0x%" PRIx64 ": needs syscall_entry, which is 0",
		    note->compat_entry);
	if (note->compat_entry && !check_note_address(image, "compat_entry", note->compat_entry, 1))
		return false;
	if (note->sysenter_entry &&
	    !check_note_address(image, "sysenter_entry", note->sysenter_entry, 1))
		return false;
	if (note->cpu_entry && !check_note_address(image, "cpu_entry", note->cpu_entry, 1))
		return false;
	if (note->wants & ~RS_WANTS_APIC)
		return image_refuse(image, where,
		                    "wants is 0x%" PRIx64 ": this VMM knows 0x%" PRIx64,
		                    note->wants, RS_WANTS_APIC);
	if (note->syscall_mask >> 32)
		return image_refuse(
		    image, where, "syscall_mask is 0x%" PRIx64 ": RFLAGS has bits 0 to 31 to clear",
		    note->syscall_mask);
	return true;
}

static bool check_entry(const struct image *image)
{
	if (is_code(image, image->entry, 1))
		return true;
	return image_refuse(image, "ELF header",
	                    "e_entry is 0x%" PRIx64 ": must lie in an executable segment%s",
	                    image->entry, image->noted ? " of the kernel half" : "");
}

/* ---- All of it --------------------------------------------------------------------------- */

bool image_check(const struct image *image)
{
	return check_segments(image) && check_entry(image) && (!image->noted || check_note(image));
}
