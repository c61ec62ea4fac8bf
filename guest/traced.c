#include "guest/traced.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/panic.h"
#include "guest/patch.h"
#include "guest/syscall.h"
#include "guest/trace.h"

/* ---- The dispatchers ------------------------------------------------------------------------- */

int64_t traced_syscall64(const struct rs_regs *regs, uint64_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall64(regs, number);

	trace_call(begin, number, result, RS_TRACE_BY_SYSCALL);
	return result;
}

int64_t traced_compat(const struct rs_regs *regs, uint32_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall32(regs, number);

	trace_call(begin, number, result, RS_TRACE_BY_COMPAT);
	return result;
}

int64_t traced_int80(const struct rs_regs *regs, uint32_t number)
{
	const uint64_t begin = rdtsc();
	const int64_t result = syscall32(regs, number);

	trace_call(begin, number, result, RS_TRACE_BY_INT80);
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

void traced_init(void)
{
	if (!trace_rings)
		return;
	redirect(dispatcher_calls[0], (uint64_t)traced_syscall64);
	redirect(dispatcher_calls[1], (uint64_t)traced_compat);
	redirect(dispatcher_calls[2], (uint64_t)traced_int80);
}
