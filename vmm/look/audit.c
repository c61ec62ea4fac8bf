#include "vmm/look/audit.h"

#include <inttypes.h>
#include <string.h>

#include "shared/x86.h"
#include "vmm/base/color.h"
#include "vmm/base/units.h"
#include "vmm/look/json.h"
#include "vmm/look/rules.h"

/* ---- The list ------------------------------------------------------------------------------ */

enum binds {
	BINDS_ALL,
	BINDS_LIVE,   /* there is a KVM to ask */
	BINDS_SMEP,   /* something is open to ring 3, and it is known whether the CPU has it */
	BINDS_SMAP,   /* ... */
	BINDS_TABLES, /* there is an IDT, a GDT or a TSS */
	BINDS_STACKS, /* the TSS names stacks */
	BINDS_PAIR,   /* there are two roots, of any kernel */
	BINDS_TEXT,   /* ... and all entries are known */
	BINDS_NOTED,  /* the guest has promised to keep to shared/abi.h */
	BINDS_BOOT,   /* ... and the root that the VMM built is known */
	BINDS_TWO,    /* ... and has two roots now */
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
    {"user-bit", "no page of the kernel half is open to ring 3", BINDS_ALL, ask_user_bit},
    {"wp", "CR0.WP is on: what is read-only is so for ring 0", BINDS_ALL, ask_wp},
    {"smep", "CR4.SMEP is on where there is SMEP: ring 0 runs no page of ring 3", BINDS_SMEP,
     ask_smep},
    {"smap", "CR4.SMAP is on where there is SMAP: ring 0 reads ring 3 with AC only", BINDS_SMAP,
     ask_smap},
    {"cpu-tables", "ring 3 cannot write IDT, GDT and TSS", BINDS_TABLES, ask_cpu_tables},
    {"tss-guards", "below the stacks of the TSS lies a page that cannot be written", BINDS_STACKS,
     ask_tss_guards},
    {"mirror", "what both roots map is the same memory with the same rights", BINDS_PAIR,
     ask_mirror},
    {"user-half-nx", "the kernel root maps the user half no-execute", BINDS_PAIR, ask_user_half_nx},
    {"global-kernel", "with CR4.PGE no page of the kernel root alone is global", BINDS_PAIR,
     ask_global_kernel},
    {"way-in", "IDT, GDT, TSS, stacks and entries are in the user root", BINDS_PAIR, ask_way_in},
    {"entry-text", "the user root has no kernel text but that of entries", BINDS_TEXT,
     ask_entry_text},
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
    {"no-global", "CR4.PGE is off, so that no translation outlives a change of roots", BINDS_TWO,
     ask_no_global},
};
_Static_assert(sizeof(rules) / sizeof(rules[0]) == AUDIT_RULES, "audit.h counts them");

/* ---- Which of them are asked --------------------------------------------------------------- */

/* What that depends on. */
struct scene {
	const struct look *look;
	const struct boundary *boundary;
	bool open; /* a page is open to ring 3 */
};

static const char *not_asked_of_cpu(const struct scene *scene, uint64_t cr4)
{
	const struct look_moment *moment = scene->look->moment;

	if (!scene->open)
		return "nothing is open to ring 3";
	if (!(moment->sregs.cr4 & cr4) && !moment->features_known)
		return "whether the CPU has it is not known";
	return NULL;
}

static const char *not_asked_of_noted(const struct look *look, enum binds binds)
{
	if (!look->moment->noted)
		return "the guest has no Ringscope note";
	if (binds == BINDS_BOOT && !look->moment->boot_root)
		return "the root that the VMM built is not known";
	if (binds == BINDS_TWO && !look->two_roots)
		return "there is one root";
	return NULL;
}

/* Why a rule is not asked; NULL when it is. */
static const char *not_asked(const struct scene *scene, enum binds binds)
{
	const struct look *look = scene->look;

	if (look->legacy && binds != BINDS_LIVE)
		return look->legacy == LEGACY_OFF ? "paging is off"
		                                  : "the tables are not long mode's";
	switch (binds) {
	case BINDS_ALL:
		return NULL;
	case BINDS_LIVE:
		return look->moment->translate ? NULL : "no KVM to ask";
	case BINDS_SMEP:
		return not_asked_of_cpu(scene, CR4_SMEP);
	case BINDS_SMAP:
		return not_asked_of_cpu(scene, CR4_SMAP);
	case BINDS_TABLES:
		return boundary_has_table(scene->boundary) ? NULL : "there are none";
	case BINDS_STACKS:
		return boundary_has_stack(scene->boundary) ? NULL : "the TSS names none";
	case BINDS_PAIR:
		return look->two_roots ? NULL : "there is one root";
	case BINDS_TEXT:
		if (!look->two_roots)
			return "there is one root";
		return scene->boundary->msrs ? NULL : "where SYSCALL leads is not known";
	case BINDS_NOTED:
	case BINDS_BOOT:
	case BINDS_TWO:
		break;
	}
	return not_asked_of_noted(look, binds);
}

