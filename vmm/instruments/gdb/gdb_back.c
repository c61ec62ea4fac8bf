/* gdb's way back: reverse-stepi, reverse-continue and what gdb makes of them, from a checkpoint on.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "vmm/base/units.h"
#include "vmm/engine/history.h"
#include "vmm/instruments/gdb/gdb_monitor.h"
#include "vmm/instruments/gdb/internal.h"

/* The same as history_back's, of one instruction. */
static struct engine_stop back_one(struct history *history)
{
	const uint64_t here = history_here(history);
	const uint64_t place = history_is_beyond(history) ? here : here - 1;

	return (struct engine_stop){history_go(history, place) ? ENGINE_STEPPED : ENGINE_FAILED,
	                            NULL};
}

/* bs and bc ("Debugging with GDB", appendix E.2). */
void gdb_do_back(struct gdb *gdb, const char *packet)
{
	struct history *history = gdb->history;
	struct engine_stop stop = {.why = ENGINE_STEPPED};
	bool at_first;

	(void)packet;
	gdb_line_attention = 0; /* of this packet; what comes from now on is a reason to stop */
	if (!history) {
		gdb_answer(gdb,
		           "E.there is no way back from here: 'monitor checkpoint' begins one");
		return;
	}
	at_first = history_here(history) == history_first(history) && !history_is_beyond(history);
	if (!at_first)
		stop = gdb->packet.data[1] == 's' ? back_one(history) : history_back(history);
	if (stop.why == ENGINE_FAILED && gdb->machine->outcome.reason == END_RUNNING) {
		gdb_tell(gdb, "the guest goes another way now: see what vmm says\n");
		stop.why = ENGINE_STEPPED;
	}
	gdb->dead = false;
	/* All the way back without having met anything. */
	if (at_first || (stop.why == ENGINE_STEPPED && gdb->packet.data[1] == 'c' &&
	                 history_here(history) == history_first(history)))
		gdb_set_stop(gdb, SIGTRAP, "replaylog:begin;");
	else
		gdb_note_stop(gdb, &stop);
	gdb_answer(gdb, gdb->stopped);
}

void gdb_changed(struct gdb *gdb)
{
	if (gdb->history && !history_branch(gdb->history))
		gdb_end_history(gdb);
}

void gdb_end_history(struct gdb *gdb)
{
	history_end(gdb->history);
	gdb->history = NULL;
}

/* ---- monitor -------------------------------------------------------------------------------- */

void gdb_monitor_history(FILE *out, struct gdb *gdb, const char *argument)
{
	const struct history *history = gdb->history;
	uint64_t count;

	(void)argument;
	if (!history) {
		fputs("no checkpoint: 'monitor checkpoint' sets one\n", out);
		return;
	}
	count = history_last(history) - history_first(history);
	fprintf(out,
	        "at %" PRIu64 " of %" PRIu64 " to %" PRIu64 ", instructions since the checkpoint; "
	        "%" PRIu64 " can be gone back and forth, with %u machine%s kept\n",
	        history_here(history), history_first(history), history_last(history), count,
	        history_kept(history), units_s(history_kept(history)));
}

void gdb_monitor_checkpoint(FILE *out, struct gdb *gdb, const char *argument)
{
	if (gdb_parse_text(&argument, "off") && !*argument) {
		gdb_end_history(gdb);
		fputs("no checkpoint: the guest runs at full speed again\n", out);
		return;
	}
	if (*argument) {
		fputs("monitor checkpoint [off]\n", out);
		return;
	}
	if (gdb->dead) {
		fputs("the guest has ended: a checkpoint is set before\n", out);
		return;
	}
	gdb_end_history(gdb);
	gdb->history = history_begin(&gdb->engine);
	fputs(gdb->history ? "from here on the guest runs one instruction at a time, and can go "
	                     "back: reverse-stepi, reverse-continue, monitor back N\n"
	                   : "the machine cannot be kept: see what vmm says\n",
	      out);
}

void gdb_monitor_back(FILE *out, struct gdb *gdb, const char *argument)
{
	struct history *history = gdb->history;
	char *end;
	uint64_t count;

	count = strtoull(argument, &end, 0);
	if (*argument < '0' || *argument > '9' || *end) {
		fputs("monitor back N: so many instructions\n", out);
		return;
	}
	if (!history || count > history_here(history) - history_first(history)) {
		fputs("so far back nothing is known\n", out);
		gdb_monitor_history(out, gdb, "");
		return;
	}
	if (!history_go(history, history_here(history) - count)) {
		fputs("the guest goes another way now: see what vmm says\n", out);
		if (gdb->machine->outcome.reason != END_RUNNING)
			return;
	}
	gdb->dead = false;
	gdb_set_stop(gdb, SIGTRAP, "");
	gdb_monitor_history(out, gdb, "");
	fputs("gdb does not know yet: 'maintenance flush register-cache'\n", out);
}
