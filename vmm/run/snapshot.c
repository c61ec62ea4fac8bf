#include "vmm/run/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#include "vmm/base/message.h"
#include "vmm/kvm/vcpu_whole.h"
#include "vmm/run/pc.h"

/* RAM when the first snapshot was taken, and what may differ from it now.  Bitmaps have a bit for
 * each page of what the addresses span. */
struct ram_base {
	unsigned users; /* snapshots that live */
	uint8_t *bytes; /* a mapping as large as RAM's; pages of zeros are not there */
	uint64_t span;
	size_t words;
	uint64_t *written; /* by the VMM since the last look: memory.written */
	uint64_t *differs; /* pages that may */
	uint64_t *room;    /* for kvm_add_dirty */
};

/* What the machine has for a CPU beside the vCPU. */
struct cpu_rest {
	bool started, halted, mark_due;
	unsigned mark_slot, ud_runs;
	struct kvm_regs ud_regs;
};

struct snapshot {
	struct machine *machine;
	bool uses_base; /* it is one of ram_base's users */
	unsigned cpus;
	struct vcpu_whole *vcpus; /* cpus of them, as of the next; owned */
	struct cpu_rest *rests;
	struct outcome outcome;
	uint64_t quirks;
	uint8_t *pc; /* PC_STATE bytes; NULL: the guest is no PC's; owned */
	size_t page_count;
	uint64_t *pages; /* their numbers, ascending; owned, as what they hold */
	uint8_t *bytes;
};

/* ---- RAM ------------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t page[PAGE_SIZE])
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

static void copy_base(struct ram_base *base, const struct memory *memory, uint64_t start,
                      uint64_t end)
{
	for (uint64_t gpa = start; gpa < end; gpa += PAGE_SIZE) {
		if (!is_zero(memory->base + gpa))
			memcpy(base->bytes + gpa, memory->base + gpa, PAGE_SIZE);
	}
}

static void base_free(struct ram_base *base)
{
	if (base->bytes)
		munmap(base->bytes, base->span);
	free(base->written);
	free(base->differs);
	free(base->room);
	free(base);
}

static struct ram_base *base_make(const struct memory *memory)
{
	struct ram_base *base = calloc(1, sizeof(*base));
	void *bytes;

	if (!base)
		return NULL;
	base->span = memory_span(memory);
	base->words = (size_t)((base->span / PAGE_SIZE + 63) / 64);
	base->written = calloc(base->words, sizeof(uint64_t));
	base->differs = calloc(base->words, sizeof(uint64_t));
	base->room = calloc(base->words, sizeof(uint64_t));
	bytes = mmap(NULL, base->span, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes != MAP_FAILED)
		base->bytes = bytes;
	if (base->bytes && base->written && base->differs && base->room)
		return base;
	base_free(base);
	return NULL;
}

/* From the first snapshot on. */
static bool begin(struct machine *machine)
{
	struct memory *memory = &machine->memory;

	if (machine->ram_base)
		return true;
	if (!kvm_log_dirty(&machine->kvm, memory, true))
		return false;
	machine->ram_base = base_make(memory);
	if (!machine->ram_base)
		return message_error("no memory for a copy of guest RAM: %s", strerror(errno));
	copy_base(machine->ram_base, memory, 0, memory->low_end);
	copy_base(machine->ram_base, memory, RS_HIGH_RAM, memory->high_end);
	memory->written = machine->ram_base->written;
	return true;
}

/* Behind the last one.  A log that KVM goes on with costs time, and is no failure. */
static void end(struct machine *machine)
{
	machine->memory.written = NULL;
	base_free(machine->ram_base);
	machine->ram_base = NULL;
	kvm_log_dirty(&machine->kvm, &machine->memory, false);
}

static void mark(const struct memory *memory, const void *at, size_t size)
{
	if (at)
		memory_wrote(memory, (uint64_t)((const uint8_t *)at - memory->base), size);
}

