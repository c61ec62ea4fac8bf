/*
 * Long-mode page tables: build, change, explain (SDM volume 3, chapter 4).
 *
 * Pure code: no KVM, no host, no globals.  What a processor offers comes in as a value (struct
 * pt_geometry), memory through three functions (struct pt_memory).  The same objects serve the
 * VMM (tables in guest RAM before boot), the guest (address spaces, the KPTI mirror) and the unit
 * tests on the host.
 *
 *     struct pt kernel;
 *     pt_init(&kernel, geometry, memory);
 *     pt_map(&kernel, 0xffff888000000000, 0, 64 << 20, PT_WRITE | PT_GLOBAL, NULL);
 *     pt_share(&user, &kernel, 0xffffffffc0000000, 1 << 30, 0, NULL);     // the KPTI mirror
 *     pt_explain(&user, 0xffff888000000000, access, &verdict);          // #PF 4: not present
 *
 * All or nothing: a call that fails leaves the tree as it was, to the bit, and all frames it took
 * are given back.  A tree owns the tables it allocated; tables reached through a shared entry
 * belong to the other tree and are never changed or freed through this one (PT_ESHARED).
 *
 * Who owns which table is written into the bits of the entries that processors leave to software
 * (pt_entry.h says which), so it survives pt_attach in another program.  Whoever changes an
 * entry by hand, to plant a reserved bit for example, leaves these bits and P as they are;
 * otherwise tables may be freed too late or too early.
 */
#ifndef SHARED_PT_H
#define SHARED_PT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the paging hardware at hand can do. */
struct pt_geometry {
	uint8_t levels;     /* 4 or 5 (CR4.LA57) */
	uint8_t maxphyaddr; /* physical address width, 32 to 52 */
	bool nx;            /* EFER.NXE: bit 63 is execute-disable, else reserved */
	bool gib_pages;     /* CPUID 80000001H:EDX.26: PS allowed in a PDPTE, else reserved */
	bool pcid;          /* CR4.PCIDE */
	bool pku;           /* CR4.PKE: protection keys for user pages */
};

/* Where tables live.  A frame is the physical address of 4096 bytes, page-aligned. */
struct pt_memory {
	void *ctx;
	/* A zeroed frame into *frame; false when there is none. */
	bool (*alloc)(void *ctx, uint64_t *frame);
	/* Takes back a frame from alloc; every entry in it is zero again.  Paging-structure caches
	 * may still know it until the call's flush is done: no use for anything else before. */
	void (*free)(void *ctx, uint64_t frame);
	/* The 512 entries of the table in this frame; NULL for a frame outside memory (a corrupt
	 * entry: the caller reports it, never follows it). */
	uint64_t *(*at)(void *ctx, uint64_t frame);
};

struct pt {
	struct pt_geometry geo;
	struct pt_memory mem;
	uint64_t root; /* frame of the top-level table */
};

/* Rights of a mapping.  Reading is always allowed.  A page is no-execute unless PT_EXEC; without
 * geo.nx every page is executable, and pt_walk says so.  A key other than 0 needs geo.pku. */
enum {
	PT_WRITE = 1 << 0,
	PT_EXEC = 1 << 1,
	PT_USER = 1 << 2,
	PT_GLOBAL = 1 << 3,
	PT_SMALL = 1 << 4,   /* 4 KiB leaves only */
	PT_MAX_2M = 1 << 5,  /* no 1 GiB leaves */
	PT_REPLACE = 1 << 6, /* pt_map: what is mapped there already is replaced, else PT_EEXIST */
};
#define PT_PAT(i)  ((uint32_t)(i) << 8)  /* PAT index 0 to 7 (SDM 4.9.2) */
#define PT_PKEY(k) ((uint32_t)(k) << 12) /* protection key 0 to 15 (SDM 4.6.2) */
#define PT_RIGHTS  (PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL | PT_PAT(7) | PT_PKEY(15))

