/* The debugger's engine: the guest's state while it is stopped, and the points planted in it. */
#include "vmm/engine/engine.h"

#include <elf.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/engine/internal.h"
#include "vmm/look/view.h"

/* ---- Registers ----------------------------------------------------------------------------- */

bool debug_know(struct debug *debug)
{
	const struct vcpu *vcpu = &debug->cpu->vcpu;

	if (debug->known)
		return true;
	debug->known = vcpu_read(vcpu, &debug->state, STATE_REGS | STATE_SREGS);
	/* What TR holds is busy (SDM volume 3, 7.2.2); see debug_forget. */
	if (debug->state.sregs.tr.type == DESC_TSS_AVAILABLE)
		debug->state.sregs.tr.type = DESC_TSS_BUSY;
	debug->sregs_read = debug->state.sregs;
	return debug->known;
}

bool debug_forget(struct debug *debug)
{
	const struct vcpu *vcpu = &debug->cpu->vcpu;
	bool changed = debug->changed;

	debug->known = debug->changed = false;
	if (!changed)
		return true;
	/* At a plant only RIP changes, and the rest is much more work for KVM. */
	if (memcmp(&debug->state.sregs, &debug->sregs_read, sizeof(debug->state.sregs)) == 0)
		return vcpu_write(vcpu, &debug->state, STATE_REGS);
	/* KVM says "busy" of AMD's TR whatever it is, and one emulated AMD processor reads the I/O
	 * bitmap only with what was there before. */
	if (debug->machine->kvm.host.features & RS_FEATURE_AMD &&
	    debug->state.sregs.tr.type == DESC_TSS_BUSY)
		debug->state.sregs.tr.type = DESC_TSS_AVAILABLE;
	return vcpu_write(vcpu, &debug->state, STATE_REGS | STATE_SREGS);
}

unsigned debug_cpl(const struct debug *debug)
{
	return state_cpl(&debug->state);
}

/* ---- Memory -------------------------------------------------------------------------------- */

static bool translate_by(const struct pt *pt, uint64_t va, uint64_t *gpa)
{
	struct pt_walk walk;

	pt_walk(pt, va, &walk);
	if (!walk.mapped || walk.reserved)
		return false;
	*gpa = walk.pa;
	return true;
}

/* Ring 3 text lies in RAM, the same for all processes, before any process has it mapped. */
static bool translate_by_image(const struct image *image, uint64_t va, uint64_t *gpa)
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

bool debug_translate(const struct debug *debug, uint64_t va, uint64_t *gpa)
{
	const struct machine *machine = debug->machine;
	const struct view view = view_make(&machine->memory, &debug->state.regs,
	                                   &debug->state.sregs, machine->boot.kernel.geo);

	if (!view.paging) {
		*gpa = va;
		return true;
	}
	return translate_by(&view.pt, va, gpa) || translate_by(&machine->boot.kernel, va, gpa) ||
	       (machine->image.noted && translate_by_image(&machine->image, va, gpa));
}

/* Calls of memory_at for one page at a time: where `va` lies, and how many bytes of `size` do. */
static uint8_t *page_part(const struct debug *debug, uint64_t va, size_t size, size_t *part)
{
	size_t rest = PAGE_SIZE - (size_t)(va & (PAGE_SIZE - 1));
	uint64_t gpa;

	*part = size < rest ? size : rest;
	return debug_translate(debug, va, &gpa) ? memory_at(&debug->machine->memory, gpa, *part)
	                                        : NULL;
}

uint8_t *debug_byte(const struct debug *debug, uint64_t va)
{
	size_t part;

	return page_part(debug, va, 1, &part);
}

static void copy_without_plants(const struct debug *debug, uint8_t *to, const uint8_t *from,
                                size_t size)
{
	memcpy(to, from, size);
	for (size_t i = 0; i < debug->point_count; i++) {
		const struct debug_plant *plant = &debug->points[i].plant;

		if (plant->at && plant->at >= from && plant->at < from + size &&
		    *plant->at == plant->planted)
			to[plant->at - from] = plant->original;
	}
}

