#include "vmm/look/view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"
#include "vmm/look/legacy.h"

/* ---- Memory ------------------------------------------------------------------------------ */

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	return memory_at(ctx, frame, PAGE_SIZE);
}

struct view view_make(const struct memory *memory, const struct kvm_regs *regs,
                      const struct kvm_sregs *sregs, struct pt_geometry geometry)
{
	/* Only looked at: neither alloc nor free is called, and ctx is not written to. */
	struct pt_memory tables = {.ctx = (void *)(uintptr_t)memory, .at = table_at};

	geometry.levels = sregs->cr4 & CR4_LA57 ? 5 : 4;
	geometry.nx = sregs->efer & EFER_NXE;
	geometry.pcid = sregs->cr4 & CR4_PCIDE;
	geometry.pku = sregs->cr4 & CR4_PKE;
	return (struct view){
	    .memory = memory,
	    .regs = regs,
	    .sregs = sregs,
	    .pt = pt_attach(geometry, tables, sregs->cr3),
	    .paging = sregs->cr0 & CR0_PG && sregs->efer & EFER_LMA,
	};
}

unsigned view_cpl(const struct view *view)
{
	return view->sregs->ss.dpl & 3;
}

unsigned view_bits(const struct view *view)
{
	const struct kvm_segment *cs = &view->sregs->cs;

	if (cs->l && view->sregs->efer & EFER_LMA)
		return 64;
	return cs->db ? 32 : 16;
}

struct pt_access view_access(const struct view *view, unsigned kind, unsigned cpl)
{
	struct pt_access access = {
	    .cpl = cpl & 3,
	    .wp = view->sregs->cr0 & CR0_WP,
	    .smep = view->sregs->cr4 & CR4_SMEP,
	    .smap = view->sregs->cr4 & CR4_SMAP,
	    .ac = view->regs->rflags & RFLAGS_AC,
	};

	access.kind = kind == PT_STORE ? PT_STORE : kind == PT_FETCH ? PT_FETCH : PT_READ;
	return access;
}

bool view_allows(const struct view *view, uint64_t va, struct pt_access access,
                 struct pt_verdict *verdict)
{
	pt_explain(&view->pt, va, access, verdict);
	return verdict->reason == PT_ALLOWED;
}

/* Bytes from here to the end of the 4 KiB page. */
static size_t page_rest(uint64_t va)
{
	return PAGE_SIZE - (size_t)(va & (PAGE_SIZE - 1));
}

bool view_translate(const struct view *view, uint64_t va, uint64_t *pa, uint32_t *rights)
{
	struct pt_walk walk;

	if (!(view->sregs->cr0 & CR0_PG)) {
		*pa = va;
		*rights = PT_WRITE | PT_EXEC;
		return true;
	}
	if (!view->paging) {
		if (legacy_translate(view->memory, view->sregs, view->pt.geo, va, pa, rights))
			return true;
	} else {
		pt_walk(&view->pt, va, &walk);
		*pa = walk.pa;
		*rights = walk.rights;
		if (walk.mapped && !walk.reserved)
			return true;
	}
	return view->missing && view->missing(view->missing_ctx, va, pa, rights);
}

uint8_t *view_part(const struct view *view, uint64_t va, size_t size, size_t *part)
{
	uint32_t rights;
	uint64_t pa;

	*part = size < page_rest(va) ? size : page_rest(va);
	return view_translate(view, va, &pa, &rights) ? memory_at(view->memory, pa, *part) : NULL;
}

size_t view_read(const struct view *view, uint64_t va, void *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t part;
		const uint8_t *from = view_part(view, va + done, size - done, &part);

		if (!from)
			break;
		memcpy((uint8_t *)buf + done, from, part);
		done += part;
	}
	return done;
}

