/* The registers as gdb knows them: numbers, sizes, the target description, and values. */
#ifndef VMM_INSTRUMENTS_GDB_GDB_REGISTERS_H
#define VMM_INSTRUMENTS_GDB_GDB_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/state.h"

/* How many there are: numbers 0 to this - 1, in the order of a `g` packet. */
unsigned gdb_register_count(void);
/* Bytes of register `number`; 0 for a number that is none. */
size_t gdb_register_size(unsigned number);
/* Its value, little-endian, gdb_register_size bytes. */
void gdb_register_get(const struct vcpu_state *registers, unsigned number, uint8_t value[16]);
/* False for one that cannot be written: a selector without its descriptor means nothing. */
bool gdb_register_set(struct vcpu_state *registers, unsigned number, const uint8_t value[16]);
/* The target description (gdb's appendix G), made once; NULL without memory.  The caller's to free.
 */
char *gdb_registers_xml(void);

#endif
