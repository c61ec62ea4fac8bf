#include "vmm/instruments/anatomy/anatomy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/instruments/anatomy/anatomy_beside.h"
#include "vmm/instruments/anatomy/anatomy_find.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"
#include "vmm/instruments/anatomy/anatomy_words.h"
#include "vmm/instruments/names.h"
#include "vmm/run/run.h"

enum { TRIES_MAX = 1000, ORDINARY_TRIES = 8 };

/* ---- Following
 * ------------------------------------------------------------------------------------ */

struct follower {
	struct machine *machine;
	struct manner *manner;
	const struct anatomy_request *request;
	bool lost; /* it could not be written */
	struct engine engine;
	struct finder finder;
	struct symbols symbols;
	struct lines lines;
	struct engine_code *code;
	struct anatomy anatomy;
	size_t room; /* rows allocated */
	bool named;  /* the symbols are those of a kernel that runs */
};

static bool add_row(struct follower *f, struct engine_instruction *insn)
{
	struct anatomy *anatomy = &f->anatomy;
	const struct engine *engine = &f->engine;
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
	size = engine_read(engine, engine->state.regs.rip, bytes, sizeof(bytes));
	engine_code_decode(f->code, bytes, size, engine->state.regs.rip, NULL, insn);
	row = &anatomy->rows[anatomy->count++];
	*row = (struct anatomy_row){
	    .rip = engine->state.regs.rip,
	    .rsp = engine->state.regs.rsp,
	    .cr3 = engine->state.sregs.cr3,
	    .gs_base = engine->state.sregs.gs.base,
	    .rflags = engine->state.regs.rflags,
	    .cpl = (uint8_t)engine_cpl(engine),
	    .user_root = engine_is_user_root(&f->engine),
	    .kind = (uint8_t)insn->kind,
	    .size = (uint8_t)insn->size,
	    .reads = insn->reads,
	    .writes = insn->writes,
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
static void tell(struct follower *f, const struct engine_instruction *insn,
                 const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	struct anatomy_row *row = &f->anatomy.rows[f->anatomy.count - 1];
	const struct anatomy_moment moment = {
	    .engine = &f->engine,
	    .insn = insn,
	    .regs = regs,
	    .sregs = sregs,
	    .stacks = &f->anatomy.stacks,
	    .was_user_root = row->user_root,
	    .is_user_root = engine_is_user_root(&f->engine),
	    .exited = f->engine.event == ENGINE_EVENT_EXIT,
	};

	row->hardware = anatomy_tell(&moment, &f->symbols, &f->anatomy.pushed);
	f->anatomy.exits += moment.exited;
}

static uint32_t multiply(uint32_t count, uint64_t times)
{
	return count && times > UINT32_MAX / count ? UINT32_MAX : (uint32_t)(count * times);
}

/* Steps from a row to the next one. */
static bool follow_step(struct follower *f, struct engine_instruction *insn)
{
	struct engine *engine = &f->engine;
	const struct kvm_regs regs = engine->state.regs;
	const struct kvm_sregs sregs = engine->state.sregs;

	if (engine_step(engine).why != ENGINE_STEPPED || !engine_know(engine))
		return false;
	if (insn->repeats) {
		struct anatomy_row *row = &f->anatomy.rows[f->anatomy.count - 1];
		const uint64_t times = regs.rcx - engine->state.regs.rcx;

		row->reads = multiply(row->reads, times);
		row->writes = multiply(row->writes, times);
	}
	tell(f, insn, &regs, &sregs);
	/* The crossing may wait for another CPU. */
	return engine_let_others(engine).why == ENGINE_STEPPED;
}

/* The guest is at the stub of an interrupt: the row of the instruction that would have been next,
 * from the frame, and what came instead. */
static bool add_interrupted_row(struct follower *f)
{
	struct engine *engine = &f->engine;
	const struct kvm_regs regs = engine->state.regs;
	const struct kvm_sregs sregs = engine->state.sregs;
	const bool changed = engine->changed;
	struct engine_instruction insn;
	struct engine_frame frame;
	bool added = engine_frame(engine, f->finder.vector, &frame) &&
	             engine_rewind(engine, &frame) && add_row(f, &insn);

	engine->state.regs = regs;
	engine->state.sregs = sregs;
	engine->changed = changed;
	if (!added)
		return false;
	/* It has not run. */
	f->anatomy.rows[0].reads = f->anatomy.rows[0].writes = 0;
	tell(f, &insn, &regs, &sregs);
	return true;
}

/* What the TSS says of stacks, for the names in the table. */
static void read_stacks(struct follower *f)
{
	struct anatomy_stacks *stacks = &f->anatomy.stacks;
	struct desc_tss tss = {0};

	engine_read(&f->engine, f->engine.state.sregs.tr.base, &tss, sizeof(tss));
	stacks->ours = f->finder.ours;
	stacks->rsp0 = desc_tss_rsp(&tss, 0);
	for (unsigned i = 1; i <= 7; i++)
		stacks->ist[i - 1] = desc_tss_ist(&tss, i);
}

enum followed { FOLLOWED, FOLLOWED_ANOTHER, FOLLOW_FAILED };

/* From the last instruction of ring 3 to the first one after the return. */
static enum followed follow(struct follower *f)
{
	struct engine *engine = &f->engine;
	struct engine_instruction insn;

	read_stacks(f);
	if (f->finder.crossing.trigger == BY_INTERRUPT) {
		if (!add_interrupted_row(f) || !add_row(f, &insn))
			return FOLLOW_FAILED;
	} else if (engine_cpl(engine) != 3) {
		if (!add_row(f, &insn))
			return FOLLOW_FAILED;
	} else {
		if (!add_row(f, &insn) || !follow_step(f, &insn))
			return FOLLOW_FAILED;
		if (!finder_has_arrived(&f->finder))
			return FOLLOWED_ANOTHER;
		if (!add_row(f, &insn))
			return FOLLOW_FAILED;
	}
	while (engine_cpl(engine) != 3) {
		if (!follow_step(f, &insn))
			return FOLLOW_FAILED;
		if (!add_row(f, &insn))
			return f->anatomy.cut ? FOLLOWED : FOLLOW_FAILED;
	}
	return FOLLOWED;
}

/* ---- The right one
 * ---------------------------------------------------------------------------------------- */

static bool has_switched(const struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;

	return ((anatomy->rows[0].cr3 ^ anatomy->rows[anatomy->count - 1].cr3) & CR3_FRAME) != 0;
}

/* The ordinary way of a SYSCALL out is SYSRET; the first one of a process may go by IRETQ.  An
 * interrupt is clearer when the same process goes on. */
static bool is_ordinary(const struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;
	const struct crossing *crossing = &f->finder.crossing;

	if (crossing->trigger == BY_INTERRUPT)
		return !has_switched(f);
	return crossing->trigger != BY_SYSCALL || crossing->kin || f->finder.quirk ||
	       anatomy->rows[anatomy->count - 2].kind == CODE_SYSRET;
}

/* Of a kernel that tells of its names, and where it is, only when it runs. */
static void learn_names(struct follower *f)
{
	if (f->finder.ours || f->named)
		return;
	f->named = true;
	symbols_free(&f->symbols);
	f->symbols = names_read(f->machine, f->engine.cpu);
}

/* True: the rows are those of the crossing. */
static bool find_and_follow(struct follower *f)
{
	for (unsigned tries = 0; tries < TRIES_MAX;) {
		enum followed followed;

		if (!finder_next(&f->finder))
			return false;
		learn_names(f);
		followed = follow(f);
		if (followed == FOLLOW_FAILED)
			return false;
		if (followed == FOLLOWED) {
			if (f->finder.crossing.switches ? has_switched(f)
			                                : is_ordinary(f) || tries == ORDINARY_TRIES)
				return true;
			tries++;
		}
		drop_rows(f);
	}
	return message_error(
	    "--anatomy %s: %d such system calls have come back to the process that "
	    "made them, and none to another",
	    f->request->crossing, TRIES_MAX);
}

/* ---- All
 * ---------------------------------------------------------------------------------------------- */

/* Ring 3's first instruction may have been on a page that it is the kernel's to map. */
static void read_first_again(struct anatomy *anatomy)
{
	struct anatomy_row *first = anatomy->rows, *last = first + anatomy->count - 1;

	if (first->size || first->rip != last->rip)
		return;
	first->size = last->size;
	memcpy(first->bytes, last->bytes, sizeof(first->bytes));
}

static void set_titles(struct follower *f)
{
	const struct anatomy *anatomy = &f->anatomy;
	bool kpti = false;
	char number[40] = "";

	for (size_t i = 0; i < anatomy->count; i++)
		kpti |= anatomy->rows[i].user_root;
	switch (f->finder.crossing.trigger) {
	case BY_FAULT:
		break;
	case BY_INTERRUPT:
		snprintf(number, sizeof(number), " (vector %u)", f->finder.vector);
		break;
	default:
		snprintf(number, sizeof(number), " (system call %" PRIu64 ")", f->finder.number);
		break;
	}
	f->anatomy.name = f->finder.crossing.name;
	snprintf(f->anatomy.title, sizeof(f->anatomy.title), "%s%s", f->finder.crossing.title,
	         number);
	snprintf(f->anatomy.machine, sizeof(f->anatomy.machine), "KPTI %s%s%s",
	         kpti ? "on, two roots" : "off, one root: the kernel's",
	         f->engine.state.sregs.cr4 & CR4_PCIDE ? ", with PCID" : "",
	         f->finder.quirk ? "; this KVM does not enter ring 0 as the manuals say" : "");
}

static bool add_object(void *account, const json_t *object)
{
	char why[ACCOUNT_WHY];

	return account_add(account, object, why) || message_error("--beside: %s", why);
}

/* What was followed beside what an earlier run has. */
static bool write_beside(struct follower *f, FILE *out, const struct anatomy_words *words)
{
	struct account here = {0};
	const struct beside beside = {
	    .account = {&here, &f->request->earlier},
	    .file = f->request->beside,
	    .color = words->color,
	};
	bool good = anatomy_objects(&f->anatomy, words, add_object, &here) &&
	            (f->manner->json ? beside_print_json : beside_print)(out, &beside);

	account_free(&here);
	return good;
}

/* False after a message.  The guest runs on to its end also then. */
static bool write_anatomy(struct follower *f)
{
	struct outfile *file = &f->manner->file;
	FILE *out = file->stream ? file->stream : stdout;
	const bool beside = f->request->beside;
	bool good = true;
	const struct anatomy_words words = {
	    .symbols = &f->symbols,
	    .lines = &f->lines,
	    .code = f->code,
	    .color = manner_colors_file(f->manner, file, STDOUT_FILENO),
	};

	console_flush(&f->machine->console);
	set_titles(f);
	read_first_again(&f->anatomy);
	if (f->manner->json)
		good = anatomy_print_json(out, &f->anatomy, &words);
	else if (!beside)
		anatomy_print(out, &f->anatomy, &words);
	if (good && beside)
		good = write_beside(f, out, &words);
	if (!good)
		return false;
	return file->stream ? outfile_commit(file) : output_finish("what --anatomy found");
}

static bool follow_and_write(struct follower *f)
{
	const struct machine *machine = f->machine;
	char excuse[160];

	if (find_and_follow(f)) {
		f->lost = !write_anatomy(f);
		return true;
	}
	if (machine->outcome.reason == END_EXITED || machine->outcome.reason == END_HALTED)
		message_error("--anatomy %s: the guest ended without such a crossing%s%s",
		              f->request->crossing,
		              !f->finder.ours                   ? ""
		              : machine->pti_mode == RS_PTI_OFF ? " with KPTI off"
		                                                : " with KPTI on",
		              finder_excuse(&f->finder, excuse, sizeof(excuse)));
	return false;
}

static bool follow_one(struct follower *f)
{
	struct machine *machine = f->machine;
	bool done;

	if (!engine_attach(&f->engine, machine))
		return false;
	done = finder_begin(&f->finder) && follow_and_write(f);
	return engine_detach(&f->engine) && done;
}

static bool prepare_and_follow(struct follower *f)
{
	bool done;

	f->code = engine_code_open();
	f->symbols = names_read(f->machine, &f->machine->cpus[0]);
	f->lines = lines_read(f->machine->image.path);
	f->finder = (struct finder){.engine = &f->engine, .symbols = &f->symbols, .code = f->code};
	done =
	    f->code && crossing_parse(f->request->crossing, &f->finder.crossing) && follow_one(f);
	drop_rows(f);
	free(f->anatomy.rows);
	engine_code_close(f->code);
	symbols_free(&f->symbols);
	lines_free(&f->lines);
	return done;
}

static bool wanted(const void *mine)
{
	const struct anatomy_request *request = mine;

	return request->crossing || request->beside;
}

static bool check(void *mine, struct plan *plan)
{
	const char *what = ((const struct anatomy_request *)mine)->crossing;
	struct crossing crossing;
	char list[160];

	if (!what)
		return message_error("--beside: says what the crossing of --anatomy is shown "
		                     "beside, and that is not given");
	plan->stepped = true;
	return crossing_parse(what, &crossing) ||
	       message_error("--anatomy '%s': must be %s", what, crossing_list(list, sizeof(list)));
}

/* Before the guest runs: what is wrong with the file is said at once. */
static bool begin(void *mine, struct machine *machine, struct manner *manner)
{
	struct anatomy_request *request = mine;

	(void)machine;
	(void)manner;
	return !request->beside || account_read(&request->earlier, request->beside);
}

static void free_earlier(void *mine)
{
	account_free(&((struct anatomy_request *)mine)->earlier);
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	struct follower *f = calloc(1, sizeof(*f));
	bool done = false, lost = false;

	if (f) {
		f->machine = machine;
		f->manner = manner;
		f->request = mine;
		done = prepare_and_follow(f);
		lost = f->lost;
		free(f);
	}
	if (done && machine->outcome.reason == END_RUNNING)
		run_cpus(machine);
	else if (!done &&
	         (machine->outcome.reason == END_RUNNING || machine->outcome.reason == END_EXITED))
		machine_end(machine, END_VMM_FAILED);
	return !lost;
}

const struct instrument anatomy_instrument = {.option = "anatomy",
                                              .wanted = wanted,
                                              .check = check,
                                              .begin = begin,
                                              .drive = drive,
                                              .free = free_earlier};
