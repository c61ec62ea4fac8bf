/* The two 8259A: priorities, ends of service, rotation, masks, and the words that set them. */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/pic.h"

static struct pic pic;
static bool output;

static void set_output(void *ctx, bool level)
{
	(void)ctx;
	ck_assert(level != output);
	output = level;
}

static void out(unsigned port, unsigned value)
{
	pic_write(&pic, (uint16_t)port, (uint8_t)value);
}

static unsigned in(unsigned port)
{
	return pic_read(&pic, (uint16_t)port);
}

static void initialise(unsigned port, unsigned base, unsigned icw3, unsigned icw4)
{
	out(port, 0x11);
	out(port + 1, base);
	out(port + 1, icw3);
	out(port + 1, icw4);
}

static void setup(void)
{
	pic = (struct pic){.output = set_output};
	pic_init(&pic);
	output = false;
}

/* As most kernels have them, with nothing masked. */
static void setup_usual(void)
{
	setup();
	initialise(0x20, 0x20, 4, 1);
	initialise(0xa0, 0x28, 2, 1);
}

static void edge(unsigned irq)
{
	pic_line(&pic, irq, false);
	pic_line(&pic, irq, true);
}

/* The vector, when there must be an interrupt. */
static unsigned take(void)
{
	ck_assert(output && pic_has_interrupt(&pic));
	return pic_acknowledge(&pic);
}

static bool quiet(void)
{
	ck_assert(output == pic_has_interrupt(&pic));
	return !output;
}

START_TEST(as_firmware_leaves_them)
{
	setup();
	for (unsigned irq = 0; irq < 16; irq++)
		edge(irq);
	ck_assert(quiet());
	ck_assert_uint_eq(in(0x21), 0xff);
	ck_assert_uint_eq(in(0xa1), 0xff);
	ck_assert_uint_eq(in(0x20), 0xfb);
	out(0xa1, 0);
	ck_assert(quiet());
	ck_assert_uint_eq(in(0x20), 0xff);
	out(0x21, 0xfd);
	ck_assert_uint_eq(take(), 9);
	out(0x20, 0x20);
	out(0x21, 0xfb);
	ck_assert_uint_eq(take(), 0x70);
}
END_TEST

START_TEST(fixed_priorities)
{
	static const uint8_t order[] = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};

	for (unsigned irq = 16; irq-- > 0;)
		edge(irq);
	for (unsigned i = 0; i < sizeof(order); i++) {
		unsigned vector = take();

		ck_assert_uint_eq(vector, 0x20U + order[i]);
		if (order[i] >= 8)
			out(0xa0, 0x20);
		out(0x20, 0x20);
	}
	ck_assert(quiet());
	/* None is connected there. */
	edge(2);
	edge(16);
	edge(UINT32_MAX);
	ck_assert(quiet());
}
END_TEST

START_TEST(service)
{
	edge(3);
	ck_assert_uint_eq(in(0x20), 8);
	ck_assert_uint_eq(take(), 0x23);
	ck_assert(quiet());
	ck_assert_uint_eq(in(0x20), 0);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 8);
	edge(4); /* lower: waits */
	edge(3); /* itself: waits */
	ck_assert(quiet());
	edge(1); /* higher: nests */
	ck_assert_uint_eq(take(), 0x21);
	ck_assert_uint_eq(in(0x20), 0x0a);
	out(0x20, 0x20); /* ends the highest */
	ck_assert_uint_eq(in(0x20), 8);
	ck_assert(quiet());
	out(0x20, 0x64); /* another one's end */
	ck_assert(quiet());
	out(0x20, 0x63);
	ck_assert_uint_eq(take(), 0x23);
	out(0x20, 0x0a);
	ck_assert_uint_eq(in(0x20), 0x10);
	out(0x20, 0x20);
	ck_assert_uint_eq(take(), 0x24);
	out(0x20, 0x20);
	out(0x20, 0x20);
	ck_assert(quiet());
}
END_TEST

START_TEST(masks)
{
	out(0x21, 0x08);
	ck_assert_uint_eq(in(0x21), 0x08);
	edge(3);
	ck_assert(quiet());
	ck_assert_uint_eq(in(0x20), 8); /* it waits */
	edge(5);
	ck_assert_uint_eq(take(), 0x25);
	out(0x21, 0);
	ck_assert_uint_eq(take(), 0x23);
	out(0x20, 0x20);
	out(0x20, 0x20);
	out(0x21, 4); /* all of the second one's */
	edge(9);
	ck_assert(quiet());
	out(0x21, 0);
	ck_assert_uint_eq(take(), 0x29);
}
END_TEST

