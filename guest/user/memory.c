/*
 * The memory of a process: mmap, munmap, mprotect and brk with Linux's arguments and errors, and
 * that the rights are real, for ring 3 and for the kernel's own copies.  Every step is a row: what
 * is done to a window of pages, and what must come of it.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "shared/x86.h"

#define WINDOW UINT64_C(0x20000000)
#define ANON   (MAP_PRIVATE | MAP_ANONYMOUS)
#define FIXED  (ANON | MAP_FIXED)
#define LAST   (RS_USER_END - 2 * PAGE_SIZE) /* the highest page there is */
#define HEAP   UINT64_C(0x10000000)

/* Page numbers count from the window; the last one's is far away. */
#define PAGE(va) (((va)-WINDOW) / PAGE_SIZE)

static const struct step {
	const char *name;
	enum {
		MMAP,     /* where it is, as a page's number, or -errno */
		MMAP2,    /* the same in the i386 table ... */
		OLD_MMAP, /* ... with the arguments in memory; 0: somewhere that 32 bits reach */
		MUNMAP,
		MPROTECT,
		BRK,    /* to so many pages; returns it */
		READ,   /* from here on it is about one page: the #PF's error code, or 0 */
		WRITE,  /* likewise, and its number goes into its first word */
		FETCH,  /* likewise: a RET behind that word */
		VALUE,  /* the first word */
		FROM,   /* the kernel reads there: -ENODEV is its next complaint */
		INTO,   /* the kernel writes there */
		FORK,   /* a child finds its number there, writes something else, and ends with 0 */
		FORK32, /* ... forked by INT 0x80 */
		FRAMES, /* how many are missing */
	} op;
	int32_t skew; /* bytes, added to the address */
	uint64_t page, pages;
	uint32_t prot, flags;
	int64_t want;
} steps[] = {
#define MORE (UINT64_C(1) << 25) /* pages: twice the RAM that there can be */
#define R    PROT_READ
#define W    PROT_WRITE
#define X    PROT_EXEC
    {"mmap at a hint", MMAP, 0, 0, 4, R | W, ANON, 0},
    {"new memory is zero", VALUE, 0, 3, 0, 0, 0, 0},
    {"new memory can be written", WRITE, 0, 3, 0, 0, 0, 0},
    {"new memory keeps what is written", VALUE, 0, 3, 0, 0, 0, 3},
    {"new memory is no code", FETCH, 0, 3, 0, 0, 0, PF_P | PF_U | PF_ID},
    {"new memory: the kernel reads it", FROM, 0, 3, 0, 0, 0, -ENODEV},
    {"new memory: the kernel writes to it", INTO, 0, 2, 0, 0, 0, 0},
    {"behind the last page is nothing", READ, 0, 4, 0, 0, 0, PF_U},
    {"write the first page", WRITE, 0, 0, 0, 0, 0, 0},
    {"write the second page", WRITE, 0, 1, 0, 0, 0, 0},

    {"mprotect read-only", MPROTECT, 0, 1, 2, R, 0, 0},
    {"read-only: read", VALUE, 0, 1, 0, 0, 0, 1},
    {"read-only: write", WRITE, 0, 1, 0, 0, 0, PF_P | PF_W | PF_U},
    {"read-only: the kernel writes: EFAULT", INTO, 0, 1, 0, 0, 0, -EFAULT},
    {"read-only: the kernel reads", FROM, 0, 1, 0, 0, 0, -ENODEV},
    {"read-only: the page below is as it was", WRITE, 0, 0, 0, 0, 0, 0},
    {"read-only: the page above is as it was", WRITE, 0, 3, 0, 0, 0, 0},

    {"mprotect none", MPROTECT, 0, 1, 1, PROT_NONE, 0, 0},
    {"none: read, as if it were not there", READ, 0, 1, 0, 0, 0, PF_U},
    {"none: write", WRITE, 0, 1, 0, 0, 0, PF_W | PF_U},
    {"none: fetch", FETCH, 0, 1, 0, 0, 0, PF_U | PF_ID},
    {"none: the kernel reads: EFAULT", FROM, 0, 1, 0, 0, 0, -EFAULT},
    {"none: the kernel writes: EFAULT", INTO, 0, 1, 0, 0, 0, -EFAULT},
    {"mprotect gives rights back", MPROTECT, 0, 1, 1, R | W, 0, 0},
    {"rights back: with what it held", VALUE, 0, 1, 0, 0, 0, 1},
    {"fork: all of it is the child's too", FORK, 0, 1, 0, 0, 0, 0},
    {"fork: the child's is a copy", VALUE, 0, 1, 0, 0, 0, 1},
    {"fork by INT 0x80 number 2", FORK32, 0, 1, 0, 0, 0, 0},
    {"fork by INT 0x80: a copy likewise", VALUE, 0, 1, 0, 0, 0, 1},
    {"mprotect none again", MPROTECT, 0, 1, 1, PROT_NONE, 0, 0},

    {"mprotect read and exec", MPROTECT, 0, 3, 1, R | X, 0, 0},
    {"exec: runs", FETCH, 0, 3, 0, 0, 0, 0},
    {"exec: write", WRITE, 0, 3, 0, 0, 0, PF_P | PF_W | PF_U},
    {"mprotect over a hole: ENOMEM", MPROTECT, 0, 3, 2, R, 0, -ENOMEM},
    {"mprotect over a hole changed nothing", FETCH, 0, 3, 0, 0, 0, 0},
    {"mprotect at no page's beginning: EINVAL", MPROTECT, 1, 0, 1, R, 0, -EINVAL},
    {"mprotect with rights that are none: EINVAL", MPROTECT, 0, 0, 1, 0x100, 0, -EINVAL},
    {"mprotect of nothing", MPROTECT, 0, 100, 0, R, 0, 0},
    {"mprotect beyond the user half: ENOMEM", MPROTECT, 0, PAGE(LAST), 2, R, 0, -ENOMEM},
    {"mprotect the image's text writable: EACCES", MPROTECT, 0, PAGE(0x400000), 1, R | W, 0,
     -EACCES},

    {"munmap in the middle", MUNMAP, 0, 1, 2, 0, 0, 0},
    {"munmap in the middle: it is gone", READ, 0, 2, 0, 0, 0, PF_U},
    {"munmap in the middle: without rights too", READ, 0, 1, 0, 0, 0, PF_U},
    {"munmap in the middle: what is below stays", VALUE, 0, 0, 0, 0, 0, 0},
    {"munmap in the middle: what is above stays", FETCH, 0, 3, 0, 0, 0, 0},
    {"munmap of a hole", MUNMAP, 0, 50, 20, 0, 0, 0},
    {"munmap of nothing: EINVAL", MUNMAP, 0, 0, 0, 0, 0, -EINVAL},
    {"munmap at no page's beginning: EINVAL", MUNMAP, 1, 0, 1, 0, 0, -EINVAL},
    {"munmap beyond the user half: EINVAL", MUNMAP, 0, PAGE(LAST), 2, 0, 0, -EINVAL},

    {"mmap fixed over pages", MMAP, 0, 2, 2, R | W, FIXED, 2},
    {"mmap fixed over pages: zeros", VALUE, 0, 3, 0, 0, 0, 0},
    {"the kernel's copy over an edge: EFAULT", INTO, -8, 4, 0, 0, 0, -EFAULT},
    {"mmap fixed, not replacing, over pages: EEXIST", MMAP, 0, 3, 2, R | W,
     ANON | MAP_FIXED_NOREPLACE, -EEXIST},
    {"mmap fixed, not replacing, where it is free", MMAP, 0, 4, 1, R | W,
     ANON | MAP_FIXED_NOREPLACE, 4},
    {"mmap fixed at no page's beginning: EINVAL", MMAP, 1, 6, 1, R, FIXED, -EINVAL},
    {"mmap fixed beyond the user half: ENOMEM", MMAP, 0, PAGE(LAST), 2, R, FIXED, -ENOMEM},
    {"mmap fixed in the first pages: EPERM", MMAP, 0, PAGE(0x1000), 1, R, FIXED, -EPERM},
    {"mmap of nothing: EINVAL", MMAP, 0, 6, 0, R, ANON, -EINVAL},
    {"mmap of more than there is: ENOMEM", MMAP, 0, 6, MORE, R, ANON, -ENOMEM},
    {"mmap of more than could be: ENOMEM", MMAP, 0, 6, UINT64_C(1) << 51, R, ANON, -ENOMEM},
    {"mmap without rights: more than there is", MMAP, 0, 0x1000, MORE, PROT_NONE, FIXED, 0x1000},
    {"mmap without rights: it is not there", READ, 0, 0x1000, 0, 0, 0, PF_U},
    {"mmap neither private nor shared: EINVAL", MMAP, 0, 6, 1, R, MAP_ANONYMOUS, -EINVAL},
    {"mmap shared: EINVAL", MMAP, 0, 6, 1, R, MAP_ANONYMOUS | MAP_SHARED, -EINVAL},
    {"mmap of the console: ENODEV", MMAP, 0, 6, 1, R, MAP_PRIVATE, -ENODEV},
    {"mmap at the highest page", MMAP, 0, PAGE(LAST), 1, R | W, FIXED, PAGE(LAST)},
    {"the highest page is there", READ, 0, PAGE(LAST), 0, 0, 0, 0},
    {"mmap above the highest page: ENOMEM", MMAP, 0, PAGE(LAST) + 1, 1, R, FIXED, -ENOMEM},

    {"mmap2, INT 0x80 number 192", MMAP2, 0, 6, 1, R | W, FIXED, 6},
    {"mmap2's page can be written", WRITE, 0, 6, 0, 0, 0, 0},
    {"mmap, INT 0x80 number 90", OLD_MMAP, 0, 0, 1, R, ANON, 0},

    {"munmap all of it", MUNMAP, 0, 0, 0x1000 + MORE, 0, 0, 0},
    {"munmap the highest page", MUNMAP, 0, PAGE(LAST), 1, 0, 0, 0},
    {"brk up", BRK, 0, 10, 0, 0, 0, 10},
    {"the heap is zero", VALUE, 0, PAGE(HEAP) + 9, 0, 0, 0, 0},
    {"the heap can be written", WRITE, 0, PAGE(HEAP) + 9, 0, 0, 0, 0},
    {"brk beyond all bounds", BRK, 0, MORE, 0, 0, 0, 10},
    {"mmap in the heap's way", MMAP, 0, PAGE(HEAP) + 12, 1, R, FIXED, PAGE(HEAP) + 12},
    {"brk stops at what is in its way", BRK, 0, 13, 0, 0, 0, 10},
    {"brk down", BRK, 0, 0, 0, 0, 0, 0},
    {"brk down: it is gone", READ, 0, PAGE(HEAP) + 9, 0, 0, 0, PF_U},
    {"brk up again", BRK, 0, 10, 0, 0, 0, 10},
    {"the heap is zero again", VALUE, 0, PAGE(HEAP) + 9, 0, 0, 0, 0},
    {"brk down again", BRK, 0, 0, 0, 0, 0, 0},
    {"munmap what was in the heap's way", MUNMAP, 0, PAGE(HEAP) + 12, 1, 0, 0, 0},
    {"every frame came back", FRAMES, 0, 0, 0, 0, 0, 0},
};

