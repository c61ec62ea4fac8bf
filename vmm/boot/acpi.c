#include "vmm/boot/acpi.h"

#include <string.h>

#include "vmm/base/pc.h"
#include "vmm/boot/pc_checksum.h"

/* Where each lies, from PC_ACPI on. */
enum {
	AT_RSDP = 0,
	AT_XSDT = 0x40,
	AT_RSDT = 0x80,
	AT_FADT = 0x100,
	AT_FACS = 0x240,
	AT_DSDT = 0x280,
	AT_MADT = 0x300
};

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");

static void finish(void *table, const char *signature, uint8_t revision, uint32_t length)
{
	struct header *header = table;

	*header = (struct header){
	    .length = length, .revision = revision, .oem_revision = 1, .creator_revision = 1};
	memcpy(header->signature, signature, sizeof(header->signature));
	memcpy(header->oem, "RSCOPE", sizeof(header->oem));
	memcpy(header->oem_table, "RINGSCOP", sizeof(header->oem_table));
	memcpy(header->creator, "RSCP", sizeof(header->creator));
	pc_set_checksum(table, length, &header->checksum);
}

/* ---- FADT ---------------------------------------------------------------------------------- */

struct address { /* Generic Address Structure, 5.2.3.2 */
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));

/* Table 5.9, as far as ACPI 2.0 had it. */
struct fadt {
	struct header header;
	uint32_t facs, dsdt;
	uint8_t reserved, profile;
	uint16_t sci;
	uint32_t smi;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
	    gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len, gpe0_len, gpe1_len,
	    gpe1_base, cst;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_boot;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
	    x_pm_timer, x_gpe0, x_gpe1;
} __attribute__((packed));
_Static_assert(sizeof(struct fadt) == 244, "ACPI 2.0's FADT");

enum {
	FADT_WBINVD = 1 << 0,
	FADT_NO_POWER_BUTTON = 1 << 4, /* as a fixed one: there is none */
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_RESET = 1 << 10,
	ARCH_LEGACY_DEVICES = 1 << 0, /* ISA devices; no 8042 (bit 1): nobody need wait for it */
	ARCH_NO_VGA = 1 << 2,
	ARCH_NO_RTC = 1 << 5, /* clear: the CMOS clock is there */
	SPACE_IO = 1,
};

static void build_fadt(uint8_t *at)
{
	struct fadt *fadt = (struct fadt *)at;

	*fadt = (struct fadt){
	    .facs = PC_ACPI + AT_FACS,
	    .dsdt = PC_ACPI + AT_DSDT,
	    .sci = PC_IRQ_SCI,
	    .smi = PC_SMI,
	    .acpi_enable = PC_ACPI_ON,
	    .acpi_disable = PC_ACPI_ON - 1,
	    .pm1a_event = PC_PM_EVENT,
	    .pm1a_control = PC_PM_CONTROL,
	    .pm_timer = PC_PM_TIMER,
	    .pm1_event_len = 4,
	    .pm1_control_len = 2,
	    .pm_timer_len = 4,
	    .c2_latency = 0xffff, /* no C2 ... */
	    .c3_latency = 0xffff, /* ... and no C3 */
	    .boot_arch = ARCH_LEGACY_DEVICES | ARCH_NO_VGA,
	    .flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_RESET,
	    .reset = {SPACE_IO, 8, 0, 1, PC_RESET},
	    .reset_value = PC_RESET_VALUE,
	    .x_dsdt = PC_ACPI + AT_DSDT,
	    .x_pm1a_event = {SPACE_IO, 32, 0, 2, PC_PM_EVENT},
	    .x_pm1a_control = {SPACE_IO, 16, 0, 2, PC_PM_CONTROL},
	    .x_pm_timer = {SPACE_IO, 32, 0, 3, PC_PM_TIMER},
	};
	finish(fadt, "FACP", 3, sizeof(*fadt));
}

/* 5.2.10: in RAM that the firmware and the kernel share; nobody waits for its lock. */
static void build_facs(uint8_t *at)
{
	const uint32_t length = 64;

	memcpy(at, "FACS", 4);
	memcpy(at + 4, &length, sizeof(length));
	at[32] = 1; /* version */
}

/* ---- DSDT ---------------------------------------------------------------------------------- */

