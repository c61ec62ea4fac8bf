#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/kvm.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/units.h"
#include "vmm/run/stats.h"

/* A run of random exits over the reasons given; ticks of the whole go to *guest and *vmm. */
static void random_run(struct stats *stats, uint64_t *seed, size_t exits, uint64_t *guest,
                       uint64_t *vmm)
{
	uint64_t now = random_size(seed, 40), begin = now;

	*guest = *vmm = 0;
	ck_assert(stats_start_at(stats, now, 5));
	now += random_size(seed, 20); /* before the first KVM_RUN: nobody's */
	stats_enter_at(stats, now);
	for (size_t i = 0; i < exits; i++) {
		uint64_t inside = random_size(seed, 30), outside = random_size(seed, 25);

		now += inside;
		stats_leave_at(stats, (uint32_t)(random_next(seed) % (STATS_REASONS + 5)), now);
		now += outside;
		if (i + 1 < exits)
			stats_enter_at(stats, now);
		*guest += inside;
		*vmm += outside;
	}
	/* 2.596 ticks a nanosecond, and not a round ratio. */
	stats_stop_at(stats, now, 5 + (now - begin) * 1000 / 2596);
}

START_TEST(everything_adds_up)
{
	uint64_t seed = 1;

	for (int round = 0; round < 200; round++) {
		struct stats_summary summary[STATS_REASONS];
		struct stats_times times;
		struct stats stats;
		uint64_t guest, vmm, ticks_guest = 0, ticks_vmm = 0;
		uint64_t count = 0, guest_ns = 0, vmm_ns = 0;
		size_t exits = 1 + random_next(&seed) % 300;

		random_run(&stats, &seed, exits, &guest, &vmm);
		for (size_t i = 0; i < STATS_REASONS; i++) {
			uint64_t in_histogram = 0;

			for (size_t b = 0; b < STATS_BUCKETS; b++)
				in_histogram += stats.reasons[i].histogram[b];
			ck_assert_uint_eq(in_histogram, stats.reasons[i].count);
			ticks_guest += stats.reasons[i].guest;
			ticks_vmm += stats.reasons[i].total;
		}
		ck_assert_uint_eq(ticks_guest, guest);
		ck_assert_uint_eq(ticks_vmm, vmm);

		stats_times(&stats, &times);
		stats_summarize(&stats, summary);
		for (size_t i = 0; i < STATS_REASONS; i++) {
			const struct stats_summary *s = &summary[i];

			count += s->count;
			guest_ns += s->guest_ns;
			vmm_ns += s->total_ns;
			ck_assert_uint_le(s->min_ns, s->p50_ns);
			ck_assert_uint_le(s->p50_ns, s->p99_ns);
			ck_assert_uint_le(s->p99_ns, s->max_ns);
			ck_assert_uint_le(s->max_ns, s->total_ns);
			ck_assert_uint_le(s->total_ns, s->max_ns * s->count);
			ck_assert_uint_ge(s->total_ns, s->min_ns * s->count);
		}
		ck_assert_uint_eq(count, exits);
		ck_assert_uint_eq(times.exits, exits);
		ck_assert_uint_eq(guest_ns, times.guest_ns);
		ck_assert_uint_eq(vmm_ns, times.vmm_ns);
		ck_assert_uint_eq(times.run_ns, times.guest_ns + times.vmm_ns);
		stats_free(&stats);
	}
}
END_TEST

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nearest rank, from all values. */
static uint64_t exact_percentile(const uint64_t *sorted, size_t count, unsigned percent)
{
	return sorted[(count * percent + 99) / 100 - 1];
}

static void check_percentile(uint64_t got, uint64_t exact)
{
	ck_assert_uint_ge(got, exact);
	ck_assert_uint_le(got, exact + exact / 32 + 1);
}

START_TEST(percentiles_are_near_the_exact_ones)
{
	enum { MOST = 2000 };
	static uint64_t values[MOST];
	uint64_t seed = 2;

	for (int round = 0; round < 300; round++) {
		size_t count = 1 + random_next(&seed) % MOST;
		unsigned bits = 1 + (unsigned)(random_next(&seed) % 46);
		struct stats_summary summary[STATS_REASONS];
		struct stats stats;
		uint64_t now = 0;

		/* One tick a nanosecond: what comes out is what went in. */
		ck_assert(stats_start_at(&stats, 0, 0));
		for (size_t i = 0; i < count; i++) {
			stats_enter_at(&stats, now);
			stats_leave_at(&stats, KVM_EXIT_IO, now);
			values[i] = random_size(&seed, bits);
			now += values[i];
		}
		stats_stop_at(&stats, now, now);
		qsort(values, count, sizeof(values[0]), by_size);
		stats_summarize(&stats, summary);
		if (now) {
			const struct stats_summary *s = &summary[KVM_EXIT_IO];

			ck_assert_uint_eq(s->count, count);
			ck_assert_uint_eq(s->total_ns, now);
			ck_assert_uint_eq(s->min_ns, values[0]);
			ck_assert_uint_eq(s->max_ns, values[count - 1]);
			check_percentile(s->p50_ns, exact_percentile(values, count, 50));
			check_percentile(s->p99_ns, exact_percentile(values, count, 99));
		}
		stats_free(&stats);
	}
}
END_TEST

