/*
 * A file in the Chrome trace-event format, JSON object form ("Trace Event Format", Google, 2016),
 * as Perfetto and chrome://tracing open it: written as a stream, never larger than its limit, and
 * complete JSON once trace_file_end was called, however much did not fit.
 *
 *     trace_file_begin(&file, out, 64 << 20);
 *     event = (struct trace_event){.phase = TRACE_SPAN, .name = "guest", .pid = 1, .tid = 1,
 *                                  .ns = 1500, .duration = 700};
 *     trace_file_event(&file, &event);
 *     trace_file_end(&file, &facts);
 *
 * An event that does not fit is dropped, and so is every event after it: what is in the file is all
 * that happened up to one moment.  Space for the end is kept free from the beginning.
 */
#ifndef VMM_INSTRUMENTS_TRACE_TRACE_FILE_H
#define VMM_INSTRUMENTS_TRACE_TRACE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The smallest limit that leaves space for events. */
#define TRACE_LIMIT_MIN (UINT64_C(16) << 10)

enum trace_phase {
	TRACE_SPAN = 'X',    /* from ns, for duration */
	TRACE_INSTANT = 'i', /* at ns, on its thread's track */
	TRACE_COUNTER = 'C', /* the values of args at ns */
	TRACE_NAME = 'M',    /* name: "process_name", "thread_name"; args: name */
};

struct trace_arg {
	const char *key; /* a literal; NULL ends the list */
	enum { TRACE_ARG_NUMBER, TRACE_ARG_SIGNED, TRACE_ARG_ADDRESS, TRACE_ARG_TEXT } kind;
	uint64_t number;
	const char *text; /* any bytes up to a NUL; what is not printable ASCII becomes '?' */
};
#define TRACE_NUMBER(k, n)                                                                         \
	{                                                                                          \
		.key = (k), .kind = TRACE_ARG_NUMBER, .number = (n)                                \
	}
#define TRACE_SIGNED(k, n)                                                                         \
	{                                                                                          \
		.key = (k), .kind = TRACE_ARG_SIGNED, .number = (uint64_t)(n)                      \
	}
#define TRACE_ADDRESS(k, n)                                                                        \
	{                                                                                          \
		.key = (k), .kind = TRACE_ARG_ADDRESS, .number = (n)                               \
	}
#define TRACE_TEXT(k, t)                                                                           \
	{                                                                                          \
		.key = (k), .kind = TRACE_ARG_TEXT, .text = (t)                                    \
	}

enum { TRACE_ARGS = 8 };

struct trace_event {
	enum trace_phase phase;
	uint32_t pid, tid;     /* which group of tracks, which track */
	uint64_t ns, duration; /* nanoseconds */
	const char *name;      /* as TRACE_ARG_TEXT's text */
	const char *category;  /* a literal, for filters; NULL: none */
	struct trace_arg args[TRACE_ARGS];
};

struct trace_file {
	FILE *out;
	uint64_t limit, used; /* bytes */
	uint64_t events;      /* written */
	uint64_t dropped;     /* not written, the file being full */
	bool full;
};

/* What the file says about itself at its end ("otherData"): args, and how much was dropped. */
struct trace_facts {
	uint64_t lost;                     /* events that never came: the guest's ring was full */
	uint64_t ns;                       /* when it ended */
	struct trace_arg args[TRACE_ARGS]; /* at most 2 KiB in all */
};

/* limit: TRACE_LIMIT_MIN at least.  Write errors stay in `out`: see ferror. */
void trace_file_begin(struct trace_file *file, FILE *out, uint64_t limit);
void trace_file_event(struct trace_file *file, const struct trace_event *event);
/* what: "process_name" of a group, "thread_name" of a track. */
void trace_file_name(struct trace_file *file, const char *what, uint32_t pid, uint32_t tid,
                     const char *name);
void trace_file_end(struct trace_file *file, const struct trace_facts *facts);

#endif
