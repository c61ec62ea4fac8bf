/* A 32-bit ELF file that names no protocol: in 32-bit protected mode at e_entry, paging off. */
#include "vmm/boot/pieces.h"
#include "vmm/boot/pc_map.h"
#include "vmm/boot/pc_start.h"
#include "vmm/boot/protocol.h"

static bool claims(struct image *image)
{
	return image_is_elf(image, 32);
}

static bool open_elf32(struct image *image, const struct plan *plan)
{
	image->bits32 = true;
	return pieces_take_elf(image, plan);
}

static bool build(struct boot *boot, const struct memory *memory, const struct image *image,
                  const struct host *host, const struct plan *plan)
{
	pc_boot_begin(boot, memory, host, plan);
	pc_boot_end(
	    boot, (struct pc_entry){.bits32 = true, .code = PC_SEL_PLAIN, .rip = image->entry_gpa});
	return true;
}

const struct boot_protocol elf32_protocol = {
    .name = "elf32",
    .title = "a plain 32-bit ELF file, in protected mode",
    .sign = "a 32-bit ELF header",
    .is_pc = true,
    .claims = claims,
    .open = open_elf32,
    .load = pieces_load,
    .build = build,
    .start = pc_start_cpu,
};
