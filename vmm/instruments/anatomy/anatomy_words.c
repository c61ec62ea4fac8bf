#include "vmm/instruments/anatomy/anatomy_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/names.h"
#include "vmm/engine/arrival.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"

static const char *cr3_text(bool user_root)
{
	return user_root ? "the user root" : "the kernel root";
}

/* ---- Entries -----------------------------------------------------------------------------------
 */

static void tell_syscall(FILE *out, const struct anatomy_moment *m)
{
	const struct engine *engine = m->engine;
	uint64_t star = 0, mask = 0;
	char flags[96];

	vcpu_read_msr(&engine->cpu->vcpu, MSR_STAR, &star);
	vcpu_read_msr(&engine->cpu->vcpu, MSR_FMASK, &mask);
	fprintf(out,
	        "SYSCALL: RCX = the return address 0x%llx; R11 = RFLAGS 0x%llx; FMASK clears %s; "
	        "CS = %02x and SS = %02x out of STAR, CPL 3 to 0; RIP = LSTAR. "
	        "RSP, GS and CR3 stay the user's, and nothing is pushed.",
	        engine->state.regs.rcx, engine->state.regs.r11,
	        bits_text(flags, sizeof(flags), rflags_names, mask & ~RFLAGS_IOPL),
	        (unsigned)(star >> 32 & 0xffff), (unsigned)(star >> 32 & 0xffff) + 8);
}

static void tell_sysenter(FILE *out, const struct anatomy_moment *m)
{
	const struct engine *engine = m->engine;

	fprintf(out,
	        "SYSENTER: CS = %02x and SS = %02x out of SYSENTER_CS, CPL 3 to 0; RIP = "
	        "SYSENTER_EIP; RSP = SYSENTER_ESP 0x%llx (%s). Of RFLAGS only IF is cleared. "
	        "Nothing is saved: that RCX is the user's RSP 0x%llx and RDX where to return, "
	        "0x%llx, is what both sides have agreed on. GS and CR3 stay the user's.",
	        engine->state.sregs.cs.selector, engine->state.sregs.ss.selector,
	        engine->state.regs.rsp, anatomy_stack_name(m->stacks, engine->state.regs.rsp),
	        engine->state.regs.rcx, engine->state.regs.rdx);
}

/* The selector of the call gate that leads here, with what it says; 0: none does. */
static unsigned find_call_gate(const struct engine *engine, struct desc_gate *gate)
{
	for (unsigned i = 1; i * 8 + 15 <= engine->state.sregs.gdt.limit; i++) {
		uint64_t words[2] = {0};

		engine_read(engine, engine->state.sregs.gdt.base + i * 8, words, sizeof(words));
		desc_gate_decode(words, gate);
		if (gate->type == DESC_CALL_GATE && gate->present && gate->dpl == 3 &&
		    gate->offset == engine->state.regs.rip)
			return i * 8;
	}
	return 0;
}

static void tell_call_gate(FILE *out, const struct anatomy_moment *m, uint64_t *moved)
{
	const struct engine *engine = m->engine;
	uint64_t frame[4] = {0}; /* RIP, CS, RSP, SS */
	struct desc_gate gate;
	struct desc_tss tss = {0};
	unsigned selector = find_call_gate(engine, &gate);

	engine_read(engine, engine->state.regs.rsp, frame, sizeof(frame));
	engine_read(engine, engine->state.sregs.tr.base, &tss, sizeof(tss));
	fputs("Far CALL through a gate", out);
	if (selector)
		fprintf(out,
		        ", selector %02x in the GDT: DPL 3, so ring 3 may; CS = %02x and RIP out "
		        "of the gate, not out of the pointer",
		        selector, gate.selector);
	fprintf(out,
	        ". CPL 3 to 0, SS = 0; RSP0 of the TSS gives the stack 0x%" PRIx64
	        " (%s); pushed: SS %02" PRIx64 ", RSP 0x%" PRIx64 ", CS %02" PRIx64
	        ", RIP 0x%" PRIx64 ". RFLAGS stay as they are, IF too: no interrupt is kept away. "
	        "GS and CR3 stay the user's.",
	        desc_tss_rsp(&tss, 0), anatomy_stack_name(m->stacks, desc_tss_rsp(&tss, 0)),
	        frame[3], frame[2], frame[1], frame[0]);
	*moved += 4;
}

