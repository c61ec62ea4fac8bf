#include "vmm/look/roots.h"

#include "shared/pt_entry.h"
#include "shared/x86.h"

struct search {
	const struct pt *tree;
	unsigned left; /* tables that may still be looked at */
	bool anything; /* is mapped */
	bool found;    /* ... and the root's own frame is */
};

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	struct search *search = ctx;

	if (!search->left)
		return NULL;
	search->left--;
	return search->tree->mem.at(search->tree->mem.ctx, frame);
}

static bool look_at_run(void *ctx, const struct pt_run *run)
{
	struct search *search = ctx;

	search->anything = true;
	search->found = search->tree->root - run->pa < run->len;
	return !search->found && search->left;
}

/* Where the root's own frame is likely to be found at once: behind a top-level entry that leads
 * back to the root, or at its place in a map of all RAM that begins with a top-level entry. */
static bool is_likely_there(const struct pt *tree, const uint64_t *top)
{
	for (unsigned i = PT_ENTRIES / 2; i < PT_ENTRIES; i++) {
		struct pt_walk walk;

		if (!(top[i] & PTE_P))
			continue;
		if ((top[i] & PTE_FRAME) == tree->root)
			return true;
		if (tree->root >= pt_span(tree->geo.levels))
			continue;
		pt_walk(tree,
		        pt_sign_extend(&tree->geo,
		                       ((uint64_t)i << pt_shift(tree->geo.levels)) + tree->root),
		        &walk);
		if (walk.mapped && !walk.reserved && walk.pa == tree->root)
			return true;
	}
	return false;
}

enum root_kind roots_kind(const struct pt *tree)
{
	struct search search = {.tree = tree, .left = ROOTS_TABLES};
	const struct pt_memory counted = {.ctx = &search, .at = table_at};
	const struct pt looked = {.geo = tree->geo, .mem = counted, .root = tree->root};
	const uint64_t *top = tree->mem.at(tree->mem.ctx, tree->root);
	const uint64_t upper = UINT64_MAX << (pt_shift(tree->geo.levels + 1u) - 1);
	enum pt_status status;

	if (!top)
		return ROOT_EMPTY;
	if (is_likely_there(tree, top))
		return ROOT_KERNEL;
	status = pt_each(&looked, upper, UINT64_MAX, look_at_run, &search);
	if (!search.anything && search.left && status == PT_OK)
		status = pt_each(&looked, 0, ~upper, look_at_run, &search);
	if (search.found || !search.left || status != PT_OK)
		return ROOT_KERNEL;
	return search.anything ? ROOT_USER : ROOT_EMPTY;
}

/* ---- Pairs --------------------------------------------------------------------------------- */

/* What an entry of the upper level leads to. */
#define LEADS_TO (PTE_P | PTE_PS | PTE_FRAME)

static bool same_user_half(const struct pt *a, const struct pt *b)
{
	const uint64_t *of_a = a->mem.at(a->mem.ctx, a->root);
	const uint64_t *of_b = b->mem.at(b->mem.ctx, b->root);

	if (!of_a || !of_b)
		return false;
	for (unsigned i = 0; i < PT_ENTRIES / 2; i++) {
		if ((of_a[i] | of_b[i]) & PTE_P && (of_a[i] ^ of_b[i]) & LEADS_TO)
			return false;
	}
	return true;
}

bool roots_pair(const struct pt *kernel, const struct pt *user, uint64_t idt)
{
	struct pt_walk of_kernel, of_user;

	pt_walk(kernel, idt, &of_kernel);
	pt_walk(user, idt, &of_user);
	return of_kernel.mapped && of_user.mapped && of_kernel.pa == of_user.pa &&
	       same_user_half(kernel, user) && roots_kind(user) == ROOT_USER &&
	       roots_kind(kernel) == ROOT_KERNEL;
}

struct roots_cr3 roots_of_linux(uint64_t cr3)
{
	const uint64_t beside = PAGE_SIZE;

	if (cr3 & beside)
		return (struct roots_cr3){.kernel = (cr3 & CR3_FRAME) - beside, .user = cr3};
	return (struct roots_cr3){.kernel = cr3, .user = (cr3 & CR3_FRAME) + beside};
}
