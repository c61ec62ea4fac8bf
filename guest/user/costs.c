/*
 * What KPTI costs on this machine: every way across the rings in every mode, then loads made of
 * real work, then curves over the system-call rate and over the working set.
 *
 *     ./vmm --program costs guest.elf
 *
 * Everything is printed as it is measured, and handed to the VMM as a record for its reports (JSON,
 * HTML): there are no figures but these.
 */
#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "guest/user/loads.h"
#include "guest/user/programs.h"
#include "guest/user/record.h"
#include "guest/user/spread.h"
#include "guest/user/ticks.h"
#include "guest/user/timed.h"

#define MAX_SAMPLES 900 /* of a crossing in a mode: what fits on the stack */
#define MIN_SAMPLES 10
#define WARM_UP     20    /* crossings before the samples; fork: one */
#define SAMPLES_MS  250   /* about so long for a crossing in a mode ... */
#define LOAD_MS     10    /* ... and for a load in a mode and round */
#define MIX_RATE    50000 /* system calls a second: what one published study calls busy */
#define HEAP_PAGES  512   /* wanted of brk, for the working set */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* On the stack: what is static is copied at every process's start. */
struct costs {
	struct rs_info info;
	struct modes modes;
	struct ticks ticks;
	uint64_t tsc_khz;   /* 1,000,000 if the host did not say */
	uint64_t stamps[2]; /* ticks of two time stamps with nothing between; and in 32-bit code */
	uint64_t call;      /* ticks of a system call with KPTI off, the median */
	uint64_t work_cost; /* load_work_cost */
};

static const char *const mode_titles[MODES] = {
    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "on, PCID", [RS_PTI_NOPCID] = "on, no PCID"};

/* Ticks, or ticks a second and so on, multiplied without overflow. */
static uint64_t scale(uint64_t value, uint64_t by, uint64_t of)
{
	return of ? value / of * by + value % of * by / of : 0;
}

static void set_mode(long mode)
{
	syscall(RS_SYS_PTI_MODE, mode);
}

/* ---- The host
 * -------------------------------------------------------------------------------------- */

static const char *const meanings[TICK_KINDS] = {
    [TICK_CYCLE] = "Ring 0 and ring 3 run at one speed: these figures are the hardware's.\n",
    [TICK_INTERPRETED] =
        "These cycles are NOT the hardware's: this KVM interprets ring 0, an instruction at a "
        "time.\n"
        "  What holds here: ring 3 work, and which of two paths has more instructions in ring 0.\n"
        "  What does not: any cost of a crossing, and every overhead, in cycles, time or per "
        "cent.\n",
    [TICK_INSTRUCTION] = "This TSC counts instructions, exactly.  Time is not measured: neither "
                         "the nanoseconds nor the\n"
                         "  CR3 writes and TLB misses, which are what KPTI costs.\n",
    [TICK_EMULATED] = "These cycles are NOT the hardware's: this CPU is emulated.  What holds is "
                      "the order of the\n"
                      "  figures, roughly; none of them, and no overhead, is a real processor's.\n",
};

static void send_figure(const char *name, const char *unit, int64_t value)
{
	struct rs_record record;

	record_begin(&record, name, unit, RS_RECORD_NO_MODE);
	record.median = record_signed(value);
	record_send(&record, 1);
}

static void look_at_host(struct costs *costs)
{
	syscall(RS_SYS_INFO, &costs->info);
	costs->ticks = ticks_judge();
	costs->tsc_khz = costs->info.tsc_khz ? costs->info.tsc_khz : 1000000;
	costs->modes.have[RS_PTI_OFF] = costs->modes.have[RS_PTI_NOPCID] = true;
	costs->modes.have[RS_PTI_PCID] = costs->info.features & RS_FEATURE_PCID;
	costs->work_cost = load_work_cost();
	printf("What KPTI costs here: TSC %'u kHz%s, %s PCID\n  %s", costs->tsc_khz,
	       costs->info.tsc_khz ? "" : " (assumed: the host does not say)",
	       costs->modes.have[RS_PTI_PCID] ? "with" : "without", meanings[costs->ticks.kind]);
	if (costs->ticks.kind == TICK_INTERPRETED)
		printf("  A loop in ring 0 takes %'u times as long as in ring 3.\n",
		       costs->ticks.ring0_times);
	send_figure("a loop in ring 0, against ring 3", "times", (int64_t)costs->ticks.ring0_times);
}

