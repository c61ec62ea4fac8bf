/*
 * What ./vmm costs beside the least a program can do (floor.c) and beside other VMMs: start to
 * exit, one exit's round trip, memory, size.  Everything that is compared runs in one go,
 * interleaved round by round, because a machine's speed drifts by more than what is looked for;
 * each round in another order, because what ran before leaves its mark on the next. Two ratios are
 * printed: of the lower quartiles, since disturbance only ever adds, and one lucky run is not to
 * decide: by this one the targets are judged; and the median of each round's ratio, which is what a
 * user of this machine sees.
 *
 * Runs in the folder that has vmm, guest.elf, bench_floor and the bench_*.elf; so also inside a
 * box.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MAX_ROUNDS = 1000, MAX_ARGS = 40, MAX_CONTENDERS = 16, MAX_TARGETS = 16 };
enum { TRIPS = 32 }; /* in a batch: guests.S */
enum { ANY_STATUS = -1 };

extern char **environ;

/* ---- Figures --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the values.  n > 0. */
static double median(double *value, size_t n)
{
	qsort(value, n, sizeof(*value), by_value);
	return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

static double median_of_copy(const double *value, size_t n)
{
	double copy[MAX_ROUNDS];

	memcpy(copy, value, n * sizeof(*value));
	return median(copy, n);
}

static double minimum(const double *value, size_t n)
{
	double least = value[0];

	for (size_t i = 1; i < n; i++)
		least = value[i] < least ? value[i] : least;
	return least;
}

static double quartile(const double *value, size_t n)
{
	double copy[MAX_ROUNDS];

	memcpy(copy, value, n * sizeof(*value));
	qsort(copy, n, sizeof(*copy), by_value);
	return copy[n / 4];
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* ---- Running a command --------------------------------------------------------------------------
 */

struct contender {
	const char *name;
	const char *argv[MAX_ARGS];
	int wanted; /* exit status, or ANY_STATUS */
	double value[MAX_ROUNDS];
	size_t count;     /* of values */
	char missing[80]; /* why there are none; "": there are */
};

/* Starts it with nothing to read and `out` as standard output.  0 if it cannot be started. */
static pid_t start(const char *const argv[], int out, int null)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, null, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, null, 2);
	error = posix_spawnp(&pid, argv[0], &actions, NULL, (char **)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	errno = error;
	return error ? 0 : pid;
}

static bool ended_well(struct contender *c, int status)
{
	if (WIFEXITED(status) && (c->wanted == ANY_STATUS || WEXITSTATUS(status) == c->wanted))
		return true;
	if (WIFEXITED(status))
		snprintf(c->missing, sizeof(c->missing), "ended with status %d",
		         WEXITSTATUS(status));
	else
		snprintf(c->missing, sizeof(c->missing), "killed by signal %d", WTERMSIG(status));
	return false;
}

static bool cannot_start(struct contender *c)
{
	snprintf(c->missing, sizeof(c->missing), "%s: %s", c->argv[0], strerror(errno));
	return false;
}

static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

/* From before the spawn to after the wait, microseconds. */
static bool time_run(struct contender *c, double *us)
{
	double begin = now_ns();
	pid_t pid = start(c->argv, null_fd(), null_fd());
	int status;

	if (!pid)
		return cannot_start(c);
	wait4(pid, &status, 0, NULL);
	*us = (now_ns() - begin) / 1e3;
	return ended_well(c, status);
}

/* TSC ticks a nanosecond, the longer ago the first call the better. */
static double ticks_per_ns(void)
{
	static uint64_t tick0;
	static double ns0;

	if (!tick0) {
		tick0 = rdtsc();
		ns0 = now_ns();
		return 0;
	}
	return (double)(rdtsc() - tick0) / (now_ns() - ns0);
}

/* What the guest bench_trips prints: the median of its batches, ticks a round trip. */
static bool median_trip(FILE *from, double *ticks)
{
	double batch[MAX_ROUNDS];
	size_t n = 0;
	char line[256];

	while (fgets(line, sizeof(line), from)) {
		char *end;
		unsigned long value = strtoul(line, &end, 16);

		if (end == line + 8 && *end == '\n' && n < MAX_ROUNDS)
			batch[n++] = (double)value / TRIPS;
	}
	if (n)
		*ticks = median(batch, n);
	return n;
}

static bool time_trips(struct contender *c, double *ticks)
{
	int pipe_fd[2], status;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return cannot_start(c);

	pid_t pid = start(c->argv, pipe_fd[1], null_fd());
	int error = errno;
	FILE *from = fdopen(pipe_fd[0], "r");
	bool good;

	close(pipe_fd[1]);
	good = median_trip(from, ticks);
	fclose(from);
	if (!pid) {
		errno = error;
		return cannot_start(c);
	}
	wait4(pid, &status, 0, NULL);
	if (!ended_well(c, status))
		return false;
	if (!good)
		snprintf(c->missing, sizeof(c->missing), "printed no figures");
	return good;
}

/* The peak of resident memory in KiB, asked of the kernel while the process still has its memory.
 * ru_maxrss would not do: it begins with what the parent had at the fork. */
static bool peak_memory(struct contender *c, double *kib)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		dup2(null_fd(), 0);
		dup2(null_fd(), 1);
		dup2(null_fd(), 2);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execvp(c->argv[0], (char **)(uintptr_t)c->argv);
		_exit(127);
	}
	*kib = 0;
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return snprintf(c->missing, sizeof(c->missing), "cannot be traced"), false;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
	for (int signal = 0;;) {
		ptrace(PTRACE_CONT, pid, NULL, signal);
		if (waitpid(pid, &status, 0) != pid)
			return false;
		if (!WIFSTOPPED(status))
			return ended_well(c, status) && *kib > 0;
		signal = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			char path[64], line[256];
			FILE *file;

			signal = 0;
			snprintf(path, sizeof(path), "/proc/%d/status", pid);
			file = fopen(path, "re");
			while (file && fgets(line, sizeof(line), file))
				sscanf(line, "VmHWM: %lf", kib);
			if (file)
				fclose(file);
		}
	}
}

