#include "vmm/look/rules.h"

#include <inttypes.h>

#include "shared/x86.h"
#include "vmm/base/units.h"

/* ---- What both roots map ------------------------------------------------------------------- */

/* What both roots have of the kernel half must be the same, and of the user half all but NX. */
static bool compare_roots(void *ctx, const struct pt_run *kernel, const struct pt_run *user)
{
	struct asking *asking = ctx;

	asking->root = kernel ? LOOK_KERNEL : LOOK_USER;
	if (!kernel)
		rule_found_run(asking, user, "the kernel root maps nothing here");
	else if (!user && !(kernel->va >> 63))
		rule_found_run(asking, kernel, "the user root maps nothing here");
	else if (user && kernel->pa != user->pa)
		rule_found_run(asking, kernel, "the user root maps other memory here");
	else if (user &&
	         (kernel->rights ^ user->rights) & ~(kernel->va >> 63 ? 0u : (uint32_t)PT_EXEC))
		rule_found_run(asking, kernel, "the user root gives other rights");
	return true;
}

void ask_mirror(struct asking *asking)
{
	const struct pt *pt = asking->look->pt;

	look_begin_scan(asking->look);
	pt_diff(&pt[LOOK_KERNEL], &pt[LOOK_USER], compare_roots, asking);
}

static bool expect_no_execute(void *ctx, const struct pt_run *run)
{
	if (run->rights & PT_EXEC)
		rule_found_run(ctx, run, "executable");
	return true;
}

void ask_user_half_nx(struct asking *asking)
{
	rule_each_run(asking, LOOK_KERNEL, 0, RULE_KERNEL_HALF - 1, expect_no_execute);
}

/* What CR3's change does not make the TLB forget, ring 3 could still reach. */
static bool expect_no_global(void *ctx, const struct pt_run *kernel, const struct pt_run *user)
{
	struct asking *asking = ctx;

	asking->root = LOOK_KERNEL;
	if (kernel && !user && kernel->va >> 63 && kernel->rights & PT_GLOBAL)
		rule_found_run(asking, kernel, "global");
	return true;
}

void ask_global_kernel(struct asking *asking)
{
	const struct pt *pt = asking->look->pt;

	if (!(asking->look->moment->sregs.cr4 & CR4_PGE))
		return;
	look_begin_scan(asking->look);
	pt_diff(&pt[LOOK_KERNEL], &pt[LOOK_USER], expect_no_global, asking);
}

/* ---- The way in ---------------------------------------------------------------------------- */

/* An address that the processor uses before any code can change CR3.  What the kernel root does not
 * map either is never used. */
static void expect_in_user_root(struct asking *asking, const char *what, uint64_t va, bool run)
{
	const struct pt *pt = asking->look->pt;
	struct pt_walk kernel, user;

	look_begin_scan(asking->look);
	pt_walk(&pt[LOOK_KERNEL], va, &kernel);
	pt_walk(&pt[LOOK_USER], va, &user);
	if (!kernel.mapped)
		return;
	if (!user.mapped)
		rule_found(asking, "0x%016" PRIx64 " (%s): not in the user root", va, what);
	else if (user.pa != kernel.pa)
		rule_found(asking, "0x%016" PRIx64 " (%s): other memory in the user root", va,
		           what);
	else if (run && !(user.rights & PT_EXEC))
		rule_found(asking, "0x%016" PRIx64 " (%s): not executable in the user root", va,
		           what);
}

void ask_way_in(struct asking *asking)
{
	const struct boundary *boundary = asking->boundary;

	for (unsigned i = 0; i < BOUNDARY_TABLES; i++) {
		const struct boundary_range *table = &boundary->table[i];

		for (uint64_t at = 0; at < table->len; at += PAGE_SIZE)
			expect_in_user_root(asking, boundary_table_name(i), table->va + at, false);
	}
	for (unsigned i = 0; i < BOUNDARY_STACKS; i++) {
		if (boundary->stack[i])
			expect_in_user_root(asking, boundary_stack_name(i), boundary->stack[i] - 1,
			                    false);
	}
	for (unsigned i = 0; i < ENTRIES_MAX; i++) {
		if (boundary->entries.list[i].there)
			expect_in_user_root(asking, "entry", boundary->entries.list[i].va, true);
	}
}

/* A stretch of text, of one run or of several that follow each other, is complete. */
static void judge_text(struct asking *asking)
{
	const uint64_t va = asking->next - asking->stretch;
	char size[UNITS_SIZE];
	unsigned count;

	if (!asking->stretch)
		return;
	units_bytes(size, asking->stretch);
	count = boundary_entries(asking->boundary, va, asking->stretch);
	if (count)
		rule_remark(asking, "0x%016" PRIx64 ": %s of text with %u entr%s", va, size, count,
		            count == 1 ? "y" : "ies");
	else
		rule_found(asking, "0x%016" PRIx64 " (%s): %s of text without an entry", va,
		           places_name(asking->places, va), size);
}

static bool collect_text(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;

	if (!(run->rights & PT_EXEC))
		return true;
	if (run->va != asking->next) {
		judge_text(asking);
		asking->stretch = 0;
	}
	asking->stretch += run->len;
	asking->next = run->va + run->len;
	return true;
}

void ask_entry_text(struct asking *asking)
{
	rule_each_run(asking, LOOK_USER, RULE_KERNEL_HALF, UINT64_MAX, collect_text);
	judge_text(asking);
}
