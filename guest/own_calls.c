#include "guest/own_calls.h"

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
#include "guest/usercopy.h"

/* entry.S and switch.S */
extern const char entry_text_end[], switch_stacks[], switch_segments_end[];

/* What boot told and a process may know. */
static const struct rs_boot *boot_info(void)
{
	return (const struct rs_boot *)RS_BOOT_PAGE;
}

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

/* The list's number of arguments is that of the definition. */
enum { SYSCALL_ARGUMENTS_table = 2 }; /* in syscall.c */
#define X(number, name, arguments)                                                                 \
	_Static_assert(SYSCALL_ARGUMENTS_##name == (arguments), "own_calls.h");
OWN_SYSCALLS(X)
#undef X
