/* The words of --inspect, and the state that it shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/anatomy/anatomy.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"
#include "vmm/instruments/inspect/inspect_when.h"
#include "vmm/look/state_text.h"

static struct inspect_when when;
static char problem[200];

static bool parse(const char *text)
{
	return inspect_when_parse(&when, text, problem, sizeof(problem));
}

START_TEST(words)
{
	ck_assert(parse("all"));
	ck_assert(when.any_exit && when.exits[0] && when.exits[STATS_REASONS - 1]);
	ck_assert_uint_eq(when.every, 1);
	ck_assert(parse("IO,hlt"));
	ck_assert(when.exits[KVM_EXIT_IO] && when.exits[KVM_EXIT_HLT] &&
	          !when.exits[KVM_EXIT_MMIO]);
	ck_assert(parse("vector=14,vector=0x80,syscall=57,cpl-change,cr3-write,first"));
	ck_assert(when.vectors[14] && when.vectors[0x80] && !when.vectors[13]);
	ck_assert(when.syscall_count == 1 && when.syscalls[0] == 57);
	ck_assert(when.cpl_change && when.cr3_write && when.first && !when.any_exit);
	ck_assert(parse("pc=trap+0x1f,pc=0xffffffff80100000,every=100"));
	ck_assert_str_eq(when.places[0].symbol, "trap");
	ck_assert_uint_eq(when.places[0].offset, 0x1f);
	ck_assert_str_eq(when.places[1].symbol, "");
	ck_assert_uint_eq(when.places[1].offset, 0xffffffff80100000);
	ck_assert_uint_eq(when.every, 100);
	ck_assert(parse("count=3") && when.count == 3);
}
END_TEST

START_TEST(refusals)
{
	static const char *const wrong[] = {
	    "",
	    ",",
	    "nonsense",
	    "all,",
	    "vector=256",
	    "vector=-1",
	    "vector=",
	    "syscall=x",
	    "pc=",
	    "pc=+4",
	    "pc=a+",
	    "pc=a+b",
	    "count=0",
	    "every=0",
	    "every=2",
	    "first",
	    "first,every=2",
	    "all nonsense",
	    "pc=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,"
	    "syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,syscall=1,"
	    "syscall=1",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(!parse(wrong[i]), "'%s' is accepted", wrong[i]);
		ck_assert_uint_gt(strlen(problem), 8);
	}
}
END_TEST

START_TEST(changes)
{
	static struct inspect_state old, new;
	struct inspect_change list[INSPECT_CHANGES_MAX];

	ck_assert_uint_eq(inspect_changes(&old, &new, list), 0);
	new.vcpu.regs.rip = 1;
	new.vcpu.sregs.ss.dpl = 3;
	new.vcpu.sregs.cr3 = 0x1000;
	new.vcpu.msrs[STATE_LSTAR] = 5;
	ck_assert_uint_eq(inspect_changes(&old, &new, list), 4);
	ck_assert_str_eq(list[0].name, "RIP");
	ck_assert_str_eq(list[1].name, "CPL");
	ck_assert_uint_eq(list[1].new, 3);
	ck_assert_str_eq(list[2].name, "CR3");
	ck_assert_str_eq(list[3].name, "LSTAR");
	memset(&new, 0xff, sizeof(new));
	ck_assert_uint_le(inspect_changes(&old, &new, list), INSPECT_CHANGES_MAX);
}
END_TEST

START_TEST(events_in_words)
{
	struct kvm_vcpu_events events = {0};
	char text[160], tiny[8];

	ck_assert_str_eq(inspect_events_text(&events, text, sizeof(text)), "none");
	events.exception.injected = 1;
	events.exception.nr = 14;
	events.exception.has_error_code = 1;
	events.exception.error_code = 4;
	events.nmi.masked = 1;
	ck_assert_str_eq(inspect_events_text(&events, text, sizeof(text)),
	                 "#PF being delivered, error code 0x4; NMIs masked");
	ck_assert_uint_lt(strlen(inspect_events_text(&events, tiny, sizeof(tiny))), sizeof(tiny));
}
END_TEST

/* Text and JSON of a made-up state. */
START_TEST(forms)
{
	static struct inspect_state state, before;
	const struct symbols none = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *json;

	state.vcpu.regs.rip = 0x401000;
	state.vcpu.sregs.ss.dpl = 3;
	state.number = 2;
	state.vcpu.msrs_known = 1U << STATE_LSTAR;
	snprintf(state.why, sizeof(state.why), "because");
	snprintf(state.kind, sizeof(state.kind), "pc");
	snprintf(state.instruction, sizeof(state.instruction), "nop");
	inspect_print(out, &state, &before, &none);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "Stop 2 after 0 exits: because"));
	ck_assert_ptr_nonnull(strstr(text, "ring 3 at 0000000000401000: nop"));
	ck_assert_ptr_nonnull(strstr(text, "RIP 0 -> 401000"));
	ck_assert_ptr_nonnull(strstr(text, "LSTAR"));
	ck_assert_ptr_null(strstr(text, "CSTAR"));
	free(text);
	json = inspect_json(&state, &before, &none);
	ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "pc");
	ck_assert_str_eq(json_string_value(json_object_get(json, "rip")), "0x401000");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "cpl")), 3);
	ck_assert(json_is_array(json_object_get(json_object_get(json, "changed"), "RIP")));
	json_decref(json);
	json = inspect_json(&state, NULL, &none);
	ck_assert(json_is_null(json_object_get(json, "changed")));
	json_decref(json);
}
END_TEST

