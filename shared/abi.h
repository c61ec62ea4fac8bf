/*
 * The contract between the VMM and a guest: everything that one side writes and the other reads.
 *
 * A guest that wants descriptor tables, entry points and MSRs carries one ELF note (struct
 * rs_note, name "Ringscope", type RS_NOTE_TYPE).  From it the VMM writes GDT, IDT, TSS and MSRs and
 * enters the guest's ELF entry point in ring 0 with everything live:
 *
 *     RDI = address of struct rs_boot      RSP = top of the boot stack (16-byte aligned)
 *     RSI = the CPU's number               RFLAGS = 2 (interrupts off)
 *     CR3 = the kernel root                GS base = RS_ENTRY_CPU(RSI)
 *     KERNEL_GS base = 0                   CPL = 0, CS = RS_SEL_KERNEL_CODE
 *
 * The other CPUs of --cpus start in the same way at rs_note.cpu_entry, each with its own stack,
 * GDT, TSS and entry area, when the guest asks for it with RS_CALL_START_CPU.
 *
 * A guest without the note is entered in the same way, with its segments mapped for ring 0 where
 * its program headers say, but has no IDT: any exception ends it.  With no CPUID instruction in its
 * text either its processor is a basic one (vmm/kvm/cpuid.h), as rs_boot.features then tells.
 *
 * The guest's address space (all of it is built by the VMM before the first instruction runs):
 *
 *     0 ... 00007fff_ffffffff    user half: empty at boot; the guest's kernel fills it
 *     ffff8880_00000000          direct map of all RAM, read-write, no-execute
 *     ffffc900_00000000          left to the guest: kernel stacks
 *     ffffffff_80000000          the image, each segment with its own rights
 *     ffffffff_a0000000          per-CPU pages that only the kernel root maps
 *     ffffffff_b0000000          the boot page, read-only
 *     ffffffff_c0000000          the entry area: the top 1 GiB, all that a user root maps of
 *                                the kernel half: entry text, IDT, GDT, TSS, entry and
 *                                exception stacks, and the words the entry code needs
 *
 * Top-level slot 256 (ffff8000_00000000) stays empty: on one KVM ring 3 can never reach it.
 *
 * Everything a guest writes here is hostile to the VMM until checked; nothing is read twice.
 * All fields are little-endian; all sizes are bytes.
 */
#ifndef SHARED_ABI_H
#define SHARED_ABI_H

#include "shared/x86.h"

#define RS_ABI_VERSION 2

/* ---- The address space ------------------------------------------------------------------- */

#define RS_USER_END        0x0000800000000000
#define RS_DIRECT_BASE     0xffff888000000000
#define RS_STACKS_BASE     0xffffc90000000000
#define RS_IMAGE_BASE      0xffffffff80000000
#define RS_KERNEL_CPU_BASE 0xffffffffa0000000
#define RS_BOOT_PAGE       0xffffffffb0000000
#define RS_ENTRY_BASE      0xffffffffc0000000
#define RS_ENTRY_IDT       0xffffffffcff00000
#define RS_ENTRY_CPU_BASE  0xffffffffd0000000

/* RAM in guest-physical space: from 0 to RS_HOLE at most, and what is more from RS_HIGH_RAM on.  In
 * between a machine has its devices: KVM too puts the local APICs' page there (0xfee00000), and on
 * Intel refuses RAM in its place. */
#define RS_HOLE     0x00000000c0000000
#define RS_HIGH_RAM 0x0000000100000000

#define RS_MAX_CPUS   8
#define RS_CPU_STRIDE 0x20000

/* Inside the entry area of one CPU, offsets from RS_ENTRY_CPU(n).  What is not listed is a guard:
 * never mapped.  Stacks grow down from their TOP. */
