#include "vmm/run/outcome.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/run/stats.h"

static const char *const names[END_REASONS] = {
    [END_RUNNING] = "RUNNING",
    [END_EXITED] = "EXITED",
    [END_BAD_STATUS] = "BAD_STATUS",
    [END_HALTED] = "HALTED",
    [END_PANIC] = "PANIC",
    [END_SHUTDOWN] = "SHUTDOWN",
    [END_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [END_FAIL_ENTRY] = "FAIL_ENTRY",
    [END_UNEXPECTED_EXIT] = "UNEXPECTED_EXIT",
    [END_TIMEOUT] = "TIMEOUT",
    [END_SIGNAL] = "SIGNAL",
    [END_VMM_FAILED] = "VMM_FAILED",
};

const char *outcome_name(enum end_reason reason)
{
	return reason < END_REASONS ? names[reason] : "UNKNOWN";
}

int outcome_status(const struct outcome *outcome)
{
	switch (outcome->reason) {
	case END_EXITED:
		return (int)outcome->guest_status;
	case END_HALTED:
		return 0;
	case END_TIMEOUT:
		return STATUS_TIMEOUT;
	case END_SIGNAL:
		return STATUS_SIGNAL + outcome->signal;
	case END_BAD_STATUS:
	case END_PANIC:
	case END_SHUTDOWN:
	case END_INTERNAL_ERROR:
	case END_FAIL_ENTRY:
	case END_UNEXPECTED_EXIT:
		return STATUS_GUEST_DIED;
	case END_RUNNING:
	case END_VMM_FAILED:
	case END_REASONS:
		break;
	}
	return STATUS_VMM_FAILED;
}

bool outcome_is_of_cpu(const struct outcome *outcome)
{
	switch (outcome->reason) {
	case END_EXITED:
	case END_BAD_STATUS:
	case END_PANIC:
	case END_SHUTDOWN:
	case END_INTERNAL_ERROR:
	case END_FAIL_ENTRY:
	case END_UNEXPECTED_EXIT:
		return true;
	default:
		return false;
	}
}

void outcome_words(const struct outcome *outcome, char *buf, size_t size)
{
	switch (outcome->reason) {
	case END_EXITED:
		snprintf(buf, size, "ended with status %" PRIu32, outcome->guest_status);
		break;
	case END_BAD_STATUS:
		snprintf(buf, size, "ended with status %" PRIu32 ", which is not its to give",
		         outcome->guest_status);
		break;
	case END_HALTED:
		snprintf(buf, size, "halted");
		break;
	case END_PANIC:
		snprintf(buf, size, "panicked");
		break;
	case END_SHUTDOWN:
		snprintf(buf, size, "died of a triple fault");
		break;
	case END_INTERNAL_ERROR:
		snprintf(buf, size, "died: KVM could not go on");
		break;
	case END_FAIL_ENTRY:
		snprintf(buf, size, "died: the processor refused to enter it");
		break;
	case END_UNEXPECTED_EXIT:
		snprintf(buf, size, "died: unexpected exit %s",
		         stats_reason_name(outcome->exit_reason));
		break;
	case END_TIMEOUT:
		snprintf(buf, size, "was stopped: its time was up");
		break;
	case END_SIGNAL:
		snprintf(buf, size, "was stopped by signal %d", outcome->signal);
		break;
	default:
		snprintf(buf, size, "was not run to its end: the VMM failed");
		break;
	}
}
