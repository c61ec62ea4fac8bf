#include "vmm/boot/image_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/base/message.h"

bool image_read(const struct image *image, void *to, uint64_t size, uint64_t offset)
{
	uint8_t *at = to;

	while (size) {
		ssize_t got = pread(image->fd, at, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return message_error("%s: cannot read: %s", image->path, strerror(errno));
		if (got == 0)
			return message_error("%s: ended at byte %" PRIu64
			                     " while being read: did it change?",
			                     image->path, offset);
		at += got;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return true;
}

bool image_open_file(struct image *image)
{
	struct stat stat;

	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	image->fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (image->fd < 0)
		return message_error("%s: cannot open: %s", image->path, strerror(errno));
	if (fstat(image->fd, &stat) < 0)
		return message_error("%s: cannot stat: %s", image->path, strerror(errno));
	if (S_ISDIR(stat.st_mode))
		return message_error("%s: is a directory: must be a kernel's file", image->path);
	if (!S_ISREG(stat.st_mode))
		return message_error("%s: is not a regular file: must be a kernel's file",
		                     image->path);
	image->file_size = (uint64_t)stat.st_size;
	if (image->file_size == 0)
		return message_error("%s: is empty: must be a kernel's file", image->path);
	return true;
}
