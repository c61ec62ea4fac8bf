#include "guest/usercopy.h"

#include "guest/cpu.h"
#include "guest/patch.h"
#include "guest/space.h"

/* entry.S: where INT 0x80's entry reads what ring 3 has executed. */
extern const char int80_stac[], int80_look[], int80_clac[], int80_fault[];

static bool smap;

static inline void stac(void)
{
	__asm__ volatile("stac" : : : "cc", "memory");
}

static inline void clac(void)
{
	__asm__ volatile("clac" : : : "cc", "memory");
}

void usercopy_init(const struct rs_boot *boot)
{
	if (!(boot->features & RS_FEATURE_SMAP))
		return;
	stac();
	clac();
	smap = !(boot->quirks & RS_QUIRK_NO_STAC);
	write_cr4(smap ? read_cr4() | CR4_SMAP : read_cr4() & ~CR4_SMAP);
	if (!smap)
		return;
	patch_text((uint64_t)int80_stac, "\x0f\x01\xcb", 3);
	patch_text((uint64_t)int80_clac, "\x0f\x01\xca", 3);
}

void smap_close(void)
{
	if (smap)
		clac();
}

/* Labels of the instructions that may fault, and of where to go on. */
extern const char usercopy_insn[], usercopy_done[], get_user_insn[], get_user_fault[];

/* Returns how many bytes were not copied. */
__attribute__((noinline)) static uint64_t copy(void *dst, const void *src, uint64_t size)
{
	__asm__ volatile(".globl usercopy_insn, usercopy_done\n"
	                 "usercopy_insn: rep movsb\n"
	                 "usercopy_done:"
	                 : "+D"(dst), "+S"(src), "+c"(size)
	                 :
	                 : "memory");
	return size;
}

uint64_t usercopy_fixup(uint64_t rip)
{
	if (rip == (uint64_t)usercopy_insn)
		return (uint64_t)usercopy_done;
	if (rip == (uint64_t)get_user_insn)
		return (uint64_t)get_user_fault;
	if (rip == (uint64_t)int80_look)
		return (uint64_t)int80_fault;
	return 0;
}

bool user_range(uint64_t user, uint64_t size)
{
	return size <= USER_TOP && user <= USER_TOP - size;
}

/* Carries -1 out of a fault: no two bytes have that value. */
__attribute__((noinline)) static int32_t load16(uint64_t user)
{
	int32_t value = -1;

	__asm__ volatile(".globl get_user_insn, get_user_fault\n"
	                 "get_user_insn: movzwl (%1), %0\n"
	                 "get_user_fault:"
	                 : "+&r"(value)
	                 : "r"(user)
	                 : "memory");
	return value;
}

bool get_user16(uint64_t user, uint16_t *value)
{
	int32_t loaded;

	if (!user_range(user, sizeof(*value)))
		return false;
	if (smap)
		stac();
	loaded = load16(user);
	if (smap)
		clac();
	*value = (uint16_t)loaded;
	return loaded >= 0;
}

static bool guarded_copy(void *dst, const void *src, uint64_t size)
{
	uint64_t left;

	if (smap)
		stac();
	left = copy(dst, src, size);
	if (smap)
		clac();
	if (left)
		cpu_stats()->copy_faults++;
	return left == 0;
}

bool copy_from_user(void *dst, uint64_t user, uint64_t size)
{
	return user_range(user, size) && guarded_copy(dst, (const void *)user, size);
}

bool copy_to_user(uint64_t user, const void *src, uint64_t size)
{
	return user_range(user, size) && guarded_copy((void *)user, src, size);
}
