#include "guest/user/hostile_calls.h"

#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/ways.h"
#include "shared/x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t pid(void)
{
	return (uint64_t)raw_syscall(SYS_getpid);
}

/* ---- Numbers and pointers -------------------------------------------------------------------- */

static uint16_t good; /* where a pointer may point to */

#define HIGH     ((long)0xfffffffe00000000)
#define NOWHERE  0x10000000
#define READONLY ((long)0x400000)

#define KERNEL ((long)RS_KERNEL_TEXT)
#define GOOD   ((long)&good)

/* Linux's, for wait4. */
#define WUNTRACED  2
#define WCONTINUED 8

static const int32_t second_too_much[2] = {0, 1000000000};

/* Calls, and what each returns. */
static const struct call {
	const char *name;
	long (*by)(long number, ...);
	long number, a, b, c;
	long want; /* 0 from getpid: the pid */
} calls[] = {
    {"INT 0x80: the high half of RAX is no part of it", raw_int80, HIGH | SYS32_getpid, 0, 0, 0, 0},
    {"INT 0x80: the high halves of arguments are none of it", raw_int80, HIGH | SYS32_write,
     HIGH | 1, (long)&good + HIGH, HIGH, 0},
    {"SYSCALL: the high half of RAX is part of it", raw_syscall, 1L << 32 | SYS_getpid, 0, 0, 0,
     -ENOSYS},
    {"a length of all ones", raw_syscall, SYS_write, 1, NOWHERE, -1, -EFAULT},
    {"a length of all ones, from a good pointer", raw_syscall, SYS_write, 1, (long)&good, -1,
     -EFAULT},
    {"write of nothing", raw_syscall, SYS_write, 1, (long)&good, 0, 0},
    {"write to standard input", raw_syscall, SYS_write, 0, (long)&good, 1, -EBADF},
    {"write to a descriptor that is none", raw_syscall, SYS_write, -1, (long)&good, 1, -EBADF},
    {"read from standard output", raw_syscall, SYS_read, 1, (long)&good, 1, -EBADF},
    {"read of nothing", raw_syscall, SYS_read, 0, (long)&good, 0, 0},
    {"read into read-only memory", raw_syscall, SYS_read, 0, READONLY, -1, -EFAULT},
    {"wait4 for a child that is none", raw_syscall, SYS_wait4, 1, 0, 0, -ECHILD},
    {"wait4 for the lowest number there is", raw_syscall, SYS_wait4, INT32_MIN, 0, 0, -ESRCH},
    {"wait4 with options that are none", raw_syscall, SYS_wait4, -1, 0, -1, -EINVAL},
    {"wait4 with options for what never happens", raw_syscall, SYS_wait4, 1, 0,
     WUNTRACED | WCONTINUED, -ECHILD},
    {"INT 0x80 number 3: read", raw_int80, 3, 0, (long)&good, 0, 0},
    {"INT 0x80 number 45: brk", raw_int80, 45, 0, 0, 0, NOWHERE},
    {"INT 0x80 number 64: getppid", raw_int80, 64, 0, 0, 0, 0},
    {"INT 0x80 number 91: munmap", raw_int80, 91, 0, 0, 0, -EINVAL},
    {"INT 0x80 number 114: wait4", raw_int80, 114, 1, 0, 0, -ECHILD},
    {"INT 0x80 number 125: mprotect", raw_int80, 125, 1, PAGE_SIZE, PROT_READ, -EINVAL},
    {"INT 0x80 number 162: nanosleep, of 32-bit words", raw_int80, 162, (long)second_too_much, 0, 0,
     -EINVAL},
#define OWN(text, own, a, b, c, want)                                                              \
	{                                                                                          \
		text, raw_syscall, own, a, b, c, want                                              \
	}
    OWN("a fault handler in the kernel", RS_SYS_FAULT_HANDLER, KERNEL, 0, 0, -EINVAL),
    OWN("a KPTI mode that is none", RS_SYS_PTI_MODE, RS_PTI_NOPCID + 1, 0, 0, -EINVAL),
    OWN("a KPTI mode below all", RS_SYS_PTI_MODE, -2, 0, 0, -EINVAL),
    OWN("a mark's slot that is none", RS_SYS_MARK, RS_MARKS, 0, 0, -EINVAL),
    OWN("a slot for marks that is none", RS_SYS_MARK_SLOT, RS_MARKS, 0, 0, -EINVAL),
    OWN("a slot for marks below all", RS_SYS_MARK_SLOT, -2, 0, 0, -EINVAL),
    OWN("a loop in ring 0 without end", RS_SYS_RING0_LOOP, -1, 0, 0, -EINVAL),
    OWN("more ranges than fit", RS_SYS_USER_ROOT, GOOD, RS_MAX_RANGES + 1, 0, -EINVAL),
    OWN("more records than fit", RS_SYS_RECORD, GOOD, -1, 0, -EINVAL),
    OWN("more rows of a gallery than fit", RS_SYS_ESCAPE, GOOD, -1, 0, -EINVAL),
    OWN("more to torture than fits", RS_SYS_TORTURE, 0, GOOD, -1, -EINVAL),
    OWN("a crash that is none", RS_SYS_CRASH, -1, 0, 0, -EINVAL),
    OWN("the table's entry beyond its end", RS_SYS_TABLE, -1, GOOD, 0, -EINVAL),
    OWN("an attempt of ring 0 that is none", RS_SYS_RING0, RS_RING0_COUNT, 0, 0, -EINVAL),
    OWN("an attempt of ring 0 at the kernel", RS_SYS_RING0, RS_RING0_WRITE_USER, KERNEL, 0, -EPERM),
    OWN("a state that is none", RS_SYS_STATE, RS_STATE_COUNT, 0, 0, -EINVAL),
    OWN("a watchpoint in the kernel", RS_SYS_STATE, RS_STATE_WATCH, KERNEL, 0, -EINVAL),
    OWN("a page of the kernel's to change", RS_SYS_STATE, RS_STATE_LEAF, KERNEL, 0, -EINVAL),
    OWN("other bits of a leaf", RS_SYS_STATE, RS_STATE_LEAF_BITS, 7, 0, -EINVAL),
    OWN("an IDT too short for system calls", RS_SYS_STATE, RS_STATE_IDT_LIMIT, 0x80, 0, -EINVAL),
    OWN("an IDT too long", RS_SYS_STATE, RS_STATE_IDT_LIMIT, 257, 0, -EINVAL),
    OWN("to go on in ring 0", RS_SYS_RING, 0, 0, 0, -EINVAL),
    OWN("to go on in ring 3 as if between", RS_SYS_RING, 3, 0, 0, -EINVAL),
    OWN("an attempt of ring 1 that is none", RS_SYS_RING, 1, RS_RING_COUNT, 0, -EINVAL),
    OWN("ring 1 to jump into the kernel", RS_SYS_RING, 1, RS_RING_JUMP, KERNEL, -EPERM),
    OWN("to return to ring 1", RS_SYS_RETURN, RS_SEL_RING1_CODE, RS_SEL_RING1_DATA, 0, -EPERM),
    OWN("slices that end before they begin", RS_SYS_SLICES, 2, 1, 0, -EINVAL),
    OWN("an act of threads that is none", RS_SYS_THREAD, -1, 0, 0, -EINVAL),
    OWN("an act of kernel pages that is none", RS_SYS_KERNEL_PAGE, -1, 0, 0, -EINVAL),
};

