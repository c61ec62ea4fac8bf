#include "vmm/base/names.h"

#include <inttypes.h>
#include <stdio.h>

#include "shared/abi.h"
#include "shared/x86.h"

/* ---- Vectors ----------------------------------------------------------------------------- */

static const struct {
	const char *name, *text;
} exceptions[32] = {
    [VECTOR_DE] = {"#DE", "divide error"},
    [VECTOR_DB] = {"#DB", "debug exception"},
    [VECTOR_NMI] = {"NMI", "non-maskable interrupt"},
    [VECTOR_BP] = {"#BP", "breakpoint"},
    [VECTOR_OF] = {"#OF", "overflow"},
    [VECTOR_BR] = {"#BR", "bound range exceeded"},
    [VECTOR_UD] = {"#UD", "invalid opcode"},
    [VECTOR_NM] = {"#NM", "device not available"},
    [VECTOR_DF] = {"#DF", "double fault"},
    [VECTOR_TS] = {"#TS", "invalid TSS"},
    [VECTOR_NP] = {"#NP", "segment not present"},
    [VECTOR_SS] = {"#SS", "stack fault"},
    [VECTOR_GP] = {"#GP", "general protection"},
    [VECTOR_PF] = {"#PF", "page fault"},
    [VECTOR_MF] = {"#MF", "x87 floating-point error"},
    [VECTOR_AC] = {"#AC", "alignment check"},
    [VECTOR_MC] = {"#MC", "machine check"},
    [VECTOR_XM] = {"#XM", "SIMD floating-point error"},
    [VECTOR_VE] = {"#VE", "virtualization exception"},
    [VECTOR_CP] = {"#CP", "control protection"},
    /* AMD's, APM 8.2 */
    [28] = {"#HV", "hypervisor injection"},
    [29] = {"#VC", "VMM communication"},
    [30] = {"#SX", "security exception"},
};

#define SIXTEEN(h)                                                                                 \
	"vector 0x" h "0", "vector 0x" h "1", "vector 0x" h "2", "vector 0x" h "3",                \
	    "vector 0x" h "4", "vector 0x" h "5", "vector 0x" h "6", "vector 0x" h "7",            \
	    "vector 0x" h "8", "vector 0x" h "9", "vector 0x" h "a", "vector 0x" h "b",            \
	    "vector 0x" h "c", "vector 0x" h "d", "vector 0x" h "e", "vector 0x" h "f"

static const char *const numbered[256] = {
    SIXTEEN("0"), SIXTEEN("1"), SIXTEEN("2"), SIXTEEN("3"), SIXTEEN("4"), SIXTEEN("5"),
    SIXTEEN("6"), SIXTEEN("7"), SIXTEEN("8"), SIXTEEN("9"), SIXTEEN("a"), SIXTEEN("b"),
    SIXTEEN("c"), SIXTEEN("d"), SIXTEEN("e"), SIXTEEN("f"),
};

const char *vector_name(unsigned vector)
{
	uint8_t v = (uint8_t)vector;
	const char *name = v < 32 ? exceptions[v].name : NULL;

	return name ? name : numbered[v];
}

const char *vector_text(unsigned vector)
{
	uint8_t v = (uint8_t)vector;

	if (v >= 32)
		return v == 0x80 ? "INT 0x80 or interrupt" : "interrupt";
	return exceptions[v].text ? exceptions[v].text : "reserved exception";
}

/* ---- Bits -------------------------------------------------------------------------------- */

const struct bit_name feature_names[] = {
    {RS_FEATURE_NX, "NX"},
    {RS_FEATURE_SMEP, "SMEP"},
    {RS_FEATURE_SMAP, "SMAP"},
    {RS_FEATURE_UMIP, "UMIP"},
    {RS_FEATURE_PCID, "PCID"},
    {RS_FEATURE_INVPCID, "INVPCID"},
    {RS_FEATURE_FSGSBASE, "FSGSBASE"},
    {RS_FEATURE_GIB_PAGES, "1GiB-pages"},
    {RS_FEATURE_LA57, "LA57"},
    {RS_FEATURE_APIC, "x2APIC"},
    {0, NULL},
};

const struct bit_name cr0_names[] = {
    {CR0_PE, "PE"}, {CR0_MP, "MP"}, {CR0_EM, "EM"}, {CR0_TS, "TS"}, {CR0_ET, "ET"}, {CR0_NE, "NE"},
    {CR0_WP, "WP"}, {CR0_AM, "AM"}, {CR0_NW, "NW"}, {CR0_CD, "CD"}, {CR0_PG, "PG"}, {0, NULL},
};

const struct bit_name cr4_names[] = {
    {CR4_TSD, "TSD"},     {CR4_DE, "DE"},           {CR4_PAE, "PAE"},
    {CR4_PGE, "PGE"},     {CR4_OSFXSR, "OSFXSR"},   {CR4_OSXMMEXCPT, "OSXMMEXCPT"},
    {CR4_UMIP, "UMIP"},   {CR4_LA57, "LA57"},       {CR4_FSGSBASE, "FSGSBASE"},
    {CR4_PCIDE, "PCIDE"}, {CR4_OSXSAVE, "OSXSAVE"}, {CR4_SMEP, "SMEP"},
    {CR4_SMAP, "SMAP"},   {CR4_PKE, "PKE"},         {0, NULL},
};

const struct bit_name efer_names[] = {
    {EFER_SCE, "SCE"}, {EFER_LME, "LME"}, {EFER_LMA, "LMA"}, {EFER_NXE, "NXE"}, {0, NULL},
};

const struct bit_name rflags_names[] = {
    {RFLAGS_CF, "CF"}, {RFLAGS_PF, "PF"}, {RFLAGS_AF, "AF"}, {RFLAGS_ZF, "ZF"}, {RFLAGS_SF, "SF"},
    {RFLAGS_TF, "TF"}, {RFLAGS_IF, "IF"}, {RFLAGS_DF, "DF"}, {RFLAGS_OF, "OF"}, {RFLAGS_NT, "NT"},
    {RFLAGS_RF, "RF"}, {RFLAGS_VM, "VM"}, {RFLAGS_AC, "AC"}, {0, NULL},
};

const char *bits_text(char *buf, size_t size, const struct bit_name *names, uint64_t value)
{
	size_t used = 0;

	snprintf(buf, size, "-");
	for (; names->name; names++) {
		if (!(value & names->bit))
			continue;
		value &= ~names->bit;
		if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "",
			                         names->name);
	}
	if (value && used < size)
		snprintf(buf + used, size - used, "%s0x%" PRIx64, used ? " " : "", value);
	return buf;
}

const char *pti_name(uint32_t mode)
{
	switch (mode) {
	case RS_PTI_OFF:
		return "off";
	case RS_PTI_PCID:
		return "pcid";
	case RS_PTI_NOPCID:
		return "nopcid";
	default:
		return "unknown";
	}
}
