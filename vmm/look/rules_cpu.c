#include "vmm/look/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/abi.h"
#include "shared/x86.h"

/* ---- Control registers --------------------------------------------------------------------- */

void ask_wp(struct asking *asking)
{
	if (!(asking->look->moment->sregs.cr0 & CR0_WP))
		rule_found(asking, "CR0.WP is clear: ring 0 writes to read-only pages");
}

/* Not called where the bit is clear and nobody knows whether the CPU has it. */
static void ask_cr4(struct asking *asking, uint64_t bit, uint64_t feature, const char *name)
{
	const struct look_moment *moment = asking->look->moment;

	if (moment->sregs.cr4 & bit)
		return;
	if (moment->features & feature)
		rule_found(asking, "CR4.%s is clear, and the CPU has it", name);
	else
		rule_remark(asking, "the CPU has no %s", name);
}

void ask_smep(struct asking *asking)
{
	ask_cr4(asking, CR4_SMEP, RS_FEATURE_SMEP, "SMEP");
}

void ask_smap(struct asking *asking)
{
	ask_cr4(asking, CR4_SMAP, RS_FEATURE_SMAP, "SMAP");
}

/* ---- Tables -------------------------------------------------------------------------------- */

static bool expect_no_user_write(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;

	if (run->rights & PT_USER && run->rights & PT_WRITE)
		rule_found_run(asking, run, "ring 3 writes here");
	asking->pages += run->rights & PT_WRITE ? 1 : 0; /* for the remark */
	return true;
}

void ask_cpu_tables(struct asking *asking)
{
	char writable[32] = "";

	for (unsigned i = 0; i < BOUNDARY_TABLES; i++) {
		const struct boundary_range *table = &asking->boundary->table[i];

		asking->pages = 0;
		if (table->len)
			rule_each_run_of_all(asking, table->va, table->va + (table->len - 1),
			                     expect_no_user_write);
		if (asking->pages)
			snprintf(writable + strlen(writable), sizeof(writable) - strlen(writable),
			         "%s%s", *writable ? ", " : "", boundary_table_name(i));
	}
	rule_remark(asking, "ring 0 can write %s", *writable ? writable : "none of them");
}

/* ---- Stacks -------------------------------------------------------------------------------- */

/* Another stack whose top lies in the `len` bytes that this one may grow into; -1: none. */
static int stack_within(const struct boundary *boundary, unsigned stack, uint64_t len)
{
	const uint64_t top = boundary->stack[stack];

	for (unsigned i = 0; i < BOUNDARY_STACKS; i++) {
		const uint64_t other = boundary->stack[i];

		if (other && other != top && top - other < len)
			return (int)i;
	}
	return -1;
}

static void judge_stack(struct asking *asking, unsigned number)
{
	const uint64_t top = asking->boundary->stack[number];
	const char *name = boundary_stack_name(number);
	struct boundary_stack stack;
	int other;

	look_begin_scan(asking->look);
	stack = boundary_stack_find(&asking->look->pt[asking->root], top);
	other = stack_within(asking->boundary, number, stack.len);
	if (!stack.len)
		rule_remark(asking, "%s root: the %s, top 0x%016" PRIx64 ", is not mapped",
		            rule_root_name(asking), name, top);
	else if (other >= 0)
		rule_found(asking, "%s root: the %s, top 0x%016" PRIx64 ", grows into the %s",
		           rule_root_name(asking), name, top, boundary_stack_name((unsigned)other));
	else if (!stack.guarded)
		rule_found(asking,
		           "%s root: the %s, top 0x%016" PRIx64
		           ": all of the 64 KiB below it can be written",
		           rule_root_name(asking), name, top);
}

void ask_tss_guards(struct asking *asking)
{
	for (unsigned root = 0; root < rule_roots(asking); root++) {
		asking->root = (enum look_root)root;
		for (unsigned i = 0; i < BOUNDARY_STACKS; i++) {
			if (asking->boundary->stack[i])
				judge_stack(asking, i);
		}
	}
}
