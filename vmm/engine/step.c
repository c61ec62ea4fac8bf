/* The debugger's engine: running the guest, freely or one instruction at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/stop.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/run/run.h"

/* Several tries of one instruction that signals keep from running. */
enum { TRIES_MAX = 10000 };

/* ---- Instructions that need care ------------------------------------------------------------ */

enum special {
	SPECIAL_NONE,
	SPECIAL_PUSHF,
	SPECIAL_SYSCALL,
	SPECIAL_IRET,
	SPECIAL_SYSRET,
	SPECIAL_SYSEXIT,
	SPECIAL_FAR_RET,
	SPECIAL_GROUP, /* SWAPGS, FXSAVE and their like: one KVM stops only one instruction later */
	SPECIAL_EXIT,  /* IN, OUT, CPUID and the like: one CPU traps once more behind it; and STI */
	SPECIAL_ICEBP,
};

/* Prefixes of 64-bit code: segment, size, LOCK, REP, REX (SDM volume 2, 2.1.1, 2.2.1). */
static bool is_prefix(uint8_t byte)
{
	return strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", byte) ||
	       (byte & 0xf0) == 0x40;
}

/* The bytes at `rip`, padded with zeros; where the opcode begins. */
static size_t read_code(const struct debug *debug, uint64_t rip, uint8_t code[32])
{
	size_t i = 0;

	memset(code, 0, 32);
	debug_read(debug, rip, code, 15);
	while (i < 14 && code[i] && is_prefix(code[i]))
		i++;
	return i;
}

/* Bytes of ModRM, SIB and displacement (SDM volume 2, table 2-2). */
static size_t modrm_size(const uint8_t *modrm)
{
	unsigned mod = modrm[0] >> 6, rm = modrm[0] & 7;
	bool sib = mod != 3 && rm == 4;
	size_t size = sib ? 2 : 1;

	if (mod == 1)
		return size + 1;
	if (mod == 2 || (mod == 0 && (rm == 5 || (sib && (modrm[1] & 7) == 5))))
		return size + 4;
	return size;
}

/* Instructions that a hypervisor may have for itself: port I/O, HLT, CPUID, MSRs, control and debug
 * registers, INVD, WBINVD; and STI, which holds the trap back until the next instruction is done.
 * None of them branches. */
static bool needs_plant(const uint8_t *opcode)
{
	if (opcode[0] != 0x0f)
		return (opcode[0] >= 0x6c && opcode[0] <= 0x6f) || opcode[0] == 0xf4 ||
		       opcode[0] == 0xfb || (opcode[0] >= 0xe4 && opcode[0] <= 0xe7) ||
		       (opcode[0] >= 0xec && opcode[0] <= 0xef);
	return opcode[1] == 0x08 || opcode[1] == 0x09 || opcode[1] == 0xa2 ||
	       (opcode[1] >= 0x20 && opcode[1] <= 0x23) || (opcode[1] >= 0x30 && opcode[1] <= 0x33);
}

/* Bytes from the opcode of a SPECIAL_GROUP or SPECIAL_EXIT to the next instruction. */
static size_t size_from_opcode(const uint8_t *opcode)
{
	if (opcode[0] != 0x0f)
		return opcode[0] >= 0xe4 && opcode[0] <= 0xe7 ? 2 : 1;
	if (opcode[1] == 0x01 || opcode[1] == 0xae)
		return 2 + modrm_size(opcode + 2);
	/* MOV of control and debug registers: ModRM names registers, whatever its mode. */
	return opcode[1] >= 0x20 && opcode[1] <= 0x23 ? 3 : 2;
}

static enum special special_at(const struct debug *debug, uint64_t rip)
{
	uint8_t code[32];
	size_t i = read_code(debug, rip, code);

