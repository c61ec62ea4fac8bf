/* The command line, parsed and checked: nothing behind this point looks at argv.  What an option
 * is, means and defaults to stands in one row of a table, in options.c. */
#ifndef VMM_CLI_OPTIONS_H
#define VMM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/manner.h"
#include "vmm/boot/plan.h"
#include "vmm/instruments/anatomy/anatomy.h"
#include "vmm/instruments/gdb/gdb.h"
#include "vmm/instruments/inspect/inspect.h"
#include "vmm/instruments/look/live.h"
#include "vmm/instruments/report/report_run.h"
#include "vmm/instruments/torture/torture.h"
#include "vmm/instruments/trace/tracer.h"

enum box_choice { BOX_HERE, BOX_AMD, BOX_INTEL, BOX_AUTO };

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
	struct torture_request torture;
	/* Instead of a run: */
	const char *inspect_core; /* this core is looked at; NULL: none, and plan.guest is given */
	bool probe;
	bool answered; /* --help or --version, while the command line is parsed */

	enum box_choice box; /* where to run all this */
	char **command;      /* argv without --box, to be run again; NULL: there was no argv */
};

enum options_result {
	OPTIONS_RUN,   /* go on */
	OPTIONS_DONE,  /* --help or --version was asked for and printed: status 0 */
	OPTIONS_WRONG, /* the reason is on stderr: status 2 */
};
/* Parses argv into *options; strings stay argv's, out of which --box is taken. */
enum options_result options_parse(struct options *options, int argc, char **argv);

/* A file that the command line names. */
struct options_file {
	const char *option; /* without dashes; NULL: the guest's own */
	const char *path;
	enum file_use { FILE_READ = 1, FILE_WRITTEN, FILE_MAYBE_WRITTEN } use;
	struct outfile *out; /* NULL: it is read */
	enum outfile_readers readers;
};
#define OPTIONS_FILES 8
/* Those that were given.  Returns how many. */
size_t options_files(struct options *options, struct options_file files[OPTIONS_FILES]);

#endif
