/*
 * The rules of --audit, as functions that ask one rule each.  Which guests each binds, and in which
 * words it is told, says the list in audit.c.
 */
#ifndef VMM_LOOK_RULES_H
#define VMM_LOOK_RULES_H

#include "vmm/look/rule.h"

/* Of any tree (rules_tree.c). */
void ask_wx(struct asking *asking);
void ask_user_bit(struct asking *asking);
void ask_reserved(struct asking *asking);
void ask_in_ram(struct asking *asking);
void ask_global_user(struct asking *asking);
void ask_bounded(struct asking *asking);
void ask_kvm(struct asking *asking);

/* Of any kernel: registers, and what they name (rules_cpu.c). */
void ask_wp(struct asking *asking);
void ask_smep(struct asking *asking);
void ask_smap(struct asking *asking);
void ask_cpu_tables(struct asking *asking);
void ask_tss_guards(struct asking *asking);

/* Of any kernel with two roots (rules_roots.c). */
void ask_mirror(struct asking *asking);
void ask_user_half_nx(struct asking *asking);
void ask_global_kernel(struct asking *asking);
void ask_way_in(struct asking *asking);
void ask_entry_text(struct asking *asking);

/* Of the address space of shared/abi.h (rules_layout.c). */
void ask_roots(struct asking *asking);
void ask_layout(struct asking *asking);
void ask_guards(struct asking *asking);
void ask_stack_guards(struct asking *asking);
void ask_null(struct asking *asking);
void ask_slot_256(struct asking *asking);
void ask_shared_half(struct asking *asking);
void ask_user_frames(struct asking *asking);
void ask_user_root(struct asking *asking);
void ask_no_global(struct asking *asking);

#endif
