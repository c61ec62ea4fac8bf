#include "vmm/outcome.h"

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
