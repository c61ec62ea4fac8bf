/* --calls over a small processor, and what it sees in a trace: one track an address space, spans
 * that do not overlap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "shared/desc.h"
#include "tests/unit_vmm/fake_cpu.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/protocol.h"
#include "vmm/instruments/calls/calls.h"
#include "vmm/instruments/trace/trace_crossings.h"

/* ---- In a trace ------------------------------------------------------------------------------ */

enum { GROUP = 7, ZERO = 1000 };

static struct trace_crossings crossings;
static struct trace_file file;
static FILE *out;
static char *text;
static size_t text_size;
static json_t *json;

static void setup(void)
{
	memset(&crossings, 0, sizeof(crossings));
	out = open_memstream(&text, &text_size);
	ck_assert_ptr_nonnull(out);
	trace_file_begin(&file, out, 1 << 20);
}

static void teardown(void)
{
	json_decref(json);
	free(text);
}

static void call(uint64_t root, uint64_t begun, uint64_t ended, const char *name)
{
	trace_crossings_write(&crossings, &file, GROUP, ZERO,
	                      &(struct seen_crossing){.kind = CROSSING_SYSCALL,
	                                              .root = root,
	                                              .begun = begun,
	                                              .ended = ended,
	                                              .number = 39,
	                                              .name = name,
	                                              .arguments = "1, 2",
	                                              .result = "3"});
}

static const json_t *events(void)
{
	json_error_t error;

	trace_file_end(&file, &(struct trace_facts){0});
	fclose(out);
	json = json_loadb(text, text_size, 0, &error);
	ck_assert_msg(json, "%s in %.*s", error.text, (int)text_size, text);
	return json_object_get(json, "traceEvents");
}

/* The event of that name; its phase is as it should be. */
static const json_t *find(const json_t *list, const char *name, const char *phase)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *event = json_array_get(list, i);

		if (strcmp(json_string_value(json_object_get(event, "name")), name) != 0)
			continue;
		ck_assert_str_eq(json_string_value(json_object_get(event, "ph")), phase);
		ck_assert_int_eq(json_integer_value(json_object_get(event, "pid")), GROUP);
		return event;
	}
	ck_abort_msg("no %s in %s", name, text);
	return NULL;
}

static int64_t track(const json_t *event)
{
	return json_integer_value(json_object_get(event, "tid"));
}

static double number(const json_t *event, const char *key)
{
	return json_number_value(json_object_get(event, key));
}

static const char *word(const json_t *event, const char *key)
{
	return json_string_value(json_object_get(json_object_get(event, "args"), key));
}

START_TEST(a_call_is_a_span)
{
	const json_t *event;

	call(0x5000, ZERO + 2000, ZERO + 5000, "getpid");
	event = find(events(), "getpid", "X");
	ck_assert(number(event, "ts") > 1.999 && number(event, "ts") < 2.001);
	ck_assert(number(event, "dur") > 2.999 && number(event, "dur") < 3.001);
	ck_assert_str_eq(word(event, "arguments"), "1, 2");
	ck_assert_str_eq(word(event, "result"), "3");
	ck_assert_str_eq(word(event, "by"), "SYSCALL");
}
END_TEST

START_TEST(an_address_space_is_a_track)
{
	const json_t *list;

	call(0x5000, ZERO + 10, ZERO + 20, "a");
	call(0x6000, ZERO + 15, ZERO + 25, "b");
	call(0x5000, ZERO + 20, ZERO + 30, "c"); /* begins where the other one ends */
	list = events();
	ck_assert_int_eq(track(find(list, "a", "X")), track(find(list, "c", "X")));
	ck_assert_int_ne(track(find(list, "a", "X")), track(find(list, "b", "X")));
	ck_assert_ptr_nonnull(strstr(text, "\"name\":\"CR3 0x5000\""));
	ck_assert_ptr_nonnull(strstr(text, "\"name\":\"CR3 0x6000\""));
	ck_assert_ptr_null(strstr(text, "at the same time"));
}
END_TEST

/* Two threads, or a signal's handler inside a call. */
START_TEST(what_overlaps_has_another_track)
{
	const json_t *list;

	call(0x5000, ZERO + 20, ZERO + 30, "inner");
	call(0x5000, ZERO + 29, ZERO + 40, "outer");
	call(0x5000, ZERO + 40, ZERO + 50, "later");
	list = events();
	ck_assert_int_ne(track(find(list, "inner", "X")), track(find(list, "outer", "X")));
	ck_assert_int_eq(track(find(list, "inner", "X")), track(find(list, "later", "X")));
	ck_assert_ptr_nonnull(strstr(text, "CR3 0x5000, at the same time 1"));
}
END_TEST

