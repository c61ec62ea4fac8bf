/*
 * Processes and the scheduler: time slices, sleep, kernel threads, the shared kernel half, frames
 * that come back, PCIDs that change hands, and a soak whose every counter must add up.
 *
 *     processes [CROSSINGS [FORKS]]
 */
#include "guest/errno.h"
#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/tap.h"

/* spin.S */
uint64_t spin_with_registers(uint64_t turns, uint64_t pattern);

#define MS UINT64_C(1000000)
/* How often something is looked for that must come: seconds, since a busy host may be late with its
 * timer, or with another CPU. */
#define LOOKS 5000000

static struct rs_info info;
static bool slices; /* a timer works here */
static const char *mode_name;

static void look(void)
{
	raw_syscall(RS_SYS_INFO, (long)&info);
}

static uint64_t now(void)
{
	return (uint64_t)raw_syscall(RS_SYS_CLOCK);
}

static struct rs_stats counted(void)
{
	struct rs_stats stats;

	raw_syscall(RS_SYS_STATS, (long)&stats);
	return stats;
}

/* One of them alone. */
#define COUNTED(member) counted_at(offsetof(struct rs_stats, member))
static uint64_t counted_at(size_t offset)
{
	const struct rs_stats stats = counted();
	uint64_t count;

	__builtin_memcpy(&count, (const char *)&stats + offset, sizeof(count));
	return count;
}

/* A call: one that is put in line at every place costs more text than guest.elf has left. */
static __attribute__((noinline)) void yield(void)
{
	raw_syscall(SYS_sched_yield);
}

static long sleep_ns(uint64_t ns)
{
	const int64_t time[2] = {(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000)};

	return raw_syscall(SYS_nanosleep, (long)time, 0L);
}

/* Slices of such lengths in microseconds; where no timer works nothing changes. */
static void slice(uint64_t min, uint64_t max)
{
	if (slices)
		raw_syscall(RS_SYS_SLICES, (long)min, (long)max);
}

/* A process that runs body(arg) and ends with what that returns, 0 to 255. */
static long start(uint32_t (*body)(uint64_t arg), uint64_t arg)
{
	long pid = raw_syscall(SYS_fork);

	if (pid == 0)
		for (;;)
			raw_syscall(SYS_exit, (long)body(arg));
	return pid;
}

/* Waits for the next one to end; its process number, or a negative error number. */
static long wait_for_any(uint32_t *status)
{
	return raw_syscall(SYS_wait4, -1L, (long)status, 0L, 0L);
}

/* Waits for `count` processes; returns the sum of what they ended with, which is 0 when all is
 * well. */
static uint64_t gather(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint32_t status = 0xbad;

		if (wait_for_any(&status) < 0)
			return UINT64_MAX;
		sum += status;
	}
	return sum;
}

static void check(const char *what, uint64_t got, uint64_t wanted)
{
	tap_check(mode_name, what, got, wanted);
}

/* ---- Sleep ----------------------------------------------------------------------------------- */

static uint32_t sleeper(uint64_t ms)
{
	return sleep_ns(ms * MS) == 0 ? 0 : 1;
}

