#include "vmm/devices/rtc.h"

enum { PORT_INDEX = 0x70, PORT_DATA = 0x71 };

/* The bytes of RAM: the time's, the alarm's between them, and the registers (data sheet, figure
 * 9); the rest is IBM's use of it, and for memory above 16 MiB that of emulators' firmware. */
enum {
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	DAY_OF_WEEK = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	STATUS_A = 0xa,
	STATUS_B = 0xb,
	STATUS_C = 0xc,
	STATUS_D = 0xd,
	EQUIPMENT = 0x14,
	BASE_KIB = 0x15,
	EXTENDED_KIB = 0x17,
	EXTENDED_KIB_AGAIN = 0x30,
	ABOVE_16M = 0x34, /* units of 64 KiB */
	ABOVE_4G = 0x5b,  /* also, in three bytes */
};

enum { A_UIP = 0x80, A_AT_RESET = 0x26 /* 32768 Hz; 1024 Hz */ };
enum { B_SET = 0x80, B_BINARY = 4, B_24_HOURS = 2 };
enum { D_VALID = 0x80 };
enum { HOUR_PM = 0x80 };
enum { EQUIPMENT_FPU = 2 };

enum { SECONDS_OF_DAY = 86400 };
/* 1970-01-01 in days since 0000-03-01, from which years are counted here: a leap day is then a
 * year's last one.  400 years are 146097 days. */
enum { DAYS_TO_1970 = 719468, DAYS_OF_ERA = 146097 };
/* The first second of the year 0, and the first of 10000, which four digits do not have. */
#define FIRST_SECOND (-INT64_C(62167219200))
#define END_SECOND   INT64_C(253402300800)

/* ---- Days and dates
 * ------------------------------------------------------------------------------ */

/* month: 1 to 12; day: any, counted on from the month's first. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12, years = year - (month <= 2);
	/* No year before 0 comes here, but its January, which is one of year -1. */
	int64_t era = years < 0 ? -1 : years / 400, in_era = years - era * 400;

	return era * DAYS_OF_ERA + in_era * 365 + in_era / 4 - in_era / 100 +
	       (153 * from_march + 2) / 5 + day - 1 - DAYS_TO_1970;
}

struct date {
	int64_t year, month, day;
};

/* days: since 1970, from the year 0 to 9999. */
static struct date date_of(int64_t days)
{
	/* From 400 years before the year 0: nothing is negative. */
	int64_t from = days + DAYS_TO_1970 + DAYS_OF_ERA, era = from / DAYS_OF_ERA - 1;
	int64_t of_era = from % DAYS_OF_ERA;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t from_march = (5 * of_year + 2) / 153;
	int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;

	return (struct date){
	    .year = year + era * 400 + (month <= 2),
	    .month = month,
	    .day = of_year - (153 * from_march + 2) / 5 + 1,
	};
}

/* ---- The time's bytes
 * ---------------------------------------------------------------------------- */

