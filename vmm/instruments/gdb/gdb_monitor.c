#include "vmm/instruments/gdb/gdb_monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pt.h"
#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/devices/counters.h"
#include "vmm/look/registers.h"
#include "vmm/look/view.h"

/* ---- Commands -------------------------------------------------------------------------------- */

static void do_help(FILE *out, struct gdb *gdb, const char *argument)
{
	(void)gdb;
	(void)argument;
	fputs("monitor help        this text\n"
	      "monitor registers   general, segment and control registers with their bits\n"
	      "monitor stats       exits of this run, and what the guest has counted so far\n"
	      "monitor walk VA     the page-table walk of an address, and who may access it\n"
	      "monitor points      breakpoints and watchpoints as they are planted\n"
	      "monitor checkpoint  from here on the guest can go back: reverse-stepi, "
	      "reverse-continue\n"
	      "                    ('checkpoint off': at full speed again, and not back)\n"
	      "monitor back N      N instructions back\n"
	      "monitor history     how far back and forth there is a way\n",
	      out);
}

static void do_registers(FILE *out, struct gdb *gdb, const char *argument)
{
	const struct engine *engine = &gdb->engine;
	const struct symbols none = {0};

	(void)argument;
	registers_print_general(out, &engine->state.regs, &none);
	registers_print_system(out, &engine->state.sregs);
}

static void count(FILE *out, const char *name, uint64_t value)
{
	if (value)
		fprintf(out, "  %12" PRIu64 "  %s\n", value, name);
}

static void count_group(FILE *out, enum counter_group group, const struct rs_stats *stats)
{
	char text[80];

	for (const struct counter *c = counters; c->key; c++) {
		if (c->group != group)
			continue;
		snprintf(text, sizeof(text), "%s%s", group == COUNTERS_CR3 ? "CR3: " : "", c->text);
		count(out, text, counter_value(c, stats));
	}
}

/* Of all CPUs. */
static uint64_t exits(const struct machine *machine, uint32_t reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (machine->cpus[i].started)
			sum += machine->cpus[i].stats.reasons[reason].count;
	}
	return sum;
}

static void do_stats(FILE *out, struct gdb *gdb, const char *argument)
{
	const struct engine *engine = &gdb->engine;
	const struct machine *machine = engine->machine;
	const struct rs_stats guest = boot_counts(&machine->boot);

	(void)argument;
	fputs("Returns from KVM_RUN (the debugger's own are IO, DEBUG and EINTR):\n", out);
	for (uint32_t i = 0; i < STATS_REASONS; i++)
		count(out, stats_reason_name(i), exits(machine, i));
	fprintf(out, "  %12" PRIu64 "  instruction%s run one at a time\n", engine->steps,
	        units_s(engine->steps));
	if (!machine->image.noted)
		return;
	fputs("Counted by the guest:\n", out);
	count_group(out, COUNTERS_ENTRIES, &guest);
	for (unsigned v = 0; v < 256; v++) {
		if (v != 0x80)
			count(out, vector_name(v), guest.vectors[v]);
	}
	count_group(out, COUNTERS_EVENTS, &guest);
	count_group(out, COUNTERS_SCHEDULING, &guest);
	count_group(out, COUNTERS_CR3, &guest);
	count(out, "SYSCALLs that arrived as a fault", guest.quirk_syscall);
	count(out, "INT n that arrived as #UD", guest.quirk_intn);
}

static void print_verdict(FILE *out, const struct view *view, uint64_t va, unsigned kind,
                          unsigned cpl)
{
	struct pt_access access = view_access(view, kind, cpl);
	struct pt_verdict verdict;
	char text[200];

	pt_explain(&view->pt, va, access, &verdict);
	pt_verdict_text(text, sizeof(text), va, access, &verdict);
	fprintf(out, "  %s\n", text);
}

static void print_walk(FILE *out, const struct view *view, uint64_t va)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
	struct pt_walk walk;

	pt_walk(&view->pt, va, &walk);
	if (!walk.steps)
		fputs("  not canonical: no table is looked at\n", out);
	for (unsigned i = 0; i < walk.steps; i++) {
		const struct pt_step *step = &walk.step[i];

		fprintf(out, "  %-5s %3u in table 0x%09" PRIx64 ": 0x%016" PRIx64 "%s\n",
		        names[step->level], step->index, step->table, step->entry,
		        step->entry & 1 ? "" : "  not present");
	}
	if (walk.mapped) {
		char rights[8];

		fprintf(out, "  physical 0x%" PRIx64 ", %" PRIu64 " KiB page, %s\n", walk.pa,
		        walk.page_size >> 10, pt_rights_text(rights, walk.rights));
	}
}

static void do_walk(FILE *out, struct gdb *gdb, const char *argument)
{
	const struct engine *engine = &gdb->engine;
	const struct machine *machine = engine->machine;
	const struct view view = view_make(&machine->memory, &engine->state.regs,
	                                   &engine->state.sregs, machine->boot.kernel.geo);
	char *end;
	uint64_t va;

	errno = 0;
	va = strtoull(argument, &end, 0);
	/* strtoull takes signs and blanks too. */
	if (*argument < '0' || *argument > '9' || *end || errno) {
		fputs("monitor walk VA: the address is a number, as in 0xffffffff80100000\n", out);
		return;
	}
	fprintf(out, "0x%" PRIx64 " through CR3 = 0x%llx\n", va, engine->state.sregs.cr3);
	print_walk(out, &view, va);
	for (unsigned ring = 0; ring <= 3; ring += 3) {
		print_verdict(out, &view, va, PT_READ, ring);
		print_verdict(out, &view, va, PT_STORE, ring);
		print_verdict(out, &view, va, PT_FETCH, ring);
	}
}

static void do_points(FILE *out, struct gdb *gdb, const char *argument)
{
	const struct engine *engine = &gdb->engine;

	(void)argument;
	for (size_t i = 0; i < engine->point_count; i++) {
		const struct engine_point *point = &engine->points[i];

		fprintf(out, "  0x%016" PRIx64 "  %s%s\n", point->plant.va,
		        point->plant.planted == 0xcc ? "INT3" : "OUT",
		        point->uses ? "" : ", where INT3 of ring 3 arrives");
	}
	for (size_t i = 0; i < engine->watch_count; i++)
		fprintf(out, "  0x%016" PRIx64 "  %zu byte%s watched by stepping\n",
		        engine->watches[i].va, engine->watches[i].size,
		        units_s(engine->watches[i].size));
	if (!engine->point_count && !engine->watch_count)
		fputs("  nothing planted (gdb plants when the guest goes on)\n", out);
}

/* ---- All ------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(FILE *out, struct gdb *gdb, const char *argument);
} commands[] = {
    {"help", do_help},          {"registers", do_registers},
    {"stats", do_stats},        {"walk", do_walk},
    {"points", do_points},      {"checkpoint", gdb_monitor_checkpoint},
    {"back", gdb_monitor_back}, {"history", gdb_monitor_history},
};

void gdb_monitor(FILE *out, struct gdb *gdb, const char *command)
{
	size_t length = strcspn(command, " ");

	if (!engine_know(&gdb->engine)) {
		fputs("the vCPU's registers cannot be read\n", out);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strlen(commands[i].name) == length &&
		    memcmp(commands[i].name, command, length) == 0) {
			commands[i].run(out, gdb, command + length + strspn(command + length, " "));
			return;
		}
	}
	fputs("no such command: try 'monitor help'\n", out);
}