enum pt_status {
	PT_OK = 0,
	PT_ENOMEM,     /* alloc said no */
	PT_EALIGN,     /* va, pa or len is not a multiple of 4096, or len is 0 */
	PT_ECANONICAL, /* the range touches the canonical hole or wraps */
	PT_EWIDTH,     /* a physical address reaches beyond maxphyaddr */
	PT_EEXIST,     /* something is mapped there already */
	PT_ENOENT,     /* nothing is mapped there */
	PT_ESHARED,    /* the range lies in tables that belong to another tree */
	PT_ERIGHTS,    /* a right that this geometry or the call does not know */
	PT_ECORRUPT,   /* an entry points to a table outside memory */
};

/*
 * Where and why a call failed, and what the TLBs must forget after one that did not.
 *
 * An entry that was not present owes no flush, since no processor caches it (SDM 4.10.4.3); nor
 * does one that gets the value that it has, accessed and dirty apart.  Every other change does.
 */
struct pt_change {
	uint64_t va;       /* on failure: the address; va and level name the entry */
	uint8_t level;     /* on failure: 1 (page table) to 5 (PML5); 0: no entry is to blame */
	bool flush;        /* on success: translations that may be cached have changed */
	bool flush_global; /* ... global ones among them: INVLPG, or toggle CR4.PGE */
	/* ... but only R/W went from 0 to 1 or XD from 1 to 0: the flush may be left out by who can
	 * take one spurious #PF a page instead (SDM 4.10.4.3).  U/S from 0 to 1 is not like that:
	 * with SMEP or SMAP the supervisor loses rights. */
	bool widened;
	/* The pages that changed lie in this range; end is exclusive, 0 past the last page of all.
	 */
	uint64_t flush_start, flush_end;
	/* INVLPGs that would do it: one a leaf that changed, a split leaf counting as its pieces. A
	 * table of another tree that is let go counts as if full of global 4 KiB pages. */
	uint64_t flush_pages;
};

/* Every call takes `change` as the place for details; NULL when nobody asks. */

/* An empty tree: one zeroed top-level table.  PT_ENOMEM, or PT_ERIGHTS for a geometry that no
 * processor has. */
enum pt_status pt_init(struct pt *pt, struct pt_geometry geo, struct pt_memory mem);
/* A tree that exists already, from its CR3.  Nothing is owned that was not before. */
struct pt pt_attach(struct pt_geometry geo, struct pt_memory mem, uint64_t cr3);
/* Frees all tables that the tree owns, the root too.  Frames that leaves point to are not its.
 * Trees that share its tables must be gone, or have shared something else in their place. */
void pt_destroy(struct pt *pt);

/* Maps [va, va + len) to [pa, pa + len) with the largest leaves that alignment, geometry and flags
 * allow.  A table that is there already is used as it is; PT_REPLACE puts a large leaf in its place
 * when nothing below belongs to or is seen by another tree.  PT_ERIGHTS when an entry above denies
 * what is asked (never in a tree that these calls made).  flags: rights and PT_SMALL... above. */
enum pt_status pt_map(struct pt *pt, uint64_t va, uint64_t pa, uint64_t len, uint32_t flags,
                      struct pt_change *change);
/* Removes every mapping in the range; holes are fine; large leaves at the edges are split; tables
 * left empty are freed.  A shared entry that lies wholly in the range is let go; PT_ESHARED for one
 * that reaches beyond it. */
enum pt_status pt_unmap(struct pt *pt, uint64_t va, uint64_t len, struct pt_change *change);
/* Gives every page of the range new rights; PT_ENOENT when one is not mapped.  Address, accessed
 * and dirty bits stay; a large leaf is split only if its rights differ. */
enum pt_status pt_protect(struct pt *pt, uint64_t va, uint64_t len, uint32_t rights,
                          struct pt_change *change);
/* Makes sure that the top-level entries of the range exist, so that what is mapped there later is
 * seen by every tree that shares them now.  Their tables stay when they become empty again. */
