/* Escape sequences (ECMA-48 SGR) for the few things that are coloured; empty strings without
 * colour. */
#ifndef VMM_BASE_COLOR_H
#define VMM_BASE_COLOR_H

#include <stdbool.h>

struct style {
	const char *head; /* a heading */
	const char *good, *bad, *faint;
	const char *end; /* back to normal */
};

static inline struct style style_get(bool color)
{
	if (!color)
		return (struct style){.head = "", .good = "", .bad = "", .faint = "", .end = ""};
	return (struct style){
	    .head = "\033[1m",
	    .good = "\033[32m",
	    .bad = "\033[33m",
	    .faint = "\033[2m",
	    .end = "\033[0m",
	};
}

#endif
