#include "vmm/look/linux_layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "shared/x86.h"

/* From one symbol to another, the smaller parts before those they lie in. */
static const struct {
	const char *name, *start, *end;
} by_symbols[] = {
    {"entry text", "__entry_text_start", "__entry_text_end"},
    {"kernel text", "_text", "_etext"},
    {"kernel rodata", "__start_rodata", "__end_rodata"},
    {"kernel data", "_sdata", "_edata"},
    {"kernel bss", "__bss_start", "__bss_stop"},
    {"kernel image", "_text", "_end"},
};

/* From where a variable says, else from where it is without randomising; 0: there is none. */
static const struct {
	const char *name, *variable;
	uint64_t va, len;
} by_address[] = {
    {"direct map of RAM", "page_offset_base", RS_DIRECT_BASE, UINT64_C(64) << 40},
    {"vmalloc area", "vmalloc_base", RS_STACKS_BASE, UINT64_C(32) << 40},
    {"vmemmap", "vmemmap_base", 0xffffea0000000000, UINT64_C(1) << 40},
    {"LDT", NULL, 0xffff880000000000, UINT64_C(1) << 39},
    {"cpu_entry_area", NULL, 0xfffffe0000000000, UINT64_C(1) << 39},
    {"espfix stacks", NULL, 0xffffff0000000000, UINT64_C(1) << 39},
    /* With KASLR, whether it is used or not: the image has the GiB before it. */
    {"modules", NULL, 0xffffffffc0000000, 0x3f000000},
    {"fixmap", NULL, 0xffffffffff000000, 0x600000},
    {"vsyscall", NULL, 0xffffffffff600000, PAGE_SIZE},
};
_Static_assert(sizeof(by_symbols) / sizeof(by_symbols[0]) +
                       sizeof(by_address) / sizeof(by_address[0]) <=
                   LINUX_RANGES,
               "all have room");

static uint64_t address_of(const struct symbols *symbols, const char *name)
{
	const struct symbol *symbol = symbols_lookup(symbols, name);

	return symbol ? symbol->address : 0;
}

static uint64_t value_of(struct look *look, const char *name)
{
	uint64_t va = address_of(look->moment->symbols, name), value = 0;
	const void *from = NULL;
	struct pt_walk walk;

	if (!va)
		return 0;
	look_begin_scan(look);
	pt_walk(&look->pt[LOOK_KERNEL], va, &walk);
	if (walk.mapped)
		from = memory_at(look->moment->memory, walk.pa, sizeof(value));
	if (from)
		memcpy(&value, from, sizeof(value));
	return value;
}

unsigned linux_layout(struct linux_range list[LINUX_RANGES], struct look *look)
{
	const struct symbols *symbols = look->moment->symbols;
	const uint64_t rest = PAGE_SIZE - 1;
	unsigned count = 0;

	if (!address_of(symbols, "entry_SYSCALL_64") || !address_of(symbols, "_text"))
		return 0;
	for (size_t i = 0; i < sizeof(by_symbols) / sizeof(by_symbols[0]); i++) {
		uint64_t start = address_of(symbols, by_symbols[i].start) & ~rest;
		uint64_t end = (address_of(symbols, by_symbols[i].end) + rest) & ~rest;

		if (start && end > start)
			list[count++] =
			    (struct linux_range){by_symbols[i].name, start, end - start};
	}
	for (size_t i = 0; i < sizeof(by_address) / sizeof(by_address[0]); i++) {
		uint64_t va = by_address[i].va;
		uint64_t value =
		    by_address[i].variable ? value_of(look, by_address[i].variable) : 0;

		if (value)
			va = value & ~rest;
		list[count++] = (struct linux_range){by_address[i].name, va, by_address[i].len};
	}
	return count;
}
