/*
 * QEMU's firmware configuration device (QEMU's docs/specs/fw_cfg.rst): a selector at port 0x510,
 * and behind it, byte by byte at port 0x511, what a guest without other tables asks about its
 * machine. Here: the signature, the traditional interface without DMA, RAM, CPUs, and a directory
 * without files.
 */
#ifndef VMM_DEVICES_FW_CFG_H
#define VMM_DEVICES_FW_CFG_H

#include <stdint.h>

enum { FW_CFG_SELECTOR = 0x510, FW_CFG_DATA = 0x511 };

struct fw_cfg {
	uint64_t ram;
	uint16_t cpus;
	uint16_t selected;
	uint16_t offset; /* of the next byte; it stays behind the end */
};

/* ram: bytes of all RAM; cpus: below 65536, those that are there and those that may be. */
void fw_cfg_init(struct fw_cfg *fw_cfg, uint64_t ram, unsigned cpus);
/* port: FW_CFG_SELECTOR with size 2 selects; all else takes nothing. */
void fw_cfg_write(struct fw_cfg *fw_cfg, uint16_t port, unsigned size, uint32_t value);
/* port: FW_CFG_DATA gives a byte, 0 behind an item's end and of items that are not there, whatever
 * the size, which other bytes fill with 0; all else reads as 0. */
uint32_t fw_cfg_read(struct fw_cfg *fw_cfg, uint16_t port);

#endif
