#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/abi.h"
#include "vmm/message.h"
#include "vmm/place.h"
#include "vmm/trace/trace.h"

/* In parts, since no compiler need take a longer string. */
static const char *const help[] = {
    "Usage: vmm [options] GUEST.ELF [-- guest arguments]\n"
    "       vmm --probe [options]\n"
    "       vmm --inspect-core FILE [options] [GUEST.ELF]\n"
    "Runs a 64-bit guest under KVM and reports how it crossed the ring 3 / ring 0 boundary.\n"
    "\n"
    "Options, before GUEST.ELF:\n"
    "  --mem SIZE           guest RAM, with K, M or G (default 64M, 1M to 64G)\n"
    "  --pti auto|on|off    kernel page-table isolation; auto: where the CPU needs it\n"
    "  --no-pcid            do not use PCIDs even where the CPU has them\n"
    "  --la57               5-level paging\n"
    "  --cpus N             how many CPUs the guest may start (default 1, 1 to 8)\n"
    "  --no-apic            no local APICs, so no timer: a scheduler can only be cooperative\n"
    "  --program NAME       the same as NAME before the guest arguments: of guest.elf tour (the\n"
    "                       default), check, walls, hostile, crossings, memory, processes,\n"
    "                       costs, counts, syscalls, cat, crash\n"
    "  --timeout SECONDS    stop the guest after this time (fractions allowed)\n"
    "  --stats text|json|none\n"
    "                       what to report at the end (default text)\n"
    "  --stats-file FILE    write the report to FILE instead of standard output\n"
    "  --report FILE.html   write a page with pictures: exits, costs, address spaces\n"
    "  --trace FILE         record exits, crossings, context switches and faults as a trace that\n"
    "                       Perfetto and chrome://tracing open\n"
    "  --trace-limit SIZE   let the trace grow to this size (default 64M, 16K to 64G)\n"
    "  --color auto|always|never\n"
    "                       colour in the report (default auto: on a terminal)\n"
    "  --quiet              only what the guest prints, and errors; no report unless --stats\n"
    "                       or --stats-file asks for one\n",
    "  --walk VA[@cr3=kernel|user|VALUE]\n"
    "                       follow one translation through the page tables, level by level,\n"
    "                       and say what each kind of access gets; VA: hexadecimal, or a symbol\n"
    "                       of the guest with or without +OFFSET (repeatable)\n"
    "  --map                what both roots map, side by side\n"
    "  --audit              check both roots against the rules of the boundary; a broken rule\n"
    "                       turns exit status 0 into 125\n"
    "  --at boot|exit|mark=N\n"
    "                       when --walk, --map and --audit look: before the first instruction,\n"
    "                       at the end (the default), or at the guest's N-th mark\n"
    "  --inspect-format text|json\n"
    "                       how they say it (default text)\n"
    "  --core FILE          when the guest dies, its time runs out or SIGQUIT stops it: write an\n"
    "                       ELF core for gdb and --inspect-core\n"
    "  --inspect-core FILE  show the state in a core; with --walk, --map, --audit as above, and\n"
    "                       symbols from GUEST.ELF if it is given; needs no KVM\n"
    "  --inspect WHEN[,WHEN...]\n"
    "                       show the vCPU's state: all, an exit reason (IO, HLT...), vector=N,\n"
    "                       syscall=N, cpl-change, cr3-write, pc=SYMBOL+OFF, count=N; with first\n"
    "                       or every=N\n"
    "  --inspect-file FILE  write that to FILE instead of standard error\n"
    "  --anatomy syscall|int80|sysenter|callgate|pagefault|irq|fork|context-switch\n"
    "                       follow one crossing of the guest, instruction by instruction;\n"
    "                       sysenter and callgate: -- crossings makes them, irq: -- processes\n"
    "  --torture nmi|irq|step\n"
    "                       make that happen at every instruction of the entry and exit paths,\n"
    "                       in every KPTI mode, and see that nothing but a count tells of it\n"
    "  --torture-crossing PATTERN\n"
    "                       only for crossings of such a name (as --torture prints them)\n"
    "  --gdb [[any:]HOST:]PORT|PATH\n"
    "                       wait for gdb on 127.0.0.1 (or HOST; behind any: also where other\n"
    "                       machines reach it), or on a UNIX socket\n"
    "  --box amd|intel|auto|here\n"
    "                       run all this in an emulated machine with a real KVM of that kind,\n"
    "                       which needs none here; auto: here, or without a usable /dev/kvm in\n"
    "                       the AMD box (default here)\n"
    "  --probe              try out what this host's KVM really does, print it and end\n"
    "  --version            print the version and end\n"
    "  --help               print this and end\n"
    "\n"
    "Exit status: the guest's own, 0 to 123 (0 also when it halts); 2 wrong usage; 124 the time\n"
    "ran out; 125 the guest could not be run: its file was refused, or the VMM or the host\n"
    "failed; 126 the guest died; 128 + n stopped by signal n.\n",
    NULL,
};

