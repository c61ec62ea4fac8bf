#include "vmm/instruments/gdb/gdb_registers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/names.h"

/* The parts of gdb's description of an x86-64 processor, and one of our own. */
enum feature { FEATURE_CORE, FEATURE_SSE, FEATURE_SEGMENTS, FEATURE_CONTROL, FEATURES };

static const char *const feature_ids[FEATURES] = {
    [FEATURE_CORE] = "org.gnu.gdb.i386.core",
    [FEATURE_SSE] = "org.gnu.gdb.i386.sse",
    [FEATURE_SEGMENTS] = "org.gnu.gdb.i386.segments",
    [FEATURE_CONTROL] = "org.ringscope.control",
};

/* What a value is made of. */
enum kind {
	KIND_PLAIN, /* `stored` bytes at `offset`, zero-extended */
	KIND_FIXED, /* the same, but not to be written */
	KIND_TAG,   /* the x87 tag word, which KVM keeps as one bit a register */
	KIND_ZERO,  /* always 0 */
};

static const struct gdb_register {
	const char *name, *type;
	uint8_t size;   /* bytes, as gdb sees it */
	uint8_t stored; /* bytes in struct vcpu_state */
	uint8_t kind, feature;
	uint16_t offset;
} registers_table[] = {
#define GPR(name, type)                                                                            \
	{                                                                                          \
#name, type, 8, 8, KIND_PLAIN, FEATURE_CORE,                                       \
		    offsetof(struct vcpu_state, regs.name)                                         \
	}
    GPR(rax, "int64"),
    GPR(rbx, "int64"),
    GPR(rcx, "int64"),
    GPR(rdx, "int64"),
    GPR(rsi, "int64"),
    GPR(rdi, "int64"),
    GPR(rbp, "data_ptr"),
    GPR(rsp, "data_ptr"),
    GPR(r8, "int64"),
    GPR(r9, "int64"),
    GPR(r10, "int64"),
    GPR(r11, "int64"),
    GPR(r12, "int64"),
    GPR(r13, "int64"),
    GPR(r14, "int64"),
    GPR(r15, "int64"),
    GPR(rip, "code_ptr"),
#undef GPR
    {"eflags", "i386_eflags", 4, 4, KIND_PLAIN, FEATURE_CORE,
     offsetof(struct vcpu_state, regs.rflags)},
#define SELECTOR(name)                                                                             \
	{                                                                                          \
#name, "int32", 4, 2, KIND_FIXED, FEATURE_CORE,                                    \
		    offsetof(struct vcpu_state, sregs.name.selector)                               \
	}
    SELECTOR(cs),
    SELECTOR(ss),
    SELECTOR(ds),
    SELECTOR(es),
    SELECTOR(fs),
    SELECTOR(gs),
#undef SELECTOR
#define ST(i)                                                                                      \
	{                                                                                          \
		"st" #i, "i387_ext", 10, 10, KIND_PLAIN, FEATURE_CORE,                             \
		    offsetof(struct vcpu_state, fpu.fpr[i])                                        \
	}
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
#undef ST
#define X87(name, kind, field, bytes)                                                              \
	{                                                                                          \
		name, "int", 4, bytes, kind, FEATURE_CORE, offsetof(struct vcpu_state, fpu.field)  \
	}
    X87("fctrl", KIND_PLAIN, fcw, 2),
    X87("fstat", KIND_PLAIN, fsw, 2),
    X87("ftag", KIND_TAG, ftwx, 1),
    X87("fiseg", KIND_ZERO, last_ip, 0),
    X87("fioff", KIND_PLAIN, last_ip, 4),
    X87("foseg", KIND_ZERO, last_dp, 0),
    X87("fooff", KIND_PLAIN, last_dp, 4),
    X87("fop", KIND_PLAIN, last_opcode, 2),
#undef X87
#define XMM(i)                                                                                     \
	{                                                                                          \
		"xmm" #i, "vec128", 16, 16, KIND_PLAIN, FEATURE_SSE,                               \
		    offsetof(struct vcpu_state, fpu.xmm[i])                                        \
	}
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
#undef XMM
    {"mxcsr", "i386_mxcsr", 4, 4, KIND_PLAIN, FEATURE_SSE, offsetof(struct vcpu_state, fpu.mxcsr)},
#define WIDE(name, type, feature, field)                                                           \
	{                                                                                          \
		name, type, 8, 8, KIND_PLAIN, feature, offsetof(struct vcpu_state, field)          \
	}
    WIDE("fs_base", "int64", FEATURE_SEGMENTS, sregs.fs.base),
    WIDE("gs_base", "int64", FEATURE_SEGMENTS, sregs.gs.base),
    WIDE("msrs[STATE_KERNEL_GS_BASE]", "int64", FEATURE_CONTROL, msrs[STATE_KERNEL_GS_BASE]),
    WIDE("cr0", "ringscope_cr0", FEATURE_CONTROL, sregs.cr0),
    WIDE("cr2", "int64", FEATURE_CONTROL, sregs.cr2),
    WIDE("cr3", "int64", FEATURE_CONTROL, sregs.cr3),
    WIDE("cr4", "ringscope_cr4", FEATURE_CONTROL, sregs.cr4),
    WIDE("cr8", "int64", FEATURE_CONTROL, sregs.cr8),
    WIDE("efer", "ringscope_efer", FEATURE_CONTROL, sregs.efer),
#undef WIDE
};
enum { COUNT = sizeof(registers_table) / sizeof(registers_table[0]) };