enum pt_status pt_reserve(struct pt *pt, uint64_t va, uint64_t len, struct pt_change *change);

/* pt_share: restrict with PT_SHARE_NX, the sharing entries are no-execute whatever lies below. */
enum { PT_SHARE_NX = 1 << 0 };
/*
 * Lets `to` see the range as `from` has it: entries that point to the same tables, at the highest
 * level that the range's alignment allows (5 to 2).  len and va must be multiples of 2 MiB at
 * least, and both trees have the same levels (else PT_ERIGHTS) and the same memory.  PT_EEXIST when
 * `to` has something of its own there.
 *
 * Entries that `from` does not have are cleared in `to`; large leaves at or above the level of
 * sharing are copied.  So sharing the same range again is needed after `from` gained an entry of
 * that level, or changed such a leaf; what happens in the tables below is seen at once.  The tables
 * that `to` points to get a mark in `from`: they stay when empty, until pt_destroy(from).
 */
enum pt_status pt_share(struct pt *to, const struct pt *from, uint64_t va, uint64_t len,
                        uint32_t flags, struct pt_change *change);

/* ---- Looking ------------------------------------------------------------------------------ */

struct pt_step {
	uint8_t level;          /* 5 to 1 */
	uint16_t index;         /* 0 to 511 */
	uint64_t table;         /* frame of the table */
	uint64_t entry;         /* the raw entry */
	bool write, user, exec; /* effective so far: this level and all above */
};

struct pt_walk {
	struct pt_step step[5];
	uint8_t steps; /* how many were taken: the last one is the leaf or what stopped the walk */
	bool mapped;
	bool corrupt;       /* a present entry points to a table outside memory */
	bool reserved;      /* a reserved bit is set in the last entry */
	uint64_t pa;        /* if mapped: the physical address of va, to the byte */
	uint64_t page_size; /* if mapped: 4096, 2 MiB or 1 GiB */
	uint32_t rights;    /* if mapped: effective PT_* rights, PAT and key included */
};
/* Non-canonical addresses give steps = 0. */
void pt_walk(const struct pt *pt, uint64_t va, struct pt_walk *walk);

/* One access, with the processor state that decides (SDM 4.6, 4.7). */
struct pt_access {
	enum { PT_READ, PT_STORE, PT_FETCH } kind;
	uint8_t cpl;     /* 0 to 3; 0 to 2 are supervisor mode */
	bool wp;         /* CR0.WP */
	bool smep, smap; /* CR4.SMEP, CR4.SMAP */
	bool ac;         /* RFLAGS.AC: with CPL < 3 it lifts SMAP */
	uint32_t pkru;   /* bits 2k: AD, 2k+1: WD of key k */
	bool stack;      /* a stack access: non-canonical gives #SS */
};

enum pt_reason {
	PT_ALLOWED,
	PT_NOT_CANONICAL,
	PT_NOT_PRESENT,
	PT_RESERVED_BIT,
	PT_SUPERVISOR_PAGE, /* U/S */
	PT_READ_ONLY,       /* R/W */
	PT_NO_EXECUTE,
	PT_BY_SMEP,
	PT_BY_SMAP,
	PT_BY_KEY,
	PT_BROKEN, /* the tree leads outside memory: what a processor reads there is unknown */
};

struct pt_verdict {
	enum pt_reason reason;
	uint8_t vector; /* 14 #PF, 13 #GP, 12 #SS; 0 when allowed or PT_BROKEN */
	uint32_t error; /* error code */
	uint8_t level;  /* which level said no, 5 to 1; 0: none */
	uint64_t pa;    /* when allowed */
};
/*
 * SDM 4.6 and 4.7, explicit accesses only.  Where several walls stand in the way the reason is the
 * first in this order: U/S, SMEP, SMAP, R/W, NX, key; of several levels the highest.  The error
 * code does not depend on that order: PK is set whenever the key denies the access, I/D on every
 * fetch with NXE or SMEP on.
 */
