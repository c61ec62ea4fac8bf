#include "vmm/instruments/death/diagnose.h"

#include <inttypes.h>
#include <string.h>

#include "shared/x86.h"
#include "vmm/base/color.h"
#include "vmm/base/names.h"
#include "vmm/base/printable.h"
#include "vmm/base/units.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/look/backtrace.h"
#include "vmm/look/disasm.h"
#include "vmm/look/registers.h"
#include "vmm/look/saved_regs.h"
#include "vmm/look/symbols.h"
#include "vmm/look/view.h"

/* What all parts of the account need. */
struct account {
	FILE *out;
	const struct diagnose_input *in;
	struct style style;
	struct symbols symbols;
};

static void head(const struct account *account, const char *text)
{
	fprintf(account->out, "\n%s%s%s\n", account->style.head, text, account->style.end);
}

/* ---- Why --------------------------------------------------------------------------------- */

static void explain_internal_error(FILE *out, const struct kvm_run *run)
{
	const uint32_t most = sizeof(run->internal.data) / sizeof(run->internal.data[0]);
	uint32_t count = run->internal.ndata < most ? run->internal.ndata : most;

	switch (run->internal.suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		fputs("  KVM had to carry out the instruction at RIP itself and cannot: it is one "
		      "its\n"
		      "  emulator does not know, or RIP points to memory without RAM behind it.\n",
		      out);
		return;
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		fputs("  KVM met an exception while it delivered another one.\n", out);
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		fputs(
		    "  KVM met an exit while it delivered an event: the IDT, the TSS or the stack\n"
		    "  probably lies outside RAM.\n",
		    out);
		break;
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		fputs("  The processor gave KVM an exit reason that it does not know.\n", out);
		break;
	default:
		fprintf(out, "  KVM gave the suberror %" PRIu32 ", which has no name.\n",
		        run->internal.suberror);
		break;
	}
	for (uint32_t i = 0; i < count; i++)
		fprintf(out, "  detail %" PRIu32 ": 0x%016llx\n", i, run->internal.data[i]);
}

static void explain_fail_entry(FILE *out, const struct kvm_run *run)
{
	const uint64_t intel_invalid_state = 0x80000021, amd_invalid = UINT64_MAX;
	uint64_t reason = run->fail_entry.hardware_entry_failure_reason;

	fprintf(
	    out, "  The processor refused to enter the guest, hardware reason 0x%" PRIx64 "%s.\n",
	    reason,
	    reason == intel_invalid_state ? ": the guest's state is invalid (SDM volume 3, 26.3)"
	    : reason == amd_invalid       ? ": the guest's state is invalid (APM 15.5)"
	                                  : "");
}

static void explain_panic(const struct account *account)
{
	const char *text = account->in->message;
	size_t left = text ? account->in->message_size : 0;

	fputs("  The guest gave up. It said:\n", account->out);
	while (left > 0) {
		const char *end = memchr(text, '\n', left);
		size_t length = end ? (size_t)(end - text) : left;
		char line[1024];

		fprintf(account->out, "    %s\n", printable(line, sizeof(line), text, length));
		length += end != NULL;
		text += length;
		left -= length;
	}
}

static void explain_why(const struct account *account)
{
	static const char *const heads[END_REASONS] = {
	    [END_PANIC] = "panic",
	    [END_SHUTDOWN] = "triple fault (KVM_EXIT_SHUTDOWN)",
	    [END_INTERNAL_ERROR] = "KVM cannot go on (KVM_EXIT_INTERNAL_ERROR)",
	    [END_FAIL_ENTRY] = "the processor refuses it (KVM_EXIT_FAIL_ENTRY)",
	    [END_UNEXPECTED_EXIT] = "an exit that this machine cannot cause",
	};
	const struct diagnose_input *in = account->in;
	const char *text = in->reason < END_REASONS ? heads[in->reason] : NULL;
	FILE *out = account->out;

	fprintf(out, "%svmm: the guest died", account->style.bad);
	if (in->other_count)
		fprintf(out, " on CPU %u", in->cpu);
	fprintf(out, ": %s%s\n", text ? text : outcome_name(in->reason), account->style.end);
	switch (in->reason) {
	case END_PANIC:
		explain_panic(account);
		break;
	case END_SHUTDOWN:
		fputs("  An exception could not be delivered, nor could the double fault that "
		      "followed.\n",
		      out);
		break;
	case END_INTERNAL_ERROR:
		if (in->run)
			explain_internal_error(out, in->run);
		break;
	case END_FAIL_ENTRY:
		if (in->run)
			explain_fail_entry(out, in->run);
		break;
	default:
		if (in->run)
			fprintf(out, "  KVM_RUN returned with reason %" PRIu32 ", %s.\n",
			        in->run->exit_reason, stats_reason_name(in->run->exit_reason));
		break;
	}
}

