#include "vmm/engine/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/engine/decode.h"
#include "vmm/engine/internal.h"
#include "vmm/run/snapshot.h"

/* What is known of a place. */
struct place {
	uint64_t rip;
	uint64_t sum; /* of all general registers, CR3 and who runs */
};

/* A machine that is kept. */
struct kept {
	uint64_t place;
	struct snapshot *snapshot;
	struct cpu *cpu; /* selected */
	bool needed;     /* what led here is not to be done again */
};

struct history {
	struct engine *engine;
	struct place *places; /* from place `first` on; owned */
	uint64_t first, last, here;
	const struct cpu *cpu; /* that is selected here: it is a part of the place */
	bool beyond;           /* the guest has ended behind `here` */
	size_t room;           /* of places */
	struct kept kept[HISTORY_KEPT];
	unsigned kept_count;
	uint64_t spacing;
};

uint64_t history_here(const struct history *history)
{
	return history->here;
}
uint64_t history_first(const struct history *history)
{
	return history->first;
}
uint64_t history_last(const struct history *history)
{
	return history->last;
}
bool history_is_beyond(const struct history *history)
{
	return history->beyond;
}
unsigned history_kept(const struct history *history)
{
	return history->kept_count;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static struct place *place_at(const struct history *history, uint64_t place)
{
	return &history->places[place - history->first];
}

/* FNV-1a, by words. */
static uint64_t sum_add(uint64_t sum, uint64_t word)
{
	return (sum ^ word) * UINT64_C(0x100000001b3);
}

static bool look(struct history *history, struct place *place)
{
	struct engine *engine = history->engine;
	const struct kvm_regs *regs = &engine->state.regs;
	uint64_t words[sizeof(*regs) / 8];

	if (!engine_know(engine))
		return false;
	memcpy(words, regs, sizeof(words));
	history->cpu = engine->cpu;
	place->rip = regs->rip;
	place->sum = sum_add(engine->cpu->number, engine->state.sregs.cr3);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		place->sum = sum_add(place->sum, words[i]);
	return true;
}

/* ---- Machines kept -------------------------------------------------------------------------- */

static void forget(struct history *history, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		snapshot_free(history->kept[i].snapshot);
	history->kept_count -= count;
	memmove(&history->kept[from], &history->kept[from + count],
	        (history->kept_count - from) * sizeof(history->kept[0]));
}

/* Of those that are there for the distance every other one; if they are few, the first ones of all
 * and with them the beginning of the window. */
static void make_room(struct history *history)
{
	enum { FEW = HISTORY_KEPT / 8 };
	const unsigned before = history->kept_count;
	bool odd = false;

	for (unsigned i = 1; i < history->kept_count; i++) {
		odd = odd != !history->kept[i].needed;
		if (odd && !history->kept[i].needed)
			forget(history, i--, 1);
	}
	if (history->kept_count > before - FEW)
		forget(history, 0, HISTORY_KEPT / 4);
	else
		history->spacing *= 2;
}

/* The last one at or before the place; index. */
static unsigned find_kept(const struct history *history, uint64_t place)
{
	unsigned i = history->kept_count - 1;

	while (i && history->kept[i].place > place)
		i--;
	return i;
}

/* The window begins with a machine that is kept. */
static void begin_at_first_kept(struct history *history)
{
	const uint64_t gone = history->kept[0].place - history->first;

	if (!gone)
		return;
	memmove(history->places, history->places + gone,
	        (history->last - history->first - gone + 1) * sizeof(history->places[0]));
	history->first += gone;
}

/* Keeps the machine here, at the end of the window; in place of one of the same place. */
static bool keep(struct history *history, bool needed)
{
	struct kept kept = {.place = history->here, .cpu = history->engine->cpu, .needed = needed};

	kept.snapshot = engine_snapshot(history->engine);
	if (!kept.snapshot)
		return false;
	if (history->kept_count && history->kept[history->kept_count - 1].place == history->here)
		forget(history, history->kept_count - 1, 1);
	if (history->kept_count == HISTORY_KEPT)
		make_room(history);
	history->kept[history->kept_count++] = kept;
	begin_at_first_kept(history);
	return true;
}

/* ---- Growing -------------------------------------------------------------------------------- */

static bool has_room(struct history *history)
{
	const size_t used = (size_t)(history->last - history->first + 1);
	struct place *more;

	if (used < history->room)
		return true;
	if (used == HISTORY_PLACES) {
		forget(history, 0, history->kept_count / 2);
		begin_at_first_kept(history);
		return true;
	}
	more = realloc(history->places, 2 * history->room * sizeof(*more));
	if (!more)
		return message_error("no memory for a history of %zu instructions",
		                     2 * history->room);
	history->places = more;
	history->room *= 2;
	return true;
}

/* Whether the guest is at the entry of an interrupt, which no instruction has asked for. */
static bool was_interrupted(const struct engine *engine, uint8_t opcode)
{
	const int entry = engine_entry(engine, engine->state.regs.rip);

	return entry >= 32 && entry < 256 && opcode != 0xcd /* INT n */;
}

static uint64_t device_exits(const struct engine *engine)
{
	return engine->cpu->stats.reasons[KVM_EXIT_MMIO].count;
}

/* The instruction is done, and was a new one. */
static bool add_place(struct history *history, bool outside)
{
	if (!has_room(history))
		return false;
	history->last = ++history->here;
	if (!look(history, place_at(history, history->here)))
		return false;
	if (!outside &&
	    history->here - history->kept[history->kept_count - 1].place < history->spacing)
		return true;
	return keep(history, outside);
}

static struct engine_stop stop_because(enum engine_why why)
{
	return (struct engine_stop){.why = why};
}

static struct engine_stop step_new(struct history *history)
{
	struct engine *engine = history->engine;
	const uint64_t exits = device_exits(engine);
	struct engine_stop stop;
	uint8_t code[32];
	const uint8_t *opcode = code + engine_read_code(engine, engine->state.regs.rip, code);
	bool outside;

	stop = engine_step(engine);
	history->beyond = stop.why == ENGINE_ENDED;
	if (stop.why != ENGINE_STEPPED && stop.why != ENGINE_WATCHED)
		return stop;
	outside = engine_asks_outside(opcode) || device_exits(engine) != exits ||
	          was_interrupted(engine, *opcode);
	return add_place(history, outside) ? stop : stop_because(ENGINE_FAILED);
}

/* ---- Going ---------------------------------------------------------------------------------- */

static bool restore(struct history *history, const struct kept *kept)
{
	struct engine *engine = history->engine;

	if (!engine_restore(engine, kept->snapshot) || !engine_select(engine, kept->cpu) ||
	    !engine_know(engine))
		return false;
	history->here = kept->place;
	history->cpu = kept->cpu;
	history->beyond = false;
	return true;
}

/* One instruction that was done before: done again, or as it was kept.  False: it has led elsewhere
 * now; or KVM has failed, and the machine has ended. */
static bool step_again(struct history *history, struct engine_stop *stop)
{
	const struct kept *next = &history->kept[find_kept(history, history->here + 1)];
	struct place now;

	history->here++;
	if (next->place == history->here) {
		stop->why = ENGINE_FAILED;
		if (!restore(history, next))
			return false;
		stop->watch = engine_check_watches(history->engine);
		stop->why = stop->watch ? ENGINE_WATCHED : ENGINE_STEPPED;
		return true;
	}
	*stop = engine_step(history->engine);
	return (stop->why == ENGINE_STEPPED || stop->why == ENGINE_WATCHED) &&
	       look(history, &now) &&
	       memcmp(&now, place_at(history, history->here), sizeof(now)) == 0;
}

/* On the way to `place` the guest has come to another one than before: it is taken back to the last
 * that is sure.  Always false. */
static bool lose_way(struct history *history, uint64_t place)
{
	const uint64_t rip = place_at(history, history->here)->rip, here = history->here;

	if (history->engine->machine->outcome.reason == END_VMM_FAILED ||
	    !restore(history, &history->kept[find_kept(history, here - 1)]))
		return false;
	return message_error("there is no way to place %" PRIu64 ": at place %" PRIu64
	                     " the guest was at 0x%" PRIx64 " before, and goes another way now, "
	                     "by something that is not kept; it is at place %" PRIu64,
	                     place, here, rip, history->here);
}

bool history_go(struct history *history, uint64_t place)
{
	const struct kept *kept = &history->kept[find_kept(history, place)];
	struct engine_stop stop;

	/* From where the guest is, if that is nearer. */
	if ((history->beyond || history->here > place || history->here < kept->place) &&
	    !restore(history, kept))
		return false;
	while (history->here < place) {
		if (!step_again(history, &stop))
			return lose_way(history, place);
	}
	engine_check_watches(history->engine); /* so that they tell of what comes */
	return true;
}

/* What lies behind this place was another time's. */
static void cut(struct history *history)
{
	const unsigned last = find_kept(history, history->here);

	forget(history, last + 1, history->kept_count - last - 1);
	history->last = history->here;
}

bool history_branch(struct history *history)
{
	cut(history);
	return look(history, place_at(history, history->here)) && keep(history, true);
}

struct engine_stop history_step(struct history *history)
{
	struct engine_stop stop = {.why = ENGINE_FAILED};

	if (!engine_know(history->engine) ||
	    (history->cpu != history->engine->cpu && !history_branch(history)))
		return stop_because(ENGINE_FAILED);
	if (history->here == history->last)
		return step_new(history);
	if (step_again(history, &stop))
		return stop;
	/* It goes another way from here on. */
	if (stop.why == ENGINE_STEPPED || stop.why == ENGINE_WATCHED)
		return history_branch(history) ? stop : stop_because(ENGINE_FAILED);
	history->here--;
	history->beyond = stop.why == ENGINE_ENDED;
	cut(history);
	return stop;
}

struct engine_stop history_let_others(struct history *history)
{
	struct engine *engine = history->engine;
	const uint64_t due = engine->others_at;
	struct engine_stop stop = stop_because(ENGINE_STEPPED);

	if (history->here < history->last)
		return stop;
	stop = engine_let_others(engine);
	if (engine->others_at != due && !history_branch(history))
		return stop_because(ENGINE_FAILED);
	return stop;
}

/* ---- Back to something ---------------------------------------------------------------------- */

/* The place before `end` where RIP is at a point, from `begin` on; `end`: there is none. */
static uint64_t find_point(const struct history *history, uint64_t begin, uint64_t end)
{
	for (uint64_t place = end; place-- > begin;) {
		if (engine_has_point(history->engine, place_at(history, place)->rip))
			return place;
	}
	return end;
}

/* The last place from kept[n] on and before `end` whose instruction changes what is watched; `end`:
 * there is none.  Goes there and on to `end`. */
static bool find_change(struct history *history, unsigned n, uint64_t end, uint64_t *found,
                        const struct engine_watch **watch)
{
	struct engine_stop stop = {.why = ENGINE_STEPPED};

	*found = end;
	if (!history_go(history, history->kept[n].place))
		return false;
	while (history->here < end) {
		const uint64_t from = history->here;

		if (!step_again(history, &stop))
			return lose_way(history, end);
		if (stop.why == ENGINE_WATCHED) {
			*found = from;
			*watch = stop.watch;
		}
	}
	return true;
}

static bool wants_to_stop(const struct engine *engine)
{
	return engine->attention && *engine->attention;
}

/* Where the guest is going back to, between kept[n] and `end`; `end`: nowhere there. */
static bool look_between(struct history *history, unsigned n, uint64_t end, uint64_t *place,
                         struct engine_stop *stop)
{
	const struct engine_watch *watch = NULL;
	const uint64_t known = end < history->last ? end : history->last;
	uint64_t change = known;
	const uint64_t point = find_point(history, history->kept[n].place, end);

	if (history->engine->watch_count && !find_change(history, n, known, &change, &watch))
		return false;
	*place = end;
	if (change != known && (point == end || change >= point)) {
		*place = change;
		*stop = (struct engine_stop){ENGINE_WATCHED, watch};
	} else if (point != end) {
		*place = point;
		*stop = stop_because(ENGINE_POINT);
	}
	return true;
}

struct engine_stop history_back(struct history *history)
{
	/* From behind its end the guest may come to the last place, too. */
	const uint64_t from = history->here;
	uint64_t end = from + history->beyond, place = end;
	struct engine_stop stop = stop_because(ENGINE_STEPPED);

	while (end > history->first && place == end) {
		const unsigned n = find_kept(history, end - 1);

		if (wants_to_stop(history->engine)) {
			place = from;
			stop = stop_because(ENGINE_INTERRUPTED);
			break;
		}
		if (!look_between(history, n, end, &place, &stop))
			return stop_because(ENGINE_FAILED);
		if (place == end)
			place = end = history->kept[n].place;
	}
	return history_go(history, place) ? stop : stop_because(ENGINE_FAILED);
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct history *history_begin(struct engine *engine)
{
	enum { ROOM = 1024 };
	struct history *history = calloc(1, sizeof(*history));

	if (history)
		history->places = calloc(ROOM, sizeof(*history->places));
	if (!history || !history->places) {
		free(history);
		message_error("no memory for the guest's history");
		return NULL;
	}
	history->engine = engine;
	history->room = ROOM;
	history->spacing = HISTORY_SPACING;
	if (look(history, &history->places[0]) && keep(history, true))
		return history;
	history_end(history);
	return NULL;
}

void history_end(struct history *history)
{
	if (!history)
		return;
	forget(history, 0, history->kept_count);
	free(history->places);
	free(history);
}
