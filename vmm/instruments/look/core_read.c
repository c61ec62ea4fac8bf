#include "vmm/instruments/look/core_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <elf.h>
#include <sys/stat.h>

#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/base/units.h"
#include "vmm/boot/plan.h"

/* Notes that are looked at; --core writes 3 to 15 KiB. */
#define NOTES_MAX (UINT64_C(1) << 20)

struct reader {
	const char *path;
	int fd;
	uint64_t size; /* of the file, when it was opened */
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct reader *reader,
                                                         const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message_error("%s: %s", reader->path, text);
	return false;
}

/* All `size` bytes from `offset`, or false after a message. */
static bool read_at(const struct reader *reader, const char *what, uint64_t offset, void *to,
                    uint64_t size)
{
	uint64_t done = 0;

	if (offset > reader->size || size > reader->size - offset)
		return refuse(reader,
		              "the %s (0x%" PRIx64 " + 0x%" PRIx64 " bytes) reaches beyond the end "
		              "of the file (0x%" PRIx64 "): it is truncated, or no core",
		              what, offset, size, reader->size);
	while (done < size) {
		ssize_t got =
		    pread(reader->fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(reader, "cannot read the %s: %s", what, strerror(errno));
		if (got == 0)
			return refuse(reader, "the file became shorter while it was read");
		done += (uint64_t)got;
	}
	return true;
}

/* ---- Headers ------------------------------------------------------------------------------- */

static bool check_header(const struct reader *reader, const Elf64_Ehdr *header)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return refuse(reader, "is no ELF file");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return refuse(reader, "is no ELF file of x86-64");
	if (header->e_type != ET_CORE)
		return refuse(reader, "is no core: its e_type is %u, that of a core is %u",
		              header->e_type, ET_CORE);
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(reader, "e_phentsize is %u, must be %zu", header->e_phentsize,
		              sizeof(Elf64_Phdr));
	if (!header->e_phnum || header->e_phnum == PN_XNUM)
		return refuse(reader, "e_phnum is %u: no core of Ringscope has as many",
		              header->e_phnum);
	return true;
}

/* ---- Notes --------------------------------------------------------------------------------- */

/* Our notes: copied if they have the size that they must have. */
static bool check_size(const struct reader *reader, const char *what, size_t size, size_t wanted)
{
	return size == wanted || refuse(reader, "the %s note has %zu byte%s, must have %zu", what,
	                                size, units_s(size), wanted);
}

static bool take_machine(struct core *core, const struct reader *reader, const uint8_t *desc,
                         size_t size, bool *found)
{
	if (*found)
		return refuse(reader, "it has two machine notes");
	if (!check_size(reader, "machine", size, sizeof(core->machine)))
		return false;
	memcpy(&core->machine, desc, sizeof(core->machine));
	*found = true;
	return true;
}

static bool take_vcpu(struct core *core, const struct reader *reader, const uint8_t *desc,
                      size_t size)
{
	if (core->vcpu_count == RS_MAX_CPUS)
		return refuse(reader, "it has more than %d vCPU notes", RS_MAX_CPUS);
	if (!check_size(reader, "vCPU", size, sizeof(core->vcpus[0])))
		return false;
	memcpy(&core->vcpus[core->vcpu_count++], desc, sizeof(core->vcpus[0]));
	return true;
}

