#include "vmm/look/disasm.h"

#include <inttypes.h>
#include <string.h>

#include <capstone/capstone.h>

enum { BEFORE = 3, AFTER = 3, LONGEST = 15 /* bytes of one instruction, SDM volume 2, 2.3.11 */ };

static cs_mode mode_of(unsigned bits)
{
	return bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
}

/* Decodes from offset `from` until just `at`; how many instructions that were, their offsets in
 * `starts` (the last BEFORE of them), or -1 when they do not end there. */
static int decode_up_to(csh handle, const struct disasm_input *in, cs_insn *insn, size_t from,
                        size_t starts[BEFORE])
{
	int count = 0;

	while (from < in->at) {
		const uint8_t *code = in->code + from;
		size_t left = in->at - from;
		uint64_t address = in->address - left;

		starts[count % BEFORE] = from;
		if (!cs_disasm_iter(handle, &code, &left, &address, insn))
			return -1;
		from += insn->size;
		count++;
	}
	return from == in->at ? count : -1;
}

/* Where the instructions before the one in question begin, at most BEFORE, oldest first.  A
 * function's first byte is a sure start; else the farthest start that leads there, because wrong
 * starts fall into step after some instructions. */
static int find_before(csh handle, const struct disasm_input *in, cs_insn *insn,
                       size_t before[BEFORE])
{
	const struct symbol *symbol = symbols_find(in->symbols, in->address);
	uint64_t into = symbol ? in->address - symbol->address : in->at;
	size_t starts[BEFORE];
	int count = -1;

	if (into <= in->at)
		count = decode_up_to(handle, in, insn, in->at - (size_t)into, starts);
	for (size_t back = in->at; count < 0 && back > 0; back--)
		count = decode_up_to(handle, in, insn, in->at - back, starts);
	if (count <= 0)
		return 0;

	int shown = count < BEFORE ? count : BEFORE;

	for (int i = 0; i < shown; i++)
		before[i] = starts[(count - shown + i) % BEFORE];
	return shown;
}

static void print_bytes(FILE *out, const uint8_t *code, size_t size)
{
	enum { COLUMNS = 10 };

	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x ", code[i]);
	if (size < COLUMNS)
		fprintf(out, "%*s", (int)(3 * (COLUMNS - size)), "");
}

/* One line, with the place's name where that is another symbol than the line before had; false
 * when there is no instruction. */
static bool print_one(FILE *out, const char *indent, csh handle, const struct disasm_input *in,
                      cs_insn *insn, size_t offset, const struct symbol **last)
{
	const uint8_t *code = in->code + offset, *begin = code;
	size_t left = in->size - offset;
	uint64_t address = in->address - in->at + offset;
	const struct symbol *symbol = symbols_find(in->symbols, address);
	bool faulting = offset == in->at;
	char name[96];

	fprintf(out, "%s%s %016" PRIx64 "  ", indent, faulting ? "=>" : "  ", address);
	if (!cs_disasm_iter(handle, &code, &left, &address, insn)) {
		print_bytes(out, begin, left < LONGEST ? left : LONGEST);
		fputs(" (not an instruction, or not all of it)\n", out);
		return false;
	}
	print_bytes(out, begin, insn->size);
	fprintf(out, " %s%s%s%s\n", insn->mnemonic, *insn->op_str ? " " : "", insn->op_str,
	        symbol == *last ? ""
	                        : symbols_text(in->symbols, insn->address, name, sizeof(name)));
	*last = symbol;
	return true;
}

void disasm_print(FILE *out, const char *indent, const struct disasm_input *in)
{
	size_t before[BEFORE], offset = in->at;
	const struct symbol *last = NULL;
	cs_insn *insn;
	csh handle;

	if (cs_open(CS_ARCH_X86, mode_of(in->bits), &handle) != CS_ERR_OK)
		return;
	insn = cs_malloc(handle);
	if (insn) {
		int count = find_before(handle, in, insn, before);

		for (int i = 0; i < count; i++)
			print_one(out, indent, handle, in, insn, before[i], &last);
		for (int i = 0; i <= AFTER && offset < in->size; i++) {
			if (!print_one(out, indent, handle, in, insn, offset, &last))
				break;
			offset += insn->size;
		}
		cs_free(insn, 1);
	}
	cs_close(&handle);
}