static enum options_result wrong(void)
{
	fputs("Try 'vmm --help'.\n", stderr);
	return OPTIONS_WRONG;
}

/* ---- Values -------------------------------------------------------------------------------- */

/* The index of `word` in a list ended by NULL, else -1 after a message. */
static int parse_choice(const char *option, const char *word, const char *const *choices,
                        const char *allowed)
{
	for (int i = 0; choices[i]; i++) {
		if (!strcmp(word, choices[i]))
			return i;
	}
	message_error("--%s '%s': must be %s", option, word, allowed);
	return -1;
}

static bool parse_mem(const char *word, uint64_t *mem)
{
	static const char allowed[] = "must be a number with K, M or G behind it, 1M to 64G";
	char *end;
	unsigned shift = 0;

	/* strtoull takes signs and blanks; a size has neither. */
	if (*word < '0' || *word > '9')
		return message_error("--mem '%s': %s", word, allowed);
	errno = 0;

	unsigned long long number = strtoull(word, &end, 10);

	switch (*end) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	default:
		break;
	}
	if (end[shift != 0] != '\0')
		return message_error("--mem '%s': %s", word, allowed);
	if (errno || number > UINT64_MAX >> shift || number << shift > OPTIONS_MEM_MAX)
		return message_error("--mem '%s': is more than %" PRIu64 "G", word,
		                     OPTIONS_MEM_MAX >> 30);
	*mem = number << shift;
	if (*mem < OPTIONS_MEM_MIN)
		return message_error("--mem '%s': is %" PRIu64 " bytes, less than %" PRIu64 "M%s",
		                     word, *mem, OPTIONS_MEM_MIN >> 20,
		                     shift ? "" : " (a number without K, M or G is bytes)");
	if (*mem % PAGE_SIZE)
		return message_error("--mem '%s': is not a multiple of the page size, %d", word,
		                     PAGE_SIZE);
	return true;
}

static bool parse_cpus(const char *word, unsigned *cpus)
{
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	/* strtoul takes signs and blanks; a number of CPUs has neither. */
	if (*word < '0' || *word > '9' || *end || number < 1 || number > RS_MAX_CPUS)
		return message_error("--cpus '%s': must be 1 to %d", word, RS_MAX_CPUS);
	*cpus = (unsigned)number;
	return true;
}

static bool parse_trace_limit(const char *word, uint64_t *limit)
{
	static const char suffixes[] = "KMG";
	char *end;

	errno = 0;

	unsigned long long number = strtoull(word, &end, 10);
	const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;

	if (*word < '0' || *word > '9' || end[suffix != NULL] != '\0' || errno ||
	    number > TRACE_LIMIT_MAX >> shift || number << shift < TRACE_LIMIT_MIN)
		return message_error(
		    "--trace-limit '%s': must be a number with K, M or G behind it, 16K to 64G",
		    word);
	*limit = number << shift;
	return true;
}

/* The name of a file to write. */
static bool parse_file(const char *option, const char *word, const char **file)
{
	*file = word;
	return *word || message_error("--%s '': must be the name of a file", option);
}