static void tell_gate(FILE *out, const struct anatomy_moment *m, const struct engine_arrival *entry,
                      uint64_t *moved)
{
	const struct engine *engine = m->engine;
	const struct engine_frame *frame = &entry->frame;
	uint64_t words[2] = {0};
	struct desc_gate gate;
	struct desc_tss tss = {0};
	bool has_error = entry->arrived < 32 && VECTORS_WITH_ERROR_CODE >> entry->arrived & 1;

	engine_read(engine, engine->state.sregs.idt.base + (uint64_t)entry->arrived * 16, words,
	            sizeof(words));
	desc_gate_decode(words, &gate);
	engine_read(engine, engine->state.sregs.tr.base, &tss, sizeof(tss));
	fprintf(out, "Gate %u of the IDT: %s gate, DPL %u. ", entry->arrived,
	        gate.type == DESC_TRAP_GATE ? "trap" : "interrupt", gate.dpl);
	if (gate.ist)
		fprintf(out, "IST%u of the TSS gives the stack 0x%" PRIx64 "; ", gate.ist,
		        desc_tss_ist(&tss, gate.ist));
	else if (entry->from_user)
		fprintf(out, "RSP0 of the TSS gives the stack 0x%" PRIx64 " (%s); ",
		        desc_tss_rsp(&tss, 0),
		        anatomy_stack_name(m->stacks, desc_tss_rsp(&tss, 0)));
	else
		fputs("The stack stays, aligned to 16 bytes; ", out);
	fprintf(out,
	        "pushed: SS %02" PRIx64 ", RSP 0x%" PRIx64 ", RFLAGS 0x%" PRIx64 ", CS %02" PRIx64
	        ", RIP 0x%" PRIx64,
	        frame->ss, frame->rsp, frame->rflags, frame->cs, frame->rip);
	if (has_error)
		fprintf(out, ", error code 0x%" PRIx64, frame->error);
	fprintf(out, ". %s", gate.type == DESC_TRAP_GATE ? "IF stays; " : "IF is cleared; ");
	if (entry->from_user)
		fprintf(out, "CPL 3 to 0, CS = %02x, SS = 0; ", gate.selector);
	fprintf(out, "%sGS and CR3 stay%s.",
	        entry->arrived == VECTOR_PF ? "CR2 = the address; " : "",
	        entry->from_user ? " the user's" : "");
	*moved += has_error ? 6 : 5;
}

static void tell_entry(FILE *out, const struct anatomy_moment *m, const struct symbols *symbols,
                       uint64_t *moved)
{
	const struct engine_arrival entry = engine_arrival(m->engine);
	char text[224];

	if (entry.kind == ENTRY_SYSENTER) {
		tell_sysenter(out, m);
		return;
	}
	if (entry.kind == ENTRY_SYSCALL && entry.quirk) {
		fprintf(out,
		        "SYSCALL, half: RCX = the return address 0x%llx, R11 = RFLAGS 0x%llx, RIP "
		        "= LSTAR and FMASK are done, but this KVM leaves CPL at 3. So the fetch at "
		        "LSTAR, a page of ring 0, is a page fault, which the guest recognises and "
		        "completes as the system call. ",
		        m->engine->state.regs.rcx, m->engine->state.regs.r11);
	} else if (entry.kind == ENTRY_SYSCALL) {
		tell_syscall(out, m);
		return;
	} else if (entry.arrived >= 32 && entry.rip == entry.frame.rip && !entry.quirk) {
		fprintf(out, "An interrupt, vector %u (0x%x), comes before this instruction runs. ",
		        entry.arrived, entry.arrived);
	} else if (entry.quirk) {
		fprintf(out,
		        "INT 0x%x: this KVM knows no such gate and raises #UD, which the guest "
		        "recognises and completes. ",
		        entry.vector);
	} else {
		fprintf(out, "%c%s. ",
		        engine_arrival_text(m->engine, &entry, symbols, text, sizeof(text))[0] - 32,
		        text + 1);
	}
	if (entry.kind != ENTRY_COMPAT)
		tell_gate(out, m, &entry, moved);
}

