#include "vmm/instruments/look/live.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/outfile.h"
#include "vmm/base/stop.h"
#include "vmm/instruments/look/core_write.h"
#include "vmm/instruments/look/request.h"
#include "vmm/look/symbols.h"
#include "vmm/run/machine.h"
#include "vmm/instruments/names.h"

/* What looking may take at least, once the VMM is to stop. */
#define PATIENCE_NS UINT64_C(400000000)

/* ---- The moment ---------------------------------------------------------------------------- */

/* KVM's own translation (KVM_TRANSLATE), for the CR3 that the vCPU has. */
static bool translate(void *ctx, uint64_t va, uint64_t *pa)
{
	const struct cpu *cpu = ctx;
	struct kvm_translation translation = {.linear_address = va};

	if (KVM_IOCTL(cpu->vcpu.fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
		return false;
	*pa = translation.physical_address;
	return true;
}

/* The guest's time limit is not that of looking, which may take as long again; who sends a signal
 * will not wait. */
static uint64_t patience(const struct look_live *live)
{
	const uint64_t limit =
	    stop_requested() == STOP_TIMEOUT ? live->machine->plan->timeout_ns : 0;

	return limit > PATIENCE_NS ? limit : PATIENCE_NS;
}

/* What is looked at when time has run out is looked at all the same, but not for ever. */
static bool give_up(void *ctx)
{
	struct look_live *live = ctx;
	uint64_t since;

	if (!stop_requested())
		return false;
	since = stop_requested_at() > live->began ? stop_requested_at() : live->began;
	return clock_ns() - since > patience(live);
}

static void take_segments(struct look_moment *moment, const struct image *image)
{
	moment->segment_count = image->count;
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];

		moment->segments[i] = (struct rs_segment){
		    .va = segment_page_va(s),
		    .gpa = segment_page_gpa(s),
		    .size = segment_page_size(s),
		    .flags = s->flags,
		    .user = image->noted && segment_is_user(s),
		};
	}
}

static void take_moment(struct look_moment *moment, struct look_live *live, const struct cpu *cpu,
                        const struct vcpu_state *state, const char *when)
{
	struct machine *machine = live->machine;
	/* Whatever these say; look_init decides whether to believe it.  Read once. */
	const volatile struct rs_call *call = machine->boot.call[cpu->number];
	const bool foreign = !machine->boot.page;

	*moment = (struct look_moment){
	    .memory = &machine->memory,
	    .cpu = cpu->number,
	    .regs = state->regs,
	    .sregs = state->sregs,
	    .geometry = machine->boot.kernel.geo,
	    .noted = machine->image.noted,
	    .foreign = foreign,
	    .cpus = machine->boot.cpus,
	    .boot_root = machine->boot.kernel.root,
	    .free_start = machine->boot.next_frame,
	    .kernel_cr3 = machine->image.noted ? call->kernel_cr3 : 0,
	    .user_cr3 = machine->image.noted ? call->user_cr3 : 0,
	    .features = foreign ? machine->kvm.host.cpuid_features : machine->kvm.host.features,
	    .features_known = true,
	    .msrs_known = state->msrs_known,
	    .symbols = &live->symbols,
	    .give_up = give_up,
	    .give_up_ctx = live,
	};
	memcpy(moment->msrs, state->msrs, sizeof(moment->msrs));
	snprintf(moment->when, sizeof(moment->when), "%s", when);
	take_segments(moment, &machine->image);
}

/* The state at the end of the CPU that ended the run; that of an earlier moment where a KVM has
 * reset the vCPU. */
static bool take_end(struct look_moment *moment, struct look_live *live)
{
	struct machine *machine = live->machine;
	struct cpu *cpu = machine_last_cpu(machine);
	struct vcpu_state now;
	char when[48];

	if (!vcpu_read(&cpu->vcpu, &now, STATE_BASIC | STATE_ALL_MSRS))
		return false;
	if (machine->outcome.reason != END_SHUTDOWN || !vcpu_is_reset(&now.regs, &now.sregs)) {
		take_moment(moment, live, cpu, &now, "at the end");
		moment->translate = translate;
		moment->translate_ctx = cpu;
		return true;
	}
	if (!cpu->last_when)
		return message_error("this KVM reset the vCPU when the guest died: there is no "
		                     "state to look at");
	/* Memory is of now. */
	snprintf(when, sizeof(when), "at the end, registers %s", cpu->last_when);
	take_moment(moment, live, cpu, &cpu->last, when);
	moment->stale = true;
	return true;
}

