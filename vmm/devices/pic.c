#include "vmm/devices/pic.h"

enum { FIRST, SECOND, CHIPS };
enum { CASCADE = 2, SPURIOUS = 7, NONE = 8 };

/* ICW1 and OCW3 are told from OCW2 by two bits of what is written to the even port. */
enum { ICW1 = 0x10, OCW3 = 8 };
enum { ICW1_ICW4 = 1, ICW1_SINGLE = 2 };
enum { ICW2_BASE = 0xf8 };
enum { ICW4_AEOI = 2, ICW4_FULLY_NESTED = 0x10 };
enum { OCW2_LEVEL = 7, OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x40, OCW2_ROTATE = 0x80 };
enum {
	OCW3_ISR = 1,
	OCW3_READ = 2,
	OCW3_POLL = 4,
	OCW3_SPECIAL_MASK = 0x20,
	OCW3_MASK_MODE = 0x40
};
enum { POLL_PENDING = 0x80 };

/* Inputs that have no level: the system's timer, the keyboard, the cascade; the clock, the FPU. */
static const uint8_t elcr_may_be[CHIPS] = {0xf8, 0xde};

static uint8_t bit(unsigned input)
{
	return (uint8_t)(1U << input);
}

static uint8_t irr(const struct pic_chip *chip)
{
	return (uint8_t)((chip->edges & ~chip->elcr) | (chip->lines & chip->elcr));
}

/* ---- Priorities
 * ---------------------------------------------------------------------------------- */

/* 0 is the highest. */
static unsigned priority(const struct pic_chip *chip, unsigned input)
{
	return (input - chip->lowest - 1) % 8;
}

static unsigned highest(const struct pic_chip *chip, unsigned inputs)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (chip->lowest + i) % 8;

		if (inputs & bit(input))
			return input;
	}
	return NONE;
}

/* The input whose request goes out, or NONE. */
static unsigned pending(const struct pic_chip *chip, bool first)
{
	unsigned asks = highest(chip, irr(chip) & (uint8_t)~chip->imr);
	/* In special mask mode what is masked holds up nobody. */
	unsigned serves = chip->isr & (chip->special_mask ? ~(unsigned)chip->imr : 0xff);
	unsigned in_service = highest(chip, serves);

	if (asks == NONE || in_service == NONE)
		return asks;
	/* The second chip knows the order of its own. */
	if (chip->fully_nested && first && asks == CASCADE && in_service == CASCADE)
		return asks;
	return priority(chip, asks) < priority(chip, in_service) ? asks : NONE;
}

/* ---- Lines
 * --------------------------------------------------------------------------------------- */

static void set_line(struct pic_chip *chip, unsigned input, bool level)
{
	if (!level) {
		chip->lines &= (uint8_t)~bit(input);
		chip->edges &= (uint8_t)~bit(input);
	} else if (!(chip->lines & bit(input))) {
		chip->lines |= bit(input);
		chip->edges |= bit(input);
	}
}

bool pic_has_interrupt(const struct pic *pic)
{
	return pending(&pic->chip[FIRST], true) != NONE;
}

/* From the second chip's INT to the first one's. */
static void update(struct pic *pic)
{
	bool level;

	set_line(&pic->chip[FIRST], CASCADE, pending(&pic->chip[SECOND], false) != NONE);
	level = pic_has_interrupt(pic);
	if (level == pic->level)
		return;
	pic->level = level;
	pic->output(pic->ctx, level);
}

void pic_line(struct pic *pic, unsigned irq, bool level)
{
	if (irq == CASCADE || irq >= CHIPS * 8)
		return;
	set_line(&pic->chip[irq / 8], irq % 8, level);
	update(pic);
}

/* ---- Service
 * ------------------------------------------------------------------------------------- */

/* An input's request is taken.  Its INT falls, and rises again in update() if there is more. */
static void serve(struct pic *pic, struct pic_chip *chip, unsigned input)
{
	chip->edges &= (uint8_t)~bit(input);
	if (!chip->aeoi)
		chip->isr |= bit(input);
	else if (chip->rotates)
		chip->lowest = (uint8_t)input;
	if (chip == &pic->chip[SECOND])
		set_line(&pic->chip[FIRST], CASCADE, false);
}

