#include "vmm/cli/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/abi.h"
#include "vmm/base/message.h"
#include "vmm/boot/protocol.h"
#include "vmm/cli/instruments.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/place.h"

struct option_row {
	const char *name;
	const char *value; /* what it takes, as --help shows it: words joined by | are a choice;
	                    * NULL: nothing */
	const char *help;
	/* `to` is the place in struct options.  False after a message. */
	bool (*take)(const struct option_row *row, const char *word, void *to);
	size_t to;
	const void *how; /* take's own business */
	enum file_use use;
	enum outfile_readers readers;
};

/* ---- Values -------------------------------------------------------------------------------- */

static bool take_flag(const struct option_row *row, const char *word, void *to)
{
	(void)row;
	(void)word;
	*(bool *)to = true;
	return true;
}

static bool take_word(const struct option_row *row, const char *word, void *to)
{
	(void)row;
	*(const char **)to = word;
	return true;
}

static bool is_name(const struct option_row *row, const char *word)
{
	return *word || message_error("--%s '': must be the name of a file", row->name);
}

static bool take_input(const struct option_row *row, const char *word, void *to)
{
	return is_name(row, word) && take_word(row, word, to);
}

static bool take_output(const struct option_row *row, const char *word, void *to)
{
	((struct outfile *)to)->path = word;
	return is_name(row, word);
}

/* "text|json|none" as "text, json or none". */
static const char *choices_text(const char *value, char *buf, size_t size)
{
	const char *last = strrchr(value, '|');
	size_t used = 0;

	for (; *value && used + 5 < size; value++) {
		if (*value == '|')
			used += (size_t)sprintf(buf + used, value == last ? " or " : ", ");
		else
			buf[used++] = *value;
	}
	buf[used] = '\0';
	return buf;
}

/* Which of the row's words it is, from 0; -1 after a message. */
static int find_choice(const struct option_row *row, const char *word)
{
	const size_t length = strlen(word);
	char allowed[80];
	int i = 0;

	for (const char *at = row->value;; at++, i++) {
		const size_t size = strcspn(at, "|");

		if (size == length && !memcmp(at, word, size))
			return i;
		at += size;
		if (!*at)
			break;
	}
	message_error("--%s '%s': must be %s", row->name, word,
	              choices_text(row->value, allowed, sizeof(allowed)));
	return -1;
}

/* An enum whose values are the words' numbers. */
static bool take_choice(const struct option_row *row, const char *word, void *to)
{
	const int choice = find_choice(row, word);

	if (choice >= 0)
		*(unsigned *)to = (unsigned)choice;
	return choice >= 0;
}

static bool take_json(const struct option_row *row, const char *word, void *to)
{
	const int choice = find_choice(row, word);

	*(bool *)to = choice == 1;
	return choice >= 0;
}

static bool take_stats(const struct option_row *row, const char *word, void *to)
{
	struct report *report = to;

	report->stats_given = true;
	return take_choice(row, word, &report->stats);
}

struct limits {
	uint64_t min, max, multiple;
};

/* "16K", "64G". */
static const char *size_text(uint64_t size, char buf[24])
{
	static const char suffixes[] = "KMG";
	int shift = 3;

	while (shift && size % (UINT64_C(1) << 10 * shift))
		shift--;
	snprintf(buf, 24, "%" PRIu64 "%.*s", size >> 10 * shift, shift != 0,
	         suffixes + (shift ? shift - 1 : 0));
	return buf;
}

static bool take_size(const struct option_row *row, const char *word, void *to)
{
	static const char suffixes[] = "kKmMgG";
	const struct limits *limits = row->how;
	char min[24], max[24], *end;

	size_text(limits->min, min);
	size_text(limits->max, max);
	errno = 0;

	const unsigned long long number = strtoull(word, &end, 10);
	const char *suffix = *end ? strchr(suffixes, *end) : NULL;
	const unsigned shift = suffix ? 10 * (unsigned)((suffix - suffixes) / 2 + 1) : 0;

	/* strtoull takes signs and blanks; a size has neither. */
	if (*word < '0' || *word > '9' || end[shift != 0] != '\0')
		return message_error(
		    "--%s '%s': must be a number with K, M or G behind it, %s to %s", row->name,
		    word, min, max);
	if (errno || number > limits->max >> shift)
		return message_error("--%s '%s': is more than %s", row->name, word, max);
	if (number << shift < limits->min)
		return message_error("--%s '%s': is %llu bytes, less than %s%s", row->name, word,
		                     number << shift, min,
		                     shift ? "" : " (a number without K, M or G is bytes)");
	if ((number << shift) % limits->multiple)
		return message_error("--%s '%s': is not a multiple of the page size, %" PRIu64,
		                     row->name, word, limits->multiple);
	*(uint64_t *)to = number << shift;
	return true;
}

