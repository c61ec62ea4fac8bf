/* One round of a torture run: the guest goes its way, and at one instruction of it something comes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/base/names.h"
#include "vmm/base/printable.h"
#include "vmm/instruments/torture/torture_internal.h"
#include "vmm/look/view.h"
#include "vmm/run/outcome.h"

enum {
	STEPS_MAX = 20000, /* of a path: more is a guest that does not come back */
};

/* ---- Failures -------------------------------------------------------------------------------- */

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

static void write_down(const struct torture *t, const struct torture_plan *plan,
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

static struct torture_failure *note(struct torture *t, const struct torture_plan *plan)
{
	static struct torture_failure more;
	struct torture_failure *f =
	    t->failure_count < TORTURE_FAILURES ? &t->failures[t->failure_count] : &more;

	t->failure_count++;
	write_down(t, plan, f);
	return f;
}

__attribute__((format(printf, 3, 4))) static bool
fail(struct torture *t, const struct torture_plan *plan, const char *format, ...)
{
	struct torture_failure *f = note(t, plan);
	va_list args;

	va_start(args, format);
	vsnprintf(f->problem, sizeof(f->problem), format, args);
	va_end(args);
	return false;
}

/* " <name+0x12>" behind an address. */
static const char *symbol_at(const struct torture *t, uint64_t va)
{
	static char text[96];

	return symbols_text(&t->symbols, va, text, sizeof(text));
}

/* The guest cannot go on: why. */
static bool lost(struct torture *t, const struct torture_plan *plan)
{
	struct debug *debug = &t->debug;
	const enum end_reason reason = t->machine->outcome.reason;
	char words[96];

	t->over = true;
	if (reason == END_SIGNAL || reason == END_TIMEOUT)
		return false; /* somebody's wish, and no failure */
	if (t->hung) {
		debug_know(debug);
		return fail(
		    t, plan,
		    "the guest does not come back: after %d s or more it is in ring %u at 0x%llx%s",
		    TORTURE_WATCH, debug_cpl(debug), debug->state.regs.rip,
		    symbol_at(t, debug->state.regs.rip));
	}
	outcome_words(&t->machine->outcome, words, sizeof(words));
	return fail(t, plan, "the guest %s", words);
}

/* ---- Running --------------------------------------------------------------------------------- */

enum where { AT_CALL, AT_POINT, AT_WINDOW, LOST };

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

static enum where run_on(struct torture *t)
{
	for (;;) {
		struct debug_stop stop = debug_continue(&t->debug);

		switch (stop.why) {
		case DEBUG_POINT:
			return AT_POINT;
		case DEBUG_EXIT:
			if (t->call.due && t->call.what == RS_TORTURE_DIFFERS) {
				take_differences(t);
				torture_answer(t, 0);
			} else if (t->call.due) {
				return AT_CALL;
			} else if (t->machine->outcome.exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN) {
				return AT_WINDOW;
			}
			break;
		case DEBUG_INTERRUPTED:
			if (t->hung)
				return LOST;
			break;
		case DEBUG_STEPPED:
		case DEBUG_WATCHED:
			break;
		case DEBUG_ENDED:
		case DEBUG_FAILED:
		case DEBUG_IDLE:
		case DEBUG_NO_RING3:
			return LOST;
		}
	}
}

bool torture_next_call(struct torture *t)
{
	const enum where where = run_on(t);

	t->over |= where != AT_CALL;
	return where == AT_CALL;
}

/* To the end of the round. */
static bool run_out(struct torture *t, const struct torture_plan *plan)
{
	switch (run_on(t)) {
	case AT_CALL:
		return t->call.what == RS_TORTURE_ROUND ||
		       fail(t, plan, "the guest makes another call (%" PRIu32 ")", t->call.what);
	case LOST:
		return lost(t, plan);
	default:
		return fail(t, plan, "the guest stops at 0x%llx%s, where nothing was asked for",
		            t->debug.state.regs.rip, symbol_at(t, t->debug.state.regs.rip));
	}
}

/* Runs to an address; `what` says in a failure which. */
static bool run_to(struct torture *t, const struct torture_plan *plan, uint64_t va,
                   const char *what)
{
	enum where where;

	if (debug_add_point(&t->debug, va) != DEBUG_OK) {
		t->over = true;
		return fail(t, plan, "no stop can be planted at %s", what);
	}
	where = run_on(t);
	if (where == LOST)
		return lost(t, plan);
	debug_remove_point(&t->debug, va);
	if (where == AT_POINT && t->debug.state.regs.rip == va)
		return true;
	return fail(t, plan, "the guest never came to %s%s", what, symbol_at(t, va));
}

/* From the beginning of the path, where the guest is, to one of its steps.  The stops on the way
 * are plants only: nothing is single-stepped. */
static bool arrive(struct torture *t, const struct torture_plan *plan,
                   const struct torture_path *path, size_t to)
{
	const uint32_t insn = path->list[to].insn;
	const uint64_t va = t->text.list[insn].va;

	for (size_t i = 0; i <= to; i++) {
		if (path->list[i].insn != insn)
			continue;
		if (!(debug_know(&t->debug) && t->debug.state.regs.rip == va) &&
		    !run_to(t, plan, va, "the instruction"))
			return false;
		/* An earlier visit: past it. */
		if (i < to &&
		    !run_to(t, plan, t->text.list[path->list[i + 1].insn].va, "the one behind it"))
			return false;
	}
	return true;
}

/* ---- Recording ------------------------------------------------------------------------------- */

static bool plant_all(struct torture *t, bool on)
{
	for (size_t i = 0; i < t->text.count; i++) {
		const struct torture_insn *insn = &t->text.list[i];

		if (insn->stub)
			continue;
		if ((on ? debug_add_point(&t->debug, insn->va)
		        : debug_remove_point(&t->debug, insn->va)) != DEBUG_OK)
			return message_error("--torture: no stop can be planted at 0x%" PRIx64,
			                     insn->va);
	}
	return true;
}

/* Where ring 3 goes on if this instruction returns to it, else 0. */
static uint64_t target_of(const struct torture *t, const struct torture_insn *insn)
{
	const struct kvm_regs *regs = &t->debug.state.regs;
	uint64_t words[2] = {0};

	switch (insn->kind) {
	case TORTURE_SYSRET:
		return regs->rcx;
	case TORTURE_SYSEXIT:
		return regs->rdx;
	case TORTURE_IRET:
	case TORTURE_FAR_RET:
		debug_read(&t->debug, regs->rsp, words, sizeof(words));
		return words[1] & 3 ? words[0] : 0;
	default:
		return 0;
	}
}

static bool comes_from_ring3(const struct torture *t)
{
	const struct debug *debug = &t->debug;
	int entry = debug_entry(debug, debug->state.regs.rip);
	struct debug_frame frame;

	if (entry < 0)
		return false;
	return entry > 255 || (debug_frame(debug, (unsigned)entry, &frame) && frame.cs & 3);
}

/* Whose stack RSP is: after SYSCALL still ring 3's, and again before SYSRET. */
static enum torture_stack stack_here(const struct torture *t, const struct torture_path *path)
{
	const int entry = debug_entry(&t->debug, t->debug.state.regs.rip);

	if (entry == DEBUG_ENTRY_SYSCALL || entry == DEBUG_ENTRY_COMPAT)
		return TORTURE_STACK_FOREIGN;
	return torture_path_stack(path, t->debug.state.regs.rsp);
}

static struct torture_step step_here(const struct torture *t, const struct torture_path *path,
                                     uint32_t insn)
{
	const struct debug *debug = &t->debug;
	const struct torture_step *last = path->count ? &path->list[path->count - 1] : NULL;

	return (struct torture_step){
	    .insn = insn,
	    .rsp = debug->state.regs.rsp,
	    .rflags = debug->state.regs.rflags,
	    .target = target_of(t, &t->text.list[insn]),
	    .from_ring3 = comes_from_ring3(t),
	    .shadow =
	        last && t->text.list[last->insn].kind == TORTURE_STI && last->insn + 1 == insn,
	    .kernel_gs = debug->state.sregs.gs.base == RS_ENTRY_CPU(0),
	    .user_root = debug_is_user_root(debug),
	    .stack = (uint8_t)stack_here(t, path),
	};
}

/* An IRETQ that has faulted has not returned to ring 3. */
static void drop_target(const struct torture *t, struct torture_path *path)
{
	const struct debug *debug = &t->debug;
	struct torture_step *last = path->count ? &path->list[path->count - 1] : NULL;
	int entry = debug_entry(debug, debug->state.regs.rip);
	struct debug_frame frame;

	if (last && last->target && entry >= 0 && entry < 256 &&
	    debug_frame(debug, (unsigned)entry, &frame) && !(frame.cs & 3) &&
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

static bool is_back(const struct debug *debug, const struct kvm_regs *place)
{
	return place->rip == debug->state.regs.rip && place->rsp == debug->state.regs.rsp;
}

/* Follows the guest from plant to plant until it calls, or until it is back at `place` (NULL: none)
 * or, with a place in ring 3, comes from there.  The text is planted. */
static enum where follow(struct torture *t, struct torture_path *path, const struct kvm_regs *place)
{
	struct debug *debug = &t->debug;
	uint64_t lifted = 0;

	debug_know(debug);
	while (path->count < STEPS_MAX) {
		uint32_t insn = torture_text_find(&t->text, debug->state.regs.rip);

		if (place && path->count && insn == TORTURE_NONE && is_back(debug, place))
			return AT_POINT;
		/* At the beginning it may be elsewhere: in C. */
		if (insn != TORTURE_NONE && debug_has_point(debug, debug->state.regs.rip)) {
			struct torture_step step = step_here(t, path, insn);

			if (place && path->count &&
			    (place->rip >> 63 ? is_back(debug, place) : step.from_ring3))
				return AT_POINT;
			drop_target(t, path);
			if (!add_steps(t, path, step))
				return LOST;
			/* Without the plant the instruction runs by itself, to the next one. */
			lifted = debug->state.regs.rip;
			debug_remove_point(debug, lifted);
		}

		enum where where = run_on(t);

		if (lifted)
			debug_add_point(debug, lifted);
		lifted = 0;
		if (where != AT_POINT)
			return where;
	}
	return AT_POINT;
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
		debug_remove_point(&t->debug, place->rip);
	return !on || debug_add_point(&t->debug, place->rip) == DEBUG_OK;
}

static bool record(struct torture *t, const struct torture_plan *plan, struct torture_path *path,
                   const struct kvm_regs *place)
{
	enum where where;

	torture_path_clear(path);
	t->over = !plant_for(t, place, true);
	if (t->over)
		return fail(t, plan, "the guest cannot be followed");
	where = follow(t, path, place);
	if (where == LOST)
		return lost(t, plan);
	plant_for(t, place, false);
	if (path->count >= STEPS_MAX)
		return fail(t, plan, "the way takes more than %d steps", STEPS_MAX);
	return where == (place ? AT_POINT : AT_CALL) ||
	       fail(t, plan, "the guest does not come back to where the event came");
}

/* The stub at whose first instruction the guest is: it is straight on. */
static bool record_stub(struct torture *t, const struct torture_plan *plan,
                        struct torture_path *path)
{
	uint32_t insn = torture_text_find(&t->text, t->debug.state.regs.rip);

	torture_path_clear(path);
	return insn != TORTURE_NONE ? add_steps(t, path, step_here(t, path, insn))
	                            : fail(t, plan, "its stub is no instruction");
}

/* ---- Events ---------------------------------------------------------------------------------- */

static uint64_t stub_of(const struct torture *t, unsigned vector)
{
	const struct rs_note *note = &t->machine->image.note;

	return note->vectors + (uint64_t)vector * note->vector_stride;
}

bool torture_gate_is_usual(struct torture *t, unsigned vector)
{
	const struct debug *debug = &t->debug;
	struct desc_gate gate;
	uint64_t words[2];

	if (!debug_know(&t->debug) ||
	    debug_read(debug, debug->state.sregs.idt.base + 16 * (uint64_t)vector, words,
	               sizeof(words)) != sizeof(words))
		return false;
	desc_gate_decode(words, &gate);
	return gate.present && gate.type == DESC_INTERRUPT_GATE &&
	       gate.offset == stub_of(t, vector);
}

/* Delivers an exception or interrupt to its stub as the processor does through an interrupt gate
 * (SDM volume 3, 6.14).  t->start has ring 0's CS. */
static bool deliver(struct torture *t, unsigned vector)
{
	struct debug *debug = &t->debug;
	struct kvm_regs *regs = &debug->state.regs;
	const bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;
	const bool ring3 = debug_cpl(debug) == 3;
	const unsigned ist = vector < 32 ? t->machine->image.note.ist[vector] : 0;
	const uint64_t frame[6] = {0,
	                           regs->rip,
	                           debug->state.sregs.cs.selector,
	                           regs->rflags,
	                           regs->rsp,
	                           debug->state.sregs.ss.selector};
	const uint64_t size = has_error ? 48 : 40;
	struct desc_tss tss;
	uint64_t rsp;

	if (debug_read(debug, debug->state.sregs.tr.base, &tss, sizeof(tss)) != sizeof(tss))
		return false;
	rsp = ist ? desc_tss_ist(&tss, ist) : ring3 ? desc_tss_rsp(&tss, 0) : regs->rsp;
	rsp = (rsp & ~UINT64_C(15)) - size;
	if (debug_write(debug, rsp, frame + (has_error ? 0 : 1), size) != size)
		return false;
	regs->rsp = rsp;
	regs->rip = stub_of(t, vector);
	regs->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_IF);
	debug->state.sregs.cs = t->start.vcpu.sregs.cs;
	if (ring3)
		debug->state.sregs.ss = (struct kvm_segment){.unusable = 1};
	debug->changed = true;
	return true;
}

/* From a CALL, where the guest is, to the first instruction of what it calls; from elsewhere
 * nowhere. */
static bool follow_call(struct torture *t, const struct torture_plan *plan,
                        const struct torture_step *step)
{
	uint8_t code[5];
	int32_t offset;
	uint64_t to;

	if (!step || t->text.list[step->insn].kind != TORTURE_CALL)
		return true;
	if (debug_read(&t->debug, t->debug.state.regs.rip, code, sizeof(code)) != sizeof(code) ||
	    code[0] != 0xe8)
		return fail(t, plan, "the CALL at 0x%llx is no direct one",
		            t->debug.state.regs.rip);
	memcpy(&offset, code + 1, sizeof(offset));
	to = (uint64_t)((int64_t)t->debug.state.regs.rip + (int64_t)sizeof(code) + offset);
	return run_to(t, plan, to, "what is called") && (debug_know(&t->debug) || lost(t, plan));
}

static bool inject_step(struct torture *t)
{
	const struct vcpu *vcpu = &t->debug.cpu->vcpu;
	struct vcpu_state *state = &t->debug.state;

	t->debug.state.regs.rflags |= RFLAGS_TF;
	t->debug.changed = true;
	if (!vcpu_read(vcpu, state, STATE_EVENTS))
		return false;
	state->events.flags = 0;
	state->events.exception.injected = 1;
	state->events.exception.pending = 0;
	state->events.exception.nr = VECTOR_DB;
	state->events.exception.has_error_code = 0;
	return vcpu_write(vcpu, state, STATE_EVENTS);
}

/* The interrupt waits until the processor would take it; KVM has no place to wait in. */
static bool inject_irq(struct torture *t, const struct torture_plan *plan, unsigned vector,
                       bool open)
{
	struct kvm_interrupt interrupt = {.irq = vector};
	struct kvm_run *run = t->debug.cpu->vcpu.run;

	if (!open) {
		enum where where;

		run->request_interrupt_window = 1;
		where = run_on(t);
		run->request_interrupt_window = 0;
		if (where == LOST)
			return lost(t, plan);
		if (where != AT_WINDOW || !debug_know(&t->debug))
			return fail(t, plan, "interrupts are never let in again");
	}
	return KVM_IOCTL(t->debug.cpu->vcpu.fd, KVM_INTERRUPT, &interrupt) == 0 ||
	       fail(t, plan, "KVM does not take the interrupt");
}

static bool nmi_waits(const struct torture *t)
{
	struct vcpu_state now;

	return vcpu_read(&t->debug.cpu->vcpu, &now, STATE_EVENTS) && now.events.nmi.pending;
}

/* Runs to where the guest is already, once more. */
static bool run_again(struct torture *t, const struct torture_plan *plan, uint64_t va,
                      const char *what)
{
	uint32_t insn = torture_text_find(&t->text, va);

	return (insn == TORTURE_NONE || insn + 1 == t->text.count ||
	        run_to(t, plan, t->text.list[insn + 1].va, "the next instruction")) &&
	       run_to(t, plan, va, what);
}

/* Lets the guest run until the event has arrived; its frame. */
static bool see(struct torture *t, const struct torture_plan *plan, unsigned vector,
                struct debug_frame *frame)
{
	const uint64_t stub = stub_of(t, vector);
	const char *name = vector_name(vector);

	if (!debug_know(&t->debug))
		return lost(t, plan);
	/* Blocked at its own stub's first instruction: past it, first. */
	if (t->debug.state.regs.rip == stub ? !run_again(t, plan, stub, name)
	                                    : !run_to(t, plan, stub, name))
		return false;
	/* It may also be the first NMI's stub that the guest comes back to. */
	while (vector == VECTOR_NMI && nmi_waits(t)) {
		if (!run_again(t, plan, stub, name))
			return false;
	}
	return debug_frame(&t->debug, vector, frame) || fail(t, plan, "its frame is nowhere");
}

/* What the processor saved is what was there. */
static bool check_frame(struct torture *t, const struct torture_plan *plan,
                        const struct debug_frame *frame, const struct kvm_regs *regs,
                        const struct kvm_sregs *sregs)
{
	struct torture_differences d = {0};
	const uint64_t not_saved = RFLAGS_RF;

	torture_differ(&d, "saved RIP", frame->rip, regs->rip);
	torture_differ(&d, "saved CS", frame->cs, sregs->cs.selector);
	torture_differ(&d, "saved RFLAGS", frame->rflags & ~not_saved, regs->rflags & ~not_saved);
	torture_differ(&d, "saved RSP", frame->rsp, regs->rsp);
	torture_differ(&d, "saved SS", frame->ss, sregs->ss.selector);
	if (!d.count)
		return true;

	struct torture_failure *f = note(t, plan);

	snprintf(f->problem, sizeof(f->problem), "KVM does not deliver it as the manuals say");
	f->differences = d;
	return false;
}

/* Whether the event's handling returns to where it came; else to the fault handler of ring 3. */
static bool comes_back(const struct torture_event *event, const struct torture_step *at)
{
	return at || event->kind == TORTURE_NMI || event->kind == TORTURE_IRQ;
}

/* Where an interrupt must arrive that is pending from event n on: in the handling that it
 * interrupts, or where that one returns to, with no STI's shadow any more.  False: that cannot be
 * told. */
static bool expected_irq(const struct torture *t, const struct torture_plan *plan, unsigned n,
                         const struct kvm_regs places[TORTURE_DEPTH], uint64_t *rip)
{
	for (unsigned level = n + 1; level-- > 0;) {
		const struct torture_step *step = torture_step_of(t, plan, level);

		if (level < n && !comes_back(&plan->event[level], step))
			return false;
		if (!step || (level < n && step->rflags & RFLAGS_IF)) {
			*rip = places[level].rip;
			return true;
		}
		if (torture_path_opens(&t->path[level], &t->text, plan->at[level], rip))
			return true;
	}
	return false;
}

/* The first NMI of the plan before event n: it blocks the next one.  n: there is none. */
static unsigned blocking_nmi(const struct torture_plan *plan, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (plan->event[i].kind == TORTURE_NMI)
			return i;
	}
	return n;
}

/* What had to wait came later than it must. */
static bool come_late(struct torture *t, const struct torture_plan *plan, uint64_t got,
                      uint64_t want)
{
	if (t->late++)
		return true;
	write_down(t, plan, &t->late_one);
	snprintf(t->late_one.problem, sizeof(t->late_one.problem),
	         "it came at 0x%" PRIx64 ", wanted 0x%" PRIx64 "%s", got, want, symbol_at(t, want));
	return true;
}

/* The event n of the plan has come while NMI `blocking` blocked it, and has arrived: right behind
 * the IRETQ of that one or of one in its handling.  A KVM may be late, but never early: while what
 * it would overwrite, the stack of the first NMI, is in use. */
static bool check_blocked(struct torture *t, const struct torture_plan *plan, unsigned n,
                          unsigned blocking, const struct debug_frame *frame,
                          const struct kvm_regs places[TORTURE_DEPTH])
{
	const unsigned stack = torture_stack_of(frame->rsp);

	for (unsigned i = blocking; i < n; i++) {
		const unsigned vector = plan->event[i].vector;
		const unsigned ist = vector < 32 ? t->machine->image.note.ist[vector] : 0;

		if (ist && stack == TORTURE_STACK_IST + ist)
			return fail(t, plan,
			            "the NMI that was blocked came at 0x%" PRIx64
			            "%s, in the handling of the first one",
			            frame->rip, symbol_at(t, frame->rip));
	}
	for (unsigned i = blocking; i < n; i++) {
		if (frame->rip == places[i].rip && frame->rsp == places[i].rsp)
			return true;
	}
	return come_late(t, plan, frame->rip, places[blocking].rip);
}

static bool is_behind_sti(const struct torture *t, uint64_t va)
{
	uint32_t insn = torture_text_find(&t->text, va);

	return insn != TORTURE_NONE && insn && t->text.list[insn - 1].kind == TORTURE_STI;
}

static bool check_irq(struct torture *t, const struct torture_plan *plan, unsigned n,
                      const struct debug_frame *frame, const struct kvm_regs places[TORTURE_DEPTH])
{
	uint64_t rip;

	if (!(frame->rflags & RFLAGS_IF))
		return fail(t, plan, "the interrupt came with RFLAGS.IF clear");
	/* C may open to it, and is not followed. */
	if (torture_text_find(&t->text, frame->rip) == TORTURE_NONE && !(frame->cs & 3))
		return true;
	if (!expected_irq(t, plan, n, places, &rip) || rip == frame->rip)
		return true;
	/* RFLAGS.IF is set there: so it is a later place, or one behind STI. */
	if (!is_behind_sti(t, frame->rip))
		return come_late(t, plan, frame->rip, rip);
	t->early++;
	return true;
}

static bool make_nmi(struct torture *t, const struct torture_plan *plan)
{
	return KVM_IOCTL(t->debug.cpu->vcpu.fd, KVM_NMI, NULL) == 0 ||
	       fail(t, plan, "KVM does not take the NMI");
}

/* Event n of the plan, where the guest is stopped.  Afterwards it is stopped at the event's stub.
 * places: where the events up to this one came. */
static bool happen(struct torture *t, const struct torture_plan *plan, unsigned n,
                   const struct kvm_regs places[TORTURE_DEPTH], struct debug_frame *frame)
{
	const struct torture_event *event = &plan->event[n];
	const struct torture_step *step = torture_step_of(t, plan, n);
	const unsigned blocking = blocking_nmi(plan, n);
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	switch (event->kind) {
	case TORTURE_NMI:
		if (!make_nmi(t, plan))
			return false;
		break;
	case TORTURE_STEP:
		if (!inject_step(t))
			return fail(t, plan, "KVM does not take the #DB");
		break;
	case TORTURE_IRQ:
		if (!inject_irq(t, plan, event->vector, !step || torture_step_open(step)))
			return false;
		break;
	case TORTURE_HAND:
		if (!deliver(t, event->vector))
			return fail(t, plan, "%s finds no stack", vector_name(event->vector));
		return debug_frame(&t->debug, event->vector, frame);
	}
	regs = t->debug.state.regs;
	sregs = t->debug.state.sregs;
	if (!see(t, plan, event->vector, frame))
		return false;
	if (event->kind == TORTURE_NMI && blocking < n)
		return check_blocked(t, plan, n, blocking, frame, places);
	if (event->kind == TORTURE_IRQ && !check_irq(t, plan, n, frame, places))
		return false;
	return check_frame(t, plan, frame, &regs, &sregs);
}

/* ---- The round ------------------------------------------------------------------------------- */

static void count(const struct torture *t, struct torture_counts *counts, unsigned vector,
                  const struct debug_frame *frame)
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
	struct debug_frame frame = {0};

	for (unsigned n = 0; n < plan->events; n++) {
		if (n == 0 && plan->stand
		        ? !run_to(t, plan, t->crossing.stand, "where ring 3 stands")
		        : !arrive(t, plan, &t->path[n], stop_of(t, plan, n)))
			return false;
		/* A fault is one of the C that is called. */
		if (plan->event[n].kind == TORTURE_HAND &&
		    !follow_call(t, plan, torture_step_of(t, plan, n)))
			return false;
		places[n] = t->debug.state.regs;
		if (!happen(t, plan, n, places, &frame))
			return false;
		count(t, counts, plan->event[n].vector, &frame);
	}
	if (plan->record == TORTURE_RECORD_STUB && !record_stub(t, plan, &t->path[plan->events]))
		return false;
	if (plan->record == TORTURE_RECORD_ALL &&
	    !record(t, plan, &t->path[plan->events],
	            plan->events ? &places[plan->events - 1] : NULL))
		return false;
	if (!plan->nmi_too)
		return true;
	if (!make_nmi(t, plan) || !see(t, plan, VECTOR_NMI, &frame))
		return false;
	count(t, counts, VECTOR_NMI, &frame);
	return check_blocked(t, plan, plan->events, blocking_nmi(plan, plan->events), &frame,
	                     places);
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
	note(t, plan)->differences = d;
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
		good = run_out(t, plan) && good;
	t->in_round = false;
	if (t->over)
		return;
	t->over = !torture_state_take(&t->debug, &t->end, plan->measure || !plan->events);
	if (good && !t->over && check(t, plan, &want))
		hit(t, plan);
	t->start = t->end;
}
