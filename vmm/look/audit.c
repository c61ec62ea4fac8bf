#include "vmm/look/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "shared/x86.h"
#include "vmm/base/color.h"
#include "vmm/base/units.h"
#include "vmm/look/json.h"

/* The longest stretch that may be mapped among kernel stacks: theirs are 8 KiB each, with a guard
 * below. */
#define KERNEL_STACK_MAX 8192

/* The bits of an entry that decide what it maps (SDM volume 3, 4.5): P, W, U, PS, the address, NX.
 */
#define ENTRY_MEANING (UINT64_C(0x87) | CR3_FRAME | X86_BIT(63))

#define KERNEL_HALF (UINT64_C(1) << 63)

/* Ranges for which KVM is asked, each a system call or two: more than a kernel has, and few enough
 * to end soon where somebody made them for that. */
#define KVM_RANGES_MAX  32768
#define KVM_RANGES_TEXT "KVM_TRANSLATE finds each of the first 32,768 ranges where the tables say"

/* One rule being asked. */
struct asking {
	struct look *look;
	const struct places *places;
	struct audit_result *result;
	enum look_root root;       /* the one being scanned */
	const bool *vast;          /* of each root: more tables than are looked at */
	uint64_t ranges;           /* compare_kvm: so far */
	uint32_t pt_rule;          /* note_finding: the one of pt_audit's rules that counts */
	const struct place *place; /* check_place: the one being compared */
	uint64_t next;             /* the first address behind what was seen */
	uint64_t stretch;          /* measure_stack: bytes mapped in a row up to there */
};

__attribute__((format(printf, 2, 3))) static void found(struct asking *asking, const char *format,
                                                        ...)
{
	struct audit_result *result = asking->result;
	va_list args;

	result->verdict = AUDIT_BROKEN;
	if (result->findings < AUDIT_FINDINGS_MAX) {
		struct audit_finding *finding = &result->finding[result->findings];

		va_start(args, format);
		vsnprintf(finding->text, sizeof(finding->text), format, args);
		va_end(args);
	}
	result->findings++;
}

static const char *root_name(const struct asking *asking)
{
	return look_root_name(asking->look, asking->root);
}

static unsigned roots_of(const struct asking *asking)
{
	return asking->look->two_roots ? LOOK_ROOTS : 1;
}

/* Runs of one root inside [start, end], both inclusive. */
static void each_run(struct asking *asking, enum look_root root, uint64_t start, uint64_t end,
                     bool (*each)(void *ctx, const struct pt_run *run))
{
	asking->root = root;
	look_begin_scan(asking->look);
	pt_each(&asking->look->pt[root], start, end, each, asking);
}

static void each_run_of_all(struct asking *asking, uint64_t start, uint64_t end,
                            bool (*each)(void *ctx, const struct pt_run *run))
{
	for (unsigned root = 0; root < roots_of(asking); root++)
		each_run(asking, (enum look_root)root, start, end, each);
}

static void found_run(struct asking *asking, const struct pt_run *run, const char *what)
{
	char rights[8];

	found(asking, "%s root, 0x%016" PRIx64 " + 0x%" PRIx64 " %s (%s): %s", root_name(asking),
	      run->va, run->len, pt_rights_text(rights, run->rights),
	      places_name(asking->places, run->va), what);
}

/* ---- Rules of any tree --------------------------------------------------------------------- */

static bool note_finding(void *ctx, const struct pt_finding *finding)
{
	struct asking *asking = ctx;

	/* A tree that was given up looks as if its tables were missing. */
	if (finding->rule != asking->pt_rule || asking->look->tables.exceeded)
		return true;
	found(asking, "%s root, 0x%016" PRIx64 " (%s): level %u entry 0x%016" PRIx64,
	      root_name(asking), finding->va, places_name(asking->places, finding->va),
	      finding->level, finding->entry);
	return true;
}

static void ask_pt_audit(struct asking *asking, uint32_t rule)
{
	asking->pt_rule = rule;
	for (unsigned root = 0; root < roots_of(asking); root++) {
		const struct look *look = asking->look;

		asking->root = (enum look_root)root;
		look_begin_scan(asking->look);
		pt_audit(&look->pt[root], memory_ram(look->moment->memory), note_finding, asking);
	}
}

static void ask_wx(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_WX);
}

