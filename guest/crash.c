#include "guest/crash.h"

#include "guest/cpu.h"
#include "guest/uapi.h"
#include "shared/desc.h"

/* In assembly, since a compiler refuses a recursion that cannot end. */
static void overflow(void)
{
	__asm__ volatile("1: call 1b");
}

/* Likewise for a write that C knows to be wrong. */
static void null_write(void)
{
	__asm__ volatile("movq $0, 16");
}

static void without_gates(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt = {0, 0};

	__asm__ volatile("lidt %0\n ud2" : : "m"(idt));
}

/* The next fault of ring 3 finds no stack. */
static void without_stack(void)
{
	struct desc_tss *tss = (struct desc_tss *)((uint64_t)this_cpu() + RS_ENTRY_TSS);

	tss->rsp[0][1] = 0x80000000; /* not canonical */
}

bool crash(uint32_t kind)
{
	switch (kind) {
	case RS_CRASH_STACK:
		overflow();
		return true;
	case RS_CRASH_FAULT:
		null_write();
		return true;
	case RS_CRASH_TRIPLE:
		without_gates();
		return true;
	case RS_CRASH_RSP0:
		without_stack();
		return true;
	default:
		return false;
	}
}
