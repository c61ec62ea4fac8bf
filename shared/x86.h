/*
 * x86-64 constants that both sides of the boundary need: control registers, EFER, MSR numbers,
 * RFLAGS, exception vectors and page-fault error bits.  Values only, no code, so that assembly
 * can include this header too.  Section numbers are those of the Intel SDM volume 3 (order number
 * 325384) unless APM (AMD64 Architecture Programmer's Manual, volume 2) is named.
 */
#ifndef SHARED_X86_H
#define SHARED_X86_H

#ifdef __ASSEMBLER__
#define X86_BIT(n) (1 << (n))
#else
#include <stdint.h>
#define X86_BIT(n) (UINT64_C(1) << (n))
#endif

/* CR0, 2.5 */
#define CR0_PE X86_BIT(0)
#define CR0_MP X86_BIT(1)
#define CR0_EM X86_BIT(2)
#define CR0_TS X86_BIT(3)
#define CR0_ET X86_BIT(4)
#define CR0_NE X86_BIT(5)
#define CR0_WP X86_BIT(16)
#define CR0_AM X86_BIT(18)
#define CR0_NW X86_BIT(29)
#define CR0_CD X86_BIT(30)
#define CR0_PG X86_BIT(31)

/* CR4, 2.5 */
#define CR4_TSD        X86_BIT(2)
#define CR4_DE         X86_BIT(3)
#define CR4_PSE        X86_BIT(4)
#define CR4_PAE        X86_BIT(5)
#define CR4_PGE        X86_BIT(7)
#define CR4_OSFXSR     X86_BIT(9)
#define CR4_OSXMMEXCPT X86_BIT(10)
#define CR4_UMIP       X86_BIT(11)
#define CR4_LA57       X86_BIT(12)
#define CR4_FSGSBASE   X86_BIT(16)
#define CR4_PCIDE      X86_BIT(17)
#define CR4_OSXSAVE    X86_BIT(18)
#define CR4_SMEP       X86_BIT(20)
#define CR4_SMAP       X86_BIT(21)
#define CR4_PKE        X86_BIT(22)

/* CR3, 4.5 and 4.10.4.1: bits 11:0 are the PCID when CR4.PCIDE is set; bit 63 keeps the TLB. */
#define CR3_PCID_MASK   0xfff
#define CR3_NOFLUSH_BIT 63
#ifndef __ASSEMBLER__
#define CR3_NOFLUSH X86_BIT(CR3_NOFLUSH_BIT)
#define CR3_FRAME   UINT64_C(0x000ffffffffff000)
#endif

/* EFER, 2.2.1 */
#define EFER_SCE X86_BIT(0)
#define EFER_LME X86_BIT(8)
#define EFER_LMA X86_BIT(10)
#define EFER_NXE X86_BIT(11)

/* Model-specific registers of the boundary, SDM volume 4, 2.1 */
#define MSR_TSC            0x10
#define MSR_SYSENTER_CS    0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_FMASK          0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

/* IA32_PAT as it is after reset (12.12.4): WB, WT, UC-, UC, and the same again. */
#define PAT_RESET_LOW  0x00070406
#define PAT_RESET_HIGH 0x00070406

/* RFLAGS, volume 1, 3.4.3 */
#define RFLAGS_CF    X86_BIT(0)
#define RFLAGS_FIXED X86_BIT(1)
#define RFLAGS_PF    X86_BIT(2)
#define RFLAGS_AF    X86_BIT(4)
#define RFLAGS_ZF    X86_BIT(6)
#define RFLAGS_SF    X86_BIT(7)
#define RFLAGS_TF    X86_BIT(8)
#define RFLAGS_IF    X86_BIT(9)
#define RFLAGS_DF    X86_BIT(10)
#define RFLAGS_OF    X86_BIT(11)
#define RFLAGS_IOPL  (X86_BIT(12) | X86_BIT(13))
#define RFLAGS_NT    X86_BIT(14)
#define RFLAGS_RF    X86_BIT(16)
#define RFLAGS_VM    X86_BIT(17)
#define RFLAGS_AC    X86_BIT(18)
#define RFLAGS_ID    X86_BIT(21)

/* Exception vectors, 6.3.1 */
#define VECTOR_DE  0
#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_BP  3
#define VECTOR_OF  4
#define VECTOR_BR  5
#define VECTOR_UD  6
#define VECTOR_NM  7
#define VECTOR_DF  8
#define VECTOR_TS  10
#define VECTOR_NP  11
#define VECTOR_SS  12
#define VECTOR_GP  13
#define VECTOR_PF  14
#define VECTOR_MF  16
#define VECTOR_AC  17
#define VECTOR_MC  18
#define VECTOR_XM  19
#define VECTOR_VE  20
#define VECTOR_CP  21

/* Vectors for which the processor pushes an error code: DF, TS, NP, SS, GP, PF, AC, CP, and
 * AMD's VC (29) and SX (30); 6.3.1 and APM 8.2. */
#define VECTORS_WITH_ERROR_CODE                                                                    \
	(X86_BIT(8) | X86_BIT(10) | X86_BIT(11) | X86_BIT(12) | X86_BIT(13) | X86_BIT(14) |        \
	 X86_BIT(17) | X86_BIT(21) | X86_BIT(29) | X86_BIT(30))

/* Page-fault error code, 4.7 */
#define PF_P    X86_BIT(0)
#define PF_W    X86_BIT(1)
#define PF_U    X86_BIT(2)
#define PF_RSVD X86_BIT(3)
#define PF_ID   X86_BIT(4)
#define PF_PK   X86_BIT(5)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096

#endif