static bool parse_timeout(const char *word, uint64_t *nanoseconds)
{
	const double max = 1e7; /* 115 days, and far from overflow */
	char *end;
	double seconds;

	/* strtod takes signs, blanks, hexadecimal, infinities and NaNs; none is a time. */
	if (strspn(word, "0123456789.") != strlen(word))
		return message_error("--timeout '%s': must be a number of seconds", word);
	seconds = strtod(word, &end);
	if (end == word || *end)
		return message_error("--timeout '%s': must be a number of seconds", word);
	if (seconds > max || seconds < 1e-3)
		return message_error(
		    "--timeout '%s': must be 0.001 to %.0f seconds; leave it out for no limit",
		    word, max);
	*nanoseconds = (uint64_t)(seconds * 1e9 + 0.5);
	return true;
}

/* ---- Options ------------------------------------------------------------------------------- */

enum {
	OPT_MEM = 256,
	OPT_PTI,
	OPT_NO_PCID,
	OPT_LA57,
	OPT_CPUS,
	OPT_NO_APIC,
	OPT_PROGRAM,
	OPT_TIMEOUT,
	OPT_STATS,
	OPT_STATS_FILE,
	OPT_REPORT,
	OPT_TRACE,
	OPT_TRACE_LIMIT,
	OPT_COLOR,
	OPT_QUIET,
	OPT_WALK,
	OPT_MAP,
	OPT_AUDIT,
	OPT_AT,
	OPT_INSPECT_FORMAT,
	OPT_CORE,
	OPT_INSPECT_CORE,
	OPT_GDB,
	OPT_INSPECT,
	OPT_INSPECT_FILE,
	OPT_ANATOMY,
	OPT_TORTURE,
	OPT_TORTURE_CROSSING,
	OPT_PROBE,
	OPT_BOX,
	OPT_VERSION,
	OPT_HELP,

	/* Beside an option: its value names a file, which the run reads or writes. */
	READS = (FILE_READ + 1) << 12,
	WRITES = (FILE_WRITTEN + 1) << 12,
	MAY_WRITE = (FILE_MAYBE_WRITTEN + 1) << 12,
};

static int option_number(int row)
{
	return row & 0xfff;
}

static const struct option long_options[] = {
    {"mem", required_argument, NULL, OPT_MEM},
    {"pti", required_argument, NULL, OPT_PTI},
    {"no-pcid", no_argument, NULL, OPT_NO_PCID},
    {"la57", no_argument, NULL, OPT_LA57},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"no-apic", no_argument, NULL, OPT_NO_APIC},
    {"program", required_argument, NULL, OPT_PROGRAM},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"stats", required_argument, NULL, OPT_STATS},
    {"stats-file", required_argument, NULL, OPT_STATS_FILE | WRITES},
    {"report", required_argument, NULL, OPT_REPORT | WRITES},
    {"trace", required_argument, NULL, OPT_TRACE | WRITES},
    {"trace-limit", required_argument, NULL, OPT_TRACE_LIMIT},
    {"color", required_argument, NULL, OPT_COLOR},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"walk", required_argument, NULL, OPT_WALK},
    {"map", no_argument, NULL, OPT_MAP},
    {"audit", no_argument, NULL, OPT_AUDIT},
    {"at", required_argument, NULL, OPT_AT},
    {"inspect-format", required_argument, NULL, OPT_INSPECT_FORMAT},
    {"core", required_argument, NULL, OPT_CORE | MAY_WRITE},
    {"inspect-core", required_argument, NULL, OPT_INSPECT_CORE | READS},
    {"inspect", required_argument, NULL, OPT_INSPECT},
    {"inspect-file", required_argument, NULL, OPT_INSPECT_FILE | WRITES},
    {"anatomy", required_argument, NULL, OPT_ANATOMY},
    {"torture", required_argument, NULL, OPT_TORTURE},
    {"torture-crossing", required_argument, NULL, OPT_TORTURE_CROSSING},
    {"gdb", required_argument, NULL, OPT_GDB},
    {"probe", no_argument, NULL, OPT_PROBE},
    {"box", required_argument, NULL, OPT_BOX},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char *const pti_words[] = {"auto", "on", "off", NULL};