#define RS_ENTRY_WORDS      0x0000
#define RS_ENTRY_GDT        0x1000
#define RS_ENTRY_TSS        0x2000
#define RS_ENTRY_STACK_TOP  0x5000
#define RS_ENTRY_STACK_SIZE 0x1000
#define RS_IST_TOP(i)       (0x5000 + (i)*0x3000) /* i = 1..7 */
#define RS_IST_SIZE         0x2000

/* Inside the kernel-only pages of one CPU, offsets from RS_KERNEL_CPU(n). */
#define RS_KERNEL_STATS           0x0000
#define RS_KERNEL_CALL            0x1000
#define RS_KERNEL_BOOT_STACK_TOP  0x7000
#define RS_KERNEL_BOOT_STACK_SIZE 0x2000

/* ---- Selectors --------------------------------------------------------------------------- */

/* The order is forced: SYSCALL takes CS = STAR[47:32] and SS = +8; SYSRET takes SS = STAR[63:48]
 * + 8 and CS = +16 for 64-bit, +0 for 32-bit code (SDM volume 2, SYSCALL, SYSRET); SYSEXIT wants
 * ring 3 code and data at SYSENTER_CS + 16 and + 24 for 32-bit, + 32 and + 40 for 64-bit. */
#define RS_SEL_KERNEL_CODE 0x08
#define RS_SEL_KERNEL_DATA 0x10
#define RS_SEL_USER_CODE32 0x1b
#define RS_SEL_USER_DATA   0x23
#define RS_SEL_USER_CODE   0x2b
#define RS_SEL_USER_DATA2  0x33
#define RS_SEL_TSS         0x40
#define RS_GDT_ENTRIES     32 /* the rest is the guest's to fill */

/* TSS plus I/O permission bitmap: ports 0 to RS_IO_BITMAP_PORTS - 1, all denied at boot. */
#define RS_IO_BITMAP_OFFSET 104
#define RS_IO_BITMAP_PORTS  0x600
#define RS_TSS_LIMIT        (RS_IO_BITMAP_OFFSET + RS_IO_BITMAP_PORTS / 8)

/* ---- Ports ------------------------------------------------------------------------------- */

#define RS_PORT_PUTC 0x500 /* OUT AL: one byte to the console; also OUTSB */
#define RS_PORT_EXIT 0x504 /* OUT AL or EAX: end with this status, 0 to 123 */
#define RS_PORT_CALL 0x508 /* OUT EAX: a function of enum rs_call_function */
#define RS_PORT_MARK 0x50c /* OUT AL: store this vCPU's state in rs_call.marks[AL] */
#define RS_PORT_NOP  0x510 /* OUT: nothing; what an exit costs */

/* ---- KPTI modes and features ------------------------------------------------------------- */

#define RS_PTI_OFF    0 /* one root */
#define RS_PTI_PCID   1 /* two roots, each with its PCID */
#define RS_PTI_NOPCID 2 /* two roots, every switch empties the TLB */

/* Bits of rs_boot.features: what the guest may use.  CPUID inside the guest is not to be asked:
 * one KVM answers it with a mixture (leaves of the host, leaves of the table). */
#define RS_FEATURE_PCID      X86_BIT(0)
#define RS_FEATURE_INVPCID   X86_BIT(1)
#define RS_FEATURE_SMEP      X86_BIT(2)
#define RS_FEATURE_SMAP      X86_BIT(3)
#define RS_FEATURE_UMIP      X86_BIT(4)
#define RS_FEATURE_NX        X86_BIT(5)
#define RS_FEATURE_GIB_PAGES X86_BIT(6)
#define RS_FEATURE_LA57      X86_BIT(7)
#define RS_FEATURE_FSGSBASE  X86_BIT(8)
#define RS_FEATURE_AMD       X86_BIT(9)  /* the CPU's vendor is AMD (or Hygon) */
#define RS_FEATURE_INTEL     X86_BIT(10) /* ... Intel */
/* Each CPU has a local APIC in x2APIC mode (MSRs 800H on, SDM 11.12), enabled but for its spurious
 * vector register; its timer counts at rs_boot.apic_khz with divide by 1. */