#undef MORE
#undef R
#undef W
#undef X

static uint64_t value, frames;

static void read_at(uint64_t va)
{
	value = *(volatile const uint64_t *)va;
}

static void write_at(uint64_t va)
{
	((volatile uint64_t *)va)[0] = PAGE(va);
	((volatile uint64_t *)va)[1] = 0xc3; /* RET */
}

static void call_at(uint64_t va)
{
	__asm__ volatile("call *%0" : : "r"(va) : "memory");
}

static uint64_t frames_free(void)
{
	raw_syscall(RS_SYS_INFO, (long)&info);
	return info.frames_free;
}

static long in_a_child(uint64_t va, bool by_int80)
{
	static const struct {
		long (*by)(long number, ...);
		long fork, exit, wait4;
	} tables[] = {{raw_syscall, SYS_fork, SYS_exit, SYS_wait4},
	              {raw_int80, SYS32_fork, 1, 114}};
	const __typeof__(tables[0]) *t = &tables[by_int80];
	static uint32_t status;
	long pid;

	flush();
	pid = t->by(t->fork);
	if (pid == 0) {
		read_at(va);
		*(volatile uint64_t *)va = ~value;
		t->by(t->exit, (long)(value != PAGE(va)));
	}
	status = 1;
	t->by(t->wait4, pid, (long)&status, 0L, 0L);
	return (long)status;
}