unsigned gdb_register_count(void)
{
	return COUNT;
}

size_t gdb_register_size(unsigned number)
{
	return number < COUNT ? registers_table[number].size : 0;
}

/* Two bits a register: 0 valid, 3 empty; whether it is zero or special gdb finds out itself. */
static uint16_t tag_word(uint8_t valid)
{
	uint16_t word = 0;

	for (unsigned i = 0; i < 8; i++) {
		if (!(valid >> i & 1))
			word |= (uint16_t)(3U << 2 * i);
	}
	return word;
}

void gdb_register_get(const struct vcpu_state *registers, unsigned number, uint8_t value[16])
{
	const struct gdb_register *r = &registers_table[number];
	const uint8_t *from = (const uint8_t *)registers + r->offset;
	uint16_t tags;

	memset(value, 0, 16);
	switch ((enum kind)r->kind) {
	case KIND_PLAIN:
	case KIND_FIXED:
		memcpy(value, from, r->stored);
		break;
	case KIND_TAG:
		tags = tag_word(*from);
		memcpy(value, &tags, sizeof(tags));
		break;
	case KIND_ZERO:
		break;
	}
}

bool gdb_register_set(struct vcpu_state *registers, unsigned number, const uint8_t value[16])
{
	const struct gdb_register *r = &registers_table[number];
	uint8_t now[16];

	gdb_register_get(registers, number, now);
	if (memcmp(now, value, r->size) == 0)
		return true; /* gdb writes whole sets back */
	if (r->kind != KIND_PLAIN)
		return false;
	memcpy((uint8_t *)registers + r->offset, value, r->stored);
	return true;
}

/* ---- The target description
 * ---------------------------------------------------------------------- */

static void print_flags(FILE *out, const char *id, unsigned size, const struct bit_name *names)
{
	fprintf(out, "<flags id=\"%s\" size=\"%u\">", id, size);
	for (; names->name; names++) {
		int bit = __builtin_ctzll(names->bit);

		fprintf(out, "<field name=\"%s\" start=\"%d\" end=\"%d\"/>", names->name, bit, bit);
	}
	fputs("</flags>", out);
}

static const struct bit_name mxcsr_names[] = {
    {1 << 0, "IE"},  {1 << 1, "DE"},  {1 << 2, "ZE"},  {1 << 3, "OE"},  {1 << 4, "UE"},
    {1 << 5, "PE"},  {1 << 6, "DAZ"}, {1 << 7, "IM"},  {1 << 8, "DM"},  {1 << 9, "ZM"},
    {1 << 10, "OM"}, {1 << 11, "UM"}, {1 << 12, "PM"}, {1 << 15, "FZ"}, {0, NULL},
};

static void print_types(FILE *out, enum feature feature)
{
	switch (feature) {
	case FEATURE_CORE:
		print_flags(out, "i386_eflags", 4, rflags_names);
		break;
	case FEATURE_SSE:
		fputs("<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
		      "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
		      "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
		      "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
		      "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
		      "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
		      "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
		      "<field name=\"v2_double\" type=\"v2d\"/>"
		      "<field name=\"v16_int8\" type=\"v16i8\"/>"
		      "<field name=\"v8_int16\" type=\"v8i16\"/>"
		      "<field name=\"v4_int32\" type=\"v4i32\"/>"
		      "<field name=\"v2_int64\" type=\"v2i64\"/>"
		      "<field name=\"uint128\" type=\"uint128\"/></union>",
		      out);
		print_flags(out, "i386_mxcsr", 4, mxcsr_names);
		break;
	case FEATURE_CONTROL:
		print_flags(out, "ringscope_cr0", 8, cr0_names);
		print_flags(out, "ringscope_cr4", 8, cr4_names);
		print_flags(out, "ringscope_efer", 8, efer_names);
		break;
	case FEATURE_SEGMENTS:
	case FEATURES:
		break;
	}
}

char *gdb_registers_xml(void)
{
	char *xml = NULL;
	size_t size;
	FILE *out = open_memstream(&xml, &size);
	unsigned feature = FEATURES;

	if (!out)
		return NULL;
	fputs("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
	      "<target><architecture>i386:x86-64</architecture>",
	      out);
	for (unsigned i = 0; i < COUNT; i++) {
		const struct gdb_register *r = &registers_table[i];

		if (r->feature != feature) {
			fprintf(out, "%s<feature name=\"%s\">",
			        feature == FEATURES ? "" : "</feature>", feature_ids[r->feature]);
			feature = r->feature;
			print_types(out, (enum feature)feature);
		}
		fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>", r->name,
		        r->size * 8U, r->type, i);
	}
	fputs("</feature></target>", out);
	if (fclose(out) != 0) {
		free(xml);
		return NULL;
	}
	return xml;
}
