/* What each return from KVM_RUN means, and the guest's ports and calls: the dispatcher over a
 * struct kvm_run that no KVM ever saw. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/run/exits.h"
#include "vmm/run/hypercall.h"
#include "vmm/run/run.h"
#include "vmm/run/threads.h"

static struct live_machine *live;
static struct machine *machine;
static struct cpu *cpu;
static struct kvm_run *run;
static struct rs_call *call;

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	cpu = &machine->cpus[0];
	run = cpu->vcpu.run;
	call = live->call[0];
}

static bool out(uint16_t port, uint8_t size, uint32_t value)
{
	live_machine_io(live, KVM_EXIT_IO_OUT, port, size, value);
	return exit_dispatch(cpu);
}

static const struct exit_record *last_record(void)
{
	const struct exit_ring *ring = &cpu->stats.ring;

	ck_assert_uint_gt(ring->count, 0);
	return &ring->records[(ring->count - 1) % EXIT_RING_SIZE];
}

static void was_recorded(unsigned size, bool write, uint64_t address, uint64_t value)
{
	const struct exit_record *record = last_record();

	ck_assert_uint_eq(record->reason, run->exit_reason);
	ck_assert_uint_eq(record->size, size);
	ck_assert_int_eq(record->write, write);
	ck_assert_uint_eq(record->address, address);
	ck_assert_uint_eq(record->value, value);
	ck_assert_uint_eq(record->time, cpu->stats.last);
}

/* ---- Ports ----------------------------------------------------------------------------------- */

START_TEST(nobody_answers_a_read)
{
	static const uint8_t sizes[] = {1, 2, 4};
	const uint8_t size = sizes[_i];

	live_machine_io(live, KVM_EXIT_IO_IN, 0x60, size, 0);
	ck_assert(exit_dispatch(cpu));
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(live->pages[0].bytes[LIVE_DATA + i], i < size ? 0xff : 0);
	ck_assert_uint_eq(cpu->stats.unknown_io, 1);
	ck_assert_int_eq(machine->outcome.exit_reason, KVM_EXIT_IO);
	was_recorded(size, false, 0x60, 0);
}
END_TEST

START_TEST(nobody_answers_a_string_of_reads)
{
	live_machine_io(live, KVM_EXIT_IO_IN, 0x1f0, 2, 0);
	run->io.count = 5;
	ck_assert(exit_dispatch(cpu));
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(live->pages[0].bytes[LIVE_DATA + i], i < 10 ? 0xff : 0);
	ck_assert_uint_eq(cpu->stats.unknown_io, 5);
	ck_assert_uint_eq(cpu->stats.ring.count, 1);
}
END_TEST

/* What lies behind the bytes written is not the guest's word. */
START_TEST(a_write_has_its_size)
{
	static const struct {
		uint8_t size;
		uint32_t value;
	} want[] = {{1, 0xd4}, {2, 0xc3d4}, {4, 0xa1b2c3d4}};

	ck_assert(out(0x80, want[_i].size, 0xa1b2c3d4));
	was_recorded(want[_i].size, true, 0x80, want[_i].value);
	ck_assert_uint_eq(cpu->stats.unknown_io, 1);
}
END_TEST

START_TEST(a_string_of_writes_is_as_many_writes)
{
	live_machine_io(live, KVM_EXIT_IO_OUT, RS_PORT_PUTC, 1, 0);
	run->io.count = 5;
	memcpy(live->pages[0].bytes + LIVE_DATA, "hello!", 6);
	ck_assert(exit_dispatch(cpu));
	ck_assert_uint_eq(machine->console.used, 5);
	ck_assert_mem_eq(machine->console.buffer, "hello", 5);
	ck_assert_uint_eq(cpu->stats.console_bytes, 5);
	ck_assert_uint_eq(cpu->stats.ring.count, 5);
	was_recorded(1, true, RS_PORT_PUTC, 'o');
}
END_TEST

/* What ends the run ends the string. */
START_TEST(a_string_ends_with_the_run)
{
	static const uint16_t words[] = {7, 8, 9};

	live_machine_io(live, KVM_EXIT_IO_OUT, RS_PORT_EXIT, 2, 0);
	run->io.count = 3;
	memcpy(live->pages[0].bytes + LIVE_DATA, words, sizeof(words));
	ck_assert(!exit_dispatch(cpu));
	ck_assert_uint_eq(machine->outcome.guest_status, 7);
	ck_assert_uint_eq(cpu->stats.ring.count, 1);
}
END_TEST

