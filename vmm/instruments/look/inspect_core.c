#include "vmm/instruments/look/inspect_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/color.h"
#include "vmm/base/printable.h"
#include "vmm/base/state.h"
#include "vmm/base/units.h"
#include "vmm/instruments/look/core_read.h"
#include "vmm/instruments/look/request.h"
#include "vmm/look/json.h"
#include "vmm/look/registers.h"
#include "vmm/look/saved_regs.h"
#include "vmm/look/symbols.h"
#include "vmm/run/outcome.h"
#include "vmm/run/stats.h"

/* ---- Text ---------------------------------------------------------------------------------- */

static void print_core(FILE *out, const struct core *core, const struct style *style)
{
	char guest[256], size[UNITS_SIZE];

	fprintf(out, "%sCore of %s%s  end %s, last exit %s, %s of RAM\n", style->head,
	        printable(guest, sizeof(guest), core->machine.guest, sizeof(guest) - 1), style->end,
	        outcome_name((enum end_reason)core->machine.end_reason),
	        stats_reason_name(core->machine.exit_reason), units_bytes(size, core->memory.size));
}

static void print_msrs(FILE *out, const struct core_vcpu *vcpu, const struct symbols *symbols)
{
	char name[96];

	for (uint32_t i = 0; i < vcpu->msr_count; i++) {
		const struct core_msr *msr = &vcpu->msrs[i];

		if (msr_name(msr->index))
			fprintf(out, "  %-14s %016" PRIx64 "%s\n", msr_name(msr->index), msr->value,
			        symbols_text(symbols, msr->value, name, sizeof(name)));
		else
			fprintf(out, "  MSR 0x%08" PRIx32 " %016" PRIx64 "\n", msr->index,
			        msr->value);
	}
}

/* cpu: ", CPU 1", or nothing where there is one. */
static void print_vcpu(FILE *out, const struct core_vcpu *vcpu, const char *cpu,
                       const struct look_moment *moment, const struct style *style)
{
	if (vcpu->has_saved) {
		const struct kvm_regs saved = saved_regs(&vcpu->saved);

		fprintf(out, "\n%sRegisters, as the guest had saved them%s%s\n", style->head, cpu,
		        style->end);
		registers_print_general(out, &saved, moment->symbols);
	}
	fprintf(out, "\n%sState %s%s, ring %u%s\n", style->head, moment->when, cpu,
	        vcpu->sregs.ss.dpl & 3u, style->end);
	registers_print_general(out, &vcpu->regs, moment->symbols);
	registers_print_system(out, &vcpu->sregs);
	print_msrs(out, vcpu, moment->symbols);
}

static void print_state(FILE *out, const struct core *core, const struct look_moment *moment,
                        bool color)
{
	const struct style style = style_get(color);
	char cpu[16] = "";

	print_core(out, core, &style);
	for (unsigned i = 0; i < core->vcpu_count; i++) {
		if (core->machine.cpus > 1)
			snprintf(cpu, sizeof(cpu), ", CPU %" PRIu32, core->vcpus[i].number);
		print_vcpu(out, &core->vcpus[i], cpu, moment, &style);
	}
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *json_of_regs(const struct kvm_regs *regs)
{
	const struct {
		const char *name;
		uint64_t value;
	} list[] = {
	    {"rax", regs->rax}, {"rbx", regs->rbx},       {"rcx", regs->rcx}, {"rdx", regs->rdx},
	    {"rsi", regs->rsi}, {"rdi", regs->rdi},       {"rsp", regs->rsp}, {"rbp", regs->rbp},
	    {"r8", regs->r8},   {"r9", regs->r9},         {"r10", regs->r10}, {"r11", regs->r11},
	    {"r12", regs->r12}, {"r13", regs->r13},       {"r14", regs->r14}, {"r15", regs->r15},
	    {"rip", regs->rip}, {"rflags", regs->rflags},
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		json_object_set_new(json, list[i].name, look_json_hex(list[i].value));
	return json;
}

static json_t *json_of_segment(const struct kvm_segment *segment)
{
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:b, s:b}", "selector",
	                 look_json_hex(segment->selector), "base", look_json_hex(segment->base),
	                 "limit", look_json_hex(segment->limit), "type", segment->type, "dpl",
	                 segment->dpl, "present", segment->present, "long", segment->l);
}

