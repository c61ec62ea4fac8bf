#include "vmm/boot/pc_modules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/base/message.h"
#include "vmm/boot/pc_map.h"

/* What the command line names. */
struct source {
	const char *option, *path, *words;
	int fd; /* -1: not open */
	uint64_t size;
};

static bool refuse(const struct source *source, const char *why)
{
	return message_error("--%s %s: %s", source->option, source->path, why);
}

static uint64_t whole_pages(uint64_t size)
{
	return (size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

static unsigned list(const struct plan *plan, struct source sources[PC_MODULES_MAX])
{
	unsigned count = 0;

	if (plan->initrd)
		sources[count++] = (struct source){"initrd", plan->initrd, "", -1, 0};
	for (unsigned i = 0; i < plan->module_count; i++)
		sources[count++] =
		    (struct source){"module", plan->modules[i].path, plan->modules[i].words, -1, 0};
	return count;
}

/* ---- Files --------------------------------------------------------------------------------- */

static bool open_source(struct source *source)
{
	struct stat stat;

	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	source->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (source->fd < 0 || fstat(source->fd, &stat) < 0)
		return refuse(source, strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return refuse(source, "is not a regular file");
	if (stat.st_size == 0)
		return refuse(source, "is empty");
	source->size = (uint64_t)stat.st_size;
	return true;
}

static bool read_source(const struct source *source, uint8_t *to)
{
	uint64_t left = source->size;

	while (left) {
		const ssize_t got = read(source->fd, to, left);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(source, strerror(errno));
		if (got == 0)
			return refuse(source, "became shorter while being read");
		to += got;
		left -= (uint64_t)got;
	}
	return true;
}

/* ---- Places -------------------------------------------------------------------------------- */

/* All whole pages from `bottom` to `top`.  *size: of all together. */
static bool check_room(const struct source *sources, unsigned count, uint64_t bottom, uint64_t top,
                       uint64_t *size)
{
	const uint64_t room = bottom < top ? top - bottom : 0;

	*size = 0;
	for (unsigned i = 0; i < count; i++) {
		if (sources[i].size > room || whole_pages(sources[i].size) > room - *size)
			return message_error(
			    "--%s %s: its %" PRIu64 " KiB do not fit between the kernel's end, "
			    "0x%" PRIx64 ", and 0x%" PRIx64
			    ", up to where it may lie%s: give more RAM with --mem",
			    sources[i].option, sources[i].path, sources[i].size >> 10, bottom, top,
			    i ? ", with those before it" : "");
		*size += whole_pages(sources[i].size);
	}
	return true;
}

static bool put_words(const struct memory *memory, const struct source *sources, unsigned count,
                      struct pc_modules *modules)
{
	char *room = memory_at(memory, PC_WORDS, PC_WORDS_SIZE);
	size_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		const size_t size = strlen(sources[i].words) + 1;

		if (size > PC_WORDS_SIZE - used)
			return message_error("--%s %s: its words are too long: all modules' "
			                     "together may have %d bytes",
			                     sources[i].option, sources[i].path, PC_WORDS_SIZE);
		memcpy(room + used, sources[i].words, size);
		modules->module[i].words = PC_WORDS + used;
		used += size;
	}
	return true;
}

static bool put(const struct memory *memory, struct source *sources, unsigned count,
                uint64_t bottom, uint64_t top, bool low, struct pc_modules *modules)
{
	uint64_t size, gpa;

	for (unsigned i = 0; i < count; i++) {
		if (!open_source(&sources[i]))
			return false;
	}
	if (!check_room(sources, count, bottom, top, &size) ||
	    !put_words(memory, sources, count, modules))
		return false;
	gpa = low ? bottom : top - size;
	for (unsigned i = 0; i < count; i++) {
		modules->module[i].gpa = gpa;
		modules->module[i].size = sources[i].size;
		if (!read_source(&sources[i], memory_at(memory, gpa, sources[i].size)))
			return false;
		gpa += whole_pages(sources[i].size);
	}
	modules->count = count;
	return true;
}

bool pc_put_modules(const struct memory *memory, const struct plan *plan, uint64_t bottom,
                    uint64_t top, bool low, struct pc_modules *modules)
{
	struct source sources[PC_MODULES_MAX];
	const unsigned count = list(plan, sources);
	bool good;

	*modules = (struct pc_modules){0};
	if (top > memory->low_end)
		top = memory->low_end;
	top &= ~(uint64_t)(PAGE_SIZE - 1);
	if (bottom < PC_HIGH)
		bottom = PC_HIGH; /* between are the screen's memory and ACPI's tables */
	good = put(memory, sources, count, bottom, top, low, modules);
	for (unsigned i = 0; i < count; i++) {
		if (sources[i].fd >= 0)
			close(sources[i].fd);
	}
	return good;
}