static const char *const stats_words[] = {"text", "json", "none", NULL};
static const char *const inspect_format_words[] = {"text", "json", NULL};
static const char *const box_words[] = {"here", "amd", "intel", "auto", NULL};
static const char *const color_words[] = {"auto", "always", "never", NULL};

/* A later option takes the place of the same one before. */
static void note_file(struct options *options, int row, const char *path)
{
	size_t i = 0;

	while (i < options->file_count && options->files[i].option != option_number(row))
		i++;
	options->files[i] = (struct options_file){
	    .option = option_number(row), .use = (enum file_use)((row >> 12) - 1), .path = path};
	if (i == options->file_count)
		options->file_count++;
}

/* One option with a value that must be right: false after a message. */
static bool set_option(struct options *options, int option, const char *value, bool *stats_asked)
{
	int choice = 0;

	switch (option) {
	case OPT_MEM:
		return parse_mem(value, &options->mem);
	case OPT_TIMEOUT:
		return parse_timeout(value, &options->timeout_ns);
	case OPT_PTI:
		choice = parse_choice("pti", value, pti_words, "auto, on or off");
		options->pti = (enum pti_choice)choice;
		break;
	case OPT_STATS:
		choice = parse_choice("stats", value, stats_words, "text, json or none");
		options->stats = (enum stats_format)choice;
		*stats_asked = true;
		break;
	case OPT_COLOR:
		choice = parse_choice("color", value, color_words, "auto, always or never");
		options->color = (enum color_choice)choice;
		break;
	case OPT_STATS_FILE:
		options->stats_file = value;
		*stats_asked = true;
		if (!*value)
			return message_error("--stats-file '': must be the name of a file");
		break;
	case OPT_REPORT:
		return parse_file("report", value, &options->report_file);
	case OPT_TRACE:
		return parse_file("trace", value, &options->trace_file);
	case OPT_TRACE_LIMIT:
		return parse_trace_limit(value, &options->trace_limit);
	case OPT_NO_PCID:
		options->no_pcid = true;
		break;
	case OPT_LA57:
		options->la57 = true;
		break;
	case OPT_CPUS:
		return parse_cpus(value, &options->cpus);
	case OPT_NO_APIC:
		options->no_apic = true;
		break;
	case OPT_PROGRAM:
		options->program = value;
		break;
	case OPT_QUIET:
		options->quiet = true;
		break;
	case OPT_WALK:
		return look_request_walk(&options->look, value);
	case OPT_MAP:
		options->look.map = true;
		break;
	case OPT_AUDIT:
		options->look.audit = true;
		break;
	case OPT_AT:
		return look_request_at(&options->look, value);
	case OPT_INSPECT_FORMAT:
		choice =
		    parse_choice("inspect-format", value, inspect_format_words, "text or json");
		options->look_json = choice == 1;
		break;
	case OPT_CORE:
		options->core = value;
		return *value || message_error("--core '': must be the name of a file");
	case OPT_INSPECT_CORE:
		options->inspect_core = value;
		return *value || message_error("--inspect-core '': must be the name of a file");
	case OPT_INSPECT:
		options->inspect = value;
		break;
	case OPT_INSPECT_FILE:
		return parse_file("inspect-file", value, &options->inspect_file);
	case OPT_ANATOMY:
		options->anatomy = value;
		break;
	case OPT_TORTURE:
		options->torture = value;
		break;
	case OPT_TORTURE_CROSSING:
		options->torture_crossing = value;
		break;
	case OPT_GDB:
		options->gdb = value;
		break;
	case OPT_PROBE:
		options->probe = true;
		break;
	case OPT_BOX:
		choice = parse_choice("box", value, box_words, "amd, intel, auto or here");
		options->box = (enum box_choice)choice;
		break;
	default:
		break;
	}
	return choice >= 0;
}