/* Calls that take a pointer, and which argument it is. */
static const struct pointer_call {
	const char *name;
	long (*by)(long number, ...);
	uint16_t number, pointer;
	int32_t a, b, c;
} pointer_calls[] = {
#define POINTER(text, ...)                                                                         \
	{                                                                                          \
		text ": bad pointers are EFAULT", __VA_ARGS__                                      \
	}
    POINTER("write", raw_syscall, SYS_write, 1, 1, 0, 8),
    POINTER("read", raw_syscall, SYS_read, 1, 0, 0, 8),
    POINTER("nanosleep", raw_syscall, SYS_nanosleep, 0, 0, 0, 0),
    POINTER("marks", raw_syscall, RS_SYS_MARKS, 0, 0, 0, 0),
    POINTER("count_pages", raw_syscall, RS_SYS_COUNT_PAGES, 0, 0, 0, 0),
    POINTER("info", raw_syscall, RS_SYS_INFO, 0, 0, 0, 0),
    POINTER("user_root", raw_syscall, RS_SYS_USER_ROOT, 0, 0, 1, 0),
    POINTER("record", raw_syscall, RS_SYS_RECORD, 0, 0, 1, 0),
    POINTER("escape", raw_syscall, RS_SYS_ESCAPE, 0, 0, 1, 0),
    POINTER("ring0", raw_syscall, RS_SYS_RING0, 2, RS_RING0_UNDEFINED, 0, 0),
    POINTER("stats", raw_syscall, RS_SYS_STATS, 0, 0, 0, 0),
    POINTER("table", raw_syscall, RS_SYS_TABLE, 1, 0, 0, 0),
    POINTER("torture", raw_syscall, RS_SYS_TORTURE, 1, 0, 0, 8),
    POINTER("write by INT 0x80", raw_int80, SYS32_write, 1, 1, 0, 8),
    POINTER("read by INT 0x80", raw_int80, 3, 1, 0, 0, 8),
    POINTER("mmap by INT 0x80", raw_int80, SYS32_mmap, 0, 0, 0, 0),
    POINTER("nanosleep by INT 0x80", raw_int80, 162, 0, 0, 0, 0),
};

/* Nothing is there for ring 3; their low halves, which INT 0x80 has of them, lead nowhere either.
 */
static const uint64_t bad[] = {
    0, RS_KERNEL_TEXT, RS_DIRECT_BASE, 0x7ffffffff000, 0x800000000000, UINT64_MAX};

