#include "vmm/boot/cpio.h"

#include <string.h>

#include <sys/stat.h>

enum { ALIGNMENT = 4, BLOCK = 512 };

struct entry {
	const char *name;
	unsigned mode, links, major, minor;
	const void *bytes;
	size_t size;
};

static void put(struct cpio *cpio, const void *bytes, size_t size)
{
	if (size && fwrite(bytes, 1, size, cpio->out) != size)
		cpio->failed = true;
	cpio->size += size;
}

static void pad(struct cpio *cpio, unsigned to)
{
	static const char zeros[BLOCK];

	put(cpio, zeros, (size_t)(-cpio->size % to));
}

static void put_entry(struct cpio *cpio, const struct entry *entry)
{
	const size_t name_size = strlen(entry->name) + 1;
	char header[6 + 13 * 8 + 1];

	if (entry->size > UINT32_MAX) {
		cpio->failed = true;
		return;
	}
	/* Inode, mode, owner, group, links, time, size, device it is on, device it is, name's
	 * size, checksum. */
	snprintf(header, sizeof(header),
	         "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++cpio->number,
	         entry->mode, 0, 0, entry->links, 0, (unsigned)entry->size, 0, 0, entry->major,
	         entry->minor, (unsigned)name_size, 0);
	put(cpio, header, sizeof(header) - 1);
	put(cpio, entry->name, name_size);
	pad(cpio, ALIGNMENT);
	put(cpio, entry->bytes, entry->size);
	pad(cpio, ALIGNMENT);
}

void cpio_folder(struct cpio *cpio, const char *name)
{
	put_entry(cpio, &(struct entry){.name = name, .mode = S_IFDIR | 0755, .links = 2});
}

void cpio_file(struct cpio *cpio, const char *name, unsigned mode, const void *bytes, size_t size)
{
	put_entry(
	    cpio,
	    &(struct entry){
	        .name = name, .mode = S_IFREG | mode, .links = 1, .bytes = bytes, .size = size});
}

void cpio_device(struct cpio *cpio, const char *name, unsigned mode, unsigned major, unsigned minor)
{
	put_entry(
	    cpio,
	    &(struct entry){
	        .name = name, .mode = S_IFCHR | mode, .links = 1, .major = major, .minor = minor});
}

bool cpio_end(struct cpio *cpio)
{
	put_entry(cpio, &(struct entry){.name = "TRAILER!!!", .links = 1});
	pad(cpio, BLOCK);
	if (fflush(cpio->out) != 0)
		cpio->failed = true;
	return !cpio->failed;
}