static void check_sleep(void)
{
	const int64_t bad[][2] = {{-1, 0}, {0, -1}, {0, 1000000000}};
	uint64_t refused = 0, begin, first, second;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused += raw_syscall(SYS_nanosleep, (long)bad[i], 0L) == -EINVAL;
	check("nanosleep of no time there is gives EINVAL", refused, sizeof(bad) / sizeof(bad[0]));
	check("... from a bad pointer EFAULT", (uint64_t)-raw_syscall(SYS_nanosleep, 8L, 0L),
	      EFAULT);
	begin = now();
	check("nanosleep of 5 ms returns 0", (uint64_t)sleep_ns(5 * MS), 0);
	check("... and not before its time", now() - begin >= 5 * MS, true);
	first = (uint64_t)start(sleeper, 600);
	second = (uint64_t)start(sleeper, 3);
	check("who sleeps for less wakes first", (uint64_t)wait_for_any(NULL), second);
	check("... and the other one later", (uint64_t)wait_for_any(NULL), first);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

#define SPINNERS 3

static uint32_t nothing(uint64_t unused)
{
	(void)unused;
	return 0;
}

static uint64_t enough; /* of the slices that end in ring 3 */

static uint32_t spinner(uint64_t end)
{
	const uint64_t pattern = (uint64_t)raw_syscall(SYS_getpid) * UINT64_C(0x0123456789abcd);

	for (int i = 0; now() < end || (i < LOOKS && COUNTED(preempt_ring3) < enough); i++)
		if (spin_with_registers(2000, pattern))
			return 1;
	return 0;
}

static void check_slices(void)
{
	const uint64_t spinners = SPINNERS + info.cpus, begin = now();
	uint64_t end;

	if (!slices) {
		tap_skip(mode_name, "time slices end in ring 3",
		         "no timer works here: scheduling is cooperative");
		return;
	}
	/* All have started when the first one ends, however long a fork takes here. */
	start(nothing, 0);
	gather(1);
	end = now() + 30 * MS + 4 * spinners * (now() - begin);
	enough = COUNTED(preempt_ring3) + SPINNERS;
	slice(500, 2000);
	for (uint64_t i = 0; i < spinners; i++)
		start(spinner, end);
	check("who never yields keeps all registers", gather(spinners), 0);
	slice(0, 0);
	check("... and loses the CPU when its time is up", COUNTED(preempt_ring3) >= enough, true);
}

/* ---- A kernel thread ----------------------------------------------------------------------------
 */

/* A call, as yield is. */
static __attribute__((noinline)) uint64_t thread(long act)
{
	return (uint64_t)raw_syscall(RS_SYS_THREAD, act);
}

static void check_thread(void)
{
	const uint64_t before = COUNTED(preempt_ring0), end = now() + 20 * MS;
	const bool preempts = slices && info.cpus == 1;
	uint64_t halfway;

	slice(500, 2000);
	check("a kernel thread starts", thread(RS_THREAD_START), 0);
	for (int i = 0; now() < end || !thread(RS_THREAD_COUNT) ||
	                (preempts && i < LOOKS && COUNTED(preempt_ring0) == before);
	     i++)
		if (!slices)
			yield();
	halfway = thread(RS_THREAD_COUNT);
	check("... and counts while ring 3 runs", halfway > 0, true);
	check("... until it is stopped", thread(RS_THREAD_STOP) >= halfway, true);
	slice(0, 0);
	if (preempts)
		check("... and was preempted in ring 0", COUNTED(preempt_ring0) > before, true);
	check("... and is gone", -thread(RS_THREAD_STOP), EINVAL);
}

/* ---- The kernel half ---------------------------------------------------------------------------
 */

static long page(long act, uint64_t value)
{
	return raw_syscall(RS_SYS_KERNEL_PAGE, act, (long)value);
}

/* Yields until the page answers like this; a process forked before the change never touched it. */
static bool page_becomes(long answer)
{
	for (int i = 0; i < LOOKS; i++) {
		if (page(RS_KERNEL_PAGE_READ, 0) == answer)
			return true;
		yield();
	}
	return false;
}

/* Sleeps, which is counted, once it has seen the page. */
static uint32_t page_watcher(uint64_t value)
{
	return page_becomes((long)value) && sleep_ns(1) == 0 && page_becomes(-EFAULT) ? 0 : 1;
}

static uint32_t page_maker(uint64_t value)
{
	return page(RS_KERNEL_PAGE_MAP, value) == 0 ? 0 : 1;
}

static void check_kernel_half(void)
{
	const uint64_t value = 0x5eed, seen = COUNTED(sleeps) + 2;
	uint32_t status = 1;
	long maker;

	check("a kernel page is not there before", (uint64_t)-page(RS_KERNEL_PAGE_READ, 0), EFAULT);
	start(page_watcher, value);
	start(page_watcher, value);
	maker = start(page_maker, value);
	raw_syscall(SYS_wait4, maker, (long)&status, 0L, 0L);
	check("a process maps it, and ends", status, 0);
	check("... the page outlives it", (uint64_t)page(RS_KERNEL_PAGE_READ, 0), value);
	for (int i = 0; i < LOOKS && COUNTED(sleeps) < seen; i++)
		yield();
	check("... until it is unmapped", (uint64_t)page(RS_KERNEL_PAGE_UNMAP, 0), 0);
	check("... for all: nobody's TLB knows it", (uint64_t)-page(RS_KERNEL_PAGE_READ, 0),
	      EFAULT);
	check("processes forked before saw it come and go", gather(2), 0);
}

/* ---- Frames ------------------------------------------------------------------------------------
 */

static void check_frames(uint64_t forks)
{
	uint64_t before, failed = 0;

	look();
	before = info.frames_free;
	for (uint64_t i = 0; i < forks; i++) {
		long pid = start(nothing, 0);

		if (pid < 0)
			failed++;
		else
			failed += gather(1) != 0;
	}
	check("forks, each waited for", failed, 0);
	look();
	check("... gave back every frame", info.frames_free, before);
}

/* ---- PCIDs --------------------------------------------------------------------------------------
 */

/* More than there are PCIDs (shared/pcid.h), alive at once; a few where none are in use. */
#define SPACES 40
#define FEW    6
#define ROUNDS 12

/* Every space has another page at the same address, and another one again after each turn. */
static uint32_t changes_mappings(uint64_t id)
{
	volatile uint64_t *word = (volatile uint64_t *)raw_syscall(SYS_brk, 0L);
	const long base = (long)word;
	uint32_t wrong = 0;

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		raw_syscall(SYS_brk, base + PAGE_SIZE);
		wrong += *word != 0;
		*word = id << 32 | round;
		yield();
		wrong += *word != (id << 32 | round);
		raw_syscall(SYS_brk, base);
		yield();
	}
	return wrong != 0;
}