/* Where the VMM answers the guest's calls, stores its marks and says what it has completed: whether
 * it has since the last look is not worth a test at each exit. */
static void mark_shared(const struct machine *machine)
{
	const struct boot *boot = &machine->boot;

	mark(&machine->memory, boot->page, sizeof(*boot->page));
	for (unsigned i = 0; i < boot->cpus; i++)
		mark(&machine->memory, boot->call[i], sizeof(*boot->call[i]));
}

/* Brings `differs` up to now. */
static bool look(struct machine *machine)
{
	struct ram_base *base = machine->ram_base;

	mark_shared(machine);
	if (!kvm_add_dirty(&machine->kvm, &machine->memory, base->differs, base->room))
		return false;
	for (size_t i = 0; i < base->words; i++)
		base->differs[i] |= base->written[i];
	memset(base->written, 0, base->words * sizeof(base->written[0]));
	return true;
}

static size_t count_pages(const struct ram_base *base)
{
	size_t count = 0;

	for (size_t i = 0; i < base->words; i++)
		count += (size_t)__builtin_popcountll(base->differs[i]);
	return count;
}

/* Calls each(ctx, page) for every page of the bitmap, in ascending order. */
static void each_page(const uint64_t *bitmap, size_t words, void (*each)(void *ctx, uint64_t page),
                      void *ctx)
{
	for (size_t i = 0; i < words; i++) {
		for (uint64_t word = bitmap[i]; word; word &= word - 1)
			each(ctx, i * 64 + (unsigned)__builtin_ctzll(word));
	}
}

struct copying {
	struct machine *machine;
	struct snapshot *to;
	const struct snapshot *from;
	size_t at; /* the next page of `from` */
};

static void keep_page(void *ctx, uint64_t page)
{
	struct copying *copying = ctx;
	struct snapshot *to = copying->to;

	to->pages[to->page_count] = page;
	memcpy(to->bytes + to->page_count * PAGE_SIZE,
	       copying->machine->memory.base + page * PAGE_SIZE, PAGE_SIZE);
	to->page_count++;
}

static bool take_ram(struct machine *machine, struct snapshot *to)
{
	const struct ram_base *base = machine->ram_base;
	struct copying copying = {.machine = machine, .to = to};
	size_t count;

	if (!look(machine))
		return false;
	count = count_pages(base);
	if (!count)
		return true;
	to->pages = calloc(count, sizeof(to->pages[0]));
	to->bytes = malloc(count * PAGE_SIZE);
	if (!to->pages || !to->bytes)
		return message_error("no memory for %zu pages of guest RAM", count);
	each_page(base->differs, base->words, keep_page, &copying);
	return true;
}

static void put_page_back(void *ctx, uint64_t page)
{
	struct copying *copying = ctx;
	const struct snapshot *from = copying->from;
	const uint64_t at = page * PAGE_SIZE;
	const uint8_t *was = copying->machine->ram_base->bytes + at;

	while (copying->at < from->page_count && from->pages[copying->at] < page)
		copying->at++;
	if (copying->at < from->page_count && from->pages[copying->at] == page)
		was = from->bytes + copying->at * PAGE_SIZE;
	memcpy(copying->machine->memory.base + at, was, PAGE_SIZE);
}

static void set_page(struct ram_base *base, uint64_t page)
{
	base->differs[page / 64] |= UINT64_C(1) << page % 64;
}

static bool restore_ram(struct machine *machine, const struct snapshot *from)
{
	struct ram_base *base = machine->ram_base;
	struct copying copying = {.machine = machine, .from = from};

	if (!look(machine))
		return false;
	for (size_t i = 0; i < from->page_count; i++)
		set_page(base, from->pages[i]);
	each_page(base->differs, base->words, put_page_back, &copying);
	memset(base->differs, 0, base->words * sizeof(base->differs[0]));
	for (size_t i = 0; i < from->page_count; i++)
		set_page(base, from->pages[i]);
	return true;
}

/* ---- CPUs and devices ----------------------------------------------------------------------- */

