/*
 * The guest's own test: what ring 3 may rely on, tried from ring 3, in every KPTI mode.  Prints one
 * line a check (TAP); the exit status says whether all held.
 */
#include "guest/errno.h"
#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "shared/pt.h"

static unsigned long checks, failures;
static struct rs_info info;

static const char *const mode_names[] = {
    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "pcid", [RS_PTI_NOPCID] = "nopcid"};

/* One line, and what was got and wanted when they differ. */
static void check(const char *mode, const char *what, uint64_t got, uint64_t wanted)
{
	checks++;
	if (got == wanted) {
		printf("ok %u - %s: %s\n", checks, mode, what);
		return;
	}
	failures++;
	printf("not ok %u - %s: %s: got %x, wanted %x\n", checks, mode, what, got, wanted);
}

/* ---- System calls
 * --------------------------------------------------------------------------------- */

static void check_errors(const char *mode)
{
	static const uint64_t bad[] = {0,
	                               1,
	                               RS_KERNEL_TEXT,
	                               RS_ENTRY_BASE,
	                               RS_DIRECT_BASE,
	                               0x800000000000,
	                               0xffff7fffffffffff,
	                               0x7ffffffff000,
	                               UINT64_MAX};
	uint64_t faults = 0;

	errno = 0;
	check(mode, "a bad descriptor gives -1", (uint64_t)syscall(SYS_write, 77L, "x", 1L),
	      (uint64_t)-1);
	check(mode, "... and errno EBADF", (uint64_t)errno, EBADF);
	check(mode, "an unknown call gives -1 and ENOSYS",
	      syscall(255L) == -1 ? (uint64_t)errno : 0, ENOSYS);
	check(mode, "a number beyond the table likewise",
	      syscall(1L << 40) == -1 ? (uint64_t)errno : 0, ENOSYS);
	check(mode, "the i386 number 57 is not fork", (uint64_t)-raw_int80(57), ENOSYS);
	check(mode, "the 64-bit number 2 is not fork", (uint64_t)-raw_syscall(2), ENOSYS);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		faults += raw_syscall(SYS_write, 1L, (long)bad[i], 1L) == -EFAULT;
		faults += raw_syscall(RS_SYS_INFO, (long)bad[i]) == -EFAULT;
	}
	check(mode, "bad pointers give EFAULT", faults, 2 * sizeof(bad) / sizeof(bad[0]));
	check(mode, "INT 0x80 ignores the upper half of RAX",
	      (uint64_t)raw_int80((long)0xffffffff00000000 | SYS32_getpid),
	      (uint64_t)raw_syscall(SYS_getpid));
}

/* ---- Registers
 * ------------------------------------------------------------------------------------ */

static const char *const kind_names[] = {"SYSCALL", "INT 0x80", "#UD", "#PF"};

/* Which registers a crossing may change. */
static uint64_t changed_by(enum cross_kind kind)
{
	switch (kind) {
	case CROSS_SYSCALL:
		return 1 << RAX | 1 << RCX | 1 << R11;
	case CROSS_INT80:
		return 1 << RAX;
	default: /* what the fault handler is told */
		return 1 << RDI | 1 << RSI | 1 << RDX | 1 << RCX;
	}
}

static void fill(enum cross_kind kind, uint64_t rsp)
{
	for (int i = 0; i < REGISTERS; i++)
		cross_in[i] = UINT64_C(0x1111111111111111) * (uint64_t)i ^ 0xfedcba9876543210;
	cross_in[RSP] = rsp;
	cross_in[R15] = RS_KERNEL_TEXT;
	if (kind == CROSS_SYSCALL)
		cross_in[RAX] = SYS_getpid;
	if (kind == CROSS_INT80)
		cross_in[RAX] = SYS32_getpid;
}

/* The set of registers that changed and must not have, and whether the crossing did its work. */
static bool crosses_well(enum cross_kind kind, uint64_t rsp)
{
	uint64_t wrong = 0;

	fill(kind, rsp);
	cross(kind);
	for (int i = 0; i < REGISTERS; i++)
		if (cross_out[i] != cross_in[i])
			wrong |= UINT64_C(1) << i;
	wrong &= ~changed_by(kind);
	switch (kind) {
	case CROSS_SYSCALL:
		return !wrong && cross_out[RAX] == 1 &&
		       cross_out[RCX] == (uint64_t)cross_after_syscall;
	case CROSS_INT80:
		return !wrong && cross_out[RAX] == 1;
	case CROSS_UD:
		return !wrong && cross_out[RDI] == VECTOR_UD;
	default:
		return !wrong && cross_out[RDI] == VECTOR_PF && cross_out[RDX] == RS_KERNEL_TEXT;
	}
}