START_TEST(buckets_are_in_order_and_narrow)
{
	unsigned last = 0;

	ck_assert_uint_eq(stats_bucket(0), 0);
	ck_assert_uint_eq(stats_bucket(UINT64_MAX), STATS_BUCKETS - 1);
	ck_assert_uint_eq(stats_bucket(UINT64_C(1) << STATS_MAX_BITS), STATS_BUCKETS - 1);
	for (unsigned shift = 0; shift < STATS_MAX_BITS; shift++) {
		for (uint64_t step = 0; step < 64; step++) {
			uint64_t value = (UINT64_C(1) << shift) + (step << shift) / 64;
			unsigned bucket = stats_bucket(value);

			ck_assert_uint_lt(bucket, STATS_BUCKETS);
			ck_assert_uint_ge(bucket, last);
			ck_assert_uint_le(bucket, last + 1);
			last = bucket;
		}
	}
	ck_assert_uint_eq(stats_bucket((UINT64_C(1) << STATS_MAX_BITS) - 1), STATS_BUCKETS - 1);
}
END_TEST

START_TEST(one_exit)
{
	struct stats_summary summary[STATS_REASONS];
	struct stats_times times;
	struct stats stats;

	ck_assert(stats_start_at(&stats, 1000, 0));
	stats_enter_at(&stats, 1500);
	stats_leave_at(&stats, KVM_EXIT_HLT, 1800);
	stats_stop_at(&stats, 2000, 1000);
	stats_times(&stats, &times);
	stats_summarize(&stats, summary);
	ck_assert_uint_eq(times.exits, 1);
	ck_assert_uint_eq(times.guest_ns, 300);
	ck_assert_uint_eq(times.vmm_ns, 200);
	ck_assert_uint_eq(times.run_ns, 500);

	const struct stats_summary *s = &summary[KVM_EXIT_HLT];

	ck_assert_uint_eq(s->count, 1);
	ck_assert_uint_eq(s->guest_ns, 300);
	ck_assert_uint_eq(s->total_ns, 200);
	ck_assert_uint_eq(s->min_ns, 200);
	ck_assert_uint_eq(s->p50_ns, 200);
	ck_assert_uint_eq(s->p99_ns, 200);
	ck_assert_uint_eq(s->max_ns, 200);
	stats_free(&stats);
}
END_TEST

START_TEST(an_exit_can_change_its_reason)
{
	struct stats_summary summary[STATS_REASONS];
	struct stats_times times;
	struct stats stats;

	ck_assert(stats_start_at(&stats, 0, 0));
	stats_enter_at(&stats, 0);
	stats_leave_at(&stats, KVM_EXIT_IO, 100);
	stats_enter_at(&stats, 110);
	stats_leave_at(&stats, KVM_EXIT_IO, 140);
	stats_reassign(&stats, STATS_DEBUGGER);
	stats_stop_at(&stats, 145, 145);
	stats_times(&stats, &times);
	stats_summarize(&stats, summary);
	ck_assert_uint_eq(times.exits, 2);
	ck_assert_uint_eq(times.run_ns, 145);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].count, 1);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].guest_ns, 100);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].total_ns, 10);
	ck_assert_uint_eq(summary[STATS_DEBUGGER].count, 1);
	ck_assert_uint_eq(summary[STATS_DEBUGGER].guest_ns, 30);
	ck_assert_uint_eq(summary[STATS_DEBUGGER].total_ns, 5);
	ck_assert_str_eq(stats_reason_name(STATS_DEBUGGER), "DEBUGGER");
	stats_free(&stats);
}
END_TEST

START_TEST(no_exit)
{
	struct stats_summary summary[STATS_REASONS];
	struct stats_times times;
	struct stats stats;

	ck_assert(stats_start_at(&stats, 7, 7));
	stats_stop_at(&stats, 7, 7);
	stats_times(&stats, &times);
	stats_summarize(&stats, summary);
	ck_assert_uint_eq(times.exits, 0);
	ck_assert_uint_eq(times.run_ns, 0);
	for (size_t i = 0; i < STATS_REASONS; i++)
		ck_assert_uint_eq(summary[i].count, 0);
	stats_free(&stats);
	stats_free(&stats);
}
END_TEST