/* ---- Experiments --------------------------------------------------------------------------------
 */

struct experiment {
	const char *id, *title, *unit;
	bool (*once)(struct contender *c, double *value);
	unsigned rounds;
	struct contender list[MAX_CONTENDERS]; /* the first is what the others are held against */
	size_t count;
};

static void add(struct experiment *e, int wanted, const char *name, const char *const argv[])
{
	struct contender *c = &e->list[e->count];

	if (e->count == MAX_CONTENDERS)
		return;
	*c = (struct contender){.name = name, .wanted = wanted};
	for (size_t i = 0; i < MAX_ARGS - 1 && argv[i]; i++)
		c->argv[i] = argv[i];
	e->count++;
}
#define ADD(e, wanted, name, ...) add(e, wanted, name, (const char *const[]){__VA_ARGS__, NULL})

static void show_progress(const struct experiment *e, unsigned round)
{
	const char *term = getenv("TERM");

	if (!isatty(STDERR_FILENO) || !term || !strcmp(term, "dumb"))
		return;
	if (round <= e->rounds)
		fprintf(stderr, "\r%s: round %u of %u ", e->title, round, e->rounds);
	else
		fprintf(stderr, "\r%76s\r", "");
}

/* Fisher and Yates. */
static void shuffle(size_t *order, size_t n)
{
	static uint64_t state = 88172645463325252;

	while (n > 1) {
		size_t other, last = --n, swap = order[last];

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		other = state % (last + 1);
		order[last] = order[other];
		order[other] = swap;
	}
}

