#include "guest/trace.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/process.h"

static struct rs_trace *rings[RS_MAX_CPUS];
struct rs_trace *const *trace_rings;

/* Field by field into its place: a record on the stack would be copied, on every system call. */
static void put_for(const struct process *process, enum rs_trace_kind kind, uint64_t begin,
                    uint64_t end, const uint64_t arg[5])
{
	struct rs_trace *ring = rings[this_cpu()->number];
	const uint64_t head = ring->head;
	struct rs_trace_record *record = &ring->records[head & (ring->capacity - 1)];

	if (head - ring->tail >= ring->capacity) {
		ring->lost++;
		return;
	}
	record->begin = begin;
	record->end = end;
	record->kind = kind;
	record->process = process ? process->pid : 0;
	record->arg[0] = arg[0];
	record->arg[1] = arg[1];
	record->arg[2] = arg[2];
	record->arg[3] = arg[3];
	record->arg[4] = arg[4];
	/* The VMM may look at any instruction: a record counts when it is whole. */
	__asm__ volatile("" : : : "memory");
	ring->head = head + 1;
}

static void put(enum rs_trace_kind kind, uint64_t begin, uint64_t end, const uint64_t arg[5])
{
	put_for(process_current(), kind, begin, end, arg);
}

void trace_switch(const struct process *from, uint64_t pid, uint64_t kernel_cr3, uint64_t user_cr3)
{
	const uint64_t now = rdtsc();

	put_for(from, RS_TRACE_SWITCH, now, now,
	        (const uint64_t[]){pid, kernel_cr3, user_cr3, 0, 0});
}

void trace_note(enum rs_trace_kind kind, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	const uint64_t now = rdtsc();

	put(kind, now, now, (const uint64_t[]){a, b, c, d, e});
}

void trace_call(uint64_t begin, uint64_t number, int64_t result, enum rs_trace_way way)
{
	put(RS_TRACE_SYSCALL, begin, rdtsc(),
	    (const uint64_t[]){number, (uint64_t)result, way, 0, 0});
}

void trace_init(const struct rs_boot *boot)
{
	if (!boot->trace[0])
		return;
	for (uint32_t cpu = 0; cpu < boot->cpus; cpu++)
		rings[cpu] = frame_at(boot->trace[cpu]);
	trace_rings = rings;
}
