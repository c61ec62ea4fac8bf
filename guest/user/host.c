#include "guest/user/host.h"

#include "guest/user/lib.h"
#include "guest/user/ticks.h"
#include "guest/user/try.h"
#include "shared/x86.h"

struct rs_info info;
enum host_kind host;

static const struct {
	const char *name, *symptom;
} hosts[HOST_KINDS] = {
    [HOST_MANUAL] = {"manual", "no symptom of a host that is known to depart from the manuals"},
    [HOST_INTERPRETER] = {"interpreter", "SYSCALL arrives as a page fault: ring 0 is interpreted"},
    [HOST_TCG] = {"tcg", "a fault at a gate of the IDT has the error code vector * 16 + 2"},
    [HOST_COUNTER] = {"counter", "the TSC counts instructions: an emulated CPU"},
};

static void closed_gate(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("int $14");
}

static enum host_kind find_kind(void)
{
	struct outcome gate;

	if (info.quirk_syscall)
		return HOST_INTERPRETER;
	gate = try(closed_gate, 0);
	if (gate.vector == VECTOR_GP && gate.error == 14 * 16 + 2)
		return HOST_TCG;
	return ticks_are_instructions() ? HOST_COUNTER : HOST_MANUAL;
}

void host_find(void)
{
	raw_syscall(RS_SYS_INFO, (long)&info);
	raw_syscall(RS_SYS_INFO, (long)&info); /* the first one was counted by now */
	host = find_kind();
}

const char *host_name(void)
{
	return hosts[host].name;
}

const char *host_symptom(void)
{
	return hosts[host].symptom;
}