static void build_dsdt(uint8_t *at)
{
	/* Name (_S5, Package () {5, 5, 0, 0}) */
	static const uint8_t s5[] = {0x08, '_',  'S',          '5',  '_',          0x12, 0x08,
	                             0x04, 0x0a, PC_SLEEP_OFF, 0x0a, PC_SLEEP_OFF, 0x00, 0x00};

	memcpy(at + sizeof(struct header), s5, sizeof(s5));
	finish(at, "DSDT", 2, sizeof(struct header) + sizeof(s5));
}

/* ---- MADT ---------------------------------------------------------------------------------- */

struct madt_apic {
	uint8_t type, length, uid, id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

static void build_madt(uint8_t *at, unsigned cpus)
{
	enum { ACTIVE_HIGH = 1, LEVEL = 3 << 2, ALL = 0xff };
	const uint32_t has_pics = 1, apic = (uint32_t)PC_APIC;
	const struct madt_ioapic ioapic = {1, sizeof(ioapic), 0, 0, (uint32_t)PC_IOAPIC, 0};
	const struct madt_override overrides[] = {
	    {2, sizeof(overrides[0]), 0, PC_IRQ_TIMER, PC_GSI_TIMER, 0},
	    {2, sizeof(overrides[0]), 0, PC_IRQ_SCI, PC_IRQ_SCI, ACTIVE_HIGH | LEVEL},
	};
	const struct madt_nmi nmi = {4, sizeof(nmi), ALL, 0, 1};
	uint8_t *to = at + sizeof(struct header);

	memcpy(to, &apic, sizeof(apic));
	memcpy(to + 4, &has_pics, sizeof(has_pics));
	to += 8;
	for (uint8_t i = 0; i < cpus; i++, to += sizeof(struct madt_apic))
		memcpy(to, &(struct madt_apic){0, sizeof(struct madt_apic), i, i, 1},
		       sizeof(struct madt_apic));
	to = (uint8_t *)mempcpy(to, &ioapic, sizeof(ioapic));
	to = (uint8_t *)mempcpy(to, overrides, sizeof(overrides));
	to = (uint8_t *)mempcpy(to, &nmi, sizeof(nmi));
	finish(at, "APIC", 3, (uint32_t)(to - at));
}

/* ---- The roots ----------------------------------------------------------------------------- */

static void build_xsdt(uint8_t *at)
{
	const uint64_t tables[] = {PC_ACPI + AT_FADT, PC_ACPI + AT_MADT};

	memcpy(at + sizeof(struct header), tables, sizeof(tables));
	finish(at, "XSDT", 1, sizeof(struct header) + sizeof(tables));
}

/* The same for who knows ACPI 1.0 only. */
static void build_rsdt(uint8_t *at)
{
	const uint32_t tables[] = {PC_ACPI + AT_FADT, PC_ACPI + AT_MADT};

	memcpy(at + sizeof(struct header), tables, sizeof(tables));
	finish(at, "RSDT", 1, sizeof(struct header) + sizeof(tables));
}

static void build_rsdp(uint8_t *at)
{
	enum { REVISION_1_SIZE = 20 };
	struct rsdp {
		char signature[8];
		uint8_t checksum;
		char oem[6];
		uint8_t revision;
		uint32_t rsdt, length;
		uint64_t xsdt;
		uint8_t extended_checksum, reserved[3];
	} __attribute__((packed)) *rsdp = (struct rsdp *)at;

	*rsdp = (struct rsdp){.revision = 2,
	                      .rsdt = PC_ACPI + AT_RSDT,
	                      .length = sizeof(*rsdp),
	                      .xsdt = PC_ACPI + AT_XSDT};
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem, "RSCOPE", sizeof(rsdp->oem));
	pc_set_checksum(at, REVISION_1_SIZE, &rsdp->checksum);
	pc_set_checksum(at, sizeof(*rsdp), &rsdp->extended_checksum);
}

void acpi_build(const struct memory *memory, unsigned cpus)
{
	uint8_t *at = memory_at(memory, PC_ACPI, PC_ACPI_END - PC_ACPI);

	build_rsdp(at + AT_RSDP);
	build_xsdt(at + AT_XSDT);
	build_rsdt(at + AT_RSDT);
	build_fadt(at + AT_FADT);
	build_facs(at + AT_FACS);
	build_dsdt(at + AT_DSDT);
	build_madt(at + AT_MADT, cpus);
}