#define RS_FEATURE_APIC X86_BIT(11)

/* Bits of rs_boot.quirks: what this KVM was seen to leave undone.  The VMM sets them while the
 * guest runs; the guest may look at any time. */
#define RS_QUIRK_NO_STAC X86_BIT(0) /* STAC and CLAC cannot run in ring 0: the VMM skips them */

/* Bits of rs_note.wants. */
#define RS_WANTS_APIC X86_BIT(0) /* local APICs, where KVM has them: RS_FEATURE_APIC tells */

#ifndef __ASSEMBLER__

#define RS_ENTRY_CPU(n)  (RS_ENTRY_CPU_BASE + (uint64_t)(n)*RS_CPU_STRIDE)
#define RS_KERNEL_CPU(n) (RS_KERNEL_CPU_BASE + (uint64_t)(n)*RS_CPU_STRIDE)

/* Below each stack lies a page that nobody maps, and above the last one too. */
_Static_assert(RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE >= RS_ENTRY_TSS + 2 * PAGE_SIZE &&
                   RS_IST_TOP(1) - RS_IST_SIZE >= RS_ENTRY_STACK_TOP + PAGE_SIZE &&
                   RS_IST_TOP(2) - RS_IST_SIZE >= RS_IST_TOP(1) + PAGE_SIZE &&
                   RS_IST_TOP(7) + PAGE_SIZE <= RS_CPU_STRIDE,
               "the entry area's stacks have guards");
_Static_assert(RS_KERNEL_BOOT_STACK_TOP - RS_KERNEL_BOOT_STACK_SIZE >=
                       RS_KERNEL_CALL + 3 * PAGE_SIZE &&
                   RS_KERNEL_BOOT_STACK_TOP + PAGE_SIZE <= RS_CPU_STRIDE,
               "the boot stack has guards");

/* ---- The note: guest to VMM -------------------------------------------------------------- */

#define RS_NOTE_NAME "Ringscope"
#define RS_NOTE_TYPE 1

/* Addresses are guest-virtual and must lie in an executable segment of the image's kernel half. */
struct rs_note {
	uint32_t abi;             /* RS_ABI_VERSION */
	uint32_t size;            /* sizeof(struct rs_note) */
	uint64_t vectors;         /* stub of vector 0 */
	uint32_t vector_stride;   /* from one stub to the next, 1 to 4096 */
	uint32_t vector_count;    /* 32 to 256; gates beyond are not present */
	uint64_t user_vectors[4]; /* bitmap: gates with DPL 3 */
	uint64_t trap_gates[4];   /* bitmap: trap gates (IF kept); the others clear IF */
	uint8_t ist[32];          /* IST index 0 to 7 of vectors 0 to 31 */
	uint64_t syscall_entry;   /* LSTAR; 0: EFER.SCE stays clear */
	uint64_t compat_entry;    /* CSTAR; 0: none */
	uint64_t sysenter_entry;  /* SYSENTER_EIP; 0: SYSENTER_CS stays 0 */
	uint64_t syscall_mask;    /* FMASK: RFLAGS bits that SYSCALL clears, bits 0 to 31 */
	uint64_t cpu_entry; /* where the other CPUs start (RS_CALL_START_CPU); 0: one CPU only */
	uint64_t wants;     /* RS_WANTS_* */
};
_Static_assert(sizeof(struct rs_note) == 168, "layout of struct rs_note is ABI");

/* ---- The boot page: VMM to guest ---------------------------------------------------------- */

#define RS_BOOT_MAGIC   UINT64_C(0x65706f6373676e69) /* "ingscope" */
#define RS_MAX_SEGMENTS 24
#define RS_CMDLINE_SIZE 2048

