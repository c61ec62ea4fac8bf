/* The suites of this program; each file has one. */
#ifndef TESTS_UNIT_VMM_SUITES_H
#define TESTS_UNIT_VMM_SUITES_H

#include <check.h>

Suite *stats_suite(void);
Suite *snapshot_suite(void);
Suite *history_suite(void);
Suite *report_suite(void);
Suite *diagnose_suite(void);
Suite *symbols_suite(void);
Suite *kallsyms_suite(void);
Suite *symbol_file_suite(void);
Suite *probe_report_suite(void);
Suite *boot_suite(void);
Suite *cpuid_suite(void);
Suite *gdb_suite(void);
Suite *inspect_suite(void);
Suite *beside_suite(void);
Suite *trace_suite(void);
Suite *attempts_suite(void);
Suite *html_suite(void);
Suite *look_suite(void);
Suite *look_any_suite(void);
Suite *look_legacy_suite(void);
Suite *core_suite(void);
Suite *torture_suite(void);
Suite *visible_suite(void);
Suite *outfile_suite(void);
Suite *exits_suite(void);
Suite *bus_suite(void);
Suite *quirks_suite(void);
Suite *start_suite(void);
Suite *loader_suite(void);
Suite *stop_suite(void);
Suite *run_suite(void);
Suite *step_suite(void);
Suite *roots_suite(void);
Suite *entries_suite(void);
Suite *kvm_suite(void);
Suite *options_suite(void);
Suite *torture_round_suite(void);
Suite *tracer_suite(void);
Suite *uart_suite(void);
Suite *ioapic_suite(void);
Suite *rtc_suite(void);
Suite *i8042_suite(void);
Suite *power_suite(void);
Suite *pic_suite(void);
Suite *pit_suite(void);
Suite *debug_ports_suite(void);
Suite *protocols_suite(void);
Suite *acpi_suite(void);
Suite *mp_table_suite(void);
Suite *boot_linux_suite(void);
Suite *multiboot_suite(void);
Suite *pc_suite(void);
Suite *pc_host_suite(void);
Suite *calls_suite(void);
Suite *crossings_suite(void);
Suite *costs_suite(void);
Suite *cpio_suite(void);
Suite *linux_program_suite(void);

/* Writes a small ELF file with a symbol "start" at ffffffff80008000; its path, to be unlinked. */
const char *test_elf_file(void);

#endif