/* One round more than counted: the first one warms the caches. */
static void measure(struct experiment *e)
{
	size_t order[MAX_CONTENDERS];

	for (size_t i = 0; i < e->count; i++)
		order[i] = i;
	for (unsigned round = 0; round <= e->rounds; round++) {
		shuffle(order, e->count);
		for (size_t i = 0; i < e->count; i++) {
			struct contender *c = &e->list[order[i]];
			double value;

			if (c->missing[0] || !e->once(c, &value) || round == 0)
				continue;
			c->value[c->count++] = value;
		}
		show_progress(e, round);
	}
	show_progress(e, e->rounds + 1);
}

static bool measured(const struct contender *c)
{
	return c->count && !c->missing[0];
}

/* Of the lower quartiles; NAN when one of the two failed. */
static double ratio(const struct contender *c, const struct contender *floor)
{
	if (!measured(c) || !measured(floor))
		return __builtin_nan("");
	return quartile(c->value, c->count) / quartile(floor->value, floor->count);
}

/* The median of what each round says; NAN when one of the two failed. */
static double round_ratio(const struct contender *c, const struct contender *floor)
{
	double each[MAX_ROUNDS];
	size_t n = c->count < floor->count ? c->count : floor->count;

	if (!measured(c) || !measured(floor))
		return __builtin_nan("");
	for (size_t i = 0; i < n; i++)
		each[i] = c->value[i] / floor->value[i];
	return median(each, n);
}

/* JSON has no NAN. */
static json_t *number(double value)
{
	return __builtin_isnan(value) ? json_null() : json_real(value);
}

static void report(const struct experiment *e, json_t *json)
{
	const struct contender *floor = &e->list[0];
	json_t *all = json_object();

	printf("\n%s (%u rounds)\n", e->title, e->rounds);
	printf("  %-32s %12s %12s %12s %13s %10s\n", "", "min", "quartile", "median", "of quartile",
	       "of rounds");
	for (size_t i = 0; i < e->count; i++) {
		const struct contender *c = &e->list[i];

		if (!measured(c)) {
			printf("  %-34s not measured: %s\n", c->name, c->missing);
			json_object_set_new(all, c->name, json_pack("{ss}", "missing", c->missing));
			continue;
		}

		double least = minimum(c->value, c->count);
		double low = quartile(c->value, c->count);
		double middle = median_of_copy(c->value, c->count);

		printf("  %-32s %9.1f %-2s %9.1f %-2s %9.1f %-2s %13.3f %10.3f\n", c->name, least,
		       e->unit, low, e->unit, middle, e->unit, ratio(c, floor),
		       round_ratio(c, floor));
		json_object_set_new(all, c->name,
		                    json_pack("{sfsfsfsososs}", "min", least, "quartile", low,
		                              "median", middle, "ratio_of_quartiles",
		                              number(ratio(c, floor)), "ratio_of_rounds",
		                              number(round_ratio(c, floor)), "unit", e->unit));
	}
	json_object_set_new(json, e->id, all);
}

/* ---- Targets
 * ------------------------------------------------------------------------------------- */

static struct target {
	const char *what;
	double value, limit;
	const char *format; /* of both numbers */
} targets[MAX_TARGETS];
static size_t target_count;

static void target(const char *what, double value, double limit, const char *format)
{
	targets[target_count++] = (struct target){what, value, limit, format};
}

/* A figure that could not be had is not a target that was met. */
static const char *verdict(const struct target *t)
{
	if (__builtin_isnan(t->value))
		return "not measured";
	return t->value <= t->limit ? "met" : "MISSED";
}

static void report_targets(json_t *json)
{
	json_t *all = json_array();

	printf("\nTargets\n  %-46s %10s %10s\n", "", "measured", "at most");
	for (size_t i = 0; i < target_count; i++) {
		const struct target *t = &targets[i];
		char value[32], limit[32];

		snprintf(value, sizeof(value), t->format, t->value);
		snprintf(limit, sizeof(limit), t->format, t->limit);
		printf("  %-46s %10s %10s  %s\n", t->what, value, limit, verdict(t));
		json_array_append_new(all, json_pack("{ss so sf ss}", "what", t->what, "measured",
		                                     number(t->value), "at_most", t->limit,
		                                     "verdict", verdict(t)));
	}
	json_object_set_new(json, "targets", all);
}

