#include "vmm/look/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/x86.h"
#include "vmm/base/color.h"
#include "vmm/base/message.h"
#include "vmm/base/units.h"
#include "vmm/look/json.h"

/* ---- What is asked ------------------------------------------------------------------------- */

static bool parse_hex(const char *text, size_t size, uint64_t *value)
{
	char digits[19] = "";
	char *end;

	if (!size || size >= sizeof(digits))
		return false;
	memcpy(digits, text, size);
	/* strtoull takes signs and blanks too. */
	if (strspn(digits, "0123456789abcdefABCDEFxX") != size)
		return false;
	errno = 0;
	*value = strtoull(digits, &end, 16);
	return !errno && !*end;
}

bool walk_parse(struct walk_request *request, const char *text)
{
	static const char prefix[] = "@cr3=";
	const char *at = strchr(text, '@');

	*request = (struct walk_request){.text = text, .address = strlen(text)};
	if (at) {
		const char *root = at + sizeof(prefix) - 1;

		request->address = (size_t)(at - text);
		if (strncmp(at, prefix, sizeof(prefix) - 1) != 0)
			return message_error("--walk '%s': behind the address comes @cr3=kernel, "
			                     "@cr3=user or @cr3=VALUE",
			                     text);
		if (!strcmp(root, "kernel"))
			request->through = WALK_KERNEL;
		else if (!strcmp(root, "user"))
			request->through = WALK_USER;
		else if (parse_hex(root, strlen(root), &request->cr3))
			request->through = WALK_CR3;
		else
			return message_error("--walk '%s': @cr3= takes kernel, user, or a value in "
			                     "hexadecimal",
			                     text);
	}
	if (!request->address)
		return message_error("--walk '%s': must begin with an address: hexadecimal, or a "
		                     "symbol of the guest with or without +OFFSET",
		                     text);
	return true;
}

static const struct symbol *find_name(const struct symbols *symbols, const char *name, size_t size)
{
	for (size_t i = 0; i < symbols->count; i++) {
		const char *candidate = symbols->list[i].name;

		if (!strncmp(candidate, name, size) && !candidate[size])
			return &symbols->list[i];
	}
	return NULL;
}

static bool parse_offset(const char *text, size_t size, uint64_t *offset)
{
	char digits[32] = "";
	char *end;

	*offset = 0;
	if (!size)
		return true;
	if (size < 2 || size >= sizeof(digits) || text[1] < '0' || text[1] > '9')
		return false;
	memcpy(digits, text + 1, size - 1);
	errno = 0;
	*offset = strtoull(digits, &end, 0);
	return !errno && !*end;
}

bool walk_address(const struct walk_request *request, const struct symbols *symbols, uint64_t *va)
{
	const char *text = request->text;
	const char *plus = memchr(text, '+', request->address);
	const size_t name = plus ? (size_t)(plus - text) : request->address;
	const struct symbol *symbol = find_name(symbols, text, name);
	uint64_t offset;

	if (!parse_offset(text + name, request->address - name, &offset))
		return message_error("--walk '%s': the offset behind '+' must be a number", text);
	if (symbol)
		*va = symbol->address;
	else if (!parse_hex(text, name, va))
		return message_error("--walk '%s': no hexadecimal address, and no symbol of the "
		                     "guest's file",
		                     text);
	*va += offset;
	return true;
}

/* ---- The ways that are taken --------------------------------------------------------------- */

/* One tree to walk through. */
struct way {
	const char *name; /* "kernel root" */
	uint64_t cr3;
	struct pt pt;
};

/* Into ways[], which has room for LOOK_ROOTS; 0 after a message. */
static unsigned ways_make(struct way ways[LOOK_ROOTS], struct look *look,
                          const struct walk_request *request)
{
	static const char *const names[] = {
	    [LOOK_KERNEL] = "kernel root", [LOOK_USER] = "user root"};
	unsigned count = 0;

	look_begin_scan(look);
	if (request->through == WALK_CR3) {
		ways[0] = (struct way){"tree", request->cr3, look_tree(look, request->cr3)};
		return 1;
	}
	if (request->through == WALK_USER && !look->two_roots) {
		message_error("--walk '%s': there is no user root %s: one root serves both rings",
		              request->text, look->when);
		return 0;
	}
	for (unsigned i = 0; i < (look->two_roots ? LOOK_ROOTS : 1u); i++) {
		if (request->through == WALK_ALL ||
		    request->through == (i == LOOK_USER ? WALK_USER : WALK_KERNEL))
			ways[count++] = (struct way){look->two_roots ? names[i] : "only root",
			                             look->cr3[i], look->pt[i]};
	}
	return count;
}

static const struct {
	const char *name;
	unsigned kind, cpl;
} accesses[] = {
    {"ring3_read", PT_READ, 3}, {"ring3_write", PT_STORE, 3}, {"ring3_fetch", PT_FETCH, 3},
    {"ring0_read", PT_READ, 0}, {"ring0_write", PT_STORE, 0}, {"ring0_fetch", PT_FETCH, 0},
};
enum { ACCESSES = sizeof(accesses) / sizeof(accesses[0]) };

