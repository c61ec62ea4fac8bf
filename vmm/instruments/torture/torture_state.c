#include "vmm/instruments/torture/torture_state.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/names.h"

/* ---- Taking ---------------------------------------------------------------------------------- */

static bool read_all(const struct engine *engine, uint64_t va, void *to, size_t size)
{
	return engine_read(engine, va, to, size) == size;
}

static bool take_memory(const struct engine *engine, struct torture_state *state)
{
	const uint64_t entry = RS_ENTRY_CPU(0);
	const uint64_t rsp = engine->state.regs.rsp & ~UINT64_C(7);
	uint64_t stats = RS_KERNEL_CPU(0) + RS_KERNEL_STATS;

	state->stack_words = (size_t)(PAGE_SIZE - (rsp & (PAGE_SIZE - 1))) / 8;
	if (state->stack_words > TORTURE_STACK_WORDS)
		state->stack_words = TORTURE_STACK_WORDS;
	return read_all(engine, entry + RS_ENTRY_WORDS, state->words, sizeof(state->words)) &&
	       read_all(engine, entry + RS_ENTRY_GDT, state->gdt, sizeof(state->gdt)) &&
	       read_all(engine, entry + RS_ENTRY_TSS, state->tss, sizeof(state->tss)) &&
	       read_all(engine, rsp, state->stack, state->stack_words * 8) &&
	       read_all(engine, stats, &state->counts, sizeof(state->counts));
}