bool debug_read_physical(const struct debug *debug, uint64_t gpa, void *buf, size_t size)
{
	const uint8_t *from = memory_at(&debug->machine->memory, gpa, size);

	if (from)
		copy_without_plants(debug, buf, from, size);
	return from;
}

size_t debug_read(const struct debug *debug, uint64_t va, void *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t part;
		const uint8_t *from = page_part(debug, va + done, size - done, &part);

		if (!from)
			break;
		copy_without_plants(debug, (uint8_t *)buf + done, from, part);
		done += part;
	}
	return done;
}

size_t debug_write(struct debug *debug, uint64_t va, const void *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t part;
		uint8_t *to = page_part(debug, va + done, size - done, &part);

		if (!to)
			break;
		memcpy(to, (const uint8_t *)buf + done, part);
		for (size_t i = 0; i < debug->point_count; i++) {
			struct debug_plant *plant = &debug->points[i].plant;

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

int debug_entry(const struct debug *debug, uint64_t va)
{
	const struct image *image = &debug->machine->image;
	const struct rs_note *note = &image->note;
	uint64_t offset = va - note->vectors;

	if (!image->noted)
		return -1;
	if (offset < (uint64_t)note->vector_count * note->vector_stride)
		return offset % note->vector_stride ? -1 : (int)(offset / note->vector_stride);
	if (note->syscall_entry && va == note->syscall_entry)
		return DEBUG_ENTRY_SYSCALL;
	if (note->compat_entry && va == note->compat_entry)
		return DEBUG_ENTRY_COMPAT;
	if (note->sysenter_entry && va == note->sysenter_entry)
		return DEBUG_ENTRY_SYSENTER;
	return -1;
}

/* An address of the kernel's text outside the entry area; 0: the guest has none there. */
static uint64_t kernel_text(const struct image *image)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *segment = &image->segments[i];

		if (segment->flags & PF_X && segment->va >= RS_IMAGE_BASE &&
		    segment->va < RS_ENTRY_BASE)
			return segment->va;
	}
	return 0;
}

bool debug_is_user_root(const struct debug *debug)
{
	struct pt tree = debug->machine->boot.kernel;
	struct pt_walk walk;

	tree.root = debug->state.sregs.cr3 & CR3_FRAME;
	pt_walk(&tree, kernel_text(&debug->machine->image), &walk);
	return !walk.mapped;
}

bool debug_frame(const struct debug *debug, unsigned vector, struct debug_frame *frame)
{
	bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;
	uint64_t words[6] = {0}, *from = has_error ? words : words + 1;
	size_t size = has_error ? 48 : 40;

	if (debug_read(debug, debug->state.regs.rsp, from, size) != size)
		return false;
	*frame = (struct debug_frame){words[0], words[1], words[2], words[3], words[4], words[5]};
	return true;
}

