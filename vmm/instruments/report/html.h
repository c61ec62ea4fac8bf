/*
 * Text into HTML and SVG.  Whatever did not come from this program (a guest, its file, the command
 * line, the host's names) goes through here, and nothing of it can be read as markup.
 */
#ifndef VMM_INSTRUMENTS_REPORT_HTML_H
#define VMM_INSTRUMENTS_REPORT_HTML_H

#include <stddef.h>
#include <stdio.h>

/* Writes text for an element's content or a quoted attribute: & < > " ' as references, and '?' for
 * what is not printable ASCII.  NULL is no text. */
void html_text(FILE *out, const char *text);
/* The same of at most `size` bytes. */
void html_text_n(FILE *out, const char *text, size_t size);
/* The same of what printf would make, up to 1 KiB. */
void html_format(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
