/* Panics with a message, and with registers that the first argument chooses: n(one), g(ood),
 * b(eyond RAM), l(ong message). */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	static const char text[] = "this guest \033[31mhas had enough";
	const char *word = boot->cmdline;
	uint64_t length = sizeof(text) - 1, regs = ~UINT64_C(0);

	while (*word++)
		;
	for (unsigned i = 0; i < sizeof(text); i++)
		call_page()->data[i] = text[i];
	if (*word == 'g') {
		at(boot->free_start)[16] = 0x1111; /* rip of a struct rs_regs */
		regs = boot->free_start;
	} else if (*word == 'b') {
		regs = boot->ram_size - sizeof(struct rs_regs) + 1;
	} else if (*word == 'l') {
		length = ~UINT64_C(0);
		regs = ~UINT64_C(7);
	}
	call(RS_CALL_PANIC, length, regs);
	end(1); /* a guest that has panicked never runs again */
}
