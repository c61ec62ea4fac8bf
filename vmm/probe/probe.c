#include "vmm/probe/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm.h"
#include "vmm/message.h"
#include "vmm/outcome.h"
#include "vmm/outputs.h"
#include "vmm/probe/probe_report.h"
#include "vmm/probe/probe_tests.h"
#include "vmm/probe/probe_vm.h"

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

static bool write_report(FILE *out, const struct options *options, const struct host *host,
                         const struct probe_result *results, uint64_t elapsed, bool color)
{
	if (options->stats == STATS_JSON)
		return probe_report_json(out, host, results, elapsed);
	if (options->stats == STATS_TEXT)
		probe_report_text(out, host, results, elapsed, color);
	return true;
}

static bool report(struct outfile *file, const struct options *options, const struct host *host,
                   const struct probe_result *results, uint64_t elapsed)
{
	FILE *out = file->stream ? file->stream : stdout;
	const bool color =
	    file->stream ? options->color == COLOR_ALWAYS : options_color(options, STDOUT_FILENO);

	if (!write_report(out, options, host, results, elapsed, color) && !ferror(out))
		return message_error("no memory for the report");
	return file->stream ? outfile_commit(file) : output_finish("the report");
}

int probe_main(const struct options *options)
{
	struct probe_result *results = calloc(probe_count, sizeof(*results));
	struct kvm kvm = KVM_CLOSED;
	struct outputs outputs;
	bool good = false;

	if (!results) {
		message_error("no memory for %zu answers", probe_count);
	} else if (outputs_open(&outputs, options) && kvm_open(&kvm, 1, options) &&
	           kvm_describe(&kvm, false)) {
		uint64_t begin = probe_now();

		host_describe(&kvm.host);
		for (size_t i = 0; i < probe_count; i++) {
			show_progress(i);
			probe_ask(i, &kvm, &results[i]);
		}
		show_progress(probe_count);
		good = report(&outputs.stats, options, &kvm.host, results, probe_now() - begin);
	}
	if (results)
		outputs_abandon(&outputs);
	kvm_close(&kvm);
	free(results);
	return good ? 0 : STATUS_VMM_FAILED;
}