bool torture_state_take(struct engine *engine, struct torture_state *state, bool all)
{
	const struct vcpu *vcpu = &engine->cpu->vcpu;
	const uint32_t more = STATE_FPU | STATE_DEBUG | STATE_ALL_MSRS;

	memset(state, 0, sizeof(*state));
	if (!engine_know(engine))
		return false;
	state->vcpu = engine->state;
	state->all = all;
	if (!all)
		vcpu_read_msr(vcpu, MSR_KERNEL_GS_BASE, &state->vcpu.msrs[STATE_KERNEL_GS_BASE]);
	return vcpu_read(vcpu, &state->vcpu, STATE_EVENTS | (all ? more : 0)) &&
	       take_memory(engine, state);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

void torture_differ(struct torture_differences *to, const char *name, uint64_t got, uint64_t want)
{
	struct torture_difference *d;

	if (got == want || to->count++ >= TORTURE_DIFFERENCES)
		return;
	d = &to->list[to->count - 1];
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->got = got;
	d->want = want;
}

static void compare_regs(const struct kvm_regs *got, const struct kvm_regs *want,
                         struct torture_differences *to)
{
#define REG(field) torture_differ(to, "kernel's " #field, got->field, want->field)
	REG(rax);
	REG(rbx);
	REG(rcx);
	REG(rdx);
	REG(rsi);
	REG(rdi);
	REG(rbp);
	REG(r8);
	REG(r9);
	REG(r10);
	REG(r11);
	REG(r12);
	REG(r13);
	REG(r14);
	REG(r15);
#undef REG
}

static void compare_segment(const char *name, const struct kvm_segment *got,
                            const struct kvm_segment *want, struct torture_differences *to)
{
	char text[40];

	snprintf(text, sizeof(text), "%s selector", name);
	torture_differ(to, text, got->selector, want->selector);
	snprintf(text, sizeof(text), "%s base", name);
	torture_differ(to, text, got->base, want->base);
	snprintf(text, sizeof(text), "%s limit", name);
	torture_differ(to, text, got->limit, want->limit);
	snprintf(text, sizeof(text), "%s DPL", name);
	torture_differ(to, text, got->dpl, want->dpl);
	snprintf(text, sizeof(text), "%s present", name);
	torture_differ(to, text, got->present && !got->unusable, want->present && !want->unusable);
}

static void compare_sregs(const struct kvm_sregs *got, const struct kvm_sregs *want,
                          struct torture_differences *to)
{
	compare_segment("CS", &got->cs, &want->cs, to);
	compare_segment("SS", &got->ss, &want->ss, to);
	compare_segment("DS", &got->ds, &want->ds, to);
	compare_segment("ES", &got->es, &want->es, to);
	compare_segment("FS", &got->fs, &want->fs, to);
	compare_segment("GS", &got->gs, &want->gs, to);
	compare_segment("TR", &got->tr, &want->tr, to);
	compare_segment("LDTR", &got->ldt, &want->ldt, to);
	torture_differ(to, "GDT base", got->gdt.base, want->gdt.base);
	torture_differ(to, "GDT limit", got->gdt.limit, want->gdt.limit);
	torture_differ(to, "IDT base", got->idt.base, want->idt.base);
	torture_differ(to, "IDT limit", got->idt.limit, want->idt.limit);
	torture_differ(to, "CR0", got->cr0, want->cr0);
	torture_differ(to, "CR2", got->cr2, want->cr2);
	torture_differ(to, "CR3", got->cr3, want->cr3);
	torture_differ(to, "CR4", got->cr4, want->cr4);
	torture_differ(to, "CR8", got->cr8, want->cr8);
	torture_differ(to, "EFER", got->efer, want->efer);
}

static void compare_fpu(const struct kvm_fpu *got, const struct kvm_fpu *want,
                        struct torture_differences *to)
{
	torture_differ(to, "FCW", got->fcw, want->fcw);
	torture_differ(to, "FSW", got->fsw, want->fsw);
	torture_differ(to, "MXCSR", got->mxcsr, want->mxcsr);
	for (unsigned i = 0; i < 16; i++) {
		uint64_t a[2], b[2];
		char text[40];

		memcpy(a, got->xmm[i], 16);
		memcpy(b, want->xmm[i], 16);
		snprintf(text, sizeof(text), "XMM%u, low half", i);
		torture_differ(to, text, a[0], b[0]);
		snprintf(text, sizeof(text), "XMM%u, high half", i);
		torture_differ(to, text, a[1], b[1]);
	}
}

static void compare_events(const struct kvm_vcpu_events *got, const struct kvm_vcpu_events *want,
                           struct torture_differences *to)
{
	torture_differ(to, "NMIs are blocked", got->nmi.masked, want->nmi.masked);
	torture_differ(to, "an NMI is pending", got->nmi.pending, want->nmi.pending);
	torture_differ(to, "an exception is pending",
	               got->exception.injected || got->exception.pending,
	               want->exception.injected || want->exception.pending);
	torture_differ(to, "an interrupt is pending", got->interrupt.injected,
	               want->interrupt.injected);
}

static void compare_words(const char *what, uint64_t va, const uint64_t *got, const uint64_t *want,
                          size_t count, struct torture_differences *to)
{
	for (size_t i = 0; i < count; i++) {
		char text[40];

		if (got[i] == want[i])
			continue;
		snprintf(text, sizeof(text), "%s, %llx", what, (unsigned long long)va + 8 * i);
		torture_differ(to, text, got[i], want[i]);
	}
}

static void compare_rest(const struct torture_state *got, const struct torture_state *want,
                         struct torture_differences *to)
{
	for (size_t i = 0; i < STATE_MSRS; i++) {
		if (i != STATE_KERNEL_GS_BASE)
			torture_differ(to, msr_table[i].name, got->vcpu.msrs[i],
			               want->vcpu.msrs[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		char text[8];

		snprintf(text, sizeof(text), "DR%u", i);
		torture_differ(to, text, got->vcpu.debugregs.db[i], want->vcpu.debugregs.db[i]);
	}
	torture_differ(to, "DR7", got->vcpu.debugregs.dr7, want->vcpu.debugregs.dr7);
	compare_fpu(&got->vcpu.fpu, &want->vcpu.fpu, to);
}

void torture_state_compare(const struct torture_state *got, const struct torture_state *want,
                           bool same_numbers, struct torture_differences *to)
{
	const uint64_t entry = RS_ENTRY_CPU(0);

	torture_differ(to, "kernel's rip", got->vcpu.regs.rip, want->vcpu.regs.rip);
	torture_differ(to, "kernel's rsp", got->vcpu.regs.rsp, want->vcpu.regs.rsp);
	torture_differ(to, "kernel's rflags", got->vcpu.regs.rflags, want->vcpu.regs.rflags);
	compare_sregs(&got->vcpu.sregs, &want->vcpu.sregs, to);
	torture_differ(to, "KERNEL_GS_BASE", got->vcpu.msrs[STATE_KERNEL_GS_BASE],
	               want->vcpu.msrs[STATE_KERNEL_GS_BASE]);
	compare_events(&got->vcpu.events, &want->vcpu.events, to);
	compare_words("GDT", entry + RS_ENTRY_GDT, got->gdt, want->gdt, RS_GDT_ENTRIES, to);
	compare_words("TSS", entry + RS_ENTRY_TSS, got->tss, want->tss,
	              sizeof(got->tss) / sizeof(got->tss[0]), to);
	compare_words("entry words", entry + RS_ENTRY_WORDS, got->words, want->words,
	              sizeof(got->words) / sizeof(got->words[0]), to);
	if (got->all && want->all)
		compare_rest(got, want, to);
	if (!same_numbers || got->stack_words != want->stack_words)
		return;
	compare_regs(&got->vcpu.regs, &want->vcpu.regs, to);
	compare_words("kernel stack", got->vcpu.regs.rsp & ~UINT64_C(7), got->stack, want->stack,
	              got->stack_words, to);
}

/* ---- Counts ---------------------------------------------------------------------------------- */

#define WORD(field) (offsetof(struct rs_stats, field) / 8)

static const char *const count_names[sizeof(struct rs_stats) / 8] = {
    [WORD(syscall64)] = "SYSCALLs",
    [WORD(syscall32)] = "SYSCALLs of 32-bit code",
    [WORD(sysenter)] = "SYSENTERs",
    [WORD(int80)] = "INT 0x80s",
    [WORD(user_faults)] = "faults of ring 3",
    [WORD(copy_faults)] = "faults of user copies",
    [WORD(context_switches)] = "context switches",
    [WORD(processes)] = "processes created",
    [WORD(killed)] = "processes killed",
    [WORD(cr3_entry)] = "CR3 writes on the way in",
    [WORD(cr3_exit)] = "CR3 writes on the way out",
    [WORD(cr3_switch)] = "CR3 writes, another address space",
    [WORD(cr3_flush)] = "CR3 writes that flush",
    [WORD(invlpg)] = "INVLPGs",
    [WORD(quirk_syscall)] = "SYSCALLs completed",
    [WORD(quirk_intn)] = "INT ns completed",
    [WORD(preempt_ring3)] = "preemptions in ring 3",
    [WORD(preempt_ring0)] = "preemptions in ring 0",
    [WORD(idle)] = "HLTs of idle",
    [WORD(sleeps)] = "sleeps",
    [WORD(shootdowns)] = "shootdowns",
    [WORD(pcid_reused)] = "PCIDs reused",
    [WORD(external80)] = "external interrupts 0x80",
    [WORD(if_clear)] = "interrupts with IF clear",
};

struct torture_counts torture_counts_between(const struct rs_stats *before,
                                             const struct rs_stats *after)
{
	struct torture_counts old, counts;

	_Static_assert(sizeof(old) == sizeof(*before), "all are 64-bit words");
	memcpy(&old, before, sizeof(old));
	memcpy(&counts, after, sizeof(counts));
	for (size_t i = 0; i < sizeof(counts.word) / sizeof(counts.word[0]); i++)
		counts.word[i] -= old.word[i];
	return counts;
}

void torture_counts_add(struct torture_counts *counts, unsigned vector, bool ring3, bool kpti)
{
	counts->word[WORD(vectors) + vector % 256]++;
	counts->word[WORD(external80)] += vector == 0x80;
	if (!ring3)
		return;
	counts->word[WORD(user_faults)] += vector < 32 && vector != VECTOR_NMI;
	counts->word[WORD(cr3_entry)] += kpti;
	counts->word[WORD(cr3_exit)] += kpti;
}

void torture_counts_adjust(struct torture_counts *counts, const struct torture_counts *want,
                           const struct torture_counts *got)
{
	for (size_t i = 0; i < sizeof(got->word) / sizeof(got->word[0]); i++)
		counts->word[i] += got->word[i] - want->word[i];
}

/* What depends on which PCIDs a new address space is given. */
static bool is_of_pcids(size_t word)
{
	return word == WORD(cr3_switch) || word == WORD(cr3_flush) || word == WORD(pcid_reused);
}

void torture_counts_compare(const struct torture_counts *got, const struct torture_counts *want,
                            bool same_numbers, struct torture_differences *to)
{
	for (size_t i = 0; i < sizeof(got->word) / sizeof(got->word[0]); i++) {
		char text[40];

		if (!same_numbers && is_of_pcids(i))
			continue;
		if (i < 256)
			snprintf(text, sizeof(text), "entries by %s", vector_name((unsigned)i));
		else if (count_names[i])
			snprintf(text, sizeof(text), "%s", count_names[i]);
		else
			snprintf(text, sizeof(text), "count %zu", i);
		torture_differ(to, text, got->word[i], want->word[i]);
	}
}
