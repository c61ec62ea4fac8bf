#include "vmm/devices/uart.h"

/* The registers, by offset; the first two are the divisor while LCR_DLAB is set. */
enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

enum { IER_RECEIVED = 1, IER_TRANSMITTED = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 0xf };
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVER = 2, FCR_TRIGGER = 0xc0, FCR_TRIGGER_SHIFT = 6 };
/* The low four bits: by priority, which is not their order. */
enum {
	IIR_NONE = 1,
	IIR_LINE = 6,
	IIR_RECEIVED = 4,
	IIR_TIMEOUT = 0xc,
	IIR_TRANSMITTED = 2,
	IIR_MODEM = 0,
	IIR_FIFO = 0xc0,
};
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10, MCR_ALL = 0x1f };
enum { LSR_DATA = 1, LSR_OVERRUN = 2, LSR_SENT = 0x60 /* THRE and TEMT */ };
enum {
	MSR_CHANGED = 0xf, /* of CTS, DSR, RI, DCD, four bits below each */
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
	MSR_STATE = 0xf0,
};

static unsigned fifo_size(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

/* ---- Interrupts (8.5, table III)
 * -----------------------------------------------------------------
 */

/* The low bits of IIR: the highest of what has happened and is enabled. */
static uint8_t cause(const struct uart *uart)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};

	if (uart->ier & IER_LINE && uart->overrun)
		return IIR_LINE;
	if (uart->ier & IER_RECEIVED && uart->waiting) {
		if (!(uart->fcr & FCR_ENABLE) ||
		    uart->waiting >= triggers[uart->fcr >> FCR_TRIGGER_SHIFT])
			return IIR_RECEIVED;
		return IIR_TIMEOUT;
	}
	if (uart->ier & IER_TRANSMITTED && uart->thr_waits)
		return IIR_TRANSMITTED;
	if (uart->ier & IER_MODEM && uart->msr & MSR_CHANGED)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_line(struct uart *uart)
{
	/* In loopback mode the pin OUT2 is off, whatever its bit says (8.7). */
	bool connected = uart->out2_ignored || (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool level = connected && cause(uart) != IIR_NONE;

	if (level == uart->level)
		return;
	uart->level = level;
	uart->line(uart->ctx, level);
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t low = cause(uart);

	if (low == IIR_TRANSMITTED)
		uart->thr_waits = false;
	return (uint8_t)(low | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

/* ---- The modem's lines (8.7, 8.8)
 * ---------------------------------------------------------------- */

static uint8_t modem_state(const struct uart *uart)
{
	uint8_t mcr = uart->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	                 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(struct uart *uart)
{
	uint8_t before = uart->msr & MSR_STATE, now = modem_state(uart);
	uint8_t changed = before ^ now;

	/* RI: its end only. */
	if (now & MSR_RI)
		changed &= (uint8_t)~MSR_RI;
	uart->msr = (uint8_t)(now | (uart->msr & MSR_CHANGED) | changed >> 4);
}

/* ---- Bytes
 * --------------------------------------------------------------------------------------- */

static void take(struct uart *uart, uint8_t byte)
{
	if (uart->waiting < fifo_size(uart)) {
		uart->fifo[(uart->head + uart->waiting++) % UART_FIFO_SIZE] = byte;
		return;
	}
	uart->overrun = true;
	/* A full FIFO keeps what it has; RBR alone gets the new byte (8.4). */
	if (!(uart->fcr & FCR_ENABLE))
		uart->fifo[uart->head] = byte;
}

static uint8_t give(struct uart *uart)
{
	uint8_t byte;

	if (!uart->waiting)
		return 0;
	byte = uart->fifo[uart->head];
	uart->head = (uint8_t)((uart->head + 1) % UART_FIFO_SIZE);
	uart->waiting--;
	return byte;
}

static void send(struct uart *uart, uint8_t byte)
{
	/* Gone and back again: a line that was up falls for a moment, which is an edge. */
	uart->thr_waits = false;
	update_line(uart);
	if (uart->mcr & MCR_LOOP)
		take(uart, byte);
	else
		uart->transmit(uart->ctx, byte);
	uart->thr_waits = true;
}

size_t uart_room(const struct uart *uart)
{
	return uart->mcr & MCR_LOOP ? 0 : fifo_size(uart) - uart->waiting;
}

void uart_receive(struct uart *uart, const uint8_t *bytes, size_t count)
{
	if (uart->mcr & MCR_LOOP)
		return;
	for (size_t i = 0; i < count; i++)
		take(uart, bytes[i]);
	update_line(uart);
}

/* ---- Registers
 * ----------------------------------------------------------------------------------- */

void uart_init(struct uart *uart)
{
	*uart = (struct uart){
	    .transmit = uart->transmit,
	    .line = uart->line,
	    .ctx = uart->ctx,
	    .out2_ignored = uart->out2_ignored,
	    .msr = MSR_CTS | MSR_DSR | MSR_DCD,
	    /* Undefined by the data sheet; who computes a rate from it must not divide by 0. */
	    .dll = 1,
	};
}

static void write_ier(struct uart *uart, uint8_t value)
{
	/* THR is empty: enabling its interrupt is what raises it. */
	if (value & ~uart->ier & IER_TRANSMITTED)
		uart->thr_waits = true;
	uart->ier = value & IER_ALL;
}

/* Bits 4 and 5, which a 16750 has, do not exist, and none is kept without the first (8.4). */
static void write_fcr(struct uart *uart, uint8_t value)
{
	if ((value ^ uart->fcr) & FCR_ENABLE || value & FCR_CLEAR_RECEIVER)
		uart->waiting = 0;
	uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

void uart_write(struct uart *uart, unsigned reg, uint8_t value)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (reg & 7) {
	case DATA:
		if (divisor)
			uart->dll = value;
		else
			send(uart, value);
		break;
	case IER:
		if (divisor)
			uart->dlm = value;
		else
			write_ier(uart, value);
		break;
	case IIR_FCR:
		write_fcr(uart, value);
		break;
	case LCR:
		uart->lcr = value;
		break;
	case MCR:
		uart->mcr = value & MCR_ALL;
		update_modem(uart);
		break;
	case SCR:
		uart->scr = value;
		break;
	default: /* LSR, MSR: for the factory's tests */
		break;
	}
	update_line(uart);
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t value = (uint8_t)(LSR_SENT | (uart->waiting ? LSR_DATA : 0) |
	                          (uart->overrun ? LSR_OVERRUN : 0));

	uart->overrun = false;
	return value;
}

static uint8_t read_msr(struct uart *uart)
{
	uint8_t value = uart->msr;

	uart->msr &= MSR_STATE;
	return value;
}

uint8_t uart_read(struct uart *uart, unsigned reg)
{
	bool divisor = uart->lcr & LCR_DLAB;
	uint8_t value;

	switch (reg & 7) {
	case DATA:
		value = divisor ? uart->dll : give(uart);
		break;
	case IER:
		value = divisor ? uart->dlm : uart->ier;
		break;
	case IIR_FCR:
		value = read_iir(uart);
		break;
	case LCR:
		return uart->lcr;
	case MCR:
		return uart->mcr;
	case LSR:
		value = read_lsr(uart);
		break;
	case MSR:
		value = read_msr(uart);
		break;
	default:
		return uart->scr;
	}
	update_line(uart);
	return value;
}
