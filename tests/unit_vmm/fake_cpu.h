/*
 * A processor of a dozen instructions for fake_kvm: enough for the debugger's engine, which plants
 * bytes, steps, and takes entries of ring 0 back.  What is not known to it is an instruction of
 * `size` bytes without effect.
 *
 *     90 NOP          ee OUT DX, AL    cc INT3     f4 HLT      9c PUSHF     0f 0b UD2
 *     0f 05 SYSCALL   48 cf IRETQ      f1 INT1     fb STI      0f 01 / 0f ae ...
 */
#ifndef TESTS_UNIT_VMM_FAKE_CPU_H
#define TESTS_UNIT_VMM_FAKE_CPU_H

#include "tests/unit_vmm/live_machine.h"

/* All of RAM is mapped twice: at 0 for ring 3, and here for ring 0.  Where things lie: */
#define FAKE_KERNEL      RS_IMAGE_BASE
#define FAKE_VECTORS     (FAKE_KERNEL + 0x20000) /* stubs, of NOPs */
#define FAKE_SYSCALL     (FAKE_KERNEL + 0x22000) /* entries, of NOPs too */
#define FAKE_COMPAT      (FAKE_KERNEL + 0x22100)
#define FAKE_SYSENTER    (FAKE_KERNEL + 0x22200)
#define FAKE_GDT         (FAKE_KERNEL + 0x23000)
#define FAKE_TSS         (FAKE_KERNEL + 0x24000)
#define FAKE_IDT         (FAKE_KERNEL + 0x25000)
#define FAKE_RSP0        (FAKE_KERNEL + 0x43000)
#define FAKE_IST         (FAKE_KERNEL + 0x45000) /* IST 1 */
#define FAKE_CODE(ring)  (((ring) ? 0 : FAKE_KERNEL) + 0x30000)
#define FAKE_STACK(ring) (((ring) ? 0 : FAKE_KERNEL) + 0x41000)
enum { FAKE_STRIDE = 16 };

struct fake_cpu {
	unsigned ring;       /* where it began */
	size_t size;         /* of what is not known; 0: such an instruction fails the test */
	bool out_is_done;    /* RIP is behind OUT when its exit arrives: a kind of KVM */
	bool loses_rsp;      /* ... whose frames have a wrong RSP */
	bool syscall_traps;  /* TF outlives SYSCALL: a kind of processor */
	unsigned runs;       /* instructions */
	uint64_t plant_seen; /* the first OUT or INT3 that was met; 0: none */
	bool in_flight;      /* an OUT is to be completed */
};
extern struct fake_cpu fake_cpu;

/* Gives a live machine's CPU 0 this processor, its tables, and a note; in ring 0 or 3, at
 * FAKE_CODE. */
void fake_cpu_make(struct live_machine *live, unsigned ring);
/* Code there, NOPs behind it. */
void fake_cpu_code(const struct live_machine *live, const void *bytes, size_t size);
/* What fake_kvm.run is then, for who looks first. */
int fake_cpu_run(unsigned n);
uint8_t *fake_cpu_at(const struct live_machine *live, uint64_t address);

#endif
