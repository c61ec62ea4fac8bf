/*
 * Multiboot 2 (Multiboot2 Specification 2.0): a header of tags in the first 32 KiB; 32-bit
 * protected mode, EAX the magic, EBX the information, which is tags too.
 */
#include <inttypes.h>
#include <string.h>

#include "vmm/boot/image_refuse.h"
#include "vmm/boot/multiboot.h"
#include "vmm/boot/pieces.h"
#include "vmm/boot/pc_map.h"
#include "vmm/boot/pc_modules.h"
#include "vmm/boot/pc_start.h"
#include "vmm/boot/protocol.h"

static const char where[] = "Multiboot 2 header";

enum { HEADER_MAGIC = (int)0xe85250d6, HANDED_MAGIC = 0x36d76289, TAG_ALIGN = 8, OPTIONAL = 1 };

/* Tags of the header (3.1). */
enum {
	TAG_END,
	TAG_REQUEST,
	TAG_ADDRESSES,
	TAG_ENTRY,
	TAG_CONSOLE,
	TAG_FRAMEBUFFER,
	TAG_MODULE_ALIGN,
	TAG_EFI_SERVICES,
	TAG_EFI32_ENTRY,
	TAG_EFI64_ENTRY,
	TAG_RELOCATABLE,
};

struct tag {
	uint16_t type, flags;
	uint32_t size;
};

/* What is given (3.6). */
enum {
	INFO_END,
	INFO_COMMAND,
	INFO_LOADER,
	INFO_MODULE,
	INFO_MEMORY,
	INFO_MAP = 6,
	INFO_SECTIONS = 9,
	INFO_RSDP = 15, /* of ACPI 2.0 */
	INFO_LAST = 21, /* that the specification knows */
};

static bool claims(struct image *image)
{
	return multiboot_find(image, IMAGE_HEAD, TAG_ALIGN, (uint32_t)HEADER_MAGIC, 4,
	                      &image->header);
}

/* ---- The header ---------------------------------------------------------------------------- */

/* What is asked for must be understood, and given where this machine has it, unless the kernel says
 * that it can do without (3.1.4).  It has no disk, screen, EFI or network to tell of; it would have
 * the file's section headers. */
static bool check_requests(const struct image *image, const struct tag *tag, const uint8_t *bytes)
{
	for (uint32_t at = sizeof(*tag); at + 4 <= tag->size; at += 4) {
		uint32_t type;

		memcpy(&type, bytes + at, sizeof(type));
		if ((type <= INFO_LAST && type != INFO_SECTIONS) || tag->flags & OPTIONAL)
			continue;
		return image_refuse(image, where,
		                    "asks for information of type %" PRIu32
		                    ", which is not given here, and does not call it optional",
		                    type);
	}
	return true;
}

static bool take_tag(struct image *image, const struct plan *plan, const struct tag *tag,
                     const uint8_t *bytes, bool *placed, uint32_t *entry)
{
	struct multiboot_place place;

	switch (tag->type) {
	case TAG_REQUEST:
		return check_requests(image, tag, bytes);
	case TAG_ADDRESSES:
		if (tag->size < sizeof(*tag) + sizeof(place))
			return image_refuse(image, where, "its address tag has %" PRIu32 " bytes",
			                    tag->size);
		memcpy(&place, bytes + sizeof(*tag), sizeof(place));
		if (place.load == UINT32_MAX) /* from the file's beginning */
			place.load = place.header - (uint32_t)image->header;
		*placed = true;
		return multiboot_take_place(image, plan, &place);
	case TAG_ENTRY:
		if (tag->size < sizeof(*tag) + sizeof(*entry))
			return image_refuse(image, where, "its entry tag has %" PRIu32 " bytes",
			                    tag->size);
		memcpy(entry, bytes + sizeof(*tag), sizeof(*entry));
		return true;
	case TAG_CONSOLE: /* the screen's text, if there were one */
	case TAG_MODULE_ALIGN:
	case TAG_EFI_SERVICES: /* of firmware that is not here */
	case TAG_EFI32_ENTRY:
	case TAG_EFI64_ENTRY:
	case TAG_RELOCATABLE: /* it may be moved: it need not */
		return true;
	default:
		return tag->flags & OPTIONAL ||
		       image_refuse(image, where,
		                    "has a tag of type %u that is not optional, and that this boot "
		                    "loader does not have%s",
		                    tag->type,
		                    tag->type == TAG_FRAMEBUFFER ? " (a graphical screen)" : "");
	}
}

static bool take_tags(struct image *image, const struct plan *plan, bool *placed, uint32_t *entry)
{
	const uint8_t *head = image->head;
	uint32_t length;
	size_t at = image->header + 16, end;

	memcpy(&length, head + image->header + 8, sizeof(length));
	end = image->header + length;
	if (length < 16 || end > image->head_size)
		return image_refuse(
		    image, where,
		    "header_length is 0x%" PRIx32
		    ": must be 0x10 or more, and end within the file's first 32 KiB",
		    length);
	while (at + sizeof(struct tag) <= end) {
		struct tag tag;

		memcpy(&tag, head + at, sizeof(tag));
		if (tag.type == TAG_END)
			return true;
		if (tag.size < sizeof(tag) || tag.size > end - at)
			return image_refuse(image, where,
			                    "the tag of type %u at 0x%zx has a size of %" PRIu32,
			                    tag.type, at, tag.size);
		if (!take_tag(image, plan, &tag, head + at, placed, entry))
			return false;
		at += (tag.size + TAG_ALIGN - 1) & ~(size_t)(TAG_ALIGN - 1);
	}
	return image_refuse(image, where, "has no last tag");
}

