#include "vmm/look/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/base/message.h"

json_t *look_json_hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

json_t *look_json_head(const struct look *look, const char *kind)
{
	json_t *user = look->two_roots ? look_json_hex(look->cr3[LOOK_USER]) : json_null();

	return json_pack("{s:s, s:s, s:i, s:o, s:s, s:{s:o, s:o, s:s?}}", "look", kind, "when",
	                 look->moment->when, "cpu", (int)look->moment->cpu, "cr3",
	                 look_json_hex(look->moment->sregs.cr3), "paging",
	                 look->legacy ? legacy_name(look->legacy) : "long mode", "roots", "kernel",
	                 look_json_hex(look->cr3[LOOK_KERNEL]), "user", user, "from",
	                 look->roots_from);
}

bool look_json_write(FILE *out, json_t *object)
{
	bool good = object && json_dumpf(object, out, 0) == 0 && fputc('\n', out) != EOF;

	if (!object)
		message_error("no memory for JSON");
	else if (!good)
		message_error("cannot write JSON: %s", strerror(errno));
	json_decref(object);
	return good;
}