	switch (code[i]) {
	case 0x9c:
		return SPECIAL_PUSHF;
	case 0xcf:
		return SPECIAL_IRET;
	case 0xcb: /* with 64-bit operands, as RETFQ has them */
		return i && (code[i - 1] & 0xf8) == 0x48 ? SPECIAL_FAR_RET : SPECIAL_NONE;
	case 0xf1:
		return SPECIAL_ICEBP;
	case 0x0f:
		if (code[i + 1] == 0x05)
			return SPECIAL_SYSCALL;
		if (code[i + 1] == 0x07)
			return SPECIAL_SYSRET;
		if (code[i + 1] == 0x35)
			return SPECIAL_SYSEXIT;
		if (code[i + 1] == 0x01 || code[i + 1] == 0xae)
			return SPECIAL_GROUP;
		return needs_plant(code + i) ? SPECIAL_EXIT : SPECIAL_NONE;
	default:
		return needs_plant(code + i) ? SPECIAL_EXIT : SPECIAL_NONE;
	}
}

/* ---- Plants around one instruction -------------------------------------------------------------
 */

static void fence_up(struct debug *debug)
{
	debug->stepped = debug->state.regs.rip;
	for (size_t i = 0; i < debug->fence_count; i++) {
		struct debug_plant *plant = &debug->fence[i];

		/* Not under the instruction that is to run. */
		if (plant->va == debug->stepped)
			continue;
		debug_plant(plant, plant->va, plant->at, OPCODE_OUT);
	}
}

static void fence_down(struct debug *debug)
{
	for (size_t i = debug->fence_count; i-- > 0;) {
		struct debug_plant *plant = &debug->fence[i];
		uint8_t *at = plant->at;

		debug_unplant(plant);
		plant->at = at;
		plant->planted = plant->original; /* down: nothing to take back */
	}
}

static bool fence_has(const struct debug *debug, uint64_t va)
{
	return debug->mode != DEBUG_MODE_FREE && va != debug->stepped &&
	       debug_entry(debug, va) >= 0;
}

/* Takes the point at RIP out, so that the instruction can run; what debug_replant needs. */
static struct debug_plant *lift(struct debug *debug)
{
	struct debug_point *point = debug_find_point(debug, debug->state.regs.rip);

	if (!point)
		return NULL;
	if (*point->plant.at == point->plant.planted)
		*point->plant.at = point->plant.original;
	debug->lifted = &point->plant;
	return &point->plant;
}

static void replant(struct debug *debug, struct debug_plant *plant)
{
	debug->lifted = NULL;
	if (plant)
		debug_plant(plant, plant->va, plant->at, plant->planted);
}

/* ---- One KVM_RUN ----------------------------------------------------------------------------- */

static bool set_stepping(struct debug *debug, bool on)
{
	struct kvm_guest_debug debugging = {.control = on ? KVM_GUESTDBG_SINGLESTEP : 0};

	if (debug->hold)
		debugging.control |= KVM_GUESTDBG_BLOCKIRQ;
	if (debugging.control)
		debugging.control |= KVM_GUESTDBG_ENABLE;
	/* Again for every step: KVM remembers for which RIP it was asked. */
	if (!on && debugging.control == debug->control)
		return true;
	debug->control = debugging.control;
	return KVM_IOCTL(debug->cpu->vcpu.fd, KVM_SET_GUEST_DEBUG, &debugging) == 0;
}