void pt_explain(const struct pt *pt, uint64_t va, struct pt_access access,
                struct pt_verdict *verdict);

/* Neighbouring leaves that continue each other, physically and in rights, as one run. */
struct pt_run {
	uint64_t va, pa, len;
	uint32_t rights;    /* effective PT_* rights */
	bool shared;        /* reached through a shared entry */
	uint64_t leaves[3]; /* how many of 4 KiB, 2 MiB, 1 GiB it is made of */
};
/* Calls `each` for every run from `start` to `end` (inclusive last byte), in order of addresses
 * (the user half first); stops when it returns false.  Runs are cut to the pages of the range.
 * Entries with reserved bits map nothing.  PT_ECORRUPT when a table outside memory was skipped. */
enum pt_status pt_each(const struct pt *pt, uint64_t start, uint64_t end,
                       bool (*each)(void *ctx, const struct pt_run *run), void *ctx);

/* Calls `each` for every range on which the two trees differ in address, rights or presence:
 * a or b is NULL where that tree maps nothing, else both have the same va and len. */
enum pt_status pt_diff(const struct pt *a, const struct pt *b,
                       bool (*each)(void *ctx, const struct pt_run *a, const struct pt_run *b),
                       void *ctx);

struct pt_counts {
	uint64_t tables[6];  /* [level]: tables the tree owns, 1 to 5 */
	uint64_t shared;     /* entries that point into another tree */
	uint64_t leaves[3];  /* 4 KiB, 2 MiB, 1 GiB, shared ones included */
	uint64_t pages;      /* the same in 4 KiB pages */
	uint64_t user_pages; /* of them, those ring 3 can reach */
};
enum pt_status pt_count(const struct pt *pt, uint64_t start, uint64_t end,
                        struct pt_counts *counts);

/* Rules of a sane tree; bits of the result and of pt_finding.rule. */
enum pt_rule {
	PT_RULE_WX = 1 << 0,          /* a page is writable and executable */
	PT_RULE_USER_KERNEL = 1 << 1, /* a page of the kernel half is a user page */
	PT_RULE_RESERVED = 1 << 2,    /* a reserved bit is set */
	PT_RULE_OUTSIDE = 1 << 3,     /* a frame lies outside RAM */
	PT_RULE_GLOBAL_USER = 1 << 4, /* a user page is global: it outlives its address space */
};
struct pt_finding {
	uint64_t va, entry;
	enum pt_rule rule;
	uint8_t level;
};
/* Where RAM is: up to two ranges [start, end), an empty one for none. */
struct pt_ram {
	struct {
		uint64_t start, end;
	} part[2];
};
/* Returns the union of the rules broken; each finding goes to `each`, which may be NULL. */
uint32_t pt_audit(const struct pt *pt, struct pt_ram ram,
                  bool (*each)(void *ctx, const struct pt_finding *finding), void *ctx);

/* The value for CR3 (SDM 2.5, 4.10.4.1): pcid 0 to 4095, and 0 without geo.pcid; noflush sets bit
 * 63, and only with geo.pcid. */
uint64_t pt_cr3(const struct pt *pt, uint16_t pcid, bool noflush);

/* ---- Words (pt_text.c: for hosts, not linked into a guest) ---------------------------------- */

const char *pt_status_text(enum pt_status status);
/* "pt_map va 0x... len 0x...: no memory for a level-2 table": writes at most size bytes, always
 * terminated, and returns what snprintf returns. */
int pt_change_text(char *buf, size_t size, const char *call, uint64_t va, uint64_t len,
                   enum pt_status status, const struct pt_change *change);
/* One sentence: "ring 3 read of 0x...: #PF 0x4 at the PML4 entry: not present". */
int pt_verdict_text(char *buf, size_t size, uint64_t va, struct pt_access access,
                    const struct pt_verdict *verdict);
/* "rwxug" with '-' for what is missing. */
const char *pt_rights_text(char buf[8], uint32_t rights);

#endif
