#include "vmm/look/registers.h"

#include <inttypes.h>

#include "shared/desc.h"
#include "shared/x86.h"
#include "vmm/base/names.h"

void registers_print_general(FILE *out, const struct kvm_regs *regs, const struct symbols *symbols)
{
	const struct {
		const char *name;
		uint64_t value;
	} list[] = {
	    {"RAX", regs->rax}, {"RBX", regs->rbx}, {"RCX", regs->rcx}, {"RDX", regs->rdx},
	    {"RSI", regs->rsi}, {"RDI", regs->rdi}, {"RBP", regs->rbp}, {"RSP", regs->rsp},
	    {"R8 ", regs->r8},  {"R9 ", regs->r9},  {"R10", regs->r10}, {"R11", regs->r11},
	    {"R12", regs->r12}, {"R13", regs->r13}, {"R14", regs->r14}, {"R15", regs->r15},
	};
	char name[96], flags[96];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		fprintf(out, "  %s %016" PRIx64 "%s", list[i].name, list[i].value,
		        i % 4 == 3 ? "\n" : "");
	fprintf(out, "  RIP %016llx%s\n", regs->rip,
	        symbols_text(symbols, regs->rip, name, sizeof(name)));
	fprintf(out, "  RFLAGS %llx [%s], IOPL %llu\n", regs->rflags,
	        bits_text(flags, sizeof(flags), rflags_names,
	                  regs->rflags & ~(RFLAGS_FIXED | RFLAGS_IOPL)),
	        (regs->rflags & RFLAGS_IOPL) >> 12);
}

static const char *segment_text(const struct kvm_segment *segment)
{
	static const char *const system[16] = {
	    [2] = "LDT",
	    [3] = "16-bit TSS, busy",
	    [DESC_TSS_AVAILABLE] = "TSS, available",
	    [DESC_TSS_BUSY] = "TSS, busy",
	};

	if (segment->unusable)
		return "unusable";
	if (!segment->present)
		return "not present";
	if (!segment->s)
		return system[segment->type & 15] ? system[segment->type & 15] : "system segment";
	if (!(segment->type & 8))
		return segment->type & 2 ? "data, read-write" : "data, read-only";
	if (segment->l)
		return segment->db ? "code with L and D set" : "code, 64-bit";
	return segment->db ? "code, 32-bit" : "code, 16-bit";
}

void registers_print_system(FILE *out, const struct kvm_sregs *sregs)
{
	const struct {
		const char *name;
		const struct kvm_segment *segment;
	} segments[] = {
	    {"CS ", &sregs->cs}, {"SS ", &sregs->ss}, {"DS ", &sregs->ds}, {"ES ", &sregs->es},
	    {"FS ", &sregs->fs}, {"GS ", &sregs->gs}, {"TR ", &sregs->tr}, {"LDT", &sregs->ldt},
	};
	char bits[160];

	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		const struct kvm_segment *segment = segments[i].segment;

		fprintf(out, "  %s %04x  base %016llx  limit %08x  %s", segments[i].name,
		        segment->selector, segment->base, segment->limit, segment_text(segment));
		if (!segment->unusable && segment->present)
			fprintf(out, ", DPL %u", segment->dpl);
		fputc('\n', out);
	}
	fprintf(out, "  GDT       base %016llx  limit %04x\n", sregs->gdt.base, sregs->gdt.limit);
	fprintf(out, "  IDT       base %016llx  limit %04x\n", sregs->idt.base, sregs->idt.limit);
	fprintf(out, "  CR0  %016llx [%s]\n", sregs->cr0,
	        bits_text(bits, sizeof(bits), cr0_names, sregs->cr0));
	fprintf(out, "  CR2  %016llx\n", sregs->cr2);
	fprintf(out, "  CR3  %016llx", sregs->cr3);
	if (sregs->cr4 & CR4_PCIDE)
		fprintf(out, " [PCID %llu]", sregs->cr3 & CR3_PCID_MASK);
	fprintf(out, "\n  CR4  %016llx [%s]\n", sregs->cr4,
	        bits_text(bits, sizeof(bits), cr4_names, sregs->cr4));
	fprintf(out, "  EFER %016llx [%s]\n", sregs->efer,
	        bits_text(bits, sizeof(bits), efer_names, sregs->efer));
}