/* What a signal handler has set, but for a request to end the run: that is nobody's to forget. */
static void clear_immediate_exit(struct kvm_run *run)
{
	__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (stop_requested())
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

/* Whether our OUT stands at this address; the guest may have one of its own under a lifted plant.
 */
static bool has_plant(const struct debug *debug, uint64_t va)
{
	const struct debug_point *point = debug_find_point(debug, va);

	if (point && point->plant.planted == OPCODE_OUT && &point->plant != debug->lifted)
		return true;
	return fence_has(debug, va);
}

/* A native SYSCALL whose fault at LSTAR has not come yet, on a KVM that leaves CPL at 3: a place
 * that no instruction of the guest is at. */
static bool is_half_syscall(const struct debug *debug)
{
	return debug_cpl(debug) == 3 &&
	       debug_entry(debug, debug->state.regs.rip) == DEBUG_ENTRY_SYSCALL;
}

/* A signal may end KVM_RUN between the arrival at a plant and the OUT that stands there: as good as
 * the OUT, and all that tells of an INT3 of ours on its way through #BP's gate.  False after a
 * message. */
static bool see_arrival(struct debug *debug)
{
	if (!debug_know(debug))
		return false;
	if (has_plant(debug, debug->state.regs.rip) && !is_half_syscall(debug))
		debug->event = DEBUG_EVENT_PLANT;
	return true;
}

/* Lets KVM finish the instruction of an exit, without entering the guest. */
static bool finish_instruction(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	int error;

	if (!set_stepping(debug, false))
		return false;
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	error = vcpu_run(&debug->cpu->vcpu);
	clear_immediate_exit(run);
	debug->known = false;
	return error == EINTR && debug_know(debug);
}

/*
 * Whether an exit by port I/O is a plant's; then the guest is put back before it.  When the exit
 * arrives RIP is at the OUT on one KVM and behind it on another, and so it says nothing as long as
 * the guest's own OUT may stand next to a plant: only a finished instruction has a known place.
 */
static bool is_plant(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	const __typeof__(run->io) io = run->io;
	uint8_t *data = (uint8_t *)run + io.data_offset, byte;

	if (io.direction != KVM_EXIT_IO_OUT || io.size != 1 || io.count != 1 ||
	    !debug_know(debug) ||
	    (!has_plant(debug, debug->state.regs.rip) &&
	     !has_plant(debug, debug->state.regs.rip - 1)))
		return false;
	byte = *data;
	if (finish_instruction(debug) && has_plant(debug, debug->state.regs.rip - 1)) {
		debug->state.regs.rip--;
		debug->changed = true;
		return true;
	}
	/* The guest's own: to be served now, with nothing left to finish. */
	run->exit_reason = KVM_EXIT_IO;
	run->io = io;
	*data = byte;
	return false;
}

/* An exit of the guest's own in the middle of a step: what TF does to the rest of the instruction
 * differs, so let it end without. */
static void stop_stepping(struct debug *debug)
{
	if (debug->mode == DEBUG_MODE_STEP0) {
		set_stepping(debug, false);
	} else if (debug->mode == DEBUG_MODE_STEP3 && !debug->own_tf && debug_know(debug)) {
		debug->state.regs.rflags &= ~RFLAGS_TF;
		debug->changed = false;
		vcpu_write(&debug->cpu->vcpu, &debug->state, STATE_REGS);
		debug->known = false;
	}
}

bool debug_takes_exit(struct debug *debug)
{
	switch (debug->cpu->vcpu.run->exit_reason) {
	case KVM_EXIT_DEBUG:
		debug->event = DEBUG_EVENT_STEP;
		break;
	case KVM_EXIT_IO:
		debug->event = is_plant(debug) ? DEBUG_EVENT_PLANT : DEBUG_EVENT_EXIT;
		break;
	default:
		debug->event = DEBUG_EVENT_EXIT;
		break;
	}
	if (debug->event == DEBUG_EVENT_EXIT) {
		stop_stepping(debug);
		return false;
	}
	stats_reassign(&debug->cpu->stats, STATS_DEBUGGER);
	return true;
}

/* KVM_RUN, once.  A return without an exit is the debugger's, but where a mark was due. */
static bool run_and_count(struct debug *debug)
{
	struct cpu *cpu = debug->cpu;
	const bool mark_due = cpu->mark_due;

	debug->event = DEBUG_EVENT_NONE;
	debug->known = false;
	if (!run_once(cpu))
		return false;
	if (debug->event == DEBUG_EVENT_NONE && !mark_due)
		stats_reassign(&cpu->stats, STATS_DEBUGGER);
	return true;
}

/* The instruction of an exit that has been served: KVM completes it on the next entry. */
static bool complete(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	bool alive;

	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	alive = run_and_count(debug);
	clear_immediate_exit(run);
	return alive;
}

/* KVM_RUN until something happened.  False: the run is over. */
static bool run_to_event(struct debug *debug)
{
	if (!run_and_count(debug))
		return false;
	if (debug->event == DEBUG_EVENT_NONE) {
		clear_immediate_exit(debug->cpu->vcpu.run);
		return see_arrival(debug);
	}
	if (debug->event != DEBUG_EVENT_EXIT)
		return true;
	if (!complete(debug))
		return false;
	debug->event = DEBUG_EVENT_EXIT;
	return true;
}

/* ---- DR6 ---------------------------------------------------------------------------------------
 */

/* #DB by TF sets DR6.BS, which the guest shall not find. */
static void keep_dr6(struct debug *debug)
{
	struct kvm_debugregs registers;

	if (debug->dr6_known)
		return;
	debug->dr6_known = kvm_try(debug->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) == 0;
	debug->dr6 = registers.dr6;
}

static void put_dr6_back(struct debug *debug)
{
	struct kvm_debugregs registers;

	if (!debug->dr6_known)
		return;
	debug->dr6_known = false;
	if (kvm_try(debug->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) < 0 ||
	    registers.dr6 == debug->dr6)
		return;
	registers.dr6 = debug->dr6;
	kvm_try(debug->cpu->vcpu.fd, KVM_SET_DEBUGREGS, &registers);
}

/* ---- One instruction ---------------------------------------------------------------------------
 */

static struct debug_stop stop_because(enum debug_why why)
{
	return (struct debug_stop){.why = why};
}

/* The TF that we set is in what the instruction has stored.  `at`: the byte with bit 8 of it. */
static void clear_stored_tf(struct debug *debug, uint64_t at)
{
	uint8_t *byte = debug_byte(debug, at + 1);

	if (byte && !debug->own_tf)
		*byte &= (uint8_t) ~(RFLAGS_TF >> 8);
}

/* The instruction ended at an entry of ring 0, with TF in what the processor saved. */
static void clear_saved_tf(struct debug *debug, int entry)
{
	unsigned vector = (unsigned)entry;
	bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;

	if (vector < 256)
		clear_stored_tf(debug, debug->state.regs.rsp + (has_error ? 8 : 0) + 16);
}

/* SYSENTER, for one, leaves it set. */
static void clear_live_tf(struct debug *debug)
{
	if (debug->own_tf || !(debug->state.regs.rflags & RFLAGS_TF))
		return;
	debug->state.regs.rflags &= ~RFLAGS_TF;
	debug->changed = true;
}

static void clear_syscall_tf(struct debug *debug)
{
	if (debug->own_tf)
		return;
	debug->state.regs.r11 &= ~RFLAGS_TF;
	debug->changed = true;
}

static bool interrupted(const struct debug *debug)
{
	return debug->attention && *debug->attention;
}

/* Whether the CPU waits in HLT, and somebody will not wait for it. */
static bool waits_in_vain(const struct debug *debug)
{
	return interrupted(debug) && vcpu_is_halted(&debug->cpu->vcpu);
}

/* Until the one instruction is done or has ended at an entry; or not, while the CPU halts.  False:
 * the run is over. */
static bool run_one(struct debug *debug, uint64_t from)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		if (!run_to_event(debug))
			return false;
		if (debug->event != DEBUG_EVENT_NONE)
			return true;
		/* A signal; it may have come when the instruction was done. */
		if (debug->state.regs.rip != from)
			return true;
		if (waits_in_vain(debug))
			return true;
		if (debug->mode == DEBUG_MODE_STEP0 && !set_stepping(debug, true))
			return false;
	}
	return true;
}

