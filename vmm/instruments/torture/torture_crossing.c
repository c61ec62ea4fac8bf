/* The rounds of one crossing: the event at each instruction of it, and at each instruction of the
 * handling of other events. */
#include <string.h>

#include "vmm/instruments/torture/torture_event.h"
#include "vmm/instruments/torture/torture_failure.h"
#include "vmm/instruments/torture/torture_internal.h"
#include "vmm/instruments/torture/torture_round.h"

enum { FAILURES_A_ROW = 4 }; /* more of one crossing tell nothing new */

static const struct torture_event nmi = {TORTURE_NMI, VECTOR_NMI};
static const struct torture_event step = {TORTURE_STEP, VECTOR_DB};
static const struct torture_event irq = {TORTURE_IRQ, TORTURE_VECTOR};
static const struct torture_event irq80 = {TORTURE_IRQ, 0x80};
static const struct torture_event fault = {TORTURE_HAND, TORTURE_VECTOR};

static struct torture_event event_of_run(const struct torture *t)
{
	return t->event == TORTURE_NMI ? nmi : t->event == TORTURE_IRQ ? irq : step;
}

static struct torture_row *row_of(struct torture *t)
{
	struct torture_row *row = &t->rows[t->row_count];

	/* The last one takes what there is no room for. */
	if (t->row_count < TORTURE_ROWS - 1)
		t->row_count++;
	memcpy(row->crossing, t->crossing.name, sizeof(row->crossing));
	row->mode = t->crossing.mode;
	return row;
}

/* False: enough of this crossing. */
static bool go(struct torture *t, struct torture_row *row, const struct torture_plan *plan)
{
	const uint64_t failures = t->failure_count;

	row->single += plan->events == 1;
	row->nested += plan->events > 1;
	torture_round(t, plan);
	row->failed += t->failure_count != failures;
	torture_progress(t, false);
	return !t->over && row->failed < FAILURES_A_ROW;
}

/* ---- Plans ----------------------------------------------------------------------------------- */

static bool has(const struct torture_plan *plan, enum torture_kind_of_event kind)
{
	for (unsigned n = 0; n < plan->events; n++) {
		if (plan->event[n].kind == kind)
			return true;
	}
	return false;
}

/* #DB comes from RFLAGS.TF, which the processor clears at each entry, and from what ring 3 had
 * watched, which no handler touches: never where #DB's own stack is in use. */
static bool is_possible(const struct torture *t, const struct torture_plan *plan,
                        const struct torture_event *event, const struct torture_step *at)
{
	const unsigned stack = TORTURE_STACK_IST + t->machine->image.note.ist[VECTOR_DB];

	if (event->kind != TORTURE_STEP)
		return true;
	for (unsigned n = 0; n < plan->events; n++) {
		const struct torture_step *before = torture_step_of(t, plan, n);

		if (before && before->stack == stack)
			return false;
	}
	return at->stack != stack && !has(plan, TORTURE_STEP);
}

/* The plan with one more event, at step i of the handling of its last one. */
static struct torture_plan plan_with(const struct torture_plan *plan,
                                     const struct torture_event *event, size_t i)
{
	struct torture_plan with = *plan;

	with.at[with.events] = i;
	with.event[with.events++] = *event;
	return with;
}

/* The steps that are the plan's to go through. */
static void range_of(const struct torture *t, const struct torture_plan *plan, size_t *first,
                     size_t *end)
{
	const struct torture_path *path = &t->path[plan->events];

	*first = 0;
	*end = path->count;
	if (plan->events == 0)
		torture_path_crossing(path, first, end);
}

/* ---- The event of the run, everywhere
 * ------------------------------------------------------------ */

static bool go_step(struct torture *t, struct torture_row *row, const struct torture_plan *plan,
                    size_t i)
{
	const struct torture_step *at = &t->path[plan->events].list[i];
	const struct torture_event event = event_of_run(t);
	struct torture_plan with = plan_with(plan, &event, i);

	if (!is_possible(t, plan, &event, at))
		t->text.list[at->insn].barred = true;
	else if (!go(t, row, &with))
		return false;
	/* In an NMI's handling a #DB, whose return may not let in the next NMI too early. */
	if (t->event != TORTURE_NMI || !has(plan, TORTURE_NMI) || !is_possible(t, plan, &step, at))
		return true;
	with = plan_with(plan, &step, i);
	with.nmi_too = true;
	return go(t, row, &with);
}