START_TEST(status_bounds)
{
	static const struct {
		uint8_t size;
		uint32_t status;
		enum end_reason reason;
	} want[] = {
	    {1, 0, END_EXITED},       {1, 123, END_EXITED},     {1, 124, END_BAD_STATUS},
	    {4, 123, END_EXITED},     {4, 124, END_BAD_STATUS}, {4, UINT32_MAX, END_BAD_STATUS},
	    {4, 256, END_BAD_STATUS},
	};

	ck_assert(!out(RS_PORT_EXIT, want[_i].size, want[_i].status));
	ck_assert_int_eq(machine->outcome.reason, want[_i].reason);
	ck_assert_uint_eq(machine->outcome.guest_status, want[_i].status);
}
END_TEST

/* To the right port with the wrong size nothing happens. */
START_TEST(sizes_that_mean_nothing)
{
	static const struct {
		uint16_t port;
		uint8_t size;
	} wrong[] = {{RS_PORT_PUTC, 2}, {RS_PORT_PUTC, 4}, {RS_PORT_CALL, 1},
	             {RS_PORT_CALL, 2}, {RS_PORT_MARK, 2}, {RS_PORT_MARK, 4}};

	call->result = 1234;
	ck_assert(out(wrong[_i].port, wrong[_i].size, RS_CALL_CLOCK));
	ck_assert_uint_eq(cpu->stats.unknown_io, 1);
	ck_assert_uint_eq(cpu->stats.hypercalls, 0);
	ck_assert_uint_eq(machine->console.used, 0);
	ck_assert_int_eq(call->result, 1234);
	ck_assert(!cpu->mark_due);
}
END_TEST

START_TEST(the_port_for_nothing_is_known)
{
	ck_assert(out(RS_PORT_NOP, 1, 0) && out(RS_PORT_NOP, 4, 0));
	ck_assert_uint_eq(cpu->stats.unknown_io, 0);
}
END_TEST

/* ---- Other exits ----------------------------------------------------------------------------- */

START_TEST(a_load_from_nowhere)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = 0xfee00000;
	run->mmio.len = 4;
	ck_assert(exit_dispatch(cpu));
	for (unsigned i = 0; i < sizeof(run->mmio.data); i++)
		ck_assert_uint_eq(run->mmio.data[i], 0xff);
	ck_assert_uint_eq(cpu->stats.unknown_mmio, 1);
	was_recorded(4, false, 0xfee00000, 0);
}
END_TEST

START_TEST(a_store_to_nowhere)
{
	const uint64_t value = 0x1122334455667788;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = UINT64_C(1) << 40;
	run->mmio.len = 8;
	run->mmio.is_write = 1;
	memcpy(run->mmio.data, &value, sizeof(value));
	ck_assert(exit_dispatch(cpu));
	ck_assert_mem_eq(run->mmio.data, &value, sizeof(value));
	ck_assert_uint_eq(cpu->stats.unknown_mmio, 1);
	was_recorded(8, true, UINT64_C(1) << 40, value);
}
END_TEST

START_TEST(an_msr_that_does_not_exist)
{
	const bool write = _i;

	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.index = 0x1234;
	run->msr.data = 99;
	ck_assert(exit_dispatch(cpu));
	ck_assert_uint_eq(run->msr.error, 1);
	was_recorded(8, write, 0x1234, write ? 99 : 0);
}
END_TEST

START_TEST(exits_that_end_the_run)
{
	static const struct {
		uint32_t reason;
		enum end_reason end;
		uint64_t detail;
	} want[] = {
	    {KVM_EXIT_SHUTDOWN, END_SHUTDOWN, 0},
	    {KVM_EXIT_FAIL_ENTRY, END_FAIL_ENTRY, 0x80000021},
	    {KVM_EXIT_INTERNAL_ERROR, END_INTERNAL_ERROR, KVM_INTERNAL_ERROR_DELIVERY_EV},
	    {KVM_EXIT_DEBUG, END_UNEXPECTED_EXIT, 0},
	    {KVM_EXIT_UNKNOWN, END_UNEXPECTED_EXIT, 0},
	    {4711, END_UNEXPECTED_EXIT, 0},
	};

	run->exit_reason = want[_i].reason;
	if (want[_i].reason == KVM_EXIT_FAIL_ENTRY)
		run->fail_entry.hardware_entry_failure_reason = want[_i].detail;
	else
		run->internal.suberror = (uint32_t)want[_i].detail;
	ck_assert(!exit_dispatch(cpu));
	ck_assert_int_eq(machine->outcome.reason, want[_i].end);
	ck_assert_uint_eq(machine->outcome.exit_reason, want[_i].reason);
	was_recorded(0, false, want[_i].detail, 0);
}
END_TEST

