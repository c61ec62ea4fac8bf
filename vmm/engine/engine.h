/*
 * The debugger's engine: stops a guest at an address, runs it one instruction at a time at any CPL,
 * watches memory; and the guest sees nothing of it.
 *
 * What KVM_SET_GUEST_DEBUG offers does not work everywhere, least of all in ring 3.  What does:
 *
 * - Ring 0: a planted OUT DX, AL is an exit at a known address, whatever DX and AL are: the exit
 *   never reaches who serves the guest's own.  HLT would not do: KVM keeps it to itself in a VM
 *   with local APICs.  The ports that KVM answers itself, those of its PIC and PIT, would not
 *   either: the VM must have neither, as with a split irqchip; and no coalesced port.
 * - Ring 3: a planted INT3 goes through the guest's own #BP gate; an OUT at the first instruction
 *   of that gate's stub stops there, when nothing but the frame has changed.  The processor's frame
 *   then tells how to take the entry back: the guest is as it was before the INT3.
 * - One instruction of ring 0: KVM_GUESTDBG_SINGLESTEP.
 * - One instruction of ring 3: RFLAGS.TF, and the #DB taken back in the same way.
 * - IRETQ, SYSRET, SYSEXIT, far RET: a plant for one go at the address they return to, since
 * processors differ in whether a trap flag outlives them.  The same behind SWAPGS, FXSAVE and the
 * like, where the single step of one KVM stops an instruction late; behind REP MOVS and the like in
 * ring 0, which else were a step for each time; and behind IN, OUT, CPUID and whatever else a
 * hypervisor has for itself, where one processor traps a second time.
 *
 * While an instruction runs, an OUT stands at every entry of the guest (the fence: what the gates
 * of the IDT lead to, LSTAR, CSTAR, SYSENTER_EIP), so that an instruction that faults, or enters
 * ring 0, ends there and nowhere else.  The entries are the machine's own, read from IDTR and the
 * MSRs, and read again whenever the guest may have rewritten them: before each step, and when it
 * has run freely and stops.  So all of this works on any kernel, and from when it has an IDT.
 *
 * Interrupts wait meanwhile where KVM offers that (KVM_GUESTDBG_BLOCKIRQ, Linux 5.15): steps take
 * so long that else a timer's would come at each of them.  TF does not leak: not into a pushed
 * frame, not into SYSCALL's R11, not into what PUSHF stored.
 *
 * Several CPUs take turns in one thread, so that only one runs at a time: when one stops all stand
 * still, and nobody runs over the place of a plant that is lifted for another.
 *
 * What is left to see: the dead words below the tops of the guest's #BP and #DB stacks; a guest
 * that reads its own code sees plants; time passes.  Ring 3 needs gates for #DB and #BP, each with
 * a handler of its own, as every kernel with processes has them.
 */
#ifndef VMM_ENGINE_ENGINE_H
#define VMM_ENGINE_ENGINE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <linux/kvm.h>

#include "vmm/look/entries.h"
#include "vmm/look/view.h"
#include "vmm/run/machine.h"

enum {
	ENGINE_POINTS_MAX = 2048, /* addresses planted at a time */
	ENGINE_WATCHES_MAX = 16,
	ENGINE_WATCH_SIZE = 64, /* bytes of one watchpoint */
	ENGINE_ROOTS = 4,       /* values of CR3 whose kind is remembered */
};

/* One byte of guest RAM with another one in its place. */
struct engine_plant {
	uint64_t va;
	uint8_t *at; /* in guest RAM; NULL: nothing planted */
	uint8_t original, planted;
};

struct engine_point {
	struct engine_plant plant;
	unsigned uses;  /* asked for so often by engine_add_point ... */
	unsigned hooks; /* ... and by the engine itself: 1 at #BP's handler, if there is an INT3 */
	bool entry;     /* one of the uses is an entry's */
};

struct engine_watch {
	uint64_t va;
	size_t size;
	const uint8_t *at; /* in guest RAM: the watch stays with the memory it began at */
	bool kernel;       /* in the kernel half: ring 3 cannot write it */
	uint8_t old[ENGINE_WATCH_SIZE];
};

enum engine_why {
	ENGINE_STEPPED,     /* one instruction is done */
	ENGINE_POINT,       /* RIP is at a point, whose instruction has not run */
	ENGINE_WATCHED,     /* stop.watch has changed by the instruction just done */
	ENGINE_INTERRUPTED, /* *engine->attention is set */
	ENGINE_IDLE,        /* of the CPUs that may run none can: nothing will happen */
	ENGINE_EXIT,        /* an exit of the guest's own has been served (only if asked for) */
	ENGINE_ENDED,       /* the run is over: machine->outcome */
	ENGINE_FAILED,      /* KVM refuses something; a message was given */
	ENGINE_NO_RING3,    /* ring 3 of a guest without gates for #DB and #BP: no step there */
};

struct engine_stop {
	enum engine_why why;
	const struct engine_watch *watch; /* ENGINE_WATCHED, else NULL */
};

