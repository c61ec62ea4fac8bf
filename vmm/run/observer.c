#include "vmm/run/observer.h"

bool observers_take_exit(struct observer *first, struct cpu *cpu)
{
	for (struct observer *o = first; o; o = o->next) {
		if (o->takes_exit && o->takes_exit(o, cpu))
			return true;
	}
	return false;
}

/* Whoever comes behind one that ends the run has nothing to be told any more. */
bool observers_marked(struct observer *first, struct cpu *cpu, unsigned slot,
                      const struct rs_mark *mark)
{
	for (struct observer *o = first; o; o = o->next) {
		if (o->marked && !o->marked(o, cpu, slot, mark))
			return false;
	}
	return true;
}

void observers_served(struct observer *first, struct cpu *cpu, uint64_t entered)
{
	for (struct observer *o = first; o; o = o->next) {
		if (o->served)
			o->served(o, cpu, entered);
	}
}

bool observers_call(struct observer *first, struct cpu *cpu, uint32_t function,
                    const uint64_t arg[4], const void *data, int64_t *result)
{
	for (struct observer *o = first; o; o = o->next) {
		if (o->call && o->call(o, cpu, function, arg, data, result))
			return true;
	}
	return false;
}

void observers_crossed(struct observer *first, struct cpu *cpu,
                       const struct seen_crossing *crossing)
{
	for (struct observer *o = first; o; o = o->next) {
		if (o->crossed)
			o->crossed(o, cpu, crossing);
	}
}
