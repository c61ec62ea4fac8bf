/* Checks what it was entered with: the boot page, registers, descriptor tables, memory. */
#include "tests/guests/guest.h"

static uint64_t read_cr(unsigned n)
{
	uint64_t value = 0;

	if (n == 0)
		__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	else if (n == 3)
		__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	else
		__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static uint64_t read_msr(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static void check_page(const struct rs_boot *boot)
{
	check((uint64_t)boot == RS_BOOT_PAGE, 1);
	check(boot->magic == RS_BOOT_MAGIC && boot->abi == RS_ABI_VERSION, 2);
	check(boot->size == sizeof(*boot), 3);
	check(boot->ram_size % PAGE_SIZE == 0 && boot->free_end == boot->ram_size, 4);
	check(boot->free_start % PAGE_SIZE == 0 && boot->free_start < boot->free_end, 5);
	check(boot->levels == 4 || boot->levels == 5, 6);
	check(boot->cpus == 1, 7);
	check(boot->segment_count >= 1 && boot->segments[0].va == 0x100000 &&
	          boot->segments[0].gpa == 0x100000 && boot->segments[0].flags == 5 &&
	          boot->segments[0].user == 1,
	      8);
	check(*at(boot->free_start) == 0 && *at(boot->free_end - 8) == 0, 9);
	check((boot->features & RS_FEATURE_NX) != 0, 10);
	check(boot->ram_size <= RS_HOLE && boot->high_end >= RS_HIGH_RAM &&
	          boot->ram_total == boot->ram_size + (boot->high_end - RS_HIGH_RAM),
	      11);
	if (boot->high_end > RS_HIGH_RAM) {
		check(*at(RS_HIGH_RAM) == 0 && *at(boot->high_end - 8) == 0, 12);
		*at(RS_HIGH_RAM) = 1;
		*at(boot->high_end - 8) = 2;
		check(*at(RS_HIGH_RAM) == 1 && *at(boot->high_end - 8) == 2, 13);
		check(*at(boot->free_start) == 0 && *at(boot->free_end - 8) == 0, 14);
	}
}

static void check_registers(const struct rs_boot *boot)
{
	const uint64_t cr4 = read_cr(4), pge = boot->pti_mode == RS_PTI_OFF ? CR4_PGE : 0;
	uint64_t flags;
	uint32_t cs, ss, tr;

	__asm__ volatile("pushf; pop %0" : "=r"(flags));
	check((flags & (RFLAGS_IF | RFLAGS_DF | RFLAGS_AC | RFLAGS_IOPL)) == 0, 20);
	__asm__ volatile("mov %%cs, %0; mov %%ss, %1; str %2" : "=r"(cs), "=r"(ss), "=r"(tr));
	check(cs == RS_SEL_KERNEL_CODE && ss == RS_SEL_KERNEL_DATA && tr == RS_SEL_TSS, 21);
	check((read_cr(0) & ~CR0_ET) == (CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), 22);
	check(read_cr(3) == boot->kernel_root, 23);
	check((cr4 & CR4_PAE) != 0 && (cr4 & CR4_PGE) == pge, 24);
	check((cr4 & (CR4_SMEP | CR4_SMAP)) == 0, 25);
	check(((cr4 & CR4_PCIDE) != 0) == (boot->pti_mode == RS_PTI_PCID), 26);
	check(((cr4 & CR4_LA57) != 0) == (boot->levels == 5), 27);
	check(read_msr(MSR_EFER) == (EFER_LME | EFER_LMA | EFER_NXE), 28);
	check(read_msr(MSR_GS_BASE) == RS_ENTRY_CPU(0) && read_msr(MSR_KERNEL_GS_BASE) == 0, 29);
	check(read_msr(MSR_LSTAR) == 0, 30);
}

static void check_tables(void)
{
	volatile uint64_t *tss = (volatile uint64_t *)(RS_ENTRY_CPU(0) + RS_ENTRY_TSS);
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} gdt;

	__asm__ volatile("sgdt %0" : "=m"(gdt.limit), "=m"(gdt.base));
	check(gdt.limit == RS_GDT_ENTRIES * 8 - 1 && gdt.base == RS_ENTRY_CPU(0) + RS_ENTRY_GDT,
	      40);
	check(*(volatile uint64_t *)((volatile uint8_t *)tss + 4) ==
	          RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP,
	      41);
	check(*(volatile uint64_t *)((volatile uint8_t *)tss + 36) ==
	          RS_ENTRY_CPU(0) + RS_IST_TOP(1),
	      42);
	check(((volatile uint8_t *)tss)[RS_TSS_LIMIT] == 0xff, 43);
	/* The TSS in the GDT is available: TR can be loaded again. */
	__asm__ volatile("ltr %w0" : : "r"(RS_SEL_TSS));
	/* Stacks and pages of this CPU can be written to their ends. */
	*(volatile uint8_t *)(RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE) = 1;
	for (unsigned i = 1; i <= 7; i++)
		*(volatile uint8_t *)(RS_ENTRY_CPU(0) + RS_IST_TOP(i) - RS_IST_SIZE) = 1;
	*(volatile uint8_t *)(RS_KERNEL_CPU(0) + RS_KERNEL_STATS) = 1;
	*((volatile uint8_t *)call_page() + 2 * PAGE_SIZE - 1) = 1;
	*(volatile uint8_t *)(RS_ENTRY_CPU(0) + RS_ENTRY_WORDS) = 1;
}

void start(const struct rs_boot *boot)
{
	check_page(boot);
	check_registers(boot);
	check_tables();
	print("boot: as the contract says\n");
	end(0);
}
