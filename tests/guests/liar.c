/* Lies in every field of a call, and expects an errno value and its life. */
#include "tests/guests/guest.h"

enum { EBADF = 9, ENOSYS = 38, EMSGSIZE = 90 };

static void lie_in_calls(void)
{
	static const uint64_t bad_fd[] = {0, 3, ~UINT64_C(0), UINT64_C(1) << 32 | 1,
	                                  UINT64_C(1) << 63};
	static const uint64_t bad_length[] = {4097, 8192, ~UINT64_C(0), UINT64_C(1) << 63,
	                                      UINT64_C(1) << 32};
	static const uint32_t bad_function[] = {0, 15, 4096, 0x80000001, 0xffffffff};

	for (unsigned i = 0; i < 5; i++) {
		check(call(RS_CALL_WRITE, bad_fd[i], 1) == -EBADF, 1);
		check(call(RS_CALL_WRITE, 1, bad_length[i]) == -EMSGSIZE, 2);
		check(call(bad_function[i], ~UINT64_C(0), ~UINT64_C(0)) == -ENOSYS, 3);
	}
	check(call(RS_CALL_WRITE, 1, 0) == 0, 4);
}

static void lie_in_marks(void)
{
	volatile struct rs_call *page = call_page();
	uint64_t count = page->marks[7].count;

	out8(RS_PORT_MARK, 7);
	check(page->marks[7].count == count + 1 && page->marks[7].cpl == 0, 10);
	check(page->marks[7].cs == RS_SEL_KERNEL_CODE && page->marks[7].rflags & 2, 11);
	/* What the guest writes there is data to the VMM. */
	page->marks[7].count = ~UINT64_C(0);
	out8(RS_PORT_MARK, 7);
	check(page->marks[7].count == 0, 12);
	for (unsigned slot = RS_MARKS; slot < 256; slot++)
		out8(RS_PORT_MARK, (uint8_t)slot);
	check(page->marks[7].count == 0, 13);
	check(page->data[0] == 0, 14); /* nothing was written behind the last mark */
}

static void lie_in_ports(void)
{
	/* Known ports with a width that means nothing. */
	out16(RS_PORT_PUTC, 0x4141);
	out32(RS_PORT_PUTC, 0x41414141);
	out8(RS_PORT_CALL, RS_CALL_PANIC);
	out16(RS_PORT_CALL, RS_CALL_PANIC);
	out32(RS_PORT_MARK, 0);
	/* Ports that nobody has, and the ends of the space. */
	out8(0x80, 0);
	out8(0xffff, 0);
	out32(0xfffc, 0);
	check(in8(0x3f8) == 0xff && in32(0) == 0xffffffff, 20);
	check(in32(RS_PORT_EXIT) == 0xffffffff, 21);
	out8(RS_PORT_NOP, 0);
	out32(RS_PORT_NOP, 0);
}

void start(const struct rs_boot *boot)
{
	(void)boot;
	lie_in_calls();
	lie_in_marks();
	lie_in_ports();
	print("every lie was answered\n");
	end(0);
}
