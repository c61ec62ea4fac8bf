/*
 * Multiboot 1 (Multiboot Specification 0.6.96): a header in the first 8 KiB; 32-bit protected mode,
 * EAX the magic, EBX the information.
 */
#include "vmm/boot/multiboot.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/boot/image_refuse.h"
#include "vmm/boot/pieces.h"
#include "vmm/boot/pc_map.h"
#include "vmm/boot/pc_modules.h"
#include "vmm/boot/pc_start.h"
#include "vmm/boot/protocol.h"

/* ---- In common ----------------------------------------------------------------------------- */

bool multiboot_find(const struct image *image, size_t most, size_t align, uint32_t magic,
                    unsigned words, size_t *at)
{
	const size_t size = image->head_size < most ? image->head_size : most;
	uint32_t header[4];

	for (*at = 0; *at + words * sizeof(uint32_t) <= size; *at += align) {
		uint32_t sum = 0;

		memcpy(header, image->head + *at, words * sizeof(uint32_t));
		if (header[0] != magic)
			continue;
		for (unsigned i = 0; i < words; i++)
			sum += header[i];
		if (sum == 0)
			return true;
	}
	return false;
}

bool multiboot_take_place(struct image *image, const struct plan *plan,
                          const struct multiboot_place *place)
{
	static const char where[] = "Multiboot header";
	const uint64_t before = place->header - (uint64_t)place->load;
	struct piece piece = {.gpa = place->load};

	if (place->load > place->header || before > image->header)
		return image_refuse(image, where,
		                    "load_addr 0x%" PRIx32 " and header_addr 0x%" PRIx32
		                    " place the kernel before the file's beginning: the header is "
		                    "at offset 0x%zx",
		                    place->load, place->header, image->header);
	piece.offset = image->header - before;
	if (place->load_end && place->load_end < place->load)
		return image_refuse(image, where,
		                    "load_end_addr 0x%" PRIx32 " is below load_addr 0x%" PRIx32,
		                    place->load_end, place->load);
	if (place->bss_end && (place->bss_end < place->load || place->bss_end < place->load_end))
		return image_refuse(image, where,
		                    "bss_end_addr 0x%" PRIx32 " is below load_%saddr 0x%" PRIx32,
		                    place->bss_end, place->load_end ? "end_" : "",
		                    place->load_end ? place->load_end : place->load);
	piece.filesz = place->load_end ? (uint64_t)place->load_end - place->load
	                               : image->file_size - piece.offset;
	piece.memsz = piece.filesz;
	if (place->bss_end && place->bss_end - (uint64_t)place->load > piece.memsz)
		piece.memsz = place->bss_end - (uint64_t)place->load;
	return pieces_add(image, plan, "the kernel", piece);
}

/* ---- The header ---------------------------------------------------------------------------- */

enum {
	HEADER_MAGIC = 0x1badb002,
	HEADER_WITHIN = 8192,
	FLAG_PAGE_ALIGN = 1 << 0, /* modules on pages: they always are */
	FLAG_MEMORY = 1 << 1,
	FLAG_VIDEO = 1 << 2, /* no screen is here; the kernel sees that nothing was set */
	FLAGS_REQUIRED = 0xffff,
	FLAG_ADDRESSES = 1 << 16,
	HANDED_MAGIC = 0x2badb002,
};

struct mb_header {
	uint32_t magic, flags, checksum;
	/* FLAG_ADDRESSES: */
	uint32_t header, load, load_end, bss_end, entry;
};

static bool claims(struct image *image)
{
	return multiboot_find(image, HEADER_WITHIN, 4, HEADER_MAGIC, 3, &image->header);
}

