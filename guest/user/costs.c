/*
 * What KPTI costs on this machine: every way across the rings in every mode, then loads made of
 * real work, then curves over the system-call rate and over the working set.
 *
 *     ./vmm guest.elf -- costs [json]
 *
 * Measure first, print after: struct costs is all there is to say, for text and JSON alike.  It
 * lies on the stack, because what is static is copied at every process's start.
 */
#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "guest/user/loads.h"
#include "guest/user/programs.h"
#include "guest/user/record.h"
#include "guest/user/spread.h"
#include "guest/user/timed.h"

#define MAX_SAMPLES 900 /* of a crossing in a mode: what fits on the stack */
#define MIN_SAMPLES 10
#define WARM_UP     20    /* crossings before the samples; fork: one */
#define SAMPLES_MS  250   /* about so long for a crossing in a mode ... */
#define LOAD_MS     10    /* ... and for a load in a mode and round */
#define MIX_RATE    50000 /* system calls a second: what one published study calls busy */
#define MAX_RATES   8
#define MAX_SETS    10
#define HEAP_PAGES  512 /* wanted of brk, for the working set */

#define SYS_brk 12

/* ---- What there is to say
 * ------------------------------------------------------------------------ */

enum verdict { VERDICT_HARDWARE, VERDICT_INTERPRETED, VERDICT_INSTRUCTIONS, VERDICT_EMULATED };

static const struct {
	const char *name, *meaning;
} verdicts[] = {
    [VERDICT_HARDWARE] =
        {"hardware", "Ring 0 and ring 3 run at one speed: these figures are the hardware's.\n"},
    [VERDICT_INTERPRETED] =
        {"interpreted",
         "These cycles are NOT the hardware's: this KVM interprets ring 0, an instruction at a "
         "time.\n"
         "  What holds here: ring 3 work, and which of two paths has more instructions in ring 0.\n"
         "  What does not: any cost of a crossing, and every overhead, in cycles, time or per "
         "cent.\n"},
    [VERDICT_INSTRUCTIONS] = {"instructions", "This TSC counts instructions: read cycles as "
                                              "instructions.  They are exact.  Time is not:\n"
                                              "  neither the nanoseconds nor the CR3 writes and "
                                              "TLB misses, which are what KPTI costs.\n"},
    [VERDICT_EMULATED] =
        {"emulated", "These cycles are NOT the hardware's: this CPU is emulated.  What holds is "
                     "the order of the\n"
                     "  figures, roughly; none of them, and no overhead, is a real processor's.\n"},
};

#define CROSSINGS 7

struct costs {
	struct rs_info info;
	struct modes modes;
	enum verdict verdict;
	uint64_t tsc_khz;        /* 1,000,000 if the host did not say */
	uint64_t ring0_slowdown; /* of a loop in ring 0, to the same in ring 3 */
	bool clock_checked;
	int64_t clock_ppm; /* the TSC's rate off the host's clock, if checked */
	uint64_t stamp;    /* ticks of two time stamps with nothing between: taken off */
	struct spread crossing[CROSSINGS][MODES];
	struct load_result compute, mix, calls;
	uint64_t mix_rate; /* system calls a second that the mix came to */
	struct {
		uint64_t rate;
		struct load_result result;
	} rates[MAX_RATES];
	struct {
		uint64_t pages;
		struct load_result result;
	} sets[MAX_SETS];
	uint64_t rate_count, set_count;
	uint64_t memory_pages; /* that there were for the working set */
};

static const char *const mode_names[MODES] = {
    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "pcid", [RS_PTI_NOPCID] = "nopcid"};
static const char *const mode_titles[MODES] = {
    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "on, PCID", [RS_PTI_NOPCID] = "on, no PCID"};

/* Ticks, or ticks a second and so on, multiplied without overflow. */
static uint64_t scale(uint64_t value, uint64_t by, uint64_t of)
{
	return of ? value / of * by + value % of * by / of : 0;
}

static uint64_t to_ns(const struct costs *costs, uint64_t ticks)
{
	return scale(ticks, 1000000, costs->tsc_khz);
}

/* ---- The host
 * -------------------------------------------------------------------------------------- */

/* Ticks of 10,000 turns of a two-instruction loop in ring 3, the best of some. */
static uint64_t ring3_loop(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t start = rdtsc(), ticks;

		loop_nothing(10000);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best;
}

