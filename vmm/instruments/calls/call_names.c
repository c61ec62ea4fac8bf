#include "vmm/instruments/calls/call_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void call_names_read(struct call_names *names, const struct symbols *symbols,
                     const struct view *view)
{
	const struct symbol *table = symbols_lookup(symbols, "sys_call_table");

	*names = (struct call_names){.symbols = symbols};
	if (!table)
		return;
	for (unsigned i = 0; i < CALL_NAMES_MAX; i++) {
		const uint64_t at = table->address + i * sizeof(uint64_t);
		uint64_t function;
		const struct symbol *symbol;

		/* Up to what is no function any more. */
		if (view_read(view, at, &function, sizeof(function)) != sizeof(function))
			break;
		symbol = symbols_find(symbols, function);
		if (!symbol || symbol->address != function)
			break;
		names->function[names->count++] = function;
	}
}

/* "__x64_sys_getppid" without what Linux puts before it. */
static const char *without_prefix(const char *name)
{
	static const char *const prefixes[] = {"__x64_sys_", "__ia32_sys_", "__ia32_compat_sys_",
	                                       "__do_sys_", "__se_sys_"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const size_t length = strlen(prefixes[i]);

		if (!strncmp(name, prefixes[i], length))
			return name + length;
	}
	return name;
}

const char *call_name_text(const struct call_names *names, uint64_t number, char *buf, size_t size)
{
	const struct symbol *symbol = NULL;

	if (number < names->count)
		symbol = symbols_find(names->symbols, names->function[number]);
	if (symbol)
		snprintf(buf, size, "%s", without_prefix(symbol->name));
	else
		snprintf(buf, size, "call %" PRIu64, number);
	return buf;
}

/* Those that programs make most, and that have fewer than six arguments. */
static const struct {
	const char *name;
	unsigned count;
} few[] = {
    {"getpid", 0},
    {"getppid", 0},
    {"gettid", 0},
    {"getuid", 0},
    {"geteuid", 0},
    {"getgid", 0},
    {"getegid", 0},
    {"fork", 0},
    {"vfork", 0},
    {"sync", 0},
    {"sched_yield", 0},
    {"pause", 0},
    {"rt_sigreturn", 0},
    {"close", 1},
    {"brk", 1},
    {"exit", 1},
    {"exit_group", 1},
    {"chdir", 1},
    {"dup", 1},
    {"iopl", 1},
    {"set_tid_address", 1},
    {"uname", 1},
    {"newuname", 1},
    {"alarm", 1},
    {"munmap", 2},
    {"access", 2},
    {"kill", 2},
    {"dup2", 2},
    {"arch_prctl", 2},
    {"newstat", 2},
    {"newfstat", 2},
    {"set_robust_list", 2},
    {"nanosleep", 2},
    {"getrandom", 3},
    {"read", 3},
    {"write", 3},
    {"open", 3},
    {"ioctl", 3},
    {"execve", 3},
    {"mprotect", 3},
    {"readlink", 3},
    {"writev", 3},
    {"fcntl", 3},
    {"lseek", 3},
    {"openat", 4},
    {"rt_sigaction", 4},
    {"rt_sigprocmask", 4},
    {"wait4", 4},
    {"prlimit64", 4},
    {"newfstatat", 4},
    {"readlinkat", 4},
    {"rseq", 4},
    {"mount", 5},
    {"mkdir", 2},
    {"setsid", 0},
    {"clone", 5},
};

unsigned call_argument_count(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(few); i++) {
		if (!strcmp(few[i].name, name))
			return few[i].count;
	}
	return 6;
}

const char *call_result_text(uint64_t result, char *buf, size_t size)
{
	enum { ERRORS = 4095, SMALL = 65536 };

	if ((int64_t)result < 0 && (int64_t)result >= -ERRORS)
		snprintf(buf, size, "%" PRId64 " (%s)", (int64_t)result,
		         strerror((int)-(int64_t)result));
	else if (result < SMALL)
		snprintf(buf, size, "%" PRIu64, result);
	else
		snprintf(buf, size, "0x%" PRIx64, result);
	return buf;
}