/* run_once said no. */
static struct debug_stop over(const struct debug *debug)
{
	if (debug->machine->outcome.reason != END_RUNNING)
		return stop_because(DEBUG_ENDED);
	/* Halted for ever, but others go on. */
	return stop_because(debug->cpu->halted ? DEBUG_STEPPED : DEBUG_FAILED);
}

static struct debug_stop step_ring0(struct debug *debug, enum special special)
{
	struct debug_plant *lifted = lift(debug);
	uint64_t from = debug->state.regs.rip;
	bool alive;

	debug->mode = DEBUG_MODE_STEP0;
	debug->own_tf = debug->state.regs.rflags & RFLAGS_TF;
	fence_up(debug);
	alive = debug_forget(debug) && set_stepping(debug, true) && run_one(debug, from);
	if (alive)
		alive = debug_know(debug);
	fence_down(debug);
	replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT)
		clear_saved_tf(debug, debug_entry(debug, debug->state.regs.rip));
	else if (special == SPECIAL_PUSHF)
		clear_stored_tf(debug, debug->state.regs.rsp);
	return stop_because(DEBUG_STEPPED);
}

/* POPF and IRET bring a TF of their own. */
static bool loads_flags(const struct debug *debug, uint64_t rip)
{
	uint8_t code[2] = {0};

	debug_read(debug, rip, code, sizeof(code));
	return code[0] == 0x9d || code[0] == 0xcf ||
	       ((code[0] == 0x66 || code[0] == 0x48) && (code[1] == 0x9d || code[1] == 0xcf));
}

