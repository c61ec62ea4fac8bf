/* What a boot protocol has put into guest RAM, and what of it others need to know. */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/pt.h"
#include "vmm/base/memory.h"

/* Pointers lead into guest RAM, where the guest may change everything at any time. */
struct boot {
	const struct memory *memory;
	unsigned cpus;
	/* The tree that was built; geo is the host's whatever was.  root 0: none that stays. */
	struct pt kernel;

	/* Ringscope's own protocol; NULL and 0 of another one. */
	uint64_t next_frame; /* frames from here on are free */
	struct rs_boot *page;
	struct rs_call *call[RS_MAX_CPUS];
	struct rs_stats *stats[RS_MAX_CPUS];

	/* The others': with what CPU 0 enters the kernel (vmm/boot/pc_start.h). */
	struct pc_entry {
		bool bits32;
		uint16_t code; /* CS; the data segments have the selector behind it */
		uint64_t rip, rsi;
		uint32_t eax, ebx;
	} entry;
};

#endif
