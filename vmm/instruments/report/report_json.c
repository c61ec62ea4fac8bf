#include "vmm/instruments/report/report.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/base/printable.h"
#include "vmm/devices/attempts.h"
#include "vmm/devices/counters.h"
#include "vmm/devices/figures.h"

/* ---- Building ---------------------------------------------------------------------------- */

/* An object being filled.  When memory runs out `failed` is set and the rest does nothing. */
struct builder {
	bool failed;
};

static json_t *checked(struct builder *b, json_t *value)
{
	if (!value)
		b->failed = true;
	return value;
}

static json_t *object(struct builder *b)
{
	return checked(b, json_object());
}

/* Takes the value, also when it fails. */
static void put(struct builder *b, json_t *to, const char *key, json_t *value)
{
	if (json_object_set_new(to, key, checked(b, value)) < 0)
		b->failed = true;
}

/* JSON's integers end at 2^63 - 1 here; what a hostile guest counted beyond that stays there. */
static void put_count(struct builder *b, json_t *to, const char *key, uint64_t count)
{
	put(b, to, key, json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count));
}

/* The text, or where it is not UTF-8 what of it is printable; NULL gives null. */
static json_t *json_of_text(const char *text)
{
	char clean[4096];
	json_t *value;

	if (!text)
		return json_null();
	value = json_string(text);
	if (!value)
		value = json_string(printable(clean, sizeof(clean), text, strlen(text)));
	return value;
}

static void put_text(struct builder *b, json_t *to, const char *key, const char *text)
{
	put(b, to, key, json_of_text(text));
}

static void append(struct builder *b, json_t *to, json_t *value)
{
	if (json_array_append_new(to, checked(b, value)) < 0)
		b->failed = true;
}

static json_t *json_of_bits(struct builder *b, const struct bit_name *names, uint64_t value)
{
	json_t *array = checked(b, json_array());

	for (; names->name; names++) {
		if (value & names->bit)
			append(b, array, json_string(names->name));
	}
	return array;
}

/* ---- Sections ---------------------------------------------------------------------------- */

static json_t *json_of_exits(struct builder *b, const struct stats *stats)
{
	struct stats_summary summary[STATS_REASONS];
	struct stats_times times;
	json_t *exits = object(b), *by_reason = object(b);

	stats_times(stats, &times);
	stats_summarize(stats, summary);
	put_count(b, exits, "total", times.exits);
	for (uint32_t i = 0; i < STATS_REASONS; i++) {
		const struct stats_summary *s = &summary[i];
		json_t *reason;

		if (!s->count)
			continue;
		reason = object(b);
		put_count(b, reason, "count", s->count);
		put_count(b, reason, "total", s->total_ns);
		put_count(b, reason, "min", s->min_ns);
		put_count(b, reason, "p50", s->p50_ns);
		put_count(b, reason, "p99", s->p99_ns);
		put_count(b, reason, "max", s->max_ns);
		put_count(b, reason, "guest", s->guest_ns);
		put(b, by_reason, stats_reason_name(i), reason);
	}
	put(b, exits, "by_reason", by_reason);
	return exits;
}

static json_t *json_of_time(struct builder *b, const struct stats *stats)
{
	struct stats_times times;
	json_t *time = object(b);

	stats_times(stats, &times);
	put_count(b, time, "run", times.run_ns);
	put_count(b, time, "guest", times.guest_ns);
	put_count(b, time, "vmm", times.vmm_ns);
	return time;
}

static json_t *json_of_services(struct builder *b, const struct stats *stats)
{
	json_t *services = object(b);

	put_count(b, services, "console_bytes", stats->console_bytes);
	put_count(b, services, "input_bytes", stats->input_bytes);
	put_count(b, services, "hypercalls", stats->hypercalls);
	put_count(b, services, "bad_hypercalls", stats->bad_hypercalls);
	put_count(b, services, "unknown_io", stats->unknown_io);
	put_count(b, services, "unknown_mmio", stats->unknown_mmio);
	return services;
}

static void put_group(struct builder *b, json_t *to, enum counter_group group,
                      const struct rs_stats *counts)
{
	for (const struct counter *c = counters; c->key; c++) {
		if (c->group == group)
			put_count(b, to, c->key, counter_value(c, counts));
	}
}

