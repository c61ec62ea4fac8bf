/*
 * How a run ended, and the exit status that says so to the shell.
 */
#ifndef VMM_RUN_OUTCOME_H
#define VMM_RUN_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/status.h"

enum end_reason {
	END_RUNNING,         /* not yet */
	END_EXITED,          /* RS_PORT_EXIT with 0 to 123 */
	END_BAD_STATUS,      /* RS_PORT_EXIT with a status that is not the guest's to give */
	END_HALTED,          /* HLT: there is no interrupt source that could wake it */
	END_PANIC,           /* RS_CALL_PANIC */
	END_SHUTDOWN,        /* KVM_EXIT_SHUTDOWN: triple fault */
	END_INTERNAL_ERROR,  /* KVM_EXIT_INTERNAL_ERROR: KVM cannot emulate what the guest does */
	END_FAIL_ENTRY,      /* KVM_EXIT_FAIL_ENTRY: the processor refuses the guest's state */
	END_UNEXPECTED_EXIT, /* a reason that this machine cannot cause, see exit_reason */
	END_TIMEOUT,         /* --timeout */
	END_SIGNAL,          /* see signal */
	END_VMM_FAILED,      /* KVM_RUN or the console failed; a message was given */
	END_REASONS,
};

struct outcome {
	enum end_reason reason;
	uint32_t guest_status; /* END_EXITED, END_BAD_STATUS: as the guest gave it */
	uint32_t exit_reason;  /* KVM's, of the last exit */
	int signal;            /* END_SIGNAL */
	unsigned cpu;          /* which one ended the run; 0 also when none of them did */
};

/* "EXITED", "HALTED", ...: for JSON and tests; never NULL. */
const char *outcome_name(enum end_reason reason);
/* "ended with status 3", "died of a triple fault": what comes behind the guest's name in a report.
 * At most size bytes, always terminated; 96 are enough. */
void outcome_words(const struct outcome *outcome, char *buf, size_t size);
/* Whether it was something that a CPU did, so that outcome->cpu means something. */
bool outcome_is_of_cpu(const struct outcome *outcome);
/* What the process ends with. */
int outcome_status(const struct outcome *outcome);

#endif
