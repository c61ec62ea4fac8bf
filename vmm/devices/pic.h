/*
 * A PC's two interrupt controllers, Intel's 8259A, the second one behind the first one's input 2;
 * with the ELCR of Intel's chip sets, which says what is level triggered in the place of ICW1's
 * LTIM.  Ports 0x20, 0x21; 0xa0, 0xa1; 0x4d0, 0x4d1.
 *
 * A request of an edge goes away with its line, as the data sheet says; who acknowledges it all the
 * same gets the spurious vector.  Only 8086 mode: ICW4's uPM does not matter.
 */
#ifndef VMM_DEVICES_PIC_H
#define VMM_DEVICES_PIC_H

#include <stdbool.h>
#include <stdint.h>

struct pic_chip {
	uint8_t lines; /* that are high */
	uint8_t edges; /* that have risen and are not acknowledged */
	uint8_t elcr;  /* which of them are level triggered */
	uint8_t imr, isr;
	uint8_t base;   /* vector of input 0 (ICW2) */
	uint8_t lowest; /* input of lowest priority; the next one has the highest */
	/* The initialisation word that is to come: 2, 3, 4; 0: none. */
	uint8_t expects;
	bool single, has_icw4;           /* of ICW1 */
	bool aeoi, fully_nested;         /* of ICW4; its "special fully nested" */
	bool rotates;                    /* at automatic EOIs */
	bool special_mask, polls, reads; /* of OCW3; reads ISR, not IRR */
};

struct pic {
	/* The first one's INT, when it changes: the processor's ExtINT. */
	void (*output)(void *ctx, bool level);
	void *ctx;

	struct pic_chip chip[2];
	bool level; /* told last */
};

/* As firmware leaves them: initialised, at vectors 8 and 0x70, all inputs masked edges.  Keeps the
 * callbacks, calls none. */
void pic_init(struct pic *pic);
/* irq: 0 to 15 without 2; others are not connected. */
void pic_line(struct pic *pic, unsigned irq, bool level);
/* Other ports take nothing and read as 0xff. */
void pic_write(struct pic *pic, uint16_t port, uint8_t value);
uint8_t pic_read(struct pic *pic, uint16_t port);

bool pic_has_interrupt(const struct pic *pic);
/* What the processor does when it takes the interrupt (two INTA cycles): its vector; when there is
 * none any more, the spurious one, that of input 7. */
unsigned pic_acknowledge(struct pic *pic);

#endif