START_TEST(cascade)
{
	edge(12);
	ck_assert_uint_eq(take(), 0x2c);
	edge(9); /* higher of the second one's, but the first one serves that already */
	ck_assert(quiet());
	edge(1);
	ck_assert_uint_eq(take(), 0x21);
	out(0x20, 0x20);
	out(0x20, 0x62);
	ck_assert_uint_eq(take(), 0x29);
	out(0xa0, 0x20);
	out(0xa0, 0x0b);
	ck_assert_uint_eq(in(0xa0), 0x10);
	out(0x20, 0x62);
	edge(13);
	ck_assert(quiet());
	out(0xa0, 0x20);
	ck_assert_uint_eq(take(), 0x2d);
	/* One behind the other without a pause: the first one sees an edge for each. */
	initialise(0xa0, 0x28, 2, 3);
	out(0x20, 0x62);
	edge(9);
	edge(10);
	ck_assert_uint_eq(take(), 0x29);
	ck_assert(quiet());
	out(0x20, 0x62);
	ck_assert_uint_eq(take(), 0x2a);
	out(0x20, 0x62);
	ck_assert(quiet());
}
END_TEST

START_TEST(special_fully_nested)
{
	initialise(0x20, 0x20, 4, 0x11);
	edge(12);
	ck_assert_uint_eq(take(), 0x2c);
	edge(13);
	edge(3);
	ck_assert(quiet());
	edge(9);
	ck_assert_uint_eq(take(), 0x29);
	out(0xa0, 0x20);
	ck_assert(quiet());
	out(0xa0, 0x20);
	ck_assert_uint_eq(take(), 0x2d);
}
END_TEST

START_TEST(spurious)
{
	edge(3);
	pic_line(&pic, 3, false);
	ck_assert(quiet());
	ck_assert_uint_eq(pic_acknowledge(&pic), 0x27);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0);
	/* A request that the second one takes back is one that the first one takes back. */
	edge(9);
	pic_line(&pic, 9, false);
	ck_assert_uint_eq(pic_acknowledge(&pic), 0x27);
	/* Its own spurious one: its input gets masked in between, behind update()'s back. */
	edge(9);
	pic.chip[1].imr = 0xff;
	ck_assert_uint_eq(pic_acknowledge(&pic), 0x2f);
	ck_assert_uint_eq(in(0x20), 4);
}
END_TEST

START_TEST(levels)
{
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	ck_assert_uint_eq(in(0x4d0), 0xf8);
	ck_assert_uint_eq(in(0x4d1), 0xde);
	pic_line(&pic, 5, true);
	ck_assert_uint_eq(take(), 0x25);
	ck_assert_uint_eq(in(0x20), 0x20);
	ck_assert(quiet());
	out(0x20, 0x20);
	ck_assert_uint_eq(take(), 0x25); /* still high */
	pic_line(&pic, 5, false);
	out(0x20, 0x20);
	ck_assert(quiet());
	pic_line(&pic, 11, true);
	ck_assert_uint_eq(take(), 0x2b);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	ck_assert_uint_eq(take(), 0x2b);
	out(0x4d1, 0); /* an edge again, and it was one */
	out(0xa0, 0x20);
	out(0x20, 0x20);
	ck_assert(quiet());
	edge(1); /* one that is none: an edge as ever */
	ck_assert_uint_eq(take(), 0x21);
	out(0x20, 0x20);
	ck_assert(quiet());
}
END_TEST

START_TEST(automatic_ends)
{
	initialise(0x20, 0x20, 4, 3);
	edge(3);
	edge(4);
	ck_assert_uint_eq(take(), 0x23);
	ck_assert_uint_eq(take(), 0x24);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0);
	out(0x20, 0x80); /* rotating */
	edge(3);
	ck_assert_uint_eq(take(), 0x23);
	edge(3);
	edge(4);
	ck_assert_uint_eq(take(), 0x24);
	edge(5);
	edge(2);
	ck_assert_uint_eq(take(), 0x25);
	ck_assert_uint_eq(take(), 0x23);
	out(0x20, 0);
	edge(3);
	edge(4);
	ck_assert_uint_eq(take(), 0x24);
	edge(4);
	ck_assert_uint_eq(take(), 0x24); /* not any more */
}
END_TEST

START_TEST(rotation)
{
	edge(3);
	ck_assert_uint_eq(take(), 0x23);
	out(0x20, 0xa0); /* 3 becomes the lowest */
	edge(3);
	edge(0);
	edge(4);
	ck_assert_uint_eq(take(), 0x24);
	out(0x20, 0xe4); /* ends 4, and so on */
	ck_assert_uint_eq(take(), 0x20);
	out(0x20, 0x20);
	out(0x20, 0xc6); /* 6 is the lowest: 7 comes first */
	edge(7);
	ck_assert_uint_eq(take(), 0x27);
	out(0x20, 0x40); /* nothing */
	ck_assert(quiet());
	out(0x20, 0x20);
	ck_assert_uint_eq(take(), 0x23);
	out(0x20, 0x20);
	out(0x20, 0xa0); /* nothing is served: nothing changes */
	edge(7);
	edge(0);
	ck_assert_uint_eq(take(), 0x27);
	initialise(0x20, 0x20, 4, 1); /* 7 is the lowest again */
	edge(7);
	edge(0);
	ck_assert_uint_eq(take(), 0x20);
}
END_TEST