/* What the OUT at an entry has stopped: our own #DB, which is taken back, or a real entry.  A
 * processor that lets TF through SYSCALL comes here from the first instruction behind it, in ring
 * 0. */
static void end_step3(struct debug *debug, enum special special, bool own_flags)
{
	int entry = debug_entry(debug, debug->state.regs.rip);
	struct debug_frame frame;

	if (special == SPECIAL_SYSCALL)
		clear_syscall_tf(debug);
	if (entry != VECTOR_DB || special == SPECIAL_ICEBP || debug->own_tf ||
	    !debug_frame(debug, VECTOR_DB, &frame)) {
		clear_saved_tf(debug, entry);
		clear_live_tf(debug);
		return;
	}
	if (!own_flags)
		frame.rflags &= ~RFLAGS_TF;
	debug_rewind(debug, &frame);
	if (special == SPECIAL_PUSHF)
		clear_stored_tf(debug, frame.rsp);
}

static struct debug_stop step_ring3(struct debug *debug, enum special special)
{
	struct debug_plant *lifted = lift(debug);
	uint64_t from = debug->state.regs.rip;
	bool own_flags = loads_flags(debug, from), alive;

	keep_dr6(debug);
	debug->own_tf = debug->state.regs.rflags & RFLAGS_TF;
	debug->state.regs.rflags |= RFLAGS_TF;
	debug->changed = true;
	debug->mode = DEBUG_MODE_STEP3;
	fence_up(debug);
	alive = set_stepping(debug, false) && debug_forget(debug) && run_one(debug, from);
	if (alive)
		alive = debug_know(debug);
	fence_down(debug);
	replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT) {
		end_step3(debug, special, own_flags);
	} else {
		clear_live_tf(debug);
	}
	return stop_because(DEBUG_STEPPED);
}

/* Where a return goes; the next instruction of the others.  False: what it reads is not
 * there. */
static bool target_of(const struct debug *debug, enum special special, uint64_t *rip, uint64_t *cs)
{
	uint64_t words[2];

	if (special == SPECIAL_SYSRET || special == SPECIAL_SYSEXIT) {
		*rip = special == SPECIAL_SYSRET ? debug->state.regs.rcx : debug->state.regs.rdx;
		*cs = RS_SEL_USER_CODE;
		return true;
	}
	if (special == SPECIAL_GROUP || special == SPECIAL_EXIT) {
		uint8_t code[32];
		size_t i = read_code(debug, debug->state.regs.rip, code);

		*rip = debug->state.regs.rip + i + size_from_opcode(code + i);
		*cs = debug_cpl(debug) == 3 ? RS_SEL_USER_CODE : RS_SEL_KERNEL_CODE;
		return true;
	}
	if (debug_read(debug, debug->state.regs.rsp, words, sizeof(words)) != sizeof(words))
		return false;
	*rip = words[0];
	*cs = words[1];
	return true;
}

/* Runs to a plant where the instruction goes, with TF nowhere. */
static struct debug_stop step_to_target(struct debug *debug, enum special special)
{
	struct debug_plant *lifted = lift(debug), target = {0};
	uint64_t rip = 0, cs = 0;
	bool known = target_of(debug, special, &rip, &cs), alive;
	const struct debug_point *point = known ? debug_find_point(debug, rip) : NULL;
	uint8_t *at = known && rip != debug->state.regs.rip ? debug_byte(debug, rip) : NULL;

