/*
 * Segment, gate and task-state descriptors of long mode: encode and decode (SDM volume 3, 3.4.5,
 * 5.8.3, 6.14.1, 7.2.3, 7.7).  Pure code: values in, values out.
 */
#ifndef SHARED_DESC_H
#define SHARED_DESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Type field of system descriptors in long mode (SDM table 3-2) and of code and data (table 3-1).
 */
enum {
	DESC_TSS_AVAILABLE = 9,
	DESC_TSS_BUSY = 11,
	DESC_CALL_GATE = 12,
	DESC_INTERRUPT_GATE = 14,
	DESC_TRAP_GATE = 15,
	DESC_DATA_RO = 0x1, /* code and data with the accessed bit set, so that the CPU need not */
	DESC_DATA_RW = 0x3,
	DESC_CODE_X = 0x9,
	DESC_CODE_RX = 0xb,
	DESC_CODE_CONFORMING_RX = 0xf,
};

/* A segment descriptor, decoded.  limit is in bytes, inclusive (0xffffffff: all 4 GiB). */
struct desc_segment {
	uint64_t base; /* 32 bits for code and data, 64 for TSS and LDT */
	uint32_t limit;
	uint8_t type; /* 0 to 15 */
	bool system;  /* S = 0: TSS, LDT; 16 bytes long */
	uint8_t dpl;  /* 0 to 3 */
	bool present;
	bool avl;
	bool code64; /* L */
	bool big;    /* D/B */
};

/* Writes 8 bytes (code, data) to word[0], or 16 (system) to word[0..1].  Limits above 1 MiB are
 * stored in 4 KiB units and must then end in 0xfff.  False: the fields do not fit (limit not
 * representable, a 64-bit base for code or data, L together with D). */
bool desc_segment_encode(const struct desc_segment *seg, uint64_t word[2]);
/* Reads word[0], and word[1] for system descriptors.  Never fails: every bit pattern is something.
 */
void desc_segment_decode(const uint64_t word[2], struct desc_segment *seg);

/* A gate of the IDT, or a call gate, decoded. */
struct desc_gate {
	uint64_t offset;   /* entry point */
	uint16_t selector; /* code segment */
	uint8_t ist;       /* 0 to 7; interrupt and trap gates only */
	uint8_t type;      /* DESC_INTERRUPT_GATE, DESC_TRAP_GATE, DESC_CALL_GATE */
	uint8_t dpl;       /* 0 to 3 */
	bool present;
};
bool desc_gate_encode(const struct desc_gate *gate, uint64_t word[2]);
void desc_gate_decode(const uint64_t word[2], struct desc_gate *gate);

/* The 64-bit TSS (SDM 7.7): stacks, and where the I/O permission bitmap begins. */
struct desc_tss {
	uint32_t reserved0;
	uint32_t rsp[3][2]; /* RSP0 to RSP2, low and high half: they are not 8-byte aligned */
	uint32_t reserved1[2];
	uint32_t ist[7][2]; /* IST1 to IST7 */
	uint32_t reserved2[2];
	uint16_t reserved3;
	uint16_t iomap_base; /* from the start of the TSS; beyond the limit: no port is allowed */
};
_Static_assert(sizeof(struct desc_tss) == 104, "SDM 7.7");
_Static_assert(offsetof(struct desc_tss, rsp) == 4, "SDM 7.7");
_Static_assert(offsetof(struct desc_tss, ist) == 36, "SDM 7.7");
_Static_assert(offsetof(struct desc_tss, iomap_base) == 102, "SDM 7.7");

void desc_tss_set_rsp(struct desc_tss *tss, unsigned ring, uint64_t rsp); /* ring 0 to 2 */
uint64_t desc_tss_rsp(const struct desc_tss *tss, unsigned ring);
void desc_tss_set_ist(struct desc_tss *tss, unsigned index, uint64_t rsp); /* index 1 to 7 */
uint64_t desc_tss_ist(const struct desc_tss *tss, unsigned index);

/* A selector taken apart (SDM 3.4.2). */
static inline unsigned selector_index(uint16_t sel)
{
	return sel >> 3;
}
static inline unsigned selector_rpl(uint16_t sel)
{
	return sel & 3;
}
static inline bool selector_ldt(uint16_t sel)
{
	return sel & 4;
}

/* STAR (SDM 5.8.8): SYSCALL's and SYSRET's selector bases. */
uint64_t desc_star(uint16_t syscall_cs, uint16_t sysret_cs);

#endif
