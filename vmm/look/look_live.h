/*
 * --walk, --map, --audit and --core on a machine that runs: when they look, and at what.
 *
 * Nothing here is on the way of an ordinary exit.  A mark costs one comparison more.
 */
#ifndef VMM_LOOK_LIVE_H
#define VMM_LOOK_LIVE_H

#include <stdbool.h>

struct machine;
struct cpu;

/* Before the guest's first instruction: checks the symbols, and looks if that was asked for now.
 *  After stop_install.  False after a message. */
bool look_live_begin(struct machine *machine);
/* The CPU stands behind the OUT of a mark, whose state is in cpu->last.  False after a message: the
 * run is to end. */
bool look_live_mark(struct cpu *cpu);
/* The run is over: writes the core, and looks.  False, after a message, when something asked for is
 * missing. */
bool look_live_end(struct machine *machine);
/* Whether a rule of --audit was, at whatever time it was looked at. */
bool look_live_rule_broken(const struct machine *machine);
void look_live_free(struct machine *machine);

#endif
