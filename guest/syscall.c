#include "guest/syscall.h"

#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/life.h"
#include "guest/own_calls.h"
#include "guest/schedule.h"
#include "guest/usercopy.h"

#define SLEEP_MAX_SECONDS 1000000000 /* the sum in nanoseconds fits in 64 bits */

/* ---- Linux's ----------------------------------------------------------------------------------
 */

SYSCALL_DEFINE3(write, uint32_t, fd, uint64_t, buffer, uint64_t, count)
{
	struct rs_call *call = cpu_call();

	if (fd != 1 && fd != 2)
		return -EBADF;
	if (!user_range(buffer, count))
		return -EFAULT;
	if (count > sizeof(call->data))
		count = sizeof(call->data); /* a short write; the caller goes on */
	if (!copy_from_user(call->data, buffer, count))
		return -EFAULT;
	call->arg[0] = fd;
	call->arg[1] = count;
	out32(RS_PORT_CALL, RS_CALL_WRITE);
	return call->result;
}

/* A short read where fewer bytes than asked for may be written: nothing is read and then lost. */
SYSCALL_DEFINE3(read, uint32_t, fd, uint64_t, buffer, uint64_t, count)
{
	struct rs_call *call = cpu_call();

	if (fd != 0)
		return -EBADF;
	if (count > sizeof(call->data))
		count = sizeof(call->data);
	if (!user_range(buffer, count))
		return -EFAULT;
	if (!count)
		return 0;
	count = memory_writable(&process_current()->memory, buffer, count);
	if (!count)
		return -EFAULT;
	call->arg[0] = count;
	out32(RS_PORT_CALL, RS_CALL_READ);
	if (call->result > 0 && !copy_to_user(buffer, call->data, (uint64_t)call->result))
		return -EFAULT;
	return call->result;
}

static int64_t map_memory(uint64_t va, uint64_t len, uint64_t prot, uint64_t flags, uint32_t fd,
                          bool i386)
{
	/* The three that there are cannot be mapped. */
	if (!(flags & MAP_ANONYMOUS))
		return fd <= 2 ? -ENODEV : -EBADF;
	return memory_mmap(&process_current()->memory, va, len, prot, flags, i386);
}

SYSCALL_DEFINE6(mmap, uint64_t, va, uint64_t, len, uint64_t, prot, uint64_t, flags, uint32_t, fd,
                uint64_t, offset)
{
	return offset % PAGE_SIZE ? -EINVAL : map_memory(va, len, prot, flags, fd, false);
}

/* i386.  The offset, in pages, means nothing to anonymous memory. */
SYSCALL_DEFINE5(mmap2, uint64_t, va, uint64_t, len, uint64_t, prot, uint64_t, flags, uint32_t, fd)
{
	return map_memory(va, len, prot, flags, fd, true);
}

/* The old way of i386: the arguments lie in memory. */
SYSCALL_DEFINE1(old_mmap, uint64_t, buffer)
{
	struct {
		uint32_t va, len, prot, flags, fd, offset;
	} arg;

	if (!copy_from_user(&arg, buffer, sizeof(arg)))
		return -EFAULT;
	if (arg.offset % PAGE_SIZE)
		return -EINVAL;
	return map_memory(arg.va, arg.len, arg.prot, arg.flags, arg.fd, true);
}

SYSCALL_DEFINE3(mprotect, uint64_t, va, uint64_t, len, uint64_t, prot)
{
	return memory_mprotect(&process_current()->memory, va, len, prot);
}

SYSCALL_DEFINE2(munmap, uint64_t, va, uint64_t, len)
{
	return memory_munmap(&process_current()->memory, va, len);
}

SYSCALL_DEFINE0(getpid)
{
	return process_current()->pid;
}

SYSCALL_DEFINE0(getppid)
{
	const struct process *parent = process_current()->parent;

	return parent ? parent->pid : 0;
}

SYSCALL_DEFINE0(sched_yield)
{
	process_yield();
	return 0;
}