	debug->mode = DEBUG_MODE_STEP3;
	debug->own_tf = true; /* whatever TF there is, is the guest's */
	fence_up(debug);
	if (at && !point)
		debug_plant(&target, rip, at, cs & 3 ? OPCODE_INT3 : OPCODE_OUT);
	if (!(cs & 3) && target.at) {
		/* An OUT that has_plant knows of. */
		debug->points[debug->point_count] =
		    (struct debug_point){.plant = target, .hooks = 1};
		debug->point_count++;
	}
	alive = set_stepping(debug, false) && debug_forget(debug) &&
	        run_one(debug, debug->state.regs.rip) && debug_know(debug);
	if (!(cs & 3) && target.at)
		debug->point_count--;
	debug_unplant(&target);
	fence_down(debug);
	replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);

	struct debug_frame frame;

	if (debug->event == DEBUG_EVENT_PLANT &&
	    debug_entry(debug, debug->state.regs.rip) == VECTOR_BP &&
	    debug_frame(debug, VECTOR_BP, &frame) && frame.cs & 3 && frame.rip == rip + 1) {
		frame.rip = rip;
		debug_rewind(debug, &frame);
	}
	return stop_because(DEBUG_STEPPED);
}

/* Whether the instruction runs to where it goes, which is known, rather than with a trap behind it.
 */
static bool goes_to_target(const struct debug *debug, enum special special)
{
	switch (special) {
	case SPECIAL_EXIT:
		return true;
	case SPECIAL_IRET:
	case SPECIAL_SYSRET:
	case SPECIAL_SYSEXIT:
	case SPECIAL_FAR_RET:
	case SPECIAL_GROUP:
		return debug_cpl(debug) != 3 && debug->fence_count;
	default:
		return false;
	}
}

/* ---- To the next entry -------------------------------------------------------------------------
 */

/* At #BP's stub: a point of ring 3, taken back to; or the guest's own INT3. */
static bool is_point3(struct debug *debug)
{
	struct debug_frame frame;
	const struct debug_point *point;

	if (debug_entry(debug, debug->state.regs.rip) != VECTOR_BP ||
	    !debug_frame(debug, VECTOR_BP, &frame) || !(frame.cs & 3))
		return false;
	point = debug_find_point(debug, frame.rip - 1);
	if (!point || point->plant.planted != OPCODE_INT3)
		return false;
	frame.rip--;
	return debug_rewind(debug, &frame);
}

/* At full speed until it enters ring 0. */
static struct debug_stop run_to_entry(struct debug *debug)
{
	struct debug_plant *lifted = lift(debug);
	bool alive;

	put_dr6_back(debug);
	debug->mode = DEBUG_MODE_STEP3;
	debug->own_tf = true;
	fence_up(debug);
	debug_clock_on(debug);
	alive = set_stepping(debug, false) && debug_forget(debug) && run_to_event(debug);
	debug_clock_off(debug);
	if (alive)
		alive = debug_know(debug);
	fence_down(debug);
	replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT)
		is_point3(debug);
	return stop_because(DEBUG_STEPPED);
}

/* Whether this CPU is in HLT or about to be, and others have turns too: one of them may have to
 * send what it waits for. */
static bool is_at_hlt(const struct debug *debug)
{
	uint8_t code[2] = {0};

	if (!debug->has_clock)
		return false;
	debug_read(debug, debug->state.regs.rip - 1, code, sizeof(code));
	return code[1] == OPCODE_HLT ||
	       (code[0] == OPCODE_HLT && vcpu_is_halted(&debug->cpu->vcpu));
}

/* Whether interrupts can wait: not those that HLT waits for. */
static bool can_hold(const struct debug *debug)
{
	uint8_t code[32];
	size_t i = read_code(debug, debug->state.regs.rip, code);

	return debug->can_hold && code[i] != OPCODE_HLT;
}

/* hold: interrupts wait. */
static struct debug_stop step(struct debug *debug, bool hold)
{
	struct debug_stop stop;
	enum special special;

