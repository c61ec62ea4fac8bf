/* Crossings that can be followed, and how a running guest is stopped just before one of them. */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_FIND_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/code.h"
#include "vmm/engine/engine.h"
#include "vmm/look/symbols.h"

enum crossing_trigger { BY_SYSCALL, BY_INT80, BY_FAULT, BY_SYSENTER, BY_CALL_GATE, BY_INTERRUPT };

struct crossing {
	const char *name;
	const char *title;   /* behind it comes the number */
	const char *program; /* of guest.elf that makes it */
	enum crossing_trigger trigger;
	uint64_t number;     /* of the system call */
	bool numbered;       /* "=NUMBER" may ask for another ... */
	bool asked;          /* ... and did */
	const uint64_t *kin; /* else these count of a kernel that is not ours; 0 ends them; NULL:
	                      * all do */
	bool switches;       /* only one that returns to another process counts */
};

/* "syscall" or "int80=20": what --anatomy takes.  False: no such crossing. */
bool crossing_parse(const char *what, struct crossing *to);
/* All that there are: "syscall[=NUMBER], int80[=NUMBER], ..." in buf, which is returned. */
const char *crossing_list(char *buf, size_t size);

enum { FINDER_PLACES = 300 };

struct finder {
	struct engine *engine;
	const struct symbols *symbols;
	struct engine_code *code;
	struct crossing crossing;
	/* Where to stop: entries of ring 0, or the instructions of ring 3 that make the crossing.
	 */
	bool entries[ENTRIES_MAX];
	uint64_t places[FINDER_PLACES];
	size_t place_count;
	bool ours; /* the guest keeps to shared/abi.h, so its programs and system calls are known */
	/* Of the crossing found: */
	bool quirk;      /* this KVM does not enter ring 0 as the manuals say */
	unsigned vector; /* BY_INTERRUPT: whose stub the guest has come to */
	uint64_t number; /* of the system call */
	/* The last one that was tried and not made ended at this vector; 256: there was none. */
	unsigned refused;
};

/* The pointers and the crossing are set, the rest is zero.  False after a message: the guest or
 * this CPU has no such crossing. */
bool finder_begin(struct finder *finder);
/*
 * Runs the guest until it is about to make the crossing: it is then at the last instruction of ring
 * 3, with nothing planted; an interrupt, which no instruction makes, has come, and the guest is at
 * its stub; a SYSENTER, of which nothing tells where it was, of a kernel that is not ours has been
 * made, and the guest is at the entry.  False: the run is over, or a message was given and
 * machine->outcome says so.
 */
bool finder_next(struct finder *finder);
/* After the first step from there: whether it is the crossing, and not a fault on the way. */
bool finder_has_arrived(struct finder *finder);
/* Why there was none, for a message behind "the guest ended without such a crossing". */
const char *finder_excuse(const struct finder *finder, char *buf, size_t size);

#endif
