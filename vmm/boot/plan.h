/*
 * The machine that is wanted, and the guest for it: all that the parts which build and run one see
 * of a command line.  A value: whoever builds a machine by hand (a test) fills one in.
 *
 *	static const struct plan plan = {.mem = PLAN_MEM_DEFAULT, .cpus = 1, .guest = "guest.elf"};
 */
#ifndef VMM_BOOT_PLAN_H
#define VMM_BOOT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm/kvm.h"

struct boot_protocol;

enum pti_choice { PTI_AUTO, PTI_ON, PTI_OFF };

#define PLAN_MEM_DEFAULT (UINT64_C(64) << 20)
#define PLAN_MEM_MIN     (UINT64_C(1) << 20)
#define PLAN_MEM_MAX     (UINT64_C(64) << 30)

enum { PLAN_MODULES_MAX = 16 };

struct plan {
	uint64_t mem;        /* bytes of guest RAM, whole pages, PLAN_MEM_MIN to PLAN_MEM_MAX */
	unsigned cpus;       /* 1 to RS_MAX_CPUS: those that the guest may start */
	enum pti_choice pti; /* PTI_AUTO: where the CPU needs it */
	bool no_pcid;        /* not even where the CPU has it */
	bool la57;           /* 5-level paging */
	bool no_apic;
	bool stepped;        /* an instrument may run it one instruction at a time */
	uint64_t timeout_ns; /* 0: none */
	const char *guest;   /* its file; the caller's, as all pointers here */
	const struct boot_protocol *protocol; /* --boot; NULL: what the file bears the sign of */
	const char *append;                   /* more of the kernel's command line; NULL: nothing */
	const char *symbols;                  /* a file with the guest's symbols; NULL: its own */
	const char *initrd; /* a file: the initial RAM disk, or first module; NULL: none */
	/* Behind that one, with words for each ("": none). */
	struct plan_module {
		const char *path, *words;
	} modules[PLAN_MODULES_MAX];
	unsigned module_count;
	/* A PC's serial line takes no input but a terminal's until OUT1 and RTS say that the guest
	 * is ready for it, and at its end a Ctrl-D, which Linux takes for the end. */
	bool holds_input;
	const char *program; /* the guest's first argument; NULL: none but those of argv */
	int argc;            /* of argv: the guest's other arguments */
	char *const *argv;   /* may be NULL with argc 0 */
	struct kvm_advice no_kvm;
};

/* The guest's i-th argument from 0, its file's name not counted; NULL behind the last. */
const char *plan_argument(const struct plan *plan, unsigned i);

#endif