static bool take_count(const struct option_row *row, const char *word, void *to)
{
	const struct limits *limits = row->how;
	char *end;
	const unsigned long number = strtoul(word, &end, 10);

	if (*word < '0' || *word > '9' || *end || number < limits->min || number > limits->max)
		return message_error("--%s '%s': must be %" PRIu64 " to %" PRIu64, row->name, word,
		                     limits->min, limits->max);
	*(unsigned *)to = (unsigned)number;
	return true;
}

/* As nanoseconds. */
static bool take_seconds(const struct option_row *row, const char *word, void *to)
{
	const double max = 1e7; /* 115 days, and far from overflow */
	char *end;
	double seconds;

	/* strtod takes signs, blanks, hexadecimal, infinities and NaNs; none is a time. */
	if (strspn(word, "0123456789.") != strlen(word))
		return message_error("--%s '%s': must be a number of seconds", row->name, word);
	seconds = strtod(word, &end);
	if (end == word || *end)
		return message_error("--%s '%s': must be a number of seconds", row->name, word);
	if (seconds > max || seconds < 1e-3)
		return message_error(
		    "--%s '%s': must be 0.001 to %.0f seconds; leave it out for no limit",
		    row->name, word, max);
	*(uint64_t *)to = (uint64_t)(seconds * 1e9 + 0.5);
	return true;
}

static bool take_protocol(const struct option_row *row, const char *word, void *to)
{
	const struct boot_protocol *protocol = boot_protocol_find(word);
	char list[120];

	*(const struct boot_protocol **)to = protocol;
	return protocol || message_error("--%s '%s': must be one of %s", row->name, word,
	                                 boot_protocol_list(list, sizeof(list)));
}

/* "FILE WORDS".  The name is a copy that lives as long as the process, as argv does: its words are
 * to stay as they are for a box. */
static bool take_module(const struct option_row *row, const char *word, void *to)
{
	struct plan *plan = to;
	const size_t size = strcspn(word, " ");
	char *path;

	if (plan->module_count == PLAN_MODULES_MAX)
		return message_error("--%s '%s': at most %d can be given", row->name, word,
		                     PLAN_MODULES_MAX);
	if (!size)
		return message_error("--%s '%s': must be the name of a file, and its words behind "
		                     "a blank",
		                     row->name, word);
	path = strndup(word, size);
	if (!path)
		return message_error("--%s: no memory for its name", row->name);
	plan->modules[plan->module_count++] =
	    (struct plan_module){path, word + size + strspn(word + size, " ")};
	return true;
}

static bool take_walk(const struct option_row *row, const char *word, void *to)
{
	(void)row;
	return look_request_walk(to, word);
}

static bool take_at(const struct option_row *row, const char *word, void *to)
{
	(void)row;
	return look_request_at(to, word);
}

static bool say_version(const struct option_row *row, const char *word, void *to)
{
	puts("vmm (Ringscope) " RS_VERSION);
	return take_flag(row, word, to);
}

static bool say_help(const struct option_row *row, const char *word, void *to);

/* ---- The options --------------------------------------------------------------------------- */

#define TO(member) .to = offsetof(struct options, member)
#define SIZE(...)                                                                                  \
	.take = take_size, .how = &(const struct limits)                                           \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define COUNT(...)                                                                                 \
	.take = take_count, .how = &(const struct limits)                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define OUTPUT(who) .take = take_output, .use = FILE_WRITTEN, .readers = (who)

