#include "guest/segments.h"

/* SSE as after FNINIT and with MXCSR's reset value: every exception masked (SDM volume
 * 1, 8.1.5, 10.2.3). */
void segments_init(struct segments *segments)
{
	*segments = (struct segments){0};
	*(uint16_t *)&segments->sse[0] = 0x37f;
	*(uint32_t *)&segments->sse[24] = 0x1f80;
}

void segments_drop(struct segments *segments, uint16_t first, uint16_t end)
{
	uint16_t *const selectors[] = {&segments->ds, &segments->es, &segments->fs, &segments->gs};

	for (int i = 0; i < 4; i++)
		if (*selectors[i] >= first && *selectors[i] < end)
			*selectors[i] = 0;
}
