#include "vmm/cli/linux_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shared/linux_start.h"
#include "vmm/base/message.h"
#include "vmm/boot/cpio.h"
#include "vmm/boot/linux.h"
#include "vmm/boot/protocol.h"
#include "vmm/cli/linux_program.h"
#include "vmm/cli/place.h"

/* What makes it start sooner, and print nothing but what is wrong. */
static const char kernel_words[] = "quiet loglevel=2 cryptomgr.notests";

static const char name[] = "linux";
/* In the order in which they are looked for when none is named. */
static const char *const versions[] = {"6.1", "6.12"};

/* Of busybox without a program: it gives its commands names, and becomes a shell. */
static char *const shell_words[] = {"busybox", "sh", "-c",
                                    "/bin/busybox --install -s /bin; exec sh"};

/* guest/linux/init.c, built: an ELF file.  From linux_init.S. */
extern const char linux_init[];
extern const size_t linux_init_size; /* bytes */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool no_memory(void)
{
	return message_error("linux: no memory to start it");
}

/* ---- Which kernel -------------------------------------------------------------------------- */

bool linux_guest_is(const char *word)
{
	const size_t size = strlen(name);

	return !strncmp(word, name, size) && (!word[size] || word[size] == ':') &&
	       access(word, F_OK) < 0;
}

/* get-kernel's folder; NULL without memory. */
static char *cache(void)
{
	const char *folder = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path;
	int size;

	if (folder && *folder)
		size = asprintf(&path, "%s/ringscope", folder);
	else
		size = asprintf(&path, "%s/.cache/ringscope", home ? home : "");
	return size < 0 ? NULL : path;
}

static char *cached(const char *folder, const char *version)
{
	char *path;

	return asprintf(&path, "%s/linux-%s/vmlinux", folder, version) < 0 ? NULL : path;
}

/* The file that the word means, to be freed, whether it is there or not; NULL without memory. */
static char *find_kernel(const char *word)
{
	const char *which = word[strlen(name)] ? word + strlen(name) + 1 : "";
	char *folder, *path;

	if (strchr(which, '/') || (*which && access(which, F_OK) == 0))
		return strdup(which);
	folder = cache();
	if (!folder)
		return NULL;
	path = cached(folder, *which ? which : versions[0]);
	for (size_t i = 1; path && !*which && i < COUNT(versions) && access(path, F_OK) < 0; i++) {
		char *other = cached(folder, versions[i]);

		if (other && access(other, F_OK) == 0) {
			free(path);
			path = other;
		} else {
			free(other);
		}
	}
	free(folder);
	return path;
}

bool linux_guest_take(struct options *options, const char *word, int argc, char **argv)
{
	struct linux_guest *guest = &options->linux_guest;

	if (options->plan.program)
		return message_error("--program %s: of a Linux guest it comes behind '--'",
		                     options->plan.program);
	guest->kernel = find_kernel(word);
	if (!guest->kernel)
		return no_memory();
	guest->wanted = true;
	guest->interactive = isatty(STDIN_FILENO);
	guest->argc = argc;
	guest->argv = argv;
	guest->program = argc ? argv[0] : NULL;
	options->plan.guest = guest->kernel;
	options->plan.argc = argc;
	options->plan.argv = argv;
	return true;
}

/* ---- Whether it can be run ----------------------------------------------------------------- */

static bool refuse_missing(const struct linux_guest *guest)
{
	char tool[PATH_MAX];
	const bool found = place_tool(tool, "get-kernel");

	return message_error("linux: no kernel %s: %s fetches Debian's, once (linux:FILE takes "
	                     "another one)",
	                     guest->kernel, found ? tool : "tools/get-kernel of the source");
}

static bool check_kernel(const struct options *options)
{
	struct image image = IMAGE_CLOSED;
	bool good;

	if (access(options->linux_guest.kernel, F_OK) < 0)
		return refuse_missing(&options->linux_guest);
	good = boot_open(&image, &options->plan);
	if (good && !linux_is(&image))
		good = message_error("%s: is no Linux kernel: give its name without 'linux:'",
		                     options->linux_guest.kernel);
	image_close(&image);
	return good;
}

/* get-kernel's busybox, beside the kernel. */
static bool find_shell(struct linux_guest *guest)
{
	const int folder = (int)(strrchr(guest->kernel, '/') - guest->kernel);

	if (asprintf(&guest->shell, "%.*s/busybox", folder, guest->kernel) < 0) {
		guest->shell = NULL;
		return no_memory();
	}
	if (access(guest->shell, R_OK) < 0)
		return message_error("linux: no program to run: give one behind '--' (there is no "
		                     "%s for a shell)",
		                     guest->shell);
	guest->program = guest->shell;
	guest->argc = COUNT(shell_words);
	guest->argv = shell_words;
	return true;
}

bool linux_guest_check(struct options *options)
{
	struct linux_guest *guest = &options->linux_guest;
	struct linux_program program;
	bool good;

	if (!check_kernel(options))
		return false;
	if (!guest->program && options->plan.initrd)
		return true;
	if (!guest->program && !find_shell(guest))
		return false;
	good = linux_program_read(&program, guest->program, options->plan.initrd);
	linux_program_free(&program);
	return good;
}

/* ---- The RAM disk -------------------------------------------------------------------------- */

/* What the program finds in its environment: NULL behind the last. */
static const char *const *environment(const struct linux_guest *guest)
{
	static char term[64];
	static const char *const all[] = {"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", term,
	                                  NULL};
	const char *here = getenv("TERM");

	snprintf(term, sizeof(term), "TERM=%s", guest->interactive && here ? here : "dumb");
	return all;
}