/* ---- All of it ----------------------------------------------------------------------------- */

struct measuring {
	bool ring3s;          /* the root is ring 3's */
	bool open;            /* a page was, to ring 3 */
	uint64_t kernel_half; /* bytes of it that ring 3's root maps */
};

static bool measure_run(void *ctx, const struct pt_run *run)
{
	struct measuring *measuring = ctx;

	measuring->open |= run->rights & PT_USER;
	if (measuring->ring3s && run->va >> 63)
		measuring->kernel_half += run->len;
	return true;
}

/* Whether each root has more tables than are looked at; then all rules look at a part of them only:
 * what is wrong with such trees is that. */
static struct measuring measure(struct look *look, bool vast[LOOK_ROOTS])
{
	const unsigned roots = look->two_roots ? LOOK_ROOTS : 1;
	struct measuring measuring = {0};

	for (unsigned root = 0; root < roots; root++) {
		measuring.ring3s = root + 1 == roots;
		look_begin_scan(look);
		pt_each(&look->pt[root], 0, UINT64_MAX, measure_run, &measuring);
		vast[root] = look->tables.exceeded && !look->tables.gave_up;
	}
	look->tables.vast = vast[LOOK_KERNEL] || vast[LOOK_USER];
	return measuring;
}

void audit_make(struct audit *audit, struct look *look, const struct places *places)
{
	bool vast[LOOK_ROOTS] = {false};
	struct scene scene = {.look = look, .boundary = &audit->boundary};
	struct measuring measuring;

	memset(audit, 0, sizeof(*audit));
	boundary_read(&audit->boundary, look->moment);
	measuring = measure(look, vast);
	scene.open = measuring.open;
	audit->kernel_half = measuring.kernel_half;
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		struct audit_result *result = &audit->result[i];
		struct asking asking = {
		    .look = look,
		    .places = places,
		    .boundary = &audit->boundary,
		    .result = result,
		    .vast = vast,
		};

		result->name = rules[i].name;
		result->text = rules[i].text;
		result->not_asked = not_asked(&scene, rules[i].binds);
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
	for (unsigned i = 0; i < result->remarks; i++)
		fprintf(out, "               (%s)\n", result->remark[i].text);
}

/* A rule for guests with the note, and this is none: one line for all of them. */
static bool is_of_others(const struct look *look, unsigned rule)
{
	return rules[rule].binds >= BINDS_NOTED && !look->moment->noted;
}

void audit_print(FILE *out, const struct look *look, const struct audit *audit, bool color)
{
	struct style style = style_get(color);
	char size[UNITS_SIZE];
	unsigned others = 0;

	fprintf(out, "\n%sAudit %s%s  %u rule%s kept, %u broken, %u not asked\n", style.head,
	        look->when, style.end, audit->kept, units_s(audit->kept), audit->broken,
	        AUDIT_RULES - audit->kept - audit->broken);
	if (look->roots_from && !look->moment->noted)
		fprintf(out, "  two roots: %s\n", look->roots_from);
	if (!look->legacy)
		fprintf(out, "  the root of ring 3 maps %s of the kernel half%s\n",
		        units_bytes(size, audit->kernel_half),
		        look->two_roots ? "" : ": it is ring 0's too");
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		others += is_of_others(look, i);
		if (!is_of_others(look, i))
			print_result(out, &audit->result[i], &style);
	}
	if (others)
		fprintf(out,
		        "  %snot asked%s  %u rules of shared/abi.h's address space: the guest has "
		        "no Ringscope note\n",
		        style.faint, style.end, others);
}

static json_t *json_of_result(const struct audit_result *result)
{
	json_t *findings = json_array(), *remarks = json_array();

	for (uint64_t i = 0; i < result->findings && i < AUDIT_FINDINGS_MAX; i++)
		json_array_append_new(findings, json_string(result->finding[i].text));
	for (unsigned i = 0; i < result->remarks; i++)
		json_array_append_new(remarks, json_string(result->remark[i].text));
	return json_pack("{s:s, s:s, s:s, s:s?, s:I, s:o, s:o}", "rule", result->name, "text",
	                 result->text, "verdict", verdict_names[result->verdict], "not_asked",
	                 result->not_asked, "findings", (json_int_t)(result->findings & INT64_MAX),
	                 "first", findings, "remarks", remarks);
}

json_t *audit_json(const struct look *look, const struct audit *audit)
{
	const json_int_t kernel_half = (json_int_t)(audit->kernel_half & INT64_MAX);
	json_t *json = look_json_head(look, "audit"), *list = json_array();
	bool good = json && list;

	for (unsigned i = 0; good && i < AUDIT_RULES; i++)
		good = json_array_append_new(list, json_of_result(&audit->result[i])) == 0;
	good = good && json_object_set(json, "rules", list) == 0 &&
	       json_object_set_new(json, "broken", json_integer(audit->broken)) == 0 &&
	       json_object_set_new(json, "ring3_maps", json_integer(kernel_half)) == 0;
	json_decref(list);
	if (good)
		return json;
	json_decref(json);
	return NULL;
}