/* One PT_LOAD segment as it lies in RAM.  flags are the ELF's PF_R 4, PF_W 2, PF_X 1. */
struct rs_segment {
	uint64_t va;   /* page-aligned down */
	uint64_t gpa;  /* page-aligned down */
	uint64_t size; /* whole pages, zero-filled beyond the file's bytes */
	uint32_t flags;
	uint32_t user; /* 1: in the user half; in RAM, but mapped nowhere (ring 3 programs) */
};

struct rs_boot {
	uint64_t magic;           /* RS_BOOT_MAGIC */
	uint32_t abi;             /* RS_ABI_VERSION */
	uint32_t size;            /* sizeof(struct rs_boot) */
	uint64_t ram_size;        /* RAM is GPA 0 to ram_size - 1, at most RS_HOLE; see high_end */
	uint64_t free_start;      /* frames from here ... */
	uint64_t free_end;        /* ... to here are the guest's, and zero */
	uint64_t kernel_root;     /* GPA of the top-level table that CR3 holds */
	uint64_t features;        /* RS_FEATURE_* */
	volatile uint64_t quirks; /* RS_QUIRK_* */
	uint32_t levels;          /* 4 or 5 */
	uint32_t maxphyaddr;      /* physical address width in bits */
	uint32_t pti_mode;        /* RS_PTI_*: the mode to start in */
	uint32_t cpus;            /* 1 to RS_MAX_CPUS */
	uint64_t tsc_khz;         /* 0: unknown */
	uint64_t apic_khz;        /* of the local APIC's timer; 0: there is none */
	uint32_t segment_count;
	uint32_t argc;               /* words in cmdline */
	uint64_t trace[RS_MAX_CPUS]; /* GPA of each CPU's struct rs_trace; 0: not to be filled */
	struct rs_segment segments[RS_MAX_SEGMENTS];
	char cmdline[RS_CMDLINE_SIZE]; /* argc words, each ended by a NUL; word 0 is the file's name
	                                */
	/* RAM is also GPA RS_HIGH_RAM to high_end - 1, all the guest's, and zero; high_end is
	 * RS_HIGH_RAM where there is none. */
	uint64_t high_end;
	uint64_t ram_total; /* bytes of RAM in both */
};
_Static_assert(sizeof(struct rs_boot) <= PAGE_SIZE, "the boot page is one page");

/* ---- The call page: hypercalls and marks, one per CPU ---------------------------------------- */

/* OUT of the number to RS_PORT_CALL; arguments and result in struct rs_call.  An unknown number or
 * a bad argument gives a negative errno value in result and is counted, never fatal. */
enum rs_call_function {
	RS_CALL_WRITE = 1, /* arg[0]: 1 stdout, 2 stderr; arg[1]: bytes of data; result: written */
	RS_CALL_PANIC = 2, /* arg[0]: bytes of data, a message; arg[1]: GPA of a struct rs_regs or
	                    * all ones; the guest is dead and never runs again */
	RS_CALL_CLOCK = 3, /* result: the host's CLOCK_MONOTONIC in nanoseconds */
	RS_CALL_START_CPU = 4, /* arg[0]: the CPU, 1 to rs_boot.cpus - 1; result: 0, -EINVAL for no
	                        * such CPU, -EALREADY for one that was started before */
	RS_CALL_READ = 5, /* arg[0]: how many bytes at most, of the VMM's standard input, to data;
	                   * result: how many; 0: its end.  Waits for the first byte */
	RS_CALL_RECORD = 16,  /* arg[0]: how many struct rs_record lie in data; result: how many of
	                       * them were taken, from the first on; -EINVAL when the first is wrong,
	                       * -ENOSPC when the VMM's RS_MAX_RECORDS are full */
	RS_CALL_ESCAPE = 17,  /* likewise with struct rs_escape and RS_MAX_ESCAPES */
	RS_CALL_TORTURE = 32, /* see the torture run below; -ENOSYS in every other run */
};

#define RS_MARKS 8

