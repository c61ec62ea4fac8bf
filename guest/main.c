/*
 * The kernel's C entries.  Everything is live when it is called: tables, IDT, TSS, MSRs are the
 * VMM's work (shared/abi.h).  What is left is to start the other CPUs and to make the first
 * process.
 */
#include <stddef.h>

#include "guest/apic.h"
#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/life.h"
#include "guest/panic.h"
#include "guest/schedule.h"
#include "guest/smp.h"
#include "guest/space.h"
#include "guest/trace.h"
#include "guest/traced.h"
#include "guest/usercopy.h"

_Noreturn void kernel_main(const struct rs_boot *boot);
_Noreturn void cpu_main(const struct rs_boot *boot, uint32_t number);

/* The ring 3 image begins with its start code. */
static uint64_t user_entry(const struct rs_boot *boot)
{
	for (uint32_t i = 0; i < boot->segment_count; i++)
		if (boot->segments[i].user && (boot->segments[i].flags & 1))
			return boot->segments[i].va;
	panic(NULL, "the image has no ring 3 program");
}

/* Opens RS_PORT_MARK in the I/O permission bitmap, which the VMM wrote with every port denied.
 * Whether a process's ring 3 gets to see the bitmap at all is decided at each switch (schedule.c).
 */
static void open_mark_port(uint32_t cpu)
{
	uint8_t *bitmap = (uint8_t *)(RS_ENTRY_CPU(cpu) + RS_ENTRY_TSS + RS_IO_BITMAP_OFFSET);

	bitmap[RS_PORT_MARK / 8] &= (uint8_t) ~(1 << RS_PORT_MARK % 8);
}

/* What each CPU needs of its own before it can take an interrupt. */
static void cpu_init(uint32_t number)
{
	struct cpu *cpu = (struct cpu *)RS_ENTRY_CPU(number);

	cpu->self = cpu;
	cpu->number = number;
	cpu->entry_stack = RS_ENTRY_CPU(number) + RS_ENTRY_STACK_TOP;
	/* The VMM loaded TR; loading it again makes one emulated CPU read the I/O bitmap. */
	__asm__ volatile("ltr %w0" : : "r"(RS_SEL_TSS));
	open_mark_port(number);
}

static uint64_t first_cr0, first_cr4; /* of CPU 0, once it knows what works here */

_Noreturn void kernel_main(const struct rs_boot *boot)
{
	uint32_t missing;

	cpu_init(0);
	/* Ring 3 may ask for alignment checks with RFLAGS.AC. */
	write_cr0(read_cr0() | CR0_AM);
	frames_init(boot);
	if (boot->magic != RS_BOOT_MAGIC || boot->abi != RS_ABI_VERSION)
		panic(NULL, "boot page of another version: %u, wanted %u", (uint64_t)boot->abi,
		      (uint64_t)RS_ABI_VERSION);
	if (!space_init(boot))
		panic(NULL, "no memory for the kernel's tables");
	space_set_mode(boot->pti_mode);
	usercopy_init(boot);
	trace_init(boot);
	traced_init();
	apic_init(boot);
	schedule_init(boot);
	schedule_join();
	first_cr0 = read_cr0();
	first_cr4 = read_cr4();
	missing = smp_start(boot);
	if (missing)
		panic(NULL, "CPU %u cannot be started", (uint64_t)missing);
	kernel_lock();
	process_init(boot, user_entry(boot));
	schedule_idle();
}

_Noreturn void cpu_main(const struct rs_boot *boot, uint32_t number)
{
	cpu_init(number);
	write_cr0(first_cr0);
	write_cr4(first_cr4);
	space_follow_mode();
	apic_init(boot);
	schedule_join();
	smp_join();
	schedule_idle();
}
