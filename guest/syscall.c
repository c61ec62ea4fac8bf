#include "guest/syscall.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/crash.h"
#include "guest/demo.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/gallery.h"
#include "guest/life.h"
#include "guest/schedule.h"
#include "guest/smp.h"
#include "guest/uapi.h"
#include "guest/usercopy.h"

/* entry.S and switch.S */
extern const char entry_text_end[], switch_stacks[], switch_segments_end[];

#define SLEEP_MAX_SECONDS 1000000000 /* the sum in nanoseconds fits in 64 bits */

/* What boot told and a process may know. */
static const struct rs_boot *boot_info(void)
{
	return (const struct rs_boot *)RS_BOOT_PAGE;
}

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

/* ---- Ringscope's (guest/uapi.h) ----------------------------------------------------------------
 */

SYSCALL_DEFINE1(fault_handler, uint64_t, address)
{
	if (address >= USER_TOP)
		return -EINVAL;
	process_current()->fault_handler = address;
	return 0;
}

SYSCALL_DEFINE1(pti_mode, int32_t, wanted)
{
	int64_t before = space_mode();

	if (wanted == -1)
		return before;
	if (wanted < 0 || !space_mode_possible((uint32_t)wanted))
		return -EINVAL;
	process_set_pti_mode((uint32_t)wanted);
	return before;
}

SYSCALL_DEFINE1(mark, uint32_t, slot)
{
	if (slot >= RS_MARKS)
		return -EINVAL;
	out8(RS_PORT_MARK, (uint8_t)slot);
	return 0;
}

SYSCALL_DEFINE1(marks, uint64_t, buffer)
{
	const struct rs_call *call = cpu_call();

	return copy_to_user(buffer, call->marks, sizeof(call->marks)) ? 0 : -EFAULT;
}

SYSCALL_DEFINE1(mark_slot, int32_t, slot)
{
	if (slot < -1 || slot >= RS_MARKS)
		return -EINVAL;
	process_allow_marks(process_current(), slot);
	return 0;
}

SYSCALL_DEFINE1(count_pages, uint64_t, buffer)
{
	struct rs_page_counts counts;

	kernel_lock();
	space_count(&process_current()->memory.space, &counts);
	kernel_unlock();
	return copy_to_user(buffer, &counts, sizeof(counts)) ? 0 : -EFAULT;
}

SYSCALL_DEFINE0(clock)
{
	out32(RS_PORT_CALL, RS_CALL_CLOCK);
	return cpu_call()->result;
}

SYSCALL_DEFINE1(ring0_loop, uint64_t, turns)
{
	uint64_t start = rdtsc();

	if (turns > 1000000)
		return -EINVAL;
	while (turns) {
		turns--;
		__asm__ volatile("" : "+r"(turns));
	}
	return (int64_t)(rdtsc() - start);
}

SYSCALL_DEFINE2(user_root, uint64_t, buffer, uint32_t, room)
{
	struct rs_range ranges[RS_MAX_RANGES];
	uint32_t count;

	if (room > RS_MAX_RANGES)
		return -EINVAL;
	kernel_lock();
	count = space_user_root(&process_current()->memory.space, ranges, room);
	kernel_unlock();
	if (room > count)
		room = count;
	return copy_to_user(buffer, ranges, room * sizeof(ranges[0])) ? (int64_t)count : -EFAULT;
}

/* Entries of a table to the VMM. */
static int64_t hand_over(uint32_t function, uint64_t buffer, uint32_t count, uint64_t size)
{
	struct rs_call *call = cpu_call();

	if (count > sizeof(call->data) / size)
		return -EINVAL;
	if (!copy_from_user(call->data, buffer, count * size))
		return -EFAULT;
	call->arg[0] = count;
	out32(RS_PORT_CALL, function);
	return call->result;
}

SYSCALL_DEFINE2(record, uint64_t, buffer, uint32_t, count)
{
	return hand_over(RS_CALL_RECORD, buffer, count, sizeof(struct rs_record));
}

SYSCALL_DEFINE2(escape, uint64_t, buffer, uint32_t, count)
{
	return hand_over(RS_CALL_ESCAPE, buffer, count, sizeof(struct rs_escape));
}

SYSCALL_DEFINE3(torture, uint32_t, what, uint64_t, buffer, uint64_t, size)
{
	struct rs_call *call = cpu_call();

	if (size > sizeof(call->data))
		return -EINVAL;
	if (!copy_from_user(call->data, buffer, size))
		return -EFAULT;
	call->arg[0] = what;
	call->arg[1] = size;
	call->arg[2] = (uint64_t)switch_stacks;
	call->arg[3] = (uint64_t)switch_segments_end;
	out32(RS_PORT_CALL, RS_CALL_TORTURE);
	return call->result;
}

SYSCALL_DEFINE1(crash, uint32_t, kind)
{
	return crash(kind) ? 0 : -EINVAL;
}

/* A counter of struct rs_stats, at this offset, of all CPUs together. */
static uint64_t counter_sum(uint64_t offset)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < smp_cpus; cpu++)
		sum += *(const uint64_t *)(RS_KERNEL_CPU(cpu) + RS_KERNEL_STATS + offset);
	return sum;
}