/* ---- The experiments there are
 * --------------------------------------------------------------------- */

#define QEMU(guest)                                                                                \
	"qemu-system-x86_64", "-M",                                                                \
	    "microvm,x-option-roms=off,pic=off,pit=off,rtc=off,isa-serial=off", "-accel", "kvm",   \
	    "-cpu", "qemu64", "-m", "64", "-nodefaults", "-no-user-config", "-no-reboot",          \
	    "-display", "none", "-device", "isa-debug-exit,iobase=0xf4", "-chardev", "stdio,id=c", \
	    "-device", "isa-debugcon,chardev=c", "-kernel", guest

/* isa-debug-exit turns the guest's 0 into 1. */
enum { QEMU_EXIT_STATUS = 1 };

/* PEERS="name=command arguments; name2=command2": each ends by itself; split in place. */
static void add_peers(struct experiment *e)
{
	char *rest = getenv("PEERS"), *peer, *word;

	rest = rest ? strdup(rest) : NULL;
	while (rest && (peer = strsep(&rest, ";\n"))) {
		const char *argv[MAX_ARGS] = {NULL};
		char *name = strsep(&peer, "=");
		size_t n = 0;

		while (peer && (word = strsep(&peer, " \t")) && n < MAX_ARGS - 1)
			if (*word)
				argv[n++] = word;
		name += strspn(name, " \t");
		if (n)
			add(e, ANY_STATUS, name, argv);
		else if (*name)
			fprintf(stderr, "bench_run: PEERS: '%s' is not name=command\n", name);
	}
}

static void bench_start(unsigned rounds, json_t *json)
{
	static struct experiment e = {.id = "start_to_exit_us",
	                              .title = "Start to exit, a guest that ends at once",
	                              .unit = "us",
	                              .once = time_run};

	e.rounds = rounds;
	ADD(&e, 0, "floor", "./bench_floor", "exit");
	ADD(&e, 0, "vmm --stats none", "./vmm", "--stats", "none", "bench_exit.elf");
	ADD(&e, 0, "vmm", "./vmm", "bench_exit.elf");
	/* What vmm's guests have that the floor's has not: RAM, taken off vmm and added to the
	 * floor; and KVM's CPUID table, which only guests get that can ask for it. */
	ADD(&e, 0, "vmm --stats none --mem 2M", "./vmm", "--stats", "none", "--mem", "2M",
	    "bench_exit.elf");
	ADD(&e, 0, "floor, 64 MiB", "./bench_floor", "exit", "64");
	ADD(&e, 0, "floor, 64 MiB, CPUID table", "./bench_floor", "exit", "64", "cpuid");
	ADD(&e, 0, "/bin/true", "true");
	ADD(&e, QEMU_EXIT_STATUS, "QEMU microvm", QEMU("bench_exit_pvh.elf"));
	add_peers(&e);
	measure(&e);
	report(&e, json);
	target("start to exit, --stats none, of the floor", ratio(&e.list[1], &e.list[0]), 1.05,
	       "%.3f");
	target("start to exit, with statistics, of the floor", ratio(&e.list[2], &e.list[0]), 1.05,
	       "%.3f");
	target("... --stats none, with as little RAM", ratio(&e.list[3], &e.list[0]), 1.05, "%.3f");
}

