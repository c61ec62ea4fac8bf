/* The torture run's bookkeeping: text to be hit, paths through it, states and counts. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/torture/torture_path.h"
#include "vmm/instruments/torture/torture_state.h"
#include "vmm/instruments/torture/torture_text.h"

/* ---- Text ------------------------------------------------------------------------------------ */

enum { VA = 0x1000, STUBS = 0x1020 };

static const struct rs_note note = {.vectors = STUBS, .vector_stride = 9, .vector_count = 2};
static char first_name[] = "first", second_name[] = "second", stubs_name[] = "stubs";
static struct symbol list[] = {
    {VA, 0, first_name}, {VA + 0x10, 0, second_name}, {STUBS, 0, stubs_name}};
static const struct symbols symbols = {.list = list, .count = 3};

/* 32 bytes of code and two stubs. */
static const uint8_t code[] = {
    0x0f, 0x01, 0xf8,       /* 1000 swapgs */
    0x90,                   /* 1003 nop: somebody's instruction */
    0xfb,                   /* 1004 sti */
    0x0f, 0x07,             /* 1005 sysret */
    0x58,                   /* 1007 pop rax: a label may lead here */
    0xeb, 0xf6,             /* 1008 jmp 1000 */
    0x66, 0x90,             /* 100a room: xchg ax, ax */
    0x0f, 0x1f, 0x40, 0x00, /* 100c ... nop dword [rax] */
    0x48, 0xcf,             /* 1010 second: iretq */
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    0xcc, 0xcc, 0x6a, 0x00, 0x6a, 0x01, 0xe9, 0xd7, 0xff, 0xff, 0xff, /* 1020 push, push, jmp */
    0x6a, 0x02, 0xe9, 0xd0, 0xff, 0xff, 0xff, 0xcc, 0xcc,             /* 1029 push, jmp, room */
};

static struct engine_code *decoder;
static struct torture_text text;

static void set_up(void)
{
	uint64_t bad = 1;

	text = (struct torture_text){0};
	decoder = engine_code_open();
	ck_assert(
	    torture_text_add(&text, decoder, &symbols, &note, code, sizeof(code), VA, true, &bad));
	ck_assert_uint_eq(bad, 0);
}

static void tear_down(void)
{
	torture_text_free(&text);
	engine_code_close(decoder);
}

START_TEST(text_instructions)
{
	static const struct {
		uint64_t va;
		enum torture_kind kind;
		bool stub;
	} want[] = {
	    {0x1000, TORTURE_PLAIN, false}, {0x1003, TORTURE_PLAIN, false},
	    {0x1004, TORTURE_STI, false},   {0x1005, TORTURE_SYSRET, false},
	    {0x1007, TORTURE_PLAIN, false}, {0x1008, TORTURE_JUMP, false},
	    {0x1010, TORTURE_IRET, false},  {0x1020, TORTURE_PUSH, false},
	    {0x1022, TORTURE_PUSH, true},   {0x1024, TORTURE_JUMP, true},
	    {0x1029, TORTURE_PUSH, false},  {0x102b, TORTURE_JUMP, true},
	};

	ck_assert_uint_eq(text.count, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < text.count; i++) {
		ck_assert_uint_eq(text.list[i].va, want[i].va);
		ck_assert_uint_eq(text.list[i].kind, want[i].kind);
		ck_assert_uint_eq(text.list[i].stub, want[i].stub);
		ck_assert(text.list[i].entry);
		ck_assert_uint_eq(torture_text_find(&text, want[i].va), i);
	}
	ck_assert_uint_eq(torture_text_find(&text, 0x1001), TORTURE_NONE);
	ck_assert_uint_eq(torture_text_find(&text, 0x100a), TORTURE_NONE);
	ck_assert_uint_eq(torture_text_find(&(struct torture_text){0}, 0x1000), TORTURE_NONE);
}
END_TEST

