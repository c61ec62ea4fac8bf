#include "vmm/instruments/torture/torture_round.h"

#include "vmm/instruments/torture/torture_event.h"
#include "vmm/instruments/torture/torture_failure.h"
#include "vmm/instruments/torture/torture_follow.h"
#include "vmm/instruments/torture/torture_run.h"

static void count(const struct torture *t, struct torture_counts *counts, unsigned vector,
                  const struct engine_frame *frame)
{
	torture_counts_add(counts, vector, frame->cs & 3, t->crossing.mode != RS_PTI_OFF);
}

/* Where to stop for event n.  A stop behind STI would lose what holds interrupts back, and not
 * every processor can be given it again: one that comes there waits from the STI on, which is the
 * same. */
static size_t stop_of(const struct torture *t, const struct torture_plan *plan, unsigned n)
{
	const size_t at = plan->at[n];

	return at - (plan->event[n].kind == TORTURE_IRQ && t->path[n].list[at].shadow);
}

/* All that the plan wants to happen, up to the last event's arrival. */
static bool play(struct torture *t, const struct torture_plan *plan, struct torture_counts *counts)
{
	struct kvm_regs places[TORTURE_DEPTH] = {0};
	struct engine_frame frame = {0};

	for (unsigned n = 0; n < plan->events; n++) {
		if (n == 0 && plan->stand
		        ? !torture_run_to(t, plan, t->crossing.stand, "where ring 3 stands")
		        : !torture_arrive(t, plan, &t->path[n], stop_of(t, plan, n)))
			return false;
		/* A fault is one of the C that is called. */
		if (plan->event[n].kind == TORTURE_HAND &&
		    !torture_follow_call(t, plan, torture_step_of(t, plan, n)))
			return false;
		places[n] = t->engine.state.regs;
		if (!torture_happen(t, plan, n, places, &frame))
			return false;
		count(t, counts, plan->event[n].vector, &frame);
	}
	if (plan->record == TORTURE_RECORD_STUB &&
	    !torture_record_stub(t, plan, &t->path[plan->events]))
		return false;
	if (plan->record == TORTURE_RECORD_ALL &&
	    !torture_record(t, plan, &t->path[plan->events],
	                    plan->events ? &places[plan->events - 1] : NULL))
		return false;
	if (!plan->nmi_too)
		return true;
	if (!torture_nmi_too(t, plan, places, &frame))
		return false;
	count(t, counts, VECTOR_NMI, &frame);
	return true;
}

/* Behind the round: what the guest told, the state, the counts. */
static bool check(struct torture *t, const struct torture_plan *plan,
                  const struct torture_counts *want)
{
	struct torture_counts got = torture_counts_between(&t->start.counts, &t->end.counts);
	const bool same_numbers = !(t->crossing.flags & RS_TORTURE_CHANGING);
	struct torture_differences d = t->told;

	if (plan->measure && plan->event[0].kind != TORTURE_STEP)
		torture_counts_adjust(&t->counts, want, &got);
	else if (!plan->learn)
		torture_counts_compare(&got, want, same_numbers, &d);
	if (plan->measure)
		t->reference = t->end;
	else if (!plan->learn)
		torture_state_compare(&t->end, &t->reference, same_numbers, &d);
	if (!d.count)
		return true;
	torture_note(t, plan)->differences = d;
	return false;
}

/* The event of the run has come to the instruction that this round was for. */
static void hit(struct torture *t, const struct torture_plan *plan)
{
	const struct torture_step *step =
	    plan->events ? torture_step_of(t, plan, plan->events - 1) : NULL;

	if (step && plan->event[plan->events - 1].kind == t->event)
		torture_text_hit(&t->text, step->insn, t->crossing.mode);
}

void torture_round(struct torture *t, const struct torture_plan *plan)
{
	struct torture_counts want = t->counts;
	bool good;

	t->told.count = 0;
	t->rounds++;
	t->in_round = true;
	torture_answer(t, plan->learn ? RS_TORTURE_LEARN : RS_TORTURE_GO);
	good = play(t, plan, &want);
	/* Whatever was wrong: the guest's next call, or there is nothing more to do with it. */
	if (!t->over && !t->call.due)
		good = torture_run_out(t, plan) && good;
	t->in_round = false;
	if (t->over)
		return;
	t->over = !torture_state_take(&t->engine, &t->end, plan->measure || !plan->events);
	if (good && !t->over && check(t, plan, &want))
		hit(t, plan);
	t->start = t->end;
}