/* In a crossing whose rounds take long: whether nothing on this way, or on the way to here from
 * ring 3, is new.  *fresh: something was, up to here. */
static bool is_known(const struct torture *t, const struct torture_plan *plan, size_t i,
                     bool *fresh)
{
	const struct torture_step *at = &t->path[plan->events].list[i];

	if (!(t->crossing.flags & RS_TORTURE_LONG) || plan->events)
		return false;
	*fresh = !at->from_ring3 && (*fresh || !t->text.list[at->insn].hits[t->crossing.mode]);
	return !*fresh;
}

/* The path of the plan is recorded. */
static bool go_along(struct torture *t, struct torture_row *row, const struct torture_plan *plan)
{
	bool fresh = false;
	size_t first, end;

	range_of(t, plan, &first, &end);
	for (size_t i = first; i < end; i++) {
		if (is_known(t, plan, i, &fresh))
			continue;
		if (!go_step(t, row, plan, i))
			return false;
	}
	return true;
}

/* ---- Events that it comes in
 * --------------------------------------------------------------------- */

static bool go_into(struct torture *t, struct torture_row *row, const struct torture_plan *plan,
                    bool stub_only);

/* Whether the last event of the plan has not come to such a place yet, with as many roots, and the
 * same ones before it. */
static bool is_new(struct torture *t, const struct torture_plan *plan)
{
	uint32_t context =
	    torture_step_context(torture_step_of(t, plan, plan->events - 1)) << 2 | plan->events;

	for (unsigned n = 0; n < plan->events; n++)
		context = context << 4 | plan->event[n].kind << 1 | (plan->event[n].vector == 0x80);
	for (size_t i = 0; i < t->context_count; i++) {
		if (t->contexts[i] == context)
			return false;
	}
	if (t->context_count < TORTURE_CONTEXTS)
		t->contexts[t->context_count++] = context;
	return true;
}

/* One more event at step i, and all that can come in its handling. */
static bool go_deeper(struct torture *t, struct torture_row *row, const struct torture_plan *plan,
                      const struct torture_event *event, size_t i)
{
	const struct torture_step *at = &t->path[plan->events].list[i];
	const struct torture_plan with = plan_with(plan, event, i);
	bool can;

	switch (event->kind) {
	case TORTURE_IRQ:
		can = torture_step_open(at);
		break;
	case TORTURE_HAND: /* a fault of a handler that has an IST stack, in the C that is called
	                      here */
		can = at->stack >= TORTURE_STACK_IST && t->text.list[at->insn].kind == TORTURE_CALL;
		break;
	case TORTURE_NMI: /* not where it would have to wait */
		can = !has(plan, TORTURE_NMI);
		break;
	default:
		can = is_possible(t, plan, event, at);
		break;
	}
	return !can || !is_new(t, &with) || go_into(t, row, &with, false);
}

/* At each step of the plan's path. */
static bool go_deep(struct torture *t, struct torture_row *row, const struct torture_plan *plan)
{
	static const struct torture_event *const events[] = {&nmi, &step, &irq, &irq80, &fault};
	size_t first, end;

	/* In the handling of an event what can go wrong is that the next NMI comes too early. */
	if (plan->events + 2 > TORTURE_DEPTH ||
	    (plan->events && plan->event[0].kind != TORTURE_NMI))
		return true;
	range_of(t, plan, &first, &end);
	for (size_t i = first; i < end; i++) {
		for (size_t e = 0; e < sizeof(events) / sizeof(events[0]); e++) {
			if (!go_deeper(t, row, plan, events[e], i))
				return false;
		}
	}
	return true;
}

/* All that can come in the handling of the plan's last event, which is followed first; or in its
 * stub only. */