/* What fills the room behind an end is nobody's to reach, whatever the end is. */
START_TEST(text_without_its_filler)
{
	static const struct {
		uint8_t bytes[8];
		unsigned count;
	} want[] = {
	    {{0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 1}, /* ret */
	    {{0x48, 0xcf, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 1}, /* iretq */
	    {{0xeb, 0xfe, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 1}, /* jmp */
	    {{0xe8, 0x00, 0x00, 0x00, 0x00, 0x90, 0x90, 0x90}, 4}, /* call: it comes back */
	    {{0x75, 0xfe, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 7}, /* jne: perhaps not */
	};
	struct torture_text one = {0};
	uint64_t bad;

	ck_assert(torture_text_add(&one, decoder, &symbols, &note, want[_i].bytes, 8, VA + 0x100,
	                           true, &bad));
	ck_assert_uint_eq(one.count, want[_i].count);
	torture_text_free(&one);
}
END_TEST

START_TEST(text_bad_bytes)
{
	static const uint8_t bytes[] = {0x90, 0x06};
	struct torture_text other = {0};
	uint64_t bad;

	ck_assert(!torture_text_add(&other, decoder, &symbols, &note, bytes, sizeof(bytes), VA,
	                            true, &bad));
	ck_assert_uint_eq(bad, VA + 1);
	torture_text_free(&other);
}
END_TEST

START_TEST(text_coverage)
{
	struct torture_part part = torture_text_part(&text, 0);
	char place[64];

	ck_assert_str_eq(part.name, "first");
	ck_assert_uint_eq(part.count, 6);
	ck_assert_uint_eq(part.hit, 0);
	torture_text_hit(&text, 1, RS_PTI_OFF);
	torture_text_hit(&text, 1, RS_PTI_NOPCID);
	torture_text_hit(&text, 2, RS_PTI_NOPCID);
	torture_text_hit(&text, TORTURE_NONE, RS_PTI_OFF);
	torture_text_hit(&text, 3, 7);
	part = torture_text_part(&text, 0);
	ck_assert_uint_eq(part.hit, 2);
	ck_assert_uint_eq(part.hit_in[RS_PTI_OFF], 1);
	ck_assert_uint_eq(part.hit_in[RS_PTI_PCID], 0);
	ck_assert_uint_eq(part.hit_in[RS_PTI_NOPCID], 2);
	ck_assert(torture_text_is_hit(&text.list[1]) && !torture_text_is_hit(&text.list[3]));
	part = torture_text_part(&text, part.first + part.count);
	ck_assert_str_eq(part.name, "second");
	ck_assert_uint_eq(part.count, 1);
	ck_assert_str_eq(torture_text_place(&text.list[2], place, sizeof(place)), "first+0x4");
}
END_TEST

START_TEST(text_reasons)
{
	const struct torture_lack lacks[] = {
	    {"one", "why", "firs first2"}, {"two", "because", "x second"}, {"three", "", ""}};

	ck_assert_ptr_null(torture_text_lack(&text.list[0], lacks, 3));
	ck_assert_ptr_eq(torture_text_lack(&text.list[6], lacks, 3), &lacks[1]);
	ck_assert_ptr_null(torture_text_lack(&text.list[6], lacks, 1));
}
END_TEST

/* ---- Paths ----------------------------------------------------------------------------------- */

static struct torture_path path;

static void step(uint32_t insn, uint64_t rflags, uint64_t target, bool from_ring3, bool shadow)
{
	const struct torture_step s = {.insn = insn,
	                               .rflags = rflags,
	                               .target = target,
	                               .from_ring3 = from_ring3,
	                               .shadow = shadow};

	ck_assert(torture_path_add(&path, &s));
}

START_TEST(path_crossing)
{
	size_t first, end;

	torture_path_clear(&path);
	torture_path_crossing(&path, &first, &end);
	ck_assert_uint_eq(first, end);
	step(5, 2, 0, false, false);
	step(3, 2, 0x400000, false, false); /* to ring 3 */
	step(0, 2, 0, true, false);         /* the crossing */
	step(1, 2, 0, false, false);
	step(3, 2, 0x400010, false, false);
	torture_path_crossing(&path, &first, &end);
	ck_assert_uint_eq(first, 2);
	ck_assert_uint_eq(end, 2); /* which does not end in a call yet */
	step(0, 2, 0, true, false);
	step(5, 2, 0, false, false);
	torture_path_crossing(&path, &first, &end);
	ck_assert_uint_eq(first, 2);
	ck_assert_uint_eq(end, 5);
	ck_assert_uint_eq(path.list[1].visit, 0);
	ck_assert_uint_eq(path.list[4].visit, 1);
	ck_assert_uint_eq(path.list[5].visit, 1);
	torture_path_free(&path);
}
END_TEST

START_TEST(path_interrupts)
{
	const uint64_t open = RFLAGS_IF | RFLAGS_FIXED;
	uint64_t rip;

	torture_path_clear(&path);
	step(0, open, 0, true, false);        /* a gate that leaves IF alone */
	step(1, 2, 0, false, false);          /* behind CLI */
	step(2, 2, 0, false, false);          /* STI */
	step(3, open, 0x400000, false, true); /* in its shadow, leaves */
	step(4, 2, 0, true, false);
	ck_assert(torture_path_opens(&path, &text, 0, &rip));
	ck_assert_uint_eq(rip, text.list[0].va);
	for (size_t i = 1; i <= 3; i++) {
		ck_assert(torture_path_opens(&path, &text, i, &rip));
		ck_assert_uint_eq(rip, 0x400000);
	}
	ck_assert(!torture_path_opens(&path, &text, 4, &rip));
	ck_assert(torture_step_open(&path.list[0]) && !torture_step_open(&path.list[3]));
	/* What differs for an event differs here. */
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_ne(torture_step_context(&path.list[i]), 0);
	ck_assert_uint_ne(torture_step_context(&path.list[0]), torture_step_context(&path.list[1]));
	ck_assert_uint_ne(torture_step_context(&path.list[1]), torture_step_context(&path.list[3]));
	ck_assert_uint_eq(torture_step_context(&path.list[1]), torture_step_context(&path.list[2]));
	torture_path_free(&path);
}
END_TEST

START_TEST(path_grows)
{
	for (uint32_t i = 0; i < 1000; i++)
		step(i % 10, 2, 0, false, false);
	ck_assert_uint_eq(path.count, 1000);
	ck_assert_uint_eq(path.list[999].visit, 99);
	torture_path_free(&path);
}
END_TEST

START_TEST(stacks)
{
	const uint64_t cpu = RS_ENTRY_CPU(0);

	ck_assert_int_eq(torture_stack_of(0), TORTURE_STACK_FOREIGN);
	ck_assert_int_eq(torture_stack_of(0x7fffffffe000), TORTURE_STACK_FOREIGN);
	ck_assert_int_eq(torture_stack_of(0x16e001), TORTURE_STACK_FOREIGN); /* a CR3 */
	ck_assert_int_eq(torture_stack_of(RS_STACKS_BASE + 0x4000), TORTURE_STACK_KERNEL);
	ck_assert_int_eq(torture_stack_of(RS_KERNEL_CPU(0) + RS_KERNEL_BOOT_STACK_TOP),
	                 TORTURE_STACK_KERNEL);
	ck_assert_int_eq(torture_stack_of(cpu + RS_ENTRY_STACK_TOP), TORTURE_STACK_ENTRY);
	ck_assert_int_eq(torture_stack_of(cpu + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE),
	                 TORTURE_STACK_FOREIGN);
	/* One byte of it is enough to be on it. */
	ck_assert_int_eq(torture_stack_of(cpu + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE + 1),
	                 TORTURE_STACK_ENTRY);
	for (unsigned i = 1; i <= 7; i++) {
		ck_assert_int_eq(torture_stack_of(cpu + RS_IST_TOP(i)), TORTURE_STACK_IST + i);
		ck_assert_int_eq(torture_stack_of(cpu + RS_IST_TOP(i) - RS_IST_SIZE + 8),
		                 TORTURE_STACK_IST + i);
		ck_assert_int_eq(torture_stack_of(cpu + RS_IST_TOP(i) - RS_IST_SIZE),
		                 TORTURE_STACK_FOREIGN);
	}
	ck_assert_int_eq(torture_stack_of(cpu + RS_MAX_CPUS * RS_CPU_STRIDE + 0x5000),
	                 TORTURE_STACK_FOREIGN);
}
END_TEST

/* Ring 3 may have put RSP where the kernel's stacks are, before SYSCALL. */
START_TEST(path_stack)
{
	const uint64_t top = RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP;
	const struct torture_step at_syscall = {.rsp = top, .stack = TORTURE_STACK_FOREIGN};
	const struct torture_step behind = {.rsp = top - 8, .stack = TORTURE_STACK_ENTRY};
	struct torture_path way = {0};

	ck_assert_int_eq(torture_path_stack(&way, top), TORTURE_STACK_ENTRY);
	ck_assert(torture_path_add(&way, &at_syscall));
	ck_assert(torture_path_add(&way, &behind));
	ck_assert_int_eq(torture_path_stack(&way, top), TORTURE_STACK_FOREIGN);
	ck_assert_int_eq(torture_path_stack(&way, top - 8), TORTURE_STACK_ENTRY);
	ck_assert_int_eq(torture_path_stack(&way, 0), TORTURE_STACK_FOREIGN);
	torture_path_free(&way);
}
END_TEST

/* ---- States and counts ----------------------------------------------------------------------- */

static struct torture_state got, want;
static struct torture_differences differences;

static void compare(bool same_numbers)
{
	memset(&differences, 0, sizeof(differences));
	torture_state_compare(&got, &want, same_numbers, &differences);
}

START_TEST(states)
{
	memset(&got, 0, sizeof(got));
	got.stack_words = 4;
	want = got;
	compare(true);
	ck_assert_uint_eq(differences.count, 0);
	got.vcpu.sregs.cr3 = 0x1000;
	got.vcpu.msrs[STATE_KERNEL_GS_BASE] = 5;
	compare(true);
	ck_assert_uint_eq(differences.count, 2);
	ck_assert_str_eq(differences.list[0].name, "CR3");
	ck_assert_uint_eq(differences.list[0].got, 0x1000);
	ck_assert_uint_eq(differences.list[0].want, 0);
	ck_assert_str_eq(differences.list[1].name, "KERNEL_GS_BASE");
	got = want;
	got.vcpu.regs.rbx = 1;
	got.stack[2] = 2;
	got.stack[4] = 3; /* beyond */
	compare(true);
	ck_assert_uint_eq(differences.count, 2);
	compare(false);
	ck_assert_uint_eq(differences.count, 0);
	got = want;
	got.vcpu.fpu.mxcsr = 1;
	got.vcpu.events.nmi.masked = 1;
	compare(true);
	ck_assert_uint_eq(differences.count, 1);
	got.all = want.all = true;
	compare(true);
	ck_assert_uint_eq(differences.count, 2);
	/* More than are kept. */
	memset(got.words, 0xff, sizeof(got.words));
	compare(true);
	ck_assert_uint_eq(differences.count, 2 + sizeof(got.words) / 8);
}
END_TEST

START_TEST(counts)
{
	struct rs_stats before = {.syscall64 = 5}, after = {.syscall64 = 6};
	struct torture_counts expected, found;

	after.vectors[VECTOR_NMI] = 1;
	found = torture_counts_between(&before, &after);
	after.vectors[VECTOR_NMI] = 0;
	expected = torture_counts_between(&before, &after);
	memset(&differences, 0, sizeof(differences));
	torture_counts_compare(&found, &expected, true, &differences);
	ck_assert_uint_eq(differences.count, 1);
	ck_assert_str_eq(differences.list[0].name, "entries by NMI");
	torture_counts_add(&expected, VECTOR_NMI, false, true);
	memset(&differences, 0, sizeof(differences));
	torture_counts_compare(&found, &expected, true, &differences);
	ck_assert_uint_eq(differences.count, 0);

	/* In ring 3 of two roots, an exception. */
	after.vectors[VECTOR_DB] = after.user_faults = after.cr3_entry = after.cr3_exit = 1;
	after.vectors[VECTOR_NMI] = 1;
	found = torture_counts_between(&before, &after);
	torture_counts_add(&expected, VECTOR_DB, true, true);
	torture_counts_compare(&found, &expected, true, &differences);
	ck_assert_uint_eq(differences.count, 0);
	torture_counts_add(&expected, 0x80, true, false);
	torture_counts_compare(&found, &expected, true, &differences);
	ck_assert_uint_eq(differences.count, 2);
	ck_assert_str_eq(differences.list[1].name, "external interrupts 0x80");

	/* What depends on the PCIDs that a process is given. */
	after.cr3_flush = 3;
	found = expected = torture_counts_between(&before, &after);
	expected.word[offsetof(struct rs_stats, cr3_flush) / 8] = 1;
	memset(&differences, 0, sizeof(differences));
	torture_counts_compare(&found, &expected, false, &differences);
	ck_assert_uint_eq(differences.count, 0);
	torture_counts_compare(&found, &expected, true, &differences);
	ck_assert_uint_eq(differences.count, 1);
}
END_TEST

START_TEST(counts_adjusted)
{
	struct torture_counts base = {{5, 7}}, expected = {{6, 7}}, found = {{6, 9}};

	torture_counts_adjust(&base, &expected, &found);
	ck_assert_uint_eq(base.word[0], 5);
	ck_assert_uint_eq(base.word[1], 9);
}
END_TEST

Suite *torture_suite(void)
{
	Suite *suite = suite_create("torture");
	TCase *texts = tcase_create("text and paths");
	TCase *states_case = tcase_create("states");

	tcase_add_checked_fixture(texts, set_up, tear_down);
	tcase_add_test(texts, text_instructions);
	tcase_add_loop_test(texts, text_without_its_filler, 0, 5);
	tcase_add_test(texts, text_bad_bytes);
	tcase_add_test(texts, text_coverage);
	tcase_add_test(texts, text_reasons);
	tcase_add_test(texts, path_crossing);
	tcase_add_test(texts, path_interrupts);
	tcase_add_test(texts, path_grows);
	tcase_add_test(texts, path_stack);
	suite_add_tcase(suite, texts);
	tcase_add_test(states_case, stacks);
	tcase_add_test(states_case, states);
	tcase_add_test(states_case, counts);
	tcase_add_test(states_case, counts_adjusted);
	suite_add_tcase(suite, states_case);
	return suite;
}