/* The state of a vCPU as the VMM sees it from outside, at one instruction. */
struct rs_mark {
	uint64_t count; /* how many marks this slot has taken; 0: empty */
	uint64_t rip, rsp, rflags, cr3;
	uint16_t cs, ss;
	uint8_t cpl; /* SS.DPL, which is the CPL (SDM 5.5) */
	uint8_t pad[3];
	uint64_t tsc;
};

struct rs_call {
	uint64_t arg[4];
	int64_t result;
	/* CR3 of the current process in ring 0 and in ring 3, equal where one root serves both; the
	 * guest stores them before it loads either.  For looking only: the VMM believes them as far
	 * as CR3 bears them out.  0 before the first process, and in a guest that does not say. */
	uint64_t kernel_cr3, user_cr3;
	uint64_t pad;
	struct rs_mark marks[RS_MARKS];
	char data[4096];
};
_Static_assert(sizeof(struct rs_call) <= 2 * PAGE_SIZE, "the call area is two pages");

/* A figure that the guest measured, for the VMM's reports.  A field may be left all zero unless it
 * says something else. */
struct rs_record {
	char name[48];     /* what was measured, printable ASCII, ended by a NUL; not empty */
	char unit[16];     /* "cycles", "ns", "instructions", "percent"; likewise */
	char x_unit[16];   /* for a point on a curve: the unit of x, likewise; empty: no curve */
	uint64_t x;        /* ... and where it lies on the horizontal axis */
	uint32_t mode;     /* RS_PTI_* it was measured in, or RS_RECORD_NO_MODE */
	uint32_t decimals; /* 0 to 9: the values below are to be divided by 10^decimals */
	uint64_t samples;  /* how many crossings, rounds, ... the values stand for; 0: not told */
	uint64_t
	    outliers; /* samples told apart, because they were interrupted: in none of the values */
	/* RS_RECORD_NONE in each that was not determined; one at least is.  One below 0 is its
	 * size with RS_RECORD_MINUS. */
	uint64_t min, median, p90, p99, max;
};
_Static_assert(sizeof(struct rs_record) == 152, "layout of struct rs_record is ABI");

#define RS_RECORD_NO_MODE UINT32_MAX
#define RS_RECORD_NONE    UINT64_MAX
#define RS_RECORDS_A_CALL 26  /* fit in rs_call.data */
#define RS_MAX_RECORDS    512 /* in a run */
/* Sign and size, no two's complement: there -1 is RS_RECORD_NONE. */
#define RS_RECORD_MINUS (UINT64_C(1) << 63)

/* What an attempt at the boundary met, or should meet. */
struct rs_outcome {
	uint64_t kind;  /* a vector, 0 to 255, or RS_OUTCOME_* */
	uint64_t error; /* the vector's error code, or what is RS_OUTCOME_WRONG; else 0 */
	uint64_t cr2;   /* of #PF; else 0 */
};

#define RS_OUTCOME_ALLOWED   256 /* nothing stopped it, and what it left is right */
#define RS_OUTCOME_ENDED     257 /* the process was ended by a fault */
#define RS_OUTCOME_WRONG     258 /* it went through and left something wrong */
#define RS_OUTCOME_NOT_TRIED 259

/* A row of the guest's escape gallery: one attempt, what the manuals promise, what came. */
struct rs_escape {
	char program[16]; /* that tried it: printable ASCII, ended by a NUL; not empty */
	char host[16];    /* what the program took the host for; likewise */
	char group[48];   /* the rows it belongs to; likewise */
	char name[72];    /* of the row; likewise */
	uint32_t mode;    /* RS_PTI_* it was tried in */
	uint32_t verdict; /* RS_ESCAPE_* */
	struct rs_outcome want, got;
	char why[96]; /* it departs, or was not tried; likewise, but empty where the verdict says
	               * enough */
};
_Static_assert(sizeof(struct rs_escape) == 304, "layout of struct rs_escape is ABI");

