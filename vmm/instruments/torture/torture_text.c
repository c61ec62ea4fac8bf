#include "vmm/instruments/torture/torture_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Making ---------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

static enum torture_kind kind_of(const struct engine_instruction *insn)
{
	static const struct {
		const char *word;
		enum torture_kind kind;
	} words[] = {
	    {"sti", TORTURE_STI},   {"push ", TORTURE_PUSH},    {"call ", TORTURE_CALL},
	    {"jmp ", TORTURE_JUMP}, {"retf", TORTURE_FAR_RET},  {"ret", TORTURE_RET},
	    {"iret", TORTURE_IRET}, {"sysret", TORTURE_SYSRET}, {"sysexit", TORTURE_SYSEXIT},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (begins(insn->text, words[i].word))
			return words[i].kind;
	}
	return TORTURE_PLAIN;
}

/* What assemblers fill room with. */
static bool is_filler(const struct engine_instruction *insn)
{
	return begins(insn->text, "nop") || begins(insn->text, "data16 nop") ||
	       begins(insn->text, "xchg ax, ax") || begins(insn->text, "int3");
}

static bool ends_flow(enum torture_kind kind)
{
	return kind == TORTURE_JUMP || kind >= TORTURE_RET;
}

static bool is_stub(const struct rs_note *note, uint64_t va, uint64_t *offset)
{
	*offset = va - note->vectors;
	if (*offset >= (uint64_t)note->vector_count * note->vector_stride)
		return false;
	*offset %= note->vector_stride;
	return true;
}

static bool add(struct torture_text *text, const struct torture_insn *insn)
{
	/* Grows by doubling: full at each power of two. */
	if ((text->count & (text->count - 1)) == 0) {
		size_t room = text->count ? 2 * text->count : 1;
		struct torture_insn *list = reallocarray(text->list, room, sizeof(*list));

		if (!list)
			return false;
		text->list = list;
	}
	text->list[text->count++] = *insn;
	return true;
}

bool torture_text_add(struct torture_text *text, struct engine_code *code,
                      const struct symbols *symbols, const struct rs_note *note,
                      const uint8_t *bytes, size_t size, uint64_t va, bool entry, uint64_t *bad)
{
	bool room = false; /* behind an unconditional jump */

	*bad = 0;
	for (size_t at = 0; at < size;) {
		const struct symbol *symbol = symbols_find(symbols, va + at);
		struct engine_instruction insn;
		uint64_t offset;
		bool stub = is_stub(note, va + at, &offset);
		struct torture_insn to = {
		    .va = va + at,
		    .entry = entry,
		    .stub = stub && offset,
		    .symbol = symbol,
		};

		engine_code_decode(code, bytes + at, size - at, va + at, symbols, &insn);
		if (!insn.size) {
			*bad = va + at;
			return false;
		}
		if ((symbol && symbol->address == va + at) || (stub && !offset))
			room = false;
		at += insn.size;
		if (room && is_filler(&insn))
			continue;
		to.size = (uint8_t)insn.size;
		to.kind = (uint8_t)kind_of(&insn);
		snprintf(to.text, sizeof(to.text), "%.63s", insn.text);
		if (!add(text, &to))
			return false;
		room = ends_flow(to.kind);
	}
	return true;
}

void torture_text_free(struct torture_text *text)
{
	free(text->list);
	*text = (struct torture_text){0};
}

/* ---- Finding and hitting --------------------------------------------------------------------- */

static int by_address(const void *key, const void *element)
{
	const uint64_t *va = key;
	const struct torture_insn *insn = element;

	return (*va > insn->va) - (*va < insn->va);
}

uint32_t torture_text_find(const struct torture_text *text, uint64_t va)
{
	const struct torture_insn *insn =
	    text->count ? bsearch(&va, text->list, text->count, sizeof(*insn), by_address) : NULL;

	return insn ? (uint32_t)(insn - text->list) : TORTURE_NONE;
}

void torture_text_hit(struct torture_text *text, uint32_t insn, uint32_t mode)
{
	if (insn < text->count && mode < TORTURE_MODES)
		text->list[insn].hits[mode]++;
}

bool torture_text_is_hit(const struct torture_insn *insn)
{
	for (unsigned mode = 0; mode < TORTURE_MODES; mode++) {
		if (insn->hits[mode])
			return true;
	}
	return false;
}

const char *torture_text_place(const struct torture_insn *insn, char *buf, size_t size)
{
	if (insn->symbol)
		snprintf(buf, size, "%s+0x%" PRIx64, insn->symbol->name,
		         insn->va - insn->symbol->address);
	else
		snprintf(buf, size, "0x%" PRIx64, insn->va);
	return buf;
}

/* ---- Coverage -------------------------------------------------------------------------------- */

struct torture_part torture_text_part(const struct torture_text *text, size_t first)
{
	const struct torture_insn *insn = &text->list[first];
	struct torture_part part = {
	    .name = insn->symbol ? insn->symbol->name : "?",
	    .first = first,
	    .entry = insn->entry,
	};

	for (; first < text->count; first++, part.count++) {
		const struct torture_insn *next = &text->list[first];

		if (next->symbol != insn->symbol || next->entry != insn->entry)
			break;
		part.hit += torture_text_is_hit(next);
		for (unsigned mode = 0; mode < TORTURE_MODES; mode++)
			part.hit_in[mode] += next->hits[mode] != 0;
	}
	return part;
}

/* Whether `word` is one of those in `list`, blanks between them. */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; *list; list += strcspn(list, " ")) {
		list += strspn(list, " ");
		if (strncmp(list, word, length) == 0 && (!list[length] || list[length] == ' '))
			return true;
	}
	return false;
}

const struct torture_lack *torture_text_lack(const struct torture_insn *insn,
                                             const struct torture_lack *lacks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (insn->symbol && has_word(lacks[i].alone, insn->symbol->name))
			return &lacks[i];
	}
	return NULL;
}