START_TEST(a_clock_that_goes_back_takes_no_time)
{
	struct stats_times times;
	struct stats stats;

	ck_assert(stats_start_at(&stats, 1000, 0));
	stats_enter_at(&stats, 900);
	stats_leave_at(&stats, KVM_EXIT_IO, 1100);
	stats_enter_at(&stats, 1050);
	stats_leave_at(&stats, KVM_EXIT_IO, 400);
	stats_stop_at(&stats, 1200, 200);
	stats_times(&stats, &times);
	ck_assert_uint_eq(times.exits, 2);
	ck_assert_uint_eq(times.guest_ns, 100);
	ck_assert_uint_eq(times.vmm_ns, 100);
	stats_free(&stats);
}
END_TEST

START_TEST(extreme_times_do_not_overflow)
{
	struct stats_summary summary[STATS_REASONS];
	struct stats stats;

	ck_assert(stats_start_at(&stats, 0, 0));
	stats_enter_at(&stats, 0);
	stats_leave_at(&stats, KVM_EXIT_IO, 0);
	stats_stop_at(&stats, UINT64_C(1) << 62, UINT64_C(1) << 61);
	stats_summarize(&stats, summary);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].max_ns, UINT64_C(1) << 61);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].p99_ns, UINT64_C(1) << 61);
	stats_free(&stats);
}
END_TEST

START_TEST(the_real_clocks)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	struct stats_times times;
	struct stats stats;
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	ck_assert(stats_start(&stats));
	stats_enter(&stats);
	nanosleep(&pause, NULL);
	stats_leave(&stats, KVM_EXIT_IO);
	nanosleep(&pause, NULL);
	stats_stop(&stats);
	clock_gettime(CLOCK_MONOTONIC, &end);
	stats_times(&stats, &times);

	int64_t wall =
	    (end.tv_sec - begin.tv_sec) * INT64_C(1000000000) + end.tv_nsec - begin.tv_nsec;

	ck_assert_uint_ge(times.guest_ns, 1900000);
	ck_assert_uint_ge(times.vmm_ns, 1900000);
	ck_assert_int_le((int64_t)times.run_ns, wall);
	stats_free(&stats);
}
END_TEST

START_TEST(reasons_have_names)
{
	for (uint32_t i = 0; i < STATS_REASONS; i++) {
		ck_assert_ptr_nonnull(stats_reason_name(i));
		for (uint32_t j = 0; j < i; j++)
			ck_assert_str_ne(stats_reason_name(i), stats_reason_name(j));
	}
	ck_assert_str_eq(stats_reason_name(KVM_EXIT_IO), "IO");
	ck_assert_str_eq(stats_reason_name(KVM_EXIT_SHUTDOWN), "SHUTDOWN");
	ck_assert_str_eq(stats_reason_name(KVM_EXIT_INTERNAL_ERROR), "INTERNAL_ERROR");
	ck_assert_str_eq(stats_reason_name(KVM_EXIT_X86_WRMSR), "X86_WRMSR");
	ck_assert_str_eq(stats_reason_name(KVM_EXIT_NOTIFY), "NOTIFY");
	ck_assert_str_eq(stats_reason_name(UINT32_MAX), "OTHER");
	ck_assert_uint_eq(stats_errno_reason(EINTR), STATS_EINTR);
	ck_assert_uint_eq(stats_errno_reason(EAGAIN), STATS_EAGAIN);
	ck_assert_uint_eq(stats_errno_reason(EFAULT), STATS_ERROR);
}
END_TEST

START_TEST(the_ring_keeps_the_last)
{
	struct exit_ring ring = {0};

	ck_assert_ptr_null(exit_ring_get(&ring, 0));
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t kept = i + 1 < EXIT_RING_SIZE ? i + 1 : EXIT_RING_SIZE;

		*exit_ring_next(&ring) = ((struct exit_record){.address = i});
		for (uint64_t j = 0; j < kept; j++)
			ck_assert_uint_eq(exit_ring_get(&ring, j)->address, i + 1 - kept + j);
		ck_assert_ptr_null(exit_ring_get(&ring, kept));
	}
}
END_TEST

