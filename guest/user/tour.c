/*
 * The tour: what each crossing changes, seen from outside by the VMM; what KPTI hides; what each
 * crossing costs in each KPTI mode.
 */
#include "guest/user/cross.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/record.h"
#include "guest/user/tap.h"
#include "guest/user/ticks.h"

#define ROUNDS 5 /* the best of so many parts is reported */

static uint64_t turns; /* crossings measured of each kind in each mode */

static void section(const char *title)
{
	printf("\n%s\n", title);
}

/* The better of the two modes with KPTI. */
static uint32_t pti_on(void)
{
	return info.features & RS_FEATURE_PCID ? RS_PTI_PCID : RS_PTI_NOPCID;
}

/* ---- Anatomy -------------------------------------------------------------------------------- */

static struct rs_mark marks[RS_MARKS];

static void row(const char *name, bool hex, uint64_t before, uint64_t inside, uint64_t after)
{
	const uint64_t values[] = {before, inside, after};

	printf("    %-8s", name);
	for (int i = 0; i < 3; i++) {
		if (hex)
			printf("  %016x", values[i]);
		else
			printf("  %-16u", values[i]);
	}
	printf("%s\n", before != inside || inside != after ? "  *" : "");
}

static void show_marks(const char *title)
{
	const struct rs_mark *b = &marks[MARK_BEFORE], *i = &marks[MARK_INSIDE],
	                     *a = &marks[MARK_AFTER];

	syscall(RS_SYS_MARKS, marks);
	printf("  %-10s  %-16s  %-16s  %-16s\n", title, "before", "inside", "after");
	row("CPL", false, b->cpl, i->cpl, a->cpl);
	row("CS", true, b->cs, i->cs, a->cs);
	row("SS", true, b->ss, i->ss, a->ss);
	row("RSP", true, b->rsp, i->rsp, a->rsp);
	row("CR3", true, b->cr3, i->cr3, a->cr3);
	row("RFLAGS", true, b->rflags, i->rflags, a->rflags);
}

static void anatomy_of_fault(const char *title, fault_fn *insn, uint64_t address)
{
	syscall(RS_SYS_FAULT_HANDLER, mark_fault_resume);
	mark_fault(insn, address);
	syscall(RS_SYS_FAULT_HANDLER, 0L);
	show_marks(title);
}

/* The other process is switched to by a yield and marks where it wakes up. */
static void anatomy_of_switch(void)
{
	uint32_t status;

	flush();
	if (syscall(SYS_fork) == 0) {
		syscall(RS_SYS_MARK_SLOT, (long)MARK_INSIDE);
		syscall(SYS_sched_yield);
		mark(MARK_AFTER);
		exit(0);
	}
	syscall(SYS_sched_yield);
	mark(MARK_BEFORE);
	syscall(SYS_sched_yield);
	syscall(SYS_wait4, -1L, &status, 0L, 0L);
	show_marks("CR3 switch");
}

static void anatomy(void)
{
	section(
	    "What a crossing changes, KPTI on (seen by the VMM from outside; * where it differs)");
	syscall(RS_SYS_PTI_MODE, (long)pti_on());
	syscall(RS_SYS_MARK_SLOT, (long)MARK_INSIDE);
	mark_syscall();
	show_marks("SYSCALL");
	mark_int80();
	show_marks("INT 0x80");
	anatomy_of_fault("#PF", fault_pf, RS_KERNEL_TEXT);
	anatomy_of_fault("#UD", fault_ud, 0);
	anatomy_of_fault("#GP", fault_gp, 0);
	anatomy_of_switch();
	syscall(RS_SYS_MARK_SLOT, -1L);
	syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);
}

/* ---- Isolation ----------------------------------------------------------------------------------
 */

static void read_at(uint64_t address)
{
	*(volatile const char *)address;
}

static const char *const mode_names[] = {
    [RS_PTI_OFF] = "KPTI off",
    [RS_PTI_PCID] = "KPTI on, PCID",
    [RS_PTI_NOPCID] = "KPTI on",
};

static void try_kernel_read(const char *what, uint64_t address)
{
	const struct outcome got = try(read_at, address);

	printf("    ring 3 reads %s %016x: ", what, address);
	if (got.vector == ALLOWED)
		printf("ALLOWED\n");
	else
		printf("%s error code %u, %s\n", got.vector == VECTOR_PF ? "#PF" : "another fault",
		       (uint64_t)got.error,
		       got.error & PF_P ? "mapped, but not for ring 3" : "not mapped at all");
}

