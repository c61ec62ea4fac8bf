/* The debugger's engine: the guest's state while it is stopped, and the points planted in it. */
#include "vmm/engine/engine.h"

#include <string.h>

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/engine/internal.h"
#include "vmm/look/roots.h"

/* ---- Registers ----------------------------------------------------------------------------- */

bool engine_know(struct engine *engine)
{
	const struct vcpu *vcpu = &engine->cpu->vcpu;

	if (engine->known)
		return true;
	engine->known = vcpu_read(vcpu, &engine->state, STATE_REGS | STATE_SREGS);
	/* What TR holds is busy (SDM volume 3, 7.2.2); see engine_forget. */
	if (engine->state.sregs.tr.type == DESC_TSS_AVAILABLE)
		engine->state.sregs.tr.type = DESC_TSS_BUSY;
	engine->sregs_read = engine->state.sregs;
	return engine->known;
}

bool engine_forget(struct engine *engine)
{
	const struct vcpu *vcpu = &engine->cpu->vcpu;
	bool changed = engine->changed;

	engine->known = engine->changed = false;
	if (!changed)
		return true;
	/* At a plant only RIP changes, and the rest is much more work for KVM. */
	if (memcmp(&engine->state.sregs, &engine->sregs_read, sizeof(engine->state.sregs)) == 0)
		return vcpu_write(vcpu, &engine->state, STATE_REGS);
	vcpu_free_tss(&engine->machine->kvm, &engine->state.sregs);
	return vcpu_write(vcpu, &engine->state, STATE_REGS | STATE_SREGS);
}

unsigned engine_cpl(const struct engine *engine)
{
	return state_cpl(&engine->state);
}

/* ---- Memory -------------------------------------------------------------------------------- */

/* Ring 3 text lies in RAM, the same for all processes, before any process has it mapped. */
static bool find_in_image(const struct image *image, uint64_t va, uint64_t *gpa)
{
	enum { FLAG_WRITE = 2 };

	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *segment = &image->segments[i];

		if (!segment_is_user(segment) || segment->flags & FLAG_WRITE || va < segment->va ||
		    va - segment->va >= segment->memsz)
			continue;
		*gpa = segment->gpa + (va - segment->va);
		return true;
	}
	return false;
}

/* What CR3's tree does not map: see engine_view. */
static bool find_missing(const void *ctx, uint64_t va, uint64_t *gpa, uint32_t *rights)
{
	const struct machine *machine = ((const struct engine *)ctx)->machine;
	struct pt_walk walk = {0};

	if (machine->boot.kernel.root)
		pt_walk(&machine->boot.kernel, va, &walk);
	if (walk.mapped && !walk.reserved) {
		*gpa = walk.pa;
		*rights = walk.rights;
		return true;
	}
	*rights = PT_USER | PT_EXEC;
	return machine->image.noted && find_in_image(&machine->image, va, gpa);
}

struct view engine_view(const struct engine *engine)
{
	const struct machine *machine = engine->machine;
	struct view view = view_make(&machine->memory, &engine->state.regs, &engine->state.sregs,
	                             machine->boot.kernel.geo);

	view.missing = find_missing;
	view.missing_ctx = engine;
	return view;
}

uint8_t *engine_byte(const struct engine *engine, uint64_t va)
{
	const struct view view = engine_view(engine);
	size_t part;

	return view_part(&view, va, 1, &part);
}

static void copy_without_plants(const struct engine *engine, uint8_t *to, const uint8_t *from,
                                size_t size)
{
	memcpy(to, from, size);
	for (size_t i = 0; i < engine->point_count; i++) {
		const struct engine_plant *plant = &engine->points[i].plant;

		if (plant->at && plant->at >= from && plant->at < from + size &&
		    *plant->at == plant->planted)
			to[plant->at - from] = plant->original;
	}
}

bool engine_read_physical(const struct engine *engine, uint64_t gpa, void *buf, size_t size)
{
	const uint8_t *from = memory_at(&engine->machine->memory, gpa, size);

	if (from)
		copy_without_plants(engine, buf, from, size);
	return from;
}

size_t engine_read(const struct engine *engine, uint64_t va, void *buf, size_t size)
{
	const struct view view = engine_view(engine);
	size_t done = 0;

	while (done < size) {
		size_t part;
		const uint8_t *from = view_part(&view, va + done, size - done, &part);

		if (!from)
			break;
		copy_without_plants(engine, (uint8_t *)buf + done, from, part);
		done += part;
	}
	return done;
}

