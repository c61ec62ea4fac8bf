#include "guest/user/walls_attempts.h"

#include "guest/uapi.h"

#define DEFINE_ATTEMPT(function, name, insn)                                                       \
	void function(uint64_t arg)                                                                \
	{                                                                                          \
		__asm__ volatile(insn                                                              \
		                 : "+D"(arg)                                                       \
		                 :                                                                 \
		                 : "rax", "rcx", "rdx", "rsi", "r11", "memory", "cc");             \
	}
PRIVILEGED(DEFINE_ATTEMPT)
PORTS(DEFINE_ATTEMPT)
UMIP(DEFINE_ATTEMPT)
SOFTWARE_INTERRUPTS(DEFINE_ATTEMPT)
OTHERS(DEFINE_ATTEMPT)

void read_at(uint64_t address)
{
	*(volatile const char *)address;
}

void write_at(uint64_t address)
{
	*(volatile char *)address = 0;
}

void call_at(uint64_t address)
{
	__asm__ volatile("xor %%ecx, %%ecx\n call *%0" : : "D"(address) : "rcx", "memory");
}

void ret_to(uint64_t address)
{
	__asm__ volatile("push %0\n ret" : : "r"(address) : "memory");
}

void push_at(uint64_t address)
{
	__asm__ volatile("lea 8(%0), %%rsp\n push %%rax" : : "r"(address) : "memory");
}

void read_by_rbp(uint64_t address)
{
	__asm__ volatile("mov %0, %%rbp\n mov (%%rbp), "
	                 "%%al"
	                 :
	                 : "r"(address)
	                 : "rax", "memory");
}

void read_unaligned(uint64_t address)
{
	__asm__ volatile("pushfq\n orl $0x40000, (%%rsp)\n popfq\n"
	                 "mov 1(%0), %%eax\n"
	                 "pushfq\n andl $~0x40000, (%%rsp)\n popfq"
	                 :
	                 : "r"(address)
	                 : "rax", "memory", "cc");
}

void pop_flags(uint64_t change)
{
	uint64_t before, after;

	__asm__ volatile("pushfq\n pop %0\n mov %0, %1\n xor %2, %1\n push %1\n popfq\n"
	                 "pushfq\n pop %1\n push %0\n popfq"
	                 : "=&r"(before), "=&r"(after)
	                 : "r"(change)
	                 : "memory", "cc");
	if ((before ^ after) & change)
		__asm__ volatile("ud2");
}

void out_mark(uint64_t port)
{
	__asm__ volatile("mov $3, %%eax\n outb %%al, %%dx" : : "d"(port) : "rax", "memory");
}

void out_mark16(uint64_t port)
{
	__asm__ volatile("mov $3, %%eax\n outw %%ax, %%dx" : : "d"(port) : "rax", "memory");
}

/* ECX 0; EDX 0 as WRPKRU wants.  Key 1's AD or WD, then back to none. */
static void with_pkru(uint32_t rights)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

void allow_all_keys(uint64_t unused)
{
	(void)unused;
	with_pkru(0);
}

void read_keyed(uint64_t address)
{
	with_pkru(1 << 2);
	read_at(address);
}

void write_keyed(uint64_t address)
{
	with_pkru(2 << 2);
	write_at(address);
}

void load_ds(uint64_t selector)
{
	__asm__ volatile("mov %0, %%ds\n xor %%eax, "
	                 "%%eax\n mov %%eax, %%ds"
	                 :
	                 : "r"(selector)
	                 : "rax");
}

void load_es(uint64_t selector)
{
	__asm__ volatile("mov %0, %%es\n xor %%eax, "
	                 "%%eax\n mov %%eax, %%es"
	                 :
	                 : "r"(selector)
	                 : "rax");
}

void load_fs(uint64_t selector)
{
	__asm__ volatile("mov %0, %%fs\n xor %%eax, "
	                 "%%eax\n mov %%eax, %%fs"
	                 :
	                 : "r"(selector)
	                 : "rax");
}

void load_gs(uint64_t selector)
{
	__asm__ volatile("mov %0, %%gs\n xor %%eax, "
	                 "%%eax\n mov %%eax, %%gs"
	                 :
	                 : "r"(selector)
	                 : "rax");
}

void load_ss(uint64_t selector)
{
	__asm__ volatile("mov %0, %%ss\n mov %1, %%ss" : : "r"(selector), "r"(RS_SEL_USER_DATA));
}

/* Far pointers of 16:32 bits: all programs lie below 4 GiB, and AMD knows no others. */
struct far {
	uint32_t offset;
	uint16_t selector;
} __attribute__((packed));

void far_call(uint64_t selector)
{
	const struct far to = {0x1000, (uint16_t)selector};

	__asm__ volatile("mov $39, %%eax\n lcall *%0" : : "m"(to) : "rax", "memory");
}

void far_jump(uint64_t selector)
{
	const struct far to = {0x1000, (uint16_t)selector};

	__asm__ volatile("ljmp *%0" : : "m"(to) : "memory");
}

void jump_conforming(uint64_t halt)
{
	__asm__ volatile("lea 1f(%%rip), %%rax\n mov "
	                 "%%eax, -16(%%rsp)\n movw %1, "
	                 "-12(%%rsp)\n"
	                 "ljmp *-16(%%rsp)\n"
	                 "1: test %0, %0\n jz 2f\n hlt\n"
	                 "2: mov %%cs, %%eax\n and $3, "
	                 "%%eax\n cmp $3, %%eax\n je 3f\n ud2\n"
	                 "3: lea 4f(%%rip), %%rax\n mov "
	                 "%%eax, -16(%%rsp)\n movw %2, "
	                 "-12(%%rsp)\n"
	                 "ljmp *-16(%%rsp)\n"
	                 "4:"
	                 :
	                 : "r"(halt), "i"(RS_SEL_CONFORMING), "i"(RS_SEL_USER_CODE)
	                 : "rax", "memory", "cc");
}

void iret_to(uint64_t cs)
{
	__asm__ volatile("mov %%rsp, %%rcx\n push %1\n push "
	                 "%%rcx\n pushfq\n push %0\n"
	                 "lea 1f(%%rip), %%rax\n push "
	                 "%%rax\n iretq\n 1:"
	                 :
	                 : "r"(cs), "r"((uint64_t)RS_SEL_USER_DATA)
	                 : "rax", "rcx", "memory");
}

void far_return_to(uint64_t cs)
{
	__asm__ volatile("push %0\n lea 1f(%%rip), %%rax\n "
	                 "push %%rax\n lretq\n 1:"
	                 :
	                 : "r"(cs)
	                 : "rax", "memory");
}