static void isolation(void)
{
	const uint32_t modes[] = {RS_PTI_OFF, pti_on()};
	struct rs_page_counts counts;

	section("What ring 3 can see of the kernel");
	try_handle();
	syscall(RS_SYS_COUNT_PAGES, &counts);
	for (int i = 0; i < 2; i++) {
		syscall(RS_SYS_PTI_MODE, (long)modes[i]);
		printf(
		    "  %s: ring 3 runs on the %s root, which maps %'u pages of the kernel half\n",
		    mode_names[modes[i]], modes[i] == RS_PTI_OFF ? "kernel" : "user",
		    modes[i] == RS_PTI_OFF ? counts.kernel_root : counts.user_root);
		try_kernel_read("kernel text", RS_KERNEL_TEXT);
		try_kernel_read("entry text ", RS_ENTRY_BASE);
	}
	syscall(RS_SYS_FAULT_HANDLER, 0L);
	syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);
}

/* ---- Processes
 * ----------------------------------------------------------------------------------- */

static volatile uint64_t own_variable = 1;

static void child(const char *by)
{
	own_variable = 2;
	printf("  process %d (forked by %s) sets the variable at %x to %u\n", syscall(SYS_getpid),
	       by, (uint64_t)&own_variable, own_variable);
	exit(7);
}

static void wait_for_child(void)
{
	uint32_t status = 0;
	long pid = syscall(SYS_wait4, -1L, &status, 0L, 0L);

	if (status & 0x7f)
		printf("  process %d was ended by signal %u\n", pid, (uint64_t)(status & 0x7f));
	else
		printf("  process %d exited with %u; here the variable is still %u\n", pid,
		       (uint64_t)(status >> 8), own_variable);
}

static void processes(void)
{
	long result;

	section("Processes: address spaces of their own over one kernel");
	flush();
	if (syscall(SYS_fork) == 0)
		child("SYSCALL 57");
	wait_for_child();
	flush();
	if (syscall_int80(SYS32_fork) == 0)
		child("INT 0x80 number 2");
	wait_for_child();
	flush();
	if (syscall(SYS_fork) == 0) {
		read_at(RS_KERNEL_TEXT);
		exit(0);
	}
	wait_for_child();
	result = syscall(999);
	printf("  a call that does not exist: syscall(999) = %d, errno %d (ENOSYS)\n", result,
	       (long)errno);
}

/* ---- Costs
 * --------------------------------------------------------------------------------------- */

struct crossing {
	const char *name;
	void (*loop)(uint64_t turns);
	fault_fn *insn;    /* for faults, instead of loop */
	uint64_t per_turn; /* crossings in a turn of the loop */
};

static const struct crossing crossings[] = {
    {"SYSCALL getpid", loop_syscall, NULL, 1},
    {"INT 0x80 getpid", loop_int80, NULL, 1},
    {"#PF to a ring 3 handler", NULL, fault_pf, 1},
    {"#UD to a ring 3 handler", NULL, fault_ud, 1},
    {"#GP to a ring 3 handler", NULL, fault_gp, 1},
    {"CR3 switch by sched_yield", loop_yield, NULL, 2}, /* away and back */
};
#define CROSSINGS (sizeof(crossings) / sizeof(crossings[0]))

static void run_turns(const struct crossing *crossing, uint64_t count)
{
	if (crossing->loop)
		crossing->loop(count);
	else
		loop_fault(crossing->insn, RS_KERNEL_TEXT, count);
}

/* Ticks a crossing, tenths. */
static uint64_t measure(const struct crossing *crossing)
{
	const uint64_t part = turns / ROUNDS / crossing->per_turn;
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = rdtsc(), ticks;

		run_turns(crossing, part);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best * 10 / (turns / ROUNDS);
}

/* The other process yields as often, and once more, to be there for the last one. */
static uint64_t measure_switch(const struct crossing *crossing)
{
	uint64_t ticks;

	flush();
	if (syscall(SYS_fork) == 0) {
		crossing->loop(ROUNDS * (turns / ROUNDS / crossing->per_turn) + 1);
		exit(0);
	}
	ticks = measure(crossing);
	syscall(SYS_wait4, -1L, 0L, 0L, 0L);
	return ticks;
}