/* GUEST.ELF, then nothing, or "--" and what is the guest's. */
static bool take_guest(struct options *options, int argc, char **argv)
{
	if (argc == 0)
		return message_error("no guest: give an ELF file, as in 'vmm guest.elf'");
	if (!*argv[0])
		return message_error("the guest's file name is empty");
	options->guest = argv[0];
	if (!strchr(argv[0], '/') && access(argv[0], F_OK) < 0)
		options->guest = place_guest(argv[0]);
	note_file(options, READS, options->guest);
	if (argc > 1 && strcmp(argv[1], "--") != 0) {
		if (argv[1][0] == '-')
			return message_error(
			    "'%s' after %s: options come before it, and what is the guest's "
			    "after '--'",
			    argv[1], argv[0]);
		return message_error("'%s' after %s: guest arguments come after '--'", argv[1],
		                     argv[0]);
	}
	options->argc = argc > 1 ? argc - 2 : 0;
	options->argv = argv + (argc > 1 ? 2 : 1);

	size_t size = strlen(options->guest) + 1;

	for (unsigned i = 0; options_argument(options, i); i++)
		size += strlen(options_argument(options, i)) + 1;
	if (size > RS_CMDLINE_SIZE)
		return message_error(
		    "the guest's name and arguments take %zu bytes: %d are possible", size,
		    RS_CMDLINE_SIZE);
	return true;
}

/* --inspect-core looks at what was, and --at says when to look. */
static bool check_look(const struct options *options)
{
	if (options->look.at_given && options->inspect_core)
		return message_error("--at: a core is one moment, there is nothing to choose");
	if (options->look.at_given && !look_request_asks(&options->look))
		return message_error(
		    "--at: says when --walk, --map and --audit look, and none is given");
	if (options->core && options->inspect_core)
		return message_error(
		    "--core: with --inspect-core no guest runs that could leave one");
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

enum options_result options_parse(struct options *options, int argc, char **argv,
                                  bool (*check)(const struct options *options))
{
	bool stats_asked = false;
	int option, before = optind;

	*options = (struct options){.mem = OPTIONS_MEM_DEFAULT,
	                            .cpus = 1,
	                            .trace_limit = TRACE_LIMIT_DEFAULT,
	                            .command = argv};
	/* '+': the first word that is no option ends them, the rest is not ours. */
	for (; (option = getopt_long(argc, argv, "+", long_options, NULL)) != -1; before = optind) {
		switch (option_number(option)) {
		case '?': /* getopt has said what is wrong */
			return wrong();
		case OPT_HELP:
			for (size_t i = 0; help[i]; i++)
				fputs(help[i], stdout);
			return OPTIONS_DONE;
		case OPT_VERSION:
			puts("vmm (Ringscope) " RS_VERSION);
			return OPTIONS_DONE;
		default:
			if (!set_option(options, option_number(option), optarg, &stats_asked))
				return wrong();
		}
		if (option != option_number(option))
			note_file(options, option, optarg);
		if (option == OPT_BOX)
			argc -= drop_words(argv, before);
	}
	if (options->probe && optind < argc) {
		message_error("--probe brings its own guests: '%s' is one too many", argv[optind]);
		return wrong();
	}
	if (!check_look(options) || !check(options))
		return wrong();
	if (options->torture) {
		/* Interrupts come when the torture wants them to. */
		options->no_apic = true;
		if (!options->program)
			options->program = "torture";
	}
	if (!options->probe && !(options->inspect_core && optind == argc) &&
	    !take_guest(options, argc - optind, argv + optind))
		return wrong();
	if (options->stats_file && options->stats == STATS_NONE) {
		message_error("--stats-file %s: there is nothing to write with --stats none",
		              options->stats_file);
		return wrong();
	}
	if (options->quiet && !stats_asked)
		options->stats = STATS_NONE;
	return OPTIONS_RUN;
}

const char *options_argument(const struct options *options, unsigned i)
{
	if (options->program && i == 0)
		return options->program;

	unsigned behind = options->program ? i - 1 : i;

	return behind < (unsigned)options->argc ? options->argv[behind] : NULL;
}

bool options_color(const struct options *options, int fd)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	if (options->color != COLOR_AUTO)
		return options->color == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return term && strcmp(term, "dumb") != 0 && isatty(fd);
}