START_TEST(exits_that_mean_nothing)
{
	static const uint32_t reasons[] = {KVM_EXIT_INTR, KVM_EXIT_NMI, KVM_EXIT_IRQ_WINDOW_OPEN,
	                                   KVM_EXIT_SET_TPR};

	run->exit_reason = reasons[_i];
	ck_assert(exit_dispatch(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	was_recorded(0, false, 0, 0);
}
END_TEST

START_TEST(the_last_cpu_that_halts_ends_the_run)
{
	struct cpu *other = &machine->cpus[1];

	machine->boot.cpus = 2;
	other->started = true;
	run->exit_reason = KVM_EXIT_HLT;
	ck_assert(!exit_dispatch(cpu));
	ck_assert(cpu->halted);
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	other->halted = true;
	ck_assert(!exit_dispatch(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_HALTED);
}
END_TEST

/* One that never started cannot go on. */
START_TEST(a_cpu_that_was_not_started_keeps_nobody)
{
	machine->boot.cpus = 2;
	run->exit_reason = KVM_EXIT_HLT;
	ck_assert(!exit_dispatch(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_HALTED);
}
END_TEST

/* ---- Calls ----------------------------------------------------------------------------------- */

static int64_t make_call(uint32_t function, uint64_t arg0, uint64_t arg1)
{
	call->arg[0] = arg0;
	call->arg[1] = arg1;
	call->result = 0x7777;
	ck_assert(out(RS_PORT_CALL, 4, function));
	return call->result;
}

START_TEST(a_write_fits_the_page_or_is_refused)
{
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 1, 0), 0);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 1, sizeof(call->data)), sizeof(call->data));
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 0);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 1, sizeof(call->data) + 1), -EMSGSIZE);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 1, UINT64_MAX), -EMSGSIZE);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 0, 1), -EBADF);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 3, 1), -EBADF);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, UINT64_C(1) << 32 | 1, 1), -EBADF);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 5);
	ck_assert_uint_eq(cpu->stats.hypercalls, 7);
	ck_assert_uint_eq(cpu->stats.console_bytes, sizeof(call->data));
}
END_TEST

START_TEST(a_write_goes_to_the_console)
{
	memcpy(call->data, "abcd", 4);
	ck_assert_int_eq(make_call(RS_CALL_WRITE, 1, 3), 3);
	ck_assert_uint_eq(machine->console.used, 3);
	ck_assert_mem_eq(machine->console.buffer, "abc", 3);
}
END_TEST

START_TEST(an_unknown_call_is_counted)
{
	static const uint32_t unknown[] = {0, 6, 15, 18, RS_CALL_TORTURE, 0xdead, UINT32_MAX};

	ck_assert_int_eq(make_call(unknown[_i], 0, 0), -ENOSYS);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 1);
	ck_assert_uint_eq(cpu->stats.hypercalls, 1);
}
END_TEST