START_TEST(special_mask_mode)
{
	edge(3);
	ck_assert_uint_eq(take(), 0x23);
	edge(5);
	ck_assert(quiet());
	out(0x21, 8);
	ck_assert(quiet());
	out(0x20, 0x68);
	ck_assert_uint_eq(take(), 0x25); /* what is masked holds up nobody */
	out(0x20, 0x20);
	out(0x20, 0x20); /* and is not what ends */
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 8);
	out(0x20, 0x63);
	ck_assert_uint_eq(in(0x20), 0);
	out(0x20, 0x48);
	out(0x21, 0);
	edge(3);
	ck_assert_uint_eq(take(), 0x23);
	out(0x21, 8);
	edge(5);
	ck_assert(quiet());
}
END_TEST

START_TEST(polling)
{
	out(0x20, 0x0c);
	ck_assert_uint_eq(in(0x20), 0);
	ck_assert_uint_eq(in(0x20), 0); /* IRR */
	edge(3);
	out(0x20, 0x0c);
	ck_assert_uint_eq(in(0x20), 0x83);
	ck_assert(quiet());
	ck_assert_uint_eq(in(0x20), 0);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 8);
	out(0x20, 0x20);
	edge(9);
	out(0x20, 0x0c);
	ck_assert_uint_eq(in(0x21), 0x82);
	out(0xa0, 0x0c);
	ck_assert_uint_eq(in(0xa0), 0x81);
	ck_assert(quiet());
}
END_TEST

START_TEST(initialisation)
{
	edge(3);
	out(0x21, 0xff);
	out(0x20, 0x68);
	out(0x20, 0x0b);
	edge(4);
	out(0x20, 0x11);
	ck_assert_uint_eq(in(0x20), 0); /* edges must come anew; IRR is what is read */
	ck_assert_uint_eq(in(0x21), 0);
	out(0x21, 0x47);
	out(0x21, 4);
	out(0x21, 1);
	out(0x21, 0xf0); /* OCW1 again */
	ck_assert_uint_eq(in(0x21), 0xf0);
	ck_assert(quiet());
	edge(3);
	ck_assert_uint_eq(take(), 0x43);
	/* Without ICW4: no automatic ends. */
	initialise(0x20, 0x20, 4, 3);
	out(0x20, 0x10);
	out(0x21, 0x20);
	out(0x21, 4);
	out(0x21, 0xef);
	ck_assert_uint_eq(in(0x21), 0xef);
	edge(4);
	ck_assert_uint_eq(take(), 0x24);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0x10);
	/* Alone: no ICW3, and input 2 is one as the others. */
	out(0x20, 0x13);
	out(0x21, 0x20);
	out(0x21, 1);
	out(0x21, 0);
	ck_assert_uint_eq(in(0x21), 0);
	edge(9);
	ck_assert_uint_eq(take(), 0x22);
}
END_TEST

START_TEST(anything_goes)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x22, 0xffff};
	uint64_t state = (uint64_t)_i;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		uint16_t port = ports[(random >> 8) % 8];

		switch (random % 4) {
		case 0:
			out(port, (uint8_t)(random >> 16));
			break;
		case 1:
			in(port);
			break;
		case 2:
			pic_line(&pic, (unsigned)(random >> 16) % 20, random >> 63);
			break;
		default:
			ck_assert_uint_le(pic_acknowledge(&pic), 0xff);
		}
		ck_assert(output == pic_has_interrupt(&pic));
		ck_assert_uint_eq(in(0x4d0) & 7, 0);
	}
}
END_TEST

Suite *pic_suite(void)
{
	Suite *suite = suite_create("pic");
	TCase *tests = tcase_create("pic");

	tcase_add_checked_fixture(tests, setup_usual, NULL);
	tcase_add_test(tests, as_firmware_leaves_them);
	tcase_add_test(tests, fixed_priorities);
	tcase_add_test(tests, service);
	tcase_add_test(tests, masks);
	tcase_add_test(tests, cascade);
	tcase_add_test(tests, special_fully_nested);
	tcase_add_test(tests, spurious);
	tcase_add_test(tests, levels);
	tcase_add_test(tests, automatic_ends);
	tcase_add_test(tests, rotation);
	tcase_add_test(tests, special_mask_mode);
	tcase_add_test(tests, polling);
	tcase_add_test(tests, initialisation);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
