#include "vmm/boot/mp_table.h"

#include <string.h>

#include "vmm/base/pc.h"
#include "vmm/boot/pc_checksum.h"

enum { CPU = 0, BUS = 1, IOAPIC = 2, IO_INTERRUPT = 3, LOCAL_INTERRUPT = 4 }; /* 4.3 */
enum { INT = 0, NMI = 1, EXTINT = 3 };                                        /* table 4-10 */
enum { CPU_ENABLED = 1, CPU_BOOTS = 2, ALL_APICS = 0xff };
enum { APIC_VERSION = 0x14 };     /* KVM's */
enum { HIGH_LEVEL = 1 | 3 << 2 }; /* the SCI; 0: as the bus has it */
enum { ISA_LINES = 16, CASCADE = 2 };

struct pointer { /* 4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, features[5];
} __attribute__((packed));
_Static_assert(sizeof(struct pointer) == 16, "length is in units of 16 bytes");

struct header { /* 4.2 */
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t apic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 44, "MP 4.2");

struct processor {
	uint8_t type, apic, version, flags;
	uint32_t signature, features;
	uint64_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct processor) == 20, "MP 4.3.1");

struct bus {
	uint8_t type, id;
	char name[6];
};

struct ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

struct interrupt { /* of the I/O APIC's, or of all local APICs */
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, line, apic, pin;
};
_Static_assert(sizeof(struct bus) == 8 && sizeof(struct ioapic) == 8 &&
                   sizeof(struct interrupt) == 8,
               "MP 4.3.2 to 4.3.5");

struct writer {
	uint8_t *to;
	uint16_t entries;
};

static void put(struct writer *writer, const void *entry, size_t size)
{
	writer->to = (uint8_t *)mempcpy(writer->to, entry, size);
	writer->entries++;
}

static void put_processors(struct writer *writer, unsigned cpus)
{
	enum { FAMILY_6 = 0x600, FPU_AND_APIC = 1 | 1 << 9 };

	for (unsigned i = 0; i < cpus; i++) {
		const struct processor cpu = {
		    .type = CPU,
		    .apic = (uint8_t)i,
		    .version = APIC_VERSION,
		    .flags = CPU_ENABLED | (i ? 0 : CPU_BOOTS),
		    .signature = FAMILY_6,
		    .features = FPU_AND_APIC,
		};

		put(writer, &cpu, sizeof(cpu));
	}
}

/* As the MADT has them.  The I/O APIC's ID is 0, like that of the first CPU: the register that
 * holds it says so. */
static void put_interrupts(struct writer *writer)
{
	for (uint8_t line = 0; line < ISA_LINES; line++) {
		const struct interrupt isa = {
		    .type = IO_INTERRUPT,
		    .kind = INT,
		    .flags = line == PC_IRQ_SCI ? HIGH_LEVEL : 0,
		    .line = line,
		    .pin = line == PC_IRQ_TIMER ? PC_GSI_TIMER : line,
		};

		if (line != CASCADE)
			put(writer, &isa, sizeof(isa));
	}
	put(writer, &(struct interrupt){LOCAL_INTERRUPT, EXTINT, 0, 0, 0, ALL_APICS, 0},
	    sizeof(struct interrupt));
	put(writer, &(struct interrupt){LOCAL_INTERRUPT, NMI, 0, 0, 0, ALL_APICS, 1},
	    sizeof(struct interrupt));
}

void mp_table_build(const struct memory *memory, unsigned cpus)
{
	uint8_t *at = memory_at(memory, PC_MP, PC_MP_SIZE);
	struct header *header = (struct header *)(at + sizeof(struct pointer));
	struct writer writer = {.to = (uint8_t *)(header + 1)};
	struct pointer pointer = {.table = PC_MP + sizeof(pointer), .length = 1, .revision = 4};

	put_processors(&writer, cpus);
	put(&writer, &(struct bus){BUS, 0, "ISA   "}, sizeof(struct bus));
	put(&writer, &(struct ioapic){IOAPIC, 0, PC_IOAPIC_VERSION, 1, (uint32_t)PC_IOAPIC},
	    sizeof(struct ioapic));
	put_interrupts(&writer);

	*header = (struct header){
	    .length = (uint16_t)(writer.to - (uint8_t *)header),
	    .revision = 4,
	    .entries = writer.entries,
	    .apic = (uint32_t)PC_APIC,
	};
	memcpy(header->signature, "PCMP", sizeof(header->signature));
	memcpy(header->oem, "RSCOPE  ", sizeof(header->oem));
	memcpy(header->product, "RINGSCOPE   ", sizeof(header->product));
	pc_set_checksum(header, header->length, &header->checksum);
	memcpy(pointer.signature, "_MP_", sizeof(pointer.signature));
	pc_set_checksum(&pointer, sizeof(pointer), &pointer.checksum);
	memcpy(at, &pointer, sizeof(pointer));
}
