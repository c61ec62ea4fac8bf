#include "vmm/instruments/report/html.h"

#include <stdarg.h>
#include <string.h>

static const char *reference(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void html_text_n(FILE *out, const char *text, size_t size)
{
	for (; size && *text; text++, size--) {
		const char *known = reference(*text);

		if (known)
			fputs(known, out);
		else
			fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
	}
}

void html_text(FILE *out, const char *text)
{
	if (text)
		html_text_n(out, text, strlen(text));
}

void html_format(FILE *out, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	html_text(out, text);
}