SYSCALL_DEFINE1(info, uint64_t, buffer)
{
	const struct rs_boot *boot = boot_info();
	const struct rs_info info = {
	    .features = boot->features,
	    .quirks = boot->quirks,
	    .levels = boot->levels,
	    .pti_mode = boot->pti_mode,
	    .ram_size = boot->ram_total,
	    .tsc_khz = boot->tsc_khz,
	    .entry_text_size = (uint64_t)(entry_text_end - (const char *)RS_ENTRY_BASE),
	    .frames_free = frames_free(),
	    .quirk_syscall = counter_sum(offsetof(struct rs_stats, quirk_syscall)),
	    .quirk_intn = counter_sum(offsetof(struct rs_stats, quirk_intn)),
	    .fault_rflags = process_current()->fault_rflags,
	    .maxphyaddr = boot->maxphyaddr,
	    .cpu = this_cpu()->number,
	    .cpus = smp_cpus,
	};

	return copy_to_user(buffer, &info, sizeof(info)) ? 0 : -EFAULT;
}

SYSCALL_DEFINE1(gallery, uint32_t, open)
{
	kernel_lock();
	schedule_alone(open);
	gallery_open(open);
	kernel_unlock();
	return 0;
}

SYSCALL_DEFINE3(ring0, uint32_t, kind, uint64_t, address, uint64_t, buffer)
{
	struct rs_fault fault = {0};
	int64_t result = gallery_ring0(kind, address, &fault);

	return result <= 0 || copy_to_user(buffer, &fault, sizeof(fault)) ? result : -EFAULT;
}

SYSCALL_DEFINE2(state, uint32_t, which, uint64_t, value)
{
	int64_t result;

	kernel_lock();
	result = gallery_state(which, value);
	kernel_unlock();
	return result;
}

SYSCALL_DEFINE4(return, uint16_t, cs, uint16_t, ss, uint64_t, rip, uint64_t, rsp)
{
	return gallery_return(cs, ss, rip, rsp);
}

SYSCALL_DEFINE3(ring, uint32_t, ring, uint32_t, attempt, uint64_t, address)
{
	return gallery_ring(ring, attempt, address);
}

SYSCALL_DEFINE2(slices, uint32_t, min_us, uint32_t, max_us)
{
	if (min_us > max_us || (max_us && !min_us))
		return -EINVAL;
	return schedule_slices(min_us * UINT64_C(1000), max_us * UINT64_C(1000)) ? 0 : -ENODEV;
}

SYSCALL_DEFINE1(stats, uint64_t, buffer)
{
	for (uint64_t offset = 0; offset < sizeof(struct rs_stats); offset += 8) {
		const uint64_t sum = counter_sum(offset);

		if (!copy_to_user(buffer + offset, &sum, sizeof(sum)))
			return -EFAULT;
	}
	return 0;
}

SYSCALL_DEFINE1(thread, uint32_t, act)
{
	return demo_thread(act);
}

SYSCALL_DEFINE2(kernel_page, uint32_t, act, uint64_t, value)
{
	return demo_page(act, value);
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

/* By the same numbers in both. */

#define OWN_SYSCALLS(X)                                                                            \
	X(RS_SYS_FAULT_HANDLER, fault_handler)                                                     \
	X(RS_SYS_PTI_MODE, pti_mode)                                                               \
	X(RS_SYS_MARK, mark)                                                                       \
	X(RS_SYS_MARKS, marks)                                                                     \
	X(RS_SYS_MARK_SLOT, mark_slot)                                                             \
	X(RS_SYS_COUNT_PAGES, count_pages)                                                         \
	X(RS_SYS_RING0_LOOP, ring0_loop)                                                           \
	X(RS_SYS_INFO, info)                                                                       \
	X(RS_SYS_USER_ROOT, user_root)                                                             \
	X(RS_SYS_CRASH, crash)                                                                     \
	X(RS_SYS_CLOCK, clock)                                                                     \
	X(RS_SYS_RECORD, record)                                                                   \
	X(RS_SYS_ESCAPE, escape)                                                                   \
	X(RS_SYS_GALLERY, gallery)                                                                 \
	X(RS_SYS_RING0, ring0)                                                                     \
	X(RS_SYS_STATE, state)                                                                     \
	X(RS_SYS_RETURN, return )                                                                  \
	X(RS_SYS_RING, ring)                                                                       \
	X(RS_SYS_SLICES, slices)                                                                   \
	X(RS_SYS_STATS, stats)                                                                     \
	X(RS_SYS_THREAD, thread)                                                                   \
	X(RS_SYS_KERNEL_PAGE, kernel_page)                                                         \
	X(RS_SYS_TABLE, table)                                                                     \
	X(RS_SYS_TORTURE, torture)

SYSCALL_DEFINE2(table, uint32_t, index, uint64_t, buffer)
{
	static const struct rs_syscall all[] = {
#define X(number, name, function) {#name, number, RS_TABLE_64},
	    SYSCALLS64(X)
#undef X
#define X(number, name, function) {#name, number, RS_TABLE_I386},
	        SYSCALLS32(X)
#undef X
#define X(number, name) {"rs_" #name, number, RS_TABLE_64 | RS_TABLE_I386},
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
#define X(number, name) [number - RS_SYS_BASE] = call_##name,
                                                OWN_SYSCALLS(X)
#undef X
};

static syscall_fn *const own32[RS_SYS_COUNT] = {[0 ... RS_SYS_COUNT - 1] = no_such_call,
#define X(number, name) [number - RS_SYS_BASE] = SYSCALL_ARGUMENTS_##name ? widened : call_##name,
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
