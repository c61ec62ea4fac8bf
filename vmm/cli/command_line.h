/* The command line: nothing behind this point looks at argv.  What an option is, means and defaults
 * to stands in one row of a table, in command_line.c. */
#ifndef VMM_CLI_COMMAND_LINE_H
#define VMM_CLI_COMMAND_LINE_H

#include <stddef.h>

#include "vmm/base/outfile.h"
#include "vmm/cli/options.h"

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
	struct outfile *out; /* NULL: it is read */
	enum file_use { FILE_READ = 1, FILE_WRITTEN, FILE_MAYBE_WRITTEN } use;
	enum outfile_readers readers;
};
#define OPTIONS_FILES (16 + PLAN_MODULES_MAX) /* the guest, its program, modules, and rows */
/* Those that were given.  Returns how many. */
size_t options_files(struct options *options, struct options_file files[OPTIONS_FILES]);

#endif