START_TEST(what_has_no_length_is_an_instant)
{
	const json_t *list;

	trace_crossings_write(&crossings, &file, GROUP, ZERO,
	                      &(struct seen_crossing){.kind = CROSSING_INT80,
	                                              .begun = ZERO - 1, /* before it all */
	                                              .name = "exit_group",
	                                              .arguments = ""});
	trace_crossings_write(&crossings, &file, GROUP, ZERO,
	                      &(struct seen_crossing){.kind = CROSSING_FAULT,
	                                              .begun = ZERO + 1,
	                                              .ended = ZERO + 1,
	                                              .number = VECTOR_PF,
	                                              .error = 6,
	                                              .address = 0x1234,
	                                              .rip = 0x401000});
	trace_crossings_write(&crossings, &file, GROUP, ZERO,
	                      &(struct seen_crossing){.kind = CROSSING_INTERRUPT, .number = 0xec});
	list = events();
	ck_assert_str_eq(word(find(list, "exit_group", "i"), "by"), "INT 0x80");
	ck_assert_str_eq(word(find(list, "exit_group", "i"), "result"), "it has not come back");
	ck_assert(number(find(list, "exit_group", "i"), "ts") == 0);
	ck_assert_str_eq(word(find(list, "#PF", "i"), "cr2"), "0x1234");
	ck_assert_str_eq(word(find(list, "#PF", "i"), "error code"), "0x6");
	ck_assert_ptr_null(word(find(list, "interrupt 0xec", "i"), "cr2"));
}
END_TEST

START_TEST(more_address_spaces_than_tracks)
{
	const json_t *list;

	for (uint64_t i = 0; i < TRACE_SPACES; i++)
		call(i << 12, ZERO + i, ZERO + i + 1, "fits");
	call(UINT64_MAX, ZERO, ZERO + 1, "too many");
	list = events();
	ck_assert_int_eq(track(find(list, "too many", "i")), 0);
}
END_TEST

/* ---- Over a processor ------------------------------------------------------------------------ */

static struct live_machine *live;
static struct calls_request request;
static struct observer watcher;
static struct seen_crossing seen[8];
static char seen_name[8][32], seen_result[8][32];
static unsigned seen_count;

static void see(struct observer *observer, struct cpu *cpu, const struct seen_crossing *crossing)
{
	ck_assert_ptr_eq(observer, &watcher);
	ck_assert_ptr_eq(cpu, &live->machine.cpus[0]);
	ck_assert_uint_lt(seen_count, 8);
	seen[seen_count] = *crossing;
	snprintf(seen_name[seen_count], 32, "%s", crossing->name ? crossing->name : "");
	snprintf(seen_result[seen_count++], 32, "%s", crossing->result ? crossing->result : "?");
}

/* Runs it to its end; the file's text into `text`. */
static void run_calls(const void *code, size_t size, bool with_costs)
{
	static const struct manner manner;
	static char path[64], buffer[4096];
	FILE *written;

	fake_cpu_code(live, code, size);
	snprintf(path, sizeof(path), "/tmp/rs_calls_%d", (int)getpid());
	request = (struct calls_request){.file = OUTFILE_CLOSED, .costs = OUTFILE_CLOSED};
	ck_assert(outfile_open(with_costs ? &request.costs : &request.file, path, OUTFILE_SHARED));
	watcher = (struct observer){.crossed = see};
	seen_count = 0;
	machine_observe(&live->machine, &watcher);
	ck_assert(
	    calls_instrument.drive(&request, &live->machine, (struct manner *)(uintptr_t)&manner));
	machine_unobserve(&live->machine, &watcher);
	written = fopen(path, "r");
	ck_assert_ptr_nonnull(written);
	buffer[fread(buffer, 1, sizeof(buffer) - 1, written)] = '\0';
	fclose(written);
	unlink(path);
	text = buffer;
}

static void make(void)
{
	live = live_machine_make();
	fake_cpu_make(live, 3);
	live->machine.image.path = ""; /* no file, no names */
	live->machine.image.protocol = boot_protocol_find("ringscope");
}

