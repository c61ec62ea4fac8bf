#include "vmm/cli/box.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/base/message.h"
#include "vmm/boot/linux.h"
#include "vmm/boot/protocol.h"
#include "vmm/cli/command_line.h"
#include "vmm/cli/outputs.h"
#include "vmm/cli/place.h"
#include "vmm/kvm/kvm.h"
#include "vmm/run/outcome.h"

/* ---- Words --------------------------------------------------------------------------------- */

/* A command line in the making; the words are owned. */
struct words {
	char **word; /* NULL behind the last */
	size_t count;
	bool failed; /* no memory: what came later is not there */
};

static void words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->word[i]);
	free(words->word);
}

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format, ...)
{
	char **more = realloc(words->word, (words->count + 2) * sizeof(*more));
	va_list args;

	if (more) {
		words->word = more;
		va_start(args, format);
		if (vasprintf(&more[words->count], format, args) >= 0)
			words->count++;
		else
			more = NULL;
		va_end(args);
	}
	if (more)
		more[words->count] = NULL;
	else
		words->failed = true;
}

/* ---- Where to run -------------------------------------------------------------------------- */

bool box_is_wanted(const struct options *options)
{
	if (options->box != BOX_AUTO)
		return options->box != BOX_HERE;
	if (kvm_is_usable())
		return false;
	if (!options->manner.quiet)
		message_error(
		    "no usable /dev/kvm here: running in the AMD box instead (--box amd)");
	return true;
}

/* ---- Files --------------------------------------------------------------------------------- */

/* Whether the file's name means the same in the box: the process's own streams, and devices that
 * every machine has. */
static bool is_same_there(const char *path)
{
	static const char *const names[] = {"/dev/stdout", "/dev/stderr",     "/dev/fd/1",
	                                    "/dev/fd/2",   "/proc/self/fd/1", "/proc/self/fd/2",
	                                    "/dev/null",   "/dev/full"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(path, names[i]))
			return true;
	}
	return false;
}

static bool check_input(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0 || access(path, R_OK) < 0)
		return message_error("%s: cannot read: %s", path, strerror(errno));
	return S_ISREG(status.st_mode) ||
	       message_error("%s: only a file can be brought into a box, and this is none", path);
}

/* kvmbox's --get FILE[:LOCAL] ends a name at a colon. */
static bool check_output(const char *path)
{
	struct stat status;

	if (strchr(path, ':'))
		return message_error(
		    "%s: a box cannot bring out a file with a colon in its name: take another name",
		    path);
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return message_error("%s: a box brings out files, and this is none: name a file, "
		                     "or /dev/stdout",
		                     path);
	return true;
}

/* Whether the box's files could take their place here, and none is another one's. */
static bool check_outputs(struct options *options)
{
	if (!outputs_open(options))
		return false;
	outputs_abandon(options);
	return true;
}

/* False after a message. */
static bool add_file(struct words *words, const struct options_file *file)
{
	switch (file->use) {
	case FILE_READ:
		if (!check_input(file->path))
			return false;
		add(words, "--file=%s", file->path);
		return true;
	case FILE_WRITTEN:
	case FILE_MAYBE_WRITTEN:
		if (is_same_there(file->path))
			return true;
		if (!check_output(file->path))
			return false;
		add(words, file->use == FILE_WRITTEN ? "--get=%s" : "--get-if=%s", file->path);
		return true;
	}
	return true;
}

/* What is wrong with a guest need not wait for a box to come up.  *exact: when this
 * machine has other work the AMD box, whose time goes on meanwhile, now and then gives a guest an
 * interrupt where IF is clear, and Linux then waits for ever for a lock that it holds. */
static bool check_guest(const struct options *options, bool *exact)
{
	struct image image = IMAGE_CLOSED;
	bool good = options->probe || options->inspect_core || boot_open(&image, &options->plan);

	*exact = good && image.head && linux_is(&image);
	image_close(&image);
	return good;
}

/* ---- The command --------------------------------------------------------------------------- */

/* A box's port is passed on from here, if it can be known and reached. */
static bool check_gdb(const char *address, enum box_choice box)
{
	static const char loopback[] = "127.0.0.1:";
	size_t host = strncmp(address, loopback, strlen(loopback)) ? 0 : strlen(loopback);

	if (box == BOX_INTEL)
		return message_error("--gdb %s: there is no way into the Intel box: take --box amd",
		                     address);
	if (strchr(address, '/'))
		return true;
	if (strchr(address + host, ':'))
		return message_error("--gdb %s: a box's port is passed on to 127.0.0.1 only: give "
		                     "the port alone",
		                     address);
	return strtoul(address + host, NULL, 10) != 0 ||
	       message_error("--gdb %s: with --box the port must be chosen: give a number",
	                     address);
}

