#include "vmm/devices/i8042.h"

enum { PORT_DATA = 0x60, PORT_COMMAND = 0x64 };

enum {
	STATUS_FULL = 1, /* the output buffer; the input buffer never is */
	STATUS_SYSTEM = 4,
	STATUS_COMMAND = 8,     /* the last write was one */
	STATUS_UNLOCKED = 0x10, /* the keyboard's key */
	STATUS_TIME_OUT = 0x40,
};

enum {
	CONFIG_INTERRUPT = 1,
	CONFIG_SYSTEM = 4,
	CONFIG_KEYBOARD_OFF = 0x10,
	CONFIG_AUX_OFF = 0x20,
	CONFIG_TRANSLATE = 0x40,
};

enum {
	READ_RAM = 0x20, /* and the 31 behind it, as WRITE_RAM */
	WRITE_RAM = 0x60,
	AUX_OFF = 0xa7,
	AUX_ON = 0xa8,
	AUX_TEST = 0xa9,
	SELF_TEST = 0xaa,
	KEYBOARD_TEST = 0xab,
	KEYBOARD_OFF = 0xad,
	KEYBOARD_ON = 0xae,
	READ_INPUT_PORT = 0xc0,
	READ_OUTPUT_PORT = 0xd0,
	WRITE_OUTPUT_PORT = 0xd1,
	WRITE_OUTPUT = 0xd2,     /* as if the keyboard had sent it */
	WRITE_AUX_OUTPUT = 0xd3, /* ... the auxiliary device */
	WRITE_AUX = 0xd4,
	READ_TEST_INPUTS = 0xe0,
	PULSE = 0xf0, /* those of the output port's low four lines whose bit is 0 */
};

enum { SELF_TEST_GOOD = 0x55, KEYBOARD_GOOD = 0, AUX_CLOCK_LOW = 1, NO_ANSWER = 0xfe };
enum { INPUT_PORT = 0x80 /* not locked */ };
enum { OUTPUT_NOT_RESET = 1, OUTPUT_A20 = 2, OUTPUT_FULL = 0x10 };

static void update_line(struct i8042 *i8042)
{
	bool level = i8042->status & STATUS_FULL && i8042->ram[0] & CONFIG_INTERRUPT;

	if (level == i8042->level)
		return;
	i8042->level = level;
	if (i8042->line)
		i8042->line(i8042->ctx, level);
}

static void configure(struct i8042 *i8042, uint8_t config)
{
	i8042->ram[0] = config;
	i8042->status &= (uint8_t)~STATUS_SYSTEM;
	if (config & CONFIG_SYSTEM)
		i8042->status |= STATUS_SYSTEM;
}

/* One that nobody has read is lost. */
static void answer(struct i8042 *i8042, uint8_t byte)
{
	i8042->output = byte;
	i8042->status = (uint8_t)((i8042->status & ~STATUS_TIME_OUT) | STATUS_FULL);
}

void i8042_init(struct i8042 *i8042)
{
	*i8042 = (struct i8042){
	    .reset = i8042->reset,
	    .line = i8042->line,
	    .ctx = i8042->ctx,
	    .status = STATUS_UNLOCKED,
	};
	configure(i8042, CONFIG_TRANSLATE | CONFIG_AUX_OFF | CONFIG_SYSTEM | CONFIG_INTERRUPT);
}

static void answer_or_keep(struct i8042 *i8042, uint8_t command)
{
	switch (command) {
	case AUX_TEST:
		answer(i8042, AUX_CLOCK_LOW);
		break;
	case SELF_TEST:
		configure(i8042, i8042->ram[0] | CONFIG_SYSTEM);
		answer(i8042, SELF_TEST_GOOD);
		break;
	case KEYBOARD_TEST:
		answer(i8042, KEYBOARD_GOOD);
		break;
	case READ_INPUT_PORT:
		answer(i8042, INPUT_PORT);
		break;
	case READ_OUTPUT_PORT:
		answer(i8042, (uint8_t)(OUTPUT_NOT_RESET | OUTPUT_A20 |
		                        (i8042->status & STATUS_FULL ? OUTPUT_FULL : 0)));
		break;
	case READ_TEST_INPUTS:
		answer(i8042, 0);
		break;
	case WRITE_OUTPUT_PORT:
	case WRITE_OUTPUT:
	case WRITE_AUX_OUTPUT:
	case WRITE_AUX:
		i8042->command = command;
		break;
	default:
		break;
	}
}

static void write_command(struct i8042 *i8042, uint8_t command)
{
	uint8_t config = i8042->ram[0];

	i8042->command = 0;
	i8042->status |= STATUS_COMMAND;
	if ((command & 0xe0) == READ_RAM)
		answer(i8042, i8042->ram[command & 0x1f]);
	else if ((command & 0xe0) == WRITE_RAM)
		i8042->command = command;
	else if (command == AUX_OFF)
		configure(i8042, config | CONFIG_AUX_OFF);
	else if (command == AUX_ON)
		configure(i8042, config & (uint8_t)~CONFIG_AUX_OFF);
	else if (command == KEYBOARD_OFF)
		configure(i8042, config | CONFIG_KEYBOARD_OFF);
	else if (command == KEYBOARD_ON)
		configure(i8042, config & (uint8_t)~CONFIG_KEYBOARD_OFF);
	else if (command >= PULSE && !(command & OUTPUT_NOT_RESET))
		i8042->reset(i8042->ctx);
	else
		answer_or_keep(i8042, command);
}

/* The byte of a command, or one for the keyboard. */
static void write_data(struct i8042 *i8042, uint8_t value)
{
	uint8_t command = i8042->command;

	i8042->command = 0;
	i8042->status &= (uint8_t)~STATUS_COMMAND;
	if ((command & 0xe0) == WRITE_RAM) {
		if (command & 0x1f)
			i8042->ram[command & 0x1f] = value;
		else
			configure(i8042, value);
	} else if (command == WRITE_OUTPUT_PORT) {
		/* A20 is on whatever it says. */
		if (!(value & OUTPUT_NOT_RESET))
			i8042->reset(i8042->ctx);
	} else if (command == WRITE_OUTPUT) {
		answer(i8042, value);
	} else if (command == WRITE_AUX_OUTPUT) {
		/* What comes back unchanged is a second port, which there is not. */
		answer(i8042, (uint8_t)~value);
	} else {
		answer(i8042, NO_ANSWER);
		i8042->status |= STATUS_TIME_OUT;
	}
}

void i8042_write(struct i8042 *i8042, uint16_t port, uint8_t value)
{
	if (port == PORT_COMMAND)
		write_command(i8042, value);
	else if (port == PORT_DATA)
		write_data(i8042, value);
	update_line(i8042);
}

uint8_t i8042_read(struct i8042 *i8042, uint16_t port)
{
	if (port == PORT_COMMAND)
		return i8042->status;
	if (port != PORT_DATA)
		return 0xff;
	i8042->status &= (uint8_t) ~(STATUS_FULL | STATUS_TIME_OUT);
	update_line(i8042);
	return i8042->output;
}
