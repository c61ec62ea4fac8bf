#include "vmm/instruments/probe/probe_report.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "vmm/base/color.h"
#include "vmm/base/printable.h"
#include "vmm/base/units.h"

/* ---- Text -------------------------------------------------------------------------------- */

static const char *const verdict_text[] = {
    [PROBE_AS_MANUAL] = "as the manual", [PROBE_DIFFERS] = "DIFFERS",
    [PROBE_NOT_OFFERED] = "not offered", [PROBE_MEASURED] = "measured",
    [PROBE_NO_ANSWER] = "NO ANSWER",
};

static const char *verdict_color(const struct style *style, enum probe_verdict verdict)
{
	switch (verdict) {
	case PROBE_AS_MANUAL:
		return style->good;
	case PROBE_DIFFERS:
	case PROBE_NO_ANSWER:
		return style->bad;
	default:
		return style->faint;
	}
}

/* Prints words from column `indent` to 96; the first line is there already. */
static void print_wrapped(FILE *out, const char *text, size_t indent)
{
	const size_t width = 96;
	size_t column = indent;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > indent && column + 1 + length > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, length, out);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* "this KVM behaves as the manuals say, except: SYSCALL from ring 3; ..." into a new string; NULL
 * without memory. */
static char *summarize(const struct probe_result *results)
{
	char *text = NULL;
	size_t size, differs = 0, unanswered = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("this KVM behaves as the manuals say", out);
	for (size_t i = 0; i < probe_count; i++) {
		unanswered += results[i].verdict == PROBE_NO_ANSWER;
		if (results[i].verdict == PROBE_DIFFERS)
			fprintf(out, "%s%s", differs++ ? "; " : ", except: ", probe_question(i));
	}
	if (!differs)
		fputs(" in all that was asked", out);
	if (unanswered)
		fprintf(out, " (%zu without an answer)", unanswered);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static int wider(int width, const char *text)
{
	int length = (int)strlen(text);

	return length > width ? length : width;
}

static void print_table(FILE *out, const struct probe_result *results, const struct style *style)
{
	static const char *const heads[] = {"question", "this KVM", "the manuals", "verdict"};
	int width[3] = {0};

	for (int column = 0; column < 3; column++)
		width[column] = wider(0, heads[column]);
	for (size_t i = 0; i < probe_count; i++) {
		width[0] = wider(width[0], probe_question(i));
		width[1] = wider(width[1], results[i].answer);
		width[2] = wider(width[2], results[i].manual);
	}
	fprintf(out, "%s  %-*s  %-*s  %-*s  %s%s\n", style->head, width[0], heads[0], width[1],
	        heads[1], width[2], heads[2], heads[3], style->end);
	for (size_t i = 0; i < probe_count; i++)
		fprintf(out, "  %-*s  %-*s  %-*s  %s%s%s\n", width[0], probe_question(i), width[1],
		        results[i].answer, width[2], results[i].manual,
		        verdict_color(style, results[i].verdict), verdict_text[results[i].verdict],
		        style->end);
}

static void print_meanings(FILE *out, const struct probe_result *results, const struct style *style)
{
	bool headed = false;

	for (size_t i = 0; i < probe_count; i++) {
		if (results[i].verdict != PROBE_DIFFERS)
			continue;
		if (!headed)
			fprintf(out, "\n%sWhat differs, and what it means%s\n", style->head,
			        style->end);
		headed = true;
		fprintf(out, "  %s\n      ", probe_question(i));
		print_wrapped(out, results[i].meaning, 6);
	}
}

void probe_report_text(FILE *out, const struct host *host, const struct probe_result *results,
                       uint64_t elapsed, bool color)
{
	const struct style style = style_get(color);
	char *summary = summarize(results);
	char time[UNITS_SIZE];

	fprintf(out, "%sWhat KVM does here%s: %s, Linux %s; %zu questions in %s\n\n", style.head,
	        style.end, *host->brand ? host->brand : host->vendor, host->kernel, probe_count,
	        units_time(time, elapsed));
	print_table(out, results, &style);
	print_meanings(out, results, &style);
	fprintf(out, "\n%sIn short:%s ", style.head, style.end);
	print_wrapped(out, summary ? summary : "out of memory", 10);
	free(summary);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static const char *const verdict_json[] = {
    [PROBE_AS_MANUAL] = "as-manual",     [PROBE_DIFFERS] = "differs",
    [PROBE_NOT_OFFERED] = "not-offered", [PROBE_MEASURED] = "measured",
    [PROBE_NO_ANSWER] = "no-answer",
};

static json_t *json_of_result(size_t i, const struct probe_result *result)
{
	json_t *values = json_object();

	for (size_t v = 0; v < sizeof(result->values) / sizeof(result->values[0]); v++) {
		if (result->values[v].name)
			json_object_set_new(values, result->values[v].name,
			                    json_real(result->values[v].value));
	}
	return json_pack("{ss ss ss ss ss ss so}", "name", probe_name(i), "question",
	                 probe_question(i), "answer", result->answer, "manual", result->manual,
	                 "verdict", verdict_json[result->verdict], "meaning",
	                 result->verdict == PROBE_DIFFERS ? result->meaning : "", "values", values);
}

bool probe_report_json(FILE *out, const struct host *host, const struct probe_result *results,
                       uint64_t elapsed)
{
	char *summary = summarize(results);
	char kernel[sizeof(host->kernel)], vendor[sizeof(host->vendor)], brand[sizeof(host->brand)];
	json_t *probes = json_array();
	json_t *root = json_pack(
	    "{si ss s{ss ss ss} so sI ss}", "schema", 1, "version", RS_VERSION, "host", "kernel",
	    printable(kernel, sizeof(kernel), host->kernel, sizeof(host->kernel)), "vendor",
	    printable(vendor, sizeof(vendor), host->vendor, sizeof(host->vendor)), "brand",
	    printable(brand, sizeof(brand), host->brand, sizeof(host->brand)), "probes", probes,
	    "elapsed_ns", (json_int_t)elapsed, "summary", summary ? summary : "");
	bool good = root != NULL;

	for (size_t i = 0; i < probe_count && good; i++)
		good = json_array_append_new(probes, json_of_result(i, &results[i])) == 0;
	good = good && json_dumpf(root, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
	json_decref(root);
	free(summary);
	return good && !ferror(out);
}
