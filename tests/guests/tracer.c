/* Lies in the trace ring and in records, and expects an errno value and its life. */
#include "tests/guests/guest.h"

enum { EINVAL = 22 };

/* A ring is given to guests with the note only; others find 0. */
static void lie_in_ring(const struct rs_boot *boot)
{
	check(boot->trace[0] == 0, 1);
	check(boot->free_end == boot->ram_size, 2);
}

static volatile struct rs_record *record(unsigned i)
{
	return (volatile struct rs_record *)call_page()->data + i;
}

static void write_good(unsigned i)
{
	volatile struct rs_record *r = record(i);

	r->name[0] = 'n';
	r->name[1] = '\0';
	r->unit[0] = 'u';
	r->unit[1] = '\0';
	r->x_unit[0] = '\0';
	r->mode = RS_RECORD_NO_MODE;
	r->decimals = 0;
	r->min = i;
}

static void lie_in_records(void)
{
	static const uint64_t bad_count[] = {0, RS_RECORDS_A_CALL + 1, UINT64_C(1) << 32,
	                                     ~UINT64_C(0)};

	for (unsigned i = 0; i < 4; i++)
		check(call(RS_CALL_RECORD, bad_count[i], 0) == -EINVAL, 10);
	for (unsigned i = 0; i < RS_RECORDS_A_CALL; i++)
		write_good(i);
	record(0)->name[0] = '\0';
	check(call(RS_CALL_RECORD, 1, 0) == -EINVAL, 11);
	record(0)->name[0] = '\x1b';
	check(call(RS_CALL_RECORD, 1, 0) == -EINVAL, 12);
	for (unsigned i = 0; i < sizeof(record(0)->name); i++)
		record(0)->name[i] = '<'; /* no end */
	check(call(RS_CALL_RECORD, 1, 0) == -EINVAL, 13);
	write_good(0);
	record(0)->mode = RS_PTI_NOPCID + 1;
	check(call(RS_CALL_RECORD, 1, 0) == -EINVAL, 14);
	write_good(0);
	record(0)->decimals = 10;
	check(call(RS_CALL_RECORD, 1, 0) == -EINVAL, 15);
	write_good(0);
	record(5)->unit[0] = '\0';
	check(call(RS_CALL_RECORD, RS_RECORDS_A_CALL, 0) == 5, 16);
	write_good(5);
	check(call(RS_CALL_RECORD, RS_RECORDS_A_CALL, 0) == RS_RECORDS_A_CALL, 17);
}

/* As many as are kept, one more call, and the guest goes on. */
static void flood(void)
{
	int64_t taken = 5 + RS_RECORDS_A_CALL, now;

	while ((now = call(RS_CALL_RECORD, RS_RECORDS_A_CALL, 0)) > 0)
		taken += now;
	check(taken == RS_MAX_RECORDS && now == -28 /* ENOSPC */, 20);
}

/* Root of a user space that is none: table and mark that lead nowhere. */
static void lie_about_roots(void)
{
	volatile struct rs_call *page = call_page();

	page->kernel_cr3 = 0xfffffffff000;
	page->user_cr3 = ~UINT64_C(0);
	page->marks[0].count = 1;
	page->marks[0].cpl = 3;
	page->marks[0].cr3 = 0x1000;
}

void start(const struct rs_boot *boot)
{
	lie_in_ring(boot);
	lie_in_records();
	flood();
	lie_about_roots();
	print("every lie was answered\n");
	end(0);
}