/* The host's clock against the TSC, over all the time that measuring took. */
static void check_clock(const struct costs *costs, uint64_t tick0, int64_t ns0)
{
	const int64_t ns = syscall(RS_SYS_CLOCK) - ns0;
	const int64_t off = (int64_t)scale(rdtsc() - tick0, 1000000, costs->tsc_khz) - ns;
	const int64_t ppm = off * 1000 / (ns / 1000 + 1);

	printf("\nThe TSC at %'u kHz is %d millionths off the host's clock, over the %'u ms that "
	       "this took.\n",
	       costs->tsc_khz, ppm, (uint64_t)ns / 1000000);
	send_figure("the TSC, off the host's clock", "ppm", ppm);
}

/* ---- Crossings
 * --------------------------------------------------------------------------------------- */

enum crossing_kind {
	PLAIN,
	CODE32,  /* in 32-bit code, which has time stamps of its own */
	FAULT,   /* `sample` is an instruction that faults */
	PARTNER, /* another process must run loop_yield */
	SLOW,    /* thousands of instructions: warm up once */
};

static const struct crossing {
	char name[24];
	sample_fn *sample;
	enum crossing_kind kind;
	uint16_t needs, lacks; /* RS_FEATURE_* */
	bool faithful;         /* not where ring 0 is interpreted */
} crossings[] = {
    {"SYSCALL getpid", sample_syscall, PLAIN, 0, 0, false},
    {"INT 0x80 getpid", sample_int80, PLAIN, 0, 0, false},
    {"SYSENTER getpid", sample_sysenter, PLAIN, 0, RS_FEATURE_AMD, false},
    {"call gate getpid", sample_callgate, PLAIN, 0, 0, true},
    {"INT 0x80, 32-bit code", sample_int80_32, CODE32, 0, 0, false},
    {"SYSCALL, 32-bit code", sample_syscall_32, CODE32, RS_FEATURE_AMD, 0, true},
    {"SYSENTER, 32-bit code", sample_sysenter_32, CODE32, 0, RS_FEATURE_AMD, false},
    {"#PF to a handler", (sample_fn *)fault_pf, FAULT, 0, 0, false},
    {"#UD to a handler", (sample_fn *)fault_ud, FAULT, 0, 0, false},
    {"#GP to a handler", (sample_fn *)fault_gp, FAULT, 0, 0, false},
    {"two switches by yield", sample_yield, PARTNER, 0, 0, false},
    {"fork, exit, wait4", sample_fork, SLOW, 0, 0, false},
};

static bool exists(const struct costs *costs, const struct crossing *c)
{
	return (costs->info.features & c->needs) == c->needs &&
	       !(costs->info.features & c->lacks) &&
	       !(c->faithful && costs->ticks.kind == TICK_INTERPRETED);
}

static void take(const struct crossing *c, uint64_t *ticks, uint64_t n)
{
	if (c->kind == FAULT)
		sample_fault(ticks, n, (fault_fn *)c->sample, RS_KERNEL_TEXT);
	else
		c->sample(ticks, n);
}

static uint64_t affordable(const struct costs *costs, uint64_t ticks)
{
	uint64_t n = costs->tsc_khz * SAMPLES_MS / (ticks ? ticks : 1);

	return n < MIN_SAMPLES ? MIN_SAMPLES : n > MAX_SAMPLES ? MAX_SAMPLES : n;
}

/* The partner yields more often than anybody asks, and ends when nobody takes turns with it any
 * more: the yields after the last sample are its own. */
static void begin_partner(void)
{
	flush();
	if (syscall(SYS_fork) == 0) {
		loop_yield(WARM_UP + MAX_SAMPLES + 1);
		exit(0);
	}
}

static void measure(const struct costs *costs, const struct crossing *c, struct spread *spread)
{
	const uint64_t stamps = costs->stamps[c->kind == CODE32];
	uint64_t ticks[MAX_SAMPLES];
	uint64_t warm_up = c->kind == SLOW ? 1 : WARM_UP, n;

	if (c->kind == PARTNER)
		begin_partner();
	take(c, ticks, warm_up);
	spread_of(spread, ticks, warm_up, 0);
	n = affordable(costs, spread->value[SPREAD_MIN]);
	take(c, ticks, n);
	spread_of(spread, ticks, n, stamps);
	if (c->kind == PARTNER)
		syscall(SYS_wait4, -1L, 0L, 0L, 0L);
}

static void send_crossing(const struct costs *costs, const struct crossing *c, uint32_t mode,
                          const struct spread *s)
{
	struct rs_record record;

	record_begin(&record, c->name, tick_units[costs->ticks.kind], mode);
	record.samples = s->samples;
	record.outliers = s->outliers;
	record.min = s->value[SPREAD_MIN];
	record.median = s->value[SPREAD_MEDIAN];
	record.p90 = s->value[SPREAD_P90];
	record.p99 = s->value[SPREAD_P99];
	record.max = s->value[SPREAD_MAX];
	record_send(&record, 1);
}