static void check_registers(const char *mode)
{
	static const uint64_t stacks[] = {
	    0,
	    8,
	    UINT64_MAX,
	    0x800000000000,     /* not canonical */
	    0xffff7ffffffffff8, /* not canonical */
	    0x7ffffffff000,     /* the last page below the hole: never mapped */
	    0x10000000,         /* not mapped */
	    0x400000,           /* read-only text */
	    RS_KERNEL_TEXT,
	    RS_DIRECT_BASE + 0x1000,
	    RS_STACKS_BASE + 0x2000, /* just above a guard page */
	    RS_STACKS_BASE + 0x4000, /* top of this process's own kernel stack */
	    RS_ENTRY_CPU(0) + 0x800, /* the words entry code lives by */
	    RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP,
	    RS_ENTRY_CPU(0) + RS_IST_TOP(1),
	    RS_ENTRY_CPU(0) + RS_IST_TOP(2),
	};

	raw_syscall(RS_SYS_FAULT_HANDLER, (long)cross_resume);
	for (int kind = 0; kind < CROSS_KINDS; kind++) {
		uint64_t good = 0;

		for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++)
			good += crosses_well((enum cross_kind)kind, stacks[i]);
		printf("# %s with %u user stack pointers, from null to the kernel's own\n",
		       kind_names[kind], (uint64_t)(sizeof(stacks) / sizeof(stacks[0])));
		check(mode, "any RSP: registers kept, call done", good,
		      sizeof(stacks) / sizeof(stacks[0]));
	}
	raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
}

/* ---- Isolation
 * --------------------------------------------------------------------------------------- */

static void read_at(void *address)
{
	*(volatile const char *)address;
}

static void write_at(void *address)
{
	*(volatile char *)address = 0;
}

static void jump_to(void *address)
{
	__asm__ volatile("call *%0" : : "r"(address) : "memory");
}

static uint64_t error_of(void (*attempt)(void *), uint64_t address)
{
	struct fault fault = {0};

	if (!catch_fault(attempt, (void *)address, &fault))
		return 0xa110ed; /* "allowed" */
	return fault.vector == VECTOR_PF && fault.cr2 == address ? fault.error
	                                                         : 0x100 + fault.vector;
}

static void check_isolation(const char *mode, bool pti)
{
	const uint64_t p = pti ? 0 : PF_P;

	check(mode, "read of kernel text", error_of(read_at, RS_KERNEL_TEXT), PF_U | p);
	check(mode, "write to kernel text", error_of(write_at, RS_KERNEL_TEXT), PF_U | PF_W | p);
	check(mode, "jump into kernel text", error_of(jump_to, RS_KERNEL_TEXT), PF_U | PF_ID | p);
	check(mode, "read of the direct map", error_of(read_at, RS_DIRECT_BASE), PF_U | p);
	check(mode, "read of a kernel stack", error_of(read_at, RS_STACKS_BASE + 0x3000), PF_U | p);
	check(mode, "read of the boot page", error_of(read_at, RS_BOOT_PAGE), PF_U | p);
	check(mode, "read of entry text, mapped in both", error_of(read_at, RS_ENTRY_BASE),
	      PF_U | PF_P);
	check(mode, "read of the IDT, mapped in both", error_of(read_at, RS_ENTRY_IDT),
	      PF_U | PF_P);
	check(mode, "write to its own text", error_of(write_at, 0x400000), PF_U | PF_W | PF_P);
	check(mode, "jump to its own stack", error_of(jump_to, (uint64_t)&p & ~UINT64_C(15)),
	      PF_U | PF_ID | PF_P);
	check(mode, "read of a kernel stack's guard", error_of(read_at, RS_STACKS_BASE), PF_U);
}

/* ---- The user root
 * ------------------------------------------------------------------------------------ */

static bool take(struct rs_range *ranges, uint32_t count, uint64_t va, uint64_t len,
                 uint32_t rights)
{
	for (uint32_t i = 0; i < count; i++)
		if (ranges[i].va == va && ranges[i].len == len && ranges[i].rights == rights) {
			ranges[i].len = 0;
			return true;
		}
	printf("# the user root lacks %x + %x, rights %x\n", va, len, (uint64_t)rights);
	return false;
}

