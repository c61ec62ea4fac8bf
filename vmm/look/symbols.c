#include "vmm/look/symbols.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gelf.h>
#include <sys/stat.h>

#include "vmm/base/printable.h"

enum {
	NAME_SIZE = 64,        /* bytes of a name kept, with its NUL */
	SYMBOLS_MAX = 1 << 20, /* more than any guest has; a hostile count ends here */
	REACH = 1 << 16,       /* bytes that a symbol without a size can cover */
	NESTING = 16,          /* symbols that may begin inside another one */
	PAGE = 4096,
	ROOM = 256, /* symbols, and bytes of names by NAME_SIZE, to begin with */
};

/* ---- Making one ------------------------------------------------------------------------------ */

/* Room for one more symbol and its name. */
static bool make_room(struct symbol_maker *maker)
{
	if (maker->count == maker->room) {
		size_t room = maker->room ? maker->room * 2 : ROOM;
		struct symbol *list = reallocarray(maker->list, room, sizeof(*list));

		if (!list)
			return false;
		maker->list = list;
		maker->room = room;
	}
	if (maker->names_room - maker->used < NAME_SIZE) {
		size_t room = maker->names_room ? maker->names_room * 2 : ROOM * NAME_SIZE;
		char *names = realloc(maker->names, room);

		if (!names)
			return false;
		maker->names = names;
		maker->names_room = room;
	}
	return true;
}

bool symbol_maker_add(struct symbol_maker *maker, struct symbol symbol, size_t length)
{
	char *name;

	if (maker->count == SYMBOLS_MAX || !make_room(maker))
		return false;
	name = maker->names + maker->used;
	printable(name, NAME_SIZE, symbol.name, length);
	maker->used += strlen(name) + 1;
	symbol.name = NULL; /* the names may still move */
	maker->list[maker->count++] = symbol;
	return true;
}

void symbol_maker_drop(struct symbol_maker *maker)
{
	free(maker->list);
	free(maker->names);
	*maker = (struct symbol_maker){0};
}

static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	/* The larger first: a search goes backwards and meets the closest fit first, and a label
	 * without a size, which may be the end of what lies before, last. */
	if (x->size != y->size)
		return (x->size - 1 < y->size - 1) - (x->size - 1 > y->size - 1);
	if (underscores(x->name) != underscores(y->name))
		return underscores(x->name) < underscores(y->name) ? 1 : -1;
	/* Names lie in the order in which they were added. */
	return (x->name < y->name) - (x->name > y->name);
}

/* The end of Linux's per-CPU variables where they are at 0; else 0. */
static uint64_t per_cpu_end(const struct symbols *symbols)
{
	const struct symbol *start = symbols_lookup(symbols, "__per_cpu_start");
	const struct symbol *end = symbols_lookup(symbols, "__per_cpu_end");

	return start && end && !start->address ? end->address + 1 : 0;
}

static void sort(struct symbol *list, size_t count)
{
	if (count)
		qsort(list, count, sizeof(*list), by_address);
}

/* Puts absolute symbols behind the others. */
static void part(struct symbols *symbols)
{
	const uint64_t floor = per_cpu_end(symbols);
	const size_t count = symbols->count;

	symbols->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct symbol symbol = symbols->list[i];

		if (symbol.size == SYMBOL_ABSOLUTE || symbol.address < floor)
			continue;
		symbols->list[i] = symbols->list[symbols->count];
		symbols->list[symbols->count++] = symbol;
	}
	symbols->absolute = count - symbols->count;
}

struct symbols symbol_maker_finish(struct symbol_maker *maker)
{
	struct symbols symbols = {
	    .list = maker->list, .count = maker->count, .names = maker->names};
	const char *name = maker->names;

	*maker = (struct symbol_maker){0};
	for (size_t i = 0; i < symbols.count; i++) {
		symbols.list[i].name = name;
		name += strlen(name) + 1;
	}
	part(&symbols);
	sort(symbols.list, symbols.count);
	if (symbols.absolute)
		sort(symbols.list + symbols.count, symbols.absolute);
	return symbols;
}

/* ---- The guest's file ------------------------------------------------------------------------ */

