#include "vmm/engine/decode.h"

#include <string.h>

/* Prefixes of 64-bit code: segment, size, LOCK, REP, REX (SDM volume 2, 2.1.1, 2.2.1). */
static bool is_prefix(uint8_t byte)
{
	return strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", byte) ||
	       (byte & 0xf0) == 0x40;
}

size_t engine_read_code(const struct engine *engine, uint64_t rip, uint8_t code[32])
{
	size_t i = 0;

	memset(code, 0, 32);
	engine_read(engine, rip, code, 15);
	while (i < 14 && code[i] && is_prefix(code[i]))
		i++;
	return i;
}

/* Bytes of ModRM, SIB and displacement (SDM volume 2, table 2-2). */
static size_t modrm_size(const uint8_t *modrm)
{
	unsigned mod = modrm[0] >> 6, rm = modrm[0] & 7;
	bool sib = mod != 3 && rm == 4;
	size_t size = sib ? 2 : 1;

	if (mod == 1)
		return size + 1;
	if (mod == 2 || (mod == 0 && (rm == 5 || (sib && (modrm[1] & 7) == 5))))
		return size + 4;
	return size;
}

/* IN, OUT, INS, OUTS, HLT. */
static bool is_port_or_hlt(uint8_t opcode)
{
	return (opcode >= 0x6c && opcode <= 0x6f) || opcode == 0xf4 ||
	       (opcode >= 0xe4 && opcode <= 0xe7) || (opcode >= 0xec && opcode <= 0xef);
}

/* WRMSR, RDTSC, RDMSR, RDPMC. */
static bool is_msr_or_counter(const uint8_t *opcode)
{
	return opcode[0] == 0x0f && opcode[1] >= 0x30 && opcode[1] <= 0x33;
}

/* Instructions that a hypervisor may have for itself: port I/O, HLT, CPUID, MSRs, control and debug
 * registers, INVD, WBINVD; and STI, which holds the trap back until the next instruction is done.
 * None of them branches. */
static bool needs_plant(const uint8_t *opcode)
{
	if (opcode[0] != 0x0f)
		return is_port_or_hlt(opcode[0]) || opcode[0] == 0xfb;
	return opcode[1] == 0x08 || opcode[1] == 0x09 || opcode[1] == 0xa2 ||
	       (opcode[1] >= 0x20 && opcode[1] <= 0x23) || is_msr_or_counter(opcode);
}

bool engine_asks_outside(const uint8_t *opcode)
{
	if (opcode[0] != 0x0f)
		return is_port_or_hlt(opcode[0]);
	if (opcode[1] == 0x01) /* VMCALL, VMMCALL, RDTSCP */
		return opcode[2] == 0xc1 || opcode[2] == 0xd9 || opcode[2] == 0xf9;
	if (opcode[1] == 0xc7) /* RDRAND, RDSEED, RDPID: with a register */
		return opcode[2] >= 0xf0;
	return is_msr_or_counter(opcode);
}

size_t engine_size_from_opcode(const uint8_t *opcode)
{
	if (opcode[0] != 0x0f)
		return opcode[0] >= 0xe4 && opcode[0] <= 0xe7 ? 2 : 1;
	if (opcode[1] == 0x01 || opcode[1] == 0xae)
		return 2 + modrm_size(opcode + 2);
	/* MOV of control and debug registers: ModRM names registers, whatever its mode. */
	return opcode[1] >= 0x20 && opcode[1] <= 0x23 ? 3 : 2;
}

bool engine_is_string(uint8_t opcode)
{
	return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

static bool repeats(const uint8_t *code, size_t opcode)
{
	return engine_is_string(code[opcode]) &&
	       (memchr(code, 0xf3, opcode) || memchr(code, 0xf2, opcode));
}

enum engine_special engine_special_at(const struct engine *engine, uint64_t rip)
{
	uint8_t code[32];
	size_t i = engine_read_code(engine, rip, code);

	if (repeats(code, i))
		return SPECIAL_REP;
	switch (code[i]) {
	case 0x9c:
		return SPECIAL_PUSHF;
	case 0xcf:
		return SPECIAL_IRET;
	case 0xcb: /* with 64-bit operands, as RETFQ has them */
		return i && (code[i - 1] & 0xf8) == 0x48 ? SPECIAL_FAR_RET : SPECIAL_NONE;
	case 0xf1:
		return SPECIAL_ICEBP;
	case 0x0f:
		if (code[i + 1] == 0x05)
			return SPECIAL_SYSCALL;
		if (code[i + 1] == 0x07)
			return SPECIAL_SYSRET;
		if (code[i + 1] == 0x35)
			return SPECIAL_SYSEXIT;
		if (code[i + 1] == 0x01 || code[i + 1] == 0xae)
			return SPECIAL_GROUP;
		return needs_plant(code + i) ? SPECIAL_EXIT : SPECIAL_NONE;
	default:
		return needs_plant(code + i) ? SPECIAL_EXIT : SPECIAL_NONE;
	}
}

bool engine_loads_flags(const struct engine *engine, uint64_t rip)
{
	uint8_t code[2] = {0};

	engine_read(engine, rip, code, sizeof(code));
	return code[0] == 0x9d || code[0] == 0xcf ||
	       ((code[0] == 0x66 || code[0] == 0x48) && (code[1] == 0x9d || code[1] == 0xcf));
}
