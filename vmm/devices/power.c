#include "vmm/devices/power.h"

/* PM1 status, and the same bits of PM1 enable (tables 4.12, 4.13). */
enum {
	PM1_TIMER = 1,
	PM1_BUS_MASTER = 0x10, /* in status only */
	PM1_GLOBAL_LOCK = 0x20,
	PM1_POWER_BUTTON = 0x100,
	PM1_SLEEP_BUTTON = 0x200,
	PM1_RTC = 0x400,
	PM1_WAKE = 0x8000, /* in status only */
	PM1_MAY_BE_ENABLED =
	    PM1_TIMER | PM1_GLOBAL_LOCK | PM1_POWER_BUTTON | PM1_SLEEP_BUTTON | PM1_RTC,
};
/* PM1 control (table 4.14). */
enum {
	CONTROL_SCI = 1, /* the hardware's: firmware sets it */
	CONTROL_BUS_MASTER_RELOAD = 2,
	CONTROL_SLEEP_TYPE = 0x1c00,
	CONTROL_SLEEP_TYPE_SHIFT = 10,
	CONTROL_SLEEP = 0x2000, /* reads as 0, as GBL_RLS, bit 2, does */
	CONTROL_KEPT = CONTROL_BUS_MASTER_RELOAD | CONTROL_SLEEP_TYPE,
};
/* Intel's ICH manuals, RST_CNT: bit 2 going from 0 to 1 resets, bits 1 and 3 say how much. */
enum { RESET_NOW = 4, RESET_KINDS = 0xa };

#define TIMER_MASK UINT32_C(0xffffff)
enum { TIMER_MSB = 23 };
#define NS_PER_SECOND UINT64_C(1000000000)

/* Whole seconds first: no product overflows. */
static uint32_t timer(uint64_t now_ns)
{
	uint64_t ticks = now_ns / NS_PER_SECOND * POWER_TIMER_HZ +
	                 now_ns % NS_PER_SECOND * POWER_TIMER_HZ / NS_PER_SECOND;

	return (uint32_t)ticks & TIMER_MASK;
}

/* TMR_STS says that bit 23 has changed (4.8.3.1.1).  It is seen when somebody looks: no SCI comes
 * by itself for a timer that all systems of today only read. */
static void update_timer(struct power *power, uint64_t now_ns)
{
	bool msb = timer(now_ns) >> TIMER_MSB;

	if (msb != power->timer_msb)
		power->status |= PM1_TIMER;
	power->timer_msb = msb;
}

static void update_line(struct power *power)
{
	bool level = power->control & CONTROL_SCI && power->status & power->enable;

	if (level == power->level)
		return;
	power->level = level;
	if (power->line)
		power->line(power->ctx, level);
}

void power_init(struct power *power, uint64_t now_ns)
{
	*power = (struct power){
	    .off = power->off,
	    .reset = power->reset,
	    .line = power->line,
	    .ctx = power->ctx,
	    .timer_msb = timer(now_ns) >> TIMER_MSB,
	};
}

bool power_button(struct power *power)
{
	power->status |= PM1_POWER_BUTTON;
	update_line(power);
	return power->control & CONTROL_SCI && power->enable & PM1_POWER_BUTTON;
}

/* ---- The blocks, byte by byte
 * -------------------------------------------------------------------- */

/* Registers of 16 bits in their place; `high` is the byte's. */
static uint16_t with_byte(uint16_t reg, bool high, uint8_t value)
{
	return (uint16_t)(high ? (reg & 0xff) | value << 8 : (reg & 0xff00) | value);
}

static void write_control(struct power *power, bool high, uint8_t value)
{
	uint16_t written = with_byte(power->control, high, value);

	power->control = (uint16_t)((power->control & CONTROL_SCI) | (written & CONTROL_KEPT));
	if (written & CONTROL_SLEEP &&
	    (written & CONTROL_SLEEP_TYPE) >> CONTROL_SLEEP_TYPE_SHIFT == POWER_SLEEP_OFF)
		power->off(power->ctx);
}

static void write_block(struct power *power, unsigned offset, uint8_t value)
{
	bool high = offset & 1;

	switch (offset / 2) {
	case 0: /* a 1 clears */
		power->status &= (uint16_t)~with_byte(0, high, value);
		break;
	case 1:
		power->enable = with_byte(power->enable, high, value) & PM1_MAY_BE_ENABLED;
		break;
	case (POWER_PM1A_CONTROL - POWER_BLOCK) / 2:
		write_control(power, high, value);
		break;
	default: /* the timer counts on */
		break;
	}
}

static uint32_t read_block(const struct power *power, unsigned offset, unsigned size,
                           uint64_t now_ns)
{
	uint32_t words[POWER_BLOCK_SIZE / 4 + 1] = {
	    power->status | (uint32_t)power->enable << 16,
	    power->control,
	    timer(now_ns),
	};
	uint64_t both = words[offset / 4] | (uint64_t)words[offset / 4 + 1] << 32;

	return (uint32_t)(both >> offset % 4 * 8 & ((UINT64_C(1) << size * 8) - 1));
}

/* ---- Ports
 * --------------------------------------------------------------------------------------- */

static void write_reset(struct power *power, uint8_t value)
{
	power->reset_control = value & RESET_KINDS;
	/* Bit 2 is never kept, as what it does clears it: it always goes from 0 to 1. */
	if (value & RESET_NOW)
		power->reset(power->ctx);
}

static void write_smi(struct power *power, uint8_t value)
{
	power->smi[0] = value;
	if (value == POWER_ACPI_ENABLE)
		power->control |= CONTROL_SCI;
	else if (value == POWER_ACPI_DISABLE)
		power->control &= (uint16_t)~CONTROL_SCI;
}

void power_write(struct power *power, uint16_t port, unsigned size, uint32_t value, uint64_t now_ns)
{
	update_timer(power, now_ns);
	for (unsigned i = 0; i < size && port + i - POWER_BLOCK < POWER_BLOCK_SIZE; i++)
		write_block(power, port + i - POWER_BLOCK, (uint8_t)(value >> 8 * i));
	if (port == POWER_RESET)
		write_reset(power, (uint8_t)value);
	else if (port == POWER_SMI_COMMAND)
		write_smi(power, (uint8_t)value);
	else if (port == POWER_SMI_STATUS)
		power->smi[1] = (uint8_t)value;
	update_line(power);
}

uint32_t power_read(struct power *power, uint16_t port, unsigned size, uint64_t now_ns)
{
	update_timer(power, now_ns);
	update_line(power);
	if (port >= POWER_BLOCK && port < POWER_BLOCK + POWER_BLOCK_SIZE)
		return read_block(power, port - POWER_BLOCK, size, now_ns);
	if (port == POWER_RESET)
		return power->reset_control;
	if (port == POWER_SMI_COMMAND || port == POWER_SMI_STATUS)
		return power->smi[port - POWER_SMI_COMMAND];
	return UINT32_MAX;
}