/* Whether a symbol names a place in the image that somebody would call by this name. */
static bool is_useful(const GElf_Sym *symbol, const char *name)
{
	unsigned char type = GELF_ST_TYPE(symbol->st_info);

	return name && *name && *name != '$' && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_shndx < SHN_LORESERVE &&
	       (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

/* Adds what the table in this section has, as far as there is memory. */
static void add_table(struct symbol_maker *maker, Elf *elf, Elf_Scn *section,
                      const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t entry = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	size_t count = data && entry ? data->d_size / entry : 0;

	if (count > SYMBOLS_MAX)
		count = SYMBOLS_MAX;
	for (size_t i = 0; i < count; i++) {
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getsym(data, (int)i, &symbol))
			break;
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!is_useful(&symbol, name))
			continue;
		if (!symbol_maker_add(maker, (struct symbol){symbol.st_value, symbol.st_size, name},
		                      NAME_SIZE))
			break;
	}
}

static void add_tables(struct symbol_maker *maker, Elf *elf)
{
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB) {
			/* A file has one; a second would be somebody's trick. */
			add_table(maker, elf, section, &header);
			break;
		}
	}
}

bool symbol_maker_add_elf(struct symbol_maker *maker, int fd)
{
	size_t before = maker->count;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF)
		add_tables(maker, elf);
	elf_end(elf);
	return maker->count > before;
}

struct symbols symbols_read(const char *path)
{
	struct symbol_maker maker = {0};
	struct stat status;
	/* Not to wait for a writer, should the path have become a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return (struct symbols){0};
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		symbol_maker_add_elf(&maker, fd);
	close(fd);
	return symbol_maker_finish(&maker);
}

void symbols_free(struct symbols *symbols)
{
	free(symbols->list);
	free(symbols->names);
	*symbols = (struct symbols){0};
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* Symbols that begin at or below the address. */
static size_t count_below(const struct symbols *symbols, uint64_t address)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address)
{
	size_t below = count_below(symbols, address);

	for (size_t i = 0; i < NESTING && i < below; i++) {
		const struct symbol *symbol = &symbols->list[below - 1 - i];
		uint64_t offset = address - symbol->address;

		if (symbol->size ? offset < symbol->size : offset < REACH)
			return symbol;
	}
	return NULL;
}

static const struct symbol *by_name(const struct symbol *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i].name, name))
			return &list[i];
	}
	return NULL;
}

const struct symbol *symbols_lookup(const struct symbols *symbols, const char *name)
{
	return by_name(symbols->list, symbols->count, name);
}

const struct symbol *symbols_offset(const struct symbols *symbols, const char *name)
{
	if (!symbols->absolute)
		return NULL;
	return by_name(symbols->list + symbols->count, symbols->absolute, name);
}

const char *symbols_text(const struct symbols *symbols, uint64_t address, char *buf, size_t size)
{
	const struct symbol *symbol = symbols_find(symbols, address);

	if (!symbol)
		snprintf(buf, size, "%s", "");
	else if (symbol->address == address)
		snprintf(buf, size, " <%s>", symbol->name);
	else
		snprintf(buf, size, " <%s+0x%" PRIx64 ">", symbol->name, address - symbol->address);
	return buf;
}

const char *symbols_place(const struct symbols *symbols, uint64_t address, char *buf, size_t size)
{
	int used = snprintf(buf, size, "0x%" PRIx64, address);

	symbols_text(symbols, address, buf + used, size - (size_t)used);
	return buf;
}

/* ---- A kernel that has moved ----------------------------------------------------------------- */

bool symbols_slide(const struct symbols *symbols, const struct symbol_place *places, size_t count,
                   uint64_t *slide)
{
	bool known = false;

	for (size_t i = 0; i < count; i++) {
		const struct symbol *symbol = symbols_lookup(symbols, places[i].name);

		if (!symbol)
			continue;
		if (known && places[i].address - symbol->address != *slide)
			return false;
		*slide = places[i].address - symbol->address;
		known = true;
	}
	return known && *slide % PAGE == 0;
}

void symbols_shift(struct symbols *symbols, uint64_t slide)
{
	for (size_t i = 0; i < symbols->count; i++)
		symbols->list[i].address += slide;
}
