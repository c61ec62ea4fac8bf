/*
 * The kernel text that a torture run is to hit: its instructions one by one, and which of them have
 * been hit in which KPTI mode.  Knows nothing of KVM.
 */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_TEXT_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "vmm/engine/code.h"
#include "vmm/look/symbols.h"

enum { TORTURE_MODES = RS_PTI_NOPCID + 1 };
#define TORTURE_NONE UINT32_MAX

/* What of an instruction matters here. */
enum torture_kind {
	TORTURE_PLAIN,
	TORTURE_STI,  /* holds interrupts back until the next instruction is done (SDM 6.8.3) */
	TORTURE_PUSH, /* of 8 bytes */
	TORTURE_CALL, /* of C */
	TORTURE_JUMP, /* direct and unconditional */
	TORTURE_RET,
	/* Those that can return to ring 3: */
	TORTURE_IRET,
	TORTURE_FAR_RET,
	TORTURE_SYSRET,
	TORTURE_SYSEXIT,
};

struct torture_insn {
	uint64_t va;
	uint8_t size; /* bytes */
	uint8_t kind; /* enum torture_kind */
	bool entry;   /* of the entry area, all of which is to be hit */
	bool stub;    /* inside a vector's stub, behind its first instruction */
	char text[64];
	const struct symbol *symbol; /* NULL: none; of the symbols given */
	uint32_t hits[TORTURE_MODES];
	bool barred; /* a path came by where the event cannot come */
};

struct torture_text {
	struct torture_insn *list; /* by address; owned */
	size_t count;
};

/* Adds the instructions in bytes[0 .. size - 1], which lie at `va`, beyond all that were added
 * before; decoded from one symbol, or one stub of the note's, to the next.  What fills the room
 * behind an unconditional jump up to there (NOPs) is nobody's to reach and is left out.  False:
 * no memory, or bytes that are no instruction; *bad says where (0: memory). */
bool torture_text_add(struct torture_text *text, struct engine_code *code,
                      const struct symbols *symbols, const struct rs_note *note,
                      const uint8_t *bytes, size_t size, uint64_t va, bool entry, uint64_t *bad);
void torture_text_free(struct torture_text *text);

/* The index of the instruction that begins at `va`; TORTURE_NONE: none does. */
uint32_t torture_text_find(const struct torture_text *text, uint64_t va);
void torture_text_hit(struct torture_text *text, uint32_t insn, uint32_t mode);
/* In any mode. */
bool torture_text_is_hit(const struct torture_insn *insn);
/* "syscall_entry+0x15", or a bare address; returns buf. */
const char *torture_text_place(const struct torture_insn *insn, char *buf, size_t size);

/* ---- Coverage -------------------------------------------------------------------------------- */

/* The instructions list[first .. first + count - 1], all of one symbol. */
struct torture_part {
	const char *name;
	size_t first, count;
	bool entry;
	size_t hit;                   /* in any mode ... */
	size_t hit_in[TORTURE_MODES]; /* ... in each */
};
/* The part that begins with instruction `first`, below text->count. */
struct torture_part torture_text_part(const struct torture_text *text, size_t first);

/* A crossing that does not exist here. */
struct torture_lack {
	char name[sizeof(((struct rs_torture_crossing *)0)->name)];
	char why[sizeof(((struct rs_torture_crossing *)0)->lacks)];
	char alone[sizeof(((struct rs_torture_crossing *)0)->alone)];
};
/* Why nothing leads to an instruction: the crossing to whose symbols alone it belongs; NULL:
 * there is no reason. */
const struct torture_lack *torture_text_lack(const struct torture_insn *insn,
                                             const struct torture_lack *lacks, size_t count);

#endif
