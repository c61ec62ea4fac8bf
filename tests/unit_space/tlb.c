#include "tests/unit_space/tlb.h"

#include <stdlib.h>

#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/smp.h"
#include "shared/pt.h"

enum { ENTRIES = 1024 }; /* more than the test ever touches: nothing is pushed out */

struct entry {
	uint64_t va, pa;
	uint16_t pcid;
	bool global, used;
};

static struct {
	struct cpu cpu;
	struct rs_stats stats;
	struct rs_call call;
	uint64_t cr3, cr4;
	struct entry entry[ENTRIES];
} cpus[TLB_CPUS], *now = cpus;

uint32_t smp_cpus = TLB_CPUS;

void tlb_init(uint64_t root)
{
	for (uint32_t i = 0; i < TLB_CPUS; i++) {
		cpus[i].cpu = (struct cpu){.number = i};
		cpus[i].cr3 = root;
		cpus[i].cr4 = CR4_PCIDE | CR4_PGE;
		for (int e = 0; e < ENTRIES; e++)
			cpus[i].entry[e].used = false;
	}
	now = cpus;
}

void tlb_on_cpu(uint32_t cpu)
{
	now = &cpus[cpu];
}

/* ---- Instructions ---------------------------------------------------------------------------- */

struct cpu *this_cpu(void)
{
	return &now->cpu;
}

struct rs_stats *cpu_stats(void)
{
	return &now->stats;
}

struct rs_call *cpu_call(void)
{
	return &now->call;
}

static uint16_t pcid(void)
{
	return now->cr4 & CR4_PCIDE ? now->cr3 & CR3_PCID_MASK : 0;
}

static void forget(bool (*which)(const struct entry *entry, uint64_t arg), uint64_t arg)
{
	for (struct entry *e = now->entry; e < now->entry + ENTRIES; e++)
		if (e->used && which(e, arg))
			e->used = false;
}

/* SDM 4.10.4.1: the new PCID's, but not global ones. */
static bool of_pcid(const struct entry *entry, uint64_t id)
{
	return entry->pcid == id && !entry->global;
}

static bool all(const struct entry *entry, uint64_t unused)
{
	(void)entry;
	(void)unused;
	return true;
}

/* ... for INVLPG: of this page, under this PCID or global. */
static bool of_page(const struct entry *entry, uint64_t va)
{
	return entry->va == (va & ~UINT64_C(0xfff)) && (entry->pcid == pcid() || entry->global);
}

uint64_t read_cr3(void)
{
	return now->cr3;
}

void write_cr3(uint64_t value)
{
	now->cr3 = value & ~CR3_NOFLUSH;
	if (!(value & CR3_NOFLUSH) || !(now->cr4 & CR4_PCIDE))
		forget(of_pcid, pcid());
}

uint64_t read_cr4(void)
{
	return now->cr4;
}

void write_cr4(uint64_t value)
{
	if ((now->cr4 ^ value) & CR4_PGE)
		forget(all, 0);
	now->cr4 = value;
}

void invlpg(uint64_t va)
{
	forget(of_page, va);
}

/* entry.S */
void flush_user_root(uint64_t user_cr3, uint64_t kernel_cr3);
void flush_user_root(uint64_t user_cr3, uint64_t kernel_cr3)
{
	write_cr3(user_cr3);
	write_cr3(kernel_cr3);
}

/* smp.c: by an interrupt there, in a moment. */
void smp_on_others(void (*act)(uint64_t arg), uint64_t arg)
{
	const uint32_t self = this_cpu()->number;

	for (uint32_t i = 0; i < TLB_CPUS; i++) {
		tlb_on_cpu(i);
		if (i != self)
			act(arg);
	}
	tlb_on_cpu(self);
}

/* ---- Accesses -------------------------------------------------------------------------------- */

static struct pt_walk walk_now(uint64_t va)
{
	const struct pt_geometry geo = {
	    .levels = 4, .maxphyaddr = 46, .nx = true, .gib_pages = true, .pcid = true};
	const struct pt pt = pt_attach(geo, frames_pt_memory, now->cr3);
	struct pt_walk walk;

	pt_walk(&pt, va, &walk);
	return walk;
}

uint64_t tlb_truth(uint64_t va)
{
	const struct pt_walk walk = walk_now(va);

	return walk.mapped ? walk.pa : 0;
}

static void keep(uint64_t va, const struct pt_walk *walk)
{
	for (struct entry *e = now->entry; e < now->entry + ENTRIES; e++) {
		if (e->used)
			continue;
		*e = (struct entry){
		    .va = va & ~UINT64_C(0xfff),
		    .pa = walk->pa & ~UINT64_C(0xfff),
		    .pcid = pcid(),
		    .global = walk->rights & PT_GLOBAL && now->cr4 & CR4_PGE,
		    .used = true,
		};
		return;
	}
	abort();
}

uint64_t tlb_access(uint64_t va)
{
	struct pt_walk walk;

	for (const struct entry *e = now->entry; e < now->entry + ENTRIES; e++)
		if (e->used && of_page(e, va))
			return e->pa | (va & 0xfff);
	walk = walk_now(va);
	if (!walk.mapped)
		return 0;
	keep(va, &walk);
	return walk.pa;
}