/* kvmbox's own limit is for boot and run together, on this machine's clock, on which an emulated
 * second may take several; --timeout is the guest's, in there.  Without one a guest may run for
 * ever, there as here. */
static void add_limit(struct words *words, uint64_t timeout_ns)
{
	const uint64_t boot = 600, stretch = 10, most = 9999999; /* seconds; kvmbox takes no more */
	uint64_t seconds = timeout_ns / 1000000000 * stretch + boot;

	add(words, "--timeout=%llu",
	    (unsigned long long)(timeout_ns && seconds < most ? seconds : most));
}

/* The Intel box has no standard input, and in a terminal's background reading from it would stop
 * kvmbox. */
static bool may_read_input(enum box_choice box)
{
	return box != BOX_INTEL && (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) == getpgrp());
}

/* What the user typed; of a guest "linux" what it stands for. */
static void add_words(struct words *words, const struct options *options)
{
	const struct linux_guest *guest = &options->linux_guest;

	for (char **word = options->command + 1; *word; word++) {
		if (guest->wanted && word == options->command + options->guest_at)
			break;
		add(words, "%s", *word);
	}
	if (!guest->wanted)
		return;
	add(words, "linux:%s", guest->kernel);
	if (guest->program)
		add(words, "--");
	if (guest->program)
		add(words, "%s", guest->program);
	for (int i = 1; i < guest->argc; i++)
		add(words, "%s", guest->argv[i]);
}

/* The whole of kvmbox's command line but its name.  False after a message. */
static bool add_run(struct words *words, struct options *options)
{
	struct options_file files[OPTIONS_FILES];
	const size_t count = options_files(options, files);
	char program[PATH_MAX];

	add(words, "--here");
	if (options->manner.quiet)
		add(words, "--quiet");
	if (!place_program(program))
		return false;
	add(words, "--file=%s", program);
	for (size_t i = 0; i < count; i++) {
		if (!add_file(words, &files[i]))
			return false;
	}
	if (options->gdb.address)
		add(words, "--forward=%s", options->gdb.address);
	add_limit(words, options->plan.timeout_ns);
	if (may_read_input(options->box))
		add(words, "-i");
	add(words, "%s", options->box == BOX_INTEL ? "intel" : "amd");
	add(words, "--");
	add(words, "%s", program);
	add_words(words, options);
	return !words->failed || message_error("no memory for the box's command line");
}

static int run_kvmbox(struct words *words, struct options *options)
{
	char kvmbox[PATH_MAX];
	bool exact;

	if (options->gdb.address && !check_gdb(options->gdb.address, options->box))
		return STATUS_USAGE;
	if (!place_tool(kvmbox, "kvmbox")) {
		message_error("--box: there is no kvmbox beside this program or in PATH: 'make "
		              "install' puts both into place, and tools/ of the source has it");
		return STATUS_VMM_FAILED;
	}
	add(words, "%s", kvmbox);
	if (!check_guest(options, &exact))
		return STATUS_VMM_FAILED;
	if (exact && options->box != BOX_INTEL && options->plan.cpus == 1) {
		add(words, "--exact");
		add(words, "--coarse");
	}
	if (!add_run(words, options) || !check_outputs(options))
		return STATUS_VMM_FAILED;
	signal(SIGPIPE, SIG_DFL); /* ignored signals stay so in what is started */
	fflush(NULL);
	execv(kvmbox, words->word);
	message_error("--box: cannot start %s: %s", kvmbox, strerror(errno));
	return STATUS_VMM_FAILED;
}

int box_run(struct options *options)
{
	struct words words = {0};
	int status = run_kvmbox(&words, options);

	words_free(&words);
	return status;
}

/* ---- Advice -------------------------------------------------------------------------------- */

/* As one word of a POSIX shell. */
static void quote(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                            "_-+=:,./@%";

	if (*word && strspn(word, plain) == strlen(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, out);
	fputc('\'', out);
}

static void write_command(FILE *out, const struct options *options)
{
	char **word = options->command;
	char program[PATH_MAX];

	/* As it was called, if a shell here would find it so. */
	if (!place_is_command(*word) && realpath("/proc/self/exe", program))
		quote(out, program);
	else
		quote(out, *word);
	fputs(" --box amd", out);
	while (*++word) {
		fputc(' ', out);
		quote(out, *word);
	}
}

char *box_advice(const void *ctx)
{
	const struct options *options = ctx;
	char kvmbox[PATH_MAX];
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (!options->command || !place_tool(kvmbox, "kvmbox")) {
		fputs("; or get Ringscope's kvmbox, which runs this where there is no KVM", out);
	} else {
		fputs("; or run it in an emulated machine that has one: ", out);
		write_command(out, options);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
