/*
 * Pictures as inline SVG 1.1.  Colours and fonts are the page's: shapes carry a CSS class, so one
 * style sheet serves light, dark and paper.  Lengths are user units, a pixel at the page's natural
 * width; x grows to the right, y down.
 */
#ifndef VMM_INSTRUMENTS_REPORT_SVG_H
#define VMM_INSTRUMENTS_REPORT_SVG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

/* A picture that shrinks with the page; title: what it shows, for those who cannot see it. */
void svg_open(FILE *out, double width, double height, const char *title);
void svg_close(FILE *out);

/* hint: shown when pointed at, and read aloud; NULL: none.  A width or height below 0 is 0. */
void svg_rect(FILE *out, double x, double y, double width, double height, const char *class,
              const char *hint);
void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *class);
/* y: the baseline.  The text goes through html_text. */
void svg_text(FILE *out, double x, double y, enum svg_anchor anchor, const char *class,
              const char *format, ...) __attribute__((format(printf, 6, 7)));

/* ---- Scales ---------------------------------------------------------------------------------- */

/* Values to lengths: `low` to 0, `high` to `length`. */
struct svg_scale {
	bool logarithmic;
	double low, high; /* 0 < low < high if logarithmic; else low <= 0 < high */
	double step;      /* from tick to tick, if linear */
	double length;
};
/* A scale whose ends are round numbers, for values from min to max (0 < min <= max; else as if
 * both were 1).  Linear unless the largest is more than `ratio` times the smallest. */
struct svg_scale svg_scale_make(double min, double max, double ratio, double length);
/* A linear one that has 0 on it, for values of either sign, from min to max. */
struct svg_scale svg_scale_signed(double min, double max, double length);
double svg_scale_at(const struct svg_scale *scale, double value);
/* The i-th tick, from 0; false: there are no more.  At most 12. */
bool svg_scale_tick(const struct svg_scale *scale, unsigned i, double *value);

/* "1,250,000", "2.5": a tick or a value with as many decimals as it needs, three at most. */
const char *svg_number(char buf[40], double value);

#endif
