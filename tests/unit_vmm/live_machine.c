#include "tests/unit_vmm/live_machine.h"

#include <check.h>
#include <string.h>

#include "vmm/run/hypercall.h"

static struct live_machine live;

/* Pages of RAM for what a guest and the VMM share, from here on. */
enum { BOOT_GPA = 0x1000, CALL_GPA = 0x2000, STATS_GPA = 0x10000 };

struct live_machine *live_machine_make(void)
{
	struct machine *machine = &live.machine;

	memset(&live, 0, sizeof(live));
	fake_kvm_reset();
	live.plan = (struct plan){.mem = LIVE_RAM, .cpus = 1, .guest = "g.elf"};
	machine->plan = &live.plan;
	machine->image = IMAGE_CLOSED;
	machine->kvm = (struct kvm){.fd = FAKE_DEVICE, .vm = FAKE_VM};
	ck_assert(bus_add(&machine->bus, &hypercall_device));
	pthread_mutex_init(&machine->lock, NULL);
	ck_assert(memory_create(&machine->memory, LIVE_RAM));
	live.boot = memory_at(&machine->memory, BOOT_GPA, sizeof(*live.boot));
	machine->boot.memory = &machine->memory;
	machine->boot.next_frame = 1 << 20;
	machine->boot.cpus = 1;
	machine->boot.page = live.boot;
	for (unsigned i = 0; i < LIVE_CPUS; i++) {
		live.call[i] = memory_at(&machine->memory, CALL_GPA + i * sizeof(struct rs_call),
		                         sizeof(struct rs_call));
		machine->boot.call[i] = live.call[i];
		machine->boot.stats[i] =
		    memory_at(&machine->memory, STATS_GPA + i * PAGE_SIZE, sizeof(struct rs_stats));
		machine->cpus[i] =
		    (struct cpu){.machine = machine,
		                 .number = i,
		                 .vcpu = {.fd = FAKE_VCPU + (int)i, .run = &live.pages[i].run}};
		fake_kvm.vcpus[i].run = &live.pages[i].run;
		ck_assert(stats_start(&machine->cpus[i].stats));
	}
	machine->cpus[0].started = true;
	return &live;
}

void live_machine_free(void)
{
	for (unsigned i = 0; i < LIVE_CPUS; i++)
		stats_free(&live.machine.cpus[i].stats);
	figures_free(&live.machine.figures);
	attempts_free(&live.machine.attempts);
	memory_destroy(&live.machine.memory);
}

void live_machine_io(struct live_machine *of, uint8_t direction, uint16_t port, uint8_t size,
                     uint32_t value)
{
	struct kvm_run *run = &of->pages[0].run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = direction;
	run->io.port = port;
	run->io.size = size;
	run->io.count = 1;
	run->io.data_offset = LIVE_DATA;
	memcpy(of->pages[0].bytes + LIVE_DATA, &value, sizeof(value));
}