static void ask_user_bit(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_USER_KERNEL);
}

static void ask_reserved(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_RESERVED);
}

static void ask_in_ram(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_OUTSIDE);
}

static void ask_global_user(struct asking *asking)
{
	ask_pt_audit(asking, PT_RULE_GLOBAL_USER);
}

static bool go_on(void *ctx, const struct pt_run *run)
{
	(void)ctx;
	(void)run;
	return true;
}

static void ask_bounded(struct asking *asking)
{
	for (unsigned root = 0; root < roots_of(asking); root++) {
		asking->root = (enum look_root)root;
		if (asking->vast[root])
			found(asking,
			      "%s root: more than %" PRIu64
			      " tables; the other rules saw only a part",
			      root_name(asking), asking->look->tables.limit);
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
			found(asking,
			      "0x%016" PRIx64 ": physical 0x%" PRIx64 ", and 0x%" PRIx64
			      " says KVM_TRANSLATE",
			      va, pa, kvm.pa);
		else if (!kvm.agrees)
			found(asking, "0x%016" PRIx64 ": not mapped, says KVM_TRANSLATE", va);
	}
	return asking->result->findings < AUDIT_FINDINGS_MAX;
}

static void ask_kvm(struct asking *asking)
{
	each_run_of_all(asking, 0, UINT64_MAX, compare_kvm);
}

/* ---- Rules of the address space of shared/abi.h --------------------------------------------- */

static void ask_roots(struct asking *asking)
{
	if (asking->look->distrust)
		found(asking, "%s (kernel 0x%" PRIx64 ", user 0x%" PRIx64 ", CR3 0x%llx)",
		      asking->look->distrust, asking->look->moment->kernel_cr3,
		      asking->look->moment->user_cr3, asking->look->moment->sregs.cr3);
}

/* A run inside the place that is being compared. */
static bool compare_place(void *ctx, const struct pt_run *run)
{
	const uint32_t decided = PT_WRITE | PT_EXEC | PT_USER;
	struct asking *asking = ctx;
	const struct place *place = asking->place;

	if (run->va != asking->next)
		found(asking, "0x%016" PRIx64 " (%s) is not mapped", asking->next, place->name);
	if ((run->rights & decided) != place->rights)
		found_run(asking, run, "other rights than declared");
	if (place->placed && run->pa != place->gpa + (run->va - place->va))
		found_run(asking, run, "not at its place in RAM");
	asking->next = run->va + run->len;
	return true;
}

static void ask_layout(struct asking *asking)
{
	for (size_t i = 0; i < asking->places->count; i++) {
		const struct place *place = &asking->places->list[i];

		if (!place->exact)
			continue;
		asking->place = place;
		asking->next = place->va;
		each_run(asking, LOOK_KERNEL, place->va, place->va + (place->len - 1),
		         compare_place);
		if (asking->next != place->va + place->len)
			found(asking, "0x%016" PRIx64 " (%s) is not mapped", asking->next,
			      place->name);
	}
}

/* Calls `found` for what of the run lies in no place that `fits`. */
static void compare_places(struct asking *asking, const struct pt_run *run,
                           bool (*fits)(const struct place *place), const char *what)
{
	uint64_t last = run->va + (run->len - 1);
	uint64_t end;

	for (uint64_t va = run->va;; va = end + 1) {
		const struct place *place = places_find(asking->places, va, &end);
		struct pt_run piece = *run;

		if (end > last)
			end = last;
		piece.va = va;
		piece.len = end - va + 1;
		if (!place || !fits(place))
			found_run(asking, &piece, what);
		if (end == last)
			break;
	}
}

static bool is_kernels(const struct place *place)
{
	return place->kind != PLACE_USER;
}

static bool expect_declared(void *ctx, const struct pt_run *run)
{
	compare_places(ctx, run, is_kernels, "declared nowhere, or a guard");
	return true;
}

static void ask_guards(struct asking *asking)
{
	each_run_of_all(asking, KERNEL_HALF, UINT64_MAX, expect_declared);
}

/* Stacks beside each other without a gap make a stretch that is too long.  Their frames need not be
 * in order, so that one stack may be several runs. */