static uint8_t encode(const struct rtc *rtc, int64_t value)
{
	if (rtc->ram[STATUS_B] & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

/* 0 to 255 for anything. */
static int64_t decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->ram[STATUS_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hour(const struct rtc *rtc, int64_t hour)
{
	if (rtc->ram[STATUS_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int64_t decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->ram[STATUS_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & (uint8_t)~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* A time that has been stopped stays as it is. */
static void show_time(struct rtc *rtc, uint64_t unix_seconds)
{
	int64_t now = (int64_t)unix_seconds + rtc->offset, days, second;
	struct date date;

	if (rtc->ram[STATUS_B] & B_SET)
		return;
	now = now < FIRST_SECOND ? FIRST_SECOND : now >= END_SECOND ? END_SECOND - 1 : now;
	days = (now - FIRST_SECOND) / SECONDS_OF_DAY + FIRST_SECOND / SECONDS_OF_DAY;
	second = (now - FIRST_SECOND) % SECONDS_OF_DAY;
	date = date_of(days);
	rtc->ram[SECONDS] = encode(rtc, second % 60);
	rtc->ram[MINUTES] = encode(rtc, second / 60 % 60);
	rtc->ram[HOURS] = encode_hour(rtc, second / 3600);
	/* Sunday is 1; 0000-01-01 was a Saturday. */
	rtc->ram[DAY_OF_WEEK] = encode(rtc, ((now - FIRST_SECOND) / SECONDS_OF_DAY + 6) % 7 + 1);
	rtc->ram[DAY] = encode(rtc, date.day);
	rtc->ram[MONTH] = encode(rtc, date.month);
	rtc->ram[YEAR] = encode(rtc, date.year % 100);
	rtc->ram[RTC_CENTURY] = encode(rtc, date.year / 100);
}

/* Any bytes are a time: what exceeds a unit is carried on to the next one. */
static void take_time(struct rtc *rtc, uint64_t unix_seconds)
{
	int64_t year = decode(rtc, rtc->ram[RTC_CENTURY]) * 100 + decode(rtc, rtc->ram[YEAR]);
	int64_t month = decode(rtc, rtc->ram[MONTH]);
	int64_t days;

	month = month < 1 ? 1 : month > 12 ? 12 : month;
	days = days_of(year, month, decode(rtc, rtc->ram[DAY]));
	rtc->offset = days * SECONDS_OF_DAY + decode_hour(rtc, rtc->ram[HOURS]) * 3600 +
	              decode(rtc, rtc->ram[MINUTES]) * 60 + decode(rtc, rtc->ram[SECONDS]) -
	              (int64_t)unix_seconds;
}

static bool is_time(uint8_t index)
{
	return index == SECONDS || index == MINUTES || index == RTC_CENTURY ||
	       (index >= HOURS && index <= YEAR && index != HOURS + 1);
}

/* ---- Memory's size
 * ------------------------------------------------------------------------------- */

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* In a few bytes, the lowest one first. */
static void put(struct rtc *rtc, unsigned at, unsigned count, uint64_t value)
{
	value = at_most(value, (UINT64_C(1) << 8 * count) - 1);
	for (unsigned i = 0; i < count; i++)
		rtc->ram[at + i] = (uint8_t)(value >> 8 * i);
}

/* What of RAM below 4 GiB lies above an address. */
static uint64_t above(uint64_t ram_low_end, uint64_t address)
{
	return ram_low_end > address ? ram_low_end - address : 0;
}

void rtc_init(struct rtc *rtc, uint64_t ram_low_end, uint64_t ram_high_bytes)
{
	*rtc = (struct rtc){0};
	rtc->ram[STATUS_A] = A_AT_RESET;
	rtc->ram[STATUS_B] = B_24_HOURS;
	rtc->ram[STATUS_D] = D_VALID;
	rtc->ram[EQUIPMENT] = EQUIPMENT_FPU;
	put(rtc, BASE_KIB, 2, at_most(ram_low_end >> 10, 640));
	put(rtc, EXTENDED_KIB, 2, above(ram_low_end, 1 << 20) >> 10);
	put(rtc, EXTENDED_KIB_AGAIN, 2, above(ram_low_end, 1 << 20) >> 10);
	put(rtc, ABOVE_16M, 2, above(ram_low_end, 16 << 20) >> 16);
	put(rtc, ABOVE_4G, 3, ram_high_bytes >> 16);
}

/* ---- Ports
 * --------------------------------------------------------------------------------------- */

static void write_data(struct rtc *rtc, uint8_t value, uint64_t unix_seconds)
{
	uint8_t before = rtc->ram[STATUS_B];

	switch (rtc->index) {
	case STATUS_A:
		rtc->ram[STATUS_A] = value & (uint8_t)~A_UIP;
		break;
	case STATUS_B:
		show_time(rtc, unix_seconds);
		rtc->ram[STATUS_B] = value;
		if (before & ~value & B_SET)
			take_time(rtc, unix_seconds);
		break;
	case STATUS_C:
	case STATUS_D:
		break;
	default:
		if (!is_time(rtc->index)) {
			rtc->ram[rtc->index] = value;
			break;
		}
		show_time(rtc, unix_seconds);
		rtc->ram[rtc->index] = value;
		if (!(before & B_SET))
			take_time(rtc, unix_seconds);
		break;
	}
}

void rtc_write(struct rtc *rtc, uint16_t port, uint8_t value, uint64_t unix_seconds)
{
	if (port == PORT_INDEX)
		rtc->index = value & 0x7f; /* bit 7 masks NMIs, and there are none to mask */
	else if (port == PORT_DATA)
		write_data(rtc, value, unix_seconds);
}

uint8_t rtc_read(struct rtc *rtc, uint16_t port, uint64_t unix_seconds)
{
	if (port != PORT_DATA)
		return 0xff;
	if (is_time(rtc->index))
		show_time(rtc, unix_seconds);
	return rtc->ram[rtc->index];
}
