/* The command line, parsed and checked: nothing behind this point looks at argv. */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/look/look_request.h"

enum pti_choice { PTI_AUTO, PTI_ON, PTI_OFF };
enum stats_format { STATS_TEXT, STATS_JSON, STATS_NONE };
enum box_choice { BOX_HERE, BOX_AMD, BOX_INTEL, BOX_AUTO };
enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

#define OPTIONS_MEM_DEFAULT (UINT64_C(64) << 20)
#define OPTIONS_MEM_MIN     (UINT64_C(1) << 20)
#define OPTIONS_MEM_MAX     (UINT64_C(64) << 30)

/* A file that the command line names, and what the run does with it. */
enum file_use { FILE_READ, FILE_WRITTEN, FILE_MAYBE_WRITTEN };
struct options_file {
	int option; /* which names it; a later one takes its place */
	enum file_use use;
	const char *path;
};
#define OPTIONS_FILES 8

struct options {
	uint64_t mem; /* bytes of guest RAM, whole pages */
	enum pti_choice pti;
	bool no_pcid;
	bool la57;
	unsigned cpus; /* 1 to RS_MAX_CPUS */
	bool no_apic;
	uint64_t timeout_ns; /* 0: none */
	enum stats_format stats;
	const char *stats_file;       /* NULL: standard output */
	const char *trace_file;       /* NULL: no trace */
	uint64_t trace_limit;         /* bytes */
	const char *report_file;      /* the HTML report; NULL: none */
	const char *gdb;              /* where to listen for gdb; NULL: nowhere */
	const char *inspect;          /* when to show the vCPU's state; NULL: never */
	const char *inspect_file;     /* NULL: standard error; for anatomy standard output */
	const char *anatomy;          /* the crossing to follow; NULL: none */
	const char *torture;          /* what comes at every instruction; NULL: no torture run */
	const char *torture_crossing; /* a pattern for those to torture; NULL: all */
	bool probe;
	bool quiet;
	enum color_choice color;
	struct look_request look; /* --walk, --map, --audit, --at */
	bool look_json;           /* --inspect-format json: what they print is JSON Lines */
	const char *core;         /* NULL: none is written */
	const char *inspect_core; /* NULL: run a guest; else read this core instead */
	const char *guest;        /* path; NULL only with probe and inspect_core */
	const char *program;      /* --program: the guest's first argument; NULL: none */
	int argc;                 /* words behind "--": the guest's other arguments */
	char *const *argv;

	enum box_choice box; /* where to run all this */
	char **command;      /* argv without --box, to be run again; NULL: there was no argv */
	struct options_file files[OPTIONS_FILES];
	size_t file_count;
};

enum options_result {
	OPTIONS_RUN,   /* go on */
	OPTIONS_DONE,  /* --help or --version was asked for and printed: status 0 */
	OPTIONS_WRONG, /* the reason is on stderr: status 2 */
};
/* Parses argv into *options; strings stay argv's, out of which --box is taken.  check: whether what
 * they ask of the instruments makes sense; false after a message. */
enum options_result options_parse(struct options *options, int argc, char **argv,
                                  bool (*check)(const struct options *options));

/* The guest's i-th argument from 0, its file's name not counted; NULL behind the last. */
const char *options_argument(const struct options *options, unsigned i);

/* Whether what goes to the file descriptor is to be coloured: --color, else a terminal that is not
 * dumb, unless NO_COLOR is set. */
bool options_color(const struct options *options, int fd);

#endif
