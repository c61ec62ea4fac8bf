#include "vmm/instruments/look/core_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <elf.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/look/saved_regs.h"

/* ---- Segments ------------------------------------------------------------------------------ */

struct loads {
	Elf64_Phdr *list; /* CORE_LOADS_MAX for each half */
	size_t count, limit;
	struct pt_ram ram;
};

/* What of the run lies in [start, end), if anything does. */
static bool add_part(struct loads *loads, const struct pt_run *run, uint64_t start, uint64_t end)
{
	const uint64_t first = run->pa > start ? run->pa : start;
	const uint64_t last = run->pa + run->len < end ? run->pa + run->len : end;

	if (first >= last)
		return true;
	if (loads->count == loads->limit)
		return false;
	loads->list[loads->count++] = (Elf64_Phdr){
	    .p_type = PT_LOAD,
	    .p_flags = PF_R | (run->rights & PT_WRITE ? (Elf64_Word)PF_W : 0) |
	               (run->rights & PT_EXEC ? (Elf64_Word)PF_X : 0),
	    .p_vaddr = run->va + (first - run->pa),
	    .p_paddr = first,
	    .p_filesz = last - first,
	    .p_memsz = last - first,
	    .p_align = PAGE_SIZE,
	};
	return true;
}

/* What lies outside RAM is not in the file. */
static bool add_load(void *ctx, const struct pt_run *run)
{
	struct loads *loads = ctx;
	const struct pt_ram *ram = &loads->ram;

	return add_part(loads, run, ram->part[0].start, ram->part[0].end) &&
	       add_part(loads, run, ram->part[1].start, ram->part[1].end);
}

/* User half first: a debugger wants ascending addresses. */
static void collect_loads(struct loads *loads, struct look *look)
{
	const uint64_t half = UINT64_C(1) << 63;

	loads->limit = CORE_LOADS_MAX;
	look_begin_scan(look);
	pt_each(&look->pt[look->two_roots ? LOOK_USER : LOOK_KERNEL], 0, half - 1, add_load, loads);
	loads->limit = loads->count + CORE_LOADS_MAX;
	look_begin_scan(look);
	pt_each(&look->pt[LOOK_KERNEL], half, UINT64_MAX, add_load, loads);
}

/* ---- Notes --------------------------------------------------------------------------------- */

/* Room for all notes: each at most its structure, a header and padding. */
struct notes {
	uint8_t bytes[sizeof(struct core_machine) + sizeof(struct elf_prpsinfo) + 2 * 40 +
	              RS_MAX_CPUS * (sizeof(struct core_vcpu) + sizeof(struct elf_prstatus) +
	                             sizeof(struct user_fpregs_struct) + 3 * 40)];
	size_t size;
};

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

static void add_note(struct notes *notes, const char *name, uint32_t type, const void *desc,
                     size_t size)
{
	const Elf64_Nhdr header = {
	    .n_namesz = (Elf64_Word)strlen(name) + 1,
	    .n_descsz = (Elf64_Word)size,
	    .n_type = type,
	};
	uint8_t *at = notes->bytes + notes->size;

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), name, header.n_namesz);
	memcpy(at + sizeof(header) + padded(header.n_namesz), desc, size);
	notes->size += sizeof(header) + padded(header.n_namesz) + padded(size);
}

/* What a debugger shows as the reason. */
static int signal_of(const struct outcome *outcome)
{
	switch (outcome->reason) {
	case END_PANIC:
		return SIGABRT;
	case END_SHUTDOWN:
		return SIGSEGV;
	case END_INTERNAL_ERROR:
	case END_FAIL_ENTRY:
		return SIGILL;
	case END_TIMEOUT:
		return SIGALRM;
	default:
		return outcome->signal;
	}
}

/* The guest's own account of a panic comes before the vCPU's: it is the place that matters. */
static struct user_regs_struct user_regs(const struct core_vcpu *vcpu)
{
	const struct rs_regs *saved = vcpu->has_saved ? &vcpu->saved : NULL;
	const struct kvm_regs r = saved ? saved_regs(saved) : vcpu->regs;
	const struct kvm_sregs *s = &vcpu->sregs;

	return (struct user_regs_struct){
	    .r15 = r.r15,
	    .r14 = r.r14,
	    .r13 = r.r13,
	    .r12 = r.r12,
	    .rbp = r.rbp,
	    .rbx = r.rbx,
	    .r11 = r.r11,
	    .r10 = r.r10,
	    .r9 = r.r9,
	    .r8 = r.r8,
	    .rax = r.rax,
	    .rcx = r.rcx,
	    .rdx = r.rdx,
	    .rsi = r.rsi,
	    .rdi = r.rdi,
	    .orig_rax = UINT64_MAX, /* not in a system call that is to be restarted */
	    .rip = r.rip,
	    .cs = saved ? saved->cs : s->cs.selector,
	    .eflags = r.rflags,
	    .rsp = r.rsp,
	    .ss = saved ? saved->ss : s->ss.selector,
	    .fs_base = s->fs.base,
	    .gs_base = s->gs.base,
	    .ds = s->ds.selector,
	    .es = s->es.selector,
	    .fs = s->fs.selector,
	    .gs = s->gs.selector,
	};
}

