/*
 * OUT DX, AL is what the debugger plants (vmm/engine/engine.h): here the guest has two of its own,
 * one behind the other, and what comes before and behind them is a byte as well.
 */
#include "tests/guests/guest.h"

/* Writes the letter twice. */
static __attribute__((noinline)) void write_twice(char letter)
{
	__asm__ volatile("before_outs: .globl before_outs\n\t"
	                 "nop\n"
	                 "first_out: .globl first_out\n\t"
	                 "out %%al, %%dx\n"
	                 "second_out: .globl second_out\n\t"
	                 "out %%al, %%dx\n"
	                 "behind_outs: .globl behind_outs\n\t"
	                 "nop"
	                 :
	                 : "a"(letter), "d"(RS_PORT_PUTC));
}

void start(const struct rs_boot *boot)
{
	(void)boot;
	write_twice('a');
	write_twice('b');
	out8(RS_PORT_PUTC, '\n');
	end(0);
}