static bool measure_stack(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;
	const bool was_too_long = asking->stretch > KERNEL_STACK_MAX;

	if (run->va != asking->next)
		asking->stretch = 0;
	asking->stretch += run->len;
	asking->next = run->va + run->len;
	if (asking->stretch > KERNEL_STACK_MAX && (!was_too_long || asking->stretch == run->len))
		found_run(asking, run, "two stacks without a guard between them");
	return true;
}

static void ask_stack_guards(struct asking *asking)
{
	const struct layout_region *stacks = &layout_regions[LAYOUT_STACKS];

	each_run(asking, LOOK_KERNEL, stacks->va, stacks->va + stacks->size - 1, measure_stack);
}

static bool expect_nothing(void *ctx, const struct pt_run *run)
{
	found_run(ctx, run, "mapped");
	return true;
}

static void ask_null(struct asking *asking)
{
	each_run_of_all(asking, 0, PAGE_SIZE - 1, expect_nothing);
}

static void ask_slot_256(struct asking *asking)
{
	const uint64_t slot = UINT64_C(0xffff8) << 44;

	each_run_of_all(asking, slot, slot + (UINT64_C(1) << 39) - 1, expect_nothing);
}

/* The kernel half's top-level entries: those that the VMM made, in every process. */
static void ask_shared_half(struct asking *asking)
{
	const struct look *look = asking->look;
	const struct memory *memory = look->moment->memory;
	const uint64_t *ours = memory_at(memory, look->moment->boot_root, PAGE_SIZE);
	const uint64_t *theirs = memory_at(memory, look->pt[LOOK_KERNEL].root, PAGE_SIZE);

	if (!ours || !theirs) {
		found(asking, "the root lies outside RAM");
		return;
	}
	for (unsigned i = 256; i < 512; i++) {
		if ((ours[i] ^ theirs[i]) & ENTRY_MEANING)
			found(asking,
			      "top-level entry %u is 0x%016" PRIx64 ", and 0x%016" PRIx64
			      " in the root that the VMM built",
			      i, theirs[i], ours[i]);
	}
}

/* The first frame of [pa, end) that is not ring 3's; end when all are. */
static uint64_t first_foreign(const struct look_moment *moment, uint64_t pa, uint64_t end)
{
	for (uint32_t i = 0; i < moment->segment_count && i < RS_MAX_SEGMENTS; i++) {
		const struct rs_segment *segment = &moment->segments[i];

		if (pa >= end || pa >= moment->free_start)
			return end;
		if (segment->user && pa >= segment->gpa && pa - segment->gpa < segment->size) {
			pa = segment->gpa + segment->size;
			i = UINT32_MAX; /* the next may begin here: once more from the first */
		}
	}
	return pa >= end || pa >= moment->free_start ? end : pa;
}

static bool expect_own_frames(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;

	uint64_t end = run->pa + run->len;

	if (run->rights & PT_USER && asking->look->moment->free_start &&
	    first_foreign(asking->look->moment, run->pa, end) != end)
		found_run(asking, run, "its memory is the kernel's or the VMM's");
	return true;
}

static void ask_user_frames(struct asking *asking)
{
	each_run_of_all(asking, 0, UINT64_MAX, expect_own_frames);
}

/* ---- Rules of two roots -------------------------------------------------------------------- */

static bool is_entrys(const struct place *place)
{
	return place->kind == PLACE_ENTRY;
}

static bool expect_entry_area(void *ctx, const struct pt_run *run)
{
	compare_places(ctx, run, is_entrys, "outside the entry area");
	return true;
}

static void ask_user_root(struct asking *asking)
{
	each_run(asking, LOOK_USER, KERNEL_HALF, UINT64_MAX, expect_entry_area);
}

/* What both roots have of the kernel half must be the same, and of the user half all but NX. */
static bool compare_roots(void *ctx, const struct pt_run *kernel, const struct pt_run *user)
{
	struct asking *asking = ctx;

	asking->root = kernel ? LOOK_KERNEL : LOOK_USER;
	if (!kernel)
		found_run(asking, user, "the kernel root maps nothing here");
	else if (!user && !(kernel->va >> 63))
		found_run(asking, kernel, "the user root maps nothing here");
	else if (user && kernel->pa != user->pa)
		found_run(asking, kernel, "the user root maps other memory here");
	else if (user &&
	         (kernel->rights ^ user->rights) & ~(kernel->va >> 63 ? 0u : (uint32_t)PT_EXEC))
		found_run(asking, kernel, "the user root gives other rights");
	return true;
}