/* ---- Looking ------------------------------------------------------------------------------- */

static bool look_now(struct look_live *live, const struct look_moment *moment)
{
	struct machine *machine = live->machine;
	enum look_answer answer;

	live->looked = true;
	/* Another kernel's names may be nowhere but in its RAM, which takes its time. */
	if (!live->symbols.count && machine->image.protocol->is_pc) {
		live->symbols = names_read(machine, machine_last_cpu(machine));
		if (!look_request_check(&live->request, &live->symbols))
			return false;
	}
	live->began = clock_ns();
	/* What the guest said before belongs before it. */
	if (machine->console.failed || !console_flush(&machine->console))
		return false;
	answer = look_request_answer(stdout, &live->request, moment, live->manner->json,
	                             manner_colors(live->manner, STDOUT_FILENO));
	live->broken |= answer == LOOK_RULE_BROKEN;
	live->missing |= answer == LOOK_FAILED;
	return answer != LOOK_FAILED;
}

/* At a moment whose registers are in cpu->last. */
static bool look_at_last(struct look_live *live, const struct cpu *cpu, const char *when)
{
	struct look_moment moment;

	take_moment(&moment, live, cpu, &cpu->last, when);
	return look_now(live, &moment);
}

/* For --at mark=N.  False: the run is to end. */
static bool see_mark(struct observer *observer, struct cpu *cpu, unsigned slot,
                     const struct rs_mark *mark)
{
	struct look_live *live = (struct look_live *)observer;
	char when[48];

	(void)slot;
	(void)mark;
	if (++live->marks != live->request.mark)
		return true;
	snprintf(when, sizeof(when), "at mark %" PRIu64, live->marks);
	return look_at_last(live, cpu, when);
}

static bool wanted(const void *mine)
{
	const struct look_live *live = mine;

	return look_request_asks(&live->request) || live->core.path;
}

/* After stop_install. */
static bool begin(void *mine, struct machine *machine, struct manner *manner)
{
	struct look_live *live = mine;
	const struct look_request *request = &live->request;

	live->machine = machine;
	live->manner = manner;
	/* A shell's background has it ignored. */
	if (live->core.path)
		stop_catch(SIGQUIT);
	if (!machine->image.protocol->is_pc) {
		if (request->walk_count)
			live->symbols = names_read(machine, &machine->cpus[0]);
		if (!look_request_check(request, &live->symbols))
			return false;
	}
	if (!look_request_asks(request))
		return true;
	if (request->at == LOOK_AT_MARK) {
		live->observer.marked = see_mark;
		machine_observe(machine, &live->observer);
	}
	return request->at != LOOK_AT_BOOT || look_at_last(live, &machine->cpus[0], "at boot");
}

/* ---- The core ------------------------------------------------------------------------------ */

/* A guest that ended by itself, or was ended by somebody who wants it gone, leaves none. */
static bool leaves_core(const struct outcome *outcome)
{
	switch (outcome->reason) {
	case END_PANIC:
	case END_SHUTDOWN:
	case END_INTERNAL_ERROR:
	case END_FAIL_ENTRY:
	case END_UNEXPECTED_EXIT:
	case END_BAD_STATUS:
	case END_TIMEOUT:
		return true;
	case END_SIGNAL:
		return outcome->signal == SIGQUIT;
	default:
		return false;
	}
}

/* FPU and MSRs of a vCPU that still has the state that the core is to have. */
static void take_more(struct core_vcpu *to, struct kvm_fpu *fpu, const struct kvm_fpu **has_fpu,
                      const struct vcpu *vcpu)
{
	struct vcpu_state state;

	_Static_assert(STATE_MSRS <= CORE_MSRS, "they have room");
	if (vcpu_read(vcpu, &state, STATE_FPU | STATE_ALL_MSRS)) {
		*fpu = state.fpu;
		*has_fpu = fpu;
	}
	for (unsigned i = 0; i < STATE_MSRS; i++) {
		if (state.msrs_known >> i & 1)
			to->msrs[to->msr_count++] =
			    (struct core_msr){.index = msr_table[i].index, .value = state.msrs[i]};
	}
}

/* What a core has of the CPU that the moment is of: registers that are older than RAM where the
 * vCPU was reset, and then no others. */
static void take_last_cpu(struct core_vcpu *to, struct kvm_fpu *fpu, const struct kvm_fpu **has_fpu,
                          struct machine *machine, const struct look_moment *moment)
{
	const struct cpu *cpu = machine_last_cpu(machine);
	const struct panic *panic = &machine->panic;

