#include "vmm/boot/plan.h"

#include <stddef.h>

const char *plan_argument(const struct plan *plan, unsigned i)
{
	if (plan->program && i == 0)
		return plan->program;

	const unsigned behind = plan->program ? i - 1 : i;

	return behind < (unsigned)plan->argc ? plan->argv[behind] : NULL;
}