/* To a debugger each vCPU is a thread; 0 is no thread's number.  Only the first has the signal. */
static void add_prstatus(struct notes *notes, const struct core_contents *contents, unsigned i)
{
	const struct user_regs_struct regs = user_regs(&contents->vcpus[i]);
	struct elf_prstatus status = {
	    .pr_pid = 1 + (pid_t)contents->vcpus[i].number,
	    .pr_fpvalid = contents->fpu[i] != NULL,
	};

	if (i == 0)
		status.pr_info.si_signo = signal_of(contents->outcome);
	status.pr_cursig = (short)status.pr_info.si_signo;
	memcpy(&status.pr_reg, &regs, sizeof(status.pr_reg));
	add_note(notes, "CORE", NT_PRSTATUS, &status, sizeof(status));
}
_Static_assert(sizeof(struct elf_prstatus) == 336, "Linux's layout for x86-64");
_Static_assert(sizeof(elf_gregset_t) == sizeof(struct user_regs_struct), "the same registers");

static void add_prpsinfo(struct notes *notes, const char *guest)
{
	struct elf_prpsinfo info = {.pr_sname = 'R', .pr_pid = 1};
	const char *slash = strrchr(guest, '/');
	const char *name = slash ? slash + 1 : guest;

	printable(info.pr_fname, sizeof(info.pr_fname), name, strlen(name));
	printable(info.pr_psargs, sizeof(info.pr_psargs), guest, strlen(guest));
	add_note(notes, "CORE", NT_PRPSINFO, &info, sizeof(info));
}
_Static_assert(sizeof(struct elf_prpsinfo) == 136, "Linux's layout for x86-64");

/* KVM's structure is FXSAVE's in another order (SDM volume 1, 10.5.1). */
static void add_fpregset(struct notes *notes, const struct kvm_fpu *fpu)
{
	struct user_fpregs_struct to = {
	    .cwd = fpu->fcw,
	    .swd = fpu->fsw,
	    .ftw = fpu->ftwx,
	    .fop = fpu->last_opcode,
	    .rip = fpu->last_ip,
	    .rdp = fpu->last_dp,
	    .mxcsr = fpu->mxcsr,
	    .mxcr_mask = 0xffff,
	};

	memcpy(to.st_space, fpu->fpr, sizeof(to.st_space));
	memcpy(to.xmm_space, fpu->xmm, sizeof(to.xmm_space));
	add_note(notes, "CORE", NT_FPREGSET, &to, sizeof(to));
}

static void add_machine(struct notes *notes, const struct core_contents *contents,
                        uint64_t ram_offset)
{
	const struct look_moment *moment = contents->moment;
	const struct outcome *outcome = contents->outcome;
	struct core_machine machine = {
	    .version = moment->memory->high_end ? CORE_VERSION : CORE_VERSION_FLAT,
	    .size = sizeof(machine),
	    .ram_offset = ram_offset,
	    .ram_size = memory_span(moment->memory),
	    .boot_root = moment->boot_root,
	    .free_start = moment->free_start,
	    .kernel_cr3 = moment->kernel_cr3,
	    .user_cr3 = moment->user_cr3,
	    .flags = (moment->noted ? CORE_FLAG_NOTED : 0) |
	             (moment->geometry.gib_pages ? CORE_FLAG_GIB_PAGES : 0) |
	             (moment->stale ? CORE_FLAG_STALE : 0) |
	             (moment->foreign ? CORE_FLAG_FOREIGN : 0),
	    .maxphyaddr = moment->geometry.maxphyaddr,
	    .cpus = moment->cpus,
	    .end_reason = outcome->reason,
	    .exit_reason = outcome->exit_reason,
	    .guest_status = outcome->guest_status,
	    .signal = outcome->signal,
	    .segment_count = moment->segment_count,
	};

	memcpy(machine.segments, moment->segments, sizeof(machine.segments));
	snprintf(machine.when, sizeof(machine.when), "%s", moment->when);
	printable(machine.guest, sizeof(machine.guest), contents->guest, strlen(contents->guest));
	add_note(notes, RS_NOTE_NAME, CORE_NOTE_MACHINE, &machine, sizeof(machine));
}

static void make_notes(struct notes *notes, const struct core_contents *contents,
                       uint64_t ram_offset)
{
	notes->size = 0;
	add_prpsinfo(notes, contents->guest);
	for (unsigned i = 0; i < contents->vcpu_count; i++) {
		add_prstatus(notes, contents, i);
		if (contents->fpu[i])
			add_fpregset(notes, contents->fpu[i]);
	}
	add_machine(notes, contents, ram_offset);
	for (unsigned i = 0; i < contents->vcpu_count; i++)
		add_note(notes, RS_NOTE_NAME, CORE_NOTE_VCPU, &contents->vcpus[i],
		         sizeof(contents->vcpus[i]));
}

