/* The checksum of the tables that firmware leaves: all bytes of one add up to 0 (ACPI 5.2.6,
 * MP 4.1).
 */
#ifndef VMM_BOOT_PC_CHECKSUM_H
#define VMM_BOOT_PC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Sets *checksum, a byte of the table. */
static inline void pc_set_checksum(const void *table, size_t size, uint8_t *checksum)
{
	const uint8_t *bytes = table;
	uint8_t sum = 0;

	*checksum = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	*checksum = (uint8_t)-sum;
}

#endif
