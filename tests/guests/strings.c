/* Port accesses of more than one element: OUTSB to the console, INSB from nowhere. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	static const char text[] = "by outsb\n";
	static uint8_t bytes[16];
	const void *from = text;
	void *to = bytes;
	uint64_t count = sizeof(text) - 1;

	(void)boot;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(RS_PORT_PUTC) : "memory");
	check(count == 0 && from == text + sizeof(text) - 1, 1);
	count = sizeof(bytes);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x3f8) : "memory");
	check(count == 0, 2);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		check(bytes[i] == 0xff, 3);

	/* A string of marks: each is taken, or none; the guest goes on either way. */
	static const uint8_t slots[3] = {0, 1, 2};

	from = slots;
	count = sizeof(slots);
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(RS_PORT_MARK) : "memory");
	check(count == 0, 4);
	check(call_page()->marks[2].count == 1, 5);
	end(0);
}
