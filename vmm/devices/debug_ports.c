#include "vmm/devices/debug_ports.h"

/* Those of an access that are scratch bytes; others write nothing and read as 0. */
static void write_scratch(struct debug_ports *ports, unsigned first, unsigned size, uint32_t value)
{
	for (unsigned i = 0; i < size && first + i < sizeof(ports->scratch); i++)
		ports->scratch[first + i] = (uint8_t)(value >> 8 * i);
}

static uint32_t read_scratch(const struct debug_ports *ports, unsigned first, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size && first + i < sizeof(ports->scratch); i++)
		value |= (uint32_t)ports->scratch[first + i] << 8 * i;
	return value;
}

void debug_ports_write(struct debug_ports *ports, uint16_t port, unsigned size, uint32_t value)
{
	if (port >= DEBUG_PORT_SCRATCH && port < DEBUG_PORT_SCRATCH + sizeof(ports->scratch))
		write_scratch(ports, port - DEBUG_PORT_SCRATCH, size, value);
	else if (port == DEBUG_PORT_SCRATCH_AGAIN)
		write_scratch(ports, 0, size, value);
	else if (port == DEBUG_PORT_CONSOLE)
		ports->write(ports->ctx, (uint8_t)value);
	else if (port >= DEBUG_PORT_EXIT && port < DEBUG_PORT_EXIT + DEBUG_PORT_EXIT_COUNT)
		ports->exit(ports->ctx, value << 1 | 1);
	else if (port >= DEBUG_PORT_LINES && port < DEBUG_PORT_LINES + DEBUG_PORT_LINES_COUNT)
		ports->line(ports->ctx, port - DEBUG_PORT_LINES, (uint8_t)value != 0);
}

uint32_t debug_ports_read(const struct debug_ports *ports, uint16_t port, unsigned size)
{
	if (port >= DEBUG_PORT_SCRATCH && port < DEBUG_PORT_SCRATCH + sizeof(ports->scratch))
		return read_scratch(ports, port - DEBUG_PORT_SCRATCH, size);
	if (port == DEBUG_PORT_SCRATCH_AGAIN)
		return read_scratch(ports, 0, size);
	if (port == DEBUG_PORT_CONSOLE)
		return DEBUG_PORT_CONSOLE; /* which says that it is there */
	if (port >= DEBUG_PORT_FLUSH && port < DEBUG_PORT_SCRATCH_AGAIN)
		return 0;
	if (port >= DEBUG_PORT_EXIT && port < DEBUG_PORT_EXIT + DEBUG_PORT_EXIT_COUNT)
		return 0;
	if (port >= DEBUG_PORT_LINES && port < DEBUG_PORT_LINES + DEBUG_PORT_LINES_COUNT)
		return 0;
	return UINT32_MAX;
}
