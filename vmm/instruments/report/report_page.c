#include "vmm/instruments/report/report_page.h"

#include <stdlib.h>

#include "vmm/base/message.h"
#include "vmm/instruments/report/report_html.h"
#include "vmm/look/roots.h"

/* Ring 3's root, and of the same kernel: they have the entry area's first page of words in common.
 * One that a guest freed since, or invented, does not have it. */
static bool is_user_root_of(const struct pt *kernel, const struct pt *user)
{
	struct pt_walk ours, theirs;

	if (roots_kind(user) != ROOT_USER)
		return false;
	pt_walk(kernel, RS_ENTRY_CPU(0), &ours);
	pt_walk(user, RS_ENTRY_CPU(0), &theirs);
	return ours.mapped && theirs.mapped && ours.pa == theirs.pa;
}

/* The user root: the one in force, else the one that ring 3 was last seen on.  Returns in words
 * when that was; NULL: none is known. */
static const char *find_user_root(const struct machine *machine, const struct pt *kernel,
                                  struct pt *user)
{
	for (unsigned cpu = 0; cpu < machine->boot.cpus; cpu++) {
		*user = pt_attach(kernel->geo, kernel->mem, machine->boot.call[cpu]->user_cr3);
		if (is_user_root_of(kernel, user))
			return "in force at the end";
	}
	for (unsigned i = 0; i < machine->boot.cpus * RS_MARKS; i++) {
		const struct rs_mark *mark = &machine->boot.call[i / RS_MARKS]->marks[i % RS_MARKS];

		if (!mark->count || mark->cpl != 3)
			continue;
		*user = pt_attach(kernel->geo, kernel->mem, mark->cr3);
		if (is_user_root_of(kernel, user))
			return "that ring 3 ran on at its last mark, KPTI being off at the end";
	}
	return NULL;
}

static const char *collect_spaces(const struct machine *machine, struct space_rows *spaces)
{
	const struct pt *boot = &machine->boot.kernel;

	/* Regions with names are those of Ringscope's own address space. */
	if (!machine->boot.call[0]) {
		*spaces = (struct space_rows){0};
		return NULL;
	}

	const uint64_t cr3 = machine->boot.call[machine->outcome.cpu]->kernel_cr3;
	const struct pt kernel = cr3 ? pt_attach(boot->geo, boot->mem, cr3) : *boot;
	struct pt user;
	const char *from = find_user_root(machine, &kernel, &user);

	space_rows_collect(spaces, &kernel, from ? &user : NULL);
	return from;
}

bool report_page(struct outfile *out, const struct machine *machine,
                 const struct timeline *timeline, const struct report_input *report)
{
	struct space_rows *spaces = malloc(sizeof(*spaces));
	bool good;

	if (!spaces)
		return message_error("no memory for the report");

	const struct report_html_input in = {
	    .report = report,
	    .timeline = timeline,
	    .user_root_from = collect_spaces(machine, spaces),
	    .spaces = spaces,
	};

	report_html(out->stream, &in);
	good = outfile_commit(out);
	free(spaces);
	return good;
}