static json_t *json_of_group(struct builder *b, enum counter_group group,
                             const struct rs_stats *counts)
{
	json_t *json;

	if (!counts)
		return json_null();
	json = object(b);
	put_group(b, json, group, counts);
	return json;
}

static json_t *json_of_crossings(struct builder *b, const struct rs_stats *counts)
{
	json_t *crossings, *vectors;

	if (!counts)
		return json_null();
	crossings = object(b);
	vectors = object(b);
	put_group(b, crossings, COUNTERS_ENTRIES, counts);
	put_group(b, crossings, COUNTERS_EVENTS, counts);
	for (unsigned v = 0; v < 256; v++) {
		if (counts->vectors[v])
			put_count(b, vectors, vector_name(v), counts->vectors[v]);
	}
	put(b, crossings, "vectors", vectors);
	return crossings;
}

/* null with one CPU: all the rest is about that one. */
static json_t *json_of_cpus(struct builder *b, const struct report_input *in)
{
	json_t *array;

	if (in->cpu_count <= 1)
		return json_null();
	array = checked(b, json_array());
	for (unsigned i = 0; i < in->cpu_count; i++) {
		const struct report_cpu *cpu = &in->cpus[i];
		const struct rs_stats *counts = cpu->started ? cpu->counts : NULL;
		json_t *json = object(b);

		put(b, json, "started", json_boolean(cpu->started));
		put(b, json, "halted", json_boolean(cpu->halted));
		put(b, json, "time", cpu->started ? json_of_time(b, cpu->stats) : json_null());
		put(b, json, "exits", cpu->started ? json_of_exits(b, cpu->stats) : json_null());
		put(b, json, "crossings", json_of_crossings(b, counts));
		put(b, json, "scheduling", json_of_group(b, COUNTERS_SCHEDULING, counts));
		put(b, json, "cr3", json_of_group(b, COUNTERS_CR3, counts));
		append(b, array, json);
	}
	return array;
}

static json_t *json_of_quirks(struct builder *b, const struct report_input *in)
{
	json_t *quirks = object(b);

	put_count(b, quirks, "syscall", in->counts ? in->counts->quirk_syscall : 0);
	put_count(b, quirks, "int_n", in->counts ? in->counts->quirk_intn : 0);
	put_count(b, quirks, "stac", in->stats->quirk_stac);
	put_count(b, quirks, "ud_injected", in->stats->quirk_ud_injected);
	return quirks;
}

static json_t *json_of_host(struct builder *b, const struct host *host)
{
	json_t *json = object(b);

	put_text(b, json, "kernel", host->kernel);
	put_text(b, json, "vendor", host->vendor);
	put_text(b, json, "brand", host->brand);
	put_count(b, json, "family", host->family);
	put_count(b, json, "model", host->model);
	put_count(b, json, "stepping", host->stepping);
	put_count(b, json, "kvm_api", (uint64_t)host->kvm_api);
	put(b, json, "sync_regs", json_boolean(host->sync_regs));
	put_count(b, json, "maxphyaddr", host->maxphyaddr);
	put(b, json, "tsc_khz",
	    host->tsc_khz ? json_integer((json_int_t)host->tsc_khz) : json_null());
	put(b, json, "apic_khz",
	    host->apic_khz ? json_integer((json_int_t)host->apic_khz) : json_null());
	put(b, json, "rdcl_no", host->rdcl_no_known ? json_boolean(host->rdcl_no) : json_null());
	put(b, json, "cpuid_features", json_of_bits(b, feature_names, host->cpuid_features));
	put(b, json, "features", json_of_bits(b, feature_names, host->features));
	return json;
}