#define RS_ESCAPE_OK      0 /* as the manuals promise */
#define RS_ESCAPE_DEPARTS 1 /* otherwise, as is declared of this host */
#define RS_ESCAPE_DIFFERS 2 /* otherwise, and nobody knows why: the run fails */
#define RS_ESCAPE_SKIPPED 3 /* the CPU lacks what the row is about */

#define RS_ESCAPES_A_CALL 13 /* fit in rs_call.data */
#define RS_MAX_ESCAPES    4096
/* ---- The torture run ---------------------------------------------------------------------- */

/*
 * RS_CALL_TORTURE, with --torture: a program of the guest goes the same way across the boundary
 * again and again, one round between two calls, and the VMM makes something happen at each
 * instruction of that way, one in each round.  Rounds must be the same but for what happens in
 * them: same registers at the call, same counts.
 *
 *     arg[0]          enum rs_torture_what
 *     arg[1]          bytes of data that belong to it
 *     arg[2], arg[3]  begin and end of kernel text that is to be hit beside the entry area;
 *                     0, 0: none
 */
enum rs_torture_what {
	RS_TORTURE_CROSSING = 1, /* data: struct rs_torture_crossing, which the next rounds are of;
	                          * result: 1: wanted, 0: leave it out */
	RS_TORTURE_ROUND = 2,    /* a round may begin; result: enum rs_torture_order */
	RS_TORTURE_DIFFERS = 3,  /* data: struct rs_torture_difference[], found after a round, by
	                          * any process */
	RS_TORTURE_END = 4,      /* there are no more crossings; result: the status to end with */
};

enum rs_torture_order {
	RS_TORTURE_NEXT = 0,  /* this crossing is done: no round */
	RS_TORTURE_GO = 1,    /* one round; its outcome must be that of the last one learned */
	RS_TORTURE_LEARN = 2, /* one round whose outcome those to come must have */
};

/* Text is printable ASCII, ended by a NUL. */
struct rs_torture_crossing {
	char name[40];       /* not empty */
	uint32_t mode;       /* RS_PTI_* in force */
	uint32_t flags;      /* RS_TORTURE_* below */
	uint64_t stand;      /* not 0: ring 3 only comes by here, with every register filled, and it
	                      * is the VMM that makes the crossing: by events at this instruction */
	uint64_t vectors[2]; /* ... of these vectors, the first and the last */
	char lacks[64];      /* not empty: there is no such crossing here, and why */
	char alone[128];     /* ... symbols of kernel text that no other crossing reaches, blanks
	                      * between them */
};

/* Bits of rs_torture_crossing.flags. */
#define RS_TORTURE_CHANGING X86_BIT(0) /* each round has other numbers (pids, PCIDs) */
#define RS_TORTURE_LONG     X86_BIT(1) /* and take long: hit only what is new in them */

struct rs_torture_difference {
	char name[16]; /* "RBX", "RFLAGS", ... */
	uint64_t got, want;
};
#define RS_TORTURE_DIFFERENCES 24 /* at most in a call */

/* Registers as the guest saved them at an entry; also what it hands over in a panic. */
struct rs_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t error; /* error code of an exception, else the system call's number */
	uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct rs_regs) == 21 * 8, "entry code pushes 21 words");

/* ---- The statistics page: guest to VMM, one per CPU -------------------------------------------
 */

