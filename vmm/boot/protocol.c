#include "vmm/boot/protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <zlib.h>

#include "vmm/base/message.h"
#include "vmm/boot/image_read.h"
#include "vmm/boot/ringscope.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Ringscope's own ----------------------------------------------------------------------- */

static bool claims_elf64(struct image *image)
{
	return image_is_elf(image, 64);
}

static bool open_own(struct image *image, const struct plan *plan)
{
	return image_take(image, plan->mem);
}

/* The same with and without a note: what lacks one gets no IDT. */
#define OWN                                                                                        \
	.open = open_own, .load = image_place, .build = boot_build, .start = start_cpu,            \
	.publish = boot_publish

static const struct boot_protocol ringscope_protocol = {
    .name = "ringscope",
    .title = "Ringscope's own protocol",
    .sign = "an ELF note named " RS_NOTE_NAME,
    .claims = image_claims_note,
    OWN,
};
static const struct boot_protocol elf64_protocol = {
    .name = "elf",
    .title = "a plain 64-bit ELF file, in long mode",
    .sign = "a 64-bit ELF header",
    .claims = claims_elf64,
    OWN,
};

/* ---- The table ----------------------------------------------------------------------------- */

/* In the order in which a file is asked: a kernel may bear several signs, and the plain ones come
 * last. */
static const struct boot_protocol *const protocols[] = {
    &ringscope_protocol, &linux_protocol, &multiboot2_protocol, &multiboot_protocol,
    &pvh_protocol,       &elf64_protocol, &elf32_protocol,
};

const char *boot_protocol_list(char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(protocols) && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "",
		                         protocols[i]->name);
	return buf;
}

const struct boot_protocol *boot_protocol_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcmp(protocols[i]->name, name))
			return protocols[i];
	}
	return NULL;
}

/* ---- The file's beginning ------------------------------------------------------------------ */

static bool read_head(struct image *image)
{
	image->head_size =
	    image->file_size < IMAGE_HEAD ? (size_t)image->file_size : (size_t)IMAGE_HEAD;
	free(image->head);
	image->head = malloc(image->head_size);
	if (!image->head)
		return message_error("%s: no memory to read it", image->path);
	return image_read(image, image->head, image->head_size, 0);
}

static bool is_packed(const struct image *image)
{
	return image->head_size > 2 && image->head[0] == 0x1f && image->head[1] == 0x8b;
}

/* What zlib finds in `from`, to the file `to`: at most `most` bytes. */
static bool copy_unpacked(const struct image *image, gzFile from, int to, uint64_t most)
{
	static uint8_t buffer[65536];
	uint64_t size = 0;
	int got, error = Z_OK;

	while ((got = gzread(from, buffer, sizeof(buffer))) > 0) {
		size += (uint64_t)got;
		if (size > most)
			return message_error("%s: unpacks to more than guest RAM has, %" PRIu64
			                     " MiB: give more with --mem",
			                     image->path, most >> 20);
		if (write(to, buffer, (size_t)got) != got)
			return message_error("%s: cannot unpack it: %s", image->path,
			                     strerror(errno));
	}
	/* At an end that comes too early there are no bytes, and an error. */
	gzerror(from, &error);
	if (error != Z_OK && error != Z_STREAM_END)
		return message_error("%s: is packed by gzip, and damaged or truncated: %s",
		                     image->path, gzerror(from, &error));
	return true;
}

/* xen.gz, gnumach.gz: a boot loader unpacks those too.  The file becomes what was in it. */
static bool unpack(struct image *image, uint64_t most)
{
	const int to = memfd_create("unpacked", MFD_CLOEXEC), from = dup(image->fd);
	gzFile gz = from >= 0 ? gzdopen(from, "rb") : NULL;
	bool good = false;

	if (to < 0 || !gz)
		message_error("%s: cannot unpack it: %s", image->path, strerror(errno));
	else if (lseek(image->fd, 0, SEEK_SET) == 0)
		good = copy_unpacked(image, gz, to, most);
	if (gz)
		gzclose(gz);
	else if (from >= 0)
		close(from);
	if (!good) {
		if (to >= 0)
			close(to);
		return false;
	}
	close(image->fd);
	image->fd = to;
	image->file_size = (uint64_t)lseek(to, 0, SEEK_END);
	return image->file_size > 0 || message_error("%s: nothing is in it", image->path);
}

/* ---- The choice ---------------------------------------------------------------------------- */

static bool refuse(const struct image *image)
{
	enum { BYTES = 8 };
	char looked[600], bytes[3 * BYTES + 1] = "";
	size_t used = 0;

	for (size_t i = 0; i < BYTES && i < image->head_size; i++)
		sprintf(bytes + 3 * i, " %02x", image->head[i]);

	for (size_t i = 0; i < ARRAY_SIZE(protocols) && used < sizeof(looked); i++)
		used += (size_t)snprintf(looked + used, sizeof(looked) - used, "%s%s (%s)",
		                         i ? ", " : "", protocols[i]->sign, protocols[i]->name);
	return message_error(
	    "%s: is no kernel that can be booted: it begins with%s, and has none of %s",
	    image->path, bytes, looked);
}

static bool choose(struct image *image, const struct plan *plan)
{
	const struct boot_protocol *wanted = plan->protocol;

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if ((wanted && wanted != protocols[i]) || !protocols[i]->claims(image))
			continue;
		image->protocol = protocols[i];
		return true;
	}
	if (wanted)
		return message_error("%s: --boot %s: it has not %s", image->path, wanted->name,
		                     wanted->sign);
	return refuse(image);
}

/* What not every kernel can be given. */
static bool check_plan(const struct image *image, const struct plan *plan)
{
	const struct boot_protocol *protocol = image->protocol;
	const char *option = NULL;

	if (plan->module_count && !protocol->has_modules)
		option = "module";
	else if (plan->initrd && !protocol->has_words)
		option = "initrd";
	else if (plan->append && !protocol->has_words)
		option = "append";
	if (!option)
		return true;
	return message_error("--%s: %s is booted by %s, which has no such thing: %s", option,
	                     image->path, protocol->title,
	                     protocol->has_words ? "give its RAM disk with --initrd"
	                                         : "leave it out");
}

bool boot_open(struct image *image, const struct plan *plan)
{
	*image = IMAGE_CLOSED;
	image->path = plan->guest;
	if (!image_open_file(image) || !read_head(image))
		return false;
	if (is_packed(image) && (!unpack(image, plan->mem) || !read_head(image)))
		return false;
	return choose(image, plan) && check_plan(image, plan) && image->protocol->open(image, plan);
}