static json_t *json_of_guest(struct builder *b, const struct report_input *in)
{
	const struct outcome *outcome = in->outcome;
	json_t *guest = object(b), *arguments = checked(b, json_array()), *status;

	switch (outcome->reason) {
	case END_EXITED:
	case END_BAD_STATUS:
		status = json_integer(outcome->guest_status);
		break;
	case END_HALTED:
		status = json_integer(0);
		break;
	default:
		status = json_null();
		break;
	}
	put_text(b, guest, "file", in->plan->guest);
	for (unsigned i = 0; plan_argument(in->plan, i); i++)
		append(b, arguments, json_of_text(plan_argument(in->plan, i)));
	put(b, guest, "arguments", arguments);
	put_text(b, guest, "end", outcome_name(outcome->reason));
	put(b, guest, "status", status);
	put(b, guest, "signal",
	    outcome->reason == END_SIGNAL ? json_integer(outcome->signal) : json_null());
	put(b, guest, "cpu", outcome_is_of_cpu(outcome) ? json_integer(outcome->cpu) : json_null());
	put_text(b, guest, "last_exit", stats_reason_name(outcome->exit_reason));
	put(b, guest, "note", json_boolean(in->noted));
	if (in->protocol)
		put_text(b, guest, "protocol", in->protocol);
	put_text(b, guest, "pti", pti_name(in->pti_mode));
	put_count(b, guest, "levels", in->levels);
	put(b, guest, "features", json_of_bits(b, feature_names, in->features));
	return guest;
}

static json_t *json_of_modules(struct builder *b, const struct plan *plan)
{
	json_t *array = checked(b, json_array());

	for (unsigned i = 0; i < plan->module_count; i++) {
		json_t *json = object(b);

		put_text(b, json, "file", plan->modules[i].path);
		put_text(b, json, "words", plan->modules[i].words);
		append(b, array, json);
	}
	return array;
}

static json_t *json_of_options(struct builder *b, const struct report_input *in)
{
	static const char *const pti[] = {
	    [PTI_AUTO] = "auto",
	    [PTI_ON] = "on",
	    [PTI_OFF] = "off",
	};
	const struct plan *plan = in->plan;
	json_t *json = object(b);

	put_count(b, json, "mem", plan->mem);
	put_text(b, json, "pti", pti[plan->pti]);
	put(b, json, "no_pcid", json_boolean(plan->no_pcid));
	put(b, json, "la57", json_boolean(plan->la57));
	put_count(b, json, "cpus", plan->cpus);
	put(b, json, "no_apic", json_boolean(plan->no_apic));
	put(b, json, "timeout_ns",
	    plan->timeout_ns ? json_integer((json_int_t)plan->timeout_ns) : json_null());
	if (plan->append)
		put_text(b, json, "append", plan->append);
	if (plan->initrd)
		put_text(b, json, "initrd", plan->initrd);
	if (plan->module_count)
		put(b, json, "modules", json_of_modules(b, plan));
	put(b, json, "quiet", json_boolean(in->quiet));
	return json;
}

static json_t *json_of_value(uint64_t value, uint32_t decimals)
{
	const json_int_t size = (json_int_t)(value & ~RS_RECORD_MINUS);
	const json_int_t sign = value & RS_RECORD_MINUS ? -1 : 1;
	double divisor = 1;

	if (value == RS_RECORD_NONE)
		return json_null();
	if (!decimals)
		return json_integer(sign * size);
	while (decimals--)
		divisor *= 10;
	return json_real((double)(sign * size) / divisor);
}

static json_t *json_of_x(uint64_t x)
{
	return x <= INT64_MAX ? json_integer((json_int_t)x) : json_real((double)x);
}

static json_t *json_of_values(struct builder *b, const struct rs_record *record)
{
	json_t *values = object(b);

	put(b, values, "min", json_of_value(record->min, record->decimals));
	put(b, values, "median", json_of_value(record->median, record->decimals));
	put(b, values, "p90", json_of_value(record->p90, record->decimals));
	put(b, values, "p99", json_of_value(record->p99, record->decimals));
	put(b, values, "max", json_of_value(record->max, record->decimals));
	return values;
}

static json_t *json_of_record(struct builder *b, const struct rs_record *record, uint64_t tsc_khz)
{
	json_t *json = object(b);
	struct rs_record in_ns;

	put_text(b, json, "name", record->name);
	put_text(b, json, "unit", record->unit);
	put(b, json, "mode",
	    record->mode == RS_RECORD_NO_MODE ? json_null() : json_string(pti_name(record->mode)));
	put_text(b, json, "x_unit", *record->x_unit ? record->x_unit : NULL);
	put(b, json, "x", *record->x_unit ? json_of_x(record->x) : json_null());
	put_count(b, json, "samples", record->samples);
	put_count(b, json, "outliers", record->outliers);
	put(b, json, "values", json_of_values(b, record));
	put(b, json, "nanoseconds",
	    record_in_ns(&in_ns, record, tsc_khz) ? json_of_values(b, &in_ns) : json_null());
	return json;
}