static bool open_multiboot2(struct image *image, const struct plan *plan)
{
	uint32_t architecture, entry = 0;
	bool placed = false;

	memcpy(&architecture, image->head + image->header + 4, sizeof(architecture));
	if (architecture != 0)
		return image_refuse(image, where,
		                    "architecture is %" PRIu32
		                    ": a kernel for another processor; must be 0 (i386)",
		                    architecture);
	image->bits32 = true;
	if (!take_tags(image, plan, &placed, &entry) || (!placed && !pieces_take_elf(image, plan)))
		return false;
	if (entry)
		image->entry_gpa = entry;
	return pieces_hold(image, image->entry_gpa) ||
	       image_refuse(image, where, "its entry, 0x%" PRIx64 ", lies outside what is loaded",
	                    image->entry_gpa);
}

/* ---- RAM ----------------------------------------------------------------------------------- */

/* Room for one more; what it holds is zero. */
static uint8_t *add_tag(uint8_t **at, uint32_t type, uint32_t size)
{
	uint8_t *tag = *at;

	size += 8;
	memcpy(tag, &type, sizeof(type));
	memcpy(tag + 4, &size, sizeof(size));
	*at += (size + TAG_ALIGN - 1) & ~(uint32_t)(TAG_ALIGN - 1);
	return tag + 8;
}

static void add_text(uint8_t **at, uint32_t type, const char *text)
{
	const uint32_t size = (uint32_t)strlen(text) + 1;

	memcpy(add_tag(at, type, size), text, size);
}

static void add_module(uint8_t **at, const struct memory *memory, const struct pc_module *module)
{
	const uint32_t range[2] = {(uint32_t)module->gpa, (uint32_t)(module->gpa + module->size)};
	const char *words = memory_at(memory, module->words, 1);
	const uint32_t size = (uint32_t)strlen(words) + 1;
	uint8_t *to = add_tag(at, INFO_MODULE, sizeof(range) + size);

	memcpy(to, range, sizeof(range));
	memcpy(to + sizeof(range), words, size);
}

static void add_map(uint8_t **at, const struct memory *memory)
{
	struct {
		uint64_t gpa, size;
		uint32_t type, reserved;
	} entry = {0};
	const uint32_t head[2] = {sizeof(entry), 0};
	struct pc_range ranges[PC_RANGES_MAX];
	const unsigned count = pc_map(memory, ranges);
	uint8_t *to = add_tag(at, INFO_MAP, (uint32_t)(sizeof(head) + count * sizeof(entry)));

	memcpy(to, head, sizeof(head));
	to += sizeof(head);
	for (unsigned i = 0; i < count; i++, to += sizeof(entry)) {
		entry.gpa = ranges[i].gpa;
		entry.size = ranges[i].size;
		entry.type = ranges[i].type;
		memcpy(to, &entry, sizeof(entry));
	}
}

/* All tags have room: those of modules are no longer than their words and 24 bytes each. */
_Static_assert(PC_HANDED_SIZE >= PC_COMMAND_SIZE + PC_WORDS_SIZE + 32 * PC_MODULES_MAX + 1024,
               "see above");

static bool build(struct boot *boot, const struct memory *memory, const struct image *image,
                  const struct host *host, const struct plan *plan)
{
	enum { RSDP_SIZE = 36 };
	uint8_t *handed = memory_at(memory, PC_HANDED, PC_HANDED_SIZE), *at = handed + 8;
	const uint32_t lower_upper[2] = {PC_LOW_END >> 10,
	                                 (uint32_t)((memory->low_end - PC_HIGH) >> 10)};
	struct pc_modules modules;

	pc_boot_begin(boot, memory, host, plan);
	if (!pc_put_command(memory, plan, pc_file_name(plan), 0) ||
	    !pc_put_modules(memory, plan, pieces_end(image), RS_HOLE, true, &modules))
		return false;
	add_text(&at, INFO_COMMAND, memory_at(memory, PC_COMMAND, PC_COMMAND_SIZE));
	add_text(&at, INFO_LOADER, "Ringscope");
	for (unsigned i = 0; i < modules.count; i++)
		add_module(&at, memory, &modules.module[i]);
	memcpy(add_tag(&at, INFO_MEMORY, sizeof(lower_upper)), lower_upper, sizeof(lower_upper));
	add_map(&at, memory);
	memcpy(add_tag(&at, INFO_RSDP, RSDP_SIZE), memory_at(memory, PC_ACPI, RSDP_SIZE),
	       RSDP_SIZE);
	add_tag(&at, INFO_END, 0);
	memcpy(handed, &(uint32_t){(uint32_t)(at - handed)}, sizeof(uint32_t));
	pc_boot_end(boot, (struct pc_entry){.bits32 = true,
	                                    .code = PC_SEL_PLAIN,
	                                    .rip = image->entry_gpa,
	                                    .eax = HANDED_MAGIC,
	                                    .ebx = PC_HANDED});
	return true;
}

const struct boot_protocol multiboot2_protocol = {
    .name = "multiboot2",
    .title = "Multiboot 2",
    .sign = "a Multiboot 2 header in its first 32 KiB",
    .is_pc = true,
    .has_words = true,
    .has_modules = true,
    .claims = claims,
    .open = open_multiboot2,
    .load = pieces_load,
    .build = build,
    .start = pc_start_cpu,
};
