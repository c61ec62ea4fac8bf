#include "guest/console.h"

#include <stddef.h>

#include "guest/cpu.h"

struct line {
	char *at, *end;
};

static void put(struct line *line, char c)
{
	if (line->at < line->end)
		*line->at++ = c;
}

static void put_number(struct line *line, uint64_t value, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		put(line, digits[--count]);
}

uint64_t console_format(char *buffer, uint64_t size, const char *format, va_list args)
{
	struct line line = {buffer, buffer + size};

	for (; *format; format++) {
		if (*format != '%') {
			put(&line, *format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(&line, *s);
			break;
		case 'u':
			put_number(&line, va_arg(args, uint64_t), 10);
			break;
		case 'x':
			put(&line, '0');
			put(&line, 'x');
			put_number(&line, va_arg(args, uint64_t), 16);
			break;
		default:
			put(&line, *format);
		}
	}
	return (uint64_t)(line.at - buffer);
}

void print(const char *format, ...)
{
	struct rs_call *call = cpu_call();
	va_list args;

	va_start(args, format);
	call->arg[0] = 1;
	call->arg[1] = console_format(call->data, sizeof(call->data), format, args);
	va_end(args);
	out32(RS_PORT_CALL, RS_CALL_WRITE);
}