START_TEST(the_clock_is_the_hosts)
{
	struct timespec now;
	int64_t before, after, told;

	clock_gettime(CLOCK_MONOTONIC, &now);
	before = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	told = make_call(RS_CALL_CLOCK, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	after = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	ck_assert_int_ge(told, before);
	ck_assert_int_le(told, after);
}
END_TEST

/* ---- Figures and attempts -------------------------------------------------------------------- */

static void fill(void)
{
	struct rs_record record = {.name = "n",
	                           .unit = "ns",
	                           .mode = RS_RECORD_NO_MODE,
	                           .min = RS_RECORD_NONE,
	                           .median = 5,
	                           .p90 = RS_RECORD_NONE,
	                           .p99 = RS_RECORD_NONE,
	                           .max = RS_RECORD_NONE};

	for (unsigned i = 0; i < RS_RECORDS_A_CALL; i++)
		memcpy(call->data + i * sizeof(record), &record, sizeof(record));
}

START_TEST(figures_fit_the_page_or_are_refused)
{
	fill();
	ck_assert_int_eq(make_call(RS_CALL_RECORD, 0, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_RECORD, RS_RECORDS_A_CALL + 1, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_RECORD, UINT64_MAX, 0), -EINVAL);
	ck_assert_uint_eq(machine->figures.count, 0);
	ck_assert_int_eq(make_call(RS_CALL_RECORD, RS_RECORDS_A_CALL, 0), RS_RECORDS_A_CALL);
	ck_assert_uint_eq(machine->figures.count, RS_RECORDS_A_CALL);
}
END_TEST

/* As many as there is room for, and not one more. */
START_TEST(figures_run_out)
{
	int64_t taken;

	fill();
	while ((taken = make_call(RS_CALL_RECORD, RS_RECORDS_A_CALL, 0)) > 0)
		ck_assert_uint_le(machine->figures.count, RS_MAX_RECORDS);
	ck_assert_int_eq(taken, -ENOSPC);
	ck_assert_uint_eq(machine->figures.count, RS_MAX_RECORDS);
}
END_TEST

/* What goes to a terminal later is printable, or is not taken. */
START_TEST(figures_are_printable)
{
	static const char *const names[] = {"a\x1b[2J", "a\x7f", "a\x80", "\xff", "a\nb", ""};

	fill();
	strcpy(call->data, names[_i]);
	ck_assert_int_eq(make_call(RS_CALL_RECORD, 1, 0), -EINVAL);
	strcpy(call->data, "a ~");
	ck_assert_int_eq(make_call(RS_CALL_RECORD, 1, 0), 1);
}
END_TEST

START_TEST(attempts_fit_the_page_or_are_refused)
{
	const struct rs_escape escape = {.program = "p", .host = "h", .group = "g", .name = "n"};

	for (unsigned i = 0; i < RS_ESCAPES_A_CALL; i++)
		memcpy(call->data + i * sizeof(escape), &escape, sizeof(escape));
	ck_assert_int_eq(make_call(RS_CALL_ESCAPE, 0, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_ESCAPE, RS_ESCAPES_A_CALL + 1, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_ESCAPE, UINT64_MAX, 0), -EINVAL);
	ck_assert_uint_eq(machine->attempts.count, 0);
	ck_assert_int_eq(make_call(RS_CALL_ESCAPE, RS_ESCAPES_A_CALL, 0), RS_ESCAPES_A_CALL);
	ck_assert_uint_eq(machine->attempts.count, RS_ESCAPES_A_CALL);
}
END_TEST

/* ---- Panics ---------------------------------------------------------------------------------- */

static void panic(uint64_t bytes, uint64_t regs)
{
	call->arg[0] = bytes;
	call->arg[1] = regs;
	ck_assert(!out(RS_PORT_CALL, 4, RS_CALL_PANIC));
	ck_assert_int_eq(machine->outcome.reason, END_PANIC);
}

START_TEST(a_panic_is_copied_out)
{
	const uint64_t last = LIVE_RAM - sizeof(struct rs_regs);
	struct rs_regs *regs = memory_at(&machine->memory, last, sizeof(*regs));

	memset(regs, 0x5a, sizeof(*regs));
	memcpy(call->data, "dead", 4);
	panic(3, last);
	ck_assert_uint_eq(machine->panic.message_size, 3);
	ck_assert_mem_eq(machine->panic.message, "dea\0", 4);
	ck_assert(machine->panic.has_regs);
	ck_assert_mem_eq(&machine->panic.regs, regs, sizeof(*regs));
}
END_TEST

/* Whatever the arguments are, the guest is dead. */
START_TEST(a_panic_that_lies)
{
	memset(call->data, 'x', sizeof(call->data));
	memset(live->call[1], 'x', 8); /* what lies behind */
	panic(UINT64_MAX, LIVE_RAM - sizeof(struct rs_regs) + 1);
	ck_assert_uint_eq(machine->panic.message_size, sizeof(machine->panic.message));
	ck_assert(!machine->panic.has_regs);
	panic(sizeof(call->data) + 1, UINT64_MAX);
	ck_assert_uint_eq(machine->panic.message_size, sizeof(machine->panic.message));
	panic(sizeof(call->data) - 1, UINT64_MAX);
	ck_assert_uint_eq(machine->panic.message_size, sizeof(call->data) - 1);
	ck_assert(!machine->panic.has_regs);
}
END_TEST

/* ---- Standard input -------------------------------------------------------------------------- */

static void give_input(const char *bytes, size_t count)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], bytes, count), (ssize_t)count);
	ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	close(ends[1]);
}

