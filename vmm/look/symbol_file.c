#include "vmm/look/symbol_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <elf.h>
#include <sys/stat.h>

#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/look/kallsyms.h"

enum {
	LINE_SIZE = 1024,
	IMAGE_MAX = 512 << 20, /* bytes of a file that is searched for kallsyms tables */
	BZIMAGE_MAGIC = 0x202, /* Linux's Documentation/arch/x86/boot.rst, "HdrS" */
};
#define WHAT_TO_TAKE                                                                               \
	"take a vmlinux that has symbols, a System.map, or a copy of /proc/kallsyms, of the "      \
	"kernel that the guest runs"

/* ---- ELF ------------------------------------------------------------------------------------- */

static bool read_all(int fd, uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);

		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

/* A stripped kernel has names for itself. */
static bool read_kallsyms(int fd, off_t size, struct symbols *symbols)
{
	uint8_t *bytes = size > 0 && size <= IMAGE_MAX ? malloc((size_t)size) : NULL;
	uint64_t base;
	bool good = bytes && read_all(fd, bytes, (size_t)size) &&
	            kallsyms_find(bytes, (size_t)size, symbols, &base);

	free(bytes);
	return good;
}

static bool read_elf(const char *path, int fd, off_t size, struct symbols *symbols)
{
	struct symbol_maker maker = {0};

	if (symbol_maker_add_elf(&maker, fd)) {
		*symbols = symbol_maker_finish(&maker);
		return true;
	}
	symbol_maker_drop(&maker);
	return read_kallsyms(fd, size, symbols) ||
	       message_error("--symbols %s: an ELF file without a symbol table, and no kallsyms "
	                     "tables of a Linux are in it: " WHAT_TO_TAKE,
	                     path);
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* A line without its end into a symbol, whose name is in the line.  False: it is none. */
static bool parse_line(char *line, struct symbol *symbol)
{
	const size_t digits = strspn(line, "0123456789abcdefABCDEF");
	char *name = line + digits + 3, *rest;

	if (digits < 1 || digits > 16 || line[digits] != ' ' ||
	    !(isalpha((unsigned char)line[digits + 1]) || line[digits + 1] == '?') ||
	    line[digits + 2] != ' ')
		return false;
	rest = name + strcspn(name, " \t");
	if (rest == name || (*rest && rest[1 + strspn(rest + 1, " \t")] != '['))
		return false;
	*rest = '\0';
	*symbol = (struct symbol){
	    .address = strtoull(line, NULL, 16),
	    .size = toupper((unsigned char)line[digits + 1]) == 'A' ? SYMBOL_ABSOLUTE : 0,
	    .name = name,
	};
	return true;
}

/* What is wrong with a line.  False. */
static bool refuse_line(const char *path, size_t number, const char *line)
{
	static const char map[] = "System.map-";
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char clean[64];

	if (strstr(line, "real System.map is in the")) {
		/* What Debian has in /boot is a line that says so. */
		bool versioned = !strncmp(name, map, sizeof(map) - 1);

		return message_error("--symbols %s: a stub without symbols; the real System.map is "
		                     "in Debian's package linux-image-%s-dbg, below "
		                     "usr/lib/debug/boot",
		                     path, versioned ? name + sizeof(map) - 1 : "VERSION");
	}
	if (number == 1)
		return message_error(
		    "--symbols %s: neither an ELF file nor lines of \"ADDRESS TYPE "
		    "NAME\", as System.map and /proc/kallsyms have: " WHAT_TO_TAKE,
		    path);
	return message_error(
	    "--symbols %s: line %zu is not \"ADDRESS TYPE NAME\", as System.map and "
	    "/proc/kallsyms have: '%s'; is the file whole?",
	    path, number, printable(clean, sizeof(clean), line, strlen(line)));
}

/* Adds all lines; *seen says whether there is any address but 0. */
static bool add_lines(const char *path, FILE *file, struct symbol_maker *maker, bool *seen)
{
	char line[LINE_SIZE];

	for (size_t number = 1; fgets(line, sizeof(line), file); number++) {
		size_t length = strlen(line);
		bool whole = length && (line[length - 1] == '\n' || feof(file));
		struct symbol symbol;

		while (length && isspace((unsigned char)line[length - 1]))
			line[--length] = '\0';
		if (!whole || !parse_line(line, &symbol))
			return refuse_line(path, number, line);
		if (!symbol_maker_add(maker, symbol, LINE_SIZE))
			return message_error("--symbols %s: more than 1,048,576 symbols, or no "
			                     "memory for them",
			                     path);
		*seen |= symbol.address != 0;
	}
	if (ferror(file))
		return message_error("--symbols %s: cannot read: %s", path, strerror(errno));
	return true;
}

static bool read_text(const char *path, FILE *file, struct symbols *symbols)
{
	struct symbol_maker maker = {0};
	bool seen = false, good = add_lines(path, file, &maker, &seen);

	if (good && !maker.count)
		good = message_error("--symbols %s: the file is empty: " WHAT_TO_TAKE, path);
	else if (good && !seen)
		good =
		    message_error("--symbols %s: all addresses are 0: the kernel hid them from "
		                  "the one who read /proc/kallsyms.  As root, set "
		                  "kernel.kptr_restrict to 1 or 0 with sysctl, and copy it again",
		                  path);
	if (good)
		*symbols = symbol_maker_finish(&maker);
	symbol_maker_drop(&maker);
	return good;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static bool read_regular(const char *path, FILE *file, off_t size, struct symbols *symbols)
{
	const int fd = fileno(file);
	char head[BZIMAGE_MAGIC + 4] = {0};
	/* Not by pread: /proc/kallsyms is text, and begins where it is read. */
	size_t got = fread(head, 1, sizeof(head), file);

	if (got >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG))
		return read_elf(path, fd, size, symbols);
	if (got == sizeof(head) && !memcmp(head + BZIMAGE_MAGIC, "HdrS", 4))
		return message_error("--symbols %s: a bzImage, whose names, if it has any, are "
		                     "compressed too: " WHAT_TO_TAKE,
		                     path);
	rewind(file);
	return read_text(path, file, symbols);
}

bool symbol_file_read(const char *path, struct symbols *symbols)
{
	/* Not to wait for a writer, should it be a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	struct stat status;
	bool good = false;

	*symbols = (struct symbols){0};
	if (!file)
		message_error("--symbols %s: cannot open: %s", path, strerror(errno));
	else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		message_error("--symbols %s: not a regular file", path);
	else
		good = read_regular(path, file, status.st_size, symbols);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	return good;
}
