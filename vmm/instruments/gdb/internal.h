/* What the parts of the stub share: see gdb.h. */
#ifndef VMM_INSTRUMENTS_GDB_INTERNAL_H
#define VMM_INSTRUMENTS_GDB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/engine.h"
#include "vmm/engine/history.h"
#include "vmm/instruments/gdb/gdb_line.h"
#include "vmm/instruments/gdb/gdb_packet.h"

enum { PLANTS_MAX = ENGINE_POINTS_MAX };

struct gdb {
	struct machine *machine;
	struct gdb_line line;

	/* Of one session; all zero before the next. */
	struct engine engine;
	struct history *history; /* since the checkpoint; NULL: there is none */
	struct gdb_packet packet;
	struct gdb_reply reply;
	char *xml;

	/* What gdb has planted: a second request for the same place changes nothing. */
	struct {
		uint64_t va;
		bool hardware;
	} plants[PLANTS_MAX];
	size_t plant_count;
	struct cpu *stopped_cpu; /* what runs on without a word about threads */
	bool no_ack, swbreak, hwbreak;
	bool greeted;     /* a packet came that was one: it is gdb */
	bool dead;        /* the guest has died: it can be looked at, and will not run */
	bool finished;    /* nothing more is to be asked of gdb */
	bool leave;       /* ... and the guest runs on by itself */
	char stopped[96]; /* the last stop reply */
};

/* ---- Stops and running (gdb.c) -----------------------------------------------------------------
 */

/* What gdb is told: a signal, and what stands behind the thread in its reply. */
void gdb_set_stop(struct gdb *gdb, int signal, const char *more);
void gdb_note_stop(struct gdb *gdb, const struct engine_stop *stop);
/* c, s, C and S with a signal, which the guest has none of.  gdb never gives an address behind it,
 * and where to go on from cannot be said here. */
void gdb_do_resume(struct gdb *gdb, const char *packet);
/* vCont;ACTION[:THREAD][;ACTION[:THREAD]]... */
void gdb_do_vcont(struct gdb *gdb, const char *packet);
/* To gdb each CPU that was started is a thread; 0 is no thread's number. */
unsigned gdb_thread_of(const struct cpu *cpu);
/* NULL: there is no such thread. */
struct cpu *gdb_cpu_of(const struct gdb *gdb, uint64_t thread);

/* ---- Back (gdb_back.c) ---------------------------------------------------------------------- */

/* bs and bc. */
void gdb_do_back(struct gdb *gdb, const char *packet);
/* gdb has written registers or memory: from here the guest goes another way. */
void gdb_changed(struct gdb *gdb);
void gdb_end_history(struct gdb *gdb);

/* ---- Packets (gdb_commands.c) ------------------------------------------------------------------
 */

bool gdb_send_reply(struct gdb *gdb);
void gdb_answer_ok(struct gdb *gdb, bool ok);
void gdb_answer(struct gdb *gdb, const char *text);
/* Text for the user, in packets of its own; the reply begins behind it. */
void gdb_tell(struct gdb *gdb, const char *text);
/* What is not in the table gets the empty reply: not supported.  A NUL, which only X has, would
 * hide the end of a packet. */
void gdb_serve_packet(struct gdb *gdb);

#endif
