/*
 * The TLBs of a few CPUs, as the SDM lets them be (volume 3, 4.10): each keeps every translation it
 * was ever asked for until it is told to forget it, so a flush that was left out shows at the next
 * access.  On no emulated CPU does it: none keeps entries by PCID across a write of CR3.
 */
#ifndef TESTS_UNIT_SPACE_TLB_H
#define TESTS_UNIT_SPACE_TLB_H

#include <stdbool.h>
#include <stdint.h>

enum { TLB_CPUS = 3 };

/* All CPUs in CR3 `root`, with CR4.PCIDE; nothing cached. */
void tlb_init(uint64_t root);
/* From now on the CPU that this_cpu() and the instructions of guest/cpu.h mean. */
void tlb_on_cpu(uint32_t cpu);

/* What this CPU finds at va: from its TLB if it has the page, else from the tables, which it then
 * keeps. 0: not mapped, which no TLB keeps. */
uint64_t tlb_access(uint64_t va);
/* What the tables in CR3 say. */
uint64_t tlb_truth(uint64_t va);

#endif
