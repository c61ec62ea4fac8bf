#include "vmm/devices/fw_cfg.h"

/* Items that are a little-endian number each; the directory, 0x19, begins with the big-endian
 * number of its files, which is 0 as all that is not here. */
enum { SIGNATURE = 0, ID = 1, RAM_SIZE = 3, CPUS = 5, MAX_CPUS = 0xf };
enum { ITEM_SIZE = 8 };
enum { ID_TRADITIONAL = 1 };

static uint64_t item(const struct fw_cfg *fw_cfg)
{
	switch (fw_cfg->selected) {
	case SIGNATURE:
		return 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24;
	case ID:
		return ID_TRADITIONAL;
	case RAM_SIZE:
		return fw_cfg->ram;
	case CPUS:
	case MAX_CPUS:
		return fw_cfg->cpus;
	default:
		return 0;
	}
}

void fw_cfg_init(struct fw_cfg *fw_cfg, uint64_t ram, unsigned cpus)
{
	*fw_cfg = (struct fw_cfg){.ram = ram, .cpus = (uint16_t)cpus};
}

void fw_cfg_write(struct fw_cfg *fw_cfg, uint16_t port, unsigned size, uint32_t value)
{
	if (port != FW_CFG_SELECTOR || size != 2)
		return;
	fw_cfg->selected = (uint16_t)value;
	fw_cfg->offset = 0;
}

uint32_t fw_cfg_read(struct fw_cfg *fw_cfg, uint16_t port)
{
	if (port != FW_CFG_DATA || fw_cfg->offset == ITEM_SIZE)
		return 0;
	return (uint8_t)(item(fw_cfg) >> 8 * fw_cfg->offset++);
}
