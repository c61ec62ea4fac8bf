#include "vmm/instruments/torture/torture.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/instruments/torture/torture_internal.h"
#include "vmm/instruments/torture/torture_run.h"
#include "vmm/run/run.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const struct {
	const char *name;
	enum torture_kind_of_event event;
} events[] = {{"nmi", TORTURE_NMI}, {"irq", TORTURE_IRQ}, {"step", TORTURE_STEP}};
enum { EVENTS = sizeof(events) / sizeof(events[0]) };

static int find_event(const char *name)
{
	for (int i = 0; i < EVENTS; i++) {
		if (!strcmp(events[i].name, name))
			return i;
	}
	return -1;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* RS_CALL_TORTURE, data as the guest left it: 0, or a negative errno value for a call that makes no
 * sense.  The answer is given when the guest is to go on. */
static int64_t take_call(struct torture *t, const uint64_t arg[4], const void *data)
{
	struct torture_call *call = &t->call;
	const size_t one = sizeof(struct rs_torture_difference);
	const bool known =
	    arg[0] == RS_TORTURE_CROSSING ? arg[1] == sizeof(struct rs_torture_crossing)
	    : arg[0] == RS_TORTURE_DIFFERS
	        ? arg[1] && arg[1] % one == 0 && arg[1] / one <= RS_TORTURE_DIFFERENCES
	        : arg[0] == RS_TORTURE_ROUND || arg[0] == RS_TORTURE_END;

	if (!known)
		return -EINVAL;
	call->what = (uint32_t)arg[0];
	call->size = arg[0] == RS_TORTURE_CROSSING || arg[0] == RS_TORTURE_DIFFERS ? arg[1] : 0;
	call->text = arg[2];
	call->text_end = arg[3];
	memcpy(call->data, data, call->size);
	call->due = true;
	return 0;
}

static bool see_call(struct observer *observer, struct cpu *cpu, uint32_t function,
                     const uint64_t arg[4], const void *data, int64_t *result)
{
	(void)cpu; /* there is one */
	if (function != RS_CALL_TORTURE)
		return false;
	*result = take_call((struct torture *)observer, arg, data);
	return true;
}

static void clean(char *text, size_t size)
{
	char copy[sizeof(((struct rs_torture_crossing *)0)->alone)]; /* the longest */

	memcpy(copy, text, size);
	printable(text, size, copy, size);
}

static void add_lack(struct torture *t, const struct rs_torture_crossing *crossing)
{
	struct torture_lack *lack = &t->lacks[t->lack_count];

	for (size_t i = 0; i < t->lack_count; i++) {
		if (!strcmp(t->lacks[i].name, crossing->name))
			return;
	}
	if (t->lack_count == TORTURE_LACKS)
		return;
	t->lack_count++;
	memcpy(lack->name, crossing->name, sizeof(lack->name));
	memcpy(lack->why, crossing->lacks, sizeof(lack->why));
	memcpy(lack->alone, crossing->alone, sizeof(lack->alone));
}

/* Whether the options want this one. */
static bool is_wanted(const struct torture *t, const struct rs_torture_crossing *crossing)
{
	const char *pattern = t->request->crossing;

	if (pattern && fnmatch(pattern, crossing->name, FNM_EXTMATCH) != 0)
		return false;
	switch (t->machine->plan->pti) {
	case PTI_ON:
		return crossing->mode != RS_PTI_OFF;
	case PTI_OFF:
		return crossing->mode == RS_PTI_OFF;
	default:
		return true;
	}
}

/* Kernel text beside the entry area, in the image's words. */
static bool add_text(struct torture *t, uint64_t va, uint64_t end, bool entry)
{
	const struct image *image = &t->machine->image;
	uint64_t bad;

	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *segment = &image->segments[i];
		const uint8_t *bytes;

		if (!(segment->flags & 1) || va < segment->va || end <= va ||
		    end - segment->va > segment->memsz)
			continue;
		bytes = memory_at(&t->machine->memory, segment->gpa + (va - segment->va), end - va);
		if (bytes && torture_text_add(&t->text, t->code, &t->symbols, &image->note, bytes,
		                              end - va, va, entry, &bad))
			return true;
		return message_error("--torture: the text from 0x%llx to 0x%llx cannot be decoded",
		                     (unsigned long long)va, (unsigned long long)end);
	}
	return message_error("--torture: 0x%llx to 0x%llx is no kernel text",
	                     (unsigned long long)va, (unsigned long long)end);
}

/* At the first call, when the guest has told what else it wants hit. */
static bool build_text(struct torture *t)
{
	const struct rs_note *note = &t->machine->image.note;
	size_t plants = 0;

	if (t->text.count)
		return true;
	if (t->call.text && t->call.text < RS_ENTRY_BASE &&
	    !add_text(t, t->call.text, t->call.text_end, false))
		return false;
	if (!add_text(t, RS_ENTRY_BASE,
	              note->vectors + (uint64_t)note->vector_count * note->vector_stride, true))
		return false;
	for (size_t i = 0; i < t->text.count; i++)
		plants += !t->text.list[i].stub;
	return plants < ENGINE_POINTS_MAX - 2 ||
	       message_error("--torture: %zu stops are needed in the entry text, %d are possible",
	                     plants, ENGINE_POINTS_MAX - 2);
}

static void begin_crossing(struct torture *t)
{
	struct rs_torture_crossing *crossing = &t->crossing;

	memcpy(crossing, t->call.data, sizeof(*crossing));
	clean(crossing->name, sizeof(crossing->name));
	clean(crossing->lacks, sizeof(crossing->lacks));
	clean(crossing->alone, sizeof(crossing->alone));
	if (crossing->vectors[1] >= t->machine->image.note.vector_count)
		crossing->vectors[1] = t->machine->image.note.vector_count - 1;
	if (*crossing->lacks)
		add_lack(t, crossing);
	torture_answer(t, !*crossing->lacks && is_wanted(t, crossing));
}

