#include "tests/unit_vmm/made_kernel.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <zlib.h>

#include "tests/unit_vmm/made_file.h"

/* Behind shared/x86.h, whose PF_W is another. */
#include <elf.h>

static struct made made;

void made_set(struct made *to, size_t at, unsigned size, uint64_t value)
{
	ck_assert(at + size <= MADE_SIZE);
	memcpy(to->bytes + at, &value, size);
}

static uint32_t word(const struct made *from, size_t at)
{
	uint32_t value;

	memcpy(&value, from->bytes + at, sizeof(value));
	return value;
}

/* The last of Multiboot's three and Multiboot 2's four words. */
void made_sum(struct made *to)
{
	const unsigned last = word(to, MADE_AT) == 0x1badb002 ? 2 : 3;
	uint32_t sum = 0;

	for (unsigned i = 0; i < last; i++)
		sum += word(to, MADE_AT + 4 * i);
	made_set(to, MADE_AT + 4 * last, 4, 0 - (uint64_t)sum);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void make_bzimage(bool bits64)
{
	made_set(&made, 0x1f1, 1, MADE_SECTORS);
	made_set(&made, 0x1f4, 4, MADE_TEXT / 16);
	made_set(&made, 0x1fe, 2, 0xaa55);
	made_set(&made, 0x200, 2, 0x66eb); /* to 0x268 */
	memcpy(made.bytes + 0x202, "HdrS", 4);
	made_set(&made, 0x206, 2, 0x20f);
	made_set(&made, 0x211, 1, 1); /* loaded high */
	made_set(&made, 0x214, 4, 0x100000);
	made_set(&made, 0x22c, 4, 0x7fffffff);
	made_set(&made, 0x230, 4, 0x200000);
	made_set(&made, 0x234, 1, 1); /* relocatable */
	made_set(&made, 0x236, 2, bits64);
	made_set(&made, 0x238, 4, 2047);
	made_set(&made, 0x258, 8, MADE_LINUX_GPA);
	made_set(&made, 0x260, 4, MADE_INIT_SIZE);
	memset(made.bytes + 0x268, 0xcc, 0x290 - 0x268); /* code: no part of the header */
}

static void add_note(size_t at, const char *name, uint32_t type, const void *desc, uint32_t size)
{
	const Elf64_Nhdr head = {
	    .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = size, .n_type = type};

	memcpy(made.bytes + at, &head, sizeof(head));
	strcpy((char *)made.bytes + at + sizeof(head), name);
	memcpy(made.bytes + at + sizeof(head) + ((head.n_namesz + 3) & ~3U), desc, size);
}

static void make_elf64(uint64_t gpa, uint64_t va)
{
	const Elf64_Ehdr header = {
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	    .e_type = ET_EXEC,
	    .e_machine = EM_X86_64,
	    .e_version = EV_CURRENT,
	    .e_entry = gpa + MADE_ENTRY,
	    .e_phoff = sizeof(header),
	    .e_ehsize = sizeof(header),
	    .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = 2};
	const Elf64_Phdr segments[2] = {
	    {.p_type = PT_LOAD,
	     .p_flags = 7,
	     .p_offset = MADE_AT,
	     .p_vaddr = va,
	     .p_paddr = gpa,
	     .p_filesz = MADE_TEXT,
	     .p_memsz = MADE_MEMORY},
	    {.p_type = PT_NOTE, .p_offset = MADE_NOTE, .p_filesz = MADE_NOTES, .p_align = 4}};

	memcpy(made.bytes, &header, sizeof(header));
	memcpy(made.bytes + sizeof(header), segments, sizeof(segments));
}

static void make_elf32(uint32_t gpa)
{
	const Elf32_Ehdr header = {
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
	    .e_type = ET_EXEC,
	    .e_machine = EM_386,
	    .e_version = EV_CURRENT,
	    .e_entry = 0xc0000000 + gpa + MADE_ENTRY, /* as a higher-half kernel has it */
	    .e_phoff = sizeof(header),
	    .e_ehsize = sizeof(header),
	    .e_phentsize = sizeof(Elf32_Phdr),
	    .e_phnum = 2};
	const Elf32_Phdr segments[2] = {
	    {.p_type = PT_LOAD,
	     .p_flags = 7,
	     .p_offset = MADE_AT,
	     .p_vaddr = 0xc0000000 + gpa,
	     .p_paddr = gpa,
	     .p_filesz = MADE_TEXT,
	     .p_memsz = MADE_MEMORY},
	    {.p_type = PT_NOTE, .p_offset = MADE_NOTE, .p_filesz = MADE_NOTES, .p_align = 4}};

	memcpy(made.bytes, &header, sizeof(header));
	memcpy(made.bytes + sizeof(header), segments, sizeof(segments));
}

static void add_multiboot(bool addresses)
{
	const uint32_t header[8] = {0x1badb002,
	                            addresses ? 1 << 16 | 3 : 3,
	                            0,
	                            MADE_GPA,
	                            MADE_GPA,
	                            MADE_GPA + MADE_TEXT,
	                            MADE_GPA + MADE_MEMORY,
	                            MADE_GPA + MADE_ENTRY};

	memcpy(made.bytes + MADE_AT, header, addresses ? 32 : 12);
	made_sum(&made);
}

/* Tags: a request, addresses and the entry, module alignment, the end. */
static void add_multiboot2(bool addresses)
{
	uint8_t *at = made.bytes + MADE_AT + 16;
	const uint32_t request[4] = {1, 16, 6, 15}, module[2] = {6, 8}, end[2] = {0, 8};
	const uint32_t place[6] = {
	    2, 24, MADE_GPA, MADE_GPA, MADE_GPA + MADE_TEXT, MADE_GPA + MADE_MEMORY};
	const uint32_t entry[4] = {3, 12, MADE_GPA + MADE_ENTRY, 0};

	at = (uint8_t *)mempcpy(at, request, sizeof(request));
	if (addresses) {
		at = (uint8_t *)mempcpy(at, place, sizeof(place));
		at = (uint8_t *)mempcpy(at, entry, sizeof(entry));
	}
	at = (uint8_t *)mempcpy(at, module, sizeof(module));
	at = (uint8_t *)mempcpy(at, end, sizeof(end));
	made_set(&made, MADE_AT, 4, 0xe85250d6);
	made_set(&made, MADE_AT + 4, 4, 0);
	made_set(&made, MADE_AT + 8, 4, (uint64_t)(at - made.bytes) - MADE_AT);
	made_sum(&made);
}

struct made *made_kernel(enum made_kind kind)
{
	const uint64_t entry = MADE_GPA + MADE_ENTRY;

	made = (struct made){.size = MADE_SIZE};
	for (unsigned i = 0; i < MADE_TEXT; i++)
		made.bytes[MADE_AT + i] = (uint8_t)(i % 251);
	if (kind == MADE_BZIMAGE || kind == MADE_BZIMAGE_32)
		make_bzimage(kind == MADE_BZIMAGE);
	else if (kind == MADE_VMLINUX)
		make_elf64(MADE_LINUX_GPA, 0xffffffff81000000);
	else if (kind == MADE_PVH)
		make_elf64(MADE_GPA, MADE_GPA);
	else if (kind != MADE_MULTIBOOT && kind != MADE_MULTIBOOT2)
		make_elf32(MADE_GPA);

	if (kind == MADE_VMLINUX)
		add_note(MADE_NOTE, "Linux", 0x100, "salt", 4);
	if (kind == MADE_PVH || kind == MADE_PVH_32)
		add_note(MADE_NOTE, "Xen", 18, &entry, kind == MADE_PVH ? 8 : 4);
	if (kind == MADE_MULTIBOOT || kind == MADE_MULTIBOOT_ELF)
		add_multiboot(kind == MADE_MULTIBOOT);
	if (kind == MADE_MULTIBOOT2 || kind == MADE_MULTIBOOT2_ELF)
		add_multiboot2(kind == MADE_MULTIBOOT2);
	return &made;
}

/* ---- Booting --------------------------------------------------------------------------------- */

static struct booted the_one;
struct booted *const booted = &the_one;
static const char *given;

void booted_begin(void)
{
	*booted = (struct booted){.plan = {.mem = MADE_RAM, .cpus = 1},
	                          .host = {.maxphyaddr = 40},
	                          .image = IMAGE_CLOSED};
}

static void drop(void)
{
	image_close(&booted->image);
	booted->image = IMAGE_CLOSED;
	if (booted->memory.base)
		memory_destroy(&booted->memory);
	booted->memory = (struct memory){0};
}

void booted_end(void)
{
	drop();
	if (given)
		unlink(given);
	given = NULL;
}

void booted_give(const void *bytes, size_t size)
{
	if (given)
		unlink(given);
	given = made_file(bytes, size);
	booted->plan.initrd = given;
}

static bool boot(void)
{
	const struct boot_protocol *protocol;

	if (!boot_open(&booted->image, &booted->plan))
		return false;
	protocol = booted->image.protocol;
	ck_assert(memory_create(&booted->memory, booted->plan.mem));
	return protocol->load(&booted->image, &booted->memory) &&
	       protocol->build(&booted->boot, &booted->memory, &booted->image, &booted->host,
	                       &booted->plan);
}

static const char *packed_file(const struct made *from)
{
	const char *path = made_file("", 0);
	gzFile gz = gzopen(path, "wb");

	ck_assert_ptr_nonnull(gz);
	ck_assert_int_eq(gzwrite(gz, from->bytes, (unsigned)from->size), (int)from->size);
	gzclose(gz);
	return path;
}

bool booted_boot(const struct made *from)
{
	const char *path = from->packed ? packed_file(from) : made_file(from->bytes, from->size);
	bool good;

	drop();
	booted->plan.guest = path;
	listen_begin();
	good = boot();
	listen_end(booted->said, sizeof(booted->said));
	unlink(path);
	return good;
}

void boots(const struct made *from)
{
	ck_assert_msg(booted_boot(from), "%s", booted->said);
}

void is_refused_for(const struct made *from, const char *words)
{
	ck_assert(!booted_boot(from));
	ck_assert_msg(strstr(booted->said, words), "\"%s\" is not about \"%s\"", booted->said,
	              words);
}