static void print_crossing(const struct costs *costs, const struct crossing *c, long mode,
                           const struct spread *s)
{
	const uint64_t median = s->value[SPREAD_MEDIAN];

	printf("  %-22s%-13s%-16s", mode == RS_PTI_OFF ? c->name : "", mode_titles[mode],
	       tick_units[costs->ticks.kind]);
	for (int i = 0; i < SPREAD_VALUES; i++)
		printf(" %'11u", s->value[i]);
	printf(" %5u %%%7u%6u\n",
	       median ? (s->value[SPREAD_P90] - s->value[SPREAD_MIN]) * 100 / median : 0,
	       s->samples, s->outliers);
	if (costs->ticks.kind == TICK_INSTRUCTION)
		return;
	printf("  %35s%-16s", "", "ns");
	for (int i = 0; i < SPREAD_VALUES; i++)
		printf(" %'11u", scale(s->value[i], 1000000, costs->tsc_khz));
	printf("\n");
}

static void measure_stamps(struct costs *costs)
{
	uint64_t ticks[64];
	struct spread spread;

	for (int i = 0; i < 2; i++) {
		(i ? sample_nothing_32 : sample_nothing)(ticks, ARRAY_SIZE(ticks));
		spread_of(&spread, ticks, ARRAY_SIZE(ticks), 0);
		costs->stamps[i] = spread.value[SPREAD_MEDIAN];
	}
}

static void measure_crossings(struct costs *costs)
{
	struct spread spread;

	measure_stamps(costs);
	printf("\nA crossing, there and back\n  %-22s%-29s %11s %11s %11s %11s %11s spread samples "
	       "apart\n",
	       "", "KPTI", "min", "median", "p90", "p99", "max");
	syscall(RS_SYS_GALLERY, 1L); /* with its call gate */
	syscall(RS_SYS_FAULT_HANDLER, sample_fault_resume);
	for (const struct crossing *c = crossings; c < crossings + ARRAY_SIZE(crossings); c++) {
		if (!exists(costs, c))
			continue;
		for (long mode = 0; mode < MODES; mode++) {
			if (!costs->modes.have[mode])
				continue;
			set_mode(mode);
			measure(costs, c, &spread);
			if (c == crossings && mode == RS_PTI_OFF)
				costs->call = spread.value[SPREAD_MEDIAN];
			print_crossing(costs, c, mode, &spread);
			send_crossing(costs, c, (uint32_t)mode, &spread);
		}
		flush();
	}
	syscall(RS_SYS_FAULT_HANDLER, 0L);
	syscall(RS_SYS_GALLERY, 0L);
	set_mode((long)costs->info.pti_mode);
	printf("  %u ticks of the time stamps are taken off.  Spread: p90 - min, of the median.  "
	       "Apart: above\n"
	       "  %u medians, so interrupted by an exit or by another program; in none of the "
	       "figures.\n",
	       costs->stamps[0], (uint64_t)OUTLIER_MEDIANS);
}

/* ---- Loads and curves
 * -------------------------------------------------------------------------------- */

/* Hundredths as a signed decimal fraction, right-aligned. */
static void print_percent(int64_t hundredths)
{
	uint64_t size = hundredths < 0 ? -(uint64_t)hundredths : (uint64_t)hundredths;

	printf("%s%c%u.%02u %%",
	       size < 1000    ? "    "
	       : size < 10000 ? "   "
	                      : "  ",
	       hundredths < 0 ? '-' : '+', size / 100, size % 100);
}

/* What each mode adds to a load; as a point of a curve if x_unit is not NULL. */
static void tell_overheads(const struct costs *costs, const struct load_result *result,
                           const char *name, const char *x_unit, uint64_t x)
{
	struct rs_record record;

	for (uint32_t mode = RS_PTI_PCID; mode < MODES; mode++) {
		const int64_t overhead = load_overhead(result, mode);

		if (!costs->modes.have[mode]) {
			printf("%12s", "-");
			continue;
		}
		print_percent(overhead);
		record_begin(&record, name, "percent", mode);
		if (x_unit)
			record_at(&record, x, x_unit);
		record.decimals = 2;
		record.min = record_signed(overhead); /* below 0: noise won */
		record_send(&record, 1);
	}
}

static void measure_load(const struct costs *costs, const struct load *load,
                         struct load_result *result)
{
	load_measure(result, load, &costs->modes, costs->tsc_khz * LOAD_MS);
}

/* What others measured with loads like these is in vmm/instruments/report/report_html.c too. */
static void tell_load(const struct costs *costs, const struct load *load, const char *name,
                      const char *published, struct load_result *result)
{
	measure_load(costs, load, result);
	printf("  %-38s", name);
	tell_overheads(costs, result, name, NULL, 0);
	printf("   %s\n", published);
	flush();
}

