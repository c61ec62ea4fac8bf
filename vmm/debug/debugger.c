#include "vmm/debug/debugger.h"

#include "vmm/debug/anatomy.h"
#include "vmm/debug/gdb.h"
#include "vmm/debug/inspect_run.h"
#include "vmm/debug/inspect_when.h"
#include "vmm/message.h"
#include "vmm/torture/torture.h"

bool debugger_wanted(const struct options *options)
{
	return options->gdb || options->inspect || options->anatomy || options->torture;
}

bool debugger_check(const struct options *options)
{
	struct inspect_when when;
	char problem[320];

	if (!!options->gdb + !!options->inspect + !!options->anatomy + !!options->torture > 1)
		return message_error(
		    "--gdb, --inspect, --anatomy and --torture: each wants to be the one that "
		    "stops the guest; give one of them");
	if (options->gdb && !gdb_check_address(options->gdb))
		return false;
	if (options->inspect &&
	    !inspect_when_parse(&when, options->inspect, problem, sizeof(problem)))
		return message_error("--inspect: %s", problem);
	if (options->anatomy && !anatomy_check(options->anatomy))
		return false;
	if (options->torture && !torture_check(options->torture))
		return false;
	if (options->torture && options->cpus > 1)
		return message_error(
		    "--torture: the rounds of one CPU only can be all the same; leave "
		    "out --cpus %u",
		    options->cpus);
	if (options->torture_crossing && !options->torture)
		return message_error("--torture-crossing: says which crossing --torture is for, "
		                     "and that is not given");
	if (options->inspect_file && !options->inspect && !options->anatomy && !options->torture)
		return message_error(
		    "--inspect-file: says where --inspect, --anatomy and --torture write, and "
		    "none of them is given");
	return true;
}

void debugger_run(struct machine *machine)
{
	const struct options *options = machine->options;

	if (options->gdb)
		gdb_run(machine, options->gdb);
	else if (options->inspect)
		inspect_run(machine);
	else if (options->torture)
		torture_run(machine);
	else
		anatomy_run(machine);
}