/* No processor with KVM takes 4 cycles for DEC and JNZ; one that takes exactly 2 counts
 * instructions. */
static enum verdict judge(uint64_t ring0, uint64_t ring3)
{
	if (ring0 > 20 * ring3)
		return VERDICT_INTERPRETED;
	if (ring3 >= 20000 && ring3 < 20100)
		return VERDICT_INSTRUCTIONS;
	return ring3 > 40000 ? VERDICT_EMULATED : VERDICT_HARDWARE;
}

static void look_at_host(struct costs *costs)
{
	const uint64_t ring0_turns = 2000;
	uint64_t ring3 = ring3_loop();
	uint64_t ring0 =
	    (uint64_t)syscall(RS_SYS_RING0_LOOP, (long)ring0_turns) * 10000 / ring0_turns;

	syscall(RS_SYS_INFO, &costs->info);
	costs->verdict = judge(ring0, ring3);
	costs->ring0_slowdown = ring3 ? ring0 / ring3 : 0;
	costs->tsc_khz = costs->info.tsc_khz ? costs->info.tsc_khz : 1000000;
	costs->modes.have[RS_PTI_OFF] = costs->modes.have[RS_PTI_NOPCID] = true;
	costs->modes.have[RS_PTI_PCID] = costs->info.features & RS_FEATURE_PCID;
}

#ifdef RS_SYS_CLOCK
/* The host's clock against the TSC, over all the time that measuring took. */
struct clock {
	uint64_t ticks;
	int64_t ns;
};

static struct clock read_clock(void)
{
	int64_t ns = syscall(RS_SYS_CLOCK);

	return (struct clock){rdtsc(), ns};
}

static void check_clock(struct costs *costs, const struct clock *begin)
{
	struct clock end = read_clock();
	int64_t by_tsc = (int64_t)to_ns(costs, end.ticks - begin->ticks);
	int64_t by_host = end.ns - begin->ns;

	if (begin->ns < 0 || by_host < 1000)
		return;
	costs->clock_checked = true;
	costs->clock_ppm = (by_tsc - by_host) * 1000 / (by_host / 1000);
}
#endif

/* ---- Crossings
 * --------------------------------------------------------------------------------------- */

static const struct crossing {
	const char *id, *name;
	void (*sample)(uint64_t *ticks, uint64_t n);
	fault_fn *insn; /* for faults, instead of sample */
	bool partner;   /* another process must run loop_yield */
	bool slow;      /* thousands of instructions: warm up once */
} crossings[CROSSINGS] = {
    {"syscall", "SYSCALL getpid", sample_syscall, NULL, false, false},
    {"int80", "INT 0x80 getpid", sample_int80, NULL, false, false},
    {"pf", "#PF to a handler", NULL, fault_pf, false, false},
    {"ud", "#UD to a handler", NULL, fault_ud, false, false},
    {"gp", "#GP to a handler", NULL, fault_gp, false, false},
    {"yield", "two switches by yield", sample_yield, NULL, true, false},
    {"fork", "fork, exit, wait4", sample_fork, NULL, false, true},
};

static void take(const struct crossing *c, uint64_t *ticks, uint64_t n)
{
	if (c->sample)
		c->sample(ticks, n);
	else
		sample_fault(ticks, n, c->insn, RS_KERNEL_TEXT);
}

static uint64_t affordable(const struct costs *costs, uint64_t ticks)
{
	uint64_t n = costs->tsc_khz * SAMPLES_MS / (ticks ? ticks : 1);

	return n < MIN_SAMPLES ? MIN_SAMPLES : n > MAX_SAMPLES ? MAX_SAMPLES : n;
}

static struct spread measure_crossing(const struct crossing *c, const struct costs *costs)
{
	uint64_t ticks[MAX_SAMPLES];
	uint64_t warm_up = c->slow ? 1 : WARM_UP, n;

	take(c, ticks, warm_up);
	n = affordable(costs, spread_of(ticks, warm_up, 0).min);
	take(c, ticks, n);
	return spread_of(ticks, n, costs->stamp);
}

/* The partner yields more often than anybody asks, and ends when nobody takes turns with it any
 * more: the yields after the last sample are its own. */
static struct spread measure_with_partner(const struct crossing *c, const struct costs *costs)
{
	struct spread spread;