static void check_pcids(void)
{
	const bool pcids = raw_syscall(RS_SYS_PTI_MODE, -1L) == RS_PTI_PCID;
	const uint64_t spaces = pcids ? SPACES : FEW, reused = COUNTED(pcid_reused);
	uint64_t started = 0;

	for (uint64_t i = 1; i <= spaces; i++)
		started += start(changes_mappings, i) > 0;
	check("address spaces live at once, more than PCIDs if any", started, spaces);
	check("... none sees another's page, nor its own old one", gather(started), 0);
	if (pcids)
		check("... though PCIDs changed hands", COUNTED(pcid_reused) - reused >= SPACES,
		      true);
}

/* ---- The soak
 * ------------------------------------------------------------------------------------ */

#define WORKERS 4
#define CHUNK   64 /* crossings of one kind in a row, at most */

static uint64_t crossings;

/* The same for parent and child: how many of a kind follow. */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1;
	return *state >> 33;
}

/* No #UD among them: KVM intercepts that on AMD and injects it, and QEMU's AMD CPU then delivers an
 * interrupt that is due at the first instruction of the handler, IF clear or not, and again without
 * end. */
enum kind { INT80, GP, PF, YIELD, SYSCALL, KINDS };

/* Does `quota` crossings, or only says which they would be: counts[] of each kind are added to. */
static void work(uint64_t worker, uint64_t quota, bool do_it, uint64_t counts[KINDS])
{
	uint64_t random = worker * 7919 + 1;

	while (quota) {
		const enum kind kind = (enum kind)(next_random(&random) % KINDS);
		uint64_t turns = next_random(&random) % CHUNK + 1;

		if (turns > quota)
			turns = quota;
		quota -= turns;
		counts[kind] += turns;
		if (!do_it)
			continue;
		if (kind == INT80)
			loop_int80(turns);
		else if (kind == GP)
			loop_fault(fault_gp, 0, turns);
		else if (kind == PF)
			loop_fault(fault_pf, RS_KERNEL_TEXT, turns);
		else if (kind == YIELD)
			loop_yield(turns);
		else
			loop_syscall(turns);
	}
}

