#include "guest/trace.h"

#include <stdbool.h>
#include <stddef.h>

#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/patch.h"
#include "guest/process.h"
#include "guest/space.h"
#include "guest/syscall.h"

static struct rs_trace *rings[RS_MAX_CPUS];
struct rs_trace *const *trace_rings;

/* ---- The ring -------------------------------------------------------------------------------- */

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

/* ---- System calls ---------------------------------------------------------------------------- */

static void note_call(uint64_t begin, uint64_t number, int64_t result, enum rs_trace_way way)
{
	put(RS_TRACE_SYSCALL, begin, rdtsc(),
	    (const uint64_t[]){number, (uint64_t)result, way, 0, 0});
}

int64_t traced_syscall64(const struct rs_regs *regs, uint64_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall64(regs, number);

	note_call(begin, number, result, RS_TRACE_BY_SYSCALL);
	return result;
}

int64_t traced_compat(const struct rs_regs *regs, uint32_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall32(regs, number);

	note_call(begin, number, result, RS_TRACE_BY_COMPAT);
	return result;
}

int64_t traced_int80(const struct rs_regs *regs, uint32_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall32(regs, number);

	note_call(begin, number, result, RS_TRACE_BY_INT80);
	return result;
}

/* ---- Switching on -------------------------------------------------------------------------------
 */

/* entry.S: where its CALLs of the dispatchers are, for SYSCALL, for SYSCALL from 32-bit code, for
 * INT 0x80. */
extern const uint64_t dispatcher_calls[3];

/* Points a CALL rel32 (SDM volume 2, E8) elsewhere. */
static void redirect(uint64_t call, uint64_t target)
{
	enum { CALL_REL32 = 0xe8, CALL_SIZE = 5 };
	const uint32_t displacement = (uint32_t)(target - (call + CALL_SIZE));

	if (*(const uint8_t *)call != CALL_REL32)
		panic(NULL, "no CALL to redirect at %x", call);
	patch_text(call + 1, &displacement, sizeof(displacement));
}

void trace_init(const struct rs_boot *boot)
{
	if (!boot->trace[0])
		return;
	for (uint32_t cpu = 0; cpu < boot->cpus; cpu++)
		rings[cpu] = frame_at(boot->trace[cpu]);
	trace_rings = rings;
	redirect(dispatcher_calls[0], (uint64_t)traced_syscall64);
	redirect(dispatcher_calls[1], (uint64_t)traced_compat);
	redirect(dispatcher_calls[2], (uint64_t)traced_int80);
}
