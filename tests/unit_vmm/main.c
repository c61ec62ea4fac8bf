/* Unit tests of the VMM: statistics, reports, diagnosis, boot; and of what runs a guest, over a KVM
 * that is none (fake_kvm.h).  No KVM is needed. */
#include <stdlib.h>

#include "tests/unit_vmm/suites.h"

int main(void)
{
	/* Check's own limit for a test, 4 s, is too little for a busy machine. */
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);

	SRunner *runner = srunner_create(stats_suite());
	int failed;

	srunner_add_suite(runner, report_suite());
	srunner_add_suite(runner, snapshot_suite());
	srunner_add_suite(runner, history_suite());
	srunner_add_suite(runner, diagnose_suite());
	srunner_add_suite(runner, symbols_suite());
	srunner_add_suite(runner, kallsyms_suite());
	srunner_add_suite(runner, symbol_file_suite());
	srunner_add_suite(runner, probe_report_suite());
	srunner_add_suite(runner, boot_suite());
	srunner_add_suite(runner, cpuid_suite());
	srunner_add_suite(runner, trace_suite());
	srunner_add_suite(runner, attempts_suite());
	srunner_add_suite(runner, html_suite());
	srunner_add_suite(runner, look_suite());
	srunner_add_suite(runner, look_any_suite());
	srunner_add_suite(runner, look_legacy_suite());
	srunner_add_suite(runner, core_suite());
	srunner_add_suite(runner, gdb_suite());
	srunner_add_suite(runner, inspect_suite());
	srunner_add_suite(runner, beside_suite());
	srunner_add_suite(runner, torture_suite());
	srunner_add_suite(runner, visible_suite());
	srunner_add_suite(runner, outfile_suite());
	srunner_add_suite(runner, exits_suite());
	srunner_add_suite(runner, bus_suite());
	srunner_add_suite(runner, quirks_suite());
	srunner_add_suite(runner, start_suite());
	srunner_add_suite(runner, loader_suite());
	srunner_add_suite(runner, stop_suite());
	srunner_add_suite(runner, run_suite());
	srunner_add_suite(runner, step_suite());
	srunner_add_suite(runner, roots_suite());
	srunner_add_suite(runner, entries_suite());
	srunner_add_suite(runner, kvm_suite());
	srunner_add_suite(runner, options_suite());
	srunner_add_suite(runner, torture_round_suite());
	srunner_add_suite(runner, tracer_suite());
	srunner_add_suite(runner, uart_suite());
	srunner_add_suite(runner, ioapic_suite());
	srunner_add_suite(runner, rtc_suite());
	srunner_add_suite(runner, i8042_suite());
	srunner_add_suite(runner, power_suite());
	srunner_add_suite(runner, pic_suite());
	srunner_add_suite(runner, pit_suite());
	srunner_add_suite(runner, debug_ports_suite());
	srunner_add_suite(runner, protocols_suite());
	srunner_add_suite(runner, acpi_suite());
	srunner_add_suite(runner, mp_table_suite());
	srunner_add_suite(runner, boot_linux_suite());
	srunner_add_suite(runner, multiboot_suite());
	srunner_add_suite(runner, pc_suite());
	srunner_add_suite(runner, pc_host_suite());
	srunner_add_suite(runner, calls_suite());
	srunner_add_suite(runner, crossings_suite());
	srunner_add_suite(runner, costs_suite());
	srunner_add_suite(runner, cpio_suite());
	srunner_add_suite(runner, linux_program_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
