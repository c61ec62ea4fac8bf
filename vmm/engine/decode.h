/* The guest's instructions as far as stepping must know them: what an instruction does to the trap
 * flag, to RIP, or to KVM beside what its bytes say. */
#ifndef VMM_ENGINE_DECODE_H
#define VMM_ENGINE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/engine.h"

enum engine_special {
	SPECIAL_NONE,
	SPECIAL_PUSHF,
	SPECIAL_SYSCALL,
	SPECIAL_IRET,
	SPECIAL_SYSRET,
	SPECIAL_SYSEXIT,
	SPECIAL_FAR_RET,
	SPECIAL_GROUP, /* SWAPGS, FXSAVE and their like: one KVM stops only one instruction later */
	SPECIAL_EXIT,  /* IN, OUT, CPUID and the like: one CPU traps once more behind it; and STI */
	SPECIAL_REP,   /* MOVS, STOS and the like, so many times: a trap comes behind each time */
	SPECIAL_ICEBP,
};

/* What the instruction at `rip` is, prefixes and all. */
enum engine_special engine_special_at(const struct engine *engine, uint64_t rip);
/* POPF and IRET bring a TF of their own. */
bool engine_loads_flags(const struct engine *engine, uint64_t rip);
/* Whether what the instruction does is not all in the machine's state (SDM volume 2): ports, HLT,
 * time stamps and other MSRs, random numbers, calls of the hypervisor.  opcode: behind the
 * prefixes, 3 bytes at least. */
bool engine_asks_outside(const uint8_t *opcode);
/* The bytes at `rip`, padded with zeros; where the opcode begins. */
size_t engine_read_code(const struct engine *engine, uint64_t rip, uint8_t code[32]);
/* MOVS, CMPS, STOS, LODS or SCAS: what REP repeats (SDM volume 2, "REP"), but for INS and OUTS. */
bool engine_is_string(uint8_t opcode);
/* Bytes from the opcode of a SPECIAL_GROUP, _EXIT or _REP to the next instruction. */
size_t engine_size_from_opcode(const uint8_t *opcode);

#endif
