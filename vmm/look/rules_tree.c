#include "vmm/look/rules.h"

#include <inttypes.h>

#include "shared/x86.h"
#include "vmm/base/units.h"

/* Ranges for which KVM is asked, each a system call or two: more than a kernel has, and few enough
 * to end soon where somebody made them for that. */
#define KVM_RANGES_MAX  32768
#define KVM_RANGES_TEXT "KVM_TRANSLATE finds each of the first 32,768 ranges where the tables say"

/* Linux's vsyscall page: its address is part of what old programs were promised, so it is open to
 * ring 3, for reading, in every process (arch/x86/entry/vsyscall). */
#define VSYSCALL UINT64_C(0xffffffffff600000)

static bool is_vsyscall(const struct asking *asking, const struct pt_finding *finding)
{
	return finding->va == VSYSCALL && finding->level == 1 && !(finding->entry & 2) &&
	       asking->look->moment->foreign;
}

/* A page of another kernel's that lies outside RAM is a device's. */
static bool is_device(const struct asking *asking, const struct pt_finding *finding)
{
	const bool page = finding->level == 1 || finding->entry & X86_BIT(7);

	return finding->rule == PT_RULE_OUTSIDE && page && asking->look->moment->foreign;
}

static bool note_finding(void *ctx, const struct pt_finding *finding)
{
	struct asking *asking = ctx;

	/* A tree that was given up looks as if its tables were missing. */
	if (finding->rule != asking->pt_rule || asking->look->tables.exceeded)
		return true;
	if (is_device(asking, finding))
		asking->pages++;
	else if (is_vsyscall(asking, finding))
		rule_remark(asking,
		            "%s root, 0x%016" PRIx64
		            " is Linux's vsyscall page: open to ring 3 by design",
		            rule_root_name(asking), finding->va);
	else
		rule_found(asking, "%s root, 0x%016" PRIx64 " (%s): level %u entry 0x%016" PRIx64,
		           rule_root_name(asking), finding->va,
		           places_name(asking->places, finding->va), finding->level,
		           finding->entry);
	return true;
}

static void ask_pt_audit(struct asking *asking, uint32_t rule)
{
	asking->pt_rule = rule;
	for (unsigned root = 0; root < rule_roots(asking); root++) {
		const struct look *look = asking->look;

		asking->root = (enum look_root)root;
		asking->pages = 0;
		look_begin_scan(asking->look);
		pt_audit(&look->pt[root], memory_ram(look->moment->memory), note_finding, asking);
		if (asking->pages)
			rule_remark(asking, "%s root: %" PRIu64 " page%s outside RAM: devices'",
			            rule_root_name(asking), asking->pages, units_s(asking->pages));
	}
}

void ask_wx(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_WX);
}

void ask_user_bit(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_USER_KERNEL);
}

void ask_reserved(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_RESERVED);
}

void ask_in_ram(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_OUTSIDE);
}

void ask_global_user(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_GLOBAL_USER);
}

void ask_bounded(struct asking *asking)
{
	for (unsigned root = 0; root < rule_roots(asking); root++) {
		asking->root = (enum look_root)root;
		if (asking->vast[root])
			rule_found(asking,
			           "%s root: more than %" PRIu64
			           " tables; the other rules saw only a part",
			           rule_root_name(asking), asking->look->tables.limit);
	}
}

/* The first and the last byte of each run, in the tree of now. */
static bool compare_kvm(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;
	const struct pt *pt = &asking->look->pt[asking->root];
	const uint64_t offsets[] = {0, run->len - 1};

	if (asking->ranges == KVM_RANGES_MAX)
		asking->result->text = KVM_RANGES_TEXT;
	if (asking->ranges++ >= KVM_RANGES_MAX || look_gives_up(asking->look))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t va = run->va + offsets[i], pa = run->pa + offsets[i];
		struct look_kvm kvm = look_ask_kvm(asking->look, pt, va, true, pa, run->rights);

		if (!kvm.asked)
			return false;
		if (!kvm.agrees && kvm.mapped)
			rule_found(asking,
			           "0x%016" PRIx64 ": physical 0x%" PRIx64 ", and 0x%" PRIx64
			           " says KVM_TRANSLATE",
			           va, pa, kvm.pa);
		else if (!kvm.agrees)
			rule_found(asking, "0x%016" PRIx64 ": not mapped, says KVM_TRANSLATE", va);
	}
	return asking->result->findings < AUDIT_FINDINGS_MAX;
}

void ask_kvm(struct asking *asking)
{
	rule_each_run_of_all(asking, 0, UINT64_MAX, compare_kvm);
}
