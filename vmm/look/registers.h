/* A vCPU's registers as text: numbers, and what their bits and descriptors say. */
#ifndef VMM_LOOK_REGISTERS_H
#define VMM_LOOK_REGISTERS_H

#include <stdio.h>

#include <linux/kvm.h>

#include "vmm/look/symbols.h"

/* General registers, RIP and RFLAGS; each line begins with two blanks, as everywhere here. */
void registers_print_general(FILE *out, const struct kvm_regs *regs, const struct symbols *symbols);
/* Segments, descriptor tables, control registers and EFER. */
void registers_print_system(FILE *out, const struct kvm_sregs *sregs);

#endif
