/* Descriptors of long mode.  The pictures of the bits are in the SDM, volume 3: figures 3-8
 * (segments), 7-4 (TSS), 5-8 (call gate), 6-8 (interrupt and trap gate), 7-11 (the TSS). */
#include "shared/desc.h"

/* The low word of a segment descriptor. */
enum {
	SEG_TYPE = 40,
	SEG_CODE_OR_DATA = 44, /* S */
	SEG_DPL = 45,
	SEG_PRESENT = 47,
	SEG_AVL = 52,
	SEG_LONG = 53,
	SEG_BIG = 54,
	SEG_PAGES = 55, /* G: the limit counts 4 KiB */
};

/* Of a gate. */
enum {
	GATE_SELECTOR = 16,
	GATE_IST = 32,
	GATE_TYPE = 40,
	GATE_DPL = 45,
	GATE_PRESENT = 47,
};

static uint64_t put(uint64_t value, unsigned bit)
{
	return value << bit;
}

static uint64_t get(uint64_t word, unsigned bit, unsigned width)
{
	return word >> bit & ((UINT64_C(1) << width) - 1);
}

bool desc_segment_encode(const struct desc_segment *seg, uint64_t word[2])
{
	bool pages = seg->limit > 0xfffff;
	uint64_t limit = pages ? seg->limit >> 12 : seg->limit;

	if (pages && (seg->limit & 0xfff) != 0xfff)
		return false;
	if (seg->type > 15 || seg->dpl > 3 || (seg->code64 && seg->big))
		return false;
	if (!seg->system && seg->base >> 32)
		return false;
	word[0] = get(limit, 0, 16) | put(get(seg->base, 0, 24), 16) | put(seg->type, SEG_TYPE) |
	          put(!seg->system, SEG_CODE_OR_DATA) | put(seg->dpl, SEG_DPL) |
	          put(seg->present, SEG_PRESENT) | put(get(limit, 16, 4), 48) |
	          put(seg->avl, SEG_AVL) | put(seg->code64, SEG_LONG) | put(seg->big, SEG_BIG) |
	          put(pages, SEG_PAGES) | put(get(seg->base, 24, 8), 56);
	if (seg->system)
		word[1] = seg->base >> 32;
	return true;
}

void desc_segment_decode(const uint64_t word[2], struct desc_segment *seg)
{
	uint64_t low = word[0];
	uint64_t limit = get(low, 0, 16) | put(get(low, 48, 4), 16);

	*seg = (struct desc_segment){
	    .base = get(low, 16, 24) | put(get(low, 56, 8), 24),
	    .limit = (uint32_t)(get(low, SEG_PAGES, 1) ? put(limit, 12) | 0xfff : limit),
	    .type = (uint8_t)get(low, SEG_TYPE, 4),
	    .system = !get(low, SEG_CODE_OR_DATA, 1),
	    .dpl = (uint8_t)get(low, SEG_DPL, 2),
	    .present = get(low, SEG_PRESENT, 1),
	    .avl = get(low, SEG_AVL, 1),
	    .code64 = get(low, SEG_LONG, 1),
	    .big = get(low, SEG_BIG, 1),
	};
	if (seg->system)
		seg->base |= put(get(word[1], 0, 32), 32);
}

bool desc_gate_encode(const struct desc_gate *gate, uint64_t word[2])
{
	bool call = gate->type == DESC_CALL_GATE;

	if (!call && gate->type != DESC_INTERRUPT_GATE && gate->type != DESC_TRAP_GATE)
		return false;
	/* The place of the IST is reserved in a call gate. */
	if (gate->dpl > 3 || gate->ist > 7 || (call && gate->ist))
		return false;
	word[0] = get(gate->offset, 0, 16) | put(gate->selector, GATE_SELECTOR) |
	          put(gate->ist, GATE_IST) | put(gate->type, GATE_TYPE) | put(gate->dpl, GATE_DPL) |
	          put(gate->present, GATE_PRESENT) | put(get(gate->offset, 16, 16), 48);
	word[1] = gate->offset >> 32;
	return true;
}

void desc_gate_decode(const uint64_t word[2], struct desc_gate *gate)
{
	uint64_t low = word[0];

	*gate = (struct desc_gate){
	    .offset = get(low, 0, 16) | put(get(low, 48, 16), 16) | put(get(word[1], 0, 32), 32),
	    .selector = (uint16_t)get(low, GATE_SELECTOR, 16),
	    .ist = (uint8_t)get(low, GATE_IST, 3),
	    .type = (uint8_t)get(low, GATE_TYPE, 4),
	    .dpl = (uint8_t)get(low, GATE_DPL, 2),
	    .present = get(low, GATE_PRESENT, 1),
	};
}

static void split(uint32_t half[2], uint64_t value)
{
	half[0] = (uint32_t)value;
	half[1] = (uint32_t)(value >> 32);
}

static uint64_t join(const uint32_t half[2])
{
	return half[0] | (uint64_t)half[1] << 32;
}

void desc_tss_set_rsp(struct desc_tss *tss, unsigned ring, uint64_t rsp)
{
	split(tss->rsp[ring], rsp);
}

uint64_t desc_tss_rsp(const struct desc_tss *tss, unsigned ring)
{
	return join(tss->rsp[ring]);
}

void desc_tss_set_ist(struct desc_tss *tss, unsigned index, uint64_t rsp)
{
	split(tss->ist[index - 1], rsp);
}

uint64_t desc_tss_ist(const struct desc_tss *tss, unsigned index)
{
	return join(tss->ist[index - 1]);
}

uint64_t desc_star(uint16_t syscall_cs, uint16_t sysret_cs)
{
	return put(syscall_cs, 32) | put(sysret_cs, 48);
}