/* In the order of --help. */
static const struct option_row rows[] = {
    {"mem", "SIZE", "guest RAM, with K, M or G (default 64M, for the guest linux 256M; 1M to 64G)",
     TO(plan.mem), SIZE(PLAN_MEM_MIN, PLAN_MEM_MAX, PAGE_SIZE)},
    {"pti", "auto|on|off", "kernel page-table isolation; auto: where the CPU needs it", take_choice,
     TO(plan.pti)},
    {"no-pcid", NULL, "do not use PCIDs even where the CPU has them", take_flag, TO(plan.no_pcid)},
    {"la57", NULL, "5-level paging", take_flag, TO(plan.la57)},
    {"cpus", "N", "how many CPUs the guest may start (default 1, 1 to 8)", TO(plan.cpus),
     COUNT(1, RS_MAX_CPUS, 1)},
    {"no-apic", NULL, "no local APICs, so no timer: a scheduler can only be cooperative", take_flag,
     TO(plan.no_apic)},
    {"append", "WORDS", "more words for the kernel's command line", take_word, TO(plan.append)},
    {"initrd", "FILE", "the kernel's initial RAM disk, or its first module", take_input,
     TO(plan.initrd), .use = FILE_READ},
    {"module", "FILE",
     "a module of a Multiboot or PVH kernel; 'FILE WORDS' gives it words (repeatable)", take_module,
     TO(plan)},
    {"symbols", "FILE", "names from an ELF file, a System.map, or /proc/kallsyms' text", take_input,
     TO(plan.symbols), .use = FILE_READ},
    {"boot", "PROTOCOL",
     "boot it by this one: ringscope, linux, multiboot2, multiboot, pvh, elf, elf32", take_protocol,
     TO(plan.protocol)},
    {"program", "NAME",
     "the same as NAME before the guest arguments: of guest.elf tour (the default), check, walls, "
     "hostile, crossings, memory, processes, costs, counts, syscalls, cat, crash",
     take_word, TO(plan.program)},
    {"timeout", "SECONDS", "stop the guest after this time (fractions allowed)", take_seconds,
     TO(plan.timeout_ns)},
    {"stats", "text|json|none", "what to report at the end (default text)", take_stats, TO(report)},
    {"stats-file", "FILE", "write the report to FILE instead of standard output",
     TO(report.stats_file), OUTPUT(OUTFILE_SHARED)},
    {"report", "FILE.html", "write a page with pictures: exits, costs, address spaces",
     TO(report.page), OUTPUT(OUTFILE_SHARED)},
    {"trace", "FILE",
     "record exits, crossings, context switches and faults as a trace that Perfetto and "
     "chrome://tracing open",
     TO(trace.file), OUTPUT(OUTFILE_SHARED)},
    {"trace-limit", "SIZE", "let the trace grow to this size (default 64M, 16K to 64G)",
     TO(trace.limit), SIZE(TRACE_LIMIT_MIN, TRACE_LIMIT_MAX, 1)},
    {"color", "auto|always|never", "colour in the report (default auto: on a terminal)",
     take_choice, TO(manner.color)},
    {"quiet", NULL,
     "only what the guest prints, and errors; no report unless --stats or --stats-file asks for "
     "one",
     take_flag, TO(manner.quiet)},
    {"walk", "VA[@cr3=kernel|user|VALUE]",
     "follow one translation through the page tables, level by level, and say what each kind of "
     "access gets; VA: hexadecimal, or a symbol of the guest with or without +OFFSET (repeatable)",
     take_walk, TO(look.request)},
    {"map", NULL, "what both roots map, side by side", take_flag, TO(look.request.map)},
    {"audit", NULL,
     "check both roots against the rules of the boundary; a broken rule turns exit status 0 into "
     "125",
     take_flag, TO(look.request.audit)},
    {"at", "boot|exit|mark=N",
     "when --walk, --map and --audit look: before the first instruction, at the end (the default), "
     "or at the guest's N-th mark",
     take_at, TO(look.request)},
    {"inspect-format", "text|json", "how they say it (default text)", take_json, TO(manner.json)},
    {"core", "FILE",
     "when the guest dies, its time runs out or SIGQUIT stops it: write an ELF core for gdb and "
     "--inspect-core",
     take_output, TO(look.core), .use = FILE_MAYBE_WRITTEN, .readers = OUTFILE_OWNER},
    {"inspect-core", "FILE",
     "show the state in a core; with --walk, --map, --audit as above, and symbols from GUEST.ELF "
     "if it is given; needs no KVM",
     take_input, TO(inspect_core), .use = FILE_READ},
    {"inspect", "WHEN[,WHEN...]",
     "show the vCPU's state: all, an exit reason (IO, HLT...), vector=N, syscall=N, cpl-change, "
     "cr3-write, pc=SYMBOL+OFF, count=N; with first or every=N",
     take_word, TO(inspect.when)},
    {"inspect-file", "FILE", "write that to FILE instead of standard error", TO(manner.file),
     OUTPUT(OUTFILE_SHARED)},
    {"anatomy", "syscall|int80|sysenter|callgate|pagefault|irq|fork|context-switch",
     "follow one crossing of the guest, instruction by instruction; sysenter and callgate: -- "
     "crossings makes them, irq: -- processes",
     take_word, TO(anatomy.crossing)},
    {"calls", "FILE", "write the system calls and page faults under another kernel to FILE",
     TO(calls.file), OUTPUT(OUTFILE_SHARED)},
    {"torture", "nmi|irq|step",
     "make that happen at every instruction of the entry and exit paths, in every KPTI mode, and "
     "see that nothing but a count tells of it",
     take_word, TO(torture.event)},
    {"torture-crossing", "PATTERN", "only for crossings of such a name (as --torture prints them)",
     take_word, TO(torture.crossing)},
    {"gdb", "[[any:]HOST:]PORT|PATH",
     "wait for gdb on 127.0.0.1 (or HOST; behind any: also where other machines reach it), or on "
     "a UNIX socket",
     take_word, TO(gdb.address)},
    {"box", "here|amd|intel|auto",
     "run all this in an emulated machine with a real KVM of that kind, which needs none here; "
     "auto: here, or without a usable /dev/kvm in the AMD box (default here)",
     take_choice, TO(box)},
    {"probe", NULL, "try out what this host's KVM really does, print it and end", take_flag,
     TO(probe)},
    {"version", NULL, "print the version and end", say_version, TO(answered)},
    {"help", NULL, "print this and end", say_help, TO(answered)},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* ---- Help ---------------------------------------------------------------------------------- */

/* `text` in lines, the first of which goes on at column `at`. */
static void print_wrapped(const char *text, int at)
{
	enum { INDENT = 23, WIDTH = 92 };

	for (; *text == ' ' || *text; text += strspn(text, " ")) {
		const int word = (int)strcspn(text, " ");

		if (at + word + 1 > WIDTH && at > INDENT) {
			putchar('\n');
			at = 0;
		} else if (at > INDENT) {
			putchar(' ');
			at++;
		}
		if (at < INDENT)
			at += printf("%*s", INDENT - at, "");
		at += printf("%.*s", word, text);
		text += word;
	}
	putchar('\n');
}

static bool say_help(const struct option_row *row, const char *word, void *to)
{
	puts("Usage: vmm [options] GUEST.ELF [-- guest arguments]\n"
	     "       vmm [options] linux[:VERSION|:FILE] [-- program arguments]\n"
	     "       vmm --probe [options]\n"
	     "       vmm --inspect-core FILE [options] [GUEST.ELF]\n"
	     "Runs a 64-bit guest under KVM and reports how it crossed the ring 3 / ring 0 "
	     "boundary.\n"
	     "The guest linux is a kernel that get-kernel has fetched, and under it a static "
	     "program, or a\nshell.\n"
	     "\n"
	     "Options, before GUEST.ELF:");
	for (int i = 0; i < ROWS; i++) {
		int used = printf("  --%s%s%s", rows[i].name, rows[i].value ? " " : "",
		                  rows[i].value ? rows[i].value : "");

		if (used > 21) {
			putchar('\n');
			used = 0;
		}
		print_wrapped(rows[i].help, used);
	}
	puts("\nExit status: the guest's own, 0 to 123 (0 also when it halts); 2 wrong usage; 124 "
	     "the time\n"
	     "ran out; 125 the guest could not be run: its file was refused, or the VMM or the "
	     "host\n"
	     "failed; 126 the guest died; 128 + n stopped by signal n.");
	return take_flag(row, word, to);
}

/* ---- Files --------------------------------------------------------------------------------- */

size_t options_files(struct options *options, struct options_file files[OPTIONS_FILES])
{
	size_t count = 0;

	if (options->plan.guest)
		files[count++] =
		    (struct options_file){.path = options->plan.guest, .use = FILE_READ};
	if (options->linux_guest.program)
		files[count++] =
		    (struct options_file){.path = options->linux_guest.program, .use = FILE_READ};
	for (unsigned i = 0; i < options->plan.module_count; i++)
		files[count++] = (struct options_file){
		    .option = "module", .path = options->plan.modules[i].path, .use = FILE_READ};
	for (int i = 0; i < ROWS; i++) {
		void *to = (char *)options + rows[i].to;
		struct options_file file = {
		    .option = rows[i].name, .use = rows[i].use, .readers = rows[i].readers};

		if (file.use == FILE_READ)
			file.path = *(const char **)to;
		else if (file.use)
			file.path = (file.out = to)->path;
		if (file.path && count < OPTIONS_FILES)
			files[count++] = file;
	}
	return count;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static enum options_result wrong(void)
{
	fputs("Try 'vmm --help'.\n", stderr);
	return OPTIONS_WRONG;
}

static bool is_short(const struct plan *plan)
{
	size_t size = strlen(plan->guest) + 1;

	for (unsigned i = 0; plan_argument(plan, i); i++)
		size += strlen(plan_argument(plan, i)) + 1;
	return size <= RS_CMDLINE_SIZE ||
	       message_error("the guest's name and arguments take %zu bytes: %d are possible", size,
	                     RS_CMDLINE_SIZE);
}

/* The guest's file and what is behind "--". */
static bool take_guest(struct options *options, int argc, char **argv)
{
	struct plan *plan = &options->plan;

	if (argc == 0)
		return message_error("no guest: give an ELF file, as in 'vmm guest.elf'");
	if (!*argv[0])
		return message_error("the guest's file name is empty");
	if (argc > 1 && strcmp(argv[1], "--") != 0) {
		if (argv[1][0] == '-')
			return message_error(
			    "'%s' after %s: options come before it, and what is the guest's "
			    "after '--'",
			    argv[1], argv[0]);
		return message_error("'%s' after %s: guest arguments come after '--'", argv[1],
		                     argv[0]);
	}
	options->guest_at = optind;
	plan->argc = argc > 1 ? argc - 2 : 0;
	plan->argv = argv + (argc > 1 ? 2 : 1);
	if (linux_guest_is(argv[0]))
		return linux_guest_take(options, argv[0], plan->argc, argv + (argc > 1 ? 2 : 1));
	plan->guest = argv[0];
	if (!strchr(argv[0], '/') && access(argv[0], F_OK) < 0)
		plan->guest = place_guest(argv[0]);
	return is_short(plan);
}

/* What says when or where something is to be done wants something that does it. */
static bool check(const struct options *options)
{
	const struct look_request *look = &options->look.request;
	const struct report *report = &options->report;

	if (look->at_given && options->inspect_core)
		return message_error("--at: a core is one moment, there is nothing to choose");
	if (look->at_given && !look_request_asks(look))
		return message_error(
		    "--at: says when --walk, --map and --audit look, and none is given");
	if (options->look.core.path && options->inspect_core)
		return message_error(
		    "--core: with --inspect-core no guest runs that could leave one");
	if (options->torture.crossing && !options->torture.event)
		return message_error("--torture-crossing: says which crossing --torture is for, "
		                     "and that is not given");
	if (options->manner.file.path && !options->inspect.when && !options->anatomy.crossing &&
	    !options->torture.event)
		return message_error(
		    "--inspect-file: says where --inspect, --anatomy and --torture write, and "
		    "none of them is given");
	if (report->stats_file.path && report->stats == STATS_NONE)
		return message_error("--stats-file %s: there is nothing to write with --stats none",
		                     report->stats_file.path);
	return true;
}

/* Takes argv[before] up to where getopt is out of argv.  How many words that were. */
static int drop_words(char **argv, int before)
{
	int count = optind - before;

	for (char **word = argv + before; (*word = word[count]); word++)
		;
	optind = before;
	return count;
}

/* Every option; optind is behind them.  How many words are left of argv; -1: done or wrong. */
static int take_options(struct options *options, int argc, char **argv)
{
	enum { FIRST = 256 }; /* no character */
	struct option names[ROWS + 1] = {0};
	int option, before = optind;

	for (int i = 0; i < ROWS; i++)
		names[i] = (struct option){rows[i].name, rows[i].value != NULL, NULL, FIRST + i};
	/* '+': the first word that is no option ends them, the rest is not ours. */
	for (; (option = getopt_long(argc, argv, "+", names, NULL)) != -1; before = optind) {
		if (option == '?') /* getopt has said what is wrong */
			return -1;

		const struct option_row *row = &rows[option - FIRST];

		if (!row->take(row, optarg, (char *)options + row->to) || options->answered)
			return -1;
		if (row->to == offsetof(struct options, box))
			argc -= drop_words(argv, before);
	}
	return argc;
}

enum options_result options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){.plan.cpus = 1,
	                            .trace.limit = TRACE_LIMIT_DEFAULT,
	                            .report.trace = &options->trace.figures,
	                            .command = argv};
	argc = take_options(options, argc, argv);
	if (argc < 0)
		return options->answered ? OPTIONS_DONE : wrong();
	if (options->probe && optind < argc) {
		message_error("--probe brings its own guests: '%s' is one too many", argv[optind]);
		return wrong();
	}
	if (!check(options) || !instruments_check(options))
		return wrong();
	if (!options->probe && !(options->inspect_core && optind == argc) &&
	    !take_guest(options, argc - optind, argv + optind))
		return wrong();
	if (!options->plan.mem)
		options->plan.mem =
		    options->linux_guest.wanted ? LINUX_GUEST_MEM : PLAN_MEM_DEFAULT;
	if (options->manner.quiet && !options->report.stats_given &&
	    !options->report.stats_file.path)
		options->report.stats = STATS_NONE;
	return OPTIONS_RUN;
}