	flush();
	if (syscall(SYS_fork) == 0) {
		loop_yield(WARM_UP + MAX_SAMPLES + 1);
		exit(0);
	}
	spread = measure_crossing(c, costs);
	syscall(SYS_wait4, -1L, 0L, 0L, 0L);
	return spread;
}

static void measure_crossings(struct costs *costs)
{
	uint64_t ticks[64];

	sample_nothing(ticks, 64);
	costs->stamp = spread_of(ticks, 64, 0).median;
	for (long mode = 0; mode < MODES; mode++) {
		if (!costs->modes.have[mode])
			continue;
		syscall(RS_SYS_PTI_MODE, mode);
		syscall(RS_SYS_FAULT_HANDLER, sample_fault_resume);
		for (int i = 0; i < CROSSINGS; i++)
			costs->crossing[i][mode] = crossings[i].partner
			                               ? measure_with_partner(&crossings[i], costs)
			                               : measure_crossing(&crossings[i], costs);
		syscall(RS_SYS_FAULT_HANDLER, 0L);
	}
	syscall(RS_SYS_PTI_MODE, (long)costs->info.pti_mode);
}

/* ---- Loads and curves
 * -------------------------------------------------------------------------------- */

/* A system call every 1/rate seconds when KPTI is off, work filling the time between.  No work: the
 * call alone takes longer than that here. */
static struct load load_at(const struct costs *costs, uint64_t rate, uint64_t work_cost)
{
	uint64_t interval = costs->tsc_khz * 1000 / rate;
	uint64_t call = costs->crossing[0][RS_PTI_OFF].median;
	struct load load = {.calls = 1};

	if (interval > call)
		load.work = scale(interval - call, 1024, work_cost);
	return load;
}

static uint64_t rate_of(const struct costs *costs, const struct load_result *result)
{
	return scale(result->turns * 1000, costs->tsc_khz, result->ticks[RS_PTI_OFF]);
}

static void measure_loads(struct costs *costs)
{
	const uint64_t budget = costs->tsc_khz * LOAD_MS, work_cost = load_work_cost();
	const struct load compute = {.work = 16384}, calls = {.calls = 20};
	struct load mix = load_at(costs, MIX_RATE, work_cost);

	/* A host whose calls are too slow for the rate gets the work of that time between them. */
	if (!mix.work)
		mix.work = scale(costs->tsc_khz * 1000 / MIX_RATE, 1024, work_cost);
	costs->compute = load_measure(&compute, &costs->modes, budget);
	costs->mix = load_measure(&mix, &costs->modes, budget);
	costs->mix_rate = rate_of(costs, &costs->mix);
	costs->calls = load_measure(&calls, &costs->modes, budget);
}

static void measure_rates(struct costs *costs)
{
	static const uint64_t rates[MAX_RATES] = {1000,   5000,   10000,  20000,
	                                          100000, 200000, 500000, 1000000};
	const uint64_t work_cost = load_work_cost();

	for (int i = 0; i < MAX_RATES; i++) {
		const struct load load = load_at(costs, rates[i], work_cost);

		if (!load.work)
			return;
		costs->rates[i].result =
		    load_measure(&load, &costs->modes, costs->tsc_khz * LOAD_MS);
		costs->rates[i].rate = rate_of(costs, &costs->rates[i].result);
		costs->rate_count++;
	}
}

/* Memory to read, as much of it as there is. */
static const volatile uint8_t *get_memory(uint64_t *pages)
{
	const long start = raw_syscall(SYS_brk, 0L);

	for (*pages = HEAP_PAGES; *pages; *pages /= 2)
		if (raw_syscall(SYS_brk, start + (long)(*pages * PAGE_SIZE)) > start)
			break;
	return (const volatile uint8_t *)start;
}

static void measure_sets(struct costs *costs)
{
	static const uint64_t sets[MAX_SETS] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 512};
	const volatile uint8_t *memory = get_memory(&costs->memory_pages);

	for (int i = 0; i < MAX_SETS && sets[i] <= costs->memory_pages; i++) {
		const struct load load = {.calls = 1, .pages = sets[i], .memory = memory};

		costs->sets[i].pages = sets[i];
		costs->sets[i].result =
		    load_measure(&load, &costs->modes, costs->tsc_khz * LOAD_MS);
		costs->set_count++;
	}
}

