/* Ring 3 runs POPCNT on memory outside RAM, which KVM cannot emulate.  It must become a #UD of the
 * guest's, on every KVM.  With an argument the handler returns to the instruction: a loop that
 * must not go on for ever. */
#include "tests/guests/guest.h"

extern const char ud_handler[];
__asm__(".text\n"
        "ud_handler:\n"
        "	cmpb $0, loops(%rip)\n"
        "	jne 1f\n"
        "	mov $0, %eax\n"
        "	mov $0x504, %edx\n"
        "	out %eax, %dx\n"
        "1:	iretq\n");
_Static_assert(RS_PORT_EXIT == 0x504, "the handler's port");

extern volatile uint8_t loops;
volatile uint8_t loops;

static struct {
	uint64_t word[2];
} idt[VECTOR_UD + 1] __attribute__((aligned(16)));

static void load_idt(void)
{
	const uint64_t to = (uint64_t)ud_handler;
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};

	idt[VECTOR_UD].word[0] = (to & 0xffff) | RS_SEL_KERNEL_CODE << 16 | UINT64_C(0x8e00) << 32 |
	                         (to >> 16 & 0xffff) << 48;
	idt[VECTOR_UD].word[1] = to >> 32;
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void start(const struct rs_boot *boot)
{
	const uint64_t text = boot->free_start + 3 * PAGE_SIZE;
	const uint64_t gpa[2] = {text, HOLE};

	loops = boot->argc > 1;
	load_idt();
	*at(text) =
	    0x0607b80ff3; /* popcnt (%rdi), %eax: f3 0f b8 07; then a byte that is no code */
	map_window(boot, gpa, 2, 7);
	__asm__ volatile("ltr %w0" : : "r"(RS_SEL_TSS));
	__asm__ volatile("pushq %0; pushq %1; pushq $2; pushq %2; pushq %3; iretq"
	                 :
	                 : "i"(RS_SEL_USER_DATA), "r"(WINDOW + 4096), "i"(RS_SEL_USER_CODE),
	                   "r"(WINDOW), "D"(WINDOW + 4096));
	end(1);
}