static bool take_cpu(struct rs_range *ranges, uint32_t count, uint64_t cpu)
{
	/* Words, GDT, TSS. */
	bool all = take(ranges, count, cpu, 3 * PAGE_SIZE, PT_WRITE);

	all &= take(ranges, count, cpu + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE,
	            RS_ENTRY_STACK_SIZE, PT_WRITE);
	for (uint64_t i = 1; i <= 7; i++)
		all &= take(ranges, count, cpu + RS_IST_TOP(i) - RS_IST_SIZE, RS_IST_SIZE, PT_WRITE);
	return all;
}

/* Page by page the entry area as it is declared, and nothing else. */
static void check_user_root(void)
{
	struct rs_range ranges[RS_MAX_RANGES];
	const uint64_t text = (info.entry_text_size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	long count = raw_syscall(RS_SYS_USER_ROOT, (long)ranges, (long)RS_MAX_RANGES);
	bool all = true;
	uint64_t others = 0;

	check("user root", "its ranges can be listed", count > 0 && count <= RS_MAX_RANGES, true);
	all &= take(ranges, (uint32_t)count, RS_ENTRY_BASE, text, PT_EXEC);
	all &= take(ranges, (uint32_t)count, RS_ENTRY_IDT, PAGE_SIZE, 0);
	for (uint32_t cpu = 0; cpu < info.cpus; cpu++)
		all &= take_cpu(ranges, (uint32_t)count, RS_ENTRY_CPU(cpu));
	check("user root", "it maps the declared entry area", all, true);
	for (long i = 0; i < count; i++)
		if (ranges[i].len) {
			printf("# the user root maps %x + %x, rights %x\n", ranges[i].va,
			       ranges[i].len, (uint64_t)ranges[i].rights);
			others++;
		}
	check("user root", "and nothing else of the kernel", others, 0);
}

/* ---- Processes
 * ---------------------------------------------------------------------------------------- */

static volatile uint64_t variable;

static void divide(void)
{
	__asm__ volatile("div %0" : : "r"(0L) : "rax", "rdx");
}

static void breakpoint(void)
{
	__asm__ volatile("int3");
}

static void overflow_interrupt(void)
{
	__asm__ volatile("int $4");
}

static void undefined(void)
{
	__asm__ volatile("ud2");
}

static void privileged(void)
{
	__asm__ volatile("hlt");
}

static void kernel_gate(void)
{
	__asm__ volatile("int $14");
}

static void bad_stack(void)
{
	__asm__ volatile("mov $0x800000000100, %rsp\n push %rax");
}

static void null_read(void)
{
	*(volatile const char *)0;
}

static void kernel_read(void)
{
	*(volatile const char *)RS_KERNEL_TEXT;
}

static void kernel_jump(void)
{
	jump_to((void *)RS_KERNEL_TEXT);
}

static void wild_jump(void)
{
	jump_to((void *)0x800000000000);
}

static const struct {
	const char *name;
	void (*act)(void);
} deaths[] = {
    {"#DE by a division", divide},
    {"#DB by the trap flag", trap_flag},
    {"#BP by INT3", breakpoint},
    {"#OF by INT 4", overflow_interrupt},
    {"#UD by UD2", undefined},
    {"#GP by HLT", privileged},
    {"#GP by INT 14", kernel_gate},
    {"#SS or #GP by a bad stack", bad_stack},
    {"#PF by a null pointer", null_read},
    {"#PF by a kernel read", kernel_read},
    {"#PF by a kernel jump", kernel_jump},
    {"#GP by a wild jump", wild_jump},
};

static uint32_t fate_of(void (*act)(void), bool by_int80)
{
	uint32_t status = 0xdead;
	long pid;

	flush();
	pid = by_int80 ? syscall_int80(SYS32_fork) : syscall(SYS_fork);
	if (pid == 0) {
		act();
		exit(1);
	}
	if (syscall(SYS_wait4, pid, &status, 0L, 0L) != pid)
		return 0xdead;
	return status;
}

static void set_variable(void)
{
	variable = 2;
	exit(variable == 2 ? 42 : 1);
}

static void check_processes(const char *mode)
{
	uint64_t frames;

	variable = 1;
	check(mode, "fork by SYSCALL 57", fate_of(set_variable, false), 42 << 8);
	check(mode, "fork by INT 0x80 number 2", fate_of(set_variable, true), 42 << 8);
	check(mode, "the child's memory is its own", variable, 1);
	check(mode, "nobody left to wait for", (uint64_t)-raw_syscall(SYS_wait4, -1L, 0L, 0L, 0L),
	      ECHILD);
	raw_syscall(RS_SYS_INFO, (long)&info);
	frames = info.frames_free;
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		printf("# %s ends the process\n", deaths[i].name);
		check(mode, "killed, by signal 11", fate_of(deaths[i].act, false), 11);
	}
	raw_syscall(RS_SYS_INFO, (long)&info);
	check(mode, "dead processes gave back every frame", info.frames_free, frames);
}

