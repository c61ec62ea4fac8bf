#include "vmm/base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *units_count(char *buf, uint64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	char *to = buf;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

const char *units_time(char *buf, uint64_t nanoseconds)
{
	static const char *const units[] = {"us", "ms", "s"};
	double value = (double)nanoseconds;
	size_t unit = 0;

	if (nanoseconds < 1000) {
		snprintf(buf, UNITS_SIZE, "%" PRIu64 " ns", nanoseconds);
		return buf;
	}
	value /= 1000;
	/* 999.5 would be rounded to 1000: that is the next unit's. */
	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, UNITS_SIZE, "%.*f %s",
	         value < 9.995   ? 2
	         : value < 99.95 ? 1
	                         : 0,
	         value, units[unit]);
	return buf;
}

const char *units_bytes(char *buf, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	char count[UNITS_SIZE];

	while (bytes && bytes % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		unit++;
	}
	units_count(count, bytes);
	snprintf(buf, UNITS_SIZE, "%.24s %s", count, units[unit]);
	return buf;
}

const char *units_share(char *buf, uint64_t part, uint64_t whole)
{
	double percent = whole ? (double)part * 100 / (double)whole : 0;

	if (!whole)
		snprintf(buf, UNITS_SIZE, "-");
	else if (part && percent < 0.05)
		snprintf(buf, UNITS_SIZE, "<0.1 %%");
	else
		snprintf(buf, UNITS_SIZE, "%.1f %%", percent);
	return buf;
}