struct engine {
	struct observer observer;
	struct machine *machine;

	/* The CPU that all of this is about: the one that stopped last, or was selected since. */
	struct cpu *cpu;
	unsigned running; /* bitmap: the CPUs that engine_continue and engine_let_others run */
	/* Their turns: with one CPU there is no clock.  Times are CLOCK_MONOTONIC, nanoseconds. */
	bool has_clock, in_turn;
	bool turn_unused; /* the guest has not run in it yet */
	bool clock_made;
	timer_t clock;
	uint64_t turn_ns, turn_until;
	uint64_t others_at; /* when engine_let_others does so next */

	/* Its registers while it is stopped.  Whoever changes them sets `changed`. */
	struct vcpu_state state;     /* its registers and system registers */
	struct kvm_sregs sregs_read; /* as they were when they became known */
	bool known, changed;

	struct engine_point points[ENGINE_POINTS_MAX];
	size_t point_count;
	unsigned int3s;          /* points that are an INT3 */
	uint64_t hook;           /* where #BP arrives, with a point of ours for them; 0: none */
	bool asked[ENTRIES_MAX]; /* entries that have points: engine_add_entry */
	unsigned asks;           /* how many */
	uint64_t entry_points[ENTRIES_MAX]; /* where those are, each once */
	size_t entry_point_count;
	bool entry_points_lack; /* one could not be planted */

	struct engine_root {
		uint64_t cr3;
		bool user;
	} roots[ENGINE_ROOTS]; /* what is known of them ... */
	unsigned root_count;   /* ... since the guest ran freely, so many, the newest last */

	struct entries entries; /* of the CPU selected, as they were last read */
	const struct cpu *entries_cpu;
	bool entries_known; /* they are as they were read: the guest has not run since */
	bool msrs_due;      /* the MSRs may be others since */
	bool entries_come;  /* there were none at engine_attach */
	bool seen_ring3;
	uint64_t fence_cr3; /* the tree that the fence was found through */
	bool has_fence;
	struct engine_plant fence[ENTRIES_MAX];
	size_t fence_count;
	uint64_t stepped;            /* RIP when the fence went up: no part of it stands there */
	struct engine_plant *lifted; /* out, so that its instruction can run; NULL: none */
	struct engine_watch watches[ENGINE_WATCHES_MAX];
	size_t watch_count;
	bool stop_at_exits; /* engine_continue also returns ENGINE_EXIT */
	/* Makes engine_continue return while it is not 0: for a signal handler, which then sets the
	 * vCPU's immediate_exit.  NULL: none. */
	const volatile sig_atomic_t *attention;
	uint32_t control; /* KVM_GUESTDBG_* in force on the CPU selected */
	bool can_hold;    /* KVM_GUESTDBG_BLOCKIRQ is offered */
	bool hold;        /* interrupts wait while this instruction runs */
	bool dr6_known;   /* DR6 as the guest left it ... */
	uint64_t dr6;     /* ... to be put back after TF */

	/* Set by engine_takes_exit for who called run_once. */
	enum { ENGINE_EVENT_NONE, ENGINE_EVENT_STEP, ENGINE_EVENT_PLANT, ENGINE_EVENT_EXIT } event;
	enum engine_mode { ENGINE_MODE_FREE, ENGINE_MODE_STEP0, ENGINE_MODE_STEP3 } mode;
	bool own_tf;    /* the guest's own TF while stepping */
	uint64_t steps; /* instructions run one at a time so far */

	/* What this slows the guest down by: exits of the engine's own so far, and host ticks from
	 * each of them until the guest ran on, and in KVM_RUN for one instruction. */
	uint64_t own_exits, own_ticks;
	/* KVM_RUN at full speed: how often, and host ticks in it. */
	uint64_t free_runs, free_ticks;
	uint64_t taken_at; /* such an exit came then, and the guest has not run since; 0: none */
	bool single;       /* one instruction is to run */
};

/* Takes over the machine's vCPUs, which have not run yet, or of which KVM_RUN has come back without
 * an exit (run_cpus that was called back); CPU 0 is selected.  The struct is all zero before, and
 * stays where it is until engine_detach.  False after a message. */
bool engine_attach(struct engine *engine, struct machine *machine);
/* Takes everything back: the guest runs on as if nothing had been. */
bool engine_detach(struct engine *engine);

/* ---- Running --------------------------------------------------------------------------------- */

/* Runs until something in enum engine_why but ENGINE_STEPPED happens on one of the CPUs that may
 * run, which is then selected.  A point at RIP of the CPU that was selected before does not count.
 */
struct engine_stop engine_continue(struct engine *engine);
/* At a point of ring 0, whose instruction has not run: enters the guest, which comes back before
 * it.  *ticks: what that took in KVM_RUN.  False: it did not come back so. */
bool engine_enter_in_vain(struct engine *engine, uint64_t *ticks);
/* One instruction of the CPU selected, at any CPL.  One that faults or enters ring 0 ends at the
 * entry.  Interrupts wait, but for HLT, and the other CPUs stand still. */