/* Gives it back at once. */
static long old_mmap(const struct step *step)
{
	static uint32_t arg[6];
	long va;

	arg[1] = (uint32_t)(step->pages * PAGE_SIZE);
	arg[2] = step->prot;
	arg[3] = step->flags;
	va = raw_int80(SYS32_mmap, (long)arg);
	return va > 0 && va >> 32 == 0 ? raw_syscall(SYS_munmap, va, (long)arg[1]) : va;
}

static long call(const struct step *step, uint64_t va)
{
	const long len = (long)(step->pages * PAGE_SIZE), prot = (long)step->prot;
	const long flags = (long)step->flags;
	long result;

	switch (step->op) {
	case MMAP:
		result = raw_syscall(SYS_mmap, (long)va, len, prot, flags, 0L, 0L);
		break;
	case MMAP2:
		result = raw_int80(SYS32_mmap2, (long)va, len, prot, flags, -1L);
		break;
	case BRK:
		result = raw_syscall(SYS_brk, (long)(HEAP + step->page * PAGE_SIZE));
		return (result - (long)HEAP) / PAGE_SIZE;
	case OLD_MMAP:
		return old_mmap(step);
	case MUNMAP:
		return raw_syscall(SYS_munmap, (long)va, len);
	case MPROTECT:
		return raw_syscall(SYS_mprotect, (long)va, len, prot);
	case FROM:
		return raw_int80(SYS32_mmap, (long)va);
	case INTO:
		return raw_syscall(RS_SYS_TABLE, 0L, (long)va);
	case FORK:
	case FORK32:
		return in_a_child(va, step->op == FORK32);
	default:
		return (long)(frames - frames_free());
	}
	return result < 0 ? result : (long)PAGE((uint64_t)result);
}

