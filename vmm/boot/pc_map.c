#include "vmm/boot/pc_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/pt_entry.h"
#include "vmm/base/message.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/mp_table.h"

const struct pc_area pc_areas[] = {
    {"BIOS' data", 0, PC_BIOS_END},
    {"boot data", PC_PARAMS, PC_WORDS + PC_WORDS_SIZE - PC_PARAMS},
    {"memory of the screen and of ROMs", 0xa0000, PC_ACPI - 0xa0000},
    {"ACPI tables", PC_ACPI, PC_ACPI_END - PC_ACPI},
    {NULL, 0, 0},
};

/* ---- The map ------------------------------------------------------------------------------- */

unsigned pc_map(const struct memory *memory, struct pc_range ranges[PC_RANGES_MAX])
{
	unsigned count = 0;

	ranges[count++] = (struct pc_range){0, PC_LOW_END, PC_RAM};
	ranges[count++] = (struct pc_range){PC_LOW_END, 0xa0000 - PC_LOW_END, PC_RESERVED};
	ranges[count++] = (struct pc_range){PC_ACPI, PC_ACPI_END - PC_ACPI, PC_ACPI_DATA};
	if (memory->low_end > PC_HIGH)
		ranges[count++] = (struct pc_range){PC_HIGH, memory->low_end - PC_HIGH, PC_RAM};
	if (memory->high_end)
		ranges[count++] =
		    (struct pc_range){RS_HIGH_RAM, memory->high_end - RS_HIGH_RAM, PC_RAM};
	return count;
}

/* ---- The command line ---------------------------------------------------------------------- */

bool pc_put_command(const struct memory *memory, const struct plan *plan, const char *first,
                    uint64_t most)
{
	char *to = memory_at(memory, PC_COMMAND, PC_COMMAND_SIZE);
	const char *append = plan->append ? plan->append : "";
	int length;

	if (!most || most >= PC_COMMAND_SIZE)
		most = PC_COMMAND_SIZE - 1;
	length =
	    snprintf(to, PC_COMMAND_SIZE, "%s%s%s", first, *first && *append ? " " : "", append);
	if (length >= 0 && (uint64_t)length <= most)
		return true;
	return message_error("--append: with '%s' before it the command line has %d bytes: this "
	                     "kernel takes %" PRIu64,
	                     first, length, most);
}

const char *pc_file_name(const struct plan *plan)
{
	const char *slash = strrchr(plan->guest, '/');

	return slash ? slash + 1 : plan->guest;
}

/* ---- Descriptors and tables ---------------------------------------------------------------- */

static void put_gdt(const struct memory *memory, const struct pc_entry *entry)
{
	const struct desc_segment code = {.limit = 0xffffffff,
	                                  .type = DESC_CODE_RX,
	                                  .present = true,
	                                  .code64 = !entry->bits32,
	                                  .big = entry->bits32};
	const struct desc_segment data = {
	    .limit = 0xffffffff, .type = DESC_DATA_RW, .present = true, .big = true};
	uint64_t *gdt = memory_at(memory, PC_GDT, PAGE_SIZE);

	desc_segment_encode(&code, &gdt[selector_index(entry->code)]);
	desc_segment_encode(&data, &gdt[selector_index(entry->code) + 1]);
}

/* An identity map of 4 GiB. */
static void put_tables(const struct memory *memory)
{
	enum { TABLES = 6, LARGE = 1 << 21, ENTRIES = 512, GIGABYTES = 4 };
	uint64_t *tables = memory_at(memory, PC_TABLES, TABLES * PAGE_SIZE);

	tables[0] = (PC_TABLES + PAGE_SIZE) | PTE_P | PTE_W;
	for (uint64_t i = 0; i < GIGABYTES; i++)
		tables[ENTRIES + i] = (PC_TABLES + (2 + i) * PAGE_SIZE) | PTE_P | PTE_W;
	for (uint64_t i = 0; i < GIGABYTES * ENTRIES; i++)
		tables[2 * ENTRIES + i] = i * LARGE | PTE_P | PTE_W | PTE_PS;
}

void pc_boot_end(struct boot *boot, struct pc_entry entry)
{
	boot->entry = entry;
	put_gdt(boot->memory, &entry);
	if (!entry.bits32)
		put_tables(boot->memory);
}

/* The BIOS' data area, where kernels without ACPI, and Xen, look for the end of low RAM and for the
 * serial port (IBM PS/2 BIOS interface technical reference, "Data areas"). */
static void put_bios_data(const struct memory *memory)
{
	enum { BDA = 0x400, SERIAL = 0x00, EBDA_SEGMENT = 0x0e, LOW_KIB = 0x13, SIZE = 0x100 };
	uint8_t *bda = memory_at(memory, BDA, SIZE);
	const uint16_t serial = 0x3f8, segment = PC_LOW_END >> 4, low_kib = PC_LOW_END >> 10;

	memcpy(bda + SERIAL, &serial, sizeof(serial));
	memcpy(bda + EBDA_SEGMENT, &segment, sizeof(segment));
	memcpy(bda + LOW_KIB, &low_kib, sizeof(low_kib));
}

/* Whatever a kernel calls in real mode, Xen on its way up for one, there is no BIOS to do it: each
 * vector says so, by the carry flag. */
static void put_bios_calls(const struct memory *memory)
{
	enum { VECTORS = 256, STUB = 0xff000, SEGMENT = 0xf000 };
	static const uint8_t stub[] = {0xf9 /* STC */, 0xca, 2, 0 /* RET FAR, flags dropped */};
	uint32_t *vectors = memory_at(memory, 0, VECTORS * sizeof(*vectors));

	memcpy(memory_at(memory, STUB, sizeof(stub)), stub, sizeof(stub));
	for (unsigned i = 0; i < VECTORS; i++)
		vectors[i] = (uint32_t)SEGMENT << 16 | (STUB - SEGMENT * 16);
}

void pc_boot_begin(struct boot *boot, const struct memory *memory, const struct host *host,
                   const struct plan *plan)
{
	*boot = (struct boot){
	    .memory = memory,
	    .cpus = plan->cpus,
	    .kernel.geo =
	        {
	            .levels = 4,
	            .maxphyaddr = (uint8_t)host->maxphyaddr,
	            .nx = true,
	            .gib_pages = host->cpuid_features & RS_FEATURE_GIB_PAGES,
	            .pcid = host->cpuid_features & RS_FEATURE_PCID,
	        },
	};
	put_bios_calls(memory);
	put_bios_data(memory);
	acpi_build(memory, plan->cpus);
	mp_table_build(memory, plan->cpus);
}