/* ---- Returns and the rest
 * ------------------------------------------------------------------------ */

static void tell_return(FILE *out, const struct anatomy_moment *m, uint64_t *moved)
{
	const struct engine *engine = m->engine;
	bool to_user = engine_cpl(engine) == 3;

	if (m->insn->kind == CODE_SYSRET) {
		fprintf(out,
		        "SYSRET: RIP = RCX, RFLAGS = R11 = 0x%llx; CS = %02x and SS = %02x out of "
		        "STAR, CPL 0 to 3. RSP, GS and CR3 are as the kernel has set them.",
		        engine->state.regs.rflags, engine->state.sregs.cs.selector,
		        engine->state.sregs.ss.selector);
		return;
	}
	if (m->insn->kind == CODE_SYSEXIT) {
		fprintf(out,
		        "SYSEXIT: RIP = RDX, RSP = RCX; CS = %02x and SS = %02x out of "
		        "SYSENTER_CS, CPL 0 to 3. RFLAGS, GS and CR3 are as the kernel has set "
		        "them; the STI before it counts from here on.",
		        engine->state.sregs.cs.selector, engine->state.sregs.ss.selector);
		return;
	}
	if (m->insn->kind == CODE_FAR_RET) {
		fprintf(out, "Far RET pops RIP 0x%llx, CS %02x, RSP 0x%llx, SS %02x%s.",
		        engine->state.regs.rip, engine->state.sregs.cs.selector,
		        engine->state.regs.rsp, engine->state.sregs.ss.selector,
		        to_user ? ": CPL 0 to 3. RFLAGS, GS and CR3 are as the kernel has set them"
		                : "");
		*moved += 4;
		return;
	}
	fprintf(out, "IRETQ pops RIP 0x%llx, CS %02x, RFLAGS 0x%llx, RSP 0x%llx, SS %02x%s.",
	        engine->state.regs.rip, engine->state.sregs.cs.selector, engine->state.regs.rflags,
	        engine->state.regs.rsp, engine->state.sregs.ss.selector,
	        to_user ? ": CPL 0 to 3. GS and CR3 are as the kernel has set them" : "");
	*moved += 5;
}

static void tell_cr3(FILE *out, const struct anatomy_moment *m)
{
	uint64_t cr3 = m->engine->state.sregs.cr3;
	bool pcid = m->engine->state.sregs.cr4 & CR4_PCIDE;

	fprintf(out, "CR3: %s 0x%llx to %s 0x%" PRIx64, cr3_text(m->was_user_root), m->sregs->cr3,
	        cr3_text(m->is_user_root), cr3);
	if (pcid)
		fprintf(out,
		        " with PCID 0x%" PRIx64
		        "; bit 63 of the value decides whether that PCID's TLB entries stay.",
		        cr3 & CR3_PCID_MASK);
	else
		fprintf(out, "; without PCID the TLB keeps only global pages%s.",
		        m->engine->state.sregs.cr4 & CR4_PGE ? ""
		                                             : ", and there are none with KPTI");
}

char *anatomy_tell(const struct anatomy_moment *m, const struct symbols *symbols, uint64_t *moved)
{
	const struct engine *engine = m->engine;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool entered = engine_entry(engine, engine->state.regs.rip) >= 0 &&
	               engine->state.regs.rip != m->insn->address + m->insn->size;

	if (!out)
		return NULL;
	if (entered)
		tell_entry(out, m, symbols, moved);
	else if (m->insn->kind == CODE_FAR_CALL && engine_cpl(engine) == 0)
		tell_call_gate(out, m, moved);
	else if (CODE_RETURNS & CODE_BIT(m->insn->kind))
		tell_return(out, m, moved);
	else if (m->insn->kind == CODE_CR3_WRITE)
		tell_cr3(out, m);
	else if (!strcmp(m->insn->text, "swapgs"))
		fprintf(out, "GS base 0x%llx and KERNEL_GS_BASE change places: GS is the %s.",
		        m->sregs->gs.base,
		        engine->state.sregs.gs.base >> 63 ? "kernel's now" : "user's again");
	else if (m->exited)
		fputs("An exit to the VMM, and back.", out);
	fclose(out);
	if (text && !*text) {
		free(text);
		text = NULL;
	}
	return text;
}