size_t engine_write(struct engine *engine, uint64_t va, const void *buf, size_t size)
{
	const struct view view = engine_view(engine);
	size_t done = 0;

	engine->entries_known = false; /* it may be the IDT that is written */
	while (done < size) {
		size_t part;
		uint8_t *to = view_part(&view, va + done, size - done, &part);

		if (!to)
			break;
		memcpy(to, (const uint8_t *)buf + done, part);
		memory_wrote(view.memory, (uint64_t)(to - view.memory->base), part);
		for (size_t i = 0; i < engine->point_count; i++) {
			struct engine_plant *plant = &engine->points[i].plant;

			if (!plant->at || plant->at < to || plant->at >= to + part)
				continue;
			plant->original = *plant->at;
			*plant->at = plant->planted;
		}
		done += part;
	}
	return done;
}

/* ---- Entries and frames --------------------------------------------------------------------- */

int engine_entry(const struct engine *engine, uint64_t va)
{
	return entries_find(&engine->entries, va);
}

uint64_t engine_entry_va(const struct engine *engine, unsigned entry)
{
	return entry < ENTRIES_MAX ? engine->entries.list[entry].va : 0;
}

bool engine_is_user_root(struct engine *engine)
{
	const uint64_t cr3 = engine->state.sregs.cr3;
	struct engine_root *slot = &engine->roots[engine->root_count % ENGINE_ROOTS];
	struct view view;

	for (unsigned i = 0; i < ENGINE_ROOTS && i < engine->root_count; i++) {
		if (engine->roots[i].cr3 == cr3)
			return engine->roots[i].user;
	}
	view = engine_view(engine);
	*slot = (struct engine_root){cr3, view.paging && roots_kind(&view.pt) == ROOT_USER};
	engine->root_count++;
	return slot->user;
}

bool engine_frame(const struct engine *engine, unsigned vector, struct engine_frame *frame)
{
	bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;
	uint64_t words[6] = {0}, *from = has_error ? words : words + 1;
	size_t size = has_error ? 48 : 40;

	if (engine_read(engine, engine->state.regs.rsp, from, size) != size)
		return false;
	*frame = (struct engine_frame){words[0], words[1], words[2], words[3], words[4], words[5]};
	return true;
}

/* What the processor loads for a selector (SDM volume 3, 3.4.3), from the guest's GDT. */
static bool load_segment(const struct engine *engine, uint16_t selector, struct kvm_segment *to)
{
	uint64_t offset = (uint64_t)selector_index(selector) * 8, words[2] = {0};
	struct desc_segment segment;

	*to = (struct kvm_segment){.selector = selector, .unusable = 1, .dpl = selector & 3};
	if (!selector_index(selector))
		return true;
	if (selector_ldt(selector) || offset + 7 > engine->state.sregs.gdt.limit ||
	    engine_read(engine, engine->state.sregs.gdt.base + offset, words, 8) != 8)
		return false;
	desc_segment_decode(words, &segment);
	*to = (struct kvm_segment){
	    .base = segment.base,
	    .limit = segment.limit,
	    .selector = selector,
	    .type = segment.type | 1,
	    .present = segment.present,
	    .dpl = segment.dpl,
	    .db = segment.big,
	    .s = !segment.system,
	    .l = segment.code64,
	    .g = segment.limit > 0xfffff,
	    .avl = segment.avl,
	};
	return true;
}

bool engine_rewind(struct engine *engine, const struct engine_frame *frame)
{
	struct kvm_segment cs, ss;

	if (!load_segment(engine, (uint16_t)frame->cs, &cs) ||
	    !load_segment(engine, (uint16_t)frame->ss, &ss))
		return false;
	engine->state.sregs.cs = cs;
	engine->state.sregs.ss = ss;
	engine->state.regs.rip = frame->rip;
	engine->state.regs.rsp = frame->rsp;
	engine->state.regs.rflags = frame->rflags;
	engine->changed = true;
	return true;
}

/* SYSCALL keeps no selectors: those of 64-bit code that SYSRET would load are where it came from.
 */
static uint64_t sysret_selector(const struct engine *engine, unsigned offset)
{
	return ((engine->state.msrs[STATE_STAR] >> 48 & 0xffff) + offset) | 3;
}

