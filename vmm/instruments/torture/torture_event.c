#include "vmm/instruments/torture/torture_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/names.h"
#include "vmm/instruments/torture/torture_failure.h"
#include "vmm/instruments/torture/torture_run.h"

static uint64_t stub_of(const struct torture *t, unsigned vector)
{
	const struct rs_note *note = &t->machine->image.note;

	return note->vectors + (uint64_t)vector * note->vector_stride;
}

bool torture_gate_is_usual(struct torture *t, unsigned vector)
{
	const struct engine *engine = &t->engine;
	struct desc_gate gate;
	uint64_t words[2];

	if (!engine_know(&t->engine) ||
	    engine_read(engine, engine->state.sregs.idt.base + 16 * (uint64_t)vector, words,
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
	struct engine *engine = &t->engine;
	struct kvm_regs *regs = &engine->state.regs;
	const bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;
	const bool ring3 = engine_cpl(engine) == 3;
	const unsigned ist = vector < 32 ? t->machine->image.note.ist[vector] : 0;
	const uint64_t frame[6] = {0,
	                           regs->rip,
	                           engine->state.sregs.cs.selector,
	                           regs->rflags,
	                           regs->rsp,
	                           engine->state.sregs.ss.selector};
	const uint64_t size = has_error ? 48 : 40;
	struct desc_tss tss;
	uint64_t rsp;

	if (engine_read(engine, engine->state.sregs.tr.base, &tss, sizeof(tss)) != sizeof(tss))
		return false;
	rsp = ist ? desc_tss_ist(&tss, ist) : ring3 ? desc_tss_rsp(&tss, 0) : regs->rsp;
	rsp = (rsp & ~UINT64_C(15)) - size;
	if (engine_write(engine, rsp, frame + (has_error ? 0 : 1), size) != size)
		return false;
	regs->rsp = rsp;
	regs->rip = stub_of(t, vector);
	regs->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_IF);
	engine->state.sregs.cs = t->start.vcpu.sregs.cs;
	if (ring3)
		engine->state.sregs.ss = (struct kvm_segment){.unusable = 1};
	engine->changed = true;
	return true;
}

bool torture_follow_call(struct torture *t, const struct torture_plan *plan,
                         const struct torture_step *step)
{
	uint8_t code[5];
	int32_t offset;
	uint64_t to;

	if (!step || t->text.list[step->insn].kind != TORTURE_CALL)
		return true;
	if (engine_read(&t->engine, t->engine.state.regs.rip, code, sizeof(code)) != sizeof(code) ||
	    code[0] != 0xe8)
		return torture_fail(t, plan, "the CALL at 0x%llx is no direct one",
		                    t->engine.state.regs.rip);
	memcpy(&offset, code + 1, sizeof(offset));
	to = (uint64_t)((int64_t)t->engine.state.regs.rip + (int64_t)sizeof(code) + offset);
	return torture_run_to(t, plan, to, "what is called") &&
	       (engine_know(&t->engine) || torture_lost(t, plan));
}

static bool inject_step(struct torture *t)
{
	const struct vcpu *vcpu = &t->engine.cpu->vcpu;
	struct vcpu_state *state = &t->engine.state;

	t->engine.state.regs.rflags |= RFLAGS_TF;
	t->engine.changed = true;
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
	struct kvm_run *run = t->engine.cpu->vcpu.run;

	if (!open) {
		enum torture_where where;

		run->request_interrupt_window = 1;
		where = torture_run_on(t);
		run->request_interrupt_window = 0;
		if (where == TORTURE_LOST)
			return torture_lost(t, plan);
		if (where != TORTURE_AT_WINDOW || !engine_know(&t->engine))
			return torture_fail(t, plan, "interrupts are never let in again");
	}
	return KVM_IOCTL(t->engine.cpu->vcpu.fd, KVM_INTERRUPT, &interrupt) == 0 ||
	       torture_fail(t, plan, "KVM does not take the interrupt");
}

static bool nmi_waits(const struct torture *t)
{
	struct vcpu_state now;

	return vcpu_read(&t->engine.cpu->vcpu, &now, STATE_EVENTS) && now.events.nmi.pending;
}

/* Runs to where the guest is already, once more. */
static bool run_again(struct torture *t, const struct torture_plan *plan, uint64_t va,
                      const char *what)
{
	uint32_t insn = torture_text_find(&t->text, va);

	return (insn == TORTURE_NONE || insn + 1 == t->text.count ||
	        torture_run_to(t, plan, t->text.list[insn + 1].va, "the next instruction")) &&
	       torture_run_to(t, plan, va, what);
}

/* Lets the guest run until the event has arrived; its frame. */
static bool see(struct torture *t, const struct torture_plan *plan, unsigned vector,
                struct engine_frame *frame)
{
	const uint64_t stub = stub_of(t, vector);
	const char *name = vector_name(vector);

	if (!engine_know(&t->engine))
		return torture_lost(t, plan);
	/* Blocked at its own stub's first instruction: past it, first. */
	if (t->engine.state.regs.rip == stub ? !run_again(t, plan, stub, name)
	                                     : !torture_run_to(t, plan, stub, name))
		return false;
	/* It may also be the first NMI's stub that the guest comes back to. */
	while (vector == VECTOR_NMI && nmi_waits(t)) {
		if (!run_again(t, plan, stub, name))
			return false;
	}
	return engine_frame(&t->engine, vector, frame) ||
	       torture_fail(t, plan, "its frame is nowhere");
}

/* What the processor saved is what was there. */
static bool check_frame(struct torture *t, const struct torture_plan *plan,
                        const struct engine_frame *frame, const struct kvm_regs *regs,
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

	struct torture_failure *f = torture_note(t, plan);

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
	torture_write_down(t, plan, &t->late_one);
	snprintf(t->late_one.problem, sizeof(t->late_one.problem),
	         "it came at 0x%" PRIx64 ", wanted 0x%" PRIx64 "%s", got, want,
	         torture_symbol(t, want));
	return true;
}

/* The event n of the plan has come while NMI `blocking` blocked it, and has arrived: right behind
 * the IRETQ of that one or of one in its handling.  A KVM may be late, but never early: while what
 * it would overwrite, the stack of the first NMI, is in use. */
static bool check_blocked(struct torture *t, const struct torture_plan *plan, unsigned n,
                          unsigned blocking, const struct engine_frame *frame,
                          const struct kvm_regs places[TORTURE_DEPTH])
{
	const unsigned stack = torture_stack_of(frame->rsp);

	for (unsigned i = blocking; i < n; i++) {
		const unsigned vector = plan->event[i].vector;
		const unsigned ist = vector < 32 ? t->machine->image.note.ist[vector] : 0;

		if (ist && stack == TORTURE_STACK_IST + ist)
			return torture_fail(t, plan,
			                    "the NMI that was blocked came at 0x%" PRIx64
			                    "%s, in the handling of the first one",
			                    frame->rip, torture_symbol(t, frame->rip));
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
                      const struct engine_frame *frame, const struct kvm_regs places[TORTURE_DEPTH])
{
	uint64_t rip;

	if (!(frame->rflags & RFLAGS_IF))
		return torture_fail(t, plan, "the interrupt came with RFLAGS.IF clear");
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
	return KVM_IOCTL(t->engine.cpu->vcpu.fd, KVM_NMI, NULL) == 0 ||
	       torture_fail(t, plan, "KVM does not take the NMI");
}

bool torture_happen(struct torture *t, const struct torture_plan *plan, unsigned n,
                    const struct kvm_regs places[TORTURE_DEPTH], struct engine_frame *frame)
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
			return torture_fail(t, plan, "KVM does not take the #DB");
		break;
	case TORTURE_IRQ:
		if (!inject_irq(t, plan, event->vector, !step || torture_step_open(step)))
			return false;
		break;
	case TORTURE_HAND:
		if (!deliver(t, event->vector))
			return torture_fail(t, plan, "%s finds no stack",
			                    vector_name(event->vector));
		return engine_frame(&t->engine, event->vector, frame);
	}
	regs = t->engine.state.regs;
	sregs = t->engine.state.sregs;
	if (!see(t, plan, event->vector, frame))
		return false;
	if (event->kind == TORTURE_NMI && blocking < n)
		return check_blocked(t, plan, n, blocking, frame, places);
	if (event->kind == TORTURE_IRQ && !check_irq(t, plan, n, frame, places))
		return false;
	return check_frame(t, plan, frame, &regs, &sregs);
}

bool torture_nmi_too(struct torture *t, const struct torture_plan *plan,
                     const struct kvm_regs places[TORTURE_DEPTH], struct engine_frame *frame)
{
	return make_nmi(t, plan) && see(t, plan, VECTOR_NMI, frame) &&
	       check_blocked(t, plan, plan->events, blocking_nmi(plan, plan->events), frame,
	                     places);
}
