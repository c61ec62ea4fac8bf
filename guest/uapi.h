/*
 * What the kernel and its ring 3 programs share: system-call numbers beyond Linux's, and the
 * structures those calls fill.  The Linux calls have Linux's numbers, arguments and errors.
 */
#ifndef GUEST_UAPI_H
#define GUEST_UAPI_H

#include "shared/abi.h"

/* ---- Linux's values ----------------------------------------------------------------------------
 */

/* mmap, mprotect */
#define PROT_NONE           0
#define PROT_READ           1
#define PROT_WRITE          2
#define PROT_EXEC           4
#define MAP_SHARED          0x01
#define MAP_PRIVATE         0x02
#define MAP_TYPE            0x0f
#define MAP_FIXED           0x10
#define MAP_ANONYMOUS       0x20
#define MAP_32BIT           0x40
#define MAP_GROWSDOWN       0x100
#define MAP_HUGETLB         0x40000
#define MAP_FIXED_NOREPLACE 0x100000

/* ---- Ringscope's own calls ---------------------------------------------------------------------
 */

/* The same numbers by SYSCALL and by INT 0x80. */
#define RS_SYS_BASE          1000
#define RS_SYS_FAULT_HANDLER 1000 /* (address): faults continue there; 0: they end the process */
#define RS_SYS_PTI_MODE      1001 /* (RS_PTI_*, or -1 to ask): returns the mode before */
#define RS_SYS_MARK          1002 /* (slot): the kernel marks, from inside the call */
#define RS_SYS_MARKS         1003 /* (struct rs_mark[RS_MARKS]): copies the marks out */
#define RS_SYS_MARK_SLOT                                                                           \
	1004                    /* (slot or -1): the kernel marks there when it handles a fault of \
	                         * this process or switches to it; slot >= 0 also opens            \
	                         * RS_PORT_MARK to this process's ring 3 */
#define RS_SYS_COUNT_PAGES 1005 /* (struct rs_page_counts *) */
#define RS_SYS_RING0_LOOP                                                                          \
	1006             /* (n): n turns of a two-instruction loop in ring 0; returns TSC          \
	                  * ticks */
#define RS_SYS_INFO 1007 /* (struct rs_info *) */
#define RS_SYS_USER_ROOT                                                                           \
	1008              /* (struct rs_range *, n): what the user root maps of the kernel         \
	                   * half, up to n ranges; returns how many there are */
#define RS_SYS_CRASH 1009 /* (RS_CRASH_*): the kernel does something fatal */
#define RS_SYS_RECORD                                                                              \
	1010 /* (struct rs_record *, n): figures for the VMM's reports, n at most                  \
	      * RS_RECORDS_A_CALL; returns how many it took */
/* What the gallery programs (walls, hostile, crossings) need done for them in ring 0:
 * guest/gallery.h. */
#define RS_SYS_CLOCK 1011 /* (): the host's CLOCK_MONOTONIC in nanoseconds */
#define RS_SYS_GALLERY                                                                             \
	1016 /* (0 or 1): takes the test descriptors out of GDT and IDT, or puts                   \
	      * them in */
#define RS_SYS_RING0                                                                               \
	1017               /* (RS_RING0_*, user address, struct rs_fault *): one attempt in ring   \
	                    * 0; 0: it went through, 1: it faulted, and how */
#define RS_SYS_STATE  1018 /* (RS_STATE_*, value): returns the value before */
#define RS_SYS_RETURN 1019 /* (cs, ss, rip, rsp): the kernel returns there; RPL of cs 3 */
#define RS_SYS_RING                                                                                \
	1020 /* (1 or 2, RS_RING_*, address): goes on in that ring, in the entry                   \
	      * text; comes back by the fault that ends each attempt */
#define RS_SYS_SLICES                                                                              \
	1021               /* (min, max microseconds): time slices of such a length; 0, 0: none.   \
	                    * -ENODEV: no timer works here, scheduling stays cooperative */
#define RS_SYS_STATS  1022 /* (struct rs_stats *): what the kernel counted, on all CPUs */
#define RS_SYS_THREAD 1023 /* (RS_THREAD_*): a kernel thread that counts in ring 0 */
#define RS_SYS_KERNEL_PAGE                                                                         \
	1024 /* (RS_KERNEL_PAGE_*, value): a page of the kernel half, seen by every process */
