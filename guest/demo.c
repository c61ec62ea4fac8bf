#include "guest/demo.h"

#include <stdbool.h>
#include <stddef.h>

#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/life.h"
#include "guest/recover.h"
#include "guest/schedule.h"
#include "guest/smp.h"
#include "guest/uapi.h"

/* ---- A thread -------------------------------------------------------------------------------- */

static struct {
	struct process *thread;
	volatile uint64_t count;
	volatile bool stop;
} counter;

/* Where no timer takes the CPU from it, it gives it away. */
static void count(uint64_t cooperative)
{
	while (!counter.stop) {
		counter.count++;
		if (cooperative)
			process_yield();
	}
}

static int64_t start_counter(void)
{
	const bool cooperative = !schedule_has_slices();

	if (counter.thread)
		return -EAGAIN;
	counter.count = 0;
	counter.stop = false;
	counter.thread = process_start_thread(count, cooperative);
	return counter.thread ? 0 : -EAGAIN;
}

static int64_t stop_counter(void)
{
	if (!counter.thread)
		return -EINVAL;
	counter.stop = true;
	process_join(counter.thread);
	counter.thread = NULL;
	return (int64_t)counter.count;
}

int64_t demo_thread(uint32_t act)
{
	switch (act) {
	case RS_THREAD_START:
		return start_counter();
	case RS_THREAD_COUNT:
		return (int64_t)counter.count;
	case RS_THREAD_STOP:
		return stop_counter();
	default:
		return -EINVAL;
	}
}

/* ---- A page ---------------------------------------------------------------------------------- */

/* Behind the kernel stacks, in a table of its own. */
#define PAGE_VA (RS_STACKS_BASE + (UINT64_C(1) << 30))

static uint64_t frame; /* 0: not mapped */

static int64_t map_page(uint64_t value)
{
	if (frame || !frame_alloc(&frame))
		return -EAGAIN;
	if (space_map_kernel(PAGE_VA, frame)) {
		frame_free_zero(frame);
		frame = 0;
		return -ENOMEM;
	}
	*(volatile uint64_t *)PAGE_VA = value;
	return 0;
}

static int64_t unmap_page(void)
{
	if (!frame)
		return -EINVAL;
	space_unmap_kernel(PAGE_VA, PAGE_SIZE);
	frame_free(frame);
	frame = 0;
	return 0;
}

static void read_page(uint64_t value)
{
	*(uint64_t *)value = *(const volatile uint64_t *)PAGE_VA;
}

/* Whatever the tables in CR3 and this CPU's TLB make of the address. */
static int64_t page_value(void)
{
	struct rs_fault fault;
	uint64_t value = 0;

	return recover_call(read_page, (uint64_t)&value, &fault) ? -EFAULT : (int64_t)value;
}

int64_t demo_page(uint32_t act, uint64_t value)
{
	int64_t result;

	if (act == RS_KERNEL_PAGE_READ)
		return page_value();
	if (act > RS_KERNEL_PAGE_UNMAP)
		return -EINVAL;
	kernel_lock();
	result = act == RS_KERNEL_PAGE_MAP ? map_page(value) : unmap_page();
	kernel_unlock();
	return result;
}