static void bench_hello(unsigned rounds, json_t *json)
{
	static struct experiment e = {.id = "hello_us",
	                              .title = "Start to exit, a guest that says hello",
	                              .unit = "us",
	                              .once = time_run};

	e.rounds = rounds;
	ADD(&e, 0, "floor", "./bench_floor", "hello");
	ADD(&e, 0, "vmm --stats none", "./vmm", "--stats", "none", "bench_hello.elf");
	ADD(&e, 0, "vmm", "./vmm", "bench_hello.elf");
	ADD(&e, QEMU_EXIT_STATUS, "QEMU microvm", QEMU("bench_hello_pvh.elf"));
	measure(&e);
	report(&e, json);
}

static void bench_memory_size(unsigned rounds, json_t *json)
{
	static struct experiment e = {.id = "start_by_ram_us",
	                              .title = "Start to exit by size of the guest's RAM",
	                              .unit = "us",
	                              .once = time_run};

	e.rounds = rounds;
	ADD(&e, 0, "vmm --mem 64M", "./vmm", "--stats", "none", "--mem", "64M", "bench_exit.elf");
	ADD(&e, 0, "vmm --mem 64G", "./vmm", "--stats", "none", "--mem", "64G", "bench_exit.elf");
	/* How much of it is KVM's own. */
	ADD(&e, 0, "floor, 64 MiB", "./bench_floor", "exit", "64");
	ADD(&e, 0, "floor, 64 GiB", "./bench_floor", "exit", "65536");
	measure(&e);
	report(&e, json);
	target("start to exit with 64 GiB, of that with 64 MiB", ratio(&e.list[1], &e.list[0]),
	       1.05, "%.3f");
}

static void to_nanoseconds(struct experiment *e)
{
	double rate = ticks_per_ns();

	for (size_t i = 0; i < e->count; i++)
		for (size_t k = 0; k < e->list[i].count; k++)
			e->list[i].value[k] /= rate;
}

static void bench_trips(unsigned rounds, json_t *json)
{
	static struct experiment e = {.id = "exit_round_trip_ns",
	                              .title = "Round trip of an exit (OUT in ring 0)",
	                              .unit = "ns",
	                              .once = time_trips};

	e.rounds = rounds;
	ADD(&e, 0, "floor", "./bench_floor", "trips");
	ADD(&e, 0, "floor with a CPUID table, 64 MiB", "./bench_floor", "trips", "64", "cpuid");
	ADD(&e, 0, "vmm --stats none", "./vmm", "--stats", "none", "bench_trips.elf");
	ADD(&e, 0, "vmm", "./vmm", "bench_trips.elf");
	ADD(&e, QEMU_EXIT_STATUS, "QEMU microvm", QEMU("bench_trips_pvh.elf"));
	measure(&e);
	to_nanoseconds(&e);
	report(&e, json);
	target("exit round trip, with statistics, of the floor", ratio(&e.list[3], &e.list[0]),
	       1.03, "%.3f");
}

static void bench_resident(json_t *json)
{
	static struct experiment e = {.id = "peak_resident_kib",
	                              .title = "Peak resident memory, guest's pages included",
	                              .unit = "K",
	                              .once = peak_memory,
	                              .rounds = 3};

	ADD(&e, 0, "floor", "./bench_floor", "exit");
	ADD(&e, 0, "vmm --stats none", "./vmm", "--stats", "none", "bench_exit.elf");
	ADD(&e, 0, "vmm", "./vmm", "bench_exit.elf");
	ADD(&e, 0, "vmm --mem 64G", "./vmm", "--mem", "64G", "bench_exit.elf");
	ADD(&e, QEMU_EXIT_STATUS, "QEMU microvm", QEMU("bench_exit_pvh.elf"));
	add_peers(&e);
	measure(&e);
	report(&e, json);
	target("peak resident memory of vmm, KiB",
	       e.list[2].count ? median_of_copy(e.list[2].value, e.list[2].count)
	                       : __builtin_nan(""),
	       2048, "%.0f");
}

/* ---- Sizes
 * ------------------------------------------------------------------------------------------- */

static double file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (double)st.st_size : __builtin_nan("");
}

