/*
 * A PC's clock and its battery's RAM: Motorola's MC146818 behind ports 0x70 and 0x71, with 128
 * bytes.  The time is UTC, from the host; what the guest sets is an offset to it.  An update takes
 * no time, so that status A's UIP is never seen, and interrupts and alarms are kept as bits and
 * never come.
 */
#ifndef VMM_DEVICES_RTC_H
#define VMM_DEVICES_RTC_H

#include <stdbool.h>
#include <stdint.h>

/* The year's first two digits, as IBM's PS/2 has them: for the FADT's CENTURY. */
enum { RTC_CENTURY = 0x32 };

struct rtc {
	uint8_t index;     /* what port 0x71 is, 7 bits */
	int64_t offset;    /* seconds that the guest's time is ahead of the host's */
	uint8_t ram[0x80]; /* the time's bytes are stale unless status B's SET stops it */
};

/* ram_low_end: where RAM below 4 GiB ends, ram_high_bytes: how much is above; both as firmware
 * tells an operating system: in KiB and in units of 64 KiB, as much as fits there. */
void rtc_init(struct rtc *rtc, uint64_t ram_low_end, uint64_t ram_high_bytes);
/* port: 0x70 or 0x71; others take nothing and read as 0xff, as 0x70 does, too.  unix_seconds: the
 * host's time since 1970, below 2^62; it may step back. */
void rtc_write(struct rtc *rtc, uint16_t port, uint8_t value, uint64_t unix_seconds);
uint8_t rtc_read(struct rtc *rtc, uint16_t port, uint64_t unix_seconds);

#endif