struct engine_stop engine_step(struct engine *engine);
/* Between steps, so that what another CPU has to do for this one gets done: lets the others that
 * may run do so for a while, if some time has passed since the last time.  ENGINE_STEPPED: the CPU
 * selected is the same; else another one has something to stop for. */
struct engine_stop engine_let_others(struct engine *engine);
/* Selects another CPU, started or not.  False after a message. */
bool engine_select(struct engine *engine, struct cpu *cpu);

/* For the run loop: whether the exit of the CPU selected is the debugger's and has been served. */
bool engine_takes_exit(struct engine *engine);

/* ---- Looking --------------------------------------------------------------------------------- */

/* Makes engine->state.regs and engine->state.sregs those of the vCPU.  False after a message. */
bool engine_know(struct engine *engine);
/* The ring: SS.DPL. */
unsigned engine_cpl(const struct engine *engine);
/* Guest memory as the CPU selected sees it: by CR3; of a guest whose address space the VMM has
 * built, else by the root that it was booted with, and, for the read-only part of the user half, by
 * the image: ring 3 text lies in RAM before any process has it mapped. */
struct view engine_view(const struct engine *engine);
/* Memory through that view without the plants; bytes copied, fewer than size at the first page that
 * is missing. */
size_t engine_read(const struct engine *engine, uint64_t va, void *buf, size_t size);
/* The same of guest-physical memory.  False: not all of it is RAM. */
bool engine_read_physical(const struct engine *engine, uint64_t gpa, void *buf, size_t size);
size_t engine_write(struct engine *engine, uint64_t va, const void *buf, size_t size);

/* The frame that a processor pushed at the entry of this vector, RSP pointing to it or to the error
 * code before it. */
struct engine_frame {
	uint64_t error; /* 0 without one */
	uint64_t rip, cs, rflags, rsp, ss;
};
bool engine_frame(const struct engine *engine, unsigned vector, struct engine_frame *frame);
/* Whether CR3 is a root as KPTI gives it to ring 3 (vmm/look/roots.h).  Found out once for each CR3
 * until the guest runs freely again. */
bool engine_is_user_root(struct engine *engine);
/* Makes engine->state.regs and engine->state.sregs those of the frame: an entry is taken back.
 * False: its selectors are none of the GDT's. */
bool engine_rewind(struct engine *engine, const struct engine_frame *frame);
/* Which entry of ring 0 leads to this address, as entries_find says; -1 for none. */
enum {
	ENGINE_ENTRY_SYSCALL = ENTRIES_SYSCALL,
	ENGINE_ENTRY_COMPAT = ENTRIES_COMPAT,
	ENGINE_ENTRY_SYSENTER = ENTRIES_SYSENTER,
};
int engine_entry(const struct engine *engine, uint64_t va);
/* The address that this entry leads to; 0: there is none such now. */
uint64_t engine_entry_va(const struct engine *engine, unsigned entry);
/* At an entry from ring 3: takes the processor back to ring 3 at `rip` with the frame's other
 * registers; in case of SYSCALL, with RCX and R11 for them.  False: not at such an entry. */
bool engine_take_back(struct engine *engine, uint64_t rip);

/* ---- Moments -------------------------------------------------------------------------------- */

struct snapshot; /* vmm/run/snapshot.h */

/* snapshot_take and snapshot_restore of the machine while the guest is stopped: nothing planted is
 * in what is kept, and what is planted now stays so.  Which CPU is selected stays as it is. */
struct snapshot *engine_snapshot(struct engine *engine);
bool engine_restore(struct engine *engine, const struct snapshot *snapshot);

/* ---- Points ---------------------------------------------------------------------------------- */

enum engine_answer { ENGINE_OK, ENGINE_NOT_MAPPED, ENGINE_NO_ROOM, ENGINE_NOT_THERE };
/* Plants at the first byte of an instruction.  Points count: as many removes as adds. */
enum engine_answer engine_add_point(struct engine *engine, uint64_t va);
enum engine_answer engine_remove_point(struct engine *engine, uint64_t va);
bool engine_has_point(const struct engine *engine, uint64_t va);
/*
 * A point at an entry, wherever it leads: planted when it is there and mapped, and moved when the
 * guest rewrites its IDT or MSRs.  While there are any the entries are looked at again at each exit
 * of the guest's own, and, of a guest that starts without an IDT and until it was seen in ring 3,
 * every 5 ms: a kernel boots at full speed, and none that takes longer from its last exit to its
 * first process than that crosses unseen.
 */
void engine_add_entry(struct engine *engine, unsigned entry);
void engine_remove_entry(struct engine *engine, unsigned entry);
/* Watches 1 to ENGINE_WATCH_SIZE bytes in one page.  It costs: the guest then runs one
 * instruction at a time, but ring 3 natively while only ring 0 can write there. */
enum engine_answer engine_add_watch(struct engine *engine, uint64_t va, size_t size);
enum engine_answer engine_remove_watch(struct engine *engine, uint64_t va, size_t size);

#endif
