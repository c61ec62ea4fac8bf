#include "vmm/instruments/trace/trace_file.h"

#include <string.h>

/* Kept free for the mark at the place where the file was full, and for the end. */
#define RESERVE UINT64_C(6144)
_Static_assert(RESERVE < TRACE_LIMIT_MIN, "the smallest file has space for events");

/* ---- One line, in a buffer of fixed size ----------------------------------------------------- */

struct line {
	size_t used;
	bool cut; /* something did not fit: the line is no JSON */
	char text[4096];
};

static void put_char(struct line *line, char c)
{
	if (line->used == sizeof(line->text)) {
		line->cut = true;
		return;
	}
	line->text[line->used++] = c;
}

static void put(struct line *line, const char *text)
{
	while (*text)
		put_char(line, *text++);
}

/* By hand: an event has several numbers, and printf takes a thousand instructions for each. */
static void put_digits(struct line *line, uint64_t number, unsigned base, unsigned least)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number || count < least);
	while (count)
		put_char(line, digits[--count]);
}

static void put_number(struct line *line, uint64_t number)
{
	put_digits(line, number, 10, 1);
}

/* A JSON string (RFC 8259, 7).  Anything but printable ASCII would need to be valid UTF-8. */
static void put_string(struct line *line, const char *text)
{
	put_char(line, '"');
	for (; *text; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			put_char(line, '\\');
		put_char(line, c < ' ' || c > '~' ? '?' : (char)c);
	}
	put_char(line, '"');
}

/* The format's unit is the microsecond; fractions are allowed. */
static void put_time(struct line *line, uint64_t ns)
{
	put_number(line, ns / 1000);
	put_char(line, '.');
	put_digits(line, ns % 1000, 10, 3);
}

static void put_arg(struct line *line, const struct trace_arg *arg)
{
	put_string(line, arg->key);
	put_char(line, ':');
	switch (arg->kind) {
	case TRACE_ARG_NUMBER:
		/* As in the JSON report: many readers' integers end there. */
		put_number(line, arg->number > INT64_MAX ? INT64_MAX : arg->number);
		break;
	case TRACE_ARG_SIGNED:
		if ((int64_t)arg->number < 0)
			put_char(line, '-');
		put_number(line, (int64_t)arg->number < 0 ? -arg->number : arg->number);
		break;
	case TRACE_ARG_ADDRESS:
		/* A string: as a number it would lose its lowest bits in a double. */
		put(line, "\"0x");
		put_digits(line, arg->number, 16, 1);
		put_char(line, '"');
		break;
	case TRACE_ARG_TEXT:
		put_string(line, arg->text ? arg->text : "");
		break;
	}
}

static void put_args(struct line *line, const struct trace_arg args[TRACE_ARGS], bool first)
{
	for (int i = 0; i < TRACE_ARGS && args[i].key; i++) {
		if (!first || i > 0)
			put_char(line, ',');
		put_arg(line, &args[i]);
	}
}

static void put_event(struct line *line, const struct trace_event *event)
{
	put(line, "{\"ph\":\"");
	put_char(line, (char)event->phase);
	put(line, "\",\"pid\":");
	put_number(line, event->pid);
	put(line, ",\"tid\":");
	put_number(line, event->tid);
	put(line, ",\"name\":");
	put_string(line, event->name);
	if (event->category) {
		put(line, ",\"cat\":");
		put_string(line, event->category);
	}
	if (event->phase != TRACE_NAME) {
		put(line, ",\"ts\":");
		put_time(line, event->ns);
	}
	if (event->phase == TRACE_SPAN) {
		put(line, ",\"dur\":");
		put_time(line, event->duration);
	}
	if (event->phase == TRACE_INSTANT)
		put(line, ",\"s\":\"t\"");
	if (event->args[0].key) {
		put(line, ",\"args\":{");
		put_args(line, event->args, true);
		put_char(line, '}');
	}
	put_char(line, '}');
}

static void write_text(struct trace_file *file, const char *text, size_t length)
{
	fwrite(text, 1, length, file->out);
	file->used += length;
}

/* ---- The file -------------------------------------------------------------------------------- */

void trace_file_begin(struct trace_file *file, FILE *out, uint64_t limit)
{
	static const char head[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";

	*file = (struct trace_file){.out = out, .limit = limit};
	write_text(file, head, sizeof(head) - 1);
}

static void write_event(struct trace_file *file, const struct line *line)
{
	write_text(file, file->events ? ",\n" : "\n", file->events ? 2 : 1);
	write_text(file, line->text, line->used);
	file->events++;
}

void trace_file_event(struct trace_file *file, const struct trace_event *event)
{
	struct line line;

	if (file->full) {
		file->dropped++;
		return;
	}
	line.used = 0;
	line.cut = false;
	put_event(&line, event);
	if (line.cut || file->used + line.used + 2 > file->limit - RESERVE) {
		file->full = true;
		file->dropped++;
		return;
	}
	write_event(file, &line);
}

void trace_file_name(struct trace_file *file, const char *what, uint32_t pid, uint32_t tid,
                     const char *name)
{
	trace_file_event(file, &(struct trace_event){
	                           .phase = TRACE_NAME,
	                           .pid = pid,
	                           .tid = tid,
	                           .name = what,
	                           .args = {TRACE_TEXT("name", name)},
	                       });
}

/* In words, and where the events end. */
static void write_full_mark(struct trace_file *file, uint64_t ns)
{
	const struct trace_event event = {
	    .phase = TRACE_INSTANT,
	    .pid = 1,
	    .tid = 1,
	    .ns = ns,
	    .name = "the trace is full: what happened before this is not all here",
	    .category = "trace",
	    .args = {TRACE_NUMBER("dropped", file->dropped)},
	};
	struct line line = {.used = 0};

	put_event(&line, &event);
	write_event(file, &line);
}

void trace_file_end(struct trace_file *file, const struct trace_facts *facts)
{
	struct line line = {.used = 0};

	if (file->full)
		write_full_mark(file, facts->ns);
	put(&line, "\n],\"otherData\":{");
	put_args(&line, facts->args, true);
	put(&line, facts->args[0].key ? ",\"events\":" : "\"events\":");
	put_number(&line, file->events);
	put(&line, ",\"dropped\":");
	put_number(&line, file->dropped);
	put(&line, ",\"lost in the guest\":");
	put_number(&line, facts->lost);
	put(&line, ",\"complete\":");
	put_string(&line, file->dropped && facts->lost
	                      ? "no: the file was full, and the guest's ring too"
	                  : file->dropped ? "no: the file was full (--trace-limit)"
	                  : facts->lost   ? "no: the guest's ring was full between two exits"
	                                  : "yes");
	put(&line, "}}\n");
	write_text(file, line.text, line.used);
}
