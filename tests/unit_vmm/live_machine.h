/* A machine for tests of what runs one: RAM, two CPUs' shared pages, call pages, statistics, over
 * fake_kvm.  Made by hand, not by machine_create: a test sees all that is in it. */
#ifndef TESTS_UNIT_VMM_LIVE_MACHINE_H
#define TESTS_UNIT_VMM_LIVE_MACHINE_H

#include "tests/unit_vmm/fake_kvm.h"
#include "vmm/run/machine.h"

enum {
	LIVE_CPUS = 2,
	LIVE_RAM = 4 << 20,
	LIVE_DATA = PAGE_SIZE, /* where struct kvm_run's port data lie */
};

/* A struct kvm_run with the page of port data behind it, as KVM maps them. */
union live_page {
	struct kvm_run run;
	uint8_t bytes[2 * PAGE_SIZE];
};

struct live_machine {
	struct machine machine;
	struct plan plan;
	union live_page pages[LIVE_CPUS];
	struct rs_call *call[LIVE_CPUS]; /* in RAM, as is what follows */
	struct rs_boot *boot;
};

/* Static storage, made anew, over a fake_kvm that is as new: one CPU, started; what its vCPU has in
 * the fake is all zero, and nothing catches KVM_RUN. */
struct live_machine *live_machine_make(void);
void live_machine_free(void);

/* An exit by port I/O on CPU 0, of one element, to be dispatched. */
void live_machine_io(struct live_machine *live, uint8_t direction, uint16_t port, uint8_t size,
                     uint32_t value);

#endif