/* Bytes of the executable segments. */
static double text_size(const char *path)
{
	FILE *file = fopen(path, "re");
	Elf64_Ehdr header;
	double size = 0;

	if (!file || fread(&header, sizeof(header), 1, file) != 1 ||
	    header.e_phentsize != sizeof(Elf64_Phdr) ||
	    fseek(file, (long)header.e_phoff, SEEK_SET) != 0)
		size = __builtin_nan("");
	for (unsigned i = 0; size >= 0 && i < header.e_phnum; i++) {
		Elf64_Phdr segment;

		if (fread(&segment, sizeof(segment), 1, file) != 1)
			size = __builtin_nan("");
		else if (segment.p_type == PT_LOAD && segment.p_flags & PF_X)
			size += (double)segment.p_filesz;
	}
	if (file)
		fclose(file);
	return size;
}

static void bench_sizes(json_t *json)
{
	static const char *const files[] = {"bench_floor", "vmm", "guest.elf"};
	json_t *all = json_object();

	printf("\nSizes, bytes\n  %-34s %12s %12s\n", "", "file", "text");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		printf("  %-34s %12.0f %12.0f\n", files[i], file_size(files[i]),
		       text_size(files[i]));
		json_object_set_new(
		    all, files[i],
		    json_pack("{sfsf}", "file", file_size(files[i]), "text", text_size(files[i])));
	}
	json_object_set_new(json, "sizes", all);
	target("text of guest.elf, bytes", text_size("guest.elf"), 65536, "%.0f");
}

/* ---- The command line
 * ----------------------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fprintf(
	    to,
	    "usage: bench_run [--rounds N] [--json FILE] [--realtime]\n"
	    "Times ./vmm against ./bench_floor in the current folder, and against QEMU and\n"
	    "PEERS=\"name=command; ...\" where there are any.\n"
	    "  --rounds N   how often (default 41)\n"
	    "  --json FILE  the figures as one JSON object, also\n"
	    "  --realtime   at the lowest real-time priority (root), so that other programs on\n"
	    "               a busy machine do not get in between\n"
	    "exit status: 0 all targets met, 1 one missed or not measured, 2 wrong usage\n");
}

static bool parse_rounds(const char *text, unsigned *rounds)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value < 1 || value > MAX_ROUNDS)
		return false;
	*rounds = (unsigned)value;
	return true;
}

/* What is started inherits it. */
static bool be_realtime(void)
{
	const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};

	return sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
}

static int run(unsigned rounds, const char *file)
{
	json_t *json = json_object();
	int status = 0;

	ticks_per_ns();
	bench_start(rounds, json);
	bench_hello(rounds, json);
	bench_memory_size(rounds, json);
	bench_trips(rounds, json);
	bench_resident(json);
	bench_sizes(json);
	report_targets(json);
	for (size_t i = 0; i < target_count; i++)
		status |= strcmp(verdict(&targets[i]), "met") != 0;
	if (file && json_dump_file(json, file, JSON_INDENT(2)) != 0) {
		fprintf(stderr, "bench_run: cannot write %s\n", file);
		status = 125;
	}
	json_decref(json);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rounds", required_argument, NULL, 'r'},
	                                        {"json", required_argument, NULL, 'j'},
	                                        {"realtime", no_argument, NULL, 't'},
	                                        {"help", no_argument, NULL, 'h'},
	                                        {NULL, 0, NULL, 0}};
	unsigned rounds = 41;
	const char *file = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			if (parse_rounds(optarg, &rounds))
				break;
			fprintf(stderr, "bench_run: --rounds %s: a number from 1 to %d\n", optarg,
			        MAX_ROUNDS);
			return 2;
		case 'j':
			file = optarg;
			break;
		case 't':
			if (be_realtime())
				break;
			fprintf(stderr, "bench_run: --realtime: %s\n", strerror(errno));
			return 125;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	return run(rounds, file);
}