static const char *level_name(unsigned level)
{
	static const char *const names[] = {"",     "page table", "page directory",
	                                    "PDPT", "PML4",       "PML5"};

	return level < sizeof(names) / sizeof(names[0]) ? names[level] : "";
}

/* ---- Text ---------------------------------------------------------------------------------- */

static const char *step_meaning(const struct pt_walk *walk, unsigned i)
{
	const struct pt_step *step = &walk->step[i];

	if (!(step->entry & 1))
		return "not present: the walk ends here";
	if (i + 1 < walk->steps)
		return "leads to the next table";
	if (walk->reserved)
		return "a reserved bit is set: the walk ends here";
	return walk->corrupt ? "leads to a table outside RAM" : "maps the page";
}

static void print_steps(FILE *out, const struct pt_walk *walk)
{
	for (unsigned i = 0; i < walk->steps; i++) {
		const struct pt_step *step = &walk->step[i];
		const char so_far[] = {'r', step->write ? 'w' : '-', step->exec ? 'x' : '-',
		                       step->user ? 'u' : '-', '\0'};

		fprintf(out, "  %u %-14s 0x%012" PRIx64 " [%3u] = %016" PRIx64 "  %s  %s\n",
		        step->level, level_name(step->level), step->table, step->index, step->entry,
		        step->entry & 1 ? so_far : "    ", step_meaning(walk, i));
	}
}

/* An address without a page. */
static const char *address_name(const struct places *places, uint64_t va,
                                const struct pt_walk *walk)
{
	if (places->legacy && va >> 32)
		return "longer than 32 bits";
	return walk->steps || walk->corrupt ? places_name(places, va) : "not canonical";
}

static void print_page(FILE *out, const struct places *places, uint64_t va,
                       const struct pt_walk *walk)
{
	char rights[8], size[UNITS_SIZE];

	if (walk->mapped && !walk->page_size)
		fprintf(out, "  physical 0x%" PRIx64 ": paging is off\n", walk->pa);
	else if (walk->mapped)
		fprintf(out, "  physical 0x%" PRIx64 " in a page of %s, %s, %s\n", walk->pa,
		        units_bytes(size, walk->page_size), pt_rights_text(rights, walk->rights),
		        places_name(places, va));
	else
		fprintf(out, "  not mapped; the address is %s\n", address_name(places, va, walk));
}

static void print_kvm(FILE *out, const struct look_kvm *kvm, const struct style *style)
{
	if (!kvm->asked)
		return;
	if (kvm->agrees)
		fprintf(out, "  KVM_TRANSLATE agrees%s\n",
		        kvm->mapped ? "" : ": it finds nothing that ring 0 may read");
	else if (kvm->mapped)
		fprintf(out, "  %sKVM_TRANSLATE differs: physical 0x%" PRIx64 "%s\n", style->bad,
		        kvm->pa, style->end);
	else
		fprintf(out, "  %sKVM_TRANSLATE differs: not mapped%s\n", style->bad, style->end);
}

static void print_verdicts(FILE *out, const struct look *look, const struct way *way, uint64_t va,
                           const struct style *style)
{
	for (unsigned i = 0; i < ACCESSES; i++) {
		struct pt_access access = look_access(look, accesses[i].kind, accesses[i].cpl);
		struct pt_verdict verdict;
		char text[200];

		pt_explain(&way->pt, va, access, &verdict);
		pt_verdict_text(text, sizeof(text), va, access, &verdict);
		fprintf(out, "  %s%s%s\n", verdict.reason == PT_ALLOWED ? style->good : style->bad,
		        text, style->end);
	}
}

static void print_way(FILE *out, const struct look *look, const struct places *places,
                      const struct way *way, uint64_t va, const struct style *style)
{
	struct look_kvm kvm;
	struct pt_walk walk;
	char name[96];

	fprintf(out, "\n%s0x%016" PRIx64 "%s%s through the %s %s: CR3 0x%" PRIx64, style->head, va,
	        symbols_text(look->moment->symbols, va, name, sizeof(name)), style->end, way->name,
	        look->when, legacy_address(&look->tables.legacy, way->cr3));
	if (look->legacy)
		fprintf(out, ", paging %s", legacy_name(look->legacy));
	if (look->moment->sregs.cr4 & CR4_PCIDE)
		fprintf(out, ", PCID %" PRIu64, way->cr3 & CR3_PCID_MASK);
	fputc('\n', out);
	pt_walk(&way->pt, va, &walk);
	legacy_walk(&look->tables.legacy, way->cr3, va, &walk);
	kvm = look_ask_kvm(look, &way->pt, va, walk.mapped, walk.pa, walk.rights);
	print_steps(out, &walk);
	if (walk.corrupt && !walk.steps)
		fputs("  the top-level table lies outside RAM\n", out);
	print_page(out, places, va, &walk);
	print_kvm(out, &kvm, style);
	if (!look->legacy || !(va >> 32))
		print_verdicts(out, look, way, va, style);
}