static void pointers(void)
{
	for (const struct pointer_call *c = pointer_calls;
	     c < pointer_calls + ARRAY_SIZE(pointer_calls); c++) {
		uint64_t wrong = 0;

		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			long arg[3] = {c->a, c->b, c->c};

			arg[c->pointer] = (long)bad[i];
			wrong += c->by(c->number, arg[0], arg[1], arg[2]) != -EFAULT;
		}
		gallery_value(c->name, 0, wrong);
	}
}

#define NUMBERS (RS_SYS_BASE + RS_SYS_COUNT + 32)

/* Of calls by one of the tables, which numbers that it does not have give something else than
 * ENOSYS. */
static uint64_t numbers_wrong(uint64_t way)
{
	long (*const by)(long number, ...) = way == RS_TABLE_64 ? raw_syscall : raw_int80;
	static const uint64_t huge[] = {0x7fffffff, 0x80000000, 0xffffffff, (uint64_t)1 << 63,
	                                UINT64_MAX};
	uint8_t known[NUMBERS] = {0};
	struct rs_syscall call;
	uint64_t wrong = 0;

	for (long i = 0; raw_syscall(RS_SYS_TABLE, i, (long)&call) == 0; i++)
		known[call.number] |= (uint8_t)call.ways;
	for (long i = 0; i < NUMBERS; i++)
		if (!(known[i] & way))
			wrong += by(i, -1L, -1L, -1L, -1L) != -ENOSYS;
	for (size_t i = 0; i < ARRAY_SIZE(huge); i++)
		wrong += by((long)huge[i], -1L, -1L, -1L, -1L) != -ENOSYS;
	return wrong;
}

/* The high halves do not go through an entry from 32-bit code. */
static uint64_t compat_wrong(uint64_t unused)
{
	uint64_t wrong = 0;

	(void)unused;
	for (size_t i = 0; i < way_count; i++) {
		if (!way_is_fit(&ways[i], 1 << WAY_CALL32))
			continue;
		way_fill(&ways[i]);
		way_in.gpr[RAX] |= (uint64_t)HIGH;
		way_in.gpr[RBX] |= (uint64_t)HIGH;
		if (way_cross(ways[i].code) || way_out.gpr[RAX] != pid())
			wrong |= UINT64_C(1) << i;
	}
	return wrong;
}

/* Each by its own table, whatever came before. */
static uint64_t turns_wrong(uint64_t turns)
{
	uint64_t wrong = 0;

	for (; turns; turns--) {
		wrong += (uint64_t)raw_int80(SYS32_getpid) != pid();
		wrong += raw_syscall(SYS32_getpid) != -ENOSYS;
	}
	return wrong;
}

static const struct gallery_values number_rows[] = {
    {"SYSCALL: numbers that are not in the kernel's table", numbers_wrong, RS_TABLE_64, 0},
    {"INT 0x80: numbers that are not in the kernel's table", numbers_wrong, RS_TABLE_I386, 0},
    {"32-bit code: high halves are no part of numbers", compat_wrong, 0, 0},
    {"SYSCALL and INT 0x80 in turns, each by its own table", turns_wrong, 50, 0},
};

void hostile_numbers(void)
{
	gallery_values("Numbers and pointers", number_rows, ARRAY_SIZE(number_rows));
	for (const struct call *c = calls; c < calls + ARRAY_SIZE(calls); c++)
		gallery_value(c->name,
		              c->want                              ? (uint64_t)c->want
		              : c->number == (HIGH | SYS32_getpid) ? pid()
		                                                   : 0,
		              (uint64_t)c->by(c->number, c->a, c->b, c->c, 0L));
	pointers();
}

/* ---- The canonical hole ---------------------------------------------------------------------- */

/* To a SYSCALL there: getpid. */
static void call_from(uint64_t address)
{
	__asm__ volatile("jmp *%0" : : "r"(address), "a"(SYS_getpid));
}

static uint64_t map_code(uint64_t va)
{
	return (uint64_t)map_page(va, PROT_READ + PROT_WRITE + PROT_EXEC);
}

void hostile_hole(void)
{
	const uint64_t beyond = RS_USER_END - PAGE_SIZE;
	static const struct gallery_values rows[] = {
	    {"a page just below the hole cannot be had", map_code, RS_USER_END - PAGE_SIZE,
	     (uint64_t)-ENOMEM},
	    {"the page below that one can", map_code, RS_USER_END - 2 * PAGE_SIZE,
	     RS_USER_END - 2 * PAGE_SIZE},
	};
	struct outcome got;

	gallery_values("The canonical hole", rows, ARRAY_SIZE(rows));
	*(volatile uint16_t *)(beyond - 2) = 0x050f;
	got = try(call_from, beyond - 2);
	gallery_row("SYSCALL as the last instruction there can be",
	            (struct outcome){VECTOR_PF, PF_U | PF_ID, beyond},
	            try_rax == pid() ? got : outcome_wrong(try_rax));
	raw_syscall(SYS_munmap, (long)(beyond - PAGE_SIZE), PAGE_SIZE + 0L);
}
