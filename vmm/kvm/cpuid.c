#include "vmm/kvm/cpuid.h"

#include <cpuid.h>
#include <stdlib.h>

struct kvm_cpuid2 *cpuid_new(uint32_t entries)
{
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + entries * sizeof(table->entries[0]));

	if (table)
		table->nent = entries;
	return table;
}

/* ---- The basic table ------------------------------------------------------------------------- */

#define BIT(n) (UINT32_C(1) << (n))

/* Of leaf 1.  Not: what a KVM has to stand in for (VME, MTRR, APIC, XSAVE and what follows from it,
 * MONITOR, PCID, RDRAND, ...). */
#define BASIC_1_ECX                                                                                \
	(BIT(0)    /* SSE3 */                                                                      \
	 | BIT(1)  /* PCLMULQDQ */                                                                 \
	 | BIT(9)  /* SSSE3 */                                                                     \
	 | BIT(13) /* CMPXCHG16B */                                                                \
	 | BIT(19) /* SSE4.1 */                                                                    \
	 | BIT(20) /* SSE4.2 */                                                                    \
	 | BIT(22) /* MOVBE */                                                                     \
	 | BIT(23) /* POPCNT */                                                                    \
	 | BIT(25) /* AES */)
#define BASIC_1_EDX                                                                                \
	(BIT(0)    /* FPU */                                                                       \
	 | BIT(3)  /* PSE */                                                                       \
	 | BIT(4)  /* TSC */                                                                       \
	 | BIT(5)  /* MSR */                                                                       \
	 | BIT(6)  /* PAE */                                                                       \
	 | BIT(8)  /* CMPXCHG8B */                                                                 \
	 | BIT(11) /* SYSENTER */                                                                  \
	 | BIT(13) /* PGE */                                                                       \
	 | BIT(15) /* CMOV */                                                                      \
	 | BIT(16) /* PAT */                                                                       \
	 | BIT(19) /* CLFLUSH */                                                                   \
	 | BIT(23) /* MMX */                                                                       \
	 | BIT(24) /* FXSR */                                                                      \
	 | BIT(25) /* SSE */                                                                       \
	 | BIT(26) /* SSE2 */)
#define BASIC_80000001_ECX                                                                         \
	(BIT(0)   /* LAHF in 64-bit mode */                                                        \
	 | BIT(5) /* LZCNT */                                                                      \
	 | BIT(8) /* PREFETCHW */)
#define BASIC_80000001_EDX                                                                         \
	(BIT(11)   /* SYSCALL */                                                                   \
	 | BIT(20) /* NX */                                                                        \
	 | BIT(29) /* long mode */)

/* The leaves behind 0 and 80000000H, and what of each stays. */
static const struct {
	uint32_t leaf;
	uint32_t eax, ebx, ecx, edx;
} basic[] = {
    {0x1, UINT32_MAX, 0xff00 /* size of a CLFLUSH line */, BASIC_1_ECX, BASIC_1_EDX},
    {0x80000001, UINT32_MAX, 0, BASIC_80000001_ECX, BASIC_80000001_EDX},
    {0x80000008, 0xffff /* widths of addresses */, 0, 0, 0},
};
#define BASIC_LEAVES (sizeof(basic) / sizeof(basic[0]))

struct kvm_cpuid2 *cpuid_basic(void)
{
	struct kvm_cpuid2 *table = cpuid_new(BASIC_LEAVES + 2);
	struct kvm_cpuid_entry2 *e = table ? table->entries : NULL;

	if (!table)
		return NULL;
	/* The highest leaf of each kind, and the maker's name, which AMD's processors repeat. */
	__cpuid(0, e->eax, e->ebx, e->ecx, e->edx);
	e->eax = 1;
	e[1] = *e;
	e[1].function = 0x80000000;
	e[1].eax = 0x80000008;
	e += 2;
	for (size_t i = 0; i < BASIC_LEAVES; i++, e++) {
		uint32_t eax, ebx, ecx, edx;

		__cpuid(basic[i].leaf, eax, ebx, ecx, edx);
		e->function = basic[i].leaf;
		e->eax = eax & basic[i].eax;
		e->ebx = ebx & basic[i].ebx;
		e->ecx = ecx & basic[i].ecx;
		e->edx = edx & basic[i].edx;
	}
	return table;
}

/* ---- Looking at one and changing it ---------------------------------------------------------- */

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *table, uint32_t leaf,
                                          uint32_t subleaf)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function != leaf)
			continue;
		if (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == subleaf)
			return entry;
	}
	return NULL;
}

uint32_t cpuid_value(const struct kvm_cpuid2 *table, uint32_t leaf, enum cpuid_register reg)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(table, leaf, 0);

	if (!entry)
		return 0;
	switch (reg) {
	case CPUID_EAX:
		return entry->eax;
	case CPUID_EBX:
		return entry->ebx;
	case CPUID_ECX:
		return entry->ecx;
	default:
		return entry->edx;
	}
}

void cpuid_set_apic_id(struct kvm_cpuid2 *table, uint32_t id)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		switch (entry->function) {
		case 0x1:
			entry->ebx = (entry->ebx & 0xffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
			entry->edx = id;
			break;
		case 0x8000001e:
			entry->eax = id;
			break;
		default:
			break;
		}
	}
}

/* ---- A PC's ---------------------------------------------------------------------------------- */

/* 0BH and 1FH (SDM volume 2, CPUID): level 0 is a core of one thread, level 1 the package. */
static void set_topology(struct kvm_cpuid_entry2 *entry, uint32_t cpus)
{
	enum { THREADS = 1 << 8, CORES = 2 << 8, PACKAGE_SHIFT = 3 };

	entry->eax = entry->index == 1 ? PACKAGE_SHIFT : 0;
	entry->ebx = entry->index == 0 ? 1 : entry->index == 1 ? cpus : 0;
	entry->ecx = entry->index | (entry->index == 0 ? THREADS : entry->index == 1 ? CORES : 0);
}

void cpuid_set_pc(struct kvm_cpuid2 *table, uint32_t cpus, bool deadline)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		switch (entry->function) {
		case 0x1:
			entry->ecx |= BIT(31) | (deadline ? BIT(24) : 0);
			entry->ebx = (entry->ebx & 0xff00ffff) | cpus << 16;
			if (cpus > 1)
				entry->edx |= BIT(28);
			break;
		case 0x4: /* cores of a package */
			if (entry->eax & 0x1f)
				entry->eax = (entry->eax & 0x03ffffff) | (cpus - 1) << 26;
			break;
		case 0xb:
		case 0x1f:
			set_topology(entry, cpus);
			break;
		case 0x80000008:
			entry->ecx = (entry->ecx & 0xffff0f00) | (cpus - 1) | 3 << 12;
			break;
		default:
			break;
		}
	}
}

void cpuid_clear(struct kvm_cpuid2 *table, uint32_t leaf, enum cpuid_register reg, uint32_t bit)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		uint32_t *const registers[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};

		if (entry->function == leaf && entry->index == 0)
			*registers[reg] &= ~BIT(bit);
	}
}