/* The same figures for the VMM's reports. */
static void send_costs(uint64_t ticks[CROSSINGS][3], const struct ticks *judged)
{
	struct rs_record list[3 * CROSSINGS + 1];
	uint64_t count = 0;

	for (size_t c = 0; c < CROSSINGS; c++) {
		for (uint32_t mode = RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++) {
			struct rs_record *record = &list[count];

			if (mode == RS_PTI_PCID && !(info.features & RS_FEATURE_PCID))
				continue;
			record_begin(record, crossings[c].name, tick_units[judged->kind], mode);
			record->decimals = 1;
			record->samples = turns;
			record->min = ticks[c][mode];
			count++;
		}
	}
	record_begin(&list[count], "a loop in ring 0, against ring 3", "times", RS_RECORD_NO_MODE);
	list[count++].median = judged->ring0_times;
	record_send(list, count);
}

static void costs(void)
{
	/* Without PCIDs the second column repeats the third: the counts stay the same on every
	 * host. */
	const bool pcid = info.features & RS_FEATURE_PCID;
	const uint32_t modes[] = {RS_PTI_OFF, pti_on(), RS_PTI_NOPCID};
	uint64_t ticks[CROSSINGS][3];
	struct ticks judged;

	section("Cycles per crossing");
	for (int m = 0; m < 3; m++) {
		syscall(RS_SYS_PTI_MODE, (long)modes[m]);
		for (size_t c = 0; c < CROSSINGS; c++) {
			if (crossings[c].insn)
				syscall(RS_SYS_FAULT_HANDLER, loop_fault_resume);
			ticks[c][m] = crossings[c].loop == loop_yield
			                  ? measure_switch(&crossings[c])
			                  : measure(&crossings[c]);
		}
		syscall(RS_SYS_FAULT_HANDLER, 0L);
	}
	syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);

	printf("  %-26s  %12s  %12s  %12s\n", "", "KPTI off", "on, PCID", "on, no PCID");
	for (size_t c = 0; c < CROSSINGS; c++) {
		printf("  %-26s", crossings[c].name);
		for (int m = 0; m < 3; m++) {
			if (m == 1 && !pcid)
				printf("  %12s", "-");
			else
				printf("  %'10u.%u", ticks[c][m] / 10, ticks[c][m] % 10);
		}
		printf("\n");
	}
	printf("  RDTSC ticks, there and back; the best of %u parts of %u\n", (uint64_t)ROUNDS,
	       turns / ROUNDS);

	judged = ticks_judge();
	send_costs(ticks, &judged);
	if (judged.kind == TICK_INTERPRETED)
		printf("  Ring 0 runs a loop %'u times slower than ring 3 here: this KVM "
		       "interprets ring 0,\n"
		       "  and these cycles are not the hardware's.\n",
		       judged.ring0_times);
	else if (judged.kind == TICK_INSTRUCTION)
		printf("  This TSC counts instructions: read the figures as instructions.\n");
	else if (judged.kind == TICK_EMULATED)
		printf("  This CPU is emulated: these cycles are not the hardware's.\n");
	else if (!pcid)
		printf("  This CPU has no PCID.\n");
}

/* ---- The galleries --------------------------------------------------------------------------- */

static int galleries(void)
{
	section(
	    "Every wall, state and way, row by row (--program walls, hostile, crossings, memory "
	    "show them)");
	gallery_brief = true;
	return check_main(0, NULL);
}

/* A little of what `make test` does much of. */
static int scheduling(void)
{
	static char *arguments[] = {(char *)"processes", (char *)"600", (char *)"6"};

	section("Slices, sleep, kernel threads, frames, PCIDs, a short soak (--program processes: "
	        "in every KPTI mode)");
	tap_brief = true;
	tap_remark = "  ";
	return processes_main(3, arguments);
}

#define TURNS 2000 /* unless the argument says otherwise */

int tour_main(int argc, char **argv)
{
	static const char *const start_modes[] = {"off", "on, with PCID", "on, without PCID"};

	int status = 0;

	turns = argc > 1 ? number(argv[1]) : TURNS;
	if (turns < 2 * ROUNDS)
		turns = 2 * ROUNDS;
	syscall(RS_SYS_INFO, &info);
	printf("Ringscope tour: ring 3 and ring 0 on %u-level paging, %u MiB of RAM, KPTI %s\n",
	       (uint64_t)info.levels, info.ram_size >> 20, start_modes[info.pti_mode]);
	anatomy();
	isolation();
	processes();
	costs();
	if (argc < 2)
		status = galleries() | scheduling();
	flush();
	return status;
}
