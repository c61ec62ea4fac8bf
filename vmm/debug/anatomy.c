#include "vmm/debug/anatomy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/debug/anatomy_rows.h"
#include "vmm/debug/anatomy_words.h"
#include "vmm/debug/inspect_run.h"
#include "vmm/message.h"
#include "vmm/run.h"

enum { TRIES_MAX = 1000, SYSRET_TRIES = 8 };

/* ---- What can be followed
 * ------------------------------------------------------------------------ */

enum trigger { BY_SYSCALL, BY_INT80, BY_FAULT };

static const struct crossing {
	const char *name;
	const char *title; /* behind it comes the number */
	uint64_t number;   /* of the system call */
	enum trigger trigger;
	bool any_number; /* "=NUMBER" may ask for another */
	bool switches;   /* only one that returns to another process counts */
} crossings[] = {
    {"syscall", "SYSCALL", 39, BY_SYSCALL, true, false},
    {"int80", "INT 0x80", 20, BY_INT80, true, false},
    {"pagefault", "a page fault", 0, BY_FAULT, false, false},
    {"fork", "fork by SYSCALL", 57, BY_SYSCALL, false, false},
    {"context-switch", "a context switch by SYSCALL", 24, BY_SYSCALL, false, true},
};
enum { CROSSINGS = sizeof(crossings) / sizeof(crossings[0]) };

/* Entries that processors have and Ringscope's guest does not use. */
static const char *const without[] = {"sysenter", "callgate", "irq"};

static bool find_crossing(const char *what, struct crossing *to)
{
	size_t length = strcspn(what, "=");

	for (size_t i = 0; i < CROSSINGS; i++) {
		char *end;

		if (strlen(crossings[i].name) != length ||
		    strncmp(what, crossings[i].name, length) != 0)
			continue;
		*to = crossings[i];
		if (!what[length])
			return true;
		if (!to->any_number || what[length + 1] < '0' || what[length + 1] > '9')
			return false;
		to->number = strtoull(what + length + 1, &end, 0);
		return !*end;
	}
	return false;
}

bool anatomy_check(const char *what)
{
	struct crossing crossing;

	if (find_crossing(what, &crossing))
		return true;
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		if (!strcmp(what, without[i]))
			return message_error("--anatomy %s: the guest has no such crossing yet",
			                     what);
	}
	return message_error("--anatomy '%s': must be syscall[=NUMBER], int80[=NUMBER], pagefault, "
	                     "fork or context-switch",
	                     what);
}

/* ---- Following
 * ------------------------------------------------------------------------------------ */

struct follower {
	struct machine *machine;
	struct debug debug;
	struct crossing crossing;
	struct symbols symbols;
	struct lines lines;
	struct debug_code *code;
	struct anatomy anatomy;
	size_t room;      /* rows allocated */
	uint64_t text_va; /* an address of the kernel's text outside the entry area */
	bool quirk;       /* the entry was not as the manuals say */
};

/* Whether CR3 maps what a user root under KPTI does not. */
static bool is_user_root(const struct follower *f)
{
	const struct machine *machine = f->machine;
	struct pt tree = machine->boot.kernel;
	struct pt_walk walk;

	tree.root = f->debug.sregs.cr3 & CR3_FRAME;
	pt_walk(&tree, f->text_va, &walk);
	return !walk.mapped;
}

static bool add_row(struct follower *f, struct debug_instruction *insn)
{
	struct anatomy *anatomy = &f->anatomy;
	const struct debug *debug = &f->debug;
	struct anatomy_row *row;
	uint8_t bytes[15];
	size_t size;

	if (anatomy->count == ANATOMY_ROWS_MAX) {
		anatomy->cut = true;
		return false;
	}
	if (anatomy->count == f->room) {
		size_t room = f->room ? 2 * f->room : 1024;
		struct anatomy_row *rows = reallocarray(anatomy->rows, room, sizeof(*rows));

		if (!rows)
			return message_error("--anatomy: no memory");
		anatomy->rows = rows;
		f->room = room;
	}
	size = debug_read(debug, debug->regs.rip, bytes, sizeof(bytes));
	debug_code_decode(f->code, bytes, size, debug->regs.rip, NULL, insn);
	row = &anatomy->rows[anatomy->count++];
	*row = (struct anatomy_row){
	    .rip = debug->regs.rip,
	    .rsp = debug->regs.rsp,
	    .cr3 = debug->sregs.cr3,
	    .gs_base = debug->sregs.gs.base,
	    .rflags = debug->regs.rflags,
	    .cpl = (uint8_t)debug_cpl(debug),
	    .user_root = is_user_root(f),
	    .kind = (uint8_t)insn->kind,
	    .size = (uint8_t)insn->size,
	    .reads = (uint8_t)insn->reads,
	    .writes = (uint8_t)insn->writes,
	};
	memcpy(row->bytes, insn->bytes, sizeof(row->bytes));
	return true;
}