static json_t *json_of_table(const struct kvm_dtable *table)
{
	return json_pack("{s:o, s:i}", "base", look_json_hex(table->base), "limit", table->limit);
}

static json_t *json_of_system(const struct kvm_sregs *s)
{
	return json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o}",
	    "cs", json_of_segment(&s->cs), "ss", json_of_segment(&s->ss), "ds",
	    json_of_segment(&s->ds), "es", json_of_segment(&s->es), "fs", json_of_segment(&s->fs),
	    "gs", json_of_segment(&s->gs), "tr", json_of_segment(&s->tr), "ldt",
	    json_of_segment(&s->ldt), "gdt", json_of_table(&s->gdt), "idt", json_of_table(&s->idt),
	    "cr0", look_json_hex(s->cr0), "cr2", look_json_hex(s->cr2), "cr3",
	    look_json_hex(s->cr3), "cr4", look_json_hex(s->cr4), "efer", look_json_hex(s->efer));
}

static json_t *json_of_msrs(const struct core_vcpu *vcpu)
{
	json_t *json = json_object();

	for (uint32_t i = 0; i < vcpu->msr_count; i++) {
		const struct core_msr *msr = &vcpu->msrs[i];
		char number[16];

		snprintf(number, sizeof(number), "0x%" PRIx32, msr->index);
		json_object_set_new(json, msr_name(msr->index) ? msr_name(msr->index) : number,
		                    look_json_hex(msr->value));
	}
	return json;
}

static json_t *json_of_state(const struct core *core, const struct look_moment *moment,
                             const struct core_vcpu *vcpu)
{
	const struct core_machine *machine = &core->machine;
	const struct kvm_regs saved = saved_regs(&vcpu->saved);
	char guest[256];

	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:o, s:o, s:o, s:o}", "look",
	                 "state", "cpu", (int)vcpu->number, "when", moment->when, "guest",
	                 printable(guest, sizeof(guest), machine->guest, sizeof(guest) - 1), "end",
	                 outcome_name((enum end_reason)machine->end_reason), "last_exit",
	                 stats_reason_name(machine->exit_reason), "ram",
	                 (json_int_t)core->memory.size, "cpl", vcpu->sregs.ss.dpl & 3, "saved",
	                 vcpu->has_saved ? json_of_regs(&saved) : json_null(), "registers",
	                 json_of_regs(&vcpu->regs), "system", json_of_system(&vcpu->sregs), "msrs",
	                 json_of_msrs(vcpu));
}

/* A line for each vCPU. */
static bool write_states(const struct core *core, const struct look_moment *moment)
{
	for (unsigned i = 0; i < core->vcpu_count; i++) {
		if (!look_json_write(stdout, json_of_state(core, moment, &core->vcpus[i])))
			return false;
	}
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool inspect(const struct core *core, const struct symbols *symbols,
                    const struct look_request *request, const struct manner *manner)
{
	const struct look_moment moment = core_moment(core, symbols);
	const bool json = manner->json;
	const bool color = manner_colors(manner, STDOUT_FILENO);
	bool good;

	if (!look_request_check(request, symbols))
		return false;
	if (json && !write_states(core, &moment))
		return false;
	if (!json)
		print_state(stdout, core, &moment, color);
	good = look_request_answer(stdout, request, &moment, json, color) == LOOK_ANSWERED;
	for (unsigned i = 1; i < core->vcpu_count; i++) {
		const struct core_vcpu *vcpu = &core->vcpus[i];
		const struct look_moment other =
		    look_moment_of(&moment, vcpu->number, &vcpu->regs, &vcpu->sregs);

		good &= look_request_audit(stdout, request, &moment, &other, json, color) ==
		        LOOK_ANSWERED;
	}
	return good;
}

int inspect_core_main(const char *path, const char *guest, const struct look_request *request,
                      const struct manner *manner)
{
	struct core *core = calloc(1, sizeof(*core));
	struct symbols symbols = {0};
	bool good = core && core_read(core, path);

	if (good) {
		/* Only a file that the user names: a path inside a core is not to be opened. */
		if (guest)
			symbols = symbols_read(guest);
		good = inspect(core, &symbols, request, manner);
	}
	symbols_free(&symbols);
	if (core)
		core_free(core);
	free(core);
	return good ? 0 : STATUS_VMM_FAILED;
}