static void check_heap(const char *mode)
{
	const uint64_t start = (uint64_t)raw_syscall(SYS_brk, 0L), size = 10 * PAGE_SIZE;
	volatile uint64_t *word = (volatile uint64_t *)(start + size - 8);
	uint64_t frames;

	raw_syscall(RS_SYS_INFO, (long)&info);
	frames = info.frames_free;
	check(mode, "brk gives memory", (uint64_t)raw_syscall(SYS_brk, (long)(start + size)),
	      start + size);
	check(mode, "... that is zero", *word, 0);
	*word = 1;
	check(mode, "... and can be written", *word, 1);
	check(mode, "an absurd break is refused", (uint64_t)raw_syscall(SYS_brk, -1L),
	      start + size);
	check(mode, "brk takes it back", (uint64_t)raw_syscall(SYS_brk, (long)start), start);
	/* The user root's PCID must have forgotten it, too. */
	check(mode, "... so that it faults", error_of(read_at, (uint64_t)word), PF_U);
	raw_syscall(SYS_brk, (long)(start + size));
	check(mode, "memory given again is zero again", *word, 0);
	raw_syscall(SYS_brk, (long)start);
	raw_syscall(RS_SYS_INFO, (long)&info);
	check(mode, "every frame came back", info.frames_free, frames);
}

/* Children do not run before their parent waits: they pile up until a table or RAM is full. */
static void check_exhaustion(const char *mode)
{
	uint64_t made = 0, ended = 0, frames;
	long result;

	raw_syscall(RS_SYS_INFO, (long)&info);
	frames = info.frames_free;
	flush();
	while ((result = raw_syscall(SYS_fork)) > 0)
		made++;
	if (result == 0)
		exit(0);
	check(mode, "fork without end ends with EAGAIN or ENOMEM",
	      result == -EAGAIN || result == -ENOMEM, true);
	while (raw_syscall(SYS_wait4, -1L, 0L, 0L, 0L) > 0)
		ended++;
	check(mode, "... and every child made can be waited for", ended, made);
	raw_syscall(RS_SYS_INFO, (long)&info);
	check(mode, "... and gives back every frame", info.frames_free, frames);
}

/* Two processes take turns; each sees only its own memory, whichever root and PCID is live. */
static void check_turns(const char *mode)
{
	uint64_t seen = 0;
	uint32_t status = 0;
	long pid;

	variable = 1;
	flush();
	pid = syscall(SYS_fork);
	if (pid == 0) {
		variable = 1000;
		for (int i = 0; i < 50; i++) {
			syscall(SYS_sched_yield);
			variable++;
		}
		exit(variable == 1050 ? 0 : 1);
	}
	for (int i = 0; i < 50; i++) {
		seen += variable == (uint64_t)i + 1;
		variable++;
		syscall(SYS_sched_yield);
	}
	syscall(SYS_wait4, pid, &status, 0L, 0L);
	check(mode, "50 turns: own memory each time", seen, 50);
	check(mode, "... and in the other process", status, 0);
}

int check_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	raw_syscall(RS_SYS_INFO, (long)&info);
	for (long mode = RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++) {
		if (mode == RS_PTI_PCID && !(info.features & RS_FEATURE_PCID)) {
			check("pcid", "without PCIDs the mode is refused",
			      (uint64_t)-raw_syscall(RS_SYS_PTI_MODE, mode), EINVAL);
			printf("# pcid: skipped, this vCPU has no PCID\n");
			continue;
		}
		raw_syscall(RS_SYS_PTI_MODE, mode);
		check(mode_names[mode], "the mode is in force",
		      (uint64_t)raw_syscall(RS_SYS_PTI_MODE, -1L), (uint64_t)mode);
		check_errors(mode_names[mode]);
		check_registers(mode_names[mode]);
		check_isolation(mode_names[mode], mode != RS_PTI_OFF);
		check_processes(mode_names[mode]);
		check_turns(mode_names[mode]);
		check_heap(mode_names[mode]);
		check_exhaustion(mode_names[mode]);
	}
	check_user_root();
	printf("1..%u\n# %u passed, %u failed\n", checks, checks - failures, failures);
	flush();
	return failures != 0;
}