static bool take_notes(struct core *core, const struct reader *reader, const uint8_t *bytes,
                       size_t size, bool *found)
{
	static const char ours[] = RS_NOTE_NAME;
	Elf64_Nhdr header;

	while (size >= sizeof(header)) {
		memcpy(&header, bytes, sizeof(header));
		bytes += sizeof(header);
		size -= sizeof(header);

		const uint64_t name_size = ((uint64_t)header.n_namesz + 3) & ~UINT64_C(3);
		const uint64_t desc_size = ((uint64_t)header.n_descsz + 3) & ~UINT64_C(3);

		if (name_size > size || desc_size > size - name_size)
			return refuse(reader, "a note is larger than the segment it is in");

		const uint8_t *desc = bytes + name_size;

		if (header.n_namesz == sizeof(ours) && !memcmp(bytes, ours, sizeof(ours))) {
			if (header.n_type == CORE_NOTE_MACHINE &&
			    !take_machine(core, reader, desc, header.n_descsz, found))
				return false;
			if (header.n_type == CORE_NOTE_VCPU &&
			    !take_vcpu(core, reader, desc, header.n_descsz))
				return false;
		}
		bytes += name_size + desc_size;
		size -= (size_t)(name_size + desc_size);
	}
	return true;
}

static bool read_notes(struct core *core, const struct reader *reader, const Elf64_Phdr *header,
                       bool *found)
{
	uint8_t *bytes;
	bool good;

	if (header->p_filesz > NOTES_MAX)
		return refuse(reader, "its notes have 0x%" PRIx64 " bytes, more than 0x%" PRIx64,
		              (uint64_t)header->p_filesz, NOTES_MAX);
	bytes = malloc(header->p_filesz + 1);
	if (!bytes)
		return refuse(reader, "no memory for its notes");
	good = read_at(reader, "note segment", header->p_offset, bytes, header->p_filesz) &&
	       take_notes(core, reader, bytes, header->p_filesz, found);
	free(bytes);
	return good;
}

static bool find_notes(struct core *core, const struct reader *reader)
{
	bool found = false;
	Elf64_Ehdr header = {0};

	if (!read_at(reader, "ELF header", 0, &header, sizeof(header)) ||
	    !check_header(reader, &header))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment = {0};

		if (header.e_phoff > UINT64_MAX - i * sizeof(segment))
			return refuse(reader, "e_phoff is 0x%" PRIx64, (uint64_t)header.e_phoff);
		if (!read_at(reader, "program header", header.e_phoff + i * sizeof(segment),
		             &segment, sizeof(segment)))
			return false;
		if (segment.p_type == PT_NOTE && !read_notes(core, reader, &segment, &found))
			return false;
	}
	if (!found || !core->vcpu_count)
		return refuse(reader, "is a core, but not one of Ringscope's: it has no %s note",
		              found ? "vCPU" : "machine");
	return true;
}

/* ---- What the notes say -------------------------------------------------------------------- */

static bool check_segments(const struct reader *reader, const struct core_machine *machine)
{
	/* Image and first frames lie below the hole, as the VMM puts them. */
	const uint64_t low = machine->ram_size < RS_HOLE ? machine->ram_size : RS_HOLE;

	if (machine->segment_count > RS_MAX_SEGMENTS)
		return refuse(reader, "it has %" PRIu32 " image segments, more than %d",
		              machine->segment_count, RS_MAX_SEGMENTS);
	for (uint32_t i = 0; i < machine->segment_count; i++) {
		const struct rs_segment *s = &machine->segments[i];

		if ((s->va | s->gpa | s->size) % PAGE_SIZE || !s->size || s->user > 1 ||
		    s->gpa > low || s->size > low - s->gpa || s->size - 1 > UINT64_MAX - s->va)
			return refuse(reader,
			              "image segment %" PRIu32 " (0x%" PRIx64 " + 0x%" PRIx64
			              " at 0x%" PRIx64 ") does not lie in RAM in whole pages",
			              i, s->va, s->size, s->gpa);
	}
	return true;
}

static bool check_vcpus(const struct core *core, const struct reader *reader)
{
	uint32_t seen = 0;

	for (unsigned i = 0; i < core->vcpu_count; i++) {
		const struct core_vcpu *vcpu = &core->vcpus[i];

		if (vcpu->number >= core->machine.cpus || seen & UINT32_C(1) << vcpu->number)
			return refuse(reader,
			              "vCPU note %u is of CPU %" PRIu32
			              ": must be less than %" PRIu32 ", and once each",
			              i, vcpu->number, core->machine.cpus);
		seen |= UINT32_C(1) << vcpu->number;
		if (vcpu->msr_count > CORE_MSRS)
			return refuse(reader, "it has %" PRIu32 " MSRs: at most %d",
			              vcpu->msr_count, CORE_MSRS);
	}
	return true;
}