static bool open_multiboot(struct image *image, const struct plan *plan)
{
	static const char where[] = "Multiboot header";
	struct mb_header header = {0};
	const size_t left = image->head_size - image->header;

	memcpy(&header, image->head + image->header, left < sizeof(header) ? left : sizeof(header));
	if (header.flags & FLAGS_REQUIRED & ~(uint32_t)(FLAG_PAGE_ALIGN | FLAG_MEMORY | FLAG_VIDEO))
		return image_refuse(image, where,
		                    "flags is 0x%" PRIx32
		                    ": asks for what this boot loader does not know; bits 0 to 2 "
		                    "and 16 are known",
		                    header.flags);
	image->bits32 = true;
	if (!(header.flags & FLAG_ADDRESSES))
		return pieces_take_elf(image, plan);
	if (left < sizeof(header))
		return image_refuse(image, where, "ends before its addresses (truncated?)");
	image->entry_gpa = header.entry;
	if (!multiboot_take_place(image, plan,
	                          &(struct multiboot_place){header.header, header.load,
	                                                    header.load_end, header.bss_end}))
		return false;
	return pieces_hold(image, image->entry_gpa) ||
	       image_refuse(image, where, "entry_addr 0x%" PRIx32 " lies outside what is loaded",
	                    header.entry);
}

/* ---- RAM ----------------------------------------------------------------------------------- */

enum {
	INFO_MEMORY = 1 << 0,
	INFO_COMMAND = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MAP = 1 << 6,
	INFO_LOADER = 1 << 9,
};

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, command, module_count, modules, syms[4],
	    map_size, map, drives_size, drives, config, loader, apm;
	uint32_t vbe[4]; /* not given */
};

struct mb_module {
	uint32_t start, end, command, reserved;
};

struct mb_range {
	uint32_t size; /* of what follows */
	uint64_t gpa, length;
	uint32_t type;
} __attribute__((packed));

static bool build(struct boot *boot, const struct memory *memory, const struct image *image,
                  const struct host *host, const struct plan *plan)
{
	struct handed {
		struct mb_info info;
		struct mb_module modules[PC_MODULES_MAX];
		struct mb_range map[PC_RANGES_MAX];
		char loader[16];
	} *handed = memory_at(memory, PC_HANDED, sizeof(*handed));
	struct pc_range ranges[PC_RANGES_MAX];
	const unsigned count = pc_map(memory, ranges);
	struct pc_modules modules;

	pc_boot_begin(boot, memory, host, plan);
	if (!pc_put_command(memory, plan, pc_file_name(plan), 0) ||
	    !pc_put_modules(memory, plan, pieces_end(image), RS_HOLE, true, &modules))
		return false;
	handed->info = (struct mb_info){
	    .flags = INFO_MEMORY | INFO_COMMAND | INFO_MAP | INFO_LOADER |
	             (modules.count ? INFO_MODULES : 0),
	    .mem_lower = PC_LOW_END >> 10,
	    .mem_upper = (uint32_t)((memory->low_end - PC_HIGH) >> 10),
	    .command = PC_COMMAND,
	    .module_count = modules.count,
	    .modules = PC_HANDED + offsetof(struct handed, modules),
	    .map_size = (uint32_t)(count * sizeof(struct mb_range)),
	    .map = PC_HANDED + offsetof(struct handed, map),
	    .loader = PC_HANDED + offsetof(struct handed, loader),
	};
	for (unsigned i = 0; i < modules.count; i++) {
		const struct pc_module *module = &modules.module[i];

		handed->modules[i] =
		    (struct mb_module){.start = (uint32_t)module->gpa,
		                       .end = (uint32_t)(module->gpa + module->size),
		                       .command = (uint32_t)module->words};
	}
	for (unsigned i = 0; i < count; i++)
		handed->map[i] = (struct mb_range){sizeof(struct mb_range) - sizeof(uint32_t),
		                                   ranges[i].gpa, ranges[i].size, ranges[i].type};
	strcpy(handed->loader, "Ringscope");
	pc_boot_end(boot, (struct pc_entry){.bits32 = true,
	                                    .code = PC_SEL_PLAIN,
	                                    .rip = image->entry_gpa,
	                                    .eax = HANDED_MAGIC,
	                                    .ebx = PC_HANDED});
	return true;
}

const struct boot_protocol multiboot_protocol = {
    .name = "multiboot",
    .title = "Multiboot",
    .sign = "a Multiboot header in its first 8 KiB",
    .is_pc = true,
    .has_words = true,
    .has_modules = true,
    .claims = claims,
    .open = open_multiboot,
    .load = pieces_load,
    .build = build,
    .start = pc_start_cpu,
};
