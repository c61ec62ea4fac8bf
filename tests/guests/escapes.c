/* Writes to standard output and standard error what a terminal would obey: a title, a colour, the
 * same with C1 controls; and text that is none of it. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	static const char text[] = "\033]0;title\007\033[31mred\x9b"
	                           "0m\177\xc2\x9b"
	                           "1m\xff \t\xc3\xa9\xe2\x82\xac\r\n";
	volatile struct rs_call *page = call_page();

	(void)boot;
	for (uint64_t i = 0; i < sizeof(text); i++)
		page->data[i] = text[i];
	for (uint64_t fd = 1; fd <= 2; fd++)
		check(call(RS_CALL_WRITE, fd, sizeof(text) - 1) == sizeof(text) - 1, (uint32_t)fd);
	end(0);
}