static json_t *json_of_records(struct builder *b, const struct report_input *in)
{
	json_t *array = checked(b, json_array());

	for (unsigned i = 0; i < in->record_count; i++)
		append(b, array, json_of_record(b, &in->records[i], in->host->tsc_khz));
	return array;
}

static json_t *json_of_outcome(struct builder *b, const struct rs_outcome *outcome)
{
	json_t *json = object(b);
	char cr2[24];

	snprintf(cr2, sizeof(cr2), "0x%" PRIx64, outcome->cr2);
	put_text(b, json, "outcome", outcome_kind(outcome));
	put(b, json, "vector",
	    outcome->kind < 256 ? json_integer((json_int_t)outcome->kind) : json_null());
	put(b, json, "error", outcome_has_error(outcome) ? json_of_x(outcome->error) : json_null());
	put_text(b, json, "cr2", outcome->kind == VECTOR_PF ? cr2 : NULL);
	return json;
}

static json_t *json_of_escape(struct builder *b, const struct rs_escape *escape)
{
	json_t *json = object(b);

	put_text(b, json, "program", escape->program);
	put_text(b, json, "host", escape->host);
	put_text(b, json, "group", escape->group);
	put_text(b, json, "name", escape->name);
	put_text(b, json, "mode", pti_name(escape->mode));
	put_text(b, json, "verdict", escape_verdict(escape->verdict));
	put(b, json, "want", json_of_outcome(b, &escape->want));
	put(b, json, "got", json_of_outcome(b, &escape->got));
	put_text(b, json, "why", *escape->why ? escape->why : NULL);
	return json;
}

static json_t *json_of_escapes(struct builder *b, const struct report_input *in)
{
	json_t *json = object(b), *rows = checked(b, json_array());
	uint64_t counts[RS_ESCAPE_SKIPPED + 1] = {0};

	for (unsigned i = 0; i < in->escape_count; i++) {
		append(b, rows, json_of_escape(b, &in->escapes[i]));
		counts[in->escapes[i].verdict]++;
	}
	for (uint32_t verdict = 0; verdict <= RS_ESCAPE_SKIPPED; verdict++)
		put_count(b, json, escape_verdict(verdict), counts[verdict]);
	put(b, json, "rows", rows);
	return json;
}

static json_t *json_of_trace(struct builder *b, const struct report_input *in)
{
	json_t *json;

	if (!in->trace.file)
		return json_null();
	json = object(b);
	put_text(b, json, "file", in->trace.file);
	put_count(b, json, "events", in->trace.events);
	put_count(b, json, "dropped", in->trace.dropped);
	put_count(b, json, "lost", in->trace.lost);
	return json;
}

bool report_json(FILE *out, const struct report_input *in)
{
	struct builder b = {0};
	json_t *root = object(&b);
	bool good;

	put_count(&b, root, "schema", 1);
	put_text(&b, root, "version", RS_VERSION);
	put(&b, root, "guest", json_of_guest(&b, in));
	put_count(&b, root, "exit_status", (uint64_t)outcome_status(in->outcome));
	put_count(&b, root, "elapsed", in->elapsed_ns);
	put(&b, root, "time", json_of_time(&b, in->stats));
	put(&b, root, "exits", json_of_exits(&b, in->stats));
	put(&b, root, "cpus", json_of_cpus(&b, in));
	put(&b, root, "services", json_of_services(&b, in->stats));
	put(&b, root, "crossings", json_of_crossings(&b, in->counts));
	put(&b, root, "scheduling", json_of_group(&b, COUNTERS_SCHEDULING, in->counts));
	put(&b, root, "cr3", json_of_group(&b, COUNTERS_CR3, in->counts));
	put(&b, root, "quirks", json_of_quirks(&b, in));
	put(&b, root, "records", json_of_records(&b, in));
	put(&b, root, "escapes", json_of_escapes(&b, in));
	put(&b, root, "trace", json_of_trace(&b, in));
	put(&b, root, "host", json_of_host(&b, in->host));
	put(&b, root, "options", json_of_options(&b, in));
	good = !b.failed && json_dumpf(root, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
	json_decref(root);
	return good && !ferror(out);
}
