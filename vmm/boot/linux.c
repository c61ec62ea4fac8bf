/*
 * Linux's boot protocol (Linux, Documentation/arch/x86/boot.rst, "64-bit boot protocol", and the
 * 32-bit one for a kernel that has no other; zero-page.rst): bzImage, and the ELF file vmlinux that
 * is packed in it, which is faster because nothing has to unpack itself.
 */
#include "vmm/boot/linux.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/boot/image_refuse.h"
#include "vmm/boot/pieces.h"
#include "vmm/boot/pc_map.h"
#include "vmm/boot/pc_modules.h"
#include "vmm/boot/pc_start.h"
#include "vmm/boot/protocol.h"

/* Of struct boot_params, whose setup header lies in the file at the same place. */
enum {
	AT_RSDP = 0x070,
	AT_E820_COUNT = 0x1e8,
	AT_SETUP = 0x1f1, /* the header: setup_sects, a byte */
	AT_SYSSIZE = 0x1f4,
	AT_VIDEO_MODE = 0x1fa,
	AT_BOOT_FLAG = 0x1fe,
	AT_JUMP = 0x200, /* EB nn: the header ends at 0x202 + nn */
	AT_MAGIC = 0x202,
	AT_VERSION = 0x206,
	AT_LOADER = 0x210,
	AT_LOAD_FLAGS = 0x211,
	AT_CODE32 = 0x214,
	AT_INITRD = 0x218,
	AT_INITRD_SIZE = 0x21c,
	AT_COMMAND = 0x228,
	AT_INITRD_MAX = 0x22c,
	AT_RELOCATABLE = 0x234,
	AT_XLOAD_FLAGS = 0x236,
	AT_COMMAND_MAX = 0x238,
	AT_PREFERRED = 0x258,
	AT_INIT_SIZE = 0x260,
	AT_E820 = 0x2d0,
	E820_SIZE = 20,
	HEADER_END = 0x290, /* of the longest header */

	SECTOR = 512,
	BOOT_FLAG = 0xaa55,
	VERSION_MIN = 0x206,  /* the first with cmdline_size: Linux 2.6.22 */
	VERSION_SIZE = 0x20a, /* the first with pref_address and init_size: Linux 2.6.31 */
	VERSION_64 = 0x20c,   /* the first with xloadflags: Linux 3.8 */
	LOADED_HIGH = 1 << 0,
	XLF_KERNEL_64 = 1 << 0,
	LOADER_UNKNOWN = 0xff,
	VIDEO_NORMAL = 0xffff,
	ENTRY_64 = 0x200, /* behind the load address */
};
static const char magic[] = "HdrS";

static uint64_t field(const uint8_t *bytes, unsigned at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes + at, size);
	return value;
}

static void set(uint8_t *bytes, unsigned at, unsigned size, uint64_t value)
{
	memcpy(bytes + at, &value, size);
}

/* ---- The file ------------------------------------------------------------------------------ */

static bool is_bzimage(const struct image *image)
{
	return image->head_size >= HEADER_END && field(image->head, AT_BOOT_FLAG, 2) == BOOT_FLAG &&
	       !memcmp(image->head + AT_MAGIC, magic, 4);
}

/* Linux's notes: its build salt, and Xen's word for the guest's system. */
static bool is_vmlinux(const struct image *image)
{
	enum { XEN_GUEST_OS = 6 };
	char os[8] = "";

	if (!image_is_elf(image, 64))
		return false;
	return (pieces_find_note(image, "Xen", XEN_GUEST_OS, os, sizeof(os) - 1) &&
	        !strcmp(os, "linux")) ||
	       pieces_have_note(image, "Linux");
}

bool linux_is(const struct image *image)
{
	return is_bzimage(image) || is_vmlinux(image);
}

static bool claims(struct image *image)
{
	return linux_is(image);
}

static bool check_header(const struct image *image)
{
	static const char where[] = "setup header";
	const uint8_t *head = image->head;
	const uint64_t version = field(head, AT_VERSION, 2);
	const unsigned end = AT_MAGIC + head[AT_JUMP + 1];
	const unsigned least = version >= VERSION_SIZE ? AT_INIT_SIZE + sizeof(uint32_t)
	                                               : AT_COMMAND_MAX + sizeof(uint32_t);

	if (version < VERSION_MIN)
		return image_refuse(image, where,
		                    "is of boot protocol %" PRIu64 ".%02" PRIu64
		                    ": must be 2.06 or later (Linux 2.6.22)",
		                    version >> 8, version & 0xff);
	if (!(head[AT_LOAD_FLAGS] & LOADED_HIGH))
		return image_refuse(image, where,
		                    "loadflags is 0x%x: a zImage, which is loaded low; must be a "
		                    "bzImage (bit 0)",
		                    head[AT_LOAD_FLAGS]);
	if (end < least || end > HEADER_END)
		return image_refuse(image, where,
		                    "its jump says that it ends at 0x%x: must be 0x%x to 0x%x", end,
		                    least, HEADER_END);
	return true;
}

/* Whether the kernel is entered in long mode. */
static bool has_entry64(const uint8_t *head)
{
	return field(head, AT_VERSION, 2) >= VERSION_64 &&
	       field(head, AT_XLOAD_FLAGS, 2) & XLF_KERNEL_64;
}

