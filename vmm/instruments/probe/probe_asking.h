/*
 * How a question of --probe is asked: in a machine of its own, which is there when its function is
 * called and goes afterwards; and how it is answered.
 *
 *     void probe_ask_syscall(struct asking *asking)
 *     {
 *             probe_vm_start3(&asking->vm, probe_r3_syscall);
 *             probe_vm_run(&asking->vm, PROBE_RUN_LIMIT, &stop);
 *             if (stop.end == PROBE_ENTRY)
 *                     asking_answer(asking, PROBE_AS_MANUAL, "ring 0 at LSTAR");
 *             else
 *                     asking_unexpected(asking, &stop);
 *     }
 */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_ASKING_H
#define VMM_INSTRUMENTS_PROBE_PROBE_ASKING_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/instruments/probe/probe_result.h"
#include "vmm/instruments/probe/probe_vm.h"
#include "vmm/kvm/kvm.h"

struct asking;

/* Nanoseconds: a guest that has not ended after this long will not. */
#define PROBE_RUN_LIMIT UINT64_C(1000000000)

struct probe {
	const char *name, *question, *manual, *meaning;
	/* Either a function for everything, in a machine that is ready ... */
	void (*ask)(struct asking *asking);
	/* ... or one guest and the end that the manuals promise it. */
	const uint8_t *guest;
	void (*prepare)(struct probe_vm *vm); /* NULL: nothing to do */
	uint64_t code;                        /* PROBE_TRAP: its error code */
	const char *yes;                      /* the answer then */
	uint64_t needs; /* RS_FEATURE_* without which another answer is no fault */
	unsigned ring;
	enum probe_end end;
	uint8_t vector; /* PROBE_TRAP */
	bool apic;      /* the machine has a local APIC */
};

/* One question under way. */
struct asking {
	const struct probe *probe;
	const struct kvm *kvm;
	struct probe_vm vm;
	struct probe_result *result;
};

/* All of it; the result's answer and verdict are given then. */
void asking_do(struct asking *asking);

/* ---- For who asks ---------------------------------------------------------------------------- */

/* Another machine in place of the one there is.  False: there is none, and that is the answer. */
bool asking_renew(struct asking *asking);
/* Readies a guest for ring 0 or 3. */
void probe_start(struct probe_vm *vm, unsigned ring, const uint8_t *guest);
/* Readies a guest that uses PROBE_PORT_TICK in ring 3, allowed or denied by the I/O permission
 * bitmap.  It begins in ring 0 and loads TR itself, because there is a processor (QEMU's) that
 * looks at the bitmap only then. */
void probe_start_port(struct probe_vm *vm, bool allowed);

bool probe_is_trap(const struct probe_stop *stop, uint8_t vector, uint64_t code);
/* Ring 3 came to the UD2 behind the instruction in question: nothing stopped it. */
bool probe_ran_on(struct probe_vm *vm, const struct probe_stop *stop);
/* The host says that it has the features that the question needs. */
bool asking_offered(const struct asking *asking);

void asking_answer(struct asking *asking, enum probe_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An end that the question did not foresee, in words. */
void asking_unexpected(struct asking *asking, const struct probe_stop *stop);
/* An end that tells nothing. */
void asking_no_answer(struct asking *asking, const struct probe_stop *stop);

#endif
