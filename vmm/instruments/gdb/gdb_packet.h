/*
 * gdb's remote protocol, the lowest layer: bytes from the line into packets, and replies into bytes
 * ("Debugging with GDB", appendix E.1).  Pure: no sockets, no guest.  What comes over the line is
 * hostile: any bytes give some events and nothing else.
 */
#ifndef VMM_INSTRUMENTS_GDB_GDB_PACKET_H
#define VMM_INSTRUMENTS_GDB_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GDB_PACKET_MAX = 0x4000, /* bytes between '$' and '#', told to gdb as PacketSize */
	GDB_REPLY_MAX = 0x4000,
};

enum gdb_event {
	GDB_NOTHING,   /* the byte is part of something, or of nothing */
	GDB_PACKET,    /* packet->data is complete and its checksum right */
	GDB_GARBLED,   /* a packet with a wrong checksum, or too long: ask for it again */
	GDB_INTERRUPT, /* 0x03 outside a packet: Ctrl-C */
	GDB_ACK,
	GDB_NAK,     /* our last reply did not get through */
	GDB_FOREIGN, /* a byte outside a packet that is none of the above: noise, or no gdb */
};

struct gdb_packet {
	enum { GDB_IDLE, GDB_DATA, GDB_ESCAPED, GDB_SUM1, GDB_SUM2 } state;
	bool too_long;
	uint8_t sum, wanted;
	size_t size;
	char data[GDB_PACKET_MAX + 1]; /* unescaped, with a NUL behind it */
};

/* One byte of the line into *packet, which is all zero at first. */
enum gdb_event gdb_packet_feed(struct gdb_packet *packet, uint8_t byte);
/* Whether this is a byte that gdb may begin with. */
bool gdb_packet_may_begin(uint8_t byte);

/* A reply as it is being written: "$", the data escaped, and with gdb_reply_end "#" and the
 * checksum. */
struct gdb_reply {
	size_t size;
	bool full; /* something did not fit: gdb_reply_end makes an error reply of it */
	char data[GDB_REPLY_MAX + 8];
};

void gdb_reply_begin(struct gdb_reply *reply);
/* Text that needs no escaping. */
void gdb_reply_text(struct gdb_reply *reply, const char *text);
void gdb_reply_format(struct gdb_reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes as two hexadecimal digits each. */
void gdb_reply_hex(struct gdb_reply *reply, const void *bytes, size_t count);
/* Bytes as they are, escaped. */
void gdb_reply_binary(struct gdb_reply *reply, const void *bytes, size_t count);
void gdb_reply_end(struct gdb_reply *reply);
/* Whether nothing has been written into the reply. */
bool gdb_reply_is_empty(const struct gdb_reply *reply);

/* A number of at most 16 hexadecimal digits at *at, which moves behind it.  False: there is none.
 */
bool gdb_parse_number(const char **at, uint64_t *value);
/* Just `count` bytes as digits, two each; *at moves behind them.  False: too few, or other letters.
 */
bool gdb_parse_bytes(const char **at, void *bytes, size_t count);
/* Skips `text` at *at.  False: something else is there. */
bool gdb_parse_text(const char **at, const char *text);
/* Whether `word` is one of the words of a list that ';' separates. */
bool gdb_list_has(const char *list, const char *word);

/* How the name of a packet ends. */
enum gdb_name {
	GDB_WHOLE,  /* it is the whole packet */
	GDB_LETTER, /* it is the first letter; what follows is the packet's */
	GDB_COLON,  /* it is all, or ':' and more follow */
	GDB_SEMICOLON,
	GDB_COMMA,
};
/* What follows a name and its separator, "" for nothing; NULL when the packet is another one. */
const char *gdb_packet_rest(const char *packet, const char *name, enum gdb_name ends);

/* The CRC-32 that gdb compares sections with: most significant bit first, from all ones, not
 * inverted.  crc: that of what came before; GDB_CRC_START: nothing did. */
#define GDB_CRC_START UINT32_MAX
uint32_t gdb_crc(uint32_t crc, const void *bytes, size_t count);

#endif
