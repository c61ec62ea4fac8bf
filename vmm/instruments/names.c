#include "vmm/instruments/names.h"

#include "vmm/look/entries.h"
#include "vmm/look/kallsyms.h"
#include "vmm/look/symbol_file.h"
#include "vmm/look/view.h"

/* The entries that are in Linux's symbol table, under names that no other kernel has. */
static const struct {
	const char *name;
	unsigned entry;
} known[] = {
    {"entry_SYSCALL_64", ENTRIES_SYSCALL},       {"entry_SYSCALL_compat", ENTRIES_COMPAT},
    {"entry_SYSENTER_compat", ENTRIES_SYSENTER}, {"asm_exc_divide_error", 0},
    {"asm_exc_general_protection", 13},          {"asm_exc_page_fault", 14},
};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

/* Moves symbols of a file to where the kernel is now; stays where nothing says how far. */
static void follow(struct symbols *symbols, const struct machine *machine, const struct cpu *cpu)
{
	static struct entries entries; /* 4 KiB of IDT */
	struct symbol_place places[KNOWN];
	struct vcpu_state state;
	unsigned count = 0;
	uint64_t slide;

	if (!vcpu_read(&cpu->vcpu, &state, STATE_BASIC | STATE_ALL_MSRS))
		return;

	const struct view view =
	    view_make(&machine->memory, &state.regs, &state.sregs, machine->boot.kernel.geo);

	entries = (struct entries){0};
	entries_read(&entries, &view, &state);
	for (unsigned i = 0; i < KNOWN; i++) {
		const struct entry *entry = &entries.list[known[i].entry];

		if (entry->there)
			places[count++] = (struct symbol_place){known[i].name, entry->va};
	}
	if (count && symbols_slide(symbols, places, count, &slide))
		symbols_shift(symbols, slide);
}

/* In RAM as it is after the kernel has moved: nothing is to be added. */
static struct symbols read_ram(const struct machine *machine)
{
	const struct memory *memory = &machine->memory;
	struct symbols symbols = {0};
	uint64_t base;

	if (!kallsyms_find(memory->base, memory->low_end, &symbols, &base) && memory->high_end)
		kallsyms_find(memory->base + RS_HIGH_RAM, memory->high_end - RS_HIGH_RAM, &symbols,
		              &base);
	return symbols;
}

struct symbols names_read(const struct machine *machine, const struct cpu *cpu)
{
	struct symbols symbols = {0};

	if (machine->plan->symbols)
		symbol_file_read(machine->plan->symbols, &symbols);
	else
		symbols = symbols_read(machine->image.path);
	if (!machine->image.protocol->is_pc)
		return symbols;
	if (symbols.count == 0)
		return read_ram(machine);
	follow(&symbols, machine, cpu);
	return symbols;
}