/* What the processor loads for a selector (SDM volume 3, 3.4.3), from the guest's GDT. */
static bool load_segment(const struct debug *debug, uint16_t selector, struct kvm_segment *to)
{
	uint64_t offset = (uint64_t)selector_index(selector) * 8, words[2] = {0};
	struct desc_segment segment;

	*to = (struct kvm_segment){.selector = selector, .unusable = 1, .dpl = selector & 3};
	if (!selector_index(selector))
		return true;
	if (selector_ldt(selector) || offset + 7 > debug->state.sregs.gdt.limit ||
	    debug_read(debug, debug->state.sregs.gdt.base + offset, words, 8) != 8)
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

bool debug_rewind(struct debug *debug, const struct debug_frame *frame)
{
	struct kvm_segment cs, ss;

	if (!load_segment(debug, (uint16_t)frame->cs, &cs) ||
	    !load_segment(debug, (uint16_t)frame->ss, &ss))
		return false;
	debug->state.sregs.cs = cs;
	debug->state.sregs.ss = ss;
	debug->state.regs.rip = frame->rip;
	debug->state.regs.rsp = frame->rsp;
	debug->state.regs.rflags = frame->rflags;
	debug->changed = true;
	return true;
}

bool debug_take_back(struct debug *debug, uint64_t rip)
{
	const struct kvm_regs *regs = &debug->state.regs;
	int entry = debug_entry(debug, regs->rip);
	struct debug_frame frame = {0};

	if (entry == DEBUG_ENTRY_SYSCALL)
		frame = (struct debug_frame){.cs = RS_SEL_USER_CODE,
		                             .ss = RS_SEL_USER_DATA,
		                             .rsp = regs->rsp,
		                             .rflags = regs->r11};
	else if (entry < 0 || entry > 255 || !debug_frame(debug, (unsigned)entry, &frame) ||
	         !(frame.cs & 3))
		return false;
	/* A SYSCALL that this KVM delivers as a fault at LSTAR: its flags are the masked ones. */
	if (entry == VECTOR_PF && debug_entry(debug, frame.rip) == DEBUG_ENTRY_SYSCALL)
		frame.rflags = regs->r11;
	frame.rip = rip;
	frame.rflags &= ~RFLAGS_RF;
	return debug_rewind(debug, &frame);
}

/* ---- Plants -------------------------------------------------------------------------------- */

void debug_plant(struct debug_plant *plant, uint64_t va, uint8_t *at, uint8_t byte)
{
	*plant = (struct debug_plant){.va = va, .at = at, .original = *at, .planted = byte};
	*at = byte;
}

void debug_unplant(struct debug_plant *plant)
{
	if (plant->at && *plant->at == plant->planted)
		*plant->at = plant->original;
	plant->at = NULL;
}

uint8_t debug_plant_byte(const struct debug *debug, uint64_t va)
{
	return debug->machine->image.noted && va < RS_USER_END ? OPCODE_INT3 : OPCODE_OUT;
}

struct debug_point *debug_find_point(const struct debug *debug, uint64_t va)
{
	for (size_t i = 0; i < debug->point_count; i++) {
		if (debug->points[i].plant.va == va)
			return (struct debug_point *)(uintptr_t)&debug->points[i];
	}
	return NULL;
}

bool debug_has_point(const struct debug *debug, uint64_t va)
{
	const struct debug_point *point = debug_find_point(debug, va);

	return point && point->uses;
}

/* Where the guest's #BP arrives. */
static uint64_t breakpoint_stub(const struct debug *debug)
{
	const struct rs_note *note = &debug->machine->image.note;

	return note->vectors + (uint64_t)VECTOR_BP * note->vector_stride;
}

/* One more user of the point at this address, which is planted for the first one. */
static struct debug_point *hold_point(struct debug *debug, uint64_t va, enum debug_answer *answer)
{
	struct debug_point *point = debug_find_point(debug, va);
	uint8_t *at;

	*answer = DEBUG_OK;
	if (point)
		return point;
	*answer = DEBUG_NO_ROOM;
	/* One place stays for the hook at #BP's stub. */
	if (debug->point_count >= DEBUG_POINTS_MAX - 1)
		return NULL;
	*answer = DEBUG_NOT_MAPPED;
	at = debug_byte(debug, va);
	if (!at)
		return NULL;
	*answer = DEBUG_OK;
	point = &debug->points[debug->point_count++];
	*point = (struct debug_point){0};
	debug_plant(&point->plant, va, at, debug_plant_byte(debug, va));
	return point;
}

static void drop_point(struct debug *debug, struct debug_point *point)
{
	if (point->uses || point->hooks)
		return;
	debug_unplant(&point->plant);
	*point = debug->points[--debug->point_count];
}

enum debug_answer debug_add_point(struct debug *debug, uint64_t va)
{
	enum debug_answer answer;
	struct debug_point *point;

	if (!debug_know(debug))
		return DEBUG_NOT_MAPPED;
	if (debug_plant_byte(debug, va) == OPCODE_INT3) {
		point = hold_point(debug, breakpoint_stub(debug), &answer);
		if (!point)
			return answer;
		point->hooks++;
	}
	point = hold_point(debug, va, &answer);
	if (point) {
		point->uses++;
	} else if (debug_plant_byte(debug, va) == OPCODE_INT3) {
		point = debug_find_point(debug, breakpoint_stub(debug));
		point->hooks--;
		drop_point(debug, point);
	}
	return answer;
}

enum debug_answer debug_remove_point(struct debug *debug, uint64_t va)
{
	struct debug_point *point = debug_find_point(debug, va);

	if (!point || !point->uses)
		return DEBUG_NOT_THERE;
	point->uses--;
	drop_point(debug, point);
	if (debug_plant_byte(debug, va) == OPCODE_INT3) {
		point = debug_find_point(debug, breakpoint_stub(debug));
		point->hooks--;
		drop_point(debug, point);
	}
	return DEBUG_OK;
}

/* ---- Watchpoints ----------------------------------------------------------------------------- */

enum debug_answer debug_add_watch(struct debug *debug, uint64_t va, size_t size)
{
	struct debug_watch *watch = &debug->watches[debug->watch_count];
	size_t part;
	const uint8_t *at;

	if (debug->watch_count == DEBUG_WATCHES_MAX || size == 0 || size > DEBUG_WATCH_SIZE)
		return DEBUG_NO_ROOM;
	at = debug_know(debug) ? page_part(debug, va, size, &part) : NULL;
	if (!at || part < size)
		return DEBUG_NOT_MAPPED;
	*watch = (struct debug_watch){.va = va, .size = size, .at = at, .kernel = va >> 63};
	memcpy(watch->old, at, size);
	debug->watch_count++;
	return DEBUG_OK;
}

enum debug_answer debug_remove_watch(struct debug *debug, uint64_t va, size_t size)
{
	for (size_t i = 0; i < debug->watch_count; i++) {
		struct debug_watch *watch = &debug->watches[i];

		if (watch->va != va || watch->size != size)
			continue;
		*watch = debug->watches[--debug->watch_count];
		return DEBUG_OK;
	}
	return DEBUG_NOT_THERE;
}

struct debug_watch *debug_check_watches(struct debug *debug)
{
	struct debug_watch *hit = NULL;

	for (size_t i = 0; i < debug->watch_count; i++) {
		struct debug_watch *watch = &debug->watches[i];

		if (memcmp(watch->old, watch->at, watch->size) == 0)
			continue;
		memcpy(watch->old, watch->at, watch->size);
		hit = watch;
	}
	return hit;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static bool add_fence(struct debug *debug, uint64_t va)
{
	uint8_t *at = debug_byte(debug, va);

	if (!at)
		return message_error(
		    "the guest's entry 0x%llx is not mapped: it cannot be debugged",
		    (unsigned long long)va);
	debug->fence[debug->fence_count++] = (struct debug_plant){.va = va, .at = at};
	return true;
}

static bool build_fence(struct debug *debug)
{
	const struct rs_note *note = &debug->machine->image.note;

	for (uint32_t v = 0; v < note->vector_count; v++) {
		if (!add_fence(debug, note->vectors + (uint64_t)v * note->vector_stride))
			return false;
	}
	return (!note->syscall_entry || add_fence(debug, note->syscall_entry)) &&
	       (!note->compat_entry || add_fence(debug, note->compat_entry)) &&
	       (!note->sysenter_entry || add_fence(debug, note->sysenter_entry));
}

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
	return debug_takes_exit((struct debug *)observer);
}

bool debug_attach(struct debug *debug, struct machine *machine)
{
	int offered = kvm_offers(machine->kvm.vm, KVM_CAP_SET_GUEST_DEBUG2);

	*debug = (struct debug){
	    .observer = {.takes_exit = takes_exit},
	    .machine = machine,
	    .cpu = &machine->cpus[0],
	    .can_hold = offered > 0 && offered & KVM_GUESTDBG_BLOCKIRQ,
	};
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (!take_first_regs(&machine->cpus[i]))
			return false;
	}
	if (!debug_know(debug) || (machine->image.noted && !build_fence(debug)) ||
	    !debug_turns_open(debug))
		return false;
	machine_observe(machine, &debug->observer);
	machine->one_thread = true;
	if (debug_settle(debug))
		return true;
	debug_detach(debug);
	return false;
}

bool debug_detach(struct debug *debug)
{
	while (debug->point_count)
		debug_unplant(&debug->points[--debug->point_count].plant);
	debug->watch_count = 0;
	machine_unobserve(debug->machine, &debug->observer);
	debug->machine->one_thread = false;
	debug_turns_close(debug);
	return debug_let_go(debug);
}
