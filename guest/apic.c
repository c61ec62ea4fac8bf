#include "guest/apic.h"

#include "guest/cpu.h"

/* x2APIC registers as MSRs (SDM 11.12.1.2). */
enum {
	X2APIC_EOI = 0x80b,
	X2APIC_SPURIOUS = 0x80f,
	X2APIC_ICR = 0x830,
	X2APIC_LVT_TIMER = 0x832,
	X2APIC_INITIAL_COUNT = 0x838,
	X2APIC_DIVIDE = 0x83e,
};

#define SPURIOUS_ENABLE X86_BIT(8) /* of the APIC itself, SDM 11.9 */
#define DIVIDE_BY_1     0xb        /* SDM 11.5.4 */

static uint64_t khz; /* 0: no APIC */

bool apic_present(void)
{
	return khz != 0;
}

void apic_init(const struct rs_boot *boot)
{
	if (!(boot->features & RS_FEATURE_APIC))
		return;
	khz = boot->apic_khz;
	write_msr(X2APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	write_msr(X2APIC_DIVIDE, DIVIDE_BY_1);
	write_msr(X2APIC_LVT_TIMER, VECTOR_TIMER); /* one-shot */
}

void apic_end_of_interrupt(void)
{
	write_msr(X2APIC_EOI, 0);
}

void apic_timer(uint64_t ns)
{
	uint64_t ticks = ns * (khz / 1000) / 1000;

	/* The count has 32 bits; who asks for more is woken early, and asks again. */
	if (ticks > UINT32_MAX)
		ticks = UINT32_MAX;
	write_msr(X2APIC_INITIAL_COUNT, ticks ? ticks : 1);
}

void apic_send(uint32_t cpu, uint32_t vector)
{
	/* Fixed, edge, physical destination: the APIC's id, which is the CPU's number. */
	write_msr(X2APIC_ICR, (uint64_t)cpu << 32 | X86_BIT(14) | vector);
}