START_TEST(stacks)
{
	const struct anatomy_stacks ours = {.ours = true};

	ck_assert_str_eq(anatomy_stack_name(&ours, 0x7ffffffef000), "user");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0xffffc90000004000), "kernel");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0xffffffffd0005000), "entry");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0xffffffffd0004000), "?");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0xffffffffd0008000), "IST1");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0xffffffffd000e000), "IST3");
	ck_assert_str_eq(anatomy_stack_name(&ours, 0), "?");

	/* Ring 3's at the entry, a CR3 value without and with PCID, the kernel's; and back. */
	static struct anatomy_row rows[] = {
	    {.cpl = 3, .rsp = 0x7ffffffef000},
	    {.rsp = 0x7ffffffef000},
	    {.rsp = 0x172000},
	    {.rsp = 0x8000000000172081},
	    {.rsp = 0xffffc90000004000},
	    {.rsp = 0x7ffffffee000},
	    {.rsp = 0x7ffffffed000},
	    {.cpl = 3, .rsp = 0x7ffffffee000},
	};
	static const char *const names[] = {"user",   "user", "none", "none",
	                                    "kernel", "user", "none", "user"};
	const struct anatomy anatomy = {.stacks = ours, .rows = rows, .count = 8};

	for (size_t i = 0; i < anatomy.count; i++)
		ck_assert_str_eq(anatomy_row_stack(&anatomy, &rows[i]), names[i]);
}
END_TEST

/* Of a kernel that is not ours, such as Linux with KPTI: RSP, CR3, and what is shown. */
static const struct {
	uint8_t cpl;
	uint64_t rsp, cr3;
	const char *name;
} foreign[] = {
    {3, 0x7ffffffef000, 0x5497804, "user"},
    {0, 0x7ffffffef000, 0x5497804, "user"},
    {0, 0x5497804, 0x5497804, "none"},          /* CR3 as it was read ... */
    {0, 0x8000000005496004, 0x5497804, "none"}, /* ... and as it is about to be written */
    {0, 0x8000000005496004, 0x5496004, "none"},
    {0, 0xfffffe0000003000, 0x5497804, "RSP0"}, /* the top */
    {0, 0xfffffe0000002001, 0x5496004, "RSP0"},
    {0, 0xfffffe0000002000, 0x5496004, "kernel"}, /* the page below */
    {0, 0xffffc90000013f58, 0x5496004, "kernel"},
    {0, 0xfffffe000000a000, 0x5496004, "IST2"},
    {0, 0xfffffe0000008001, 0x5496004, "IST2"},
    {0, 0xfffffe0000008000, 0x5496004, "kernel"},
    {0, 0x123456, 0x5496004, "none"},
    {0, 0x7ffffffee000, 0x5497804, "user"},
    {3, 0x7ffffffee000, 0x5497804, "user"},
};

