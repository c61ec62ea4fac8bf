#include "vmm/cli/instruments.h"

#include <stddef.h>

#include "vmm/base/message.h"
#include "vmm/run/run.h"

/* In the order in which they begin and end: the report tells of what the others have found. */
static const struct row {
	const struct instrument *instrument;
	size_t mine; /* in struct options */
} rows[] = {
    {&look_instrument, offsetof(struct options, look)},
    {&trace_instrument, offsetof(struct options, trace)},
    {&report_instrument, offsetof(struct options, report)},
    {&gdb_instrument, offsetof(struct options, gdb)},
    {&inspect_instrument, offsetof(struct options, inspect)},
    {&anatomy_instrument, offsetof(struct options, anatomy)},
    {&calls_instrument, offsetof(struct options, calls)},
    {&torture_instrument, offsetof(struct options, torture)},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void *mine(const struct row *row, struct options *options)
{
	return (char *)options + row->mine;
}

static bool is_wanted(const struct row *row, struct options *options)
{
	return row->instrument->wanted(mine(row, options));
}

/* NULL: none. */
static const struct row *find_driver(struct options *options)
{
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].instrument->drive && is_wanted(&rows[i], options))
			return &rows[i];
	}
	return NULL;
}

bool instruments_check(struct options *options)
{
	const struct row *driver = find_driver(options);

	for (int i = 0; i < ROWS; i++) {
		const struct instrument *instrument = rows[i].instrument;

		if (!is_wanted(&rows[i], options))
			continue;
		if (instrument->drive && &rows[i] != driver)
			return message_error("--%s and --%s: each wants to be the one that stops "
			                     "the guest; give one of them",
			                     driver->instrument->option, instrument->option);
		if (instrument->check &&
		    !instrument->check(mine(&rows[i], options), &options->plan))
			return false;
	}
	return true;
}

bool instruments_begin(struct options *options, struct machine *machine)
{
	for (int i = 0; i < ROWS; i++) {
		const struct instrument *instrument = rows[i].instrument;

		if (instrument->begin && is_wanted(&rows[i], options) &&
		    !instrument->begin(mine(&rows[i], options), machine, &options->manner))
			return false;
	}
	return true;
}

bool instruments_drive(struct options *options, struct machine *machine)
{
	const struct row *driver = find_driver(options);

	if (driver)
		return driver->instrument->drive(mine(driver, options), machine, &options->manner);
	run_cpus(machine);
	return true;
}

enum instrument_result instruments_end(struct options *options, struct machine *machine)
{
	enum instrument_result worst = INSTRUMENT_DONE;

	for (int i = 0; i < ROWS; i++) {
		const struct instrument *instrument = rows[i].instrument;
		enum instrument_result result = INSTRUMENT_DONE;

		if (instrument->end && is_wanted(&rows[i], options))
			result =
			    instrument->end(mine(&rows[i], options), machine, &options->manner);
		if (result > worst)
			worst = result;
	}
	return worst;
}

void instruments_free(struct options *options)
{
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].instrument->free)
			rows[i].instrument->free(mine(&rows[i], options));
	}
}