/* ---- Text
 * ---------------------------------------------------------------------------------------------- */

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

static void print_host(const struct costs *costs)
{
	printf("What KPTI costs here: TSC %'u kHz%s, %s PCID, ", costs->tsc_khz,
	       costs->info.tsc_khz ? "" : " (assumed: the host does not say)",
	       costs->modes.have[RS_PTI_PCID] ? "with" : "without");
	if (costs->clock_checked)
		printf("%d ppm off the host's clock\n", costs->clock_ppm);
	else
		printf("not checked against the host's clock\n");
	printf("  %s", verdicts[costs->verdict].meaning);
	if (costs->verdict == VERDICT_INTERPRETED)
		printf("  A loop in ring 0 takes %'u times as long as in ring 3.\n",
		       costs->ring0_slowdown);
}

static void print_row(const struct costs *costs, int crossing, int mode, bool in_ns)
{
	const struct spread *s = &costs->crossing[crossing][mode];
	const uint64_t values[] = {s->min, s->median, s->p90, s->p99, s->max};

	printf("  %-22s%-12s", mode == RS_PTI_OFF ? crossings[crossing].name : "",
	       mode_titles[mode]);
	for (int i = 0; i < 5; i++)
		printf(" %'12u", in_ns ? to_ns(costs, values[i]) : values[i]);
	if (!in_ns)
		printf(" %5u %%%7u%6u", s->median ? (s->p90 - s->min) * 100 / s->median : 0,
		       s->samples, s->outliers);
	printf("\n");
}

static void print_crossings(const struct costs *costs, bool in_ns)
{
	printf("\n%s a crossing, there and back\n", in_ns ? "Nanoseconds"
	                                            : costs->verdict == VERDICT_INSTRUCTIONS
	                                                ? "Instructions"
	                                                : "Cycles");
	printf("  %-22s%-12s %12s %12s %12s %12s %12s%s\n", "", "KPTI", "min", "median", "p90",
	       "p99", "max", in_ns ? "" : " spread samples apart");
	for (int i = 0; i < CROSSINGS; i++)
		for (int mode = 0; mode < MODES; mode++)
			if (costs->modes.have[mode])
				print_row(costs, i, mode, in_ns);
	if (!in_ns)
		printf("  %u ticks of the time stamps are taken off.  Spread: p90 - min, of the "
		       "median.  Apart:\n"
		       "  above %u medians, so interrupted; in none of the figures.\n",
		       costs->stamp, (uint64_t)OUTLIER_MEDIANS);
}

static void print_overheads(const struct costs *costs, const struct load_result *result)
{
	for (int mode = RS_PTI_PCID; mode < MODES; mode++) {
		if (costs->modes.have[mode])
			print_percent(load_overhead(result, mode));
		else
			printf("%12s", "-");
	}
}

static void print_load(const struct costs *costs, const char *name,
                       const struct load_result *result, const char *published)
{
	printf("  %-38s", name);
	print_overheads(costs, result);
	printf("   %s\n", published);
}

static void print_loads(const struct costs *costs)
{
	printf("\nOverhead of KPTI on real work (best of %u rounds, modes turn about)\n  "
	       "%-38s%12s%12s   %s\n",
	       (uint64_t)LOAD_ROUNDS, "", "PCID", "no PCID", "published");
	print_load(costs, "compute only (hashing)", &costs->compute,
	           "KAISER 0.28 % on average, 0.68 % at most");
	print_load(costs, "hashing and 50,000 system calls/s", &costs->mix,
	           "2 % at 50,000 calls/s a CPU; Linux about 5 %");
	print_load(costs, "system calls only", &costs->calls,
	           "30 % with PCID, over 800 % without, at worst");
	if (costs->mix_rate < MIX_RATE * 9 / 10)
		printf("  The mix came to %'u system calls a second: they are too slow here for "
		       "%'u.\n",
		       costs->mix_rate, (uint64_t)MIX_RATE);
	printf("  Published, for a system call: 140, 580 (PCID) and 900 cycles on a Xeon "
	       "E5-2667v4; 339 and 478 ns\n"
	       "  (PCID) on Haswell, FreeBSD; a write to CR3: about 100 cycles.\n");
}