static bool check_ram_size(const struct core_machine *machine, const struct reader *reader)
{
	const uint64_t size = memory_size_of_span(machine->ram_size);

	if (machine->version == CORE_VERSION_FLAT && machine->ram_size > RS_HOLE)
		return refuse(reader,
		              "is of an older vmm, whose RAM of 0x%" PRIx64
		              " bytes had no hole at 0x%" PRIx64 ": only that one reads it",
		              machine->ram_size, (uint64_t)RS_HOLE);
	if (!size || size % PAGE_SIZE || size > PLAN_MEM_MAX)
		return refuse(reader,
		              "RAM spans 0x%" PRIx64
		              " bytes: must be whole pages, of which at most 0x%" PRIx64
		              " are RAM, without 0x%" PRIx64 " to 0x%" PRIx64,
		              machine->ram_size, PLAN_MEM_MAX, (uint64_t)RS_HOLE,
		              (uint64_t)RS_HIGH_RAM);
	return true;
}

static bool check_notes(struct core *core, const struct reader *reader)
{
	struct core_machine *machine = &core->machine;
	const uint64_t low = machine->ram_size < RS_HOLE ? machine->ram_size : RS_HOLE;

	if ((machine->version != CORE_VERSION && machine->version != CORE_VERSION_FLAT) ||
	    machine->size != sizeof(*machine))
		return refuse(reader, "is a core of version %" PRIu32 ": this vmm reads %d and %d",
		              machine->version, CORE_VERSION_FLAT, CORE_VERSION);
	if (!check_ram_size(machine, reader))
		return false;
	if (machine->ram_offset > reader->size ||
	    machine->ram_size > reader->size - machine->ram_offset)
		return refuse(reader,
		              "RAM (0x%" PRIx64 " + 0x%" PRIx64
		              ") reaches beyond the end of the file (0x%" PRIx64 "): truncated?",
		              machine->ram_offset, machine->ram_size, reader->size);
	if (machine->maxphyaddr < 32 || machine->maxphyaddr > 52)
		return refuse(reader, "physical addresses have %" PRIu32 " bits: must be 32 to 52",
		              machine->maxphyaddr);
	if (machine->boot_root % PAGE_SIZE || machine->boot_root >= low ||
	    machine->free_start % PAGE_SIZE || machine->free_start > low)
		return refuse(reader,
		              "its first root 0x%" PRIx64 " or first free frame 0x%" PRIx64
		              " is no frame of RAM",
		              machine->boot_root, machine->free_start);
	if (machine->cpus < 1 || machine->cpus > RS_MAX_CPUS)
		return refuse(reader, "it has %" PRIu32 " CPUs: must be 1 to %d", machine->cpus,
		              RS_MAX_CPUS);
	if (!check_vcpus(core, reader))
		return false;
	machine->when[sizeof(machine->when) - 1] = '\0';
	machine->guest[sizeof(machine->guest) - 1] = '\0';
	return check_segments(reader, machine);
}

/* ---- RAM ----------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* One stretch of data, page by page: a core that was copied without its holes must not take the
 * memory they would. */
static bool read_data(struct core *core, const struct reader *reader, uint64_t start, uint64_t end)
{
	enum { CHUNK = 16 * PAGE_SIZE };
	uint8_t chunk[CHUNK] = {0};

	for (uint64_t gpa = start; gpa < end; gpa += CHUNK) {
		uint64_t size = end - gpa < CHUNK ? end - gpa : CHUNK;

		if (!read_at(reader, "RAM", core->machine.ram_offset + gpa, chunk, size))
			return false;
		for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
			void *to = memory_at(&core->memory, gpa + at, PAGE_SIZE);

			if (to && !is_zero(chunk + at))
				memcpy(to, chunk + at, PAGE_SIZE);
		}
	}
	return true;
}