/* Plain memory: counting costs no exit.  Each field only ever grows. */
struct rs_stats {
	uint64_t vectors[256]; /* entries through the IDT, by vector */
	uint64_t syscall64;    /* entries by SYSCALL from 64-bit code */
	uint64_t syscall32;    /* ... from compatibility code (CSTAR) */
	uint64_t sysenter;
	uint64_t int80;            /* system calls by INT 0x80 (also counted in vectors[0x80]) */
	uint64_t user_faults;      /* faults of ring 3 (all vectors below 32 with CPL 3) */
	uint64_t copy_faults;      /* user copies that ended in EFAULT */
	uint64_t context_switches; /* from one process to another */
	uint64_t processes;        /* created */
	uint64_t killed;           /* ended by a fault */
	uint64_t cr3_entry;        /* CR3 writes on the way in: user root to kernel root */
	uint64_t cr3_exit;         /* ... on the way out: kernel root to user root */
	uint64_t cr3_switch;       /* ... to change address space */
	uint64_t cr3_flush;        /* of all those, the ones that emptied TLB entries */
	uint64_t invlpg;
	uint64_t quirk_syscall; /* SYSCALLs that arrived as a page fault at LSTAR, completed */
	uint64_t quirk_intn;    /* INT n that arrived as #UD, completed */
	uint64_t preempt_ring3; /* time slices that ended in ring 3: another process runs */
	uint64_t preempt_ring0; /* ... in ring 0 */
	uint64_t idle;          /* HLT because nothing was ready */
	uint64_t sleeps;        /* processes that waited for a time (nanosleep) */
	uint64_t shootdowns;    /* IPIs sent to have other CPUs drop translations */
	uint64_t pcid_reused;   /* PCIDs taken from one address space for another */
	uint64_t external80;    /* external interrupts with vector 0x80: no system calls */
	uint64_t if_clear;      /* the APIC's interrupts that came although IF was clear */
};
_Static_assert(sizeof(struct rs_stats) <= PAGE_SIZE, "the statistics page is one page");

/* ---- The trace ring: guest to VMM, one per CPU, only when asked for
 * ------------------------------ */

/*
 * With --trace the VMM takes RAM for a ring from the end of what is the guest's (rs_boot.free_end)
 * and puts its address into rs_boot.trace.  The guest's kernel reaches it through the direct map
 * and notes there what happens without an exit; the VMM empties it at each exit.  Without --trace
 * the address is 0 and the guest does nothing.
 *
 * One writer, one reader, and the reader runs while the writer stands still: the guest fills
 * records[head % capacity] and only then adds 1 to head; it drops a record, and counts it in lost,
 * while head - tail == capacity.  To the VMM head, lost and every record are hostile.
 */
enum rs_trace_kind {
	RS_TRACE_SYSCALL = 1, /* arg: number, result, enum rs_trace_way */
	RS_TRACE_FAULT = 2,   /* arg: vector, error code, RIP, CR2 (0 but for #PF and #DF), CPL */
	RS_TRACE_SWITCH =
	    3, /* from `process` to another; arg: its pid, its CR3 in ring 0, in ring 3 */
	RS_TRACE_END = 4,  /* `process` ended; arg: its status as wait4 gives it */
	RS_TRACE_MODE = 5, /* the KPTI mode changed; arg: RS_PTI_* */
};

enum rs_trace_way { RS_TRACE_BY_SYSCALL, RS_TRACE_BY_INT80, RS_TRACE_BY_COMPAT };

struct rs_trace_record {
	uint64_t begin, end; /* by RDTSC in the guest; the same for what takes no time */
	uint32_t kind;       /* enum rs_trace_kind */
	uint32_t process;    /* pid of who was running */
	uint64_t arg[5];     /* what the kind says, else 0 */
};
_Static_assert(sizeof(struct rs_trace_record) == 64, "layout of struct rs_trace_record is ABI");

struct rs_trace {
	uint64_t head;     /* guest: records written, ever */
	uint64_t lost;     /* guest: records dropped because the ring was full, ever */
	uint64_t tail;     /* VMM: records taken, ever */
	uint64_t capacity; /* VMM: how many fit, a power of two */
	uint64_t pad[4];
	struct rs_trace_record records[];
};
_Static_assert(sizeof(struct rs_trace) == 64, "layout of struct rs_trace is ABI");

#endif /* __ASSEMBLER__ */
#endif