static void ask_mirror(struct asking *asking)
{
	const struct pt *pt = asking->look->pt;

	look_begin_scan(asking->look);
	pt_diff(&pt[LOOK_KERNEL], &pt[LOOK_USER], compare_roots, asking);
}

static bool expect_no_execute(void *ctx, const struct pt_run *run)
{
	if (run->rights & PT_EXEC)
		found_run(ctx, run, "executable");
	return true;
}

static void ask_user_half_nx(struct asking *asking)
{
	each_run(asking, LOOK_KERNEL, 0, KERNEL_HALF - 1, expect_no_execute);
}

static void ask_no_global(struct asking *asking)
{
	if (asking->look->moment->sregs.cr4 & CR4_PGE)
		found(asking, "CR4.PGE is set: global pages of the kernel root stay in the TLB "
		              "when CR3 changes");
}

/* ---- The list ------------------------------------------------------------------------------ */

enum binds {
	BINDS_ALL,
	BINDS_LIVE,  /* there is a KVM to ask */
	BINDS_NOTED, /* the guest has promised to keep to shared/abi.h */
	BINDS_BOOT,  /* ... and the root that the VMM built is known */
	BINDS_TWO,   /* ... and has two roots now */
};

static const struct rule {
	const char *name, *text;
	enum binds binds;
	void (*ask)(struct asking *asking);
} rules[] = {
    {"w-xor-x", "no page is both writable and executable", BINDS_ALL, ask_wx},
    {"reserved-bits", "no entry has a reserved bit set", BINDS_ALL, ask_reserved},
    {"in-ram", "every table and every page lies in RAM", BINDS_ALL, ask_in_ram},
    {"global-user", "no page of ring 3 is global", BINDS_ALL, ask_global_user},
    {"bounded", "the tables are few enough to be gone through", BINDS_ALL, ask_bounded},
    {"kvm-translate", "KVM_TRANSLATE finds each range where the tables say", BINDS_LIVE, ask_kvm},
    {"user-bit", "no page of the kernel half is open to ring 3", BINDS_NOTED, ask_user_bit},
    {"roots", "the roots that the guest names fit CR3", BINDS_NOTED, ask_roots},
    {"layout", "image, direct map and per-CPU pages are mapped with their own rights", BINDS_NOTED,
     ask_layout},
    {"guards", "nothing else of the kernel half is mapped, guard pages least of all", BINDS_NOTED,
     ask_guards},
    {"stack-guards", "below each kernel stack lies a guard", BINDS_NOTED, ask_stack_guards},
    {"null-page", "page 0 is not mapped", BINDS_NOTED, ask_null},
    {"slot-256", "top-level slot 256 is empty", BINDS_NOTED, ask_slot_256},
    {"user-frames", "ring 3 reaches no memory of the kernel or the VMM", BINDS_NOTED,
     ask_user_frames},
    {"shared-half", "the kernel half has the top-level entries it had at boot", BINDS_BOOT,
     ask_shared_half},
    {"user-root", "of the kernel half the user root maps the entry area alone", BINDS_TWO,
     ask_user_root},
    {"mirror", "what both roots map is the same memory with the same rights", BINDS_TWO,
     ask_mirror},
    {"user-half-nx", "the kernel root maps the user half no-execute", BINDS_TWO, ask_user_half_nx},
    {"no-global", "CR4.PGE is off, so that no translation outlives a change of roots", BINDS_TWO,
     ask_no_global},
};
_Static_assert(sizeof(rules) / sizeof(rules[0]) == AUDIT_RULES, "audit.h counts them");

/* Why a rule is not asked; NULL when it is. */
static const char *not_asked(const struct look *look, enum binds binds)
{
	if (binds == BINDS_ALL)
		return NULL;
	if (binds == BINDS_LIVE)
		return look->moment->translate ? NULL : "no KVM to ask";
	if (!look->moment->noted)
		return "the guest has no Ringscope note";
	if (binds == BINDS_BOOT && !look->moment->boot_root)
		return "the root that the VMM built is not known";
	if (binds == BINDS_TWO && !look->two_roots)
		return "there is one root";
	return NULL;
}

/* Whether each root has more tables than are looked at; then all rules look at a part of them only:
 * what is wrong with such trees is that. */
