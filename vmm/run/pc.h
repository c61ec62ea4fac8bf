/*
 * A PC's devices, for kernels other than Ringscope's own guest (vmm/boot/protocol.h, is_pc): the
 * state machines of vmm/devices/, on the machine's bus, with the lines between them, the interrupts
 * to KVM's local APICs, and the host's side of the serial line.
 *
 * Interrupts: all lines go to a pair of PICs and to an I/O APIC.  The I/O APIC's messages are
 * KVM's; the PICs' vector is given to CPU 0 when it can take one, after an exit of its own: pc is
 * an observer of the machine.  A thread waits for standard input and for the PIT's next edge, and
 * makes KVM_RUN of CPU 0 return when the PICs have something for it.
 */
#ifndef VMM_RUN_PC_H
#define VMM_RUN_PC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/pc.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/crtc.h"
#include "vmm/devices/debug_ports.h"
#include "vmm/devices/fw_cfg.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/pic.h"
#include "vmm/devices/pit.h"
#include "vmm/devices/power.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/uart.h"
#include "vmm/kvm/interrupts.h"
#include "vmm/run/machine.h"
#include "vmm/run/pc_host.h"

/* Rows of the bus: devices of bytes, and of words. */
enum { PC_BYTES = 10, PC_WORDS_ROWS = 10 };

struct pc {
	struct observer observer;
	struct machine *machine;

	/* From here to `host`: what a snapshot keeps (pc_save). */
	struct uart uart;
	struct pic pic;
	struct pit pit;
	struct ioapic ioapic;
	struct rtc rtc;
	struct i8042 i8042;
	struct crtc crtc;
	struct power power;
	struct fw_cfg fw_cfg;
	struct debug_ports debug;
	struct pc_bytes {
		struct pc *pc;
		const struct pc_bytes_row *row;
	} bytes[PC_BYTES]; /* what those devices are called with */
	struct device devices[PC_BYTES + PC_WORDS_ROWS];

	bool over;           /* a device has ended the run */
	uint32_t dead;       /* bitmap: CPUs found halted with interrupts off, or not started ... */
	unsigned dead_round; /* ... in this round of host.round */
	unsigned dead_rounds; /* rounds in a row in which all were */
	struct kvm_route routes[PC_LINES];
	bool has_route[PC_LINES];

	struct pc_host host;
};

/* Puts a PC's devices onto the machine's bus.  NULL after a message.  pc_destroy is due, after the
 * last exit. */
struct pc *pc_create(struct machine *machine);
/* Before CPUs run: the thread, and the terminal's raw mode if standard input is one.  False after a
 * message. */
bool pc_begin(struct pc *pc);
/* After they ran: no thread, and the terminal is as it was. */
void pc_end(struct pc *pc);
void pc_destroy(struct pc *pc);

/* The devices' state, as bytes that mean something to the same machine only.  What the host has to
 * do with them stays as it is: output that is out, input that was read, time. */
enum { PC_STATE = offsetof(struct pc, host) - offsetof(struct pc, uart) };
void pc_save(const struct pc *pc, uint8_t to[PC_STATE]);
/* False after a message: KVM does not take the interrupts' routes. */
bool pc_restore(struct pc *pc, const uint8_t from[PC_STATE]);

#endif