/* As Linux's, not the C library's: returns the break, which on failure is the one before. */
SYSCALL_DEFINE1(brk, uint64_t, wanted)
{
	return (int64_t)memory_brk(&process_current()->memory, wanted);
}

SYSCALL_DEFINE0(fork)
{
	return process_fork();
}

SYSCALL_DEFINE1(exit, uint32_t, status)
{
	process_exit((status & 0xff) << 8);
}

#define WNOHANG 1
/* WNOHANG WUNTRACED WCONTINUED __WNOTHREAD __WALL; but for the first they change nothing here. */
#define WAIT_OPTIONS 0x6000000b

SYSCALL_DEFINE4(wait4, int32_t, pid, uint64_t, status, uint32_t, options, uint64_t, rusage)
{
	uint32_t value;
	int64_t result;

	if ((options & ~(uint32_t)WAIT_OPTIONS) || rusage)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	/* Process groups do not exist: everybody is in one. */
	result = process_wait(pid > 0 ? pid : -1, &value, options & WNOHANG);
	if (result > 0 && status && !copy_to_user(status, &value, sizeof(value)))
		return -EFAULT;
	return result;
}

static int64_t sleep_for(int64_t seconds, int64_t nanoseconds)
{
	if (seconds < 0 || nanoseconds < 0 || nanoseconds > 999999999)
		return -EINVAL;
	if (seconds > SLEEP_MAX_SECONDS)
		seconds = SLEEP_MAX_SECONDS;
	schedule_sleep((uint64_t)seconds * 1000000000 + (uint64_t)nanoseconds);
	return 0;
}

/* Nothing interrupts a sleep, so what remains of it is never told.  The two tables differ in their
 * struct timespec. */
SYSCALL_DEFINE1(nanosleep, uint64_t, buffer)
{
	int64_t time[2];

	return copy_from_user(time, buffer, sizeof(time)) ? sleep_for(time[0], time[1]) : -EFAULT;
}

SYSCALL_DEFINE1(nanosleep_i386, uint64_t, buffer)
{
	int32_t time[2];

	return copy_from_user(time, buffer, sizeof(time)) ? sleep_for(time[0], time[1]) : -EFAULT;
}

/* ---- The tables
 * ---------------------------------------------------------------------------------- */

/* number, name, function: the tables are made of these lists, and so is what RS_SYS_TABLE tells. */
#define SYSCALLS64(X)                                                                              \
	X(0, read, read)                                                                           \
	X(1, write, write)                                                                         \
	X(9, mmap, mmap)                                                                           \
	X(10, mprotect, mprotect)                                                                  \
	X(11, munmap, munmap)                                                                      \
	X(12, brk, brk)                                                                            \
	X(24, sched_yield, sched_yield)                                                            \
	X(35, nanosleep, nanosleep)                                                                \
	X(39, getpid, getpid)                                                                      \
	X(57, fork, fork)                                                                          \
	X(60, exit, exit)                                                                          \
	X(61, wait4, wait4)                                                                        \
	X(110, getppid, getppid)                                                                   \
	X(231, exit_group, exit)

#define SYSCALLS32(X)                                                                              \
	X(1, exit, exit)                                                                           \
	X(2, fork, fork)                                                                           \
	X(3, read, read)                                                                           \
	X(4, write, write)                                                                         \
	X(20, getpid, getpid)                                                                      \
	X(45, brk, brk)                                                                            \
	X(64, getppid, getppid)                                                                    \
	X(90, mmap, old_mmap)                                                                      \
	X(91, munmap, munmap)                                                                      \
	X(114, wait4, wait4)                                                                       \
	X(125, mprotect, mprotect)                                                                 \
	X(158, sched_yield, sched_yield)                                                           \
	X(162, nanosleep, nanosleep_i386)                                                          \
	X(192, mmap2, mmap2)                                                                       \
	X(252, exit_group, exit)

