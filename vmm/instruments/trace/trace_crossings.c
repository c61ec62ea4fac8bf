#include "vmm/instruments/trace/trace_crossings.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/names.h"

/* Of the crossing's address space, the first that is free since ns; 0: there is no room for it. */
static uint32_t find_track(struct trace_crossings *crossings, struct trace_file *file,
                           uint32_t group, uint64_t root, uint64_t ns)
{
	unsigned before = 0, i;
	char name[48];

	for (i = 0; i < crossings->count; i++) {
		const struct trace_space *space = &crossings->spaces[i];

		if (space->root != root)
			continue;
		if (space->end <= ns)
			return i + 1;
		before++;
	}
	if (i == TRACE_SPACES)
		return 0;
	if (i == 0)
		trace_file_name(file, "process_name", group, 0, "address spaces of ring 3");
	crossings->spaces[crossings->count++] = (struct trace_space){.root = root};
	if (before)
		snprintf(name, sizeof(name), "CR3 0x%" PRIx64 ", at the same time %u", root,
		         before);
	else
		snprintf(name, sizeof(name), "CR3 0x%" PRIx64, root);
	trace_file_name(file, "thread_name", group, i + 1, name);
	return i + 1;
}

static void describe_call(struct trace_event *event, const struct seen_crossing *crossing)
{
	event->category = "system call";
	event->name = crossing->name;
	event->args[0] = (struct trace_arg)TRACE_NUMBER("number", crossing->number);
	event->args[1] = (struct trace_arg)TRACE_TEXT(
	    "by", crossing->kind == CROSSING_INT80 ? "INT 0x80" : "SYSCALL");
	event->args[2] = (struct trace_arg)TRACE_TEXT("arguments", crossing->arguments);
	event->args[3] = (struct trace_arg)TRACE_TEXT(
	    "result", crossing->result ? crossing->result : "it has not come back");
}

static void describe_fault(struct trace_event *event, const struct seen_crossing *crossing,
                           char *name, size_t size)
{
	const bool interrupt = crossing->kind == CROSSING_INTERRUPT;

	event->category = interrupt ? "interrupt" : "fault";
	event->name = name;
	if (interrupt)
		snprintf(name, size, "interrupt 0x%" PRIx64, crossing->number);
	else
		snprintf(name, size, "%s", vector_name((unsigned)crossing->number));
	event->args[0] = (struct trace_arg)TRACE_ADDRESS("rip", crossing->rip);
	if (interrupt)
		return;
	event->args[1] = (struct trace_arg)TRACE_ADDRESS("error code", crossing->error);
	event->args[2] = (struct trace_arg)TRACE_ADDRESS("cr2", crossing->address);
}

static uint64_t since(uint64_t zero, uint64_t ns)
{
	return ns > zero ? ns - zero : 0;
}

void trace_crossings_write(struct trace_crossings *crossings, struct trace_file *file,
                           uint32_t group, uint64_t zero, const struct seen_crossing *crossing)
{
	struct trace_event event = {.phase = TRACE_INSTANT, .pid = group};
	char name[32];

	event.ns = since(zero, crossing->begun);
	event.tid = find_track(crossings, file, group, crossing->root, event.ns);
	if (crossing->kind == CROSSING_SYSCALL || crossing->kind == CROSSING_INT80)
		describe_call(&event, crossing);
	else
		describe_fault(&event, crossing, name, sizeof(name));
	if (crossing->result && event.tid) {
		event.phase = TRACE_SPAN;
		event.duration = since(zero, crossing->ended) - event.ns;
		crossings->spaces[event.tid - 1].end = event.ns + event.duration;
	}
	trace_file_event(file, &event);
}
