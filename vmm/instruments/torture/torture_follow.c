#include "vmm/instruments/torture/torture_follow.h"

#include <inttypes.h>

#include "vmm/base/message.h"
#include "vmm/instruments/torture/torture_failure.h"
#include "vmm/instruments/torture/torture_run.h"

enum {
	STEPS_MAX = 20000, /* of a path: more is a guest that does not come back */
};

static bool plant_all(struct torture *t, bool on)
{
	for (size_t i = 0; i < t->text.count; i++) {
		const struct torture_insn *insn = &t->text.list[i];

		if (insn->stub)
			continue;
		if ((on ? engine_add_point(&t->engine, insn->va)
		        : engine_remove_point(&t->engine, insn->va)) != ENGINE_OK)
			return message_error("--torture: no stop can be planted at 0x%" PRIx64,
			                     insn->va);
	}
	return true;
}

/* Where ring 3 goes on if this instruction returns to it, else 0. */
static uint64_t target_of(const struct torture *t, const struct torture_insn *insn)
{
	const struct kvm_regs *regs = &t->engine.state.regs;
	uint64_t words[2] = {0};

	switch (insn->kind) {
	case TORTURE_SYSRET:
		return regs->rcx;
	case TORTURE_SYSEXIT:
		return regs->rdx;
	case TORTURE_IRET:
	case TORTURE_FAR_RET:
		engine_read(&t->engine, regs->rsp, words, sizeof(words));
		return words[1] & 3 ? words[0] : 0;
	default:
		return 0;
	}
}

static bool comes_from_ring3(const struct torture *t)
{
	const struct engine *engine = &t->engine;
	int entry = engine_entry(engine, engine->state.regs.rip);
	struct engine_frame frame;

	if (entry < 0)
		return false;
	return entry > 255 || (engine_frame(engine, (unsigned)entry, &frame) && frame.cs & 3);
}

/* Whose stack RSP is: after SYSCALL still ring 3's, and again before SYSRET. */
static enum torture_stack stack_here(struct torture *t, const struct torture_path *path)
{
	const int entry = engine_entry(&t->engine, t->engine.state.regs.rip);

	if (entry == ENGINE_ENTRY_SYSCALL || entry == ENGINE_ENTRY_COMPAT)
		return TORTURE_STACK_FOREIGN;
	return torture_path_stack(path, t->engine.state.regs.rsp);
}

static struct torture_step step_here(struct torture *t, const struct torture_path *path,
                                     uint32_t insn)
{
	struct engine *engine = &t->engine;
	const struct torture_step *last = path->count ? &path->list[path->count - 1] : NULL;

	return (struct torture_step){
	    .insn = insn,
	    .rsp = engine->state.regs.rsp,
	    .rflags = engine->state.regs.rflags,
	    .target = target_of(t, &t->text.list[insn]),
	    .from_ring3 = comes_from_ring3(t),
	    .shadow =
	        last && t->text.list[last->insn].kind == TORTURE_STI && last->insn + 1 == insn,
	    .kernel_gs = engine->state.sregs.gs.base == RS_ENTRY_CPU(0),
	    .user_root = engine_is_user_root(engine),
	    .stack = (uint8_t)stack_here(t, path),
	};
}

/* An IRETQ that has faulted has not returned to ring 3. */
static void drop_target(const struct torture *t, struct torture_path *path)
{
	const struct engine *engine = &t->engine;
	struct torture_step *last = path->count ? &path->list[path->count - 1] : NULL;
	int entry = engine_entry(engine, engine->state.regs.rip);
	struct engine_frame frame;

	if (last && last->target && entry >= 0 && entry < 256 &&
	    engine_frame(engine, (unsigned)entry, &frame) && !(frame.cs & 3) &&
	    frame.rip == t->text.list[last->insn].va)
		last->target = 0;
}

/* The step where the guest is, and in a stub those up to its jump, which are straight on. */
static bool add_steps(struct torture *t, struct torture_path *path, struct torture_step step)
{
	for (;;) {
		if (!torture_path_add(path, &step))
			return message_error("--torture: no memory");
		if (t->text.list[step.insn].kind == TORTURE_PUSH)
			step.rsp -= 8;
		if (++step.insn == t->text.count || !t->text.list[step.insn].stub)
			return true;
		step.from_ring3 = step.shadow = false;
	}
}

static bool is_back(const struct engine *engine, const struct kvm_regs *place)
{
	return place->rip == engine->state.regs.rip && place->rsp == engine->state.regs.rsp;
}

/* Follows the guest from plant to plant until it calls, or until it is back at `place` (NULL: none)
 * or, with a place in ring 3, comes from there.  The text is planted. */
static enum torture_where follow(struct torture *t, struct torture_path *path,
                                 const struct kvm_regs *place)
{
	struct engine *engine = &t->engine;
	uint64_t lifted = 0;

	engine_know(engine);
	while (path->count < STEPS_MAX) {
		uint32_t insn = torture_text_find(&t->text, engine->state.regs.rip);

		if (place && path->count && insn == TORTURE_NONE && is_back(engine, place))
			return TORTURE_AT_POINT;
		/* At the beginning it may be elsewhere: in C. */
		if (insn != TORTURE_NONE && engine_has_point(engine, engine->state.regs.rip)) {
			struct torture_step step = step_here(t, path, insn);

			if (place && path->count &&
			    (place->rip >> 63 ? is_back(engine, place) : step.from_ring3))
				return TORTURE_AT_POINT;
			drop_target(t, path);
			if (!add_steps(t, path, step))
				return TORTURE_LOST;
			/* Without the plant the instruction runs by itself, to the next one. */
			lifted = engine->state.regs.rip;
			engine_remove_point(engine, lifted);
		}

		enum torture_where where = torture_run_on(t);

		if (lifted)
			engine_add_point(engine, lifted);
		lifted = 0;
		if (where != TORTURE_AT_POINT)
			return where;
	}
	return TORTURE_AT_POINT;
}

/* Beside the text a place in C, where the event came, is planted. */
static bool plant_for(struct torture *t, const struct kvm_regs *place, bool on)
{
	if (!plant_all(t, on))
		return false;
	if (!place || !(place->rip >> 63) ||
	    torture_text_find(&t->text, place->rip) != TORTURE_NONE)
		return true;
	if (!on)
		engine_remove_point(&t->engine, place->rip);
	return !on || engine_add_point(&t->engine, place->rip) == ENGINE_OK;
}

bool torture_record(struct torture *t, const struct torture_plan *plan, struct torture_path *path,
                    const struct kvm_regs *place)
{
	enum torture_where where;

	torture_path_clear(path);
	t->over = !plant_for(t, place, true);
	if (t->over)
		return torture_fail(t, plan, "the guest cannot be followed");
	where = follow(t, path, place);
	if (where == TORTURE_LOST)
		return torture_lost(t, plan);
	plant_for(t, place, false);
	if (path->count >= STEPS_MAX)
		return torture_fail(t, plan, "the way takes more than %d steps", STEPS_MAX);
	return where == (place ? TORTURE_AT_POINT : TORTURE_AT_CALL) ||
	       torture_fail(t, plan, "the guest does not come back to where the event came");
}

bool torture_record_stub(struct torture *t, const struct torture_plan *plan,
                         struct torture_path *path)
{
	uint32_t insn = torture_text_find(&t->text, t->engine.state.regs.rip);

	torture_path_clear(path);
	return insn != TORTURE_NONE ? add_steps(t, path, step_here(t, path, insn))
	                            : torture_fail(t, plan, "its stub is no instruction");
}
