#include "vmm/cli/linux_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/base/message.h"

#define SIZE_MAX_MIB 1024

/* ---- Reading ------------------------------------------------------------------------------- */

static bool read_all(struct linux_program *program, int fd)
{
	size_t have = 0;

	while (have < program->size) {
		const ssize_t got = read(fd, program->bytes + have, program->size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return message_error("%s: cannot read: %s", program->path, strerror(errno));
		if (got == 0)
			return message_error("%s: became shorter while being read", program->path);
		have += (size_t)got;
	}
	return true;
}

static bool read_open(struct linux_program *program, int fd)
{
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return message_error("%s: cannot read: %s", program->path, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return message_error("%s: is a folder: a program is to come behind '--'",
		                     program->path);
	if (!S_ISREG(status.st_mode))
		return message_error("%s: is not a regular file", program->path);
	if (!(status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return message_error("%s: may not be executed: chmod +x it, if it is a program",
		                     program->path);
	if (status.st_size == 0)
		return message_error("%s: is empty", program->path);
	if (status.st_size > (off_t)SIZE_MAX_MIB << 20)
		return message_error("%s: has %lld MiB: a guest's program may have %d",
		                     program->path, (long long)status.st_size >> 20, SIZE_MAX_MIB);
	program->size = (size_t)status.st_size;
	program->bytes = malloc(program->size);
	if (!program->bytes)
		return message_error("%s: no memory to read it", program->path);
	return read_all(program, fd);
}

/* ---- What it is ---------------------------------------------------------------------------- */

static bool is_elf(const struct linux_program *program)
{
	return program->size >= EI_NIDENT && !memcmp(program->bytes, ELFMAG, SELFMAG);
}

/* The name of the dynamic loader, if it asks for one; NULL: it is static.  What is wrong with its
 * headers the guest's kernel will say. */
static const char *loader(const struct linux_program *program, const Elf64_Ehdr *header)
{
	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		if (header->e_phoff > program->size - sizeof(segment) ||
		    program->size - sizeof(segment) - header->e_phoff < i * sizeof(segment))
			return NULL;
		memcpy(&segment, program->bytes + header->e_phoff + i * sizeof(segment),
		       sizeof(segment));
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz && segment.p_filesz <= program->size &&
		    segment.p_offset <= program->size - segment.p_filesz &&
		    !program->bytes[segment.p_offset + segment.p_filesz - 1])
			return (const char *)program->bytes + segment.p_offset;
		return "a dynamic loader";
	}
	return NULL;
}

static bool check_elf(const struct linux_program *program, bool helped)
{
	const char *needs;
	Elf64_Ehdr header;

	if (program->bytes[EI_CLASS] == ELFCLASS32)
		return message_error("%s: is a 32-bit program: build it for x86-64 (gcc -m64)",
		                     program->path);
	if (program->bytes[EI_CLASS] != ELFCLASS64 || program->size < sizeof(header))
		return message_error("%s: its ELF header is damaged", program->path);
	memcpy(&header, program->bytes, sizeof(header));
	if (header.e_machine != EM_X86_64)
		return message_error("%s: is for another processor (ELF machine %u): build it for "
		                     "x86-64",
		                     program->path, header.e_machine);
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return message_error("%s: is no program but an object file or a core: link it, "
		                     "statically",
		                     program->path);
	needs = loader(program, &header);
	if (!needs || helped)
		return true;
	return message_error("%s: needs %.200s and libraries, which the guest has not: link it "
	                     "with -static, or bring those by --initrd (get-kernel --initrd "
	                     "makes one)",
	                     program->path, needs);
}

static bool check(const struct linux_program *program, bool helped)
{
	const bool script =
	    program->size > 2 && program->bytes[0] == '#' && program->bytes[1] == '!';

	if (is_elf(program))
		return check_elf(program, helped);
	if (script && helped)
		return true;
	if (script)
		return message_error("%s: is a script, and the guest has no interpreter: bring one "
		                     "by --initrd (get-kernel --initrd FILE --busybox makes one "
		                     "with /bin/sh)",
		                     program->path);
	return message_error("%s: is no program: it must be an ELF file for x86-64, linked "
	                     "with -static",
	                     program->path);
}

bool linux_program_read(struct linux_program *program, const char *path, bool helped)
{
	int fd;
	bool good;

	*program = (struct linux_program){.path = path};
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	good = read_open(program, fd) && check(program, helped);
	if (fd >= 0)
		close(fd);
	return good;
}

void linux_program_free(struct linux_program *program)
{
	free(program->bytes);
	program->bytes = NULL;
}
