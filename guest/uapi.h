/*
 * What the kernel and its ring 3 programs share: system-call numbers beyond Linux's, and the structures
 * those calls fill.  The Linux calls have Linux's numbers, arguments and errors.
 */
#ifndef GUEST_UAPI_H
#define GUEST_UAPI_H

#include "shared/abi.h"

/* Ringscope's own calls.  The same numbers by SYSCALL and by INT 0x80. */
#define RS_SYS_BASE 1000
#define RS_SYS_FAULT_HANDLER 1000 /* (address): faults continue there; 0: they end the process */
#define RS_SYS_PTI_MODE 1001      /* (RS_PTI_*, or -1 to ask): returns the mode before */
#define RS_SYS_MARK 1002          /* (slot): the kernel marks, from inside the call */
#define RS_SYS_MARKS 1003         /* (struct rs_mark[RS_MARKS]): copies the marks out */
#define RS_SYS_MARK_SLOT 1004     /* (slot or -1): the kernel marks there when it handles a fault of
                                   * this process or switches to it; slot >= 0 also opens
                                   * RS_PORT_MARK to this process's ring 3 */
#define RS_SYS_COUNT_PAGES 1005   /* (struct rs_page_counts *) */
#define RS_SYS_RING0_LOOP 1006    /* (n): n turns of a two-instruction loop in ring 0; returns TSC
                                   * ticks */
#define RS_SYS_INFO 1007          /* (struct rs_info *) */
#define RS_SYS_USER_ROOT 1008     /* (struct rs_range *, n): what the user root maps of the kernel
                                   * half, up to n ranges; returns how many there are */
#define RS_SYS_CRASH 1009         /* (RS_CRASH_*): the kernel does something fatal */
#define RS_SYS_COUNT 16           /* room in the table */

#define RS_CRASH_STACK 0 /* recursion until the kernel stack's guard page: #DF */
#define RS_CRASH_FAULT 1 /* a write to address 16 in ring 0: #PF, panic */
#define RS_CRASH_TRIPLE 2 /* an IDT without gates, then #UD: the processor shuts down */

#ifndef __ASSEMBLER__

/* RDI, RSI, RDX, RCX when a fault handler starts: vector, error code, CR2, RIP of the fault. */

/* 4 KiB pages of the kernel half that each root of the calling process maps. */
struct rs_page_counts {
	uint64_t kernel_root;
	uint64_t user_root;
};

struct rs_range {
	uint64_t va, len;
	uint32_t rights; /* PT_WRITE, PT_EXEC, PT_USER of shared/pt.h */
};
#define RS_MAX_RANGES 64

struct rs_info {
	uint64_t features, quirks;
	uint32_t levels, pti_mode;
	uint64_t ram_size, tsc_khz;
	uint64_t kernel_text; /* an address in the kernel's text, for those who want to try */
	uint64_t entry_text;  /* an address in the entry text */
	uint64_t entry_text_size;
	uint64_t frames_free; /* of RAM, in frames of 4096 bytes */
};

#endif /* __ASSEMBLER__ */
#endif