SYSCALL_DEFINE2(table, uint32_t, index, uint64_t, buffer)
{
	static const struct rs_syscall all[] = {
#define X(number, name, function) {#name, number, RS_TABLE_64},
	    SYSCALLS64(X)
#undef X
#define X(number, name, function) {#name, number, RS_TABLE_I386},
	        SYSCALLS32(X)
#undef X
#define X(number, name, arguments) {"rs_" #name, number, RS_TABLE_64 | RS_TABLE_I386},
	            OWN_SYSCALLS(X)
#undef X
	};

	if (index >= sizeof(all) / sizeof(all[0]))
		return -EINVAL;
	return copy_to_user(buffer, &all[index], sizeof(all[0])) ? 0 : -EFAULT;
}

static int64_t no_such_call(const struct rs_regs *regs)
{
	(void)regs;
	return -ENOSYS;
}

static syscall_fn widened;

#define TABLE_SIZE 256

/* Every number that is not listed is no_such_call's; the designated entries override the range. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#endif
static syscall_fn *const table64[TABLE_SIZE] = {[0 ... TABLE_SIZE - 1] = no_such_call,
#define X(number, name, function) [number] = call_##function,
                                                SYSCALLS64(X)
#undef X
};

static syscall_fn *const table32[TABLE_SIZE] = {[0 ... TABLE_SIZE - 1] = no_such_call,
#define X(number, name, function)                                                                  \
	[number] = SYSCALL_ARGUMENTS_##function ? widened : call_##function,
                                                SYSCALLS32(X)
#undef X
};

static syscall_fn *const widened32[TABLE_SIZE] = {[0 ... TABLE_SIZE - 1] = no_such_call,
#define X(number, name, function) [number] = call_##function,
                                                  SYSCALLS32(X)
#undef X
};

static syscall_fn *const own64[RS_SYS_COUNT] = {[0 ... RS_SYS_COUNT - 1] = no_such_call,
#define X(number, name, arguments) [number - RS_SYS_BASE] = call_##name,
                                                OWN_SYSCALLS(X)
#undef X
};

static syscall_fn *const own32[RS_SYS_COUNT] = {[0 ... RS_SYS_COUNT - 1] = no_such_call,
#define X(number, name, arguments) [number - RS_SYS_BASE] = (arguments) ? widened : call_##name,
                                                OWN_SYSCALLS(X)
#undef X
};
#pragma GCC diagnostic pop

/* A mispredicted bounds check must not read past the table (CVE-2017-5753): the index is masked
 * too, where the compiler cannot see that the check made it needless. */
static inline uint64_t bounded(uint64_t index, uint64_t size)
{
	__asm__("" : "+r"(index));
	return index & (size - 1);
}
_Static_assert((TABLE_SIZE & (TABLE_SIZE - 1)) == 0 && (RS_SYS_COUNT & (RS_SYS_COUNT - 1)) == 0,
               "masks need powers of two");

static inline __attribute__((always_inline)) int64_t dispatch(const struct rs_regs *regs,
                                                              uint64_t number,
                                                              syscall_fn *const *table,
                                                              syscall_fn *const *own)
{
	if (number < TABLE_SIZE)
		return table[bounded(number, TABLE_SIZE)](regs);
	number -= RS_SYS_BASE;
	if (number < RS_SYS_COUNT)
		return own[bounded(number, RS_SYS_COUNT)](regs);
	return -ENOSYS;
}

/* An i386 call that has arguments.  Its number, which the dispatcher knew, is still in RAX. */
static int64_t widened(const struct rs_regs *regs)
{
	const uint64_t number = (uint32_t)regs->rax & ~(uint32_t)RS_SYSENTER_COMPAT;
	const struct rs_regs wide = {
	    .rdi = (uint32_t)regs->rbx,
	    .rsi = (uint32_t)regs->rcx,
	    .rdx = (uint32_t)regs->rdx,
	    .r10 = (uint32_t)regs->rsi,
	    .r8 = (uint32_t)regs->rdi,
	    .r9 = (uint32_t)regs->rbp,
	};

	return dispatch(&wide, number, widened32, own64);
}

int64_t syscall64(const struct rs_regs *regs, uint64_t number)
{
	return dispatch(regs, number, table64, own64);
}

int64_t syscall32(const struct rs_regs *regs, uint32_t number)
{
	return dispatch(regs, number, table32, own32);
}
