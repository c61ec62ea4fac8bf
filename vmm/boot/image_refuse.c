#include "vmm/boot/image_refuse.h"

#include <stdarg.h>
#include <stdio.h>

#include "vmm/base/message.h"

bool image_refuse(const struct image *image, const char *where, const char *format, ...)
{
	char why[400];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return message_error("%s: %s: %s", image->path, where, why);
}

bool image_refuse_header(const struct image *image, unsigned header, const char *format, ...)
{
	char where[40], why[400];
	va_list args;

	snprintf(where, sizeof(where), "program header %u", header);
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return image_refuse(image, where, "%s", why);
}