static void put_word(FILE *out, const char *word)
{
	fwrite(word, 1, strlen(word) + 1, out);
}

/* The file LINUX_START; to be freed; NULL after a message. */
static char *make_start(const struct linux_guest *guest, const char *inside, size_t *size)
{
	const char *const *variables = environment(guest);
	struct linux_start start = {.magic = LINUX_START_MAGIC, .argc = (uint32_t)guest->argc};
	struct winsize window;
	char *bytes = NULL;
	FILE *out = open_memstream(&bytes, size);

	if (!out) {
		no_memory();
		return NULL;
	}
	if (guest->interactive)
		start.flags = LINUX_START_KEYS | (isatty(STDOUT_FILENO) ? LINUX_START_ECHO : 0);
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) {
		start.rows = window.ws_row;
		start.columns = window.ws_col;
	}
	while (variables[start.envc])
		start.envc++;
	fwrite(&start, sizeof(start), 1, out);
	put_word(out, inside);
	for (int i = 0; i < guest->argc; i++)
		put_word(out, guest->argv[i]);
	for (uint32_t i = 0; i < start.envc; i++)
		put_word(out, variables[i]);
	if (fclose(out) != 0) {
		free(bytes);
		no_memory();
		return NULL;
	}
	if (*size <= LINUX_START_MAX && start.argc <= LINUX_START_WORDS)
		return bytes;
	message_error("linux: the program's arguments are %d words of %zu bytes: %d and %d are "
	              "possible",
	              guest->argc, *size, LINUX_START_WORDS, LINUX_START_MAX);
	free(bytes);
	return NULL;
}

/* The archive behind what is there.  /dev/console is the null device's until init has mounted /dev:
 * the kernel would open the serial line by it, and take input before init has set the line. */
static bool write_archive(FILE *out, const struct linux_guest *guest,
                          const struct linux_program *program)
{
	static const char *const folders[] = {"bin", "dev", "proc", "sys", "tmp", "ringscope"};
	const char *slash = strrchr(program->path, '/');
	struct cpio cpio = {.out = out};
	char *inside, *start;
	size_t start_size;

	if (asprintf(&inside, "/bin/%s", slash ? slash + 1 : program->path) < 0)
		return no_memory();
	start = make_start(guest, inside, &start_size);
	if (start) {
		for (size_t i = 0; i < COUNT(folders); i++)
			cpio_folder(&cpio, folders[i]);
		cpio_device(&cpio, "dev/console", 0600, 1, 3);
		cpio_file(&cpio, "init", 0755, linux_init, linux_init_size);
		cpio_file(&cpio, LINUX_START, 0644, start, start_size);
		cpio_file(&cpio, inside + 1, 0755, program->bytes, program->size);
		cpio_end(&cpio);
	}
	free(inside);
	free(start);
	return start && (!cpio.failed || no_memory());
}

/* The user's own first, of any length: between archives zeros are skipped. */
static bool copy_initrd(FILE *out, const char *path)
{
	static char buffer[65536];
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	uint64_t size = 0;
	ssize_t got = -1;

	if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode)) {
		close(fd);
		return message_error("--initrd %s: is not a regular file", path);
	}
	while (fd >= 0 && (got = read(fd, buffer, sizeof(buffer))) > 0)
		size += fwrite(buffer, 1, (size_t)got, out);
	if (got < 0)
		message_error("--initrd %s: cannot read: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	for (; size % 4; size++)
		fputc(0, out);
	return got == 0;
}

static bool write_initrd(struct options *options, const struct linux_program *program)
{
	struct linux_guest *guest = &options->linux_guest;
	const int copy = dup(guest->initrd);
	FILE *out = copy >= 0 ? fdopen(copy, "wb") : NULL;
	bool good;

	if (!out) {
		if (copy >= 0)
			close(copy);
		return no_memory();
	}
	good = (!options->plan.initrd || copy_initrd(out, options->plan.initrd)) &&
	       write_archive(out, guest, program);

	const bool failed = ferror(out);

	return (fclose(out) == 0 && !failed) || !good ? good : no_memory();
}

static bool make_initrd(struct options *options)
{
	struct linux_guest *guest = &options->linux_guest;
	struct linux_program program;
	bool good = linux_program_read(&program, guest->program, options->plan.initrd);

	if (good) {
		guest->initrd = memfd_create("initrd", MFD_CLOEXEC);
		if (guest->initrd < 0 ||
		    asprintf(&guest->initrd_path, "/proc/self/fd/%d", guest->initrd) < 0) {
			guest->initrd_path = NULL;
			good = no_memory();
		}
	}
	good = good && write_initrd(options, &program);
	linux_program_free(&program);
	if (good) {
		options->plan.initrd = guest->initrd_path;
		options->plan.holds_input = true;
	}
	return good;
}

bool linux_guest_prepare(struct options *options)
{
	struct linux_guest *guest = &options->linux_guest;
	const char *append = options->plan.append;

	if (asprintf(&guest->append, "%s%s%s", kernel_words, append ? " " : "",
	             append ? append : "") < 0) {
		guest->append = NULL;
		return no_memory();
	}
	options->plan.append = guest->append;
	return !guest->program || make_initrd(options);
}

void linux_guest_free(struct options *options)
{
	struct linux_guest *guest = &options->linux_guest;

	if (guest->initrd > 0)
		close(guest->initrd);
	free(guest->kernel);
	free(guest->shell);
	free(guest->initrd_path);
	free(guest->append);
	*guest = (struct linux_guest){0};
}