bool engine_take_back(struct engine *engine, uint64_t rip)
{
	const struct kvm_regs *regs = &engine->state.regs;
	int entry = engine_entry(engine, regs->rip);
	struct engine_frame frame = {0};

	if (entry == ENGINE_ENTRY_SYSCALL)
		frame = (struct engine_frame){.cs = sysret_selector(engine, 16),
		                              .ss = sysret_selector(engine, 8),
		                              .rsp = regs->rsp,
		                              .rflags = regs->r11};
	else if (entry < 0 || entry > 255 || !engine_frame(engine, (unsigned)entry, &frame) ||
	         !(frame.cs & 3))
		return false;
	/* A SYSCALL that this KVM delivers as a fault at LSTAR: its flags are the masked ones. */
	if (entry == VECTOR_PF && engine_entry(engine, frame.rip) == ENGINE_ENTRY_SYSCALL)
		frame.rflags = regs->r11;
	frame.rip = rip;
	frame.rflags &= ~RFLAGS_RF;
	return engine_rewind(engine, &frame);
}

/* ---- Watchpoints ----------------------------------------------------------------------------- */

enum engine_answer engine_add_watch(struct engine *engine, uint64_t va, size_t size)
{
	struct engine_watch *watch = &engine->watches[engine->watch_count];
	struct view view;
	size_t part;
	const uint8_t *at;

	if (engine->watch_count == ENGINE_WATCHES_MAX || size == 0 || size > ENGINE_WATCH_SIZE)
		return ENGINE_NO_ROOM;
	if (!engine_know(engine))
		return ENGINE_NOT_MAPPED;
	view = engine_view(engine);
	at = view_part(&view, va, size, &part);
	if (!at || part < size)
		return ENGINE_NOT_MAPPED;
	*watch = (struct engine_watch){.va = va, .size = size, .at = at, .kernel = va >> 63};
	memcpy(watch->old, at, size);
	engine->watch_count++;
	return ENGINE_OK;
}

enum engine_answer engine_remove_watch(struct engine *engine, uint64_t va, size_t size)
{
	for (size_t i = 0; i < engine->watch_count; i++) {
		struct engine_watch *watch = &engine->watches[i];

		if (watch->va != va || watch->size != size)
			continue;
		*watch = engine->watches[--engine->watch_count];
		return ENGINE_OK;
	}
	return ENGINE_NOT_THERE;
}

struct engine_watch *engine_check_watches(struct engine *engine)
{
	struct engine_watch *hit = NULL;

	for (size_t i = 0; i < engine->watch_count; i++) {
		struct engine_watch *watch = &engine->watches[i];

		if (memcmp(watch->old, watch->at, watch->size) == 0)
			continue;
		memcpy(watch->old, watch->at, watch->size);
		hit = watch;
	}
	return hit;
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* The first registers may still wait in kvm_run for the first KVM_RUN. */
static bool take_first_regs(const struct cpu *cpu)
{
	if (!cpu->vcpu.run->kvm_dirty_regs)
		return true;
	cpu->vcpu.run->kvm_dirty_regs = 0;
	return vcpu_write(&cpu->vcpu, &cpu->last, STATE_REGS);
}

static bool takes_exit(struct observer *observer, struct cpu *cpu)
{
	(void)cpu; /* the one selected: no other runs */
	return engine_takes_exit((struct engine *)observer);
}

bool engine_attach(struct engine *engine, struct machine *machine)
{
	int offered = kvm_offers(machine->kvm.vm, KVM_CAP_SET_GUEST_DEBUG2);

	*engine = (struct engine){
	    .observer = {.takes_exit = takes_exit},
	    .machine = machine,
	    .cpu = &machine->cpus[0],
	    .can_hold = offered > 0 && offered & KVM_GUESTDBG_BLOCKIRQ,
	    .msrs_due = true,
	};
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (!take_first_regs(&machine->cpus[i]))
			return false;
	}
	if (!engine_look_at_entries(engine) || !engine_turns_open(engine))
		return false;
	engine->entries_come = !engine->fence_count;
	machine_observe(machine, &engine->observer);
	machine->one_thread = true;
	if (engine_settle(engine))
		return true;
	engine_detach(engine);
	return false;
}

bool engine_detach(struct engine *engine)
{
	while (engine->point_count)
		engine_unplant(&engine->points[--engine->point_count].plant);
	engine->watch_count = 0;
	machine_unobserve(engine->machine, &engine->observer);
	engine->machine->one_thread = false;
	engine_turns_close(engine);
	return engine_let_go(engine);
}