#define RS_SYS_ESCAPE 1025 /* (struct rs_escape *, n): likewise, rows of the escape gallery */
#define RS_SYS_TABLE                                                                               \
	1026 /* (index, struct rs_syscall *): an entry of the kernel's tables of                   \
	      * system calls; -EINVAL: there are no more */
#define RS_SYS_TORTURE                                                                             \
	1027            /* (enum rs_torture_what, buffer, bytes): RS_CALL_TORTURE of               \
	                 * shared/abi.h */
#define RS_SYS_COUNT 32 /* room in the table */

#define RS_THREAD_START 0 /* -EAGAIN: there is one already, or no room */
#define RS_THREAD_COUNT 1 /* returns how far it has counted */
#define RS_THREAD_STOP  2 /* waits for its end; returns how far it came */

#define RS_KERNEL_PAGE_MAP   0 /* and writes the value there */
#define RS_KERNEL_PAGE_READ  1 /* through the calling process's own tables; -EFAULT: not mapped */
#define RS_KERNEL_PAGE_UNMAP 2

#define RS_CRASH_STACK  0 /* recursion until the kernel stack's guard page: #DF */
#define RS_CRASH_FAULT  1 /* a write to address 16 in ring 0: #PF, panic */
#define RS_CRASH_TRIPLE 2 /* an IDT without gates, then #UD: the processor shuts down */
#define RS_CRASH_RSP0   3 /* TSS.RSP0 becomes no address: the caller's next fault is a #DF */

/* Attempts of ring 0 (RS_SYS_RING0).  "user": at the address that the caller names. */
#define RS_RING0_READ_USER          0
#define RS_RING0_WRITE_USER         1
#define RS_RING0_FETCH_USER         2 /* -EPERM where neither SMEP nor KPTI would stop it */
#define RS_RING0_WRITE_TEXT         3 /* the kernel's own */
#define RS_RING0_WRITE_TEXT_NO_WP   4 /* ... with CR0.WP clear */
#define RS_RING0_FETCH_DATA         5
#define RS_RING0_READ_NOTHING       6 /* a page that is mapped nowhere: a stack's guard */
#define RS_RING0_WRITE_NOTHING      7
#define RS_RING0_FETCH_NOTHING      8
#define RS_RING0_READ_NONCANONICAL  9
#define RS_RING0_STACK_NONCANONICAL 10
#define RS_RING0_JUMP_NONCANONICAL  11
#define RS_RING0_LSTAR_NONCANONICAL 12
#define RS_RING0_CR4_RESERVED       13
#define RS_RING0_CR0_PG_WITHOUT_PE  14
#define RS_RING0_LTR_BUSY           15
#define RS_RING0_SS_RPL3            16
#define RS_RING0_DIVIDE             17
#define RS_RING0_UNDEFINED          18
#define RS_RING0_SYSRET             19 /* to no address; on AMD it would fault in ring 3 */
#define RS_RING0_SYSEXIT            20 /* likewise */
#define RS_RING0_COUNT              21

/* States (RS_SYS_STATE).  RS_SYS_GALLERY(0) undoes each of them. */
#define RS_STATE_TSD         0  /* CR4.TSD */
#define RS_STATE_SCE         1  /* EFER.SCE */
#define RS_STATE_SYSENTER_CS 2  /* the MSR, as it was or 0 */
#define RS_STATE_BP_DPL      3  /* of the IDT gate of INT3 */
#define RS_STATE_IDT_LIMIT   4  /* in vectors */
#define RS_STATE_PKE         5  /* CR4.PKE; -EINVAL: the CPU has no protection keys */
#define RS_STATE_LEAF_BITS   6  /* added to the entry of RS_STATE_LEAF: bits 51 and 62:59 */
#define RS_STATE_LEAF        7  /* the user page that RS_STATE_LEAF_BITS speaks of */
#define RS_STATE_WATCH       8  /* a user address watched by DR0; 0: none */
#define RS_STATE_SILENT      9  /* the console is not told of processes that a fault ended */
#define RS_STATE_INT80_DPL   10 /* of the IDT gate of INT 0x80 */
#define RS_STATE_OSXSAVE     11 /* CR4.OSXSAVE; -EINVAL: the CPU has no XSAVE */
#define RS_STATE_BAD_IST     12 /* #DB's IST in the TSS is no address */
#define RS_STATE_COUNT       13

