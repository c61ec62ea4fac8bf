/*
 * What the test guests share: ports, the call page, a mapping or two.  Each guest is one C file,
 * linked by guest/examples/plain.ld, and enters at start() in ring 0 without an IDT.  A guest
 * that checks something ends with 0, or with the number of the first check that failed.
 */
#ifndef TESTS_GUESTS_GUEST_H
#define TESTS_GUESTS_GUEST_H

#include <stddef.h>

#include "shared/abi.h"

_Noreturn void start(const struct rs_boot *boot);

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline uint32_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline _Noreturn void end(uint32_t status)
{
	out32(RS_PORT_EXIT, status);
	__builtin_unreachable();
}
static inline void check(_Bool good, uint32_t number)
{
	if (!good)
		end(number);
}

static inline void print(const char *text)
{
	while (*text)
		out8(RS_PORT_PUTC, (uint8_t)*text++);
}

static inline volatile struct rs_call *call_page(void)
{
	return (volatile struct rs_call *)(RS_KERNEL_CPU(0) + RS_KERNEL_CALL);
}

static inline int64_t call(uint32_t function, uint64_t arg0, uint64_t arg1)
{
	volatile struct rs_call *page = call_page();

	page->arg[0] = arg0;
	page->arg[1] = arg1;
	page->result = 12345;
	out32(RS_PORT_CALL, function);
	return page->result;
}

/* The table or page at a guest-physical address. */
static inline volatile uint64_t *at(uint64_t gpa)
{
	return (volatile uint64_t *)(RS_DIRECT_BASE + gpa);
}

#define WINDOW 0x0000008000000000 /* top-level slot 1: nothing of ours is there */
#define HOLE   0xc0000000         /* guest-physical, outside any RAM that these guests get */

/* Maps WINDOW + 4 KiB * i to gpa[i] with the flags of a page-table entry, through tables in the
 * first three free frames. */
static inline void map_window(const struct rs_boot *boot, const uint64_t *gpa, unsigned count,
                              uint64_t flags)
{
	const uint64_t table = boot->free_start, all = 7; /* present, writable, user */

	at(boot->kernel_root)[1] = table | all;
	at(table)[0] = (table + PAGE_SIZE) | all;
	at(table + PAGE_SIZE)[0] = (table + 2 * PAGE_SIZE) | all;
	for (unsigned i = 0; i < count; i++)
		at(table + 2 * PAGE_SIZE)[i] = gpa[i] | flags;
}

#endif