static void take(const struct step *step)
{
	static void (*const acts[])(uint64_t) = {
	    [READ] = read_at, [WRITE] = write_at, [FETCH] = call_at, [VALUE] = read_at};
	uint64_t va = WINDOW + step->page * PAGE_SIZE + (uint64_t)(int64_t)step->skew;
	struct outcome want = {.vector = ALLOWED}, got;
	long result;

	if (step->op < READ || step->op > VALUE) {
		result = call(step, va);
		got = result == step->want ? want : outcome_wrong((uint64_t)result);
	} else {
		va += step->op == FETCH ? 8 : 0;
		got = try(acts[step->op], va);
		if (step->op == VALUE && got.vector == ALLOWED)
			got = value == (uint64_t)step->want ? want : outcome_wrong(value);
		else if (step->op != VALUE && step->want)
			want = (struct outcome){VECTOR_PF, (uint32_t)step->want, va};
	}
	gallery_row(step->name, want, got);
}

static void take_all(void)
{
	gallery_group("Memory");
	/* The first page without rights costs a table that stays. */
	raw_syscall(SYS_mmap, (long)WINDOW, (long)PAGE_SIZE, PROT_READ + 0L, FIXED + 0L, -1L, 0L);
	raw_syscall(SYS_mprotect, (long)WINDOW, (long)PAGE_SIZE, PROT_NONE + 0L);
	raw_syscall(SYS_munmap, (long)WINDOW, (long)PAGE_SIZE);
	frames = frames_free();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		take(&steps[i]);
}

/* Children do not run before their parent waits: they pile up until a table or RAM is full.  The
 * neighbour is a child too. */
static long forks(void)
{
	uint32_t status = 0, sum = 0;
	long result, made = 0;

	flush();
	while ((result = raw_syscall(SYS_fork)) > 0)
		made++;
	if (result == 0)
		exit(0);
	for (; made; made--) {
		raw_syscall(SYS_wait4, -1L, (long)&status, 0L, 0L);
		sum |= status;
	}
	return result == -EAGAIN || result == -ENOMEM ? (long)sum : result;
}

int memory_main(int argc, char **argv)
{
	static const struct departure none[] = {{0, NULL, {0, 0, 0}, NULL}};

	(void)argc;
	(void)argv;
	gallery_begin("memory", none);
	gallery_in_each_mode(take_all);
	gallery_group("Processes without end");
	frames = frames_free();
	gallery_value("fork until EAGAIN or ENOMEM, and wait for all", 0, (uint64_t)forks());
	gallery_value("forks without end gave back every frame", frames, frames_free());
	return gallery_end();
}
