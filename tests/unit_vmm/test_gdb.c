/* gdb's packets: framing, replies, parts of packets, the registers' table; and garbage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/gdb/gdb.h"
#include "vmm/instruments/gdb/gdb_packet.h"
#include "vmm/instruments/gdb/gdb_registers.h"

static struct gdb_packet packet;

/* The event of the last byte; those before it must be nothing. */
static enum gdb_event feed(const char *bytes, size_t size)
{
	enum gdb_event event = GDB_NOTHING;

	for (size_t i = 0; i < size; i++) {
		ck_assert_int_eq(event, GDB_NOTHING);
		event = gdb_packet_feed(&packet, (uint8_t)bytes[i]);
	}
	return event;
}
#define FEED(text) feed(text, sizeof(text) - 1)

START_TEST(packets)
{
	memset(&packet, 0, sizeof(packet));
	ck_assert_int_eq(FEED("$qC#b4"), GDB_PACKET);
	ck_assert_str_eq(packet.data, "qC");
	ck_assert_int_eq(FEED("$#00"), GDB_PACKET);
	ck_assert_uint_eq(packet.size, 0);
	ck_assert_int_eq(FEED("$qC#b5"), GDB_GARBLED);
	ck_assert_int_eq(FEED("$qC#B4"), GDB_PACKET);
	ck_assert_int_eq(FEED("$qC#x"), GDB_GARBLED);
	ck_assert_int_eq(FEED("+"), GDB_ACK);
	ck_assert_int_eq(FEED("-"), GDB_NAK);
	ck_assert_int_eq(FEED("\x03"), GDB_INTERRUPT);
	/* The rest of a packet was lost; the next one counts. */
	ck_assert_int_eq(FEED("$m0,$qC#b4"), GDB_PACKET);
	ck_assert_str_eq(packet.data, "qC");
}
END_TEST

START_TEST(foreign)
{
	memset(&packet, 0, sizeof(packet));
	for (int byte = 0; byte < 256; byte++) {
		const bool begins = gdb_packet_may_begin((uint8_t)byte);

		ck_assert_int_eq(begins, byte == '$' || byte == '+' || byte == '-' || byte == 3);
		ck_assert_int_eq(begins, gdb_packet_feed(&packet, (uint8_t)byte) != GDB_FOREIGN);
		memset(&packet, 0, sizeof(packet));
	}
	/* Noise is no part of what comes behind it. */
	ck_assert_int_eq(gdb_packet_feed(&packet, 'q'), GDB_FOREIGN);
	ck_assert_int_eq(FEED("$qC#b4"), GDB_PACKET);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(gdb_packet_rest("qC", "qC", GDB_WHOLE), "");
	ck_assert_ptr_null(gdb_packet_rest("qCRC:1,2", "qC", GDB_WHOLE));
	ck_assert_ptr_null(gdb_packet_rest("q", "qC", GDB_WHOLE));
	ck_assert_str_eq(gdb_packet_rest("qCRC:1,2", "qCRC", GDB_COLON), "1,2");
	ck_assert_str_eq(gdb_packet_rest("qCRC", "qCRC", GDB_COLON), "");
	ck_assert_ptr_null(gdb_packet_rest("qCRC;1,2", "qCRC", GDB_COLON));
	ck_assert_ptr_null(gdb_packet_rest("qCRCs", "qCRC", GDB_COLON));
	ck_assert_str_eq(gdb_packet_rest("D;1", "D", GDB_SEMICOLON), "1");
	ck_assert_str_eq(gdb_packet_rest("qRcmd,00", "qRcmd", GDB_COMMA), "00");
	ck_assert_str_eq(gdb_packet_rest("m0,1", "m", GDB_LETTER), "0,1");
	ck_assert(gdb_list_has("a+;swbreak+", "swbreak+") && gdb_list_has("swbreak+", "swbreak+"));
	ck_assert(!gdb_list_has("noswbreak+;swbreak-;swbreak+x", "swbreak+"));
	ck_assert(!gdb_list_has("", "swbreak+"));
}
END_TEST

/* The check value of this CRC (CRC-32/MPEG-2). */
START_TEST(crc)
{
	ck_assert_uint_eq(gdb_crc(GDB_CRC_START, "123456789", 9), 0x0376e6e7);
	ck_assert_uint_eq(gdb_crc(gdb_crc(GDB_CRC_START, "1234", 4), "56789", 5), 0x0376e6e7);
}
END_TEST