START_TEST(stacks_of_another_kernel)
{
	enum { COUNT = sizeof(foreign) / sizeof(foreign[0]) };
	static struct anatomy_row rows[COUNT];
	struct anatomy anatomy = {.rows = rows, .count = COUNT};

	anatomy.stacks.rsp0 = 0xfffffe0000003000;
	anatomy.stacks.ist[1] = 0xfffffe000000a000;
	for (size_t i = 0; i < COUNT; i++)
		rows[i] = (struct anatomy_row){
		    .cpl = foreign[i].cpl, .rsp = foreign[i].rsp, .cr3 = foreign[i].cr3};
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_str_eq(anatomy_row_stack(&anatomy, &rows[i]), foreign[i].name);
}
END_TEST

static bool check_anatomy(const char *what)
{
	struct anatomy_request request = {.crossing = what};
	struct plan plan = {.cpus = 1};

	return anatomy_instrument.check(&request, &plan);
}

START_TEST(anatomies)
{
	ck_assert(check_anatomy("syscall") && check_anatomy("syscall=1") &&
	          check_anatomy("int80=0x2"));
	ck_assert(check_anatomy("pagefault") && check_anatomy("fork") &&
	          check_anatomy("context-switch") && check_anatomy("irq"));
	ck_assert(check_anatomy("sysenter") && check_anatomy("callgate=39"));
	ck_assert(!check_anatomy("irq=1") && !check_anatomy("") && !check_anatomy("syscall="));
	ck_assert(!check_anatomy("syscall=x") && !check_anatomy("fork=") &&
	          check_anatomy("fork=56") && check_anatomy("context-switch=0") &&
	          !check_anatomy("pagefault=1") && !check_anatomy("sys"));
}
END_TEST

/* Each of a segment's figures is its own. */
START_TEST(segments_as_json)
{
	static const struct symbols no_symbols;
	struct inspect_state state = {
	    .vcpu.sregs.cs = {.base = 0x11,
	                      .limit = 0x22,
	                      .selector = 0x33,
	                      .type = 0xb,
	                      .dpl = 3,
	                      .present = 1,
	                      .s = 1,
	                      .l = 1},
	    .vcpu.sregs.ss = {.dpl = 2, .type = 3, .present = 1, .s = 1, .db = 1},
	};
	json_t *json = inspect_json(&state, NULL, &no_symbols);
	char *text = json_dumps(json, JSON_COMPACT);

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "\"cs\":{\"selector\":\"0x33\",\"base\":\"0x11\","
	                                   "\"limit\":\"0x22\",\"dpl\":3,"));
	ck_assert_ptr_nonnull(strstr(text, "\"ss\":{\"selector\":\"0x0\",\"base\":\"0x0\","
	                                   "\"limit\":\"0x0\",\"dpl\":2,"));
	free(text);
	json_decref(json);
}
END_TEST

Suite *inspect_suite(void)
{
	Suite *suite = suite_create("inspect");
	TCase *tests = tcase_create("inspect");

	tcase_add_test(tests, words);
	tcase_add_test(tests, refusals);
	tcase_add_test(tests, changes);
	tcase_add_test(tests, events_in_words);
	tcase_add_test(tests, segments_as_json);
	tcase_add_test(tests, forms);
	tcase_add_test(tests, stacks);
	tcase_add_test(tests, stacks_of_another_kernel);
	tcase_add_test(tests, anatomies);
	suite_add_tcase(suite, tests);
	return suite;
}
