/*
 * Several CPUs in ring 0.  The first argument says what they do:
 *
 *     count       each CPU counts, says so and makes its marks; CPU 0 checks
 *     ipi         CPU 0 wakes the others from HLT by IPIs, each answers with one
 *     timer       each CPU sleeps in HLT until its APIC timer's one shot, and measures it
 *     start       RS_CALL_START_CPU is refused what it has to refuse
 *     exit        the last CPU ends the run with status 41 while the others spin
 *     exit-read   ... while CPU 0 waits for standard input
 *     panic       the last CPU panics while the others spin
 *     triple      the last CPU dies of a triple fault
 *     halt        all CPUs halt, the last one last
 *     spin        all CPUs spin for ever
 *     ready       ... after each has said so on standard error
 *     flood       all CPUs write for ever
 *     read        CPU 0 copies standard input to standard output; the others spin
 */
#include "tests/guests/guest.h"

/* ---- The note and the vectors ---------------------------------------------------------------- */

extern const char vectors[];
_Noreturn void cpu_main(const struct rs_boot *boot, unsigned cpu);
extern void cpu_entry(void);

/* A number, and where the processor has not pushed an error code a 0 for it, then the rest. */
__asm__(".text\n"
        ".balign 16\n"
        "vectors:\n"
        ".set v, 0\n"
        ".rept 256\n"
        ".balign 16\n"
        ".if !(v == 8 || (v >= 10 && v <= 14) || v == 17)\n"
        "pushq $0\n"
        ".endif\n"
        "pushq $v\n"
        "jmp 1f\n"
        ".set v, v + 1\n"
        ".endr\n"
        "1: push %rax; push %rcx; push %rdx; push %rsi; push %rdi\n"
        "push %r8; push %r9; push %r10; push %r11\n"
        "mov 72(%rsp), %rdi\n"
        "mov %gs:0, %esi\n" /* entry words: this CPU's number */
        "call on_vector\n"
        "pop %r11; pop %r10; pop %r9; pop %r8\n"
        "pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
        "add $16, %rsp\n"
        "iretq\n"
        "cpu_entry: call cpu_main\n");

__asm__(".section .note.ringscope, \"a\"\n"
        ".balign 4\n"
        ".long 10, 168, 1\n"
        ".asciz \"Ringscope\"\n"
        ".balign 4\n"
        ".long 2, 168\n"       /* abi, size */
        ".quad vectors\n"      /* vectors */
        ".long 16, 256\n"      /* stride, count */
        ".fill 8, 8, 0\n"      /* user_vectors, trap_gates */
        ".fill 32, 1, 0\n"     /* ist */
        ".quad 0, 0, 0, 0\n"   /* entries, mask */
        ".quad cpu_entry, 1\n" /* cpu_entry, wants: RS_WANTS_APIC */
        ".text\n");
_Static_assert(RS_ABI_VERSION == 2 && sizeof(struct rs_note) == 168, "the note above");

/* ---- What the CPUs share -----------------------------------------------------------------------
 */

enum {
	VECTOR_WAKE = 0x40,
	VECTOR_ANSWER = 0x41,
	VECTOR_TIMER = 0x42,
	VECTOR_SPURIOUS = 0xff,
};

static volatile unsigned ready[RS_MAX_CPUS], wakes[RS_MAX_CPUS], ticks[RS_MAX_CPUS];
static volatile unsigned answers, done;
static unsigned cpus;
static const char *what;

static _Bool is(const char *word)
{
	const char *w = what;

	while (*w && *w == *word)
		w++, word++;
	return *w == *word;
}

static volatile struct rs_call *my_call(unsigned cpu)
{
	return (volatile struct rs_call *)(RS_KERNEL_CPU(cpu) + RS_KERNEL_CALL);
}

static int64_t cpu_call(unsigned cpu, uint32_t function, uint64_t arg0, uint64_t arg1)
{
	volatile struct rs_call *page = my_call(cpu);

	page->arg[0] = arg0;
	page->arg[1] = arg1;
	page->result = 12345;
	out32(RS_PORT_CALL, function);
	return page->result;
}

static void say(unsigned cpu, uint64_t stream, const char *text)
{
	volatile struct rs_call *page = my_call(cpu);
	uint64_t length = 0;

	for (; text[length]; length++)
		page->data[length] = text[length];
	cpu_call(cpu, RS_CALL_WRITE, stream, length);
}

