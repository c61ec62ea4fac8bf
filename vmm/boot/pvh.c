/*
 * PVH: the direct boot of Xen's guests (Xen, docs/misc/pvh.pandoc;
 * public/arch-x86/hvm/start_info.h), which Linux and others take as well: 32-bit protected mode,
 * EBX the start info.
 */
#include <stddef.h>
#include <string.h>

#include "vmm/boot/image_refuse.h"
#include "vmm/boot/linux.h"
#include "vmm/boot/pieces.h"
#include "vmm/boot/pc_map.h"
#include "vmm/boot/pc_modules.h"
#include "vmm/boot/pc_start.h"
#include "vmm/boot/protocol.h"

enum { PHYS32_ENTRY = 18, MAGIC = 0x336ec578, VERSION = 1 };

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command, rsdp;
	uint64_t map;
	uint32_t map_count, reserved;
};

struct module {
	uint64_t gpa, size, command, reserved;
};

struct range {
	uint64_t gpa, size;
	uint32_t type, reserved;
};

static uint32_t entry_of(const struct image *image)
{
	uint32_t entry = 0;

	pieces_find_note(image, "Xen", PHYS32_ENTRY, &entry, sizeof(entry));
	return entry;
}

static bool claims(struct image *image)
{
	return (image_is_elf(image, 32) || image_is_elf(image, 64)) && entry_of(image);
}

static bool open_pvh(struct image *image, const struct plan *plan)
{
	if (!pieces_take_elf(image, plan))
		return false;
	image->bits32 = true;
	image->entry_gpa = entry_of(image);
	return pieces_hold(image, image->entry_gpa) ||
	       image_refuse(image, "Xen note", "its PVH entry, 0x%llx, lies in no segment",
	                    (unsigned long long)image->entry_gpa);
}

static bool build(struct boot *boot, const struct memory *memory, const struct image *image,
                  const struct host *host, const struct plan *plan)
{
	struct handed {
		struct start_info info;
		struct module modules[PC_MODULES_MAX];
		struct range map[PC_RANGES_MAX];
	} *handed = memory_at(memory, PC_HANDED, sizeof(*handed));
	struct pc_range ranges[PC_RANGES_MAX];
	const unsigned count = pc_map(memory, ranges);
	struct pc_modules modules;

	pc_boot_begin(boot, memory, host, plan);
	if (!pc_put_command(memory, plan, linux_is(image) ? linux_words(plan) : "", 0) ||
	    !pc_put_modules(memory, plan, pieces_end(image), UINT64_C(1) << 31, false, &modules))
		return false;
	handed->info = (struct start_info){
	    .magic = MAGIC,
	    .version = VERSION,
	    .module_count = modules.count,
	    .modules = PC_HANDED + offsetof(struct handed, modules),
	    .command = PC_COMMAND,
	    .rsdp = PC_ACPI,
	    .map = PC_HANDED + offsetof(struct handed, map),
	    .map_count = count,
	};
	for (unsigned i = 0; i < modules.count; i++) {
		const struct pc_module *module = &modules.module[i];

		handed->modules[i] = (struct module){module->gpa, module->size, module->words, 0};
	}
	for (unsigned i = 0; i < count; i++)
		handed->map[i] = (struct range){ranges[i].gpa, ranges[i].size, ranges[i].type, 0};
	pc_boot_end(boot, (struct pc_entry){.bits32 = true,
	                                    .code = PC_SEL_PLAIN,
	                                    .rip = image->entry_gpa,
	                                    .ebx = PC_HANDED});
	return true;
}

const struct boot_protocol pvh_protocol = {
    .name = "pvh",
    .title = "PVH",
    .sign = "an ELF note of Xen with a PVH entry",
    .is_pc = true,
    .has_words = true,
    .has_modules = true,
    .claims = claims,
    .open = open_pvh,
    .load = pieces_load,
    .build = build,
    .start = pc_start_cpu,
};
