#include "guest/panic.h"

#include <stddef.h>

#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/space.h"

void panic(const struct rs_regs *regs, const char *format, ...)
{
	struct rs_call *call = cpu_call();
	struct pt_walk walk = {.mapped = false};
	va_list args;

	va_start(args, format);
	call->arg[0] = console_format(call->data, sizeof(call->data), format, args);
	va_end(args);
	if (regs)
		pt_walk(space_kernel_tree(), (uint64_t)regs, &walk);
	call->arg[1] = walk.mapped ? walk.pa : UINT64_MAX;
	for (;;)
		out32(RS_PORT_CALL, RS_CALL_PANIC);
}
