#include "vmm/base/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

_Bool message_error(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	flockfile(stderr);
	fputs("vmm: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
	va_end(args);
	errno = error;
	return 0;
}
