#include "vmm/run/machine.h"

#include <linux/kvm_para.h>

#include <errno.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/boot/protocol.h"
#include "vmm/boot/start.h"
#include "vmm/kvm/cpuid.h"

/* What of --cpus the guest's file decides. */
static bool check_cpus(const struct image *image, const struct plan *plan)
{
	if (plan->cpus == 1 || image->protocol->is_pc || (image->noted && image->note.cpu_entry))
		return true;
	return message_error("--cpus %u: %s %s, so nobody could start the other CPUs: leave it out",
	                     plan->cpus, image->path,
	                     image->noted ? "says in its " RS_NOTE_NAME
	                                    " note that it is for one CPU (cpu_entry is 0)"
	                                  : "has no " RS_NOTE_NAME " note");
}

static enum kvm_interrupts wanted_interrupts(const struct image *image, const struct plan *plan)
{
	if (image->protocol->is_pc)
		return KVM_PC;
	return image->noted && image->note.wants & RS_WANTS_APIC && !plan->no_apic ? KVM_APICS
	                                                                           : KVM_NO_APICS;
}

/* A PC's kernel looks for itself: what it is not to use it must not find. */
static void choose_cpuid(struct kvm *kvm, const struct plan *plan)
{
	enum { PCID_BIT = 17, INVPCID_BIT = 10, LA57_BIT = 16 };

	cpuid_set_pc(kvm->cpuid, plan->cpus, kvm_offers(kvm->fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
	if (plan->no_pcid) {
		cpuid_clear(kvm->cpuid, 0x1, CPUID_ECX, PCID_BIT);
		cpuid_clear(kvm->cpuid, 0x7, CPUID_EBX, INVPCID_BIT);
	}
	if (!plan->la57)
		cpuid_clear(kvm->cpuid, 0x7, CPUID_ECX, LA57_BIT);
	/* It has a version number that changes at every KVM_RUN: who reads it one instruction at a
	 * time never sees the same number twice. */
	if (plan->stepped)
		cpuid_clear(kvm->cpuid, KVM_CPUID_FEATURES, CPUID_EAX, KVM_FEATURE_STEAL_TIME);
}

#define MUCH_RAM (UINT64_C(4) << 30)

/*
 * Whether the guest gets the basic processor.  What a processor has beyond that a guest must ask
 * for before it uses it, by CPUID or of the VMM in its note.  One that has neither a note nor a
 * CPUID in its text never asks, and so KVM need not be asked either; but much RAM wants 1 GiB
 * leaves, if the CPU has them.
 */
static bool is_basic(const struct machine *machine)
{
	return !machine->image.noted && !machine->image.protocol->is_pc && !machine->plan->la57 &&
	       machine->plan->mem <= MUCH_RAM &&
	       !image_has_code(&machine->image, &machine->memory, "\x0f\xa2", 2);
}

static bool create_cpus(struct machine *machine)
{
	const struct boot_protocol *protocol = machine->image.protocol;
	struct start start = {.plan = machine->plan,
	                      .image = &machine->image,
	                      .boot = &machine->boot,
	                      .kvm = &machine->kvm};

	for (unsigned i = 0; i < machine->plan->cpus; i++) {
		struct cpu *cpu = &machine->cpus[i];

		if (!vcpu_create(&cpu->vcpu, &machine->kvm, i) ||
		    !protocol->start(&start, &cpu->vcpu, i, &cpu->last))
			return false;
		cpu->last_when = "at boot";
	}
	machine->pti_mode = start.pti_mode;
	return true;
}

bool machine_create(struct machine *machine, const struct plan *plan)
{
	machine->plan = plan;
	machine->image = IMAGE_CLOSED;
	machine->kvm = KVM_CLOSED;
	for (unsigned i = 0; i < plan->cpus; i++)
		machine->cpus[i] = (struct cpu){.machine = machine, .number = i, .vcpu = VCPU_NONE};
	pthread_mutex_init(&machine->lock, NULL);
	/* The file first: what is wrong with it can be said on a machine without KVM too. */
	if (!boot_open(&machine->image, plan) || !check_cpus(&machine->image, plan) ||
	    !kvm_open(&machine->kvm, plan->cpus, &plan->no_kvm) ||
	    !memory_create(&machine->memory, plan->mem))
		return false;

	const struct boot_protocol *protocol = machine->image.protocol;

	if (!protocol->load(&machine->image, &machine->memory) ||
	    !kvm_describe(&machine->kvm, is_basic(machine)))
		return false;
	if (protocol->is_pc)
		choose_cpuid(&machine->kvm, plan);
	if (plan->la57 && !(machine->kvm.host.cpuid_features & RS_FEATURE_LA57))
		return message_error("--la57: the CPU, or its KVM, has no 5-level paging (CPUID "
		                     "7:ECX.16): leave it out");
	if (!protocol->build(&machine->boot, &machine->memory, &machine->image, &machine->kvm.host,
	                     plan) ||
	    !kvm_create_vm(&machine->kvm, &machine->memory,
	                   wanted_interrupts(&machine->image, plan)) ||
	    !create_cpus(machine))
		return false;
	if (protocol->publish)
		protocol->publish(&machine->boot, &machine->image, &machine->kvm.host, plan,
		                  machine->pti_mode);
	machine->shared = plan->cpus > 1 || protocol->is_pc;
	console_init(&machine->console);
	if (!stats_start(&machine->cpus[0].stats))
		return message_error("no memory for the statistics: %s", strerror(errno));
	return true;
}

void machine_destroy(struct machine *machine)
{
	if (!machine->plan)
		return; /* never created */
	attempts_free(&machine->attempts);
	figures_free(&machine->figures);
	for (unsigned i = 0; i < machine->plan->cpus; i++) {
		stats_free(&machine->cpus[i].stats);
		vcpu_destroy(&machine->cpus[i].vcpu);
	}
	kvm_close(&machine->kvm);
	memory_destroy(&machine->memory);
	image_close(&machine->image);
}