/* Where it is loaded, and how much RAM from there on it needs before it looks at the map. */
static bool take_place(const struct image *image, struct piece *piece)
{
	const uint8_t *head = image->head;
	const uint64_t preferred = field(head, AT_PREFERRED, 8);
	const uint64_t init_size = field(head, AT_INIT_SIZE, 4);

	piece->gpa = PC_HIGH;
	piece->memsz = piece->filesz;
	if (field(head, AT_VERSION, 2) < VERSION_SIZE)
		return true;
	if (init_size < piece->filesz)
		return image_refuse(image, "setup header",
		                    "init_size is 0x%" PRIx64 ": less than the 0x%" PRIx64
		                    " bytes of the kernel",
		                    init_size, piece->filesz);
	piece->memsz = init_size;
	if (head[AT_RELOCATABLE] && preferred)
		piece->gpa = preferred;
	else if (preferred > PC_HIGH && preferred <= UINT32_MAX) /* it moves itself there */
		piece->memsz += preferred - PC_HIGH;
	else if (preferred > UINT32_MAX)
		return image_refuse(image, "setup header",
		                    "pref_address is 0x%" PRIx64 ": must be below 4 GiB",
		                    preferred);
	return true;
}

static bool open_bzimage(struct image *image, const struct plan *plan)
{
	static const char where[] = "setup header";
	const uint8_t *head = image->head;
	const uint64_t sectors = head[AT_SETUP] ? head[AT_SETUP] : 4;
	const uint64_t offset = (sectors + 1) * SECTOR;
	const uint64_t size = field(head, AT_SYSSIZE, 4) * 16;
	struct piece piece = {.offset = offset};

	if (!check_header(image))
		return false;
	if (offset >= image->file_size || size == 0 || size - 16 >= image->file_size - offset)
		return image_refuse(image, where,
		                    "setup_sects %" PRIu64 " and syssize 0x%" PRIx64
		                    " reach beyond the end of the file, 0x%" PRIx64 " (truncated?)",
		                    sectors, size / 16, image->file_size);
	piece.filesz = size < image->file_size - offset ? size : image->file_size - offset;
	if (!take_place(image, &piece))
		return false;
	image->bits32 = !has_entry64(head);
	image->entry_gpa = piece.gpa + (image->bits32 ? 0 : ENTRY_64);
	return pieces_add(image, plan, "the kernel", piece);
}

static bool open_linux(struct image *image, const struct plan *plan)
{
	return is_bzimage(image) ? open_bzimage(image, plan) : pieces_take_elf(image, plan);
}

/* ---- RAM ----------------------------------------------------------------------------------- */

static void put_map(const struct memory *memory, uint8_t *params)
{
	struct pc_range ranges[PC_RANGES_MAX];
	const unsigned count = pc_map(memory, ranges);

	params[AT_E820_COUNT] = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		const unsigned at = AT_E820 + i * E820_SIZE;

		set(params, at, 8, ranges[i].gpa);
		set(params, at + 8, 8, ranges[i].size);
		set(params, at + 16, 4, ranges[i].type);
	}
}

/* As a bzImage's header has it; vmlinux has none. */
static void put_header(const struct image *image, uint8_t *params)
{
	if (is_bzimage(image)) {
		memcpy(params + AT_SETUP, image->head + AT_SETUP,
		       AT_MAGIC + (size_t)image->head[AT_JUMP + 1] - AT_SETUP);
		set(params, AT_CODE32, 4, image->pieces[0].gpa);
	} else {
		set(params, AT_BOOT_FLAG, 2, BOOT_FLAG);
		memcpy(params + AT_MAGIC, magic, 4);
		set(params, AT_VERSION, 2, VERSION_64);
		params[AT_LOAD_FLAGS] = LOADED_HIGH;
	}
	params[AT_LOADER] = LOADER_UNKNOWN;
	set(params, AT_VIDEO_MODE, 2, VIDEO_NORMAL);
}

const char *linux_words(const struct plan *plan)
{
	switch (plan->pti) {
	case PTI_ON:
		return "console=ttyS0 panic=-1 pti=on";
	case PTI_OFF:
		return "console=ttyS0 panic=-1 pti=off";
	default:
		return "console=ttyS0 panic=-1";
	}
}

static bool build(struct boot *boot, const struct memory *memory, const struct image *image,
                  const struct host *host, const struct plan *plan)
{
	uint8_t *params = memory_at(memory, PC_PARAMS, PAGE_SIZE);
	const bool packed = is_bzimage(image);
	const uint64_t command_max = packed ? field(image->head, AT_COMMAND_MAX, 4) : 0;
	uint64_t top = UINT64_C(1) << 31;
	struct pc_modules modules;

	if (packed && field(image->head, AT_INITRD_MAX, 4) < top)
		top = field(image->head, AT_INITRD_MAX, 4) + 1;
	pc_boot_begin(boot, memory, host, plan);
	put_header(image, params);
	put_map(memory, params);
	if (!pc_put_command(memory, plan, linux_words(plan), command_max) ||
	    !pc_put_modules(memory, plan, pieces_end(image), top, false, &modules))
		return false;
	set(params, AT_COMMAND, 4, PC_COMMAND);
	set(params, AT_INITRD, 4, modules.module[0].gpa);
	set(params, AT_INITRD_SIZE, 4, modules.module[0].size);
	set(params, AT_RSDP, 8, PC_ACPI);
	pc_boot_end(boot, (struct pc_entry){.bits32 = image->bits32,
	                                    .code = PC_SEL_LINUX,
	                                    .rip = image->entry_gpa,
	                                    .rsi = PC_PARAMS});
	return true;
}

const struct boot_protocol linux_protocol = {
    .name = "linux",
    .title = "Linux's boot protocol",
    .sign = "a bzImage's setup header, or an ELF note of Linux",
    .is_pc = true,
    .has_words = true,
    .claims = claims,
    .open = open_linux,
    .load = pieces_load,
    .build = build,
    .start = pc_start_cpu,
};
