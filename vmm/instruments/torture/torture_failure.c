#include "vmm/instruments/torture/torture_failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/run/outcome.h"

const struct torture_step *torture_step_of(const struct torture *t, const struct torture_plan *plan,
                                           unsigned n)
{
	return n == 0 && plan->stand ? NULL : &t->path[n].list[plan->at[n]];
}

/* "#DB, in the handling of NMI that came at syscall_entry+0x0". */
static void describe(const struct torture *t, const struct torture_plan *plan, char *buf,
                     size_t size)
{
	size_t used;

	if (!plan->events) {
		snprintf(buf, size, "nothing%s",
		         plan->record ? ", but stops at each instruction" : "");
		return;
	}
	used =
	    (size_t)snprintf(buf, size, "%s%s", torture_event_name(&plan->event[plan->events - 1]),
	                     plan->nmi_too ? " and then NMI" : "");
	for (unsigned n = plan->events - 1; n-- > 0 && used < size;) {
		const struct torture_step *step = torture_step_of(t, plan, n);
		char where[64] = "ring 3";

		if (step)
			torture_text_place(&t->text.list[step->insn], where, sizeof(where));
		used += (size_t)snprintf(
		    buf + used, size - used, ", in the handling of %s that came %s %s",
		    torture_event_name(&plan->event[n]), step ? "at" : "in", where);
	}
}

void torture_write_down(const struct torture *t, const struct torture_plan *plan,
                        struct torture_failure *f)
{
	const struct torture_step *step =
	    plan->events ? torture_step_of(t, plan, plan->events - 1) : NULL;

	*f = (struct torture_failure){.mode = t->crossing.mode};
	memcpy(f->crossing, t->crossing.name, sizeof(f->crossing));
	describe(t, plan, f->event, sizeof(f->event));
	if (!step)
		return;

	const struct torture_insn *insn = &t->text.list[step->insn];

	f->va = insn->va;
	torture_text_place(insn, f->where, sizeof(f->where));
	memcpy(f->insn, insn->text, sizeof(f->insn));
}

struct torture_failure *torture_note(struct torture *t, const struct torture_plan *plan)
{
	static struct torture_failure more;
	struct torture_failure *f =
	    t->failure_count < TORTURE_FAILURES ? &t->failures[t->failure_count] : &more;

	t->failure_count++;
	torture_write_down(t, plan, f);
	return f;
}

bool torture_fail(struct torture *t, const struct torture_plan *plan, const char *format, ...)
{
	struct torture_failure *f = torture_note(t, plan);
	va_list args;

	va_start(args, format);
	vsnprintf(f->problem, sizeof(f->problem), format, args);
	va_end(args);
	return false;
}

const char *torture_symbol(const struct torture *t, uint64_t va)
{
	static char text[96];

	return symbols_text(&t->symbols, va, text, sizeof(text));
}

bool torture_lost(struct torture *t, const struct torture_plan *plan)
{
	struct engine *engine = &t->engine;
	const enum end_reason reason = t->machine->outcome.reason;
	char words[96];

	t->over = true;
	if (reason == END_SIGNAL || reason == END_TIMEOUT)
		return false; /* somebody's wish, and no failure */
	if (t->hung) {
		engine_know(engine);
		return torture_fail(
		    t, plan,
		    "the guest does not come back: after %d s or more it is in ring %u at 0x%llx%s",
		    TORTURE_WATCH, engine_cpl(engine), engine->state.regs.rip,
		    torture_symbol(t, engine->state.regs.rip));
	}
	outcome_words(&t->machine->outcome, words, sizeof(words));
	return torture_fail(t, plan, "the guest %s", words);
}
