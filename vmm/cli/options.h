/* What a run is asked for: the command line, parsed and checked (vmm/cli/command_line.h). */
#ifndef VMM_CLI_OPTIONS_H
#define VMM_CLI_OPTIONS_H

#include <stdbool.h>

#include "vmm/base/manner.h"
#include "vmm/boot/plan.h"
#include "vmm/instruments/anatomy/anatomy.h"
#include "vmm/instruments/calls/calls.h"
#include "vmm/instruments/gdb/gdb.h"
#include "vmm/instruments/inspect/inspect.h"
#include "vmm/instruments/look/live.h"
#include "vmm/instruments/report/report_run.h"
#include "vmm/instruments/torture/torture.h"
#include "vmm/instruments/trace/tracer.h"

enum box_choice { BOX_HERE, BOX_AMD, BOX_INTEL, BOX_AUTO };

/* The guest "linux" (vmm/cli/linux_guest.h). */
struct linux_guest {
	bool wanted;
	char *kernel;        /* its file, which is plan.guest; owned */
	const char *program; /* the file; NULL: none, --initrd brings all */
	char *shell;         /* that is the program if none is named; owned */
	int argc;            /* of argv, the program's words, its name first */
	char *const *argv;
	bool interactive;           /* input comes from a terminal */
	int initrd;                 /* a memfd; 0: none yet */
	char *initrd_path, *append; /* the plan's; owned */
};

struct options {
	struct plan plan;
	struct manner manner;
	/* Of each instrument what it is asked for, and what it keeps. */
	struct look_live look;
	struct tracer trace;
	struct report report;
	struct gdb_request gdb;
	struct inspect_request inspect;
	struct anatomy_request anatomy;
	struct calls_request calls;
	struct torture_request torture;
	/* Instead of a run: */
	const char *inspect_core; /* this core is looked at; NULL: none, and plan.guest is given */
	bool probe;
	bool answered; /* --help or --version, while the command line is parsed */

	enum box_choice box; /* where to run all this */
	char **command;      /* argv without --box, to be run again; NULL: there was no argv */
	int guest_at;        /* the guest's place in it */
	struct linux_guest linux_guest;
};

#endif
