#include "vmm/engine/code.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

#include "vmm/engine/decode.h"

struct engine_code {
	csh handle;
	cs_insn *insn;
};

struct engine_code *engine_code_open(void)
{
	struct engine_code *code = calloc(1, sizeof(*code));

	if (!code)
		return NULL;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &code->handle) != CS_ERR_OK) {
		free(code);
		return NULL;
	}
	cs_option(code->handle, CS_OPT_DETAIL, CS_OPT_ON);
	code->insn = cs_malloc(code->handle);
	if (!code->insn) {
		engine_code_close(code);
		return NULL;
	}
	return code;
}

void engine_code_close(struct engine_code *code)
{
	if (!code)
		return;
	if (code->insn)
		cs_free(code->insn, 1);
	cs_close(&code->handle);
	free(code);
}

static enum engine_code_kind kind_of(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;

	switch (insn->id) {
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
		return CODE_IRET;
	case X86_INS_SYSRET:
		return CODE_SYSRET;
	case X86_INS_SYSEXIT:
		return CODE_SYSEXIT;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		return CODE_FAR_RET;
	case X86_INS_SYSCALL:
		return CODE_SYSCALL;
	case X86_INS_SYSENTER:
		return CODE_SYSENTER;
	case X86_INS_INT:
	case X86_INS_INT3:
	case X86_INS_INTO:
		return CODE_INT;
	case X86_INS_CALL:
		return CODE_CALL;
	case X86_INS_LCALL:
		return CODE_FAR_CALL;
	case X86_INS_RET:
		return CODE_RET;
	case X86_INS_MOV:
		return x86->op_count == 2 && x86->operands[0].type == X86_OP_REG &&
		               x86->operands[0].reg == X86_REG_CR3
		           ? CODE_CR3_WRITE
		           : CODE_OTHER;
	default:
		return CODE_OTHER;
	}
}

/* Memory that the instruction touches: its operands, and the stack of PUSH, POP, CALL, RET, IRET.
 */
static void count_memory(const cs_insn *insn, struct engine_instruction *to)
{
	const cs_x86 *x86 = &insn->detail->x86;

	for (unsigned i = 0;
	     i < x86->op_count && insn->id != X86_INS_LEA && insn->id != X86_INS_NOP; i++) {
		if (x86->operands[i].type != X86_OP_MEM)
			continue;
		to->reads +=
		    (x86->operands[i].access & CS_AC_READ) != 0 || !x86->operands[i].access;
		to->writes += (x86->operands[i].access & CS_AC_WRITE) != 0;
	}
	switch (insn->id) {
	case X86_INS_PUSH:
	case X86_INS_PUSHFQ:
	case X86_INS_CALL:
		to->writes++;
		break;
	case X86_INS_POP:
	case X86_INS_POPFQ:
	case X86_INS_RET:
	case X86_INS_LEAVE:
		to->reads++;
		break;
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
		to->reads += 5;
		break;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		to->reads += 4; /* to an outer ring, as here */
		break;
	default:
		break;
	}
}

/* REP before a string instruction: others have these prefixes as part of their opcodes. */
static bool repeats(const cs_insn *insn)
{
	const uint8_t prefix = insn->detail->x86.prefix[0];

	return (prefix == 0xf2 || prefix == 0xf3) && engine_is_string(insn->detail->x86.opcode[0]);
}

/* "call trap" or "je trap+0x1f0" for a direct branch; false without a name for where it goes. */
static bool branch_text(const cs_insn *insn, const struct symbols *symbols, char *text, size_t size)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const struct symbol *symbol;
	uint64_t target;

	if (!symbols || x86->op_count != 1 || x86->operands[0].type != X86_OP_IMM ||
	    (insn->id != X86_INS_CALL && insn->mnemonic[0] != 'j'))
		return false;
	target = (uint64_t)x86->operands[0].imm;
	symbol = symbols_find(symbols, target);
	if (!symbol)
		return false;
	if (symbol->address == target)
		snprintf(text, size, "%s %s", insn->mnemonic, symbol->name);
	else
		snprintf(text, size, "%s %s+0x%" PRIx64, insn->mnemonic, symbol->name,
		         target - symbol->address);
	return true;
}

/* "qword ptr gs:[0x10]" without the word that says nothing. */
static void drop_ptr(char *text)
{
	char *at = strstr(text, " ptr ");

	if (at)
		memmove(at, at + 4, strlen(at + 4) + 1);
}

void engine_code_decode(struct engine_code *code, const uint8_t *bytes, size_t size,
                        uint64_t address, const struct symbols *symbols,
                        struct engine_instruction *to)
{
	uint64_t at = address;

	*to = (struct engine_instruction){.address = address, .text = "(bad)"};
	if (!code || !cs_disasm_iter(code->handle, &bytes, &size, &at, code->insn))
		return;

	const cs_insn *insn = code->insn;

	to->size = insn->size;
	to->kind = kind_of(insn);
	memcpy(to->bytes, insn->bytes,
	       insn->size < sizeof(to->bytes) ? insn->size : sizeof(to->bytes));
	count_memory(insn, to);
	to->repeats = repeats(insn);
	if (branch_text(insn, symbols, to->text, sizeof(to->text)))
		return;
	snprintf(to->text, sizeof(to->text), "%s%s%s", insn->mnemonic, *insn->op_str ? " " : "",
	         insn->op_str);
	drop_ptr(to->text);
}

/* ---- Finding --------------------------------------------------------------------------------- */

struct search {
	const struct symbols *symbols;
	struct engine_code *code;
	unsigned kinds;
	bool (*found)(void *ctx, uint64_t address, enum engine_code_kind kind);
	void *ctx;
};

/* Where the next symbol behind `address` begins, at most `end`. */
static uint64_t next_symbol(const struct symbols *symbols, uint64_t address, uint64_t end)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < symbols->count && symbols->list[low].address < end ? symbols->list[low].address
	                                                                : end;
}

/* What follows a symbol is code from its first byte; what is no instruction is stepped over. */
static bool search_range(const struct search *search, const uint8_t *bytes, uint64_t start,
                         uint64_t end)
{
	uint64_t at = start, limit = next_symbol(search->symbols, start, end);

	while (at < end) {
		struct engine_instruction insn;

		if (at >= limit) {
			at = limit;
			limit = next_symbol(search->symbols, at, end);
		}
		engine_code_decode(search->code, bytes + (at - start), (size_t)(end - at), at, NULL,
		                   &insn);
		if (search->kinds & CODE_BIT(insn.kind) &&
		    !search->found(search->ctx, at, insn.kind))
			return false;
		at += insn.size ? insn.size : 1;
	}
	return true;
}

void engine_code_find(const struct engine *engine, const struct symbols *symbols,
                      struct engine_code *code, bool user, unsigned kinds,
                      bool (*found)(void *ctx, uint64_t address, enum engine_code_kind kind),
                      void *ctx)
{
	const struct search search = {symbols, code, kinds, found, ctx};
	const struct image *image = &engine->machine->image;

	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *segment = &image->segments[i];
		const uint8_t *bytes =
		    memory_at(&engine->machine->memory, segment->gpa, segment->memsz);

		if (!(segment->flags & PF_X) || segment_is_user(segment) != user || !bytes)
			continue;
		if (!search_range(&search, bytes, segment->va, segment->va + segment->memsz))
			return;
	}
}