/* ---- The run --------------------------------------------------------------------------------- */

static void serve_calls(struct torture *t)
{
	while (!t->over && torture_next_call(t)) {
		if (!build_text(t)) {
			machine_end(t->machine, END_VMM_FAILED);
			return;
		}
		switch (t->call.what) {
		case RS_TORTURE_CROSSING:
			begin_crossing(t);
			break;
		case RS_TORTURE_ROUND:
			torture_crossing(t);
			if (!t->over)
				torture_answer(t, RS_TORTURE_NEXT);
			break;
		case RS_TORTURE_END:
			t->complete = true;
			torture_answer(t, !torture_passed(t));
			return;
		default:
			torture_answer(t, 0);
			break;
		}
	}
}

/* The only global: a signal handler has no other way to it. */
static struct torture *watched;

static void on_watch(int signal)
{
	const uint64_t rounds = watched->in_round ? watched->rounds : 0;

	(void)signal;
	if (!rounds || rounds != watched->watched_rounds) {
		watched->watched_rounds = rounds;
		return;
	}
	watched->hung = 1;
	__atomic_store_n(&watched->engine.cpu->vcpu.run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static bool start_watch(struct torture *t)
{
	/* Behind those of stop.h and of the debugger's turns. */
	const int signal_number = SIGRTMIN + 2;
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number};
	const struct sigaction action = {.sa_handler = on_watch};
	const struct itimerspec when = {{.tv_sec = TORTURE_WATCH}, {.tv_sec = TORTURE_WATCH}};

	watched = t;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	return (sigaction(signal_number, &action, NULL) == 0 &&
	        timer_create(CLOCK_MONOTONIC, &event, &t->watch) == 0 &&
	        timer_settime(t->watch, 0, &when, NULL) == 0) ||
	       message_error("--torture: cannot start the clock that watches the guest: %s",
	                     strerror(errno));
}

static bool prepare(struct torture *t)
{
	const struct image *image = &t->machine->image;

	if (!image->noted)
		return message_error("--torture: a guest without the Ringscope note has no "
		                     "entries that are known");
	t->event = events[find_event(t->request->event)].event;
	t->code = engine_code_open();
	t->symbols = symbols_read(image->path);
	t->terminal = isatty(STDERR_FILENO);
	t->began = clock_ns();
	if (!t->code || !start_watch(t) || !engine_attach(&t->engine, t->machine))
		return false;
	t->engine.stop_at_exits = true;
	t->engine.attention = &t->hung;
	return true;
}

static void free_all(struct torture *t)
{
	torture_text_free(&t->text);
	for (unsigned n = 0; n < TORTURE_DEPTH; n++)
		torture_path_free(&t->path[n]);
	symbols_free(&t->symbols);
	engine_code_close(t->code);
	free(t);
}

/* The guest's own end; what the torture has found decides, where the guest could not. */
static void end(struct torture *t)
{
	struct machine *machine = t->machine;
	const bool running = machine->outcome.reason == END_RUNNING;

	if (!engine_detach(&t->engine) && running)
		machine_end(machine, END_VMM_FAILED);
	if (t->complete && running) {
		while (run_once(&machine->cpus[0])) {
		}
	} else if (running) {
		/* It hangs, or cannot be looked at. */
		machine->outcome.guest_status = 1;
		machine_end(machine, t->failure_count ? END_EXITED : END_VMM_FAILED);
	}
	console_flush(&machine->console);
}

/* False: the run has failed, and not the guest. */
static bool run(struct torture *t)
{
	const struct outcome *outcome = &t->machine->outcome;

	if (!prepare(t))
		return false;
	serve_calls(t);
	torture_progress(t, true);
	t->seconds = (double)(clock_ns() - t->began) / 1e9;
	timer_delete(t->watch);
	end(t);
	if (t->text.count)
		return torture_report(t);
	return outcome->reason != END_EXITED ||
	       message_error("--torture: this guest has no program for it");
}

static bool wanted(const void *mine)
{
	return ((const struct torture_request *)mine)->event;
}

static bool check(void *mine, struct plan *plan)
{
	const struct torture_request *request = mine;

	if (find_event(request->event) < 0)
		return message_error("--torture '%s': must be nmi, irq or step", request->event);
	if (plan->cpus > 1)
		return message_error(
		    "--torture: the rounds of one CPU only can be all the same; leave "
		    "out --cpus %u",
		    plan->cpus);
	/* Interrupts come when the torture wants them to. */
	plan->no_apic = true;
	if (!plan->program)
		plan->program = "torture";
	return true;
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	const struct outcome *outcome = &machine->outcome;
	struct torture *t = calloc(1, sizeof(*t));

	if (t) {
		t->request = mine;
		t->machine = machine;
		t->manner = manner;
		t->observer = (struct observer){.call = see_call};
		machine_observe(machine, &t->observer);
	} else {
		message_error("--torture: no memory");
	}
	/* What the guest died of is not to be hidden by what came behind it. */
	if ((!t || !run(t)) && (outcome->reason == END_RUNNING || outcome->reason == END_EXITED))
		machine_end(machine, END_VMM_FAILED);
	if (t) {
		machine_unobserve(machine, &t->observer);
		free_all(t);
	}
	return true;
}

const struct instrument torture_instrument = {
    .option = "torture", .wanted = wanted, .check = check, .drive = drive};
