/*
 * A serial port: National Semiconductor's PC16550D, a 16550A for drivers, as a PC has it.  The line
 * behind it is endless and takes no time: a byte written to THR has been sent when the write
 * returns, so that THRE and TEMT are always set, whatever baud rate and word length say; bytes
 * written are eight bits also where LCR asks for less.  Below the FIFO's trigger level the
 * character timeout (IIR 0xc) comes at once, as nothing else will.  CTS, DSR and DCD are on.
 *
 * What is not there: breaks, parity and framing errors, the DMA pins.
 */
#ifndef VMM_DEVICES_UART_H
#define VMM_DEVICES_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UART_FIFO_SIZE = 16 };

struct uart {
	void (*transmit)(void *ctx, uint8_t byte); /* not called in loopback mode */
	void (*line)(void *ctx, bool level);       /* the interrupt's, when it changes */
	void *ctx;
	/* A PC's OUT2 pin (MCR bit 3) connects the interrupt to its line.  xv6 clears OUT2 and
	 * waits for interrupts all the same, which some emulators give; true: so does this. */
	bool out2_ignored;

	/* The registers, by the data sheet's names (section 8). */
	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	bool overrun;    /* LSR bit 1 */
	bool thr_waits;  /* the transmitter's interrupt, until IIR is read */
	bool level;      /* told last */
	uint8_t head;    /* of the receiver's FIFO: its oldest byte */
	uint8_t waiting; /* bytes in it */
	uint8_t fifo[UART_FIFO_SIZE];
};

/* As after a reset (table V), with the divisor for 115200 baud.  Keeps the callbacks, calls none.
 */
void uart_init(struct uart *uart);
/* reg: 0 to 7, the offset of the port; its higher bits do not count. */
void uart_write(struct uart *uart, unsigned reg, uint8_t value);
uint8_t uart_read(struct uart *uart, unsigned reg);

/* How many bytes it can receive now: the free places of the FIFO, one without FIFO, and none in
 * loopback mode, in which the line is not connected. */
size_t uart_room(const struct uart *uart);
/* Bytes from the line.  More than uart_room(): an overrun, and what the data sheet says is lost
 * (8.6) is lost.  In loopback mode all are. */
void uart_receive(struct uart *uart, const uint8_t *bytes, size_t count);

#endif