START_TEST(escapes)
{
	static const char sent[] = "$X}\x03}\x04}]}\n#ba";

	memset(&packet, 0, sizeof(packet));
	ck_assert_int_eq(feed(sent, sizeof(sent) - 1), GDB_PACKET);
	ck_assert_uint_eq(packet.size, 5);
	ck_assert(memcmp(packet.data, "X#$}*", 5) == 0);
	/* 0x03 inside a packet is data. */
	ck_assert_int_eq(FEED("$a\x03#64"), GDB_PACKET);
}
END_TEST

START_TEST(too_long)
{
	memset(&packet, 0, sizeof(packet));
	gdb_packet_feed(&packet, '$');
	for (int i = 0; i < 3 * GDB_PACKET_MAX; i++)
		ck_assert_int_eq(gdb_packet_feed(&packet, 'm'), GDB_NOTHING);
	ck_assert_int_eq(FEED("#00"), GDB_GARBLED);
	ck_assert_int_eq(FEED("$qC#b4"), GDB_PACKET);
}
END_TEST

/* gdb is told GDB_PACKET_MAX (PacketSize): so much must pass, and no more. */
START_TEST(as_long_as_gdb_is_told)
{
	static struct gdb_packet two[2]; /* what lies behind the first is seen */

	for (unsigned extra = 0; extra < 2; extra++) {
		uint8_t sum = 0;
		char end[3];

		memset(two, 0, sizeof(two));
		memset(&two[1], 0x5a, sizeof(two[1]));
		gdb_packet_feed(&two[0], '$');
		for (unsigned i = 0; i < GDB_PACKET_MAX + extra; i++) {
			ck_assert_int_eq(gdb_packet_feed(&two[0], 'm'), GDB_NOTHING);
			sum = (uint8_t)(sum + 'm');
		}
		snprintf(end, sizeof(end), "%02x", sum);
		gdb_packet_feed(&two[0], '#');
		gdb_packet_feed(&two[0], (uint8_t)end[0]);
		ck_assert_int_eq(gdb_packet_feed(&two[0], (uint8_t)end[1]),
		                 extra ? GDB_GARBLED : GDB_PACKET);
		ck_assert_uint_eq(two[0].size, GDB_PACKET_MAX);
		ck_assert_int_eq(two[0].data[GDB_PACKET_MAX], '\0');
		for (size_t i = 0; i < sizeof(two[1]); i++)
			ck_assert_int_eq(((const uint8_t *)&two[1])[i], 0x5a);
	}
}
END_TEST

/* Likewise a reply's data; what does not fit is an error and not a part. */
START_TEST(as_long_as_a_reply_may_be)
{
	static struct gdb_reply reply;

	gdb_reply_begin(&reply);
	for (unsigned i = 0; i < GDB_REPLY_MAX; i++)
		gdb_reply_text(&reply, "x");
	gdb_reply_end(&reply);
	ck_assert(!reply.full);
	ck_assert_uint_eq(reply.size, GDB_REPLY_MAX + 4);
	ck_assert_int_eq(reply.data[GDB_REPLY_MAX], 'x');
	gdb_reply_begin(&reply);
	for (unsigned i = 0; i <= GDB_REPLY_MAX; i++)
		gdb_reply_text(&reply, "x");
	gdb_reply_end(&reply);
	ck_assert(memcmp(reply.data, "$E28#", 5) == 0);
}
END_TEST

/* Whatever comes: no more than the buffer, always terminated, and afterwards a packet is a packet.
 */
START_TEST(garbage)
{
	uint64_t random = 1;

	memset(&packet, 0, sizeof(packet));
	for (int i = 0; i < 200000; i++) {
		uint64_t word = random_next(&random);
		static const char letters[] = "$#}+-\x03"
		                              "0aF";
		uint8_t byte = word & 0x100 ? (uint8_t)letters[word % 9] : (uint8_t)word;

		if (gdb_packet_feed(&packet, byte) == GDB_PACKET)
			ck_assert_int_eq(packet.data[packet.size], 0);
		ck_assert_uint_le(packet.size, GDB_PACKET_MAX);
	}
	while (packet.state != GDB_IDLE)
		gdb_packet_feed(&packet, '#');
	ck_assert_int_eq(FEED("$qC#b4"), GDB_PACKET);
}
END_TEST

