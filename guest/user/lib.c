#include "guest/user/lib.h"

#include <stdarg.h>

int errno;

void exit(int status)
{
	flush();
	for (;;)
		syscall(SYS_exit, (long)status);
}

/* ---- Strings ------------------------------------------------------------------------------------
 */

bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

void set_text(char *field, size_t size, const char *text)
{
	for (size_t i = 0; i < size; i++)
		field[i] = *text && i + 1 < size ? *text++ : '\0';
}

uint64_t number(const char *text)
{
	uint64_t value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

/* ---- Output
 * -------------------------------------------------------------------------------------- */

static char out[2048];
static size_t out_used;

void flush(void)
{
	size_t done = 0;

	while (done < out_used) {
		long n = syscall(SYS_write, 1L, out + done, out_used - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	out_used = 0;
}

static void put(char c)
{
	if (out_used == sizeof(out))
		flush();
	out[out_used++] = c;
}

struct field {
	bool left, zero, grouped;
	int width;
};

static void put_text(const char *text, int length, struct field field)
{
	int pad = field.width - length;

	for (; !field.left && pad > 0; pad--)
		put(field.zero ? '0' : ' ');
	for (int i = 0; i < length; i++)
		put(text[i]);
	for (; field.left && pad > 0; pad--)
		put(' ');
}

static void put_number(uint64_t value, bool negative, unsigned base, struct field field)
{
	char text[32], *at = text + sizeof(text);
	int digits = 0;

	do {
		if (field.grouped && digits && digits % 3 == 0)
			*--at = ',';
		*--at = "0123456789abcdef"[value % base];
		value /= base;
		digits++;
	} while (value);
	if (negative)
		*--at = '-';
	put_text(at, (int)(text + sizeof(text) - at), field);
}

static const char *parse_field(const char *format, struct field *field)
{
	*field = (struct field){0};
	for (;; format++) {
		if (*format == '-')
			field->left = true;
		else if (*format == '0')
			field->zero = true;
		else if (*format == '\'')
			field->grouped = true;
		else
			break;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		field->width = field->width * 10 + (*format - '0');
	return format;
}

void printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		struct field field;

		if (*format != '%') {
			put(*format);
			continue;
		}
		format = parse_field(format + 1, &field);
		switch (*format) {
		case 's': {
			const char *text = va_arg(args, const char *);
			int length = 0;

			while (text[length])
				length++;
			put_text(text, length, field);
			break;
		}
		case 'c': {
			char c = (char)va_arg(args, int);

			put_text(&c, 1, field);
			break;
		}
		case 'd': {
			long value = va_arg(args, long);

			put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0, 10,
			           field);
			break;
		}
		case 'u':
			put_number(va_arg(args, uint64_t), false, 10, field);
			break;
		case 'x':
			put_number(va_arg(args, uint64_t), false, 16, field);
			break;
		default:
			put(*format);
		}
	}
	va_end(args);
}