/* A system call every 1/rate seconds when KPTI is off, work filling the time between.  No work: the
 * call alone takes longer than that here. */
static struct load load_at(const struct costs *costs, uint64_t rate)
{
	uint64_t interval = costs->tsc_khz * 1000 / rate;
	struct load load = {.calls = 1};

	if (interval > costs->call)
		load.work = scale(interval - costs->call, 1024, costs->work_cost);
	return load;
}

static uint64_t rate_of(const struct costs *costs, const struct load_result *result)
{
	return scale(result->turns * 1000, costs->tsc_khz, result->ticks[RS_PTI_OFF]);
}

static void measure_loads(const struct costs *costs)
{
	const struct load compute = {.work = 16384}, calls = {.calls = 20};
	struct load mix = load_at(costs, MIX_RATE);
	struct load_result result;
	uint64_t rate;

	/* A host whose calls are too slow for the rate gets the work of that time between them. */
	if (!mix.work)
		mix.work = scale(costs->tsc_khz * 1000 / MIX_RATE, 1024, costs->work_cost);
	printf("\nOverhead of KPTI on real work (best of %u rounds, modes turn about)\n  "
	       "%-38s%12s%12s   %s\n",
	       (uint64_t)LOAD_ROUNDS, "", "PCID", "no PCID", "published");
	tell_load(costs, &compute, "compute only", "KAISER 0.28 % on average, 0.68 % at most",
	          &result);
	tell_load(costs, &mix, "work and system calls",
	          "2 % at 50,000 calls/s a CPU; Linux about 5 %", &result);
	rate = rate_of(costs, &result);
	tell_load(costs, &calls, "system calls only",
	          "30 % with PCID, over 800 % without, at worst", &result);
	printf("  Work is hashing; with system calls it came to %'u calls a second, of %'u "
	       "wanted.\n"
	       "  Published, for a system call: 140, 580 (PCID) and 900 cycles on a Xeon "
	       "E5-2667v4; 339 and 478 ns\n"
	       "  (PCID) on Haswell, FreeBSD; a write to CR3: about 100 cycles.\n",
	       rate, (uint64_t)MIX_RATE);
	send_figure("work and system calls, came to", "calls/s", (int64_t)rate);
}

static void measure_rates(const struct costs *costs)
{
	static const uint32_t rates[] = {1000, 5000, 10000, 20000, 100000, 200000, 500000, 1000000};
	struct load_result result;

	printf("\nOverhead by system calls a second\n  %-38s%12s%12s\n", "calls/s, KPTI off",
	       "PCID", "no PCID");
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		const struct load load = load_at(costs, rates[i]);
		uint64_t rate;

		if (!load.work) {
			if (i == 0)
				printf(
				    "  a system call is too slow here even for 1,000 a second\n");
			break;
		}
		measure_load(costs, &load, &result);
		rate = rate_of(costs, &result);
		printf("  %'-38u", rate);
		tell_overheads(costs, &result, "overhead by system-call rate", "calls a second",
		               rate);
		printf("\n");
	}
}

static void measure_sets(const struct costs *costs)
{
	static const uint32_t sets[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, HEAP_PAGES};
	const long memory = raw_syscall(SYS_brk, 0L);
	uint64_t pages = HEAP_PAGES;
	struct load_result result;

	printf("\nOverhead by working set: pages read after each system call (TLB pressure)\n"
	       "  %-12s%26s%12s%12s\n",
	       "pages", "ns a turn, KPTI off", "PCID", "no PCID");
	/* As much memory to read as there is. */
	while (pages && raw_syscall(SYS_brk, memory + (long)(pages * PAGE_SIZE)) <= memory)
		pages /= 2;
	for (size_t i = 0; i < ARRAY_SIZE(sets) && sets[i] <= pages; i++) {
		const struct load load = {
		    .calls = 1, .pages = sets[i], .memory = (const volatile uint8_t *)memory};

		measure_load(costs, &load, &result);
		printf("  %-12u%'26u", (uint64_t)sets[i],
		       scale(result.ticks[RS_PTI_OFF], 1000000, costs->tsc_khz * result.turns));
		tell_overheads(costs, &result, "overhead by working set", "pages", sets[i]);
		printf("\n");
	}
}

int costs_main(int argc, char **argv)
{
	struct costs costs;
	const uint64_t tick0 = rdtsc();
	const int64_t ns0 = syscall(RS_SYS_CLOCK);

	(void)argv;
	if (argc > 1) {
		printf(
		    "costs takes no arguments: the VMM has its figures too, for --stats json and "
		    "--report\n");
		return 2;
	}
	look_at_host(&costs);
	measure_crossings(&costs);
	measure_loads(&costs);
	measure_rates(&costs);
	measure_sets(&costs);
	check_clock(&costs, tick0, ns0);
	return 0;
}
