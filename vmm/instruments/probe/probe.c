#include "vmm/instruments/probe/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/instruments/probe/probe_report.h"
#include "vmm/instruments/probe/probe_tests.h"
#include "vmm/instruments/probe/probe_vm.h"
#include "vmm/kvm/kvm.h"
#include "vmm/run/outcome.h"

/* One line on a terminal that the next one overwrites; nothing elsewhere. */
static void show_progress(size_t n)
{
	const char *term = getenv("TERM");

	if (!term || !strcmp(term, "dumb") || !isatty(STDERR_FILENO))
		return;
	if (n < probe_count)
		fprintf(stderr, "\r\033[Kprobe %zu of %zu: %s", n + 1, probe_count,
		        probe_question(n));
	else
		fputs("\r\033[K", stderr);
}

static bool write_report(FILE *out, enum stats_format form, const struct host *host,
                         const struct probe_result *results, uint64_t elapsed, bool color)
{
	if (form == STATS_JSON)
		return probe_report_json(out, host, results, elapsed);
	if (form == STATS_TEXT)
		probe_report_text(out, host, results, elapsed, color);
	return true;
}

int probe_main(enum stats_format form, struct outfile *file, const struct manner *manner,
               const struct kvm_advice *no_kvm)
{
	struct probe_result *results = calloc(probe_count, sizeof(*results));
	FILE *out = file->stream ? file->stream : stdout;
	struct kvm kvm = KVM_CLOSED;
	bool good = false;

	if (!results) {
		message_error("no memory for %zu answers", probe_count);
	} else if (kvm_open(&kvm, 1, no_kvm) && kvm_describe(&kvm, false)) {
		const uint64_t begin = clock_ns();

		host_describe(&kvm.host);
		for (size_t i = 0; i < probe_count; i++) {
			show_progress(i);
			probe_ask(i, &kvm, &results[i]);
		}
		show_progress(probe_count);
		if (!write_report(out, form, &kvm.host, results, clock_ns() - begin,
		                  manner_colors_file(manner, file, STDOUT_FILENO)) &&
		    !ferror(out))
			message_error("no memory for the report");
		else
			good = file->stream ? outfile_commit(file) : output_finish("the report");
	}
	kvm_close(&kvm);
	free(results);
	return good ? 0 : STATUS_VMM_FAILED;
}