static void unmake(void)
{
	live_machine_free();
}

/* What an IRETQ at the kernel's entry finds: SYSCALL changes no stack. */
static void push_frame(uint64_t rip)
{
	const uint64_t frame[] = {rip, RS_SEL_USER_CODE | 3, RFLAGS_FIXED, FAKE_STACK(3),
	                          RS_SEL_USER_DATA | 3};

	memcpy(fake_cpu_at(live, FAKE_STACK(3)), frame, sizeof(frame));
}

START_TEST(a_call_that_comes_back)
{
	push_frame(FAKE_CODE(3) + 2);
	memcpy(fake_cpu_at(live, FAKE_SYSCALL), "\x90\x48\xcf", 3);
	fake_kvm.vcpus[0].regs.rax = 110;
	fake_kvm.vcpus[0].regs.rdi = 7;
	run_calls("\x0f\x05\x90\xf4", 4, false);
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_int_eq(seen[0].kind, CROSSING_SYSCALL);
	ck_assert_uint_eq(seen[0].number, 110);
	ck_assert_uint_eq(seen[0].root, live->machine.boot.kernel.root);
	ck_assert_str_eq(seen_name[0], "call 110");
	ck_assert_str_eq(seen_result[0], "110"); /* nobody has changed RAX */
	ck_assert_uint_ge(seen[0].ended, seen[0].begun);
	ck_assert_ptr_nonnull(strstr(text, "  call 110(7, 0, 0, 0, 0, 0) = 110\n"));
	ck_assert_ptr_nonnull(strstr(text, "# 1 system calls, 0 page faults and 0 interrupts"));
	/* At the entry and its first instruction; at the return, where #BP arrives. */
	ck_assert_ptr_nonnull(strstr(text, " exits were planted for this; they took "));
	ck_assert_ptr_null(strstr(text, "# 0 exits were planted"));
}
END_TEST

START_TEST(a_call_that_does_not_come_back)
{
	memcpy(fake_cpu_at(live, FAKE_SYSCALL), "\x90\xf4", 2);
	fake_kvm.vcpus[0].regs.rax = 60;
	run_calls("\x0f\x05", 2, false);
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_str_eq(seen_result[0], "?");
	ck_assert_ptr_nonnull(strstr(text, "  call 60(0, 0, 0, 0, 0, 0) = ?\n"));
}
END_TEST

/* --costs alone.  Of an entry that is measured in vain the guest sees nothing. */
START_TEST(what_a_call_costs)
{
	push_frame(FAKE_CODE(3) + 2);
	memcpy(fake_cpu_at(live, FAKE_SYSCALL), "\x90\x90\x48\xcf", 4);
	fake_kvm.vcpus[0].regs.rax = 110;
	run_calls("\x0f\x05\x90\xf4", 4, true);
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_str_eq(seen_result[0], "110");
	ck_assert_int_eq(live->machine.outcome.reason, END_HALTED);
	ck_assert_ptr_nonnull(strstr(text, ", the least of 1; "));
	ck_assert_ptr_nonnull(strstr(text, "  SYSCALL call 110\n1 by SYSCALL, 0 by INT 0x80, "));
}
END_TEST

START_TEST(costs_of_one_cpu)
{
	struct plan plan = {.cpus = 2};

	request = (struct calls_request){.costs.path = "costs"};
	ck_assert(calls_instrument.wanted(&request));
	ck_assert(!calls_instrument.check(&request, &plan));
	plan.cpus = 1;
	ck_assert(calls_instrument.check(&request, &plan));
	ck_assert(plan.stepped);
}
END_TEST

Suite *crossings_suite(void)
{
	Suite *suite = suite_create("crossings");
	TCase *tcase = tcase_create("in a trace");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_call_is_a_span);
	tcase_add_test(tcase, an_address_space_is_a_track);
	tcase_add_test(tcase, what_overlaps_has_another_track);
	tcase_add_test(tcase, what_has_no_length_is_an_instant);
	tcase_add_test(tcase, more_address_spaces_than_tracks);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("over a processor");
	tcase_add_checked_fixture(tcase, make, unmake);
	tcase_add_test(tcase, a_call_that_comes_back);
	tcase_add_test(tcase, a_call_that_does_not_come_back);
	tcase_add_test(tcase, what_a_call_costs);
	tcase_add_test(tcase, costs_of_one_cpu);
	suite_add_tcase(suite, tcase);
	return suite;
}