static bool take_cpus(struct machine *machine, struct snapshot *to)
{
	for (unsigned i = 0; i < to->cpus; i++) {
		const struct cpu *cpu = &machine->cpus[i];

		to->rests[i] = (struct cpu_rest){.started = cpu->started,
		                                 .halted = cpu->halted,
		                                 .mark_due = cpu->mark_due,
		                                 .mark_slot = cpu->mark_slot,
		                                 .ud_runs = cpu->ud_runs,
		                                 .ud_regs = cpu->ud_regs};
		if (!vcpu_read_whole(&machine->kvm, &cpu->vcpu, &to->vcpus[i]))
			return false;
	}
	return true;
}

static bool restore_cpus(struct machine *machine, const struct snapshot *from)
{
	for (unsigned i = 0; i < from->cpus; i++) {
		const struct cpu_rest *rest = &from->rests[i];
		struct cpu *cpu = &machine->cpus[i];

		cpu->started = rest->started;
		cpu->halted = rest->halted;
		cpu->mark_due = rest->mark_due;
		cpu->mark_slot = rest->mark_slot;
		cpu->ud_runs = rest->ud_runs;
		cpu->ud_regs = rest->ud_regs;
		cpu->vcpu.run->kvm_dirty_regs = 0;
		if (!vcpu_write_whole(&machine->kvm, &cpu->vcpu, &from->vcpus[i]))
			return false;
	}
	return true;
}

static bool take_devices(struct machine *machine, struct snapshot *to)
{
	to->outcome = machine->outcome;
	to->quirks = machine->quirks;
	if (!machine->pc)
		return true;
	to->pc = malloc(PC_STATE);
	if (!to->pc)
		return message_error("no memory for the devices' state");
	pc_save(machine->pc, to->pc);
	return true;
}

static bool restore_devices(struct machine *machine, const struct snapshot *from)
{
	machine->outcome = from->outcome;
	machine->quirks = from->quirks;
	return !from->pc || pc_restore(machine->pc, from->pc);
}

/* ---- All ------------------------------------------------------------------------------------ */

static struct snapshot *make(struct machine *machine)
{
	const unsigned cpus = machine->plan->cpus;
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->machine = machine;
	snapshot->cpus = cpus;
	snapshot->vcpus = calloc(cpus, sizeof(snapshot->vcpus[0]));
	snapshot->rests = calloc(cpus, sizeof(snapshot->rests[0]));
	return snapshot;
}

static bool take(struct machine *machine, struct snapshot *to)
{
	if (!to->vcpus || !to->rests)
		return message_error("no memory for a snapshot of %u CPUs", to->cpus);
	if (!begin(machine))
		return false;
	machine->ram_base->users++;
	to->uses_base = true;
	return take_cpus(machine, to) && take_devices(machine, to) && take_ram(machine, to);
}

struct snapshot *snapshot_take(struct machine *machine)
{
	struct snapshot *snapshot = make(machine);
	bool good;

	if (!snapshot) {
		message_error("no memory for a snapshot");
		return NULL;
	}
	machine_lock(machine);
	good = take(machine, snapshot);
	machine_unlock(machine);
	if (good)
		return snapshot;
	snapshot_free(snapshot);
	return NULL;
}

bool snapshot_restore(const struct snapshot *snapshot)
{
	struct machine *machine = snapshot->machine;
	bool good;

	machine_lock(machine);
	good = restore_ram(machine, snapshot) && restore_devices(machine, snapshot) &&
	       restore_cpus(machine, snapshot);
	machine_unlock(machine);
	return good || machine_end(machine, END_VMM_FAILED);
}

size_t snapshot_pages(const struct snapshot *snapshot)
{
	return snapshot->page_count;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->uses_base && !--snapshot->machine->ram_base->users)
		end(snapshot->machine);
	free(snapshot->vcpus);
	free(snapshot->rests);
	free(snapshot->pc);
	free(snapshot->pages);
	free(snapshot->bytes);
	free(snapshot);
}