__attribute__((noinline)) static void say_name(unsigned cpu, uint64_t stream)
{
	char text[] = "CPU 0 counts\n";

	text[4] = (char)('0' + cpu);
	say(cpu, stream, text);
}

static inline void relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}
__attribute__((noinline)) static _Noreturn void spin(void)
{
	for (;;)
		relax();
}

static void add(volatile unsigned *counter)
{
	__asm__ volatile("lock incl %0" : "+m"(*counter) : : "memory");
}

static uint64_t read_msr(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}
static void write_msr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

/* ---- Local APIC (SDM volume 3, 11.12)
 * ------------------------------------------------------------ */

enum {
	IA32_APIC_BASE = 0x1b,
	X2APIC_ID = 0x802,
	X2APIC_EOI = 0x80b,
	X2APIC_SVR = 0x80f,
	X2APIC_ICR = 0x830,
	X2APIC_LVT_TIMER = 0x832,
	X2APIC_INITIAL_COUNT = 0x838,
	X2APIC_DIVIDE = 0x83e,
	SVR_ENABLE = 0x100,
	DIVIDE_BY_1 = 0xb,
};

static void apic_on(unsigned cpu)
{
	check((read_msr(IA32_APIC_BASE) & 0xc00) == 0xc00, 50);
	check(read_msr(X2APIC_ID) == cpu, 51);
	write_msr(X2APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

static void send(unsigned cpu, unsigned vector)
{
	write_msr(X2APIC_ICR, (uint64_t)cpu << 32 | vector);
}

__attribute__((used)) static void on_vector(unsigned vector, unsigned cpu);
__asm__(".globl on_vector");
static void on_vector(unsigned vector, unsigned cpu)
{
	switch (vector) {
	case VECTOR_WAKE:
		wakes[cpu]++;
		send(0, VECTOR_ANSWER);
		break;
	case VECTOR_ANSWER:
		add(&answers);
		break;
	case VECTOR_TIMER:
		ticks[cpu]++;
		break;
	default:
		end(100);
	}
	write_msr(X2APIC_EOI, 0);
}

/* Sleeps until the counter is not 0 any more.  STI takes effect behind the next instruction, so
 * that no interrupt comes between the question and HLT. */
static void sleep_until(volatile unsigned *counter)
{
	while (!*counter)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* ---- What each CPU does
 * -------------------------------------------------------------------------- */

/* Never inlined: somebody may want to stop here. */
__attribute__((noinline)) static void do_count(unsigned cpu)
{
	volatile struct rs_stats *stats =
	    (volatile struct rs_stats *)(RS_KERNEL_CPU(cpu) + RS_KERNEL_STATS);

	for (unsigned i = 0; i < 10 * (cpu + 1); i++)
		stats->context_switches++;
	say_name(cpu, 1);
	out8(RS_PORT_MARK, (uint8_t)(cpu % RS_MARKS));
	relax(); /* RIP of the mark */
	check(my_call(cpu)->marks[cpu % RS_MARKS].count == 1, 20);
	check(my_call(cpu)->marks[cpu % RS_MARKS].rsp > RS_KERNEL_CPU(cpu) &&
	          my_call(cpu)->marks[cpu % RS_MARKS].rsp < RS_KERNEL_CPU(cpu) + RS_CPU_STRIDE,
	      21);
	add(&done);
	if (cpu != 0)
		spin();
	while (done != cpus)
		relax();
}

static void do_ipi(unsigned cpu)
{
	apic_on(cpu);
	if (cpu != 0) {
		ready[cpu] = 1;
		sleep_until(&wakes[cpu]);
		add(&done);
		for (;;)
			__asm__ volatile("hlt");
	}
	for (unsigned i = 1; i < cpus; i++) {
		while (!ready[i])
			relax();
		answers = 0;
		send(i, VECTOR_WAKE);
		sleep_until(&answers);
		check(wakes[i] == 1 && answers == 1, 30);
	}
	while (done != cpus - 1)
		relax();
}

static void do_timer(unsigned cpu)
{
	enum { NANOSECONDS = 20000000 };
	int64_t before, took;

	apic_on(cpu);
	write_msr(X2APIC_DIVIDE, DIVIDE_BY_1);
	write_msr(X2APIC_LVT_TIMER, VECTOR_TIMER); /* one shot */
	before = cpu_call(cpu, RS_CALL_CLOCK, 0, 0);
	write_msr(X2APIC_INITIAL_COUNT, ready[0] * (uint64_t)(NANOSECONDS / 1000000));
	sleep_until(&ticks[cpu]);
	took = cpu_call(cpu, RS_CALL_CLOCK, 0, 0) - before;
	/* Never early but for rounding; how late is the host's business. */
	check(took >= NANOSECONDS - NANOSECONDS / 100, 40);
	check(ticks[cpu] == 1, 41);
	add(&done);
	if (cpu != 0)
		for (;;)
			__asm__ volatile("hlt");
	while (done != cpus)
		relax();
}

static void do_read(unsigned cpu)
{
	int64_t count;

	if (cpu != 0)
		spin();
	check(cpu_call(cpu, RS_CALL_READ, sizeof(my_call(cpu)->data) + 1, 0) == -22 /* EINVAL */,
	      60);
	check(cpu_call(cpu, RS_CALL_READ, 0, 0) == 0, 61);
	while ((count = cpu_call(cpu, RS_CALL_READ, sizeof(my_call(cpu)->data), 0)) > 0)
		check(cpu_call(cpu, RS_CALL_WRITE, 1, (uint64_t)count) == count, 62);
	check(count == 0, count == -9 /* EBADF */ ? 9 : 63);
}

static void do_triple(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void work(unsigned cpu)
{
	const _Bool last = cpu == cpus - 1;

	if (is("count"))
		do_count(cpu);
	else if (is("ipi"))
		do_ipi(cpu);
	else if (is("timer"))
		do_timer(cpu);
	else if (is("read"))
		do_read(cpu);
	else if (is("exit") && last)
		end(41);
	else if (is("exit-read") && last)
		end(41);
	else if (is("exit-read") && cpu == 0)
		cpu_call(cpu, RS_CALL_READ, 1, 0);
	else if (is("panic") && last)
		cpu_call(cpu, RS_CALL_PANIC, 0, ~UINT64_C(0));
	else if (is("triple") && last)
		do_triple();
	else if (is("ready"))
		say_name(cpu, 2);
	else if (is("flood"))
		for (;;)
			say(cpu, 1, "this never ends\n");
	else if (is("halt")) {
		while (last && done != cpus - 1)
			relax();
		add(&done);
		__asm__ volatile("cli; hlt");
		end(70);
	} else
		spin();
}

__attribute__((used)) void cpu_main(const struct rs_boot *boot, unsigned cpu)
{
	uint64_t rsp, flags;

	*(volatile unsigned *)RS_ENTRY_CPU(cpu) = cpu;
	__asm__ volatile("mov %%rsp, %0; pushf; pop %1" : "=r"(rsp), "=r"(flags));
	check((uint64_t)boot == RS_BOOT_PAGE, 10);
	check(rsp < RS_KERNEL_CPU(cpu) + RS_KERNEL_BOOT_STACK_TOP &&
	          rsp > RS_KERNEL_CPU(cpu) + RS_KERNEL_BOOT_STACK_TOP - RS_KERNEL_BOOT_STACK_SIZE,
	      11);
	check(read_msr(MSR_GS_BASE) == RS_ENTRY_CPU(cpu), 12);
	check(!(flags & RFLAGS_IF), 13);
	work(cpu);
	if (cpu != 0 || is("ready"))
		spin();
	end(0);
}

static void check_start(const struct rs_boot *boot)
{
	check(cpu_call(0, RS_CALL_START_CPU, 0, 0) == -22 /* EINVAL */, 80);
	check(cpu_call(0, RS_CALL_START_CPU, boot->cpus, 0) == -22, 81);
	check(cpu_call(0, RS_CALL_START_CPU, ~UINT64_C(0), 0) == -22, 82);
	for (unsigned i = 1; i < cpus; i++) {
		check(cpu_call(0, RS_CALL_START_CPU, i, 0) == 0, 83);
		check(cpu_call(0, RS_CALL_START_CPU, i, 0) == -114 /* EALREADY */, 84);
	}
	end(0);
}

void start(const struct rs_boot *boot)
{
	what = boot->cmdline;
	while (*what++)
		;
	cpus = boot->cpus;
	if (is("start"))
		check_start(boot);
	if (is("ipi") || is("timer")) {
		/* 77: cannot be done here. */
		check(boot->features & RS_FEATURE_APIC, 77);
		ready[0] = (unsigned)boot->apic_khz;
	}
	for (unsigned i = 1; i < cpus; i++)
		check(cpu_call(0, RS_CALL_START_CPU, i, 0) == 0, 2);
	cpu_main(boot, 0);
}
