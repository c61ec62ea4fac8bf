/* Single instructions: as text, and found in a guest's code (Capstone). */
#ifndef VMM_ENGINE_CODE_H
#define VMM_ENGINE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/engine.h"
#include "vmm/look/symbols.h"

/* One decoder for many instructions: opening one costs a lot more than using it. */
struct engine_code;
/* NULL without memory. */
struct engine_code *engine_code_open(void);
void engine_code_close(struct engine_code *code);

enum engine_code_kind {
	CODE_OTHER,
	CODE_IRET,
	CODE_SYSRET,
	CODE_SYSEXIT,
	CODE_FAR_RET,
	CODE_CR3_WRITE, /* MOV to CR3 */
	CODE_CALL,
	CODE_FAR_CALL, /* by a pointer in memory: 64-bit code has no other */
	CODE_RET,
	CODE_SYSCALL,
	CODE_SYSENTER,
	CODE_INT, /* INT n, INT3, INTO */
};
#define CODE_BIT(kind) (1u << (kind))
#define CODE_RETURNS                                                                               \
	(CODE_BIT(CODE_IRET) | CODE_BIT(CODE_SYSRET) | CODE_BIT(CODE_SYSEXIT) |                    \
	 CODE_BIT(CODE_FAR_RET))

struct engine_instruction {
	uint64_t address;
	unsigned size; /* bytes; 0: they are no instruction */
	enum engine_code_kind kind;
	unsigned reads, writes; /* of memory, stack and implied operands included */
	bool repeats;           /* REP: these are of one time, and RCX says how many */
	uint8_t bytes[15];
	char text[192]; /* "mov rsp, qword gs:[0x10]"; "(bad)" when size is 0 */
};

/* Decodes 64-bit code; the bytes are hostile.  With `symbols` (may be NULL) direct branches name
 * where they go. */
void engine_code_decode(struct engine_code *code, const uint8_t *bytes, size_t size,
                        uint64_t address, const struct symbols *symbols,
                        struct engine_instruction *to);

/* Calls `found` for every instruction of these kinds (CODE_BIT) in the executable segments of the
 * image, the kernel's or those of ring 3, decoded from one symbol to the next as 64-bit code.
 * `found` may return false to end it. */
void engine_code_find(const struct engine *engine, const struct symbols *symbols,
                      struct engine_code *code, bool user, unsigned kinds,
                      bool (*found)(void *ctx, uint64_t address, enum engine_code_kind kind),
                      void *ctx);

#endif
