/*
 * Boot protocols: how a kernel's file says what it is, where it goes in RAM, what it finds there
 * beside itself, and in what state its first instruction runs.  A row each; the first whose sign
 * the file bears is taken, or the one that --boot names.
 *
 * A protocol of one's own is a file with one row in vmm/boot/protocol.c's table.
 */
#ifndef VMM_BOOT_PROTOCOL_H
#define VMM_BOOT_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/boot.h"
#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"
#include "vmm/boot/start.h"
#include "vmm/kvm/host.h"
#include "vmm/kvm/vcpu.h"

struct boot_protocol {
	const char *name;  /* for --boot: "linux" */
	const char *title; /* for reports: "Linux's boot protocol" */
	const char *sign;  /* what a file has that bears it, for the message that refuses one */
	/* It expects a PC: devices (vmm/run/pc.h), an interrupt controller, and CPUs that wait for
	 * INIT and SIPI. */
	bool is_pc;
	bool has_words;   /* the kernel finds --append and --initrd */
	bool has_modules; /* ... and every --module */
	/* Whether the file, of which image->head is read, bears the sign.  Says nothing. */
	bool (*claims)(struct image *image);
	/* Checks the file and fills the image; touches no guest memory.  False after a message. */
	bool (*open)(struct image *image, const struct plan *plan);
	/* Copies it into RAM, which is all zero before.  False after a message. */
	bool (*load)(const struct image *image, const struct memory *memory);
	/* What else the kernel finds in RAM.  *boot is all zero before, and must not move.  False
	 * after a message. */
	bool (*build)(struct boot *boot, const struct memory *memory, const struct image *image,
	              const struct host *host, const struct plan *plan);
	/* As start_cpu. */
	bool (*start)(struct start *start, const struct vcpu *vcpu, unsigned number,
	              struct vcpu_state *state);
	/* What is known only when all CPUs are made; NULL: nothing. */
	void (*publish)(struct boot *boot, const struct image *image, const struct host *host,
	                const struct plan *plan, uint32_t pti_mode);
};

/* Opens the guest's file, finds its protocol, and has it checked.  A file packed by gzip is taken
 * for what is in it.  False after a message; image_close is due in both cases. */
bool boot_open(struct image *image, const struct plan *plan);

/* "linux, multiboot, ...": what --boot takes.  Returns buf. */
const char *boot_protocol_list(char *buf, size_t size);
/* NULL: there is none of this name. */
const struct boot_protocol *boot_protocol_find(const char *name);

/* The rows that are not in protocol.c itself. */
extern const struct boot_protocol linux_protocol, pvh_protocol, multiboot_protocol,
    multiboot2_protocol, elf32_protocol;

#endif