static void print_curves(const struct costs *costs)
{
	printf("\nOverhead by system calls a second\n  %-38s%12s%12s\n", "calls/s, KPTI off",
	       "PCID", "no PCID");
	for (uint64_t i = 0; i < costs->rate_count; i++) {
		printf("  %'-38u", costs->rates[i].rate);
		print_overheads(costs, &costs->rates[i].result);
		printf("\n");
	}
	if (!costs->rate_count)
		printf("  a system call is too slow here even for 1,000 a second\n");
	printf("\nOverhead by working set: pages read after each system call (TLB pressure)\n"
	       "  %-12s%26s%12s%12s\n",
	       "pages", "ns a turn, KPTI off", "PCID", "no PCID");
	for (uint64_t i = 0; i < costs->set_count; i++) {
		const struct load_result *result = &costs->sets[i].result;

		printf("  %-12u%'26u", costs->sets[i].pages,
		       to_ns(costs, result->ticks[RS_PTI_OFF] / result->turns));
		print_overheads(costs, result);
		printf("\n");
	}
	if (costs->memory_pages < HEAP_PAGES)
		printf("  The curve ends with this program's %u pages: the kernel has no brk.\n",
		       costs->memory_pages);
}

static void print_text(const struct costs *costs)
{
	print_host(costs);
	print_crossings(costs, false);
	print_crossings(costs, true);
	print_loads(costs);
	print_curves(costs);
}

/* ---- JSON: one object on one line
 * ------------------------------------------------------------------------ */

static const char *comma(bool *first)
{
	const char *text = *first ? "" : ",";

	*first = false;
	return text;
}

static void json_spread(const struct costs *costs, const struct spread *s)
{
	const char *const names[] = {"min", "median", "p90", "p99", "max"};
	const uint64_t values[] = {s->min, s->median, s->p90, s->p99, s->max};

	printf("\"samples\":%u,\"outliers\":%u,\"worst_outlier\":%u", s->samples, s->outliers,
	       s->worst);
	for (int i = 0; i < 5; i++)
		printf(",\"%s\":%u", names[i], values[i]);
	for (int i = 0; i < 5; i++)
		printf(",\"%s_ns\":%u", names[i], to_ns(costs, values[i]));
}

static void json_crossings(const struct costs *costs)
{
	bool first = true;

	printf(",\"crossings\":[");
	for (int i = 0; i < CROSSINGS; i++)
		for (int mode = 0; mode < MODES; mode++) {
			if (!costs->modes.have[mode])
				continue;
			printf("%s{\"name\":\"%s\",\"mode\":\"%s\",", comma(&first),
			       crossings[i].id, mode_names[mode]);
			json_spread(costs, &costs->crossing[i][mode]);
			printf("}");
		}
	printf("]");
}

/* The rest of an object that describes a load: turns, ticks and overhead of each mode. */
static void json_result(const struct costs *costs, const struct load_result *result)
{
	bool first = true;

	printf("\"turns\":%u,\"modes\":{", result->turns);
	for (int mode = 0; mode < MODES; mode++) {
		int64_t hundredths = load_overhead(result, mode);
		uint64_t size = hundredths < 0 ? -(uint64_t)hundredths : (uint64_t)hundredths;

		if (!costs->modes.have[mode])
			continue;
		printf("%s\"%s\":{\"ticks\":%u,\"overhead_percent\":%s%u.%02u}", comma(&first),
		       mode_names[mode], result->ticks[mode], hundredths < 0 ? "-" : "", size / 100,
		       size % 100);
	}
	printf("}}");
}

static void json_loads(const struct costs *costs)
{
	printf(",\"loads\":[{\"name\":\"compute\",");
	json_result(costs, &costs->compute);
	printf(",{\"name\":\"mix\",\"wanted_calls_per_second\":%u,\"calls_per_second\":%u,",
	       (uint64_t)MIX_RATE, costs->mix_rate);
	json_result(costs, &costs->mix);
	printf(",{\"name\":\"calls\",");
	json_result(costs, &costs->calls);
	printf("]");
}

static void json_curves(const struct costs *costs)
{
	bool first = true;

	printf(",\"rate_curve\":[");
	for (uint64_t i = 0; i < costs->rate_count; i++) {
		printf("%s{\"calls_per_second\":%u,", comma(&first), costs->rates[i].rate);
		json_result(costs, &costs->rates[i].result);
	}
	printf("],\"working_set_curve\":[");
	first = true;
	for (uint64_t i = 0; i < costs->set_count; i++) {
		printf("%s{\"pages\":%u,", comma(&first), costs->sets[i].pages);
		json_result(costs, &costs->sets[i].result);
	}
	printf("]");
}

