#include "guest/recover.h"

#include "guest/cpu.h"

/* recover.S */
bool recover_enter(void (*act)(uint64_t arg), uint64_t arg, uint64_t *rsp);
extern const char recover_resume[];

/* rsp: of the call that may fault; 0: none is going on. */
static struct recover {
	uint64_t rsp;
	struct rs_fault fault;
} calls[RS_MAX_CPUS];

bool recover_call(void (*act)(uint64_t arg), uint64_t arg, struct rs_fault *fault)
{
	struct recover *call = &calls[this_cpu()->number];
	bool faulted = recover_enter(act, arg, &call->rsp);

	call->rsp = 0;
	if (faulted)
		*fault = call->fault;
	return faulted;
}

bool recover_fault(struct rs_regs *regs, uint64_t vector, uint64_t cr2)
{
	struct recover *call = &calls[this_cpu()->number];

	/* What came from outside, or after the instruction, is not the call's fault. */
	if (!call->rsp || vector >= 32 || vector == VECTOR_NMI || vector == VECTOR_DB ||
	    vector == VECTOR_DF || vector == VECTOR_MC)
		return false;
	call->fault = (struct rs_fault){vector, regs->error, cr2, regs->rip};
	regs->rip = (uint64_t)recover_resume;
	regs->rsp = call->rsp;
	return true;
}
