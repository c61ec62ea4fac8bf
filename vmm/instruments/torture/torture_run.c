#include "vmm/instruments/torture/torture_run.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/printable.h"
#include "vmm/instruments/torture/torture_failure.h"

static void take_differences(struct torture *t)
{
	const struct rs_torture_difference *list = (const void *)t->call.data;

	for (size_t i = 0; i < t->call.size / sizeof(*list); i++) {
		char clean[sizeof(list[i].name) + 1], name[40];

		printable(clean, sizeof(clean), list[i].name, sizeof(list[i].name));
		snprintf(name, sizeof(name), "ring 3's %s", clean);
		torture_differ(&t->told, name, list[i].got, list[i].want);
	}
}

void torture_answer(struct torture *t, int64_t result)
{
	t->call.due = false;
	t->machine->boot.call[0]->result = result;
}

enum torture_where torture_run_on(struct torture *t)
{
	for (;;) {
		struct engine_stop stop = engine_continue(&t->engine);

		switch (stop.why) {
		case ENGINE_POINT:
			return TORTURE_AT_POINT;
		case ENGINE_EXIT:
			if (t->call.due && t->call.what == RS_TORTURE_DIFFERS) {
				take_differences(t);
				torture_answer(t, 0);
			} else if (t->call.due) {
				return TORTURE_AT_CALL;
			} else if (t->machine->outcome.exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN) {
				return TORTURE_AT_WINDOW;
			}
			break;
		case ENGINE_INTERRUPTED:
			if (t->hung)
				return TORTURE_LOST;
			break;
		case ENGINE_STEPPED:
		case ENGINE_WATCHED:
			break;
		case ENGINE_ENDED:
		case ENGINE_FAILED:
		case ENGINE_IDLE:
		case ENGINE_NO_RING3:
			return TORTURE_LOST;
		}
	}
}

bool torture_next_call(struct torture *t)
{
	const enum torture_where where = torture_run_on(t);

	t->over |= where != TORTURE_AT_CALL;
	return where == TORTURE_AT_CALL;
}

bool torture_run_out(struct torture *t, const struct torture_plan *plan)
{
	switch (torture_run_on(t)) {
	case TORTURE_AT_CALL:
		return t->call.what == RS_TORTURE_ROUND ||
		       torture_fail(t, plan, "the guest makes another call (%" PRIu32 ")",
		                    t->call.what);
	case TORTURE_LOST:
		return torture_lost(t, plan);
	default:
		return torture_fail(
		    t, plan, "the guest stops at 0x%llx%s, where nothing was asked for",
		    t->engine.state.regs.rip, torture_symbol(t, t->engine.state.regs.rip));
	}
}

bool torture_run_to(struct torture *t, const struct torture_plan *plan, uint64_t va,
                    const char *what)
{
	enum torture_where where;

	if (engine_add_point(&t->engine, va) != ENGINE_OK) {
		t->over = true;
		return torture_fail(t, plan, "no stop can be planted at %s", what);
	}
	where = torture_run_on(t);
	if (where == TORTURE_LOST)
		return torture_lost(t, plan);
	engine_remove_point(&t->engine, va);
	if (where == TORTURE_AT_POINT && t->engine.state.regs.rip == va)
		return true;
	return torture_fail(t, plan, "the guest never came to %s%s", what, torture_symbol(t, va));
}

bool torture_arrive(struct torture *t, const struct torture_plan *plan,
                    const struct torture_path *path, size_t to)
{
	const uint32_t insn = path->list[to].insn;
	const uint64_t va = t->text.list[insn].va;

	for (size_t i = 0; i <= to; i++) {
		if (path->list[i].insn != insn)
			continue;
		if (!(engine_know(&t->engine) && t->engine.state.regs.rip == va) &&
		    !torture_run_to(t, plan, va, "the instruction"))
			return false;
		/* An earlier visit: past it. */
		if (i < to && !torture_run_to(t, plan, t->text.list[path->list[i + 1].insn].va,
		                              "the one behind it"))
			return false;
	}
	return true;
}