static void print_json(const struct costs *costs)
{
	printf("{\"program\":\"costs\",\"version\":1,\"verdict\":\"%s\",\"unit\":\"%s\",\"tsc_"
	       "khz\":%u,"
	       "\"pcid\":%s,\"ring0_slowdown\":%u,\"clock_off_ppm\":",
	       verdicts[costs->verdict].name,
	       costs->verdict == VERDICT_INSTRUCTIONS ? "instructions" : "cycles",
	       costs->info.tsc_khz, costs->modes.have[RS_PTI_PCID] ? "true" : "false",
	       costs->ring0_slowdown);
	if (costs->clock_checked)
		printf("%d", costs->clock_ppm);
	else
		printf("null");
	json_crossings(costs);
	json_loads(costs);
	json_curves(costs);
	printf("}\n");
}

/* ---- For the VMM's reports ----------------------------------------------------------------- */

static void send_crossings(const struct costs *costs)
{
	const char *unit = costs->verdict == VERDICT_INSTRUCTIONS ? "instructions" : "cycles";

	for (int i = 0; i < CROSSINGS; i++) {
		struct rs_record list[MODES];
		uint64_t count = 0;

		for (uint32_t mode = 0; mode < MODES; mode++) {
			const struct spread *s = &costs->crossing[i][mode];

			if (!costs->modes.have[mode] || !s->samples)
				continue;
			record_begin(&list[count], crossings[i].name, unit, mode);
			list[count].samples = s->samples;
			list[count].min = s->min;
			list[count].median = s->median;
			list[count].p90 = s->p90;
			list[count].p99 = s->p99;
			list[count].max = s->max;
			count++;
		}
		record_send(list, count);
	}
}

/* What a mode adds to a load; as a point of a curve if x_unit is not NULL. */
static void send_overhead(const struct costs *costs, const char *name,
                          const struct load_result *result, const char *x_unit, uint64_t x)
{
	struct rs_record list[MODES];
	uint64_t count = 0;

	for (uint32_t mode = RS_PTI_PCID; mode < MODES; mode++) {
		const int64_t overhead = load_overhead(result, (int)mode);

		if (!costs->modes.have[mode])
			continue;
		record_begin(&list[count], name, "percent", mode);
		if (x_unit)
			record_at(&list[count], x, x_unit);
		list[count].decimals = 2;
		/* Below 0: noise won. */
		list[count].min =
		    overhead < 0 ? RS_RECORD_MINUS - (uint64_t)overhead : (uint64_t)overhead;
		count++;
	}
	record_send(list, count);
}

static void send_records(const struct costs *costs)
{
	send_crossings(costs);
	send_overhead(costs, "compute only", &costs->compute, NULL, 0);
	send_overhead(costs, "work and system calls", &costs->mix, NULL, 0);
	send_overhead(costs, "system calls only", &costs->calls, NULL, 0);
	for (uint64_t i = 0; i < costs->rate_count; i++)
		send_overhead(costs, "overhead by system-call rate", &costs->rates[i].result,
		              "calls a second", costs->rates[i].rate);
	for (uint64_t i = 0; i < costs->set_count; i++)
		send_overhead(costs, "overhead by working set", &costs->sets[i].result, "pages",
		              costs->sets[i].pages);
}

/* An initialiser of this size becomes a call of memset with some compilers, and ring 3 has none. */
static void clear(void *at, size_t size)
{
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(0) : "memory");
}

int costs_main(int argc, char **argv)
{
	const bool json = argc > 1 && same(argv[1], "json");
	struct costs costs;

	if (argc > 2 || (argc == 2 && !json)) {
		printf("usage: costs [json]\n");
		return 2;
	}
	clear(&costs, sizeof(costs));
	look_at_host(&costs);
#ifdef RS_SYS_CLOCK
	const struct clock begin = read_clock();
#endif
	measure_crossings(&costs);
	measure_loads(&costs);
	measure_rates(&costs);
	measure_sets(&costs);
#ifdef RS_SYS_CLOCK
	check_clock(&costs, &begin);
#endif
	send_records(&costs);
	if (json)
		print_json(&costs);
	else
		print_text(&costs);
	return 0;
}
