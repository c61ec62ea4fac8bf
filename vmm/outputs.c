#include "vmm/outputs.h"

#include <unistd.h>

#include "vmm/message.h"

/* One of the options that name a file to write. */
struct wanted {
	struct outfile *out;
	const char *option, *path;
	enum outfile_readers readers;
};
enum { WANTED = 5 };

static bool is_input(const struct wanted *wanted, const struct options *options)
{
	const char *inputs[] = {options->guest, options->inspect_core};
	struct stat status;

	for (unsigned i = 0; i < 2; i++) {
		if (inputs[i] && stat(inputs[i], &status) == 0 && outfile_is(wanted->out, &status))
			return true;
	}
	return false;
}

/* By another name than /dev/stdout: what is written there would be lost, or in it. */
static bool is_stream(const struct wanted *wanted)
{
	struct stat status;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && !wanted->out->own; fd++) {
		if (fstat(fd, &status) == 0 && outfile_is(wanted->out, &status))
			return true;
	}
	return false;
}

/* `list[i]` is open, and so are those before it. */
static bool check(const struct wanted *list, unsigned i, const struct options *options)
{
	const struct wanted *wanted = &list[i];

	if (is_input(wanted, options))
		return message_error(
		    "--%s %s: is read by this run, and would be lost: name another "
		    "file",
		    wanted->option, wanted->path);
	if (is_stream(wanted))
		return message_error("--%s %s: is a standard stream of this run as well: name "
		                     "another file, or /dev/stdout or /dev/stderr",
		                     wanted->option, wanted->path);
	for (unsigned k = 0; k < i; k++) {
		if (outfile_same(wanted->out, list[k].out))
			return message_error("--%s %s: is the file of --%s as well: name another",
			                     wanted->option, wanted->path, list[k].option);
	}
	return true;
}

bool outputs_open(struct outputs *outputs, const struct options *options)
{
	const struct wanted list[WANTED] = {
	    {&outputs->stats, "stats-file", options->stats_file, OUTFILE_SHARED},
	    {&outputs->report, "report", options->report_file, OUTFILE_SHARED},
	    {&outputs->trace, "trace", options->trace_file, OUTFILE_SHARED},
	    {&outputs->inspect, "inspect-file", options->inspect_file, OUTFILE_SHARED},
	    {&outputs->core, "core", options->core, OUTFILE_OWNER},
	};
	bool good = true;

	for (unsigned i = 0; i < WANTED; i++)
		*list[i].out = (struct outfile)OUTFILE_CLOSED;
	for (unsigned i = 0; i < WANTED && good; i++) {
		if (list[i].path)
			good = outfile_open(list[i].out, list[i].path, list[i].readers) &&
			       check(list, i, options);
	}
	if (!good)
		outputs_abandon(outputs);
	return good;
}

void outputs_abandon(struct outputs *outputs)
{
	outfile_abandon(&outputs->stats);
	outfile_abandon(&outputs->report);
	outfile_abandon(&outputs->trace);
	outfile_abandon(&outputs->inspect);
	outfile_abandon(&outputs->core);
}
