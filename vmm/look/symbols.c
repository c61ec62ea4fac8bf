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
};

/* Whether a symbol names a place in the image that somebody would call by this name. */
static bool is_useful(const GElf_Sym *symbol, const char *name)
{
	unsigned char type = GELF_ST_TYPE(symbol->st_info);

	return name && *name && *name != '$' && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_shndx < SHN_LORESERVE &&
	       (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	/* The larger first: a search goes backwards and meets the closest fit first, and a label
	 * without a size, which may be the end of what lies before, last. */
	return (x->size - 1 < y->size - 1) - (x->size - 1 > y->size - 1);
}

/* Adds what the table in this section has; false when there is no memory. */
static bool add_table(struct symbols *symbols, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t entry = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	size_t count = data && entry ? data->d_size / entry : 0;
	struct symbol *list;

	if (count > SYMBOLS_MAX)
		count = SYMBOLS_MAX;
	if (!count)
		return true;
	list = reallocarray(symbols->list, symbols->count + count, sizeof(*list));
	if (!list)
		return false;
	symbols->list = list;
	for (size_t i = 0; i < count; i++) {
		char clean[NAME_SIZE];
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getsym(data, (int)i, &symbol))
			break;
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!is_useful(&symbol, name))
			continue;
		list[symbols->count] = (struct symbol){
		    .address = symbol.st_value,
		    .size = symbol.st_size,
		    .name = strdup(printable(clean, sizeof(clean), name, strlen(name))),
		};
		if (!list[symbols->count].name)
			return false;
		symbols->count++;
	}
	return true;
}

static void read_tables(struct symbols *symbols, Elf *elf)
{
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB) {
			/* A file has one; a second would be somebody's trick. */
			add_table(symbols, elf, section, &header);
			break;
		}
	}
	if (symbols->count)
		qsort(symbols->list, symbols->count, sizeof(*symbols->list), by_address);
}

struct symbols symbols_read(const char *path)
{
	struct symbols symbols = {0};
	struct stat status;
	/* Not to wait for a writer, should the path have become a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Elf *elf = NULL;

	if (fd < 0)
		return symbols;
	elf_version(EV_CURRENT);
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF)
		read_tables(&symbols, elf);
	elf_end(elf);
	close(fd);
	return symbols;
}

void symbols_free(struct symbols *symbols)
{
	for (size_t i = 0; i < symbols->count; i++)
		free(symbols->list[i].name);
	free(symbols->list);
	*symbols = (struct symbols){0};
}

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