START_TEST(a_read_brings_what_there_is)
{
	give_input("abcdef", 6);
	ck_assert_int_eq(make_call(RS_CALL_READ, 4, 0), 4);
	ck_assert_mem_eq(call->data, "abcd\0", 5);
	ck_assert_int_eq(make_call(RS_CALL_READ, sizeof(call->data), 0), 2);
	ck_assert_mem_eq(call->data, "ef", 2);
	ck_assert_int_eq(make_call(RS_CALL_READ, 1, 0), 0);
	ck_assert_uint_eq(cpu->stats.input_bytes, 6);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 0);
}
END_TEST

START_TEST(a_read_fits_the_page_or_is_refused)
{
	give_input("x", 1);
	ck_assert_int_eq(make_call(RS_CALL_READ, sizeof(call->data) + 1, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_READ, UINT64_MAX, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_READ, 0, 0), 0);
	ck_assert_uint_eq(cpu->stats.input_bytes, 0);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 2);
}
END_TEST

/* ---- Other CPUs ------------------------------------------------------------------------------ */

static int halts_at_once(unsigned n)
{
	fake_kvm.vcpus[n].run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

START_TEST(a_cpu_starts_once)
{
	machine->boot.cpus = 2;
	run_begin(machine);
	fake_kvm_catch_runs();
	fake_kvm.run = halts_at_once;
	ck_assert_int_eq(make_call(RS_CALL_START_CPU, 0, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_START_CPU, 2, 0), -EINVAL);
	ck_assert_int_eq(make_call(RS_CALL_START_CPU, UINT64_C(1) << 32 | 1, 0), -EINVAL);
	ck_assert(!machine->cpus[1].started);
	ck_assert_int_eq(make_call(RS_CALL_START_CPU, 1, 0), 0);
	ck_assert(machine->cpus[1].started);
	ck_assert_int_eq(make_call(RS_CALL_START_CPU, 1, 0), -EALREADY);
	threads_join(machine);
	ck_assert(machine->cpus[1].halted);
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 4);
}
END_TEST

/* ---- Marks ----------------------------------------------------------------------------------- */

static void set_state(void)
{
	struct fake_vcpu *vcpu = &fake_kvm.vcpus[0];

	vcpu->regs = (struct kvm_regs){.rip = 1, .rsp = 2, .rflags = 3};
	vcpu->sregs.cr3 = 4;
	vcpu->sregs.cs.selector = 5;
	vcpu->sregs.cs.dpl = 2;
	vcpu->sregs.ss.selector = 6;
	vcpu->sregs.ss.dpl = 3;
	vcpu->msr_count = 1;
	vcpu->msrs[0] = (struct kvm_msr_entry){.index = 0x10, .data = 777};
}

static void check_mark(const struct rs_mark *mark, uint64_t count)
{
	ck_assert_uint_eq(mark->count, count);
	ck_assert_uint_eq(mark->rip, 1);
	ck_assert_uint_eq(mark->rsp, 2);
	ck_assert_uint_eq(mark->rflags, 3);
	ck_assert_uint_eq(mark->cr3, 4);
	ck_assert_uint_eq(mark->cs, 5);
	ck_assert_uint_eq(mark->ss, 6);
	ck_assert_uint_eq(mark->cpl, 3);
	ck_assert_uint_eq(mark->tsc, 777);
}

START_TEST(a_mark_is_stored_when_its_out_is_complete)
{
	set_state();
	ck_assert(out(RS_PORT_MARK, 1, RS_MARKS - 1));
	ck_assert(cpu->mark_due);
	ck_assert_uint_eq(cpu->mark_slot, RS_MARKS - 1);
	ck_assert_uint_eq(run->immediate_exit, 1);
	ck_assert_uint_eq(run->kvm_valid_regs, 0);
	ck_assert(hypercall_store_mark(cpu));
	ck_assert(!cpu->mark_due);
	check_mark(&call->marks[RS_MARKS - 1], 1);
	ck_assert(out(RS_PORT_MARK, 1, RS_MARKS - 1) && hypercall_store_mark(cpu));
	check_mark(&call->marks[RS_MARKS - 1], 2);
	ck_assert_str_eq(cpu->last_when, "at the last mark");
	ck_assert_uint_eq(cpu->last.regs.rip, 1);
}
END_TEST

