/* What of a guest's bytes a terminal may get. */
#include <string.h>

#include <check.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/visible.h"

/* All of it, through a buffer of `room` bytes at a time. */
static const char *shown(const char *bytes, size_t count, size_t room)
{
	static char text[4096];
	size_t used = 0;

	while (count) {
		size_t taken, size = visible(text + used, room, bytes, count, &taken);

		ck_assert(taken >= 1 && taken <= count && size <= room);
		used += size;
		bytes += taken;
		count -= taken;
		ck_assert_uint_lt(used + room, sizeof(text));
	}
	text[used] = '\0';
	return text;
}

START_TEST(text_is_itself_and_controls_are_seen)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
	    {"plain ~\n\r\t", "plain ~\n\r\t"},
	    {"\033[2J", "^[[2J"},
	    {"\a\b\177\001", "^G^H^?^A"},
	    {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
	    {"\x9b"
	     "31m",
	     "\\x9b31m"},
	    {"\xc2\x9b"
	     "31m",
	     "\\xc2\\x9b31m"},
	    {"\xc2\xa0", "\xc2\xa0"},
	    {"\xc0\x9b", "\\xc0\\x9b"},                   /* too long for ESC */
	    {"\xe0\x82\x9b", "\\xe0\\x82\\x9b"},          /* ... for C1 */
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
	    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond Unicode */
	    {"\xe2\x82", "\\xe2\\x82"},                   /* cut */
	    {"\xe2\033[m", "\\xe2^[[m"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t room = 4; room < 40; room++)
			ck_assert_str_eq(shown(cases[i].bytes, strlen(cases[i].bytes), room),
			                 cases[i].text);
	}
	ck_assert_str_eq(shown("a\0b", 3, 64), "a^@b");
}
END_TEST

/* Whatever comes, no control goes out, in 7 bits or in 8. */
START_TEST(nothing_is_obeyed)
{
	uint64_t random = 1;

	for (int round = 0; round < 2000; round++) {
		char bytes[64];
		const uint8_t *text;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)random_next(&random);
		text = (const uint8_t *)shown(bytes, sizeof(bytes), 4 + (size_t)round % 60);
		for (size_t i = 0; text[i]; i++) {
			ck_assert(text[i] >= ' ' || strchr("\n\r\t", text[i]));
			ck_assert_uint_ne(text[i], 0x7f);
			ck_assert(text[i] < 0x80 || text[i] > 0x9f || i > 0);
			ck_assert(!(text[i] == 0xc2 && text[i + 1] < 0xa0));
			if (text[i] >= 0x80 && text[i] < 0xc0)
				ck_assert_uint_ge(text[i - 1], 0x80);
		}
	}
}
END_TEST

/* What lies behind the bytes is not the guest's word yet. */
START_TEST(a_character_that_is_cut)
{
	ck_assert_str_eq(shown("\xc3\xa9", 1, 64), "\\xc3");
	ck_assert_str_eq(shown("\xe2\x82\xac", 2, 64), "\\xe2\\x82");
	ck_assert_str_eq(shown("\xf0\x9f\x98\x80", 3, 64), "\\xf0\\x9f\\x98");
}
END_TEST

Suite *visible_suite(void)
{
	Suite *suite = suite_create("visible");
	TCase *tests = tcase_create("visible");

	tcase_add_test(tests, text_is_itself_and_controls_are_seen);
	tcase_add_test(tests, a_character_that_is_cut);
	tcase_add_test(tests, nothing_is_obeyed);
	suite_add_tcase(suite, tests);
	return suite;
}
