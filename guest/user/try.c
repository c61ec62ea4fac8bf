#include "guest/user/try.h"

#include "guest/user/lib.h"

/* try.S */
bool try_enter(void (*act)(uint64_t arg), uint64_t arg);
extern const char try_caught[];

#define SIGNAL_SEGV 11

void try_handle(void)
{
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)try_caught);
}

struct outcome outcome_of_fault(const struct rs_fault *fault)
{
	return (struct outcome){(uint16_t)fault->vector, (uint32_t)fault->error, fault->cr2};
}

struct outcome try(void (*act)(uint64_t arg), uint64_t arg)
{
	if (!try_enter(act, arg))
		return (struct outcome){.vector = ALLOWED};
	return outcome_of_fault(&try_fault);
}

struct outcome try_fate(void (*act)(uint64_t arg), uint64_t arg)
{
	uint32_t status = 0;
	long child;

	flush();
	child = raw_syscall(SYS_fork);
	if (child == 0) {
		raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
		act(arg);
		exit(1);
	}
	raw_syscall(SYS_wait4, child, (long)&status, 0L, 0L);
	return status == SIGNAL_SEGV ? (struct outcome){.vector = ENDED} : outcome_wrong(status);
}
