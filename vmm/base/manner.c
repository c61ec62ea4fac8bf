#include "vmm/base/manner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool manner_colors(const struct manner *manner, int fd)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	if (manner->color != COLOR_AUTO)
		return manner->color == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return term && strcmp(term, "dumb") != 0 && isatty(fd);
}

bool manner_colors_file(const struct manner *manner, const struct outfile *file, int fd)
{
	return file->stream ? manner->color == COLOR_ALWAYS : manner_colors(manner, fd);
}