static void drop_rows(struct follower *f)
{
	for (size_t i = 0; i < f->anatomy.count; i++)
		free(f->anatomy.rows[i].hardware);
	f->anatomy.count = 0;
	f->anatomy.exits = f->anatomy.pushed = 0;
	f->anatomy.cut = false;
}

/* What stands between the last row and where the guest is now. */
static void tell(struct follower *f, const struct debug_instruction *insn,
                 const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	struct anatomy_row *row = &f->anatomy.rows[f->anatomy.count - 1];
	const struct anatomy_moment moment = {
	    .debug = &f->debug,
	    .insn = insn,
	    .regs = regs,
	    .sregs = sregs,
	    .was_user_root = row->user_root,
	    .is_user_root = is_user_root(f),
	    .exited = f->debug.event == DEBUG_EVENT_EXIT,
	};

	row->hardware = anatomy_tell(&moment, &f->symbols, &f->anatomy.pushed);
	f->anatomy.exits += moment.exited;
}

/* From an instruction of ring 3 to the first one after the return.  False: it did not come to that.
 */
static bool follow(struct follower *f)
{
	struct debug *debug = &f->debug;
	struct debug_instruction insn;

	if (!add_row(f, &insn))
		return false;
	do {
		struct kvm_regs regs = debug->regs;
		struct kvm_sregs sregs = debug->sregs;

		if (debug_step(debug).why != DEBUG_STEPPED || !debug_know(debug))
			return false;
		tell(f, &insn, &regs, &sregs);
		/* The crossing may wait for another CPU. */
		if (debug_let_others(debug).why != DEBUG_STEPPED)
			return false;
		if (!add_row(f, &insn))
			return f->anatomy.cut;
	} while (debug_cpl(debug) != 3);
	return true;
}

/* ---- Finding
 * ---------------------------------------------------------------------------------------- */

/* Where the crossing may arrive, on any KVM. */
static size_t entries_of(const struct follower *f, uint64_t entries[2])
{
	const struct rs_note *note = &f->machine->image.note;
	const uint64_t stub_pf = note->vectors + (uint64_t)VECTOR_PF * note->vector_stride;

	switch (f->crossing.trigger) {
	case BY_SYSCALL:
		entries[0] = note->syscall_entry;
		entries[1] = stub_pf;
		return 2;
	case BY_INT80:
		entries[0] = note->vectors + UINT64_C(0x80) * note->vector_stride;
		entries[1] = note->vectors + (uint64_t)VECTOR_UD * note->vector_stride;
		return 2;
	case BY_FAULT:
		entries[0] = stub_pf;
		return 1;
	}
	return 0;
}

static bool plant(struct follower *f, bool on)
{
	uint64_t entries[2];
	size_t count = entries_of(f, entries);

	for (size_t i = 0; i < count; i++) {
		if ((on ? debug_add_point(&f->debug, entries[i])
		        : debug_remove_point(&f->debug, entries[i])) != DEBUG_OK)
			return message_error("--anatomy: the guest's entries cannot be reached");
	}
	return true;
}

static bool is_wanted(const struct follower *f, const struct inspect_entry *entry)
{
	/* The guest may try every mode; the one to show is the one it was started in. */
	if (!entry->from_user || is_user_root(f) != (f->machine->pti_mode != RS_PTI_OFF))
		return false;
	switch (f->crossing.trigger) {
	case BY_SYSCALL:
		return entry->kind == ENTRY_SYSCALL && f->debug.regs.rax == f->crossing.number;
	case BY_INT80:
		return entry->kind == ENTRY_VECTOR && entry->vector == 0x80 &&
		       (uint32_t)f->debug.regs.rax == f->crossing.number;
	case BY_FAULT:
		return entry->kind == ENTRY_VECTOR && entry->vector == VECTOR_PF && !entry->quirk;
	}
	return false;
}

/* Stops at the last instruction of ring 3 before a crossing of this kind.  False: the run is over.
 */
static bool find(struct follower *f)
{
	for (;;) {
		struct debug_stop stop = debug_continue(&f->debug);
		struct inspect_entry entry;

		if (stop.why == DEBUG_ENDED)
			return false;
		if (stop.why != DEBUG_POINT)
			return machine_end(f->machine, END_VMM_FAILED);
		entry = inspect_entry(&f->debug);
		if (!is_wanted(f, &entry))
			continue;
		f->quirk = entry.quirk;
		return debug_take_back(&f->debug, entry.rip) ||
		       message_error("--anatomy: the entry cannot be taken back");
	}
}

