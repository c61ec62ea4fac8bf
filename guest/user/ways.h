/*
 * Every way into the kernel and back, with every register of ring 3 filled before and looked at
 * after.
 */
#ifndef GUEST_USER_WAYS_H
#define GUEST_USER_WAYS_H

/* What of way_out may be wrong: bits 0 to 15 are general registers by number. */
#define WAY_RFLAGS    16
#define WAY_FS_BASE   17
#define WAY_GS_BASE   18
#define WAY_SELECTORS 19
#define WAY_FPU       20 /* x87, SSE, MXCSR */
#define WAY_RESULT    21 /* of the system call */
#define WAY_RED_ZONE  22 /* memory below RSP */

/* struct way_state, for ways.S. */
#define WAY_IN_BASES   136
#define WAY_IN_DS      152
#define WAY_IN_FPU     160
#define WAY_STATE_SIZE 672

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/user/cross.h"
#include "guest/user/try.h"

/* All that a process has in the processor. */
struct way_state {
	uint64_t gpr[REGISTERS];
	uint64_t rflags;
	uint64_t fs_base, gs_base; /* without way_has_bases: words that the bases lead to */
	uint16_t ds, es, fs, gs;
	uint8_t fpu[512]; /* as FXSAVE stores it (SDM volume 1, 10.5.1) */
};
_Static_assert(offsetof(struct way_state, fs_base) == WAY_IN_BASES, "ways.S");
_Static_assert(offsetof(struct way_state, ds) == WAY_IN_DS, "ways.S");
_Static_assert(offsetof(struct way_state, fpu) == WAY_IN_FPU, "ways.S");
_Static_assert(sizeof(struct way_state) == WAY_STATE_SIZE, "ways.S");

extern struct way_state way_in, way_out;

/* What gallery_begin puts at RS_BASED. */
#define WAY_BASED_WORD0 UINT64_C(0x123456789000)
#define WAY_BASED_WORD1 UINT64_C(0x23456789a000)

enum way_kind {
	WAY_CALL,   /* a system call: getpid unless the caller says otherwise */
	WAY_CALL32, /* ... by the i386 table, from 32-bit code */
	WAY_FAULT,  /* ends in the fault handler */
	WAY_RETURN, /* ring 3 to ring 3, by an instruction that could change rings */
	/* What the torture run has by other means: */
	WAY_FAULT32, /* as WAY_FAULT, from 32-bit code */
	WAY_TIMER,   /* the local APIC's timer ends time slices while ring 3 spins */
};

struct way {
	const char *name;
	const char *code;
	enum way_kind kind;
	uint16_t number;  /* of getpid in the table that applies */
	uint32_t changed; /* registers that it may change, as bits */
	struct outcome want;
	uint64_t needs, lacks; /* RS_FEATURE_* */
	bool stack_in_rcx;     /* and the return address in RDX: SYSENTER's */
	uint32_t unfit;        /* hosts, as bits, that are known to answer otherwise */
};
extern const struct way ways[];
extern const size_t way_count;

/* Fills way_in with a pattern for this way, all of it as an ABI promises to keep it. */
void way_fill(const struct way *way);
/* ... and then the complement of it where that can be: registers, no flag at all. */
void way_complement(const struct way *way);
/* RS_SYS_SLICES works here: there is a timer. */
bool way_has_timer(void);
/* Goes this way from way_in.  want, or what else came; WRONG with bits of what is not as it was. */
struct outcome way_go(const struct way *way);
/* What of way_out differs from way_in, but for `changed`. */
uint64_t way_differences(uint64_t changed);

/* Whether a byte of FXSAVE's image is the program's. */
bool way_is_fpu_state(unsigned byte);

/* The CPU has it, and this host is not declared to lack or to be harmed by it. */
bool way_exists(const struct way *way);
/* It exists, is of one of these kinds (as bits), and keeps its promise on this host. */
bool way_is_fit(const struct way *way, uint32_t kinds);
#define WAY_CALLS (1 << WAY_CALL | 1 << WAY_CALL32)
/* RDFSBASE and its kind work in ring 3. */
bool way_has_bases(void);

/* ways.S: loads way_in, jumps to code, stores way_out when it comes back.  True: by the fault
 * handler. */
bool way_cross(const char *code);
extern const char way_caught[], way_resume[];

#endif
#endif
