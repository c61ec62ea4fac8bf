#include "vmm/cli/outputs.h"

#include <unistd.h>

#include "vmm/base/message.h"
#include "vmm/cli/command_line.h"

static bool is_input(const struct outfile *out, const struct options_file *files, size_t count)
{
	struct stat status;

	for (size_t i = 0; i < count; i++) {
		if (files[i].use == FILE_READ && stat(files[i].path, &status) == 0 &&
		    outfile_is(out, &status))
			return true;
	}
	return false;
}

/* By another name than /dev/stdout: what is written there would be lost, or in it. */
static bool is_stream(const struct outfile *out)
{
	struct stat status;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && !out->own; fd++) {
		if (fstat(fd, &status) == 0 && outfile_is(out, &status))
			return true;
	}
	return false;
}

/* files[i] is open, and so are those before it. */
static bool check(const struct options_file *files, size_t count, size_t i)
{
	const struct options_file *file = &files[i];

	if (is_input(file->out, files, count))
		return message_error(
		    "--%s %s: is read by this run, and would be lost: name another "
		    "file",
		    file->option, file->path);
	if (is_stream(file->out))
		return message_error("--%s %s: is a standard stream of this run as well: name "
		                     "another file, or /dev/stdout or /dev/stderr",
		                     file->option, file->path);
	for (size_t k = 0; k < i; k++) {
		if (files[k].out && outfile_same(file->out, files[k].out))
			return message_error("--%s %s: is the file of --%s as well: name another",
			                     file->option, file->path, files[k].option);
	}
	return true;
}

bool outputs_open(struct options *options)
{
	struct options_file files[OPTIONS_FILES];
	const size_t count = options_files(options, files);

	for (size_t i = 0; i < count; i++) {
		if (files[i].out && !(outfile_open(files[i].out, files[i].path, files[i].readers) &&
		                      check(files, count, i))) {
			outputs_abandon(options);
			return false;
		}
	}
	return true;
}

void outputs_abandon(struct options *options)
{
	struct options_file files[OPTIONS_FILES];
	const size_t count = options_files(options, files);

	for (size_t i = 0; i < count; i++) {
		if (files[i].out)
			outfile_abandon(files[i].out);
	}
}