START_TEST(replies)
{
	static struct gdb_reply reply;

	gdb_reply_begin(&reply);
	ck_assert(gdb_reply_is_empty(&reply));
	gdb_reply_end(&reply);
	ck_assert_str_eq(reply.data, "$#00");
	gdb_reply_begin(&reply);
	gdb_reply_format(&reply, "T%02x", 5);
	gdb_reply_hex(&reply, "\x01\xfe", 2);
	gdb_reply_binary(&reply, "$#}*a", 5);
	gdb_reply_end(&reply);
	ck_assert(strncmp(reply.data, "$T0501fe}\x04}\x03}]}\na#", 18) == 0);
	gdb_reply_begin(&reply);
	for (int i = 0; i < GDB_REPLY_MAX; i++)
		gdb_reply_hex(&reply, "a", 1);
	gdb_reply_end(&reply);
	ck_assert_str_eq(reply.data, "$E28#af");
}
END_TEST

START_TEST(parts)
{
	const char *at = "ffffffff80100000,4:rest";
	uint64_t value;
	uint8_t bytes[4];

	ck_assert(gdb_parse_number(&at, &value) && value == 0xffffffff80100000);
	ck_assert(gdb_parse_text(&at, ",") && !gdb_parse_text(&at, ","));
	ck_assert(gdb_parse_number(&at, &value) && value == 4);
	ck_assert_str_eq(at, ":rest");
	ck_assert(!gdb_parse_number(&at, &value));
	at = "12345678123456781";
	ck_assert(!gdb_parse_number(&at, &value));
	at = "00ff1X";
	ck_assert(gdb_parse_bytes(&at, bytes, 2) && bytes[1] == 0xff);
	ck_assert(!gdb_parse_bytes(&at, bytes, 1));
}
END_TEST

START_TEST(registers)
{
	static struct vcpu_state all;
	size_t total = 0;
	uint8_t value[16] = {0};
	char *xml = gdb_registers_xml();

	ck_assert_ptr_nonnull(xml);
	ck_assert_ptr_nonnull(strstr(xml, "name=\"fs_base\""));
	ck_assert_ptr_nonnull(strstr(xml, "<field name=\"PG\" start=\"31\" end=\"31\"/>"));
	free(xml);
	for (unsigned i = 0; i < gdb_register_count(); i++) {
		total += gdb_register_size(i);
		gdb_register_get(&all, i, value);
		ck_assert(gdb_register_set(&all, i, value));
	}
	ck_assert_uint_le(2 * total + 8, GDB_REPLY_MAX);
	ck_assert_uint_eq(gdb_register_size(gdb_register_count()), 0);
	/* rax and rip have fixed places; cs is not to be written. */
	all.regs.rax = 0x1122334455667788;
	gdb_register_get(&all, 0, value);
	ck_assert_uint_eq(value[0], 0x88);
	all.sregs.cs.selector = 0x2b;
	gdb_register_get(&all, 18, value);
	ck_assert_uint_eq(value[0], 0x2b);
	value[0] = 8;
	ck_assert(!gdb_register_set(&all, 18, value));
	/* Two bits a register of the x87 stack: 3 is empty. */
	all.fpu.ftwx = 0xfe;
	gdb_register_get(&all, 34, value);
	ck_assert(value[0] == 0x03 && value[1] == 0);
	all.fpu.ftwx = 0x77;
	gdb_register_get(&all, 34, value);
	ck_assert(value[0] == 0xc0 && value[1] == 0xc0);
	value[0] = 0;
	ck_assert(!gdb_register_set(&all, 34, value));
}
END_TEST

Suite *gdb_suite(void)
{
	Suite *suite = suite_create("gdb");
	TCase *tests = tcase_create("gdb");

	tcase_add_test(tests, packets);
	tcase_add_test(tests, foreign);
	tcase_add_test(tests, names);
	tcase_add_test(tests, crc);
	tcase_add_test(tests, escapes);
	tcase_add_test(tests, too_long);
	tcase_add_test(tests, as_long_as_gdb_is_told);
	tcase_add_test(tests, as_long_as_a_reply_may_be);
	tcase_add_test(tests, garbage);
	tcase_add_test(tests, replies);
	tcase_add_test(tests, parts);
	tcase_add_test(tests, registers);
	suite_add_tcase(suite, tests);
	return suite;
}