	*to = (struct core_vcpu){
	    .number = cpu->number,
	    .has_saved = machine->outcome.reason == END_PANIC && panic->has_regs,
	    .regs = moment->regs,
	    .sregs = moment->sregs,
	};
	if (to->has_saved)
		to->saved = panic->regs;
	if (moment->stale)
		return;
	take_more(to, fpu, has_fpu, &cpu->vcpu);
}

/* ... and of another.  False when it cannot be asked. */
static bool take_other_cpu(struct core_vcpu *to, struct kvm_fpu *fpu,
                           const struct kvm_fpu **has_fpu, const struct cpu *cpu)
{
	struct vcpu_state now;

	if (!vcpu_read(&cpu->vcpu, &now, STATE_BASIC))
		return false;
	*to = (struct core_vcpu){.number = cpu->number, .regs = now.regs, .sregs = now.sregs};
	take_more(to, fpu, has_fpu, &cpu->vcpu);
	return true;
}

static bool write_core(struct look_live *live, const struct look_moment *moment)
{
	struct machine *machine = live->machine;
	struct core_vcpu vcpus[RS_MAX_CPUS];
	struct kvm_fpu fpu[RS_MAX_CPUS];
	struct core_contents contents = {
	    .moment = moment,
	    .outcome = &machine->outcome,
	    .guest = machine->image.path,
	    .vcpu_count = 1,
	    .vcpus = vcpus,
	};

	take_last_cpu(&vcpus[0], &fpu[0], &contents.fpu[0], machine, moment);
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		const unsigned n = contents.vcpu_count;

		if (i != machine->outcome.cpu && machine->cpus[i].started &&
		    take_other_cpu(&vcpus[n], &fpu[n], &contents.fpu[n], &machine->cpus[i]))
			contents.vcpu_count++;
	}
	if (!core_write(&live->core, &contents))
		return false;
	if (!live->manner->quiet)
		message_error("core written to %s; look at it with: vmm --inspect-core %s %s",
		              live->core.path, live->core.path, machine->image.path);
	return true;
}

/* ---- The end ------------------------------------------------------------------------------- */

/* The roots that the other CPUs run on have rules to keep too. */
static bool audit_others(struct look_live *live, const struct look_moment *moment)
{
	struct machine *machine = live->machine;
	bool good = true;

	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		struct cpu *cpu = &machine->cpus[i];
		struct look_moment other;
		struct vcpu_state now;
		enum look_answer answer;

		if (i == machine->outcome.cpu || !cpu->started)
			continue;
		if (!vcpu_read(&cpu->vcpu, &now, STATE_BASIC))
			return false;
		other = look_moment_of(moment, i, &now.regs, &now.sregs);
		other.translate = translate;
		other.translate_ctx = cpu;
		answer =
		    look_request_audit(stdout, &live->request, moment, &other, live->manner->json,
		                       manner_colors(live->manner, STDOUT_FILENO));
		live->broken |= answer == LOOK_RULE_BROKEN;
		good &= answer != LOOK_FAILED;
	}
	return good;
}

/* The core first: what it holds is not to be changed by looking.  False after a message. */
static bool look_at_end(struct look_live *live)
{
	const struct look_request *request = &live->request;
	const bool core = live->core.path && leaves_core(&live->machine->outcome);
	const bool look = look_request_asks(request) && request->at == LOOK_AT_EXIT;
	struct look_moment moment;
	bool good = true;

	if ((core || look) && !take_end(&moment, live))
		return false;
	if (core)
		good = write_core(live, &moment);
	if (look)
		good = look_now(live, &moment) && audit_others(live, &moment) && good;
	if (look_request_asks(request) && !live->looked)
		good = message_error("--at mark=%" PRIu64 ": the guest made %" PRIu64
		                     " marks, so nothing was looked at",
		                     request->mark, live->marks);
	return good;
}

static enum instrument_result end(void *mine, struct machine *machine, struct manner *manner)
{
	struct look_live *live = mine;

	(void)machine;
	(void)manner;
	if (!look_at_end(live) || live->missing)
		return INSTRUMENT_LOST;
	return live->broken ? INSTRUMENT_FAULT : INSTRUMENT_DONE;
}

static void drop(void *mine)
{
	symbols_free(&((struct look_live *)mine)->symbols);
}

const struct instrument look_instrument = {
    .option = "map", .wanted = wanted, .begin = begin, .end = end, .free = drop};
