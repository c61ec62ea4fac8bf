#include "guest/frames.h"

#include "guest/string.h"

/* A free frame's first word is the address of the next one; 0 ends the list (frame 0 is never the
 * guest's: the image and the VMM's structures lie below free_start). */
static struct {
	uint64_t next; /* never used yet, and so zero: high RAM, then low RAM */
	uint64_t zero; /* lists of frames that came back */
	uint64_t dirty;
	uint64_t free;
} pool = {.next = RS_HIGH_RAM};

static const struct rs_boot *const boot_page = (const struct rs_boot *)RS_BOOT_PAGE;

void frames_init(const struct rs_boot *boot)
{
	pool.free = (boot->free_end - boot->free_start + boot->high_end) / PAGE_SIZE -
	            RS_HIGH_RAM / PAGE_SIZE;
}

static uint64_t pop(uint64_t *list)
{
	uint64_t frame = *list;
	uint64_t *link = frame_at(frame);

	*list = *link;
	*link = 0;
	pool.free--;
	return frame;
}

static void push(uint64_t *list, uint64_t frame)
{
	*(uint64_t *)frame_at(frame) = *list;
	*list = frame;
	pool.free++;
}

static bool take_new(uint64_t *frame)
{
	uint64_t next = pool.next;

	if (next == boot_page->high_end)
		next = boot_page->free_start;
	if (next == boot_page->free_end)
		return false;
	*frame = next;
	pool.next = next + PAGE_SIZE;
	pool.free--;
	return true;
}

bool frame_alloc(uint64_t *frame)
{
	if (pool.zero) {
		*frame = pop(&pool.zero);
		return true;
	}
	if (take_new(frame))
		return true;
	if (!pool.dirty)
		return false;
	*frame = pop(&pool.dirty);
	memset(frame_at(*frame), 0, PAGE_SIZE);
	return true;
}

bool frame_alloc_dirty(uint64_t *frame)
{
	if (!pool.dirty)
		return frame_alloc(frame);
	*frame = pop(&pool.dirty);
	return true;
}

void frame_free(uint64_t frame)
{
	push(&pool.dirty, frame);
}

void frame_free_zero(uint64_t frame)
{
	push(&pool.zero, frame);
}

uint64_t frames_free(void)
{
	return pool.free;
}

static bool table_alloc(void *ctx, uint64_t *frame)
{
	(void)ctx;
	return frame_alloc(frame);
}

static void table_free(void *ctx, uint64_t frame)
{
	(void)ctx;
	frame_free_zero(frame);
}

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return frame < boot_page->ram_size || (frame >= RS_HIGH_RAM && frame < boot_page->high_end)
	           ? frame_at(frame)
	           : NULL;
}

const struct pt_memory frames_pt_memory = {
    .alloc = table_alloc, .free = table_free, .at = table_at};