/* The processor state that the verdicts rest on. */
static void print_state(FILE *out, const struct look *look)
{
	const struct kvm_sregs *sregs = &look->moment->sregs;

	fprintf(out, "  with CR0.WP=%d CR4.SMEP=%d CR4.SMAP=%d EFER.NXE=%d RFLAGS.AC=%d\n",
	        (sregs->cr0 & CR0_WP) != 0, (sregs->cr4 & CR4_SMEP) != 0,
	        (sregs->cr4 & CR4_SMAP) != 0, (sregs->efer & EFER_NXE) != 0,
	        (look->moment->regs.rflags & RFLAGS_AC) != 0);
}

bool walk_print(FILE *out, struct look *look, const struct places *places,
                const struct walk_request *request, bool color)
{
	struct style style = style_get(color);
	struct way ways[LOOK_ROOTS];
	uint64_t va = 0;

	if (!walk_address(request, look->moment->symbols, &va))
		return false;

	unsigned count = ways_make(ways, look, request);

	for (unsigned i = 0; i < count; i++)
		print_way(out, look, places, &ways[i], va, &style);
	if (count)
		print_state(out, look);
	return count;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *json_of_steps(const struct pt_walk *walk)
{
	json_t *steps = json_array();

	for (unsigned i = 0; steps && i < walk->steps; i++) {
		const struct pt_step *step = &walk->step[i];
		json_t *one =
		    json_pack("{s:i, s:o, s:i, s:o, s:b, s:b, s:b, s:b}", "level", step->level,
		              "table", look_json_hex(step->table), "index", step->index, "entry",
		              look_json_hex(step->entry), "present", (int)(step->entry & 1),
		              "write", step->write, "user", step->user, "exec", step->exec);

		if (json_array_append_new(steps, one) < 0) {
			json_decref(steps);
			return NULL;
		}
	}
	return steps;
}

static json_t *json_of_access(const struct look *look, const struct way *way, uint64_t va,
                              unsigned i)
{
	struct pt_access access = look_access(look, accesses[i].kind, accesses[i].cpl);
	struct pt_verdict verdict;
	char text[200];
	bool faults;

	pt_explain(&way->pt, va, access, &verdict);
	pt_verdict_text(text, sizeof(text), va, access, &verdict);
	faults = verdict.vector != 0;
	return json_pack("{s:b, s:o, s:o, s:o, s:s}", "allowed", verdict.reason == PT_ALLOWED,
	                 "vector", faults ? json_integer(verdict.vector) : json_null(), "error",
	                 faults ? json_integer(verdict.error) : json_null(), "level",
	                 verdict.level ? json_integer(verdict.level) : json_null(), "text", text);
}

static json_t *json_of_accesses(const struct look *look, const struct way *way, uint64_t va)
{
	json_t *json = json_object();

	for (unsigned i = 0; json && i < ACCESSES; i++) {
		if (json_object_set_new(json, accesses[i].name, json_of_access(look, way, va, i)) <
		    0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

static json_t *json_of_kvm(const struct look_kvm *kvm)
{
	if (!kvm->asked)
		return json_null();
	return json_pack("{s:b, s:o}", "agrees", kvm->agrees, "physical",
	                 kvm->mapped ? look_json_hex(kvm->pa) : json_null());
}

static bool write_way(FILE *out, const struct look *look, const struct places *places,
                      const struct way *way, uint64_t va)
{
	struct look_kvm kvm;
	json_t *json = look_json_head(look, "walk"), *more;
	char name[96], rights[8];
	struct pt_walk walk;

	pt_walk(&way->pt, va, &walk);
	legacy_walk(&look->tables.legacy, way->cr3, va, &walk);
	kvm = look_ask_kvm(look, &way->pt, va, walk.mapped, walk.pa, walk.rights);
	symbols_text(look->moment->symbols, va, name, sizeof(name));
	more = json_pack(
	    "{s:o, s:s, s:s, s:s, s:o, s:b, s:o, s:o, s:s?, s:o, s:o, s:o}", "address",
	    look_json_hex(va), "symbol", name + (*name == ' '), "place", places_name(places, va),
	    "through", way->name, "through_cr3", look_json_hex(way->cr3), "mapped", walk.mapped,
	    "physical", walk.mapped ? look_json_hex(walk.pa) : json_null(), "page_size",
	    walk.mapped && walk.page_size ? json_integer((json_int_t)walk.page_size) : json_null(),
	    "rights", walk.mapped ? pt_rights_text(rights, walk.rights) : NULL, "steps",
	    json_of_steps(&walk), "kvm", json_of_kvm(&kvm), "accesses",
	    json_of_accesses(look, way, va));
	if (!json || !more || json_object_update(json, more) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(more);
	return look_json_write(out, json);
}

bool walk_write_json(FILE *out, struct look *look, const struct places *places,
                     const struct walk_request *request)
{
	struct way ways[LOOK_ROOTS];
	uint64_t va = 0;

	if (!walk_address(request, look->moment->symbols, &va))
		return false;

	unsigned count = ways_make(ways, look, request);

	for (unsigned i = 0; i < count; i++) {
		if (!write_way(out, look, places, &ways[i], va))
			return false;
	}
	return count;
}