/* Holes are skipped where the file system tells of them; else all is data. */
static bool read_ram(struct core *core, const struct reader *reader)
{
	const uint64_t offset = core->machine.ram_offset, size = core->machine.ram_size;

	for (uint64_t gpa = 0; gpa < size;) {
		off_t data = lseek(reader->fd, (off_t)(offset + gpa), SEEK_DATA);
		uint64_t start = gpa, end = size;

		if (data < 0 && errno == ENXIO)
			break;
		if (data >= 0) {
			off_t hole = lseek(reader->fd, data, SEEK_HOLE);

			start = (uint64_t)data > offset ? (uint64_t)data - offset : 0;
			if (start >= size)
				break;
			if (hole >= 0 && (uint64_t)hole - offset < size)
				end = (uint64_t)hole - offset;
			start &= ~(uint64_t)(PAGE_SIZE - 1);
			end = (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
		}
		if (end <= gpa || end > size)
			end = size;
		if (!read_data(core, reader, start, end))
			return false;
		gpa = end;
	}
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool open_file(struct reader *reader)
{
	struct stat stat;

	/* O_NONBLOCK: a FIFO is refused below, not waited for. */
	reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (reader->fd < 0 || fstat(reader->fd, &stat) < 0)
		return refuse(reader, "cannot open: %s", strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return refuse(reader, "is no regular file");
	reader->size = (uint64_t)stat.st_size;
	return true;
}

bool core_read(struct core *core, const char *path)
{
	struct reader reader = {.path = path, .fd = -1};
	bool good;

	memset(core, 0, sizeof(*core));
	good = open_file(&reader) && find_notes(core, &reader) && check_notes(core, &reader) &&
	       memory_create(&core->memory, memory_size_of_span(core->machine.ram_size)) &&
	       read_ram(core, &reader);
	if (reader.fd >= 0)
		close(reader.fd);
	return good;
}

void core_free(struct core *core)
{
	memory_destroy(&core->memory);
}

static void take_msrs(struct look_moment *moment, const struct core_vcpu *vcpu)
{
	for (uint32_t i = 0; i < vcpu->msr_count; i++) {
		for (unsigned msr = 0; msr < STATE_MSRS; msr++) {
			if (msr_table[msr].index != vcpu->msrs[i].index)
				continue;
			moment->msrs[msr] = vcpu->msrs[i].value;
			moment->msrs_known |= UINT32_C(1) << msr;
		}
	}
}

struct look_moment core_moment(const struct core *core, const struct symbols *symbols)
{
	const struct core_machine *machine = &core->machine;
	struct look_moment moment = {
	    .memory = &core->memory,
	    .cpu = core->vcpus[0].number,
	    .regs = core->vcpus[0].regs,
	    .sregs = core->vcpus[0].sregs,
	    .geometry =
	        {
	            .maxphyaddr = (uint8_t)machine->maxphyaddr,
	            .gib_pages = machine->flags & CORE_FLAG_GIB_PAGES,
	        },
	    .stale = machine->flags & CORE_FLAG_STALE,
	    .noted = machine->flags & CORE_FLAG_NOTED,
	    .foreign = machine->flags & CORE_FLAG_FOREIGN,
	    .cpus = machine->cpus,
	    .boot_root = machine->boot_root,
	    .free_start = machine->free_start,
	    .kernel_cr3 = machine->kernel_cr3,
	    .user_cr3 = machine->user_cr3,
	    .segment_count = machine->segment_count,
	    .symbols = symbols,
	};

	take_msrs(&moment, &core->vcpus[0]);
	memcpy(moment.segments, machine->segments, sizeof(moment.segments));
	/* Strings of a hostile file may hold anything. */
	printable(moment.when, sizeof(moment.when), machine->when, sizeof(machine->when) - 1);
	return moment;
}