/* Where KVM_RUN brings the registers nobody asks for them. */
START_TEST(a_mark_takes_what_kvm_brings)
{
	set_state();
	cpu->vcpu.sync_regs = true;
	ck_assert(out(RS_PORT_MARK, 1, 0));
	ck_assert_uint_eq(run->kvm_valid_regs, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
	run->s.regs.regs = fake_kvm.vcpus[0].regs;
	run->s.regs.sregs = fake_kvm.vcpus[0].sregs;
	ck_assert(hypercall_store_mark(cpu));
	check_mark(&call->marks[0], 1);
	ck_assert_uint_eq(run->kvm_valid_regs, 0);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_REGS), 0);
}
END_TEST

START_TEST(a_mark_without_a_slot)
{
	ck_assert(out(RS_PORT_MARK, 1, RS_MARKS));
	ck_assert(out(RS_PORT_MARK, 1, 255));
	ck_assert(!cpu->mark_due);
	ck_assert_uint_eq(run->immediate_exit, 0);
	ck_assert_uint_eq(cpu->stats.bad_hypercalls, 2);
}
END_TEST

START_TEST(a_mark_that_cannot_be_read)
{
	ck_assert(out(RS_PORT_MARK, 1, 1));
	fake_kvm.fails = KVM_GET_SREGS;
	fake_kvm.error = EIO;
	ck_assert(!hypercall_store_mark(cpu));
	ck_assert_uint_eq(call->marks[1].count, 0);
}
END_TEST

Suite *exits_suite(void)
{
	Suite *suite = suite_create("exits");
	TCase *tests = tcase_create("exits");

	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_loop_test(tests, nobody_answers_a_read, 0, 3);
	tcase_add_test(tests, nobody_answers_a_string_of_reads);
	tcase_add_loop_test(tests, a_write_has_its_size, 0, 3);
	tcase_add_test(tests, a_string_of_writes_is_as_many_writes);
	tcase_add_test(tests, a_string_ends_with_the_run);
	tcase_add_loop_test(tests, status_bounds, 0, 7);
	tcase_add_loop_test(tests, sizes_that_mean_nothing, 0, 6);
	tcase_add_test(tests, the_port_for_nothing_is_known);
	tcase_add_test(tests, a_load_from_nowhere);
	tcase_add_test(tests, a_store_to_nowhere);
	tcase_add_loop_test(tests, an_msr_that_does_not_exist, 0, 2);
	tcase_add_loop_test(tests, exits_that_end_the_run, 0, 6);
	tcase_add_loop_test(tests, exits_that_mean_nothing, 0, 4);
	tcase_add_test(tests, the_last_cpu_that_halts_ends_the_run);
	tcase_add_test(tests, a_cpu_that_was_not_started_keeps_nobody);
	suite_add_tcase(suite, tests);

	tests = tcase_create("calls");
	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_test(tests, a_write_fits_the_page_or_is_refused);
	tcase_add_test(tests, a_write_goes_to_the_console);
	tcase_add_loop_test(tests, an_unknown_call_is_counted, 0, 7);
	tcase_add_test(tests, the_clock_is_the_hosts);
	tcase_add_test(tests, figures_fit_the_page_or_are_refused);
	tcase_add_test(tests, figures_run_out);
	tcase_add_loop_test(tests, figures_are_printable, 0, 6);
	tcase_add_test(tests, attempts_fit_the_page_or_are_refused);
	tcase_add_test(tests, a_panic_is_copied_out);
	tcase_add_test(tests, a_panic_that_lies);
	tcase_add_test(tests, a_read_brings_what_there_is);
	tcase_add_test(tests, a_read_fits_the_page_or_is_refused);
	tcase_add_test(tests, a_cpu_starts_once);
	tcase_add_test(tests, a_mark_is_stored_when_its_out_is_complete);
	tcase_add_test(tests, a_mark_takes_what_kvm_brings);
	tcase_add_test(tests, a_mark_without_a_slot);
	tcase_add_test(tests, a_mark_that_cannot_be_read);
	suite_add_tcase(suite, tests);
	return suite;
}
