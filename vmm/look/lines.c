#include "vmm/look/lines.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <elfutils/libdw.h>
#include <sys/stat.h>

#include "vmm/base/printable.h"

enum {
	LINES_MAX = 1 << 20,
	NAMES_MAX = 4096,
	NAME_SIZE = 128,
};

/* One copy of each name, printable: libdw's are gone with the file. */
static const char *keep_name(struct lines *lines, const char *name)
{
	char clean[NAME_SIZE];
	char **names;

	printable(clean, sizeof(clean), name, strlen(name));
	for (size_t i = lines->name_count; i-- > 0;) {
		if (!strcmp(lines->names[i], clean))
			return lines->names[i];
	}
	if (lines->name_count == NAMES_MAX)
		return NULL;
	names = reallocarray(lines->names, lines->name_count + 1, sizeof(*names));
	if (!names)
		return NULL;
	lines->names = names;
	lines->names[lines->name_count] = strdup(clean);
	return lines->names[lines->name_count] ? lines->names[lines->name_count++] : NULL;
}

static struct line line_of(struct lines *lines, Dwarf_Line *from)
{
	struct line line = {0};
	Dwarf_Addr address = 0;
	const char *name = dwarf_linesrc(from, NULL, NULL);
	bool end = true;

	dwarf_lineaddr(from, &address);
	dwarf_lineno(from, &line.number);
	line.address = address;
	if (dwarf_lineendsequence(from, &end) == 0 && !end && name)
		line.file = keep_name(lines, name);
	return line;
}

/* Adds the line table of one compilation unit. */
static void add_unit(struct lines *lines, Dwarf_Die *unit)
{
	Dwarf_Lines *table;
	struct line *list;
	size_t count;

	if (dwarf_getsrclines(unit, &table, &count) != 0 || !count ||
	    count > LINES_MAX - lines->count)
		return;
	list = reallocarray(lines->list, lines->count + count, sizeof(*list));
	if (!list)
		return;
	lines->list = list;
	for (size_t i = 0; i < count; i++) {
		Dwarf_Line *line = dwarf_onesrcline(table, i);

		if (line)
			list[lines->count++] = line_of(lines, line);
	}
}

/* Where one unit ends and the next begins, the beginning counts: ends come first. */
static int by_address(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return (x->file != NULL) - (y->file != NULL);
}

static void read_units(struct lines *lines, Dwarf *dwarf)
{
	Dwarf_Off offset = 0, next;
	size_t header;

	while (dwarf_nextcu(dwarf, offset, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die unit;

		if (dwarf_offdie(dwarf, offset + header, &unit))
			add_unit(lines, &unit);
		if (next <= offset)
			break;
		offset = next;
	}
	if (lines->count)
		qsort(lines->list, lines->count, sizeof(*lines->list), by_address);
}

struct lines lines_read(const char *path)
{
	struct lines lines = {0};
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Dwarf *dwarf = NULL;

	if (fd < 0)
		return lines;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		dwarf = dwarf_begin(fd, DWARF_C_READ);
	if (dwarf) {
		read_units(&lines, dwarf);
		dwarf_end(dwarf);
	}
	close(fd);
	return lines;
}

void lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->name_count; i++)
		free(lines->names[i]);
	free(lines->names);
	free(lines->list);
	*lines = (struct lines){0};
}

const struct line *lines_find(const struct lines *lines, uint64_t address)
{
	size_t low = 0, high = lines->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;

	const struct line *line = &lines->list[low - 1];

	/* Several lines may begin at one address: the last one is the code's, unless it has none.
	 */
	return line->file && line->number ? line : NULL;
}