/* ---- Code -------------------------------------------------------------------------------- */

static void print_code(const struct account *account, const struct view *view)
{
	uint64_t rip = view->regs->rip + (view_bits(view) == 64 ? 0 : view->sregs->cs.base);
	uint8_t code[DISASM_BEFORE + DISASM_AFTER];
	struct disasm_input in = {
	    .code = code,
	    .address = rip,
	    .bits = view_bits(view),
	    .symbols = &account->symbols,
	};
	size_t before = DISASM_BEFORE;

	head(account, "Code");
	/* As much before RIP as is readable in one piece. */
	while (before > 0 &&
	       (before > rip || view_read(view, rip - before, code, before) != before))
		before--;
	in.at = before;
	in.size = before + view_read(view, rip, code + before, DISASM_AFTER);
	if (in.size == in.at) {
		fprintf(account->out, "  at RIP there is no readable memory\n");
		if (!before)
			return;
	}
	disasm_print(account->out, "  ", &in);
}

/* What KVM itself fetched, when emulation failed: there even when RIP cannot be read now. */
static void print_emulated_bytes(const struct account *account)
{
	const struct diagnose_input *in = account->in;
	const struct kvm_run *run = in->run;

	if (in->reason != END_INTERNAL_ERROR || !run ||
	    run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;

	size_t size = run->emulation_failure.insn_size;

	if (size > sizeof(run->emulation_failure.insn_bytes))
		size = sizeof(run->emulation_failure.insn_bytes);
	fputs("  KVM's emulator had fetched", account->out);
	for (size_t i = 0; i < size; i++)
		fprintf(account->out, " %02x", run->emulation_failure.insn_bytes[i]);
	fputs(size ? "\n" : " nothing\n", account->out);
}

/* ---- Page tables ------------------------------------------------------------------------- */

/* Bit 0 of every paging-structure entry, SDM volume 3, 4.5. */
enum { PTE_PRESENT = 1 };

static void print_walk(const struct account *account, const struct view *view, const char *name,
                       uint64_t va, unsigned kind)
{
	struct pt_access access = view_access(view, kind, view_cpl(view));
	struct pt_verdict verdict;
	struct pt_walk walk;
	char text[200], rights[8];

	view_allows(view, va, access, &verdict);
	pt_verdict_text(text, sizeof(text), va, access, &verdict);
	fprintf(account->out, "  %-3s %s\n", name, text);
	pt_walk(&view->pt, va, &walk);
	for (unsigned i = 0; i < walk.steps; i++) {
		const struct pt_step *step = &walk.step[i];

		fprintf(account->out, "        level %u: table 0x%09" PRIx64 " [%3u] = %016" PRIx64,
		        step->level, step->table, step->index, step->entry);
		if (step->entry & PTE_PRESENT)
			fprintf(account->out, "  %s%s%s\n", step->user ? "user" : "supervisor",
			        step->write ? ", write" : "", step->exec ? ", exec" : "");
		else
			fputs("  not present\n", account->out);
	}
	if (walk.corrupt)
		fputs("        the next table lies outside RAM\n", account->out);
	if (walk.mapped)
		fprintf(account->out,
		        "        physical 0x%" PRIx64 ", a page of %" PRIu64 " KiB, %s\n", walk.pa,
		        walk.page_size / 1024, pt_rights_text(rights, walk.rights));
}

static void print_walks(const struct account *account, const struct view *view)
{
	head(account, "Page tables");
	if (!view->paging) {
		fputs(view->sregs->cr0 & CR0_PG
		          ? "  of 32-bit protected mode: --walk ADDRESS shows them\n"
		          : "  paging is off: linear addresses are physical\n",
		      account->out);
		return;
	}
	print_walk(account, view, "RIP", view->regs->rip, PT_FETCH);
	print_walk(account, view, "RSP", view->regs->rsp, PT_STORE);
	print_walk(account, view, "CR2", view->sregs->cr2, PT_READ);
}

/* For a triple fault: what stands in the way of the exceptions that lead to one. */
static void print_delivery(const struct account *account, const struct view *view)
{
	static const uint8_t vectors[] = {VECTOR_UD, VECTOR_GP, VECTOR_PF, VECTOR_DF};

	if (account->in->reason != END_SHUTDOWN || !view->paging)
		return;
	head(account, "Could an exception be delivered?");
	for (size_t i = 0; i < sizeof(vectors); i++) {
		char why[320];

		if (view_delivery_problem(view, vectors[i], why, sizeof(why)))
			fprintf(account->out, "  %s no: %s\n", vector_name(vectors[i]), why);
		else
			fprintf(account->out, "  %s yes, by these tables\n",
			        vector_name(vectors[i]));
	}
}

/* ---- State ------------------------------------------------------------------------------- */

static void print_state(const struct account *account, const char *title,
                        const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	struct view view = view_make(account->in->memory, regs, sregs, account->in->geometry);
	char text[128];

	snprintf(text, sizeof(text), "%s, ring %u", title, view_cpl(&view));
	head(account, text);
	registers_print_general(account->out, regs, &account->symbols);
	registers_print_system(account->out, sregs);
	print_code(account, &view);
	print_emulated_bytes(account);
	print_walks(account, &view);
	print_delivery(account, &view);
}

/* The guest's own account of its registers, put where the vCPU's would be. */
static void print_panic_state(const struct account *account)
{
	const struct rs_regs *from = account->in->panic_regs;
	struct kvm_sregs sregs = *account->in->sregs;
	const struct kvm_regs regs = saved_regs(from);

	sregs.cs.selector = (uint16_t)from->cs;
	sregs.ss.selector = (uint16_t)from->ss;
	sregs.ss.dpl = from->cs & 3;
	sregs.cs.dpl = from->cs & 3;
	print_state(account, "Registers, as the guest had saved them", &regs, &sregs);
	fprintf(account->out,
	        "  (bases, control registers and EFER are the vCPU's at the panic;"
	        " error code 0x%" PRIx64 ")\n",
	        from->error);
}

static void print_states(const struct account *account)
{
	const struct diagnose_input *in = account->in;
	char title[96], when[48];

	if (!in->regs || !in->sregs) {
		fputs("  The registers could not be read.\n", account->out);
	} else if (!vcpu_is_reset(in->regs, in->sregs)) {
		if (in->reason == END_PANIC && in->panic_regs)
			print_panic_state(account);
		else
			print_state(account, "Registers", in->regs, in->sregs);
		return;
	} else {
		fputs("  This KVM resets the vCPU at a shutdown, as AMD's does: its registers are "
		      "now those\n"
		      "  of a processor after reset (RIP fff0), and the guest's are lost.\n",
		      account->out);
	}
	if (!in->last_regs || !in->last_sregs) {
		fputs("  No earlier state was seen; the last exits are all there is.\n",
		      account->out);
		return;
	}
	snprintf(when, sizeof(when), "%s", in->last_when ? in->last_when : "before");
	snprintf(title, sizeof(title), "Registers as last seen, %s (not at the end)", when);
	print_state(account, title, in->last_regs, in->last_sregs);
}

static void print_others(const struct account *account)
{
	const struct diagnose_input *in = account->in;

	if (!in->other_count)
		return;
	head(account, "The other CPUs");
	for (unsigned i = 0; i < in->other_count; i++) {
		const struct diagnose_cpu *cpu = &in->others[i];
		char name[128];

		fprintf(account->out, "  CPU %u  ", cpu->number);
		if (!cpu->started)
			fputs("was not started\n", account->out);
		else if (!cpu->known)
			fputs("cannot be asked\n", account->out);
		else
			fprintf(account->out,
			        "%sring %u  RIP %016llx%s  RSP %016llx  CR3 %llx  RFLAGS %llx\n",
			        cpu->halted ? "halted, " : "", cpu->sregs.ss.dpl, cpu->regs.rip,
			        symbols_text(&account->symbols, cpu->regs.rip, name, sizeof(name)),
			        cpu->regs.rsp, cpu->sregs.cr3, cpu->regs.rflags);
	}
}

/* ---- Exits ------------------------------------------------------------------------------- */

static const char *port_name(const struct exit_record *record)
{
	if (record->reason != KVM_EXIT_IO)
		return "";
	switch (record->address) {
	case RS_PORT_PUTC:
		return " (console)";
	case RS_PORT_EXIT:
		return " (exit)";
	case RS_PORT_CALL:
		return " (hypercall)";
	case RS_PORT_MARK:
		return " (mark)";
	case RS_PORT_NOP:
		return " (nothing)";
	default:
		return "";
	}
}

static void print_exit(const struct account *account, const struct exit_record *record,
                       uint64_t last)
{
	const struct stats *stats = account->in->stats;
	FILE *out = account->out;
	char time[UNITS_SIZE];

	if (record->time < last)
		fprintf(out, "  %10s earlier  ",
		        units_time(time, stats_nanoseconds(stats, last - record->time)));
	else
		fprintf(out, "  %10s          ", "last");
	fputs(stats_reason_name(record->reason), out);
	if (record->size) {
		fprintf(out, " %s %u %s at 0x%" PRIx64 "%s", record->write ? "writes" : "reads",
		        record->size, record->size == 1 ? "byte" : "bytes", record->address,
		        port_name(record));
		if (record->write)
			fprintf(out, ": 0x%" PRIx64, record->value);
	} else if (record->address) {
		fprintf(out, " 0x%" PRIx64, record->address);
	}
	fputc('\n', out);
}

static void print_backtrace(const struct account *account)
{
	const struct diagnose_input *in = account->in;
	const struct view view = in->regs && in->sregs
	                             ? view_make(in->memory, in->regs, in->sregs, in->geometry)
	                             : (struct view){0};

	if (!view.regs || view_cpl(&view) != 0 || !account->symbols.count)
		return;
	head(account, "Calls that led here, by what the stack holds");
	if (!backtrace_print(account->out, &view, &account->symbols))
		fputs("  none is found\n", account->out);
}

static void print_exits(const struct account *account)
{
	const struct stats *stats = account->in->stats;
	const struct exit_record *record;
	uint64_t last = 0;

	if (!stats)
		return;
	head(account, "The last exits");
	if (!stats->ring.count)
		fputs("  none was recorded\n", account->out);
	for (size_t i = 0; (record = exit_ring_get(&stats->ring, i)) != NULL; i++)
		last = record->time;
	for (size_t i = 0; (record = exit_ring_get(&stats->ring, i)) != NULL; i++)
		print_exit(account, record, last);
}

void diagnose_death(FILE *out, const struct diagnose_input *in)
{
	struct account account = {
	    .out = out,
	    .in = in,
	    .style = style_get(in->color),
	};

	if (in->symbols)
		account.symbols = *in->symbols;
	else if (in->elf)
		account.symbols = symbols_read(in->elf);
	explain_why(&account);
	print_states(&account);
	print_backtrace(&account);
	print_others(&account);
	print_exits(&account);
	fputc('\n', out);
	if (!in->symbols)
		symbols_free(&account.symbols);
}