/* ---- Delivery ---------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool problem(char *buf, size_t size,
                                                          const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(buf, size, format, args);
	va_end(args);
	return true;
}

/* A structure that the processor reads at a linear address, as ring 0 whatever CPL is. */
static bool read_structure(const struct view *view, const char *what, uint64_t va, void *to,
                           size_t bytes, char *buf, size_t size)
{
	if (view_read(view, va, to, bytes) == bytes)
		return true;
	problem(buf, size, "%s at 0x%" PRIx64 " is not mapped", what, va);
	return false;
}

/* Where the frame would be pushed: IST, RSP0, or where RSP is (SDM volume 3, 6.14.2, 6.14.5). */
static bool stack_of(const struct view *view, const struct desc_gate *gate, uint64_t *top,
                     const char **name, char *buf, size_t size)
{
	struct desc_tss tss;

	if (!gate->ist && view_cpl(view) == 0) {
		*top = view->regs->rsp;
		*name = "the stack (RSP)";
		return true;
	}
	if (!read_structure(view, "the TSS", view->sregs->tr.base, &tss, sizeof(tss), buf, size))
		return false;
	*top = gate->ist ? desc_tss_ist(&tss, gate->ist) : desc_tss_rsp(&tss, 0);
	*name = gate->ist ? "its IST stack" : "the RSP0 stack";
	return true;
}

static bool code_segment_problem(const struct view *view, uint16_t selector, char *buf, size_t size)
{
	uint64_t words[2] = {0};
	struct desc_segment segment;
	uint64_t offset = (uint64_t)selector_index(selector) * 8;

	if (selector_ldt(selector) || !selector_index(selector) ||
	    offset + 7 > view->sregs->gdt.limit)
		return problem(buf, size, "its code selector 0x%x is not in the GDT", selector);
	if (!read_structure(view, "the GDT", view->sregs->gdt.base + offset, words,
	                    sizeof(words[0]), buf, size))
		return true;
	desc_segment_decode(words, &segment);
	if (segment.system || !(segment.type & 8) || !segment.present || !segment.code64)
		return problem(buf, size,
		               "its code selector 0x%x names no present 64-bit code segment",
		               selector);
	return false;
}

bool view_delivery_problem(const struct view *view, unsigned vector, char *buf, size_t size)
{
	const struct kvm_sregs *sregs = view->sregs;
	struct pt_verdict verdict;
	struct desc_gate gate;
	uint64_t words[2], top;
	const char *stack;
	char why[160];

	if (vector * 16 + 15 > sregs->idt.limit)
		return problem(buf, size, "its gate lies beyond the IDT's limit 0x%x",
		               sregs->idt.limit);
	if (!read_structure(view, "its gate", sregs->idt.base + (uint64_t)vector * 16, words,
	                    sizeof(words), buf, size))
		return true;
	desc_gate_decode(words, &gate);
	if (gate.type != DESC_INTERRUPT_GATE && gate.type != DESC_TRAP_GATE)
		return problem(buf, size, "its IDT entry is no interrupt or trap gate (type %u)",
		               gate.type);
	if (!gate.present)
		return problem(buf, size, "its gate is not present");
	if (code_segment_problem(view, gate.selector, buf, size))
		return true;
	if (!stack_of(view, &gate, &top, &stack, buf, size))
		return true;

	struct pt_access store = view_access(view, PT_STORE, 0);

	store.stack = true;
	/* Aligned down to 16 bytes, then SS is pushed first. */
	top = (top & ~UINT64_C(15)) - 8;
	if (!view_allows(view, top, store, &verdict)) {
		pt_verdict_text(why, sizeof(why), top, store, &verdict);
		return problem(buf, size, "%s cannot take the frame: %s", stack, why);
	}

	struct pt_access fetch = view_access(view, PT_FETCH, 0);

	if (!view_allows(view, gate.offset, fetch, &verdict)) {
		pt_verdict_text(why, sizeof(why), gate.offset, fetch, &verdict);
		return problem(buf, size, "its handler cannot run: %s", why);
	}
	return false;
}
