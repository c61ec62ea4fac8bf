/*
 * Pieces of the guest's kernel that run on the host as they are: its frames, its copies of user
 * memory (with real faults), the segments of a process, and SYSCALL where a KVM leaves it half
 * done.
 */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <ucontext.h>

#include "shared/abi.h"
#include "tests/unit_space/suites.h"
#include "tests/unit_space/tlb.h"

/* RAM at any address, and the boot page here. */
static struct rs_boot fake_boot;
static uint8_t *ram;
#undef RS_BOOT_PAGE
#define RS_BOOT_PAGE &fake_boot
#undef RS_DIRECT_BASE
#define RS_DIRECT_BASE   ((uint64_t)ram)
#define frames_pt_memory frames_pt_memory_here /* the model has its own */

/* guest/uapi.h has its own, which are the same. */
#undef PROT_NONE
#undef PROT_READ
#undef PROT_WRITE
#undef PROT_EXEC
#undef MAP_GROWSDOWN

#include "guest/frames.c"
#include "guest/quirk.c"
#include "guest/segments.c"
#include "guest/usercopy.c"

/* entry.S, and what else is not here. */
const char int80_stac[1], int80_look[1], int80_clac[1], int80_fault[1], syscall_entry[1];
struct rs_trace *const *trace_rings;

void patch_text(uint64_t at, const void *bytes, size_t size)
{
	(void)at;
	(void)bytes;
	(void)size;
}

int64_t syscall64(const struct rs_regs *regs, uint64_t number)
{
	(void)regs;
	return (int64_t)number + 1000;
}

int64_t traced_syscall64(const struct rs_regs *regs, uint64_t number)
{
	(void)regs;
	return (int64_t)number + 2000;
}

/* ---- Frames
 * -------------------------------------------------------------------------------------- */

enum { LOW = 0x10000, LOW_FRAMES = 4, HIGH_FRAMES = 2, FRAMES = LOW_FRAMES + HIGH_FRAMES };

static void make_frames(void)
{
	const size_t span = RS_HIGH_RAM + HIGH_FRAMES * PAGE_SIZE;

	ram = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	           -1, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	fake_boot = (struct rs_boot){.ram_size = LOW + LOW_FRAMES * PAGE_SIZE,
	                             .free_start = LOW,
	                             .free_end = LOW + LOW_FRAMES * PAGE_SIZE,
	                             .high_end = span};
	frames_init(&fake_boot);
}

START_TEST(every_frame_once)
{
	uint64_t frame;

	make_frames();
	for (unsigned i = 0; i < FRAMES; i++) {
		ck_assert_uint_eq(frames_free(), FRAMES - i);
		ck_assert(frame_alloc(&frame));
		ck_assert_uint_eq(frame, i < HIGH_FRAMES ? RS_HIGH_RAM + i * PAGE_SIZE
		                                         : LOW + (i - HIGH_FRAMES) * PAGE_SIZE);
	}
	ck_assert_uint_eq(frames_free(), 0);
	ck_assert(!frame_alloc(&frame));
	ck_assert(!frame_alloc_dirty(&frame));
}
END_TEST

/* What comes back is given again, and is zero for who wants zeros. */
START_TEST(frames_come_back)
{
	uint64_t all[FRAMES], frame, *words;

	make_frames();
	for (unsigned i = 0; i < FRAMES; i++)
		ck_assert(frame_alloc(&all[i]));
	memset(frame_at(all[1]), 0xee, PAGE_SIZE);
	frame_free(all[1]);
	frame_free_zero(all[3]);
	frame_free_zero(all[4]);
	ck_assert_uint_eq(frames_free(), 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(frame_alloc(&frame));
		ck_assert_uint_eq(frame, i == 0 ? all[4] : i == 1 ? all[3] : all[1]);
		words = frame_at(frame);
		for (unsigned w = 0; w < PAGE_SIZE / 8; w++)
			ck_assert_uint_eq(words[w], 0);
	}
	ck_assert(!frame_alloc(&frame));
	memset(frame_at(all[0]), 0xee, PAGE_SIZE);
	frame_free(all[0]);
	ck_assert(frame_alloc_dirty(&frame));
	ck_assert_uint_eq(frame, all[0]);
	ck_assert_uint_eq(frames_free(), 0);
}
END_TEST