static void measure(struct look *look, const struct places *places, bool vast[LOOK_ROOTS])
{
	struct asking asking = {.look = look, .places = places};

	for (unsigned root = 0; root < roots_of(&asking); root++) {
		each_run(&asking, (enum look_root)root, 0, UINT64_MAX, go_on);
		vast[root] = look->tables.exceeded && !look->tables.gave_up;
	}
	look->tables.vast = vast[LOOK_KERNEL] || vast[LOOK_USER];
}

void audit_make(struct audit *audit, struct look *look, const struct places *places)
{
	bool vast[LOOK_ROOTS] = {false};

	memset(audit, 0, sizeof(*audit));
	measure(look, places, vast);
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		struct audit_result *result = &audit->result[i];
		struct asking asking = {
		    .look = look, .places = places, .result = result, .vast = vast};

		result->name = rules[i].name;
		result->text = rules[i].text;
		result->not_asked = not_asked(look, rules[i].binds);
		if (result->not_asked) {
			result->verdict = AUDIT_NOT_ASKED;
			continue;
		}
		rules[i].ask(&asking);
		if (look_gives_up(look) && result->verdict == AUDIT_KEPT) {
			result->verdict = AUDIT_NOT_ASKED;
			result->not_asked = "it was time to stop";
			audit->late++;
		}
		audit->broken += result->verdict == AUDIT_BROKEN;
		audit->kept += result->verdict == AUDIT_KEPT;
	}
}

/* ---- Words --------------------------------------------------------------------------------- */

static const char *const verdict_names[] = {
    [AUDIT_KEPT] = "kept", [AUDIT_BROKEN] = "broken", [AUDIT_NOT_ASKED] = "not asked"};

static void print_result(FILE *out, const struct audit_result *result, const struct style *style)
{
	const char *color = result->verdict == AUDIT_KEPT     ? style->good
	                    : result->verdict == AUDIT_BROKEN ? style->bad
	                                                      : style->faint;
	uint64_t shown =
	    result->findings < AUDIT_FINDINGS_MAX ? result->findings : AUDIT_FINDINGS_MAX;

	fprintf(out, "  %s%-9s%s  %-13s  %s\n", color,
	        result->verdict == AUDIT_BROKEN ? "BROKEN" : verdict_names[result->verdict],
	        style->end, result->name, result->not_asked ? result->not_asked : result->text);
	for (uint64_t i = 0; i < shown; i++)
		fprintf(out, "               %s\n", result->finding[i].text);
	if (result->findings > shown)
		fprintf(out, "               and %" PRIu64 " more\n", result->findings - shown);
}

void audit_print(FILE *out, const struct look *look, const struct audit *audit, bool color)
{
	struct style style = style_get(color);

	fprintf(out, "\n%sAudit %s%s  %u rule%s kept, %u broken, %u not asked\n", style.head,
	        look->when, style.end, audit->kept, units_s(audit->kept), audit->broken,
	        AUDIT_RULES - audit->kept - audit->broken);
	for (unsigned i = 0; i < AUDIT_RULES; i++)
		print_result(out, &audit->result[i], &style);
}

static json_t *json_of_result(const struct audit_result *result)
{
	json_t *findings = json_array();

	for (uint64_t i = 0; i < result->findings && i < AUDIT_FINDINGS_MAX; i++)
		json_array_append_new(findings, json_string(result->finding[i].text));
	return json_pack("{s:s, s:s, s:s, s:s?, s:I, s:o}", "rule", result->name, "text",
	                 result->text, "verdict", verdict_names[result->verdict], "not_asked",
	                 result->not_asked, "findings", (json_int_t)(result->findings & INT64_MAX),
	                 "first", findings);
}

json_t *audit_json(const struct look *look, const struct audit *audit)
{
	json_t *json = look_json_head(look, "audit"), *list = json_array();
	bool good = json && list;

	for (unsigned i = 0; good && i < AUDIT_RULES; i++)
		good = json_array_append_new(list, json_of_result(&audit->result[i])) == 0;
	good = good && json_object_set(json, "rules", list) == 0 &&
	       json_object_set_new(json, "broken", json_integer(audit->broken)) == 0;
	json_decref(list);
	if (good)
		return json;
	json_decref(json);
	return NULL;
}
