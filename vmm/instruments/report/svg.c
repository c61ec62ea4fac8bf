#include "vmm/instruments/report/svg.h"

#include <stdarg.h>
#include <string.h>

#include "vmm/instruments/report/html.h"

void svg_open(FILE *out, double width, double height, const char *title)
{
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
	        "style=\"max-width:%.0fpx\">\n<title>",
	        width, height, width);
	html_text(out, title);
	fputs("</title>\n", out);
}

void svg_close(FILE *out)
{
	fputs("</svg>\n", out);
}

void svg_rect(FILE *out, double x, double y, double width, double height, const char *class,
              const char *hint)
{
	fprintf(out, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"",
	        class, x, y, width > 0 ? width : 0, height > 0 ? height : 0);
	if (hint) {
		fputs("><title>", out);
		html_text(out, hint);
		fputs("</title></rect>\n", out);
	} else {
		fputs("/>\n", out);
	}
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class)
{
	fprintf(out, "<line class=\"%s\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n",
	        class, x1, y1, x2, y2);
}

void svg_text(FILE *out, double x, double y, enum svg_anchor anchor, const char *class,
              const char *format, ...)
{
	static const char *const anchors[] = {
	    [SVG_START] = "start",
	    [SVG_MIDDLE] = "middle",
	    [SVG_END] = "end",
	};
	char text[512];
	va_list args;

	va_start(args, format);
	/* clang-tidy 14 says so only when it has looked at other files before, and wrongly. */
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(out, "<text class=\"%s\" x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\">", class, x, y,
	        anchors[anchor]);
	html_text(out, text);
	fputs("</text>\n", out);
}

/* ---- Scales ---------------------------------------------------------------------------------- */

/* Without libm, which a static program would have to carry for this alone. */
static double log2_of(double value)
{
	double whole = 0, digit = 1, rest = 0;

	while (value >= 2) {
		value /= 2;
		whole++;
	}
	while (value < 1) {
		value *= 2;
		whole--;
	}
	for (int i = 0; i < 24; i++) {
		value *= value;
		digit /= 2;
		if (value >= 2) {
			value /= 2;
			rest += digit;
		}
	}
	return whole + rest;
}

/* The smallest of 1, 2, 5 times a power of ten that is not below the value. */
static double round_up(double value)
{
	static const double steps[] = {2, 2.5, 2}; /* 1 to 2 to 5 to 10 */
	double step = 1;

	while (step > value)
		step /= 10;
	for (unsigned i = 0; step < value * (1 - 1e-9); i++)
		step *= steps[i % 3];
	return step;
}

static double power_below(double value)
{
	double power = 1;

	while (power > value)
		power /= 10;
	while (power * 10 <= value)
		power *= 10;
	return power;
}

/* In at most 6 steps and what rounding adds at either end. */
struct svg_scale svg_scale_signed(double min, double max, double length)
{
	struct svg_scale scale = {.length = length};

	if (!(min < 0))
		min = 0;
	if (!(max > 0))
		max = 0;
	if (!(max - min >= 1e-30) || max - min > 1e30)
		max = 1, min = 0;
	scale.step = round_up((max - min) / 6);
	for (unsigned i = 1; scale.high < max * (1 - 1e-9); i++)
		scale.high = scale.step * i;
	for (unsigned i = 1; scale.low > min * (1 - 1e-9); i++)
		scale.low = -scale.step * i;
	return scale;
}

struct svg_scale svg_scale_make(double min, double max, double ratio, double length)
{
	struct svg_scale scale = {.length = length};

	if (!(min > 0) || !(max >= min) || max > 1e30 || min < 1e-30)
		min = max = 1;
	if (max / min > ratio) {
		scale.logarithmic = true;
		scale.low = power_below(min);
		if (min / scale.low < 1.2)
			scale.low /= 10; /* the smallest bar is there to be seen */
		scale.high = power_below(max) * 10;
		return scale;
	}

	return svg_scale_signed(0, max, length);
}

double svg_scale_at(const struct svg_scale *scale, double value)
{
	if (value <= scale->low)
		return 0;
	if (value >= scale->high)
		return scale->length;
	if (!scale->logarithmic)
		return (value - scale->low) / (scale->high - scale->low) * scale->length;
	return log2_of(value / scale->low) / log2_of(scale->high / scale->low) * scale->length;
}

bool svg_scale_tick(const struct svg_scale *scale, unsigned i, double *value)
{
	enum { MAX_TICKS = 12 };

	if (scale->logarithmic) {
		*value = scale->low;
		for (unsigned n = 0; n < i && n < MAX_TICKS; n++)
			*value *= 10;
	} else {
		*value = scale->low + scale->step * i;
		if (*value < scale->step / 2 && *value > -scale->step / 2)
			*value = 0; /* not what rounding left of it */
	}
	return i < MAX_TICKS && *value <= scale->high + scale->step * 1e-6 + scale->high * 1e-9;
}

const char *svg_number(char buf[40], double value)
{
	const bool minus = value < 0;
	char digits[40];
	size_t length, whole, to = 0;

	value = minus ? -value : value + 0.0; /* -0 is 0 */
	snprintf(digits, sizeof(digits), "%.*f",
	         value < 9.9995   ? 3
	         : value < 999.95 ? 1
	                          : 0,
	         value);
	length = strlen(digits);
	whole = strcspn(digits, ".");
	if (digits[whole]) {
		while (digits[length - 1] == '0')
			length--;
		if (digits[length - 1] == '.')
			length--;
	}
	if (minus && strcspn(digits, "123456789") < length)
		buf[to++] = '-';
	for (size_t i = 0; i < length && to < 38; i++) {
		if (i > 0 && i < whole && (whole - i) % 3 == 0)
			buf[to++] = ',';
		buf[to++] = digits[i];
	}
	buf[to] = '\0';
	return buf;
}