static bool has_switched(const struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;

	return ((anatomy->rows[0].cr3 ^ anatomy->rows[anatomy->count - 1].cr3) & CR3_FRAME) != 0;
}

/* The ordinary way of a SYSCALL out is SYSRET; the first one of a process may go by IRETQ. */
static bool is_ordinary(const struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;

	return f->crossing.trigger != BY_SYSCALL || !f->crossing.any_number || f->quirk ||
	       anatomy->rows[anatomy->count - 2].kind == CODE_SYSRET;
}

/* True: the rows are those of the crossing. */
static bool find_and_follow(struct follower *f)
{
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		if (!plant(f, true) || !find(f) || !plant(f, false))
			return false;
		if (!follow(f))
			return false;
		if (f->crossing.switches ? has_switched(f)
		                         : is_ordinary(f) || tries == SYSRET_TRIES)
			return true;
		drop_rows(f);
	}
	return false;
}

/* ---- All
 * ---------------------------------------------------------------------------------------------- */

static void set_titles(struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;
	bool kpti = false;
	char number[40] = "";

	for (size_t i = 0; i < anatomy->count; i++)
		kpti |= anatomy->rows[i].user_root;
	if (f->crossing.trigger != BY_FAULT)
		snprintf(number, sizeof(number), " (system call %" PRIu64 ")", f->crossing.number);
	f->anatomy.name = f->crossing.name;
	snprintf(f->anatomy.title, sizeof(f->anatomy.title), "%s%s", f->crossing.title, number);
	snprintf(f->anatomy.machine, sizeof(f->anatomy.machine), "KPTI %s%s%s",
	         kpti ? "on, two roots" : "off, one root: the kernel's",
	         f->debug.sregs.cr4 & CR4_PCIDE ? ", with PCID" : "",
	         f->quirk ? "; this KVM does not enter ring 0 as the manuals say" : "");
}

static bool write_anatomy(struct follower *f)
{
	const struct options *options = f->machine->options;
	const char *path = options->inspect_file;
	FILE *out = path ? fopen(path, "we") : stdout;
	const struct anatomy_words words = {
	    .symbols = &f->symbols,
	    .lines = &f->lines,
	    .code = f->code,
	    .color = path ? options->color == COLOR_ALWAYS : options_color(options, 1),
	};

	if (!out)
		return message_error("--inspect-file %s: %s", path, strerror(errno));
	console_flush(&f->machine->console);
	set_titles(f);
	if (options->look_json)
		anatomy_print_json(out, &f->anatomy, &words);
	else
		anatomy_print(out, &f->anatomy, &words);

	bool ok = fflush(out) == 0;

	if (out != stdout)
		ok = fclose(out) == 0 && ok;
	return ok || message_error("--anatomy: cannot write: %s", strerror(errno));
}

static bool follow_one(struct follower *f)
{
	struct machine *machine = f->machine;
	bool done;

	if (!machine->image.noted)
		return message_error(
		    "--anatomy: a guest without the Ringscope note has no crossings");
	for (unsigned i = 0; i < machine->image.count; i++) {
		const struct segment *segment = &machine->image.segments[i];

		if (segment->flags & 1 && segment->va >= RS_IMAGE_BASE &&
		    segment->va < RS_ENTRY_BASE)
			f->text_va = segment->va;
	}
	if (!debug_attach(&f->debug, machine))
		return false;
	done = find_and_follow(f);
	if (done)
		done = write_anatomy(f);
	else if (machine->outcome.reason == END_EXITED || machine->outcome.reason == END_HALTED)
		message_error("--anatomy %s: the guest ended without such a crossing with KPTI %s",
		              machine->options->anatomy,
		              machine->pti_mode == RS_PTI_OFF ? "off" : "on");
	return debug_detach(&f->debug) && done;
}

void anatomy_run(struct machine *machine)
{
	struct follower *f = calloc(1, sizeof(*f));
	bool done = false;

	if (f) {
		f->machine = machine;
		f->code = debug_code_open();
		f->symbols = symbols_read(machine->image.path);
		f->lines = lines_read(machine->image.path);
		done = f->code && find_crossing(machine->options->anatomy, &f->crossing) &&
		       follow_one(f);
		drop_rows(f);
		free(f->anatomy.rows);
		debug_code_close(f->code);
		symbols_free(&f->symbols);
		lines_free(&f->lines);
		free(f);
	}
	if (done && machine->outcome.reason == END_RUNNING)
		run_cpus(machine);
	else if (!done &&
	         (machine->outcome.reason == END_RUNNING || machine->outcome.reason == END_EXITED))
		machine_end(machine, END_VMM_FAILED);
}
