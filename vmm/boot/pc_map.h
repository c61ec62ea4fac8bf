/*
 * The RAM of a PC as a boot loader leaves it to a kernel: where the loader's own data lie, the map
 * of memory, the command line, the initial RAM disk, and flat descriptors with an identity map.
 *
 *	0x00000000  RAM: real mode's vectors, the BIOS' data area
 *	0x00020000    parameters, command line, GDT, page tables of the first instruction
 *	0x00030000    what the protocol hands over (64 KiB)
 *	0x0009fc00  reserved
 *	0x000e0000  ACPI tables
 *	0x00100000  RAM: the kernel, at its own address; the RAM disk, as high as it goes
 *	RS_HOLE     devices: I/O APIC, local APICs
 *	RS_HIGH_RAM RAM above 4 GiB
 */
#ifndef VMM_BOOT_PC_MAP_H
#define VMM_BOOT_PC_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/memory.h"
#include "vmm/base/pc.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"
#include "vmm/kvm/host.h"

enum {
	PC_BIOS_END = 0x500,    /* of vectors and the BIOS' data area */
	PC_PARAMS = 0x20000,    /* Linux's struct boot_params: a page */
	PC_COMMAND = 0x21000,   /* the command line ... */
	PC_COMMAND_SIZE = 4096, /* ... its final 0 counted */
	PC_GDT = 0x22000,       /* 4 descriptors */
	PC_TABLES = 0x23000,    /* PML4, PDPT, 4 page directories: 4 GiB of it */
	PC_HANDED = 0x30000,    /* Multiboot information, PVH's start info */
	PC_HANDED_SIZE = 0xc000,
	PC_WORDS = 0x3c000, /* the words of modules (vmm/boot/pc_modules.h) */
	PC_WORDS_SIZE = 0x4000,
	PC_LOW_END = 0x9fc00, /* of the RAM that is free below 1 MiB */
	PC_HIGH = 0x100000,
	PC_SEL_LINUX = 0x10, /* CS, as Linux's protocol has it; data segments are behind it ... */
	PC_SEL_PLAIN = 0x08, /* ... as kernels have it in their own GDT, who are told nothing */
};

/* Where no kernel may be loaded; ends with a row without a name. */
extern const struct pc_area {
	const char *name;
	uint64_t gpa, size;
} pc_areas[];

/* The map, as the BIOS' call E820 has it and Linux, PVH and Multiboot take it over. */
struct pc_range {
	uint64_t gpa, size;
	uint32_t type; /* PC_RAM ... */
};
enum { PC_RAM = 1, PC_RESERVED = 2, PC_ACPI_DATA = 3 };
enum { PC_RANGES_MAX = 8 };
unsigned pc_map(const struct memory *memory, struct pc_range ranges[PC_RANGES_MAX]);

/* Writes the command line: `first`, and behind it what --append says.  `most`: its bytes that the
 * kernel takes, the final 0 not counted; 0: as many as there is room for.  False after a message.
 */
bool pc_put_command(const struct memory *memory, const struct plan *plan, const char *first,
                    uint64_t most);

/* The kernel's file without its folder: by tradition the first word of a Multiboot command line. */
const char *pc_file_name(const struct plan *plan);

/* What all protocols' build ends with: boot->entry, which the vCPU starts from; its GDT, with the
 * code segment at entry.code and a data segment behind it; and, for long mode, the tables of an
 * identity map of 4 GiB. */
void pc_boot_end(struct boot *boot, struct pc_entry entry);

/* What all protocols' build begins with: boot->memory, cpus, the host's geometry, and the tables of
 * ACPI and of the MP specification. */
void pc_boot_begin(struct boot *boot, const struct memory *memory, const struct host *host,
                   const struct plan *plan);

#endif