static uint32_t worker(uint64_t number)
{
	uint64_t counts[KINDS] = {0};

	raw_syscall(RS_SYS_FAULT_HANDLER, (long)loop_fault_resume);
	work(number, crossings / WORKERS, true, counts);
	return 0;
}

static void check_soak(void)
{
	static const struct {
		const char *what;
		uint64_t counter;
	} counters[] = {
#define COUNTER(text, member) {text, offsetof(struct rs_stats, member) / sizeof(uint64_t)}
	    COUNTER("... every SYSCALL was counted", syscall64),
	    COUNTER("... every INT 0x80", int80),
	    COUNTER("... and as its vector", vectors[0x80]),
	    COUNTER("... every #GP", vectors[VECTOR_GP]),
	    COUNTER("... every #PF", vectors[VECTOR_PF]),
	    COUNTER("... all of them faults of ring 3", user_faults),
	    COUNTER("... and every process", processes),
	};
	uint64_t all[KINDS] = {0};

	for (uint64_t i = 0; i < WORKERS; i++)
		work(i, crossings / WORKERS, false, all);

	const uint64_t wanted[] = {
	    /* Besides: slices on, WORKERS forks and waits, slices off; a handler and an exit each;
	     * the second look at the counters. */
	    all[YIELD] + all[SYSCALL] + (slices ? 2 : 0) + 4 * WORKERS + 1,
	    all[INT80],
	    all[INT80],
	    all[GP],
	    all[PF],
	    all[GP] + all[PF],
	    WORKERS,
	};
	struct rs_stats before, after;

	before = counted();
	slice(200, 3000);
	for (uint64_t i = 0; i < WORKERS; i++)
		start(worker, i);
	check("mixed crossings, preempted anywhere, end well", gather(WORKERS), 0);
	slice(0, 0);
	after = counted();
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		check(counters[i].what,
		      ((const uint64_t *)&after)[counters[i].counter] -
		          ((const uint64_t *)&before)[counters[i].counter],
		      wanted[i]);
	printf("%s%s: %'u crossings, %'u slice%s ended in ring 3, %'u switches\n", tap_remark,
	       mode_name, crossings / WORKERS * WORKERS, after.preempt_ring3 - before.preempt_ring3,
	       after.preempt_ring3 - before.preempt_ring3 == 1 ? "" : "s",
	       after.context_switches - before.context_switches);
}

/* ---- All of it
 * ----------------------------------------------------------------------------------- */

static void check_mode(uint64_t forks)
{
	check_sleep();
	check_slices();
	check_thread();
	check_kernel_half();
	check_frames(forks);
	check_pcids();
	check_soak();
}

int processes_main(int argc, char **argv)
{
	static const char *const names[] = {
	    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "pcid", [RS_PTI_NOPCID] = "nopcid"};
	const uint64_t all = argc > 1 ? number(argv[1]) : 6000,
	               forks = argc > 2 ? number(argv[2]) : 60;
	uint64_t modes;

	if (argc > 3 || all < 12 || forks < 3) {
		printf("processes: [CROSSINGS, 12 at least [FORKS, 3 at least]]\n");
		flush();
		return 2;
	}
	look();
	modes = info.features & RS_FEATURE_PCID ? 3 : 2;
	slices = raw_syscall(RS_SYS_SLICES, 1000L, 1000L) == 0;
	raw_syscall(RS_SYS_SLICES, 0L, 0L);
	printf("%s%u CPU%s, scheduling is %s\n", tap_remark, (uint64_t)info.cpus,
	       info.cpus == 1 ? "" : "s",
	       slices ? "preemptive, by the local APIC's timer"
	              : "cooperative: this machine has no timer that works");
	crossings = all / modes;
	flush();
	/* In brief: the better of the modes with KPTI. */
	for (long mode = tap_brief ? RS_PTI_PCID : RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++) {
		if (raw_syscall(RS_SYS_PTI_MODE, mode) < 0)
			continue;
		mode_name = names[mode];
		check_mode((forks + modes - 1) / modes);
		flush();
		if (tap_brief)
			break;
	}
	raw_syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);
	return tap_end() != 0;
}