/* Tables lead only to RAM. */
START_TEST(tables_are_ram)
{
	make_frames();
	ck_assert_ptr_nonnull(table_at(NULL, fake_boot.ram_size - PAGE_SIZE));
	ck_assert_ptr_null(table_at(NULL, fake_boot.ram_size));
	ck_assert_ptr_null(table_at(NULL, RS_HIGH_RAM - PAGE_SIZE));
	ck_assert_ptr_nonnull(table_at(NULL, RS_HIGH_RAM));
	ck_assert_ptr_null(table_at(NULL, fake_boot.high_end));
}
END_TEST

/* ---- User memory
 * --------------------------------------------------------------------------------- */

START_TEST(ranges_of_the_user_half)
{
	ck_assert(user_range(0, USER_TOP) && user_range(USER_TOP, 0) &&
	          user_range(USER_TOP - 1, 1));
	ck_assert(!user_range(1, USER_TOP) && !user_range(USER_TOP, 1));
	ck_assert(!user_range(USER_TOP - 1, 2) && !user_range(UINT64_MAX, 2));
	ck_assert(!user_range(0x1000, UINT64_MAX) && !user_range(UINT64_MAX, 0));
}
END_TEST

/* As the kernel's handler of #PF does. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	const uint64_t fixup = usercopy_fixup((uint64_t)*rip);

	(void)number;
	(void)info;
	if (!fixup)
		_exit(77);
	*rip = (greg_t)fixup;
}

/* Two pages, of which the second cannot be touched. */
static uint8_t *two_pages(void)
{
	const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	uint8_t *pages =
	    mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(pages + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		pages[i] = (uint8_t)i;
	tlb_init(0);
	tlb_on_cpu(0);
	return pages;
}

START_TEST(copies_up_to_a_fault)
{
	uint8_t *pages = two_pages(), buffer[16];
	const uint64_t end = (uint64_t)pages + PAGE_SIZE;

	ck_assert(copy_from_user(buffer, end - 16, 16));
	ck_assert_mem_eq(buffer, pages + PAGE_SIZE - 16, 16);
	ck_assert(copy_to_user((uint64_t)pages, buffer, 16));
	ck_assert_mem_eq(pages, buffer, 16);
	ck_assert_uint_eq(cpu_stats()->copy_faults, 0);
	ck_assert(!copy_from_user(buffer, end - 15, 16));
	ck_assert(!copy_to_user(end - 15, buffer, 16));
	ck_assert_uint_eq(cpu_stats()->copy_faults, 2);
	/* What is the kernel's is not even tried. */
	ck_assert(!copy_from_user(buffer, RS_IMAGE_BASE, 16));
	ck_assert(!copy_to_user(USER_TOP - 8, buffer, 16));
	ck_assert_uint_eq(cpu_stats()->copy_faults, 2);
}
END_TEST

START_TEST(two_bytes_of_user_memory)
{
	uint8_t *pages = two_pages();
	const uint64_t end = (uint64_t)pages + PAGE_SIZE;
	uint16_t value = 0;

	ck_assert(get_user16(end - 2, &value));
	ck_assert_uint_eq(value, 0xfffe);
	pages[0] = pages[1] = 0xff;
	ck_assert(get_user16((uint64_t)pages, &value));
	ck_assert_uint_eq(value, 0xffff);
	ck_assert(!get_user16(end - 1, &value));
	ck_assert(!get_user16(USER_TOP - 1, &value));
	ck_assert_uint_eq(usercopy_fixup((uint64_t)int80_look), (uint64_t)int80_fault);
	ck_assert_uint_eq(usercopy_fixup(0), 0);
}
END_TEST

/* ---- Segments
 * ------------------------------------------------------------------------------------ */

START_TEST(segments_of_a_new_process)
{
	struct segments segments;
	uint32_t mxcsr;
	uint16_t fcw;

	memset(&segments, 0xee, sizeof(segments));
	segments_init(&segments);
	memcpy(&fcw, segments.sse, sizeof(fcw));
	memcpy(&mxcsr, segments.sse + 24, sizeof(mxcsr));
	ck_assert_uint_eq(fcw, 0x37f);
	ck_assert_uint_eq(mxcsr, 0x1f80);
	ck_assert_uint_eq(segments.ds | segments.es | segments.fs | segments.gs, 0);
	ck_assert_uint_eq(segments.fs_base | segments.gs_base, 0);
}
END_TEST

START_TEST(segments_that_are_dropped)
{
	struct segments segments = {.ds = 0x4f, .es = 0x50, .fs = 0x5f, .gs = 0x60};

	segments_drop(&segments, 0x50, 0x60);
	ck_assert_uint_eq(segments.ds, 0x4f);
	ck_assert_uint_eq(segments.es, 0);
	ck_assert_uint_eq(segments.fs, 0);
	ck_assert_uint_eq(segments.gs, 0x60);
}
END_TEST

/* ---- SYSCALL half done
 * ----------------------------------------------------------------------------- */

static struct rs_regs half_done(uint8_t *pages)
{
	memcpy(pages + 100, "\x0f\x05\x90", 3);
	return (struct rs_regs){.rip = (uint64_t)syscall_entry,
	                        .rcx = (uint64_t)pages + 102,
	                        .r11 = 0x246,
	                        .rax = 39,
	                        .rflags = 0x10002,
	                        .error = PF_P | PF_U | PF_ID};
}

START_TEST(a_syscall_is_completed)
{
	struct rs_regs regs = half_done(two_pages());
	static struct rs_trace *ring;

	trace_rings = _i ? &ring : NULL;
	ck_assert(quirk_syscall(&regs, (uint64_t)syscall_entry));
	ck_assert_uint_eq(regs.rip, regs.rcx);
	ck_assert_uint_eq(regs.rflags, 0x246);
	ck_assert_uint_eq(regs.rax, 39 + (_i ? 2000 : 1000));
	ck_assert_uint_eq(regs.error, 39);
	ck_assert_uint_eq(cpu_stats()->quirk_syscall, 1);
	ck_assert_uint_eq(cpu_stats()->syscall64, 1);
}
END_TEST

START_TEST(other_faults_are_none)
{
	uint8_t *pages = two_pages();
	struct rs_regs regs = half_done(pages);
	uint64_t cr2 = (uint64_t)syscall_entry;

	switch (_i) {
	case 0:
		cr2++;
		break;
	case 1:
		regs.rip++;
		break;
	case 2:
		regs.error |= PF_W;
		break;
	case 3:
		regs.error &= ~PF_ID;
		break;
	case 4:
		regs.rcx++; /* no SYSCALL before it */
		break;
	default:
		regs.rcx = (uint64_t)pages + 2 * PAGE_SIZE;
		break;
	}
	ck_assert(!quirk_syscall(&regs, cr2));
	ck_assert_uint_eq(regs.rax, 39);
	ck_assert_uint_eq(cpu_stats()->quirk_syscall, 0);
}
END_TEST

START_TEST(what_is_no_int_n)
{
	uint8_t *pages = two_pages();
	struct rs_regs regs = {.rip = (uint64_t)pages + 5};

	ck_assert_uint_eq(quirk_intn(&regs), VECTOR_UD);
	regs.rip = (uint64_t)pages + PAGE_SIZE;
	ck_assert_uint_eq(quirk_intn(&regs), VECTOR_UD);
	ck_assert_uint_eq(cpu_stats()->quirk_intn, 0);
}
END_TEST

Suite *guest_suite(void)
{
	Suite *suite = suite_create("guest");
	TCase *tests = tcase_create("guest");

	tcase_add_test(tests, every_frame_once);
	tcase_add_test(tests, frames_come_back);
	tcase_add_test(tests, tables_are_ram);
	tcase_add_test(tests, ranges_of_the_user_half);
	tcase_add_test(tests, copies_up_to_a_fault);
	tcase_add_test(tests, two_bytes_of_user_memory);
	tcase_add_test(tests, segments_of_a_new_process);
	tcase_add_test(tests, segments_that_are_dropped);
	tcase_add_loop_test(tests, a_syscall_is_completed, 0, 2);
	tcase_add_loop_test(tests, other_faults_are_none, 0, 6);
	tcase_add_test(tests, what_is_no_int_n);
	suite_add_tcase(suite, tests);
	return suite;
}