/* ---- RAM ----------------------------------------------------------------------------------- */

/* Which pages of RAM anybody has touched, from /proc/self/pagemap (proc(5)): asking a page itself
 * would make the host give one, and 64 GiB of them would take a minute. */
struct touched {
	int fd;         /* -1: not to be had, all pages count as touched */
	uint64_t first; /* page number that `entries` begin with */
	size_t count;
	uint64_t entries[512];
};

static bool is_touched(struct touched *touched, const uint8_t *page)
{
	const uint64_t present = UINT64_C(1) << 63, swapped = UINT64_C(1) << 62;
	const uint64_t number = (uint64_t)(uintptr_t)page / PAGE_SIZE;

	if (touched->fd >= 0 && number - touched->first >= touched->count) {
		ssize_t got = pread(touched->fd, touched->entries, sizeof(touched->entries),
		                    (off_t)(number * sizeof(uint64_t)));

		touched->first = number;
		touched->count = got > 0 ? (size_t)got / sizeof(uint64_t) : 0;
		if (!touched->count) {
			close(touched->fd);
			touched->fd = -1;
		}
	}
	return touched->fd < 0 || touched->entries[number - touched->first] & (present | swapped);
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* Leaves a gap of zeros: a hole, or the zeros themselves where it cannot be one (a pipe). */
static void skip(FILE *out, uint64_t bytes)
{
	static const uint8_t zeros[PAGE_SIZE];

	if (!bytes || fseeko(out, (off_t)bytes, SEEK_CUR) == 0)
		return;
	for (; bytes; bytes -= bytes < PAGE_SIZE ? bytes : PAGE_SIZE)
		fwrite(zeros, bytes < PAGE_SIZE ? (size_t)bytes : PAGE_SIZE, 1, out);
}

static void write_ram(FILE *out, const struct memory *memory)
{
	struct touched touched = {.fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
	uint64_t gap = 0;

	for (uint64_t gpa = 0; gpa < memory_span(memory); gpa += PAGE_SIZE) {
		const uint8_t *page = memory_at(memory, gpa, PAGE_SIZE);
		/* The last page gives the file its length. */
		const bool last = gpa + PAGE_SIZE == memory_span(memory);

		if (!page) {
			gap += RS_HIGH_RAM - gpa;
			gpa = RS_HIGH_RAM - PAGE_SIZE;
			continue;
		}
		if (!last && (!is_touched(&touched, page) || is_zero(page))) {
			gap += PAGE_SIZE;
			continue;
		}
		skip(out, gap);
		gap = 0;
		if (fwrite(page, PAGE_SIZE, 1, out) != 1)
			break;
	}
	if (touched.fd >= 0)
		close(touched.fd);
}

/* ---- The file ------------------------------------------------------------------------------ */

static Elf64_Ehdr elf_header(size_t headers)
{
	return (Elf64_Ehdr){
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	    .e_type = ET_CORE,
	    .e_machine = EM_X86_64,
	    .e_version = EV_CURRENT,
	    .e_phoff = sizeof(Elf64_Ehdr),
	    .e_ehsize = sizeof(Elf64_Ehdr),
	    .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = (Elf64_Half)headers,
	};
}
_Static_assert(2 * CORE_LOADS_MAX + 1 < PN_XNUM, "e_phnum can count them");

static void write_all(FILE *out, const struct core_contents *contents, struct loads *loads)
{
	const Elf64_Ehdr header = elf_header(loads->count + 1);
	const uint64_t notes_at = sizeof(header) + (loads->count + 1) * sizeof(Elf64_Phdr);
	struct notes notes;

	/* Once to learn the size, which does not depend on where RAM will be. */
	make_notes(&notes, contents, 0);

	const uint64_t ram_at =
	    (notes_at + notes.size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	const Elf64_Phdr note = {
	    .p_type = PT_NOTE,
	    .p_offset = notes_at,
	    .p_filesz = notes.size,
	    .p_align = 4,
	};

	make_notes(&notes, contents, ram_at);
	for (size_t i = 0; i < loads->count; i++)
		loads->list[i].p_offset = ram_at + loads->list[i].p_paddr;
	fwrite(&header, sizeof(header), 1, out);
	fwrite(&note, sizeof(note), 1, out);
	fwrite(loads->list, sizeof(*loads->list), loads->count, out);
	fwrite(notes.bytes, notes.size, 1, out);
	skip(out, ram_at - notes_at - notes.size);
	write_ram(out, contents->moment->memory);
}

bool core_write(struct outfile *out, const struct core_contents *contents)
{
	struct loads loads = {
	    .list = calloc(2 * (size_t)CORE_LOADS_MAX, sizeof(*loads.list)),
	    .ram = memory_ram(contents->moment->memory),
	};
	struct look look;
	bool good;

	if (!loads.list)
		return message_error("--core %s: no memory", out->path);
	look_init(&look, contents->moment);
	collect_loads(&loads, &look);
	write_all(out->stream, contents, &loads);
	good = outfile_commit(out);
	free(loads.list);
	return good;
}