static bool go_into(struct torture *t, struct torture_row *row, const struct torture_plan *plan,
                    bool stub_only)
{
	struct torture_plan follow = *plan;

	follow.record = stub_only ? TORTURE_RECORD_STUB : TORTURE_RECORD_ALL;
	return go(t, row, &follow) && go_along(t, row, plan) &&
	       (stub_only || go_deep(t, row, plan));
}

/* ---- Where ring 3 stands
 * ------------------------------------------------------------------------- */

/* How each vector comes to ring 3. */
static struct torture_event event_of_vector(struct torture *t, unsigned vector)
{
	if (vector == VECTOR_NMI)
		return nmi;
	if (vector == VECTOR_DB)
		return step;
	/* KVM injects only exceptions that its CPU has; and nothing passes where the gate leads
	 * elsewhere. */
	if (vector < 32 || !torture_gate_is_usual(t, vector))
		return (struct torture_event){TORTURE_HAND, vector};
	return (struct torture_event){TORTURE_IRQ, vector};
}

static bool go_vector(struct torture *t, struct torture_row *row, unsigned vector)
{
	const struct torture_event event = event_of_vector(t, vector);
	/* An exception leads to the fault handler; a look for INT 0x80 may fault. */
	const bool changes =
	    vector == 0x80 || (event.kind != TORTURE_NMI && event.kind != TORTURE_IRQ);
	/* What most of them have of their own is their stub. */
	const bool stub_only =
	    event.kind == TORTURE_HAND ||
	    (event.kind == TORTURE_IRQ && vector != TORTURE_VECTOR && vector != 0x80);
	struct torture_plan plan = {.stand = true, .events = 1, .event[0] = event};

	if (stub_only && t->crossing.mode != t->first_mode)
		return true;
	if (changes) {
		plan.learn = true;
		if (!go(t, row, &plan))
			return false;
		plan.learn = false;
		plan.measure = true;
		if (!go(t, row, &plan))
			return false;
		plan.measure = false;
	}
	if (!go_into(t, row, &plan, stub_only))
		return false;
	/* Back to the outcome of nothing. */
	return !changes || (go(t, row, &(struct torture_plan){.learn = true}) &&
	                    go(t, row, &(struct torture_plan){.measure = true}));
}

/* ---- All ------------------------------------------------------------------------------------- */

/* Until nothing is new any more: pages untouched, a first exit; and once more to see that the same
 * comes of the same. */
static bool begin(struct torture *t, struct torture_row *row)
{
	t->over = !torture_state_take(&t->engine, &t->start, true);
	return !t->over && go(t, row, &(struct torture_plan){.learn = true}) &&
	       go(t, row, &(struct torture_plan){.learn = true}) &&
	       go(t, row, &(struct torture_plan){.measure = true}) &&
	       go(t, row, &(struct torture_plan){0});
}

static void go_all(struct torture *t, struct torture_row *row)
{
	const struct torture_plan plan = {0};
	size_t first, end;

	if (!begin(t, row))
		return;
	for (uint64_t v = t->crossing.vectors[0]; t->crossing.stand && v <= t->crossing.vectors[1];
	     v++) {
		if (!go_vector(t, row, (unsigned)v))
			return;
	}
	if (t->crossing.stand || !go(t, row, &(struct torture_plan){.record = TORTURE_RECORD_ALL}))
		return;
	range_of(t, &plan, &first, &end);
	row->steps = end - first;
	if (go_along(t, row, &plan) && !(t->crossing.flags & RS_TORTURE_LONG))
		go_deep(t, row, &plan);
}

void torture_crossing(struct torture *t)
{
	struct torture_row *row = row_of(t);
	const bool roots_before = t->first_mode != RS_PTI_OFF;

	if (row == t->rows || roots_before != (t->crossing.mode != RS_PTI_OFF)) {
		t->first_mode = t->crossing.mode;
		t->context_count = 0;
	}

	go_all(t, row);
	/* Once more nothing happens: has anything stayed behind that is not looked at in each
	 * round? */
	if (!t->over)
		go(t, row, &(struct torture_plan){0});
}