/* Attempts of rings 1 and 2 (RS_SYS_RING); each ends in UD2 when nothing stopped it. */
#define RS_RING_NOTHING       0
#define RS_RING_READ          1
#define RS_RING_WRITE         2
#define RS_RING_JUMP          3
#define RS_RING_HLT           4
#define RS_RING_CLI           5
#define RS_RING_IN            6
#define RS_RING_READ_CR3      7
#define RS_RING_LOAD_SELECTOR 8  /* into DS */
#define RS_RING_LOAD_STACK    9  /* ... SS */
#define RS_RING_INT80         10 /* getpid, result in RAX */
#define RS_RING_COUNT         11

/* Descriptors of the gallery, in GDT entries that are free otherwise. */
#define RS_SEL_ABSENT_DATA  0x53
#define RS_SEL_CONFORMING   0x58 /* ring 0 code, 64-bit, readable */
#define RS_SEL_EXECUTE_ONLY 0x63
#define RS_SEL_READ_ONLY    0x6b
#define RS_SEL_RING1_CODE   0x71
#define RS_SEL_RING1_DATA   0x79
#define RS_SEL_RING2_CODE   0x82
#define RS_SEL_RING2_DATA   0x8a
#define RS_SEL_GATE         0x93 /* call gates take two entries */
#define RS_SEL_GATE_DPL0    0xa3
#define RS_SEL_GATE_ABSENT  0xb3
#define RS_SEL_ABSENT_CODE  0xc3
#define RS_SEL_BASED        0xcb /* user data with base RS_BASED */
#define RS_BASED            0x12345000
#define RS_SEL_TASK_GATE    0xd3  /* to the TSS */
#define RS_SEL_LDT          0x07  /* index 0 of an LDT that does not exist */
#define RS_SEL_BEYOND       0x103 /* the first entry beyond the GDT's limit */
/* Gates of the gallery, in the IDT. */
#define RS_VECTOR_ABSENT 0x81 /* not present */
#define RS_VECTOR_TRAP   0x82 /* a trap gate, DPL 3 */

/* Where the kernel's text begins (guest/kernel.ld), for those who want to try. */
#define RS_KERNEL_TEXT (RS_IMAGE_BASE + 0x100000)

/* In EAX at SYSENTER: the caller is 32-bit code. */
#define RS_SYSENTER_COMPAT 0x40000000

#ifndef __ASSEMBLER__

/* RDI, RSI, RDX, RCX when a fault handler starts: vector, error code, CR2, RIP of the fault. */

/* 4 KiB pages of the kernel half that each root of the calling process maps. */
struct rs_page_counts {
	uint64_t kernel_root;
	uint64_t user_root;
};

/* A system call that there is. */
struct rs_syscall {
	char name[24];
	uint32_t number;
	uint32_t ways; /* RS_TABLE_* */
};
#define RS_TABLE_64   1 /* by SYSCALL, SYSENTER or a call gate from 64-bit code */
#define RS_TABLE_I386 2 /* by INT 0x80, or from 32-bit code */

struct rs_range {
	uint64_t va, len;
	uint32_t rights; /* PT_WRITE, PT_EXEC, PT_USER of shared/pt.h */
};
#define RS_MAX_RANGES 128 /* what the entry areas of RS_MAX_CPUS take, and more */

struct rs_info {
	uint64_t features, quirks;
	uint32_t levels, pti_mode;
	uint64_t ram_size, tsc_khz;
	uint64_t entry_text_size;
	uint64_t frames_free;               /* of RAM, in frames of 4096 bytes */
	uint64_t quirk_syscall, quirk_intn; /* rs_stats: what had to be completed so far */
	uint64_t fault_rflags;              /* as the caller's last fault saved them */
	uint32_t maxphyaddr;
	uint32_t cpu, cpus; /* which one asks, of how many that run */
};

/* A fault in ring 0 (RS_SYS_RING0). */
struct rs_fault {
	uint64_t vector, error, cr2, rip;
};

#endif /* __ASSEMBLER__ */
#endif
