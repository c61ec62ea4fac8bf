#include "guest/crash.h"

#include "guest/uapi.h"

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
	default:
		return false;
	}
}
