#include "vmm/base/state.h"

#include <stddef.h>

#include "shared/x86.h"

const struct msr_row msr_table[MSR_ROWS] = {
    [STATE_STAR] = {MSR_STAR, "STAR"},
    [STATE_LSTAR] = {MSR_LSTAR, "LSTAR"},
    [STATE_CSTAR] = {MSR_CSTAR, "CSTAR"},
    [STATE_FMASK] = {MSR_FMASK, "FMASK"},
    [STATE_KERNEL_GS_BASE] = {MSR_KERNEL_GS_BASE, "KERNEL_GS_BASE"},
    [STATE_SYSENTER_CS] = {MSR_SYSENTER_CS, "SYSENTER_CS"},
    [STATE_SYSENTER_ESP] = {MSR_SYSENTER_ESP, "SYSENTER_ESP"},
    [STATE_SYSENTER_EIP] = {MSR_SYSENTER_EIP, "SYSENTER_EIP"},
    [STATE_PAT] = {MSR_PAT, "PAT"},
    [STATE_MSRS] = {MSR_EFER, "EFER"},
    {MSR_FS_BASE, "FS_BASE"},
    {MSR_GS_BASE, "GS_BASE"},
};

const char *msr_name(uint32_t index)
{
	for (unsigned i = 0; i < MSR_ROWS; i++) {
		if (msr_table[i].index == index)
			return msr_table[i].name;
	}
	return NULL;
}