START_TEST(numbers_for_people)
{
	char buf[UNITS_SIZE];

	ck_assert_str_eq(units_count(buf, 0), "0");
	ck_assert_str_eq(units_count(buf, 999), "999");
	ck_assert_str_eq(units_count(buf, 1000), "1,000");
	ck_assert_str_eq(units_count(buf, 1234567), "1,234,567");
	ck_assert_str_eq(units_count(buf, UINT64_MAX), "18,446,744,073,709,551,615");
	ck_assert_str_eq(units_time(buf, 0), "0 ns");
	ck_assert_str_eq(units_time(buf, 999), "999 ns");
	ck_assert_str_eq(units_time(buf, 1000), "1.00 us");
	ck_assert_str_eq(units_time(buf, 9994), "9.99 us");
	ck_assert_str_eq(units_time(buf, 9996), "10.0 us");
	ck_assert_str_eq(units_time(buf, 999499), "999 us");
	ck_assert_str_eq(units_time(buf, 999500), "1.00 ms");
	ck_assert_str_eq(units_time(buf, 1250000000), "1.25 s");
	ck_assert_str_eq(units_time(buf, 75000000000), "75.0 s");
	ck_assert_str_eq(units_time(buf, UINT64_MAX), "18446744074 s");
	ck_assert_str_eq(units_bytes(buf, 0), "0 bytes");
	ck_assert_str_eq(units_bytes(buf, UINT64_C(64) << 20), "64 MiB");
	ck_assert_str_eq(units_bytes(buf, 1536 * 1024), "1,536 KiB");
	ck_assert_str_eq(units_share(buf, 1, 0), "-");
	ck_assert_str_eq(units_share(buf, 0, 7), "0.0 %");
	ck_assert_str_eq(units_share(buf, 1, 8), "12.5 %");
	ck_assert_str_eq(units_share(buf, 1, 100000), "<0.1 %");
}
END_TEST

/* One CPU that has had `exits` exits of 1,000 ticks in the guest and `served` in the VMM. */
static void run_cpu(struct stats *stats, uint64_t from, unsigned exits, uint64_t served)
{
	uint64_t now = from;

	ck_assert(stats_start_at(stats, now, 0));
	for (unsigned i = 0; i < exits; i++) {
		stats_enter_at(stats, now);
		now += 1000;
		stats_leave_at(stats, i % 2 ? KVM_EXIT_HLT : KVM_EXIT_IO, now);
		now += served;
	}
	stats_stop_at(stats, now, 2 * (now - from));
}

START_TEST(cpus_add_up)
{
	static struct stats one, two, none, sum;
	struct stats_summary summary[STATS_REASONS];
	struct stats_times times;

	run_cpu(&one, 500, 10, 100);
	run_cpu(&two, 100000, 5, 50);
	run_cpu(&none, 7, 0, 0);
	one.hypercalls = one.input_bytes = 3;
	two.hypercalls = two.quirk_ud_injected = 4;
	ck_assert(stats_add(&sum, &one));
	ck_assert(stats_add(&sum, &two));
	ck_assert(stats_add(&sum, &none));
	stats_times(&sum, &times);
	stats_summarize(&sum, summary);
	ck_assert_uint_eq(times.exits, 15);
	/* 2 ns a tick. */
	ck_assert_uint_eq(times.guest_ns, 30000);
	ck_assert_uint_eq(times.vmm_ns, 2500);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].count, 8);
	ck_assert_uint_eq(summary[KVM_EXIT_HLT].count, 7);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].min_ns, 100);
	ck_assert_uint_eq(summary[KVM_EXIT_IO].max_ns, 200);
	ck_assert_uint_eq(summary[KVM_EXIT_HLT].total_ns + summary[KVM_EXIT_IO].total_ns, 2500);
	ck_assert_uint_eq(sum.hypercalls, 7);
	ck_assert_uint_eq(sum.input_bytes, 3);
	ck_assert_uint_eq(sum.quirk_ud_injected, 4);
	stats_free(&one);
	stats_free(&two);
	stats_free(&none);
	stats_free(&sum);
}
END_TEST

Suite *stats_suite(void)
{
	Suite *suite = suite_create("stats");
	TCase *tests = tcase_create("stats");

	tcase_add_test(tests, everything_adds_up);
	tcase_add_test(tests, percentiles_are_near_the_exact_ones);
	tcase_add_test(tests, buckets_are_in_order_and_narrow);
	tcase_add_test(tests, one_exit);
	tcase_add_test(tests, an_exit_can_change_its_reason);
	tcase_add_test(tests, no_exit);
	tcase_add_test(tests, a_clock_that_goes_back_takes_no_time);
	tcase_add_test(tests, extreme_times_do_not_overflow);
	tcase_add_test(tests, the_real_clocks);
	tcase_add_test(tests, reasons_have_names);
	tcase_add_test(tests, the_ring_keeps_the_last);
	tcase_add_test(tests, numbers_for_people);
	tcase_add_test(tests, cpus_add_up);
	suite_add_tcase(suite, tests);
	return suite;
}