	if (!debug_know(debug))
		return stop_because(DEBUG_FAILED);
	if (debug_cpl(debug) == 3 && !debug->fence_count)
		return stop_because(DEBUG_NO_RING3);
	special = special_at(debug, debug->state.regs.rip);
	debug->steps++;
	debug->hold = hold && can_hold(debug);
	if (is_at_hlt(debug)) {
		stop = run_to_entry(debug);
	} else if (goes_to_target(debug, special)) {
		put_dr6_back(debug);
		stop = step_to_target(debug, special);
	} else if (debug_cpl(debug) == 3) {
		stop = step_ring3(debug, special);
	} else {
		put_dr6_back(debug);
		stop = step_ring0(debug, special);
	}
	debug->hold = false;
	if (stop.why == DEBUG_STEPPED) {
		stop.watch = debug_check_watches(debug);
		if (stop.watch)
			stop.why = DEBUG_WATCHED;
	}
	return stop;
}

struct debug_stop debug_step(struct debug *debug)
{
	return step(debug, true);
}

/* ---- Freely ------------------------------------------------------------------------------------
 */

/* Whether to stop where the guest is now. */
static bool stops_here(struct debug *debug)
{
	return debug_know(debug) && debug_has_point(debug, debug->state.regs.rip);
}

/* One KVM_RUN of the guest at full speed. */
static struct debug_stop run_freely(struct debug *debug)
{
	bool alive;

	put_dr6_back(debug);
	if (!set_stepping(debug, false) || !debug_forget(debug))
		return stop_because(DEBUG_FAILED);
	debug_clock_on(debug);
	alive = run_to_event(debug);
	debug_clock_off(debug);
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_EXIT && debug->stop_at_exits)
		return stop_because(DEBUG_EXIT);
	if (debug->event == DEBUG_EVENT_PLANT) {
		is_point3(debug);
		if (stops_here(debug))
			return stop_because(DEBUG_POINT);
	}
	return stop_because(DEBUG_STEPPED);
}

static bool only_kernel_watches(const struct debug *debug)
{
	for (size_t i = 0; i < debug->watch_count; i++) {
		if (!debug->watches[i].kernel)
			return false;
	}
	return true;
}

struct debug_stop debug_go(struct debug *debug, bool first)
{
	const struct debug_point *here;

	if (!debug_know(debug))
		return stop_because(DEBUG_FAILED);
	here = debug_find_point(debug, debug->state.regs.rip);
	if (!first && here && here->uses && !is_half_syscall(debug))
		return stop_because(DEBUG_POINT);
	if (!debug->watch_count && !here)
		return run_freely(debug);
	if (debug->watch_count && !here && debug_cpl(debug) == 3 && only_kernel_watches(debug) &&
	    debug->fence_count)
		return run_to_entry(debug);
	/* An interrupt before the instruction of a point would return to it: it would be met again.
	 */
	return step(debug, here);
}

bool debug_settle(struct debug *debug)
{
	if (!debug_know(debug))
		return false;
	if (is_half_syscall(debug))
		debug_step(debug);
	return true;
}

/* Somebody wants the guest to stop, or nothing will happen any more. */
static struct debug_stop stop_because_of_others(struct debug *debug, enum debug_why why)
{
	return stop_because(debug_settle(debug) ? why : DEBUG_FAILED);
}

/* Signals may keep coming: each of them ends one KVM_RUN. */
static struct debug_stop run_on(struct debug *debug)
{
	bool first = true;

	for (;;) {
		struct debug_stop stop;

		switch (debug_take_turn(debug)) {
		case DEBUG_TURN_OWN:
			break;
		case DEBUG_TURN_OTHER:
			first = false;
			break;
		case DEBUG_TURN_NOBODY:
			return stop_because_of_others(debug, DEBUG_IDLE);
		case DEBUG_TURN_FAILED:
			return stop_because(DEBUG_FAILED);
		}
		stop = debug_go(debug, first);
		first = false;
		if (stop.why != DEBUG_STEPPED)
			return stop;
		if (interrupted(debug))
			return stop_because_of_others(debug, DEBUG_INTERRUPTED);
	}
}

struct debug_stop debug_continue(struct debug *debug)
{
	const struct debug_stop stop = run_on(debug);

	debug_turn_end(debug);
	return stop;
}

bool debug_let_go(struct debug *debug)
{
	put_dr6_back(debug);
	return set_stepping(debug, false) && debug_forget(debug);
}
