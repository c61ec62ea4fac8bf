#include "vmm/instruments/gdb/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ESCAPE = '}', ESCAPE_BIT = 0x20, CTRL_C = 3 };

static int digit_of(uint8_t letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	if (letter >= 'a' && letter <= 'f')
		return letter - 'a' + 10;
	if (letter >= 'A' && letter <= 'F')
		return letter - 'A' + 10;
	return -1;
}

/* ---- In -------------------------------------------------------------------------------------- */

static void take(struct gdb_packet *packet, uint8_t byte)
{
	if (packet->size == GDB_PACKET_MAX)
		packet->too_long = true;
	else
		packet->data[packet->size++] = (char)byte;
}

static enum gdb_event outside(struct gdb_packet *packet, uint8_t byte)
{
	switch (byte) {
	case '$':
		packet->state = GDB_DATA;
		packet->size = 0;
		packet->sum = 0;
		packet->too_long = false;
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NAK;
	case CTRL_C:
		return GDB_INTERRUPT;
	default:
		return GDB_FOREIGN;
	}
}

bool gdb_packet_may_begin(uint8_t byte)
{
	return byte == '$' || byte == '+' || byte == '-' || byte == CTRL_C;
}

static enum gdb_event finish(struct gdb_packet *packet, int digit)
{
	packet->state = GDB_IDLE;
	packet->data[packet->size] = '\0';
	if (digit < 0 || packet->too_long || (packet->wanted | digit) != packet->sum)
		return GDB_GARBLED;
	return GDB_PACKET;
}

enum gdb_event gdb_packet_feed(struct gdb_packet *packet, uint8_t byte)
{
	int digit;

	switch (packet->state) {
	case GDB_IDLE:
		return outside(packet, byte);
	case GDB_DATA:
		if (byte == '$') /* the rest of the last one was lost */
			return outside(packet, byte);
		if (byte == '#') {
			packet->state = GDB_SUM1;
			return GDB_NOTHING;
		}
		packet->sum = (uint8_t)(packet->sum + byte);
		if (byte == ESCAPE)
			packet->state = GDB_ESCAPED;
		else
			take(packet, byte);
		return GDB_NOTHING;
	case GDB_ESCAPED:
		packet->sum = (uint8_t)(packet->sum + byte);
		packet->state = GDB_DATA;
		take(packet, byte ^ ESCAPE_BIT);
		return GDB_NOTHING;
	case GDB_SUM1:
		digit = digit_of(byte);
		if (digit < 0)
			return finish(packet, digit);
		packet->wanted = (uint8_t)(digit << 4);
		packet->state = GDB_SUM2;
		return GDB_NOTHING;
	case GDB_SUM2:
		return finish(packet, digit_of(byte));
	}
	return GDB_NOTHING;
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void put(struct gdb_reply *reply, char byte)
{
	if (reply->size > GDB_REPLY_MAX)
		reply->full = true;
	else
		reply->data[reply->size++] = byte;
}

void gdb_reply_begin(struct gdb_reply *reply)
{
	reply->data[0] = '$';
	reply->size = 1;
	reply->full = false;
}

void gdb_reply_text(struct gdb_reply *reply, const char *text)
{
	while (*text)
		put(reply, *text++);
}

void gdb_reply_format(struct gdb_reply *reply, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	gdb_reply_text(reply, text);
}

void gdb_reply_hex(struct gdb_reply *reply, const void *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i++) {
		put(reply, digits[byte[i] >> 4]);
		put(reply, digits[byte[i] & 15]);
	}
}

void gdb_reply_binary(struct gdb_reply *reply, const void *bytes, size_t count)
{
	const char *byte = bytes;

	for (size_t i = 0; i < count; i++) {
		if (byte[i] == '$' || byte[i] == '#' || byte[i] == ESCAPE || byte[i] == '*') {
			put(reply, ESCAPE);
			put(reply, byte[i] ^ ESCAPE_BIT);
		} else {
			put(reply, byte[i]);
		}
	}
}

void gdb_reply_end(struct gdb_reply *reply)
{
	uint8_t sum = 0;

	if (reply->full) {
		gdb_reply_begin(reply);
		gdb_reply_text(reply, "E28"); /* ENOSPC */
	}
	for (size_t i = 1; i < reply->size; i++)
		sum = (uint8_t)(sum + (uint8_t)reply->data[i]);
	reply->size += (size_t)snprintf(&reply->data[reply->size],
	                                sizeof(reply->data) - reply->size, "#%02x", sum);
}

bool gdb_reply_is_empty(const struct gdb_reply *reply)
{
	return reply->size == 1 && !reply->full;
}

/* ---- Parts of a packet -------------------------------------------------------------------------
 */

bool gdb_parse_number(const char **at, uint64_t *value)
{
	unsigned count = 0;

	*value = 0;
	for (; digit_of((uint8_t) * *at) >= 0; (*at)++) {
		if (++count > 16)
			return false;
		*value = *value << 4 | (unsigned)digit_of((uint8_t) * *at);
	}
	return count > 0;
}

bool gdb_parse_bytes(const char **at, void *bytes, size_t count)
{
	uint8_t *to = bytes;

	for (size_t i = 0; i < count; i++) {
		int high = digit_of((uint8_t)(*at)[0]);
		int low = high < 0 ? -1 : digit_of((uint8_t)(*at)[1]);

		if (low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
		*at += 2;
	}
	return true;
}

bool gdb_parse_text(const char **at, const char *text)
{
	size_t size = strlen(text);

	if (strncmp(*at, text, size) != 0)
		return false;
	*at += size;
	return true;
}

bool gdb_list_has(const char *list, const char *word)
{
	const size_t size = strlen(word);

	for (;; list++) {
		const size_t length = strcspn(list, ";");

		if (length == size && memcmp(list, word, size) == 0)
			return true;
		list += length;
		if (!*list)
			return false;
	}
}

const char *gdb_packet_rest(const char *packet, const char *name, enum gdb_name ends)
{
	static const char separators[] = {
	    [GDB_COLON] = ':', [GDB_SEMICOLON] = ';', [GDB_COMMA] = ','};

	if (!gdb_parse_text(&packet, name))
		return NULL;
	if (!*packet || ends == GDB_LETTER)
		return packet;
	return ends != GDB_WHOLE && *packet == separators[ends] ? packet + 1 : NULL;
}

uint32_t gdb_crc(uint32_t crc, const void *bytes, size_t count)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i++) {
		crc ^= (uint32_t)byte[i] << 24;
		for (int bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
	}
	return crc;
}
