/*
 * One moment of a guest, and the questions to it: where does an address lead (--walk), what do the
 * two roots map (--map), is every rule of the address space kept (--audit), what do the registers
 * say.  The moment is a live machine's that stands still (look_live.h) or a core file's
 * (core_read.h); nothing here knows which.
 *
 *     struct look look;
 *     look_init(&look, &moment);
 *     walk_print(out, &look, &walk_request);
 *     audit_print(out, &look, ...);
 *
 * Pure: registers and guest memory come in as values.  All of memory is hostile: tables that lead
 * outside RAM, lead to themselves, or are made so that going through them would take hours.
 *
 * Tables of 32-bit protected mode, and none at all, are looked at as well (legacy.h); --audit has
 * rules for long mode's only.
 */
#ifndef VMM_LOOK_LOOK_H
#define VMM_LOOK_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "shared/abi.h"
#include "shared/pt.h"
#include "vmm/base/memory.h"
#include "vmm/base/state.h"
#include "vmm/look/legacy.h"
#include "vmm/look/symbols.h"

/* What is known about the machine and the moment.  All pointers stay the caller's and must live as
 * long as the struct look made from it. */
struct look_moment {
	const struct memory *memory;
	unsigned cpu; /* whose registers and roots these are */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct pt_geometry geometry; /* levels, NX, PCID and PKU are taken from the registers */
	char when[48];               /* "at the end", "at boot": for headings */
	bool stale;                  /* the registers are of an earlier moment than the memory */
	bool noted;                  /* the guest keeps to the address space of shared/abi.h */
	bool foreign;                /* nothing of it is there: another boot protocol's guest */
	uint32_t cpus;               /* 1 to RS_MAX_CPUS: that have pages of their own */
	uint64_t boot_root;          /* the top-level table that the VMM built; 0: not known */
	uint64_t free_start;         /* frames below are image or the VMM's; 0: not known */
	/* What the guest says its current process's roots are (struct rs_call); 0: nothing. */
	uint64_t kernel_cr3, user_cr3;
	/* What the CPU has, RS_FEATURE_*; with features_known. */
	uint64_t features;
	bool features_known;
	uint64_t msrs[STATE_MSRS]; /* as in struct vcpu_state */
	uint32_t msrs_known;       /* bit per MSR; the others are 0 */
	uint32_t segment_count;    /* at most RS_MAX_SEGMENTS */
	struct rs_segment segments[RS_MAX_SEGMENTS];
	const struct symbols *symbols; /* may be empty, not NULL */
	/* KVM_TRANSLATE of an address under the CR3 of `sregs`: false for none.  NULL where nobody
	 * can be asked. */
	bool (*translate)(void *ctx, uint64_t va, uint64_t *pa);
	void *translate_ctx;
	/* Whether it is time to end, whatever is not looked at yet: asked again and again.  NULL:
	 * never. */
	bool (*give_up)(void *ctx);
	void *give_up_ctx;
};

/* The same moment as another CPU had it: its registers, and the roots that its call page names,
 * which is found through the VMM's own root.  Nobody to translate. */
struct look_moment look_moment_of(const struct look_moment *moment, unsigned cpu,
                                  const struct kvm_regs *regs, const struct kvm_sregs *sregs);

enum look_root { LOOK_KERNEL, LOOK_USER, LOOK_ROOTS };

struct look {
	const struct look_moment *moment;
	char when[64];            /* for headings: with several CPUs it says which */
	struct pt pt[LOOK_ROOTS]; /* [LOOK_USER] only with two_roots */
	uint64_t cr3[LOOK_ROOTS]; /* the whole values, PCID included */
	enum legacy_mode legacy;  /* the tables are not long mode's: only walked and mapped */
	bool two_roots;           /* KPTI: the current process has a root for each ring */
	/* How it is known: the guest said so, CR3 was seen with both, or the second one lies beside
	 * CR3's, where Linux has it.  NULL with one root. */
	const char *roots_from;
	/* The words of the guest about its roots were not believed, and why; else NULL. */
	const char *distrust;
	struct look_tables {
		const struct look_moment *moment;
		uint64_t limit; /* tables of one tree that are looked at before it is given up */
		uint64_t left;  /* ... that may still be looked at */
		bool exceeded;  /* ... and they were not enough */
		bool vast;      /* that is known: a small part of them is enough from now on */
		bool gave_up;   /* it is time to end */
		struct legacy legacy;
	} tables;
};

/* Decides which roots there are.  What the guest says about them counts only when both lie in RAM,
 * a kernel could run on the kernel's (roots.h), and one of them is in CR3 now (unless the registers
 * are stale); else CR3's is the only root.
 * Of a guest that says nothing, because it has no note, two roots are those that pair by
 * roots_pair's rule: CR3's and the one seen before, or CR3's and its neighbour, as Linux keeps
 * them: the kernel's at a multiple of 8 KiB, the user's behind it.
 * *look must not move afterwards. */
void look_init(struct look *look, const struct look_moment *moment);

/* "kernel", "user"; with one root it serves both rings and is called "only". */
const char *look_root_name(const struct look *look, enum look_root root);

/* Another tree in the same memory: by the value of a CR3. */
struct pt look_tree(struct look *look, uint64_t cr3);

/* To be called before a scan of a whole tree; sets the budget of tables anew. */
void look_begin_scan(struct look *look);
/* Whether it is time to end; stays so. */
bool look_gives_up(struct look *look);

/* The access of this kind with the processor's state at this moment. */
struct pt_access look_access(const struct look *look, unsigned kind, unsigned cpl);

/* KVM's own translation of an address, and whether it fits what the tables say. */
struct look_kvm {
	bool asked; /* there is a KVM, and this tree is in CR3 now */
	bool mapped;
	uint64_t pa; /* if mapped */
	bool agrees;
};
/* mapped, pa, rights: what the tables say of va, as in struct pt_walk. */
struct look_kvm look_ask_kvm(const struct look *look, const struct pt *pt, uint64_t va, bool mapped,
                             uint64_t pa, uint32_t rights);

#endif
