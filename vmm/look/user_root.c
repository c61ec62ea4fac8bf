#include "vmm/look/user_root.h"

#include "shared/x86.h"

struct seeking {
	uint64_t frame;
	bool found;
};

static bool seek_frame(void *ctx, const struct pt_run *run)
{
	struct seeking *seeking = ctx;

	seeking->found = seeking->frame - run->pa < run->len;
	return !seeking->found;
}

bool user_root_is(const struct pt *pt)
{
	struct seeking seeking = {.frame = pt->root};

	return pt_each(pt, UINT64_C(1) << 63, UINT64_MAX, seek_frame, &seeking) == PT_OK &&
	       !seeking.found;
}

/* What an entry of the upper level leads to: P, PS, the address. */
#define LEADS_TO (UINT64_C(0x81) | CR3_FRAME)

static bool same_user_half(const struct pt *a, const struct pt *b)
{
	const uint64_t *of_a = a->mem.at(a->mem.ctx, a->root);
	const uint64_t *of_b = b->mem.at(b->mem.ctx, b->root);

	if (!of_a || !of_b)
		return false;
	for (unsigned i = 0; i < 256; i++) {
		if ((of_a[i] | of_b[i]) & 1 && (of_a[i] ^ of_b[i]) & LEADS_TO)
			return false;
	}
	return true;
}

bool user_root_pairs(const struct pt *kernel, const struct pt *user, uint64_t idt)
{
	struct pt_walk of_kernel, of_user;

	pt_walk(kernel, idt, &of_kernel);
	pt_walk(user, idt, &of_user);
	return kernel->root != user->root && of_kernel.mapped && of_user.mapped &&
	       of_kernel.pa == of_user.pa && same_user_half(kernel, user) && user_root_is(user) &&
	       !user_root_is(kernel);
}
