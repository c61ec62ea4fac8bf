/* The debugger's engine: all of the machine at one moment, without what is planted in it. */
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/run/snapshot.h"

/* Takes every plant out of RAM; each stays a point. */
static void lift(struct engine *engine)
{
	for (size_t i = 0; i < engine->point_count; i++) {
		const struct engine_plant *plant = &engine->points[i].plant;

		if (plant->at && *plant->at == plant->planted)
			*plant->at = plant->original;
	}
}

/* Where they were: what lies there now may be another byte than before. */
static void put_in(struct engine *engine)
{
	for (size_t i = 0; i < engine->point_count; i++) {
		struct engine_plant *plant = &engine->points[i].plant;

		if (plant->at && *plant->at != plant->planted) {
			plant->original = *plant->at;
			*plant->at = plant->planted;
		}
	}
}

/* Nothing that the engine changes for its own ends is on its way to the vCPU, or in it. */
static bool settle(struct engine *engine)
{
	engine_put_dr6_back(engine);
	return engine_set_stepping(engine, false) && engine_forget(engine);
}

struct snapshot *engine_snapshot(struct engine *engine)
{
	struct snapshot *snapshot = NULL;

	if (settle(engine)) {
		lift(engine);
		snapshot = snapshot_take(engine->machine);
		put_in(engine);
	}
	return snapshot;
}

bool engine_restore(struct engine *engine, const struct snapshot *snapshot)
{
	bool good;

	if (!settle(engine))
		return false;
	lift(engine);
	good = snapshot_restore(snapshot);
	put_in(engine);
	engine->known = engine->changed = engine->entries_known = false;
	engine->dr6_known = engine->has_fence = false;
	engine->msrs_due = true;
	engine->root_count = 0;
	return good;
}
