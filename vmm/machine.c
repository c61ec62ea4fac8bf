#include "vmm/machine.h"

#include <errno.h>
#include <string.h>

#include "vmm/message.h"
#include "vmm/trace/recorder.h"
#include "vmm/start.h"

bool machine_create(struct machine *machine, const struct options *options)
{
	machine->options = options;
	machine->image = IMAGE_CLOSED;
	machine->kvm = KVM_CLOSED;
	machine->vcpu = VCPU_NONE;
	/* The file first: what is wrong with it can be said on a machine without KVM too. */
	if (!image_open(&machine->image, options->guest, options->mem) || !kvm_open(&machine->kvm))
		return false;
	if (options->la57 && !(machine->kvm.host.cpuid_features & RS_FEATURE_LA57))
		return message_error("--la57: the CPU, or its KVM, has no 5-level paging (CPUID "
		                     "7:ECX.16): leave it out");
	if (!memory_create(&machine->memory, options->mem) ||
	    !image_place(&machine->image, &machine->memory) ||
	    !boot_build(&machine->boot, &machine->memory, &machine->image, &machine->kvm.host,
	                options) ||
	    !kvm_create_vm(&machine->kvm, &machine->memory) ||
	    !vcpu_create(&machine->vcpu, &machine->kvm) ||
	    !start_vcpu(&machine->vcpu, &machine->kvm, &machine->boot, &machine->image, options,
	                &machine->pti_mode, &machine->last))
		return false;
	machine->last_when = "at boot";
	boot_publish(&machine->boot, &machine->image, &machine->kvm.host, options,
	             machine->pti_mode);
	console_init(&machine->console);
	if (!stats_start(&machine->stats))
		return message_error("no memory for the statistics: %s", strerror(errno));
	return true;
}

void machine_destroy(struct machine *machine)
{
	recorder_free(machine);
	records_free(&machine->records);
	stats_free(&machine->stats);
	vcpu_destroy(&machine->vcpu);
	kvm_close(&machine->kvm);
	memory_destroy(&machine->memory);
	image_close(&machine->image);
}
