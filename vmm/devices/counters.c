#include "vmm/devices/counters.h"

#include <string.h>

#define COUNTER(group, key, field, text)                                                           \
	{                                                                                          \
		group, key, text, offsetof(struct rs_stats, field)                                 \
	}

const struct counter counters[] = {
    COUNTER(COUNTERS_ENTRIES, "syscall64", syscall64, "SYSCALL from 64-bit code"),
    COUNTER(COUNTERS_ENTRIES, "syscall32", syscall32, "SYSCALL from 32-bit code"),
    COUNTER(COUNTERS_ENTRIES, "sysenter", sysenter, "SYSENTER"),
    COUNTER(COUNTERS_ENTRIES, "int80", int80, "INT 0x80"),
    COUNTER(COUNTERS_EVENTS, "user_faults", user_faults, "faults of ring 3"),
    COUNTER(COUNTERS_EVENTS, "copy_faults", copy_faults,
            "copies from or to ring 3 that failed (EFAULT)"),
    COUNTER(COUNTERS_EVENTS, "external80", external80,
            "external interrupts with vector 0x80, which are no system calls"),
    COUNTER(COUNTERS_EVENTS, "if_clear", if_clear,
            "interrupts that came although IF was clear, put off"),
    COUNTER(COUNTERS_EVENTS, "context_switches", context_switches, "context switches"),
    COUNTER(COUNTERS_EVENTS, "processes", processes, "processes created"),
    COUNTER(COUNTERS_EVENTS, "killed", killed, "processes ended by a fault"),
    COUNTER(COUNTERS_SCHEDULING, "preempt_ring3", preempt_ring3,
            "time slices that ended in ring 3"),
    COUNTER(COUNTERS_SCHEDULING, "preempt_ring0", preempt_ring0,
            "time slices that ended in ring 0"),
    COUNTER(COUNTERS_SCHEDULING, "idle", idle, "times a CPU had nothing to run and halted"),
    COUNTER(COUNTERS_SCHEDULING, "sleeps", sleeps, "times a process slept"),
    COUNTER(COUNTERS_SCHEDULING, "shootdowns", shootdowns,
            "interrupts sent to other CPUs to drop translations"),
    COUNTER(COUNTERS_CR3, "entry", cr3_entry, "on the way in, user root to kernel root"),
    COUNTER(COUNTERS_CR3, "exit", cr3_exit, "on the way out, kernel root to user root"),
    COUNTER(COUNTERS_CR3, "switch", cr3_switch, "to another address space"),
    COUNTER(COUNTERS_CR3, "flush", cr3_flush, "of all these emptied TLB entries"),
    COUNTER(COUNTERS_CR3, "invlpg", invlpg, "INVLPG"),
    COUNTER(COUNTERS_CR3, "pcid_reused", pcid_reused,
            "PCIDs taken from one address space for another"),
    {0, NULL, NULL, 0},
};

/* With the vectors and the two quirks, which the reports show elsewhere: nothing is forgotten. */
_Static_assert(sizeof(struct rs_stats) / sizeof(uint64_t) ==
                   256 + 2 + sizeof(counters) / sizeof(counters[0]) - 1,
               "each counter has a name");

uint64_t counter_value(const struct counter *counter, const struct rs_stats *stats)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + counter->offset, sizeof(value));
	return value;
}