unsigned pic_acknowledge(struct pic *pic)
{
	struct pic_chip *chip = &pic->chip[FIRST];
	unsigned input = pending(chip, true);

	if (input != NONE)
		serve(pic, chip, input);
	if (input == CASCADE && !chip->single) {
		chip = &pic->chip[SECOND];
		input = pending(chip, false);
		if (input != NONE)
			serve(pic, chip, input);
	}
	update(pic);
	return chip->base + (input == NONE ? SPURIOUS : input);
}

/* ---- Words
 * --------------------------------------------------------------------------------------- */

static void write_icw1(struct pic_chip *chip, uint8_t value)
{
	*chip = (struct pic_chip){
	    .lines = chip->lines,
	    .elcr = chip->elcr,
	    .base = chip->base,
	    .lowest = 7,
	    .expects = 2,
	    .single = value & ICW1_SINGLE,
	    .has_icw4 = value & ICW1_ICW4,
	};
}

/* Each chip knows which of the two it is: ICW3 says nothing new. */
static void write_icw(struct pic_chip *chip, uint8_t value)
{
	switch (chip->expects) {
	case 2:
		chip->base = value & ICW2_BASE;
		chip->expects = !chip->single ? 3 : chip->has_icw4 ? 4 : 0;
		break;
	case 3:
		chip->expects = chip->has_icw4 ? 4 : 0;
		break;
	default:
		chip->aeoi = value & ICW4_AEOI;
		chip->fully_nested = value & ICW4_FULLY_NESTED;
		chip->expects = 0;
		break;
	}
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
	unsigned input = value & OCW2_LEVEL;
	bool rotate = value & OCW2_ROTATE;

	if (!(value & OCW2_EOI)) {
		if (!(value & OCW2_SPECIFIC))
			chip->rotates = rotate;
		else if (rotate)
			chip->lowest = (uint8_t)input;
		return;
	}
	/* One that is not specific does not see what special mask mode hides. */
	if (!(value & OCW2_SPECIFIC))
		input =
		    highest(chip, chip->isr & (chip->special_mask ? ~(unsigned)chip->imr : 0xff));
	if (input == NONE)
		return;
	chip->isr &= (uint8_t)~bit(input);
	if (rotate)
		chip->lowest = (uint8_t)input;
}

static void write_ocw3(struct pic_chip *chip, uint8_t value)
{
	chip->polls = value & OCW3_POLL;
	if (value & OCW3_READ)
		chip->reads = value & OCW3_ISR;
	if (value & OCW3_MASK_MODE)
		chip->special_mask = value & OCW3_SPECIAL_MASK;
}

static void write_chip(struct pic_chip *chip, bool odd, uint8_t value)
{
	if (odd && chip->expects)
		write_icw(chip, value);
	else if (odd)
		chip->imr = value;
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

static uint8_t poll(struct pic *pic, struct pic_chip *chip)
{
	unsigned input = pending(chip, chip == &pic->chip[FIRST]);

	chip->polls = false;
	if (input == NONE)
		return 0;
	serve(pic, chip, input);
	update(pic);
	return (uint8_t)(POLL_PENDING | input);
}

/* ---- Ports
 * --------------------------------------------------------------------------------------- */

void pic_init(struct pic *pic)
{
	*pic = (struct pic){.output = pic->output, .ctx = pic->ctx};
	for (unsigned i = 0; i < CHIPS; i++)
		pic->chip[i] = (struct pic_chip){
		    .imr = 0xff,
		    .base = i == FIRST ? 8 : 0x70,
		    .lowest = 7,
		};
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
	switch (port) {
	case 0x20:
	case 0x21:
		write_chip(&pic->chip[FIRST], port & 1, value);
		break;
	case 0xa0:
	case 0xa1:
		write_chip(&pic->chip[SECOND], port & 1, value);
		break;
	case 0x4d0:
	case 0x4d1:
		pic->chip[port & 1].elcr = value & elcr_may_be[port & 1];
		break;
	default:
		return;
	}
	update(pic);
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
	struct pic_chip *chip = &pic->chip[port >> 4 == 0x2 ? FIRST : SECOND];

	switch (port) {
	case 0x20:
	case 0x21:
	case 0xa0:
	case 0xa1:
		if (chip->polls)
			return poll(pic, chip);
		if (port & 1)
			return chip->imr;
		return chip->reads ? chip->isr : irr(chip);
	case 0x4d0:
	case 0x4d1:
		return pic->chip[port & 1].elcr;
	default:
		return 0xff;
	}
}
