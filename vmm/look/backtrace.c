#include "vmm/look/backtrace.h"

#include <inttypes.h>
#include <stdbool.h>

/* Whether the instruction that ends at `end` is a CALL: E8 with 4 bytes, or FF /2, whose ModRM is
 * followed by nothing, by SIB, 1 or 4 bytes, or by both (SDM volume 2, CALL). */
static bool is_behind_call(const struct view *view, uint64_t end)
{
	enum { LONGEST = 7, NEAR = 5, OPCODE_NEAR = 0xe8, OPCODE_GROUP = 0xff, CALL = 2 };
	uint8_t code[LONGEST];

	if (end < LONGEST || view_read(view, end - LONGEST, code, LONGEST) != LONGEST)
		return false;
	if (code[LONGEST - NEAR] == OPCODE_NEAR)
		return true;
	for (unsigned size = 2; size <= LONGEST; size++) {
		if (code[LONGEST - size] == OPCODE_GROUP &&
		    (code[LONGEST - size + 1] >> 3 & 7) == CALL)
			return true;
	}
	return false;
}

unsigned backtrace_print(FILE *out, const struct view *view, const struct symbols *symbols)
{
	const uint64_t rsp = view->regs->rsp;
	unsigned count = 0;

	if (view_bits(view) != 64 || rsp % sizeof(uint64_t))
		return 0;
	for (uint64_t at = 0; at < BACKTRACE_BYTES && count < BACKTRACE_ROWS;
	     at += sizeof(uint64_t)) {
		uint64_t word;
		char place[128];

		if (view_read(view, rsp + at, &word, sizeof(word)) != sizeof(word))
			break;
		if (!symbols_find(symbols, word - 1) || !is_behind_call(view, word))
			continue;
		fprintf(out, "  RSP+0x%04" PRIx64 "  %s\n", at,
		        symbols_place(symbols, word, place, sizeof(place)));
		count++;
	}
	return count;
}
