/* Names of things that the report, the diagnosis and the probe all show. */
#ifndef VMM_BASE_NAMES_H
#define VMM_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* "#PF", "NMI"; "vector 0x80" without a name of its own.  Never NULL; vector 0 to 255, larger
 * ones count modulo 256. */
const char *vector_name(unsigned vector);
/* "page fault", "interrupt": the same in words (SDM volume 3, table 6-1). */
const char *vector_text(unsigned vector);

/* A bit and its name: of RS_FEATURE_*, a control register, RFLAGS, EFER.  Lists end in {0, NULL}.
 */
struct bit_name {
	uint64_t bit;
	const char *name;
};
extern const struct bit_name feature_names[], cr0_names[], cr4_names[], efer_names[],
    rflags_names[];

/* "PE MP WP PG", then the bits that have no name in hexadecimal; "-" for none.  Returns buf, which
 * is always terminated. */
const char *bits_text(char *buf, size_t size, const struct bit_name *names, uint64_t value);

/* "off", "pcid", "nopcid" for RS_PTI_*; "unknown" for another value. */
const char *pti_name(uint32_t mode);

#endif
