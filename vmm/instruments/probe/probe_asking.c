#include "vmm/instruments/probe/probe_asking.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/abi.h"
#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/instruments/probe/probe_guest.h"
#include "vmm/run/stats.h"

/* ---- Words ------------------------------------------------------------------------------- */

void asking_answer(struct asking *asking, enum probe_verdict verdict, const char *format, ...)
{
	struct probe_result *result = asking->result;
	va_list args;

	result->verdict = verdict;
	va_start(args, format);
	vsnprintf(result->answer, sizeof(result->answer), format, args);
	va_end(args);
}

bool probe_is_trap(const struct probe_stop *stop, uint8_t vector, uint64_t code)
{
	return stop->end == PROBE_TRAP && stop->vector == vector && stop->code == code;
}

bool probe_ran_on(struct probe_vm *vm, const struct probe_stop *stop)
{
	static const uint8_t ud2[2] = {0x0f, 0x0b};
	const void *code = memory_at(&vm->memory, stop->rip, sizeof(ud2));

	return probe_is_trap(stop, VECTOR_UD, 0) && stop->cpl == 3 && code &&
	       !memcmp(code, ud2, sizeof(ud2));
}

static const char *exit_text(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM cannot emulate it";
	case KVM_EXIT_SHUTDOWN:
		return "triple fault";
	case KVM_EXIT_FAIL_ENTRY:
		return "the processor refuses to enter";
	default:
		return NULL;
	}
}

/* What happened, when it is not what was expected. */
static void describe(struct probe_vm *vm, const struct probe_stop *stop, char *buf, size_t size)
{
	const char *text;

	switch (stop->end) {
	case PROBE_DONE:
	case PROBE_TICK:
		snprintf(buf, size, "no fault");
		break;
	case PROBE_ENTRY:
		snprintf(buf, size, "ring %u at the entry point", stop->cpl);
		break;
	case PROBE_TRAP:
		if (probe_ran_on(vm, stop))
			snprintf(buf, size, "no fault");
		else if (stop->code)
			snprintf(buf, size, "%s 0x%" PRIx64, vector_name(stop->vector), stop->code);
		else
			snprintf(buf, size, "%s", vector_name(stop->vector));
		break;
	case PROBE_EXIT:
		text = exit_text(stop->exit_reason);
		if (stop->error)
			snprintf(buf, size, "KVM_RUN: %s", strerrorname_np(stop->error));
		else if (text)
			snprintf(buf, size, "%s", text);
		else
			snprintf(buf, size, "exit %s", stats_reason_name(stop->exit_reason));
		break;
	case PROBE_REFUSED:
		snprintf(buf, size, "%s: %s", stop->call, strerrorname_np(stop->error));
		break;
	case PROBE_TIMEOUT:
		snprintf(buf, size, "no end, stopped");
		break;
	}
}

bool asking_offered(const struct asking *asking)
{
	const uint64_t needs = asking->probe->needs;

	return !needs || asking->kvm->host.cpuid_features & needs;
}

static void describe_as(struct asking *asking, enum probe_verdict verdict,
                        const struct probe_stop *stop)
{
	struct probe_result *result = asking->result;

	result->verdict = verdict;
	describe(&asking->vm, stop, result->answer, sizeof(result->answer));
}

void asking_unexpected(struct asking *asking, const struct probe_stop *stop)
{
	describe_as(asking, asking_offered(asking) ? PROBE_DIFFERS : PROBE_NOT_OFFERED, stop);
}

void asking_no_answer(struct asking *asking, const struct probe_stop *stop)
{
	describe_as(asking, PROBE_NO_ANSWER, stop);
}

/* ---- The machine ------------------------------------------------------------------------- */

static bool open_machine(struct asking *asking)
{
	struct probe_stop stop;

	if (probe_vm_open(&asking->vm, asking->kvm, asking->probe->apic, &stop))
		return true;
	asking_no_answer(asking, &stop);
	return false;
}

bool asking_renew(struct asking *asking)
{
	probe_vm_close(&asking->vm);
	return open_machine(asking);
}

void probe_start(struct probe_vm *vm, unsigned ring, const uint8_t *guest)
{
	if (ring == 0)
		probe_vm_start0(vm, guest);
	else
		probe_vm_start3(vm, guest);
}

void probe_start_port(struct probe_vm *vm, bool allowed)
{
	uint8_t *bitmap = memory_at(&vm->memory, PROBE_TSS + RS_IO_BITMAP_OFFSET, PAGE_SIZE / 2);
	const uint64_t frame[] = {probe_address3(probe_r3_exits), RS_SEL_USER_CODE, RFLAGS_FIXED,
	                          PROBE_STACK3_TOP, RS_SEL_USER_DATA};

	if (allowed)
		bitmap[PROBE_PORT_TICK / 8] &= (uint8_t) ~(1U << PROBE_PORT_TICK % 8);
	memcpy(memory_at(&vm->memory, PROBE_STACK0_TOP - sizeof(frame), sizeof(frame)), frame,
	       sizeof(frame));
	probe_vm_start0(vm, probe_r0_ltr);
	vm->regs.rax = RS_SEL_TSS;
	vm->regs.rsp -= sizeof(frame);
}

static void ask_simply(struct asking *asking)
{
	const struct probe *probe = asking->probe;
	struct probe_stop stop;

	probe_start(&asking->vm, probe->ring, probe->guest);
	if (probe->prepare)
		probe->prepare(&asking->vm);
	probe_vm_run(&asking->vm, PROBE_RUN_LIMIT, &stop);
	if (probe->end == PROBE_TRAP ? probe_is_trap(&stop, probe->vector, probe->code)
	                             : stop.end == probe->end)
		asking_answer(asking, PROBE_AS_MANUAL, "%s", probe->yes);
	else
		asking_unexpected(asking, &stop);
}

void asking_do(struct asking *asking)
{
	if (open_machine(asking))
		(asking->probe->ask ? asking->probe->ask : ask_simply)(asking);
	probe_vm_close(&asking->vm);
}
