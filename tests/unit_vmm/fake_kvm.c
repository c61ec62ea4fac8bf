#include "tests/unit_vmm/fake_kvm.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct fake_kvm fake_kvm;

/* By the linker's --wrap. */
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_pthread_attr_setsigmask_np(pthread_attr_t *attributes, const sigset_t *mask);
int __wrap_pthread_attr_setsigmask_np(pthread_attr_t *attributes, const sigset_t *mask);

void fake_kvm_reset(void)
{
	memset(&fake_kvm, 0, sizeof(fake_kvm));
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		fake_kvm.vcpus[i].fd = FAKE_VCPU + (int)i;
}

size_t fake_kvm_count(unsigned long request)
{
	size_t count = 0;

	for (size_t i = 0; i < fake_kvm.call_count && i < FAKE_CALLS; i++)
		count += fake_kvm.calls[i].request == request;
	return count;
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

static struct kvm_msr_entry *find_msr(struct fake_vcpu *vcpu, uint32_t index, bool add)
{
	for (size_t i = 0; i < vcpu->msr_count; i++) {
		if (vcpu->msrs[i].index == index)
			return &vcpu->msrs[i];
	}
	if (!add || vcpu->msr_count == FAKE_MSRS)
		return NULL;
	vcpu->msrs[vcpu->msr_count] = (struct kvm_msr_entry){.index = index};
	return &vcpu->msrs[vcpu->msr_count++];
}

uint64_t fake_kvm_msr(unsigned n, uint32_t index)
{
	const struct kvm_msr_entry *entry = find_msr(&fake_kvm.vcpus[n], index, false);

	return entry ? entry->data : UINT64_MAX;
}

static int set_msrs(struct fake_vcpu *vcpu, const struct kvm_msrs *list)
{
	for (unsigned i = 0; i < list->nmsrs; i++) {
		const struct kvm_msr_entry *from = &list->entries[i];
		struct kvm_msr_entry *to = find_msr(vcpu, from->index, true);

		if (!to || from->index == fake_kvm.msr_refused)
			return (int)i;
		to->data = from->data;
	}
	return (int)list->nmsrs;
}

static int get_msrs(struct fake_vcpu *vcpu, struct kvm_msrs *list)
{
	for (unsigned i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry *to = &list->entries[i];
		const struct kvm_msr_entry *from = find_msr(vcpu, to->index, false);

		if (!from || to->index == fake_kvm.msr_unreadable)
			return (int)i;
		to->data = from->data ^ (to->index == fake_kvm.msr_forgets);
	}
	return (int)list->nmsrs;
}

/* ---- ioctl ----------------------------------------------------------------------------------- */

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int on_vcpu(struct fake_vcpu *vcpu, unsigned long request, void *arg)
{
	const struct {
		unsigned long get, set;
		void *what;
		size_t size;
	} kept[] = {
	    {KVM_GET_REGS, KVM_SET_REGS, &vcpu->regs, sizeof(vcpu->regs)},
	    {KVM_GET_SREGS, KVM_SET_SREGS, &vcpu->sregs, sizeof(vcpu->sregs)},
	    {KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, &vcpu->events, sizeof(vcpu->events)},
	    {KVM_GET_FPU, KVM_SET_FPU, &vcpu->fpu, sizeof(vcpu->fpu)},
	    {KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, &vcpu->debugregs, sizeof(vcpu->debugregs)},
	    {KVM_GET_MP_STATE, KVM_SET_MP_STATE, &vcpu->mp_state, sizeof(vcpu->mp_state)},
	    {0, KVM_SET_GUEST_DEBUG, &vcpu->guest_debug, sizeof(vcpu->guest_debug)},
	    {0, KVM_INTERRUPT, &vcpu->interrupt, sizeof(vcpu->interrupt)},
	};

	if (request == KVM_SET_SREGS && ((const struct kvm_sregs *)arg)->cr4 & fake_kvm.cr4_refused)
		return refuse(EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (request == kept[i].set)
			memcpy(kept[i].what, arg, kept[i].size);
		else if (request == kept[i].get)
			memcpy(arg, kept[i].what, kept[i].size);
		else
			continue;
		return 0;
	}
	switch (request) {
	case KVM_SET_MSRS:
		return set_msrs(vcpu, arg);
	case KVM_GET_MSRS:
		return get_msrs(vcpu, arg);
	case KVM_GET_TSC_KHZ:
		return fake_kvm.tsc_khz;
	case KVM_SET_CPUID2:
		vcpu->cpuid = arg;
		return 0;
	case KVM_NMI:
		vcpu->nmis++;
		return 0;
	default:
		return refuse(ENOTTY);
	}
}

static int get_cpuid(struct kvm_cpuid2 *to)
{
	const struct kvm_cpuid2 *from = fake_kvm.supported;

	if (!from)
		return refuse(EIO);
	if (to->nent < from->nent)
		return refuse(E2BIG);
	memcpy(to->entries, from->entries, from->nent * sizeof(from->entries[0]));
	to->nent = from->nent;
	return 0;
}

/* A file of its own, whose first pages are the vCPU's shared ones. */
static int create_vcpu(uintptr_t n)
{
	int fd;

	if (n >= FAKE_VCPUS)
		return refuse(EINVAL);
	fd = memfd_create("vcpu", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 3 * 4096) < 0) {
		close(fd);
		return -1;
	}
	fake_kvm.vcpus[n].fd = fd;
	return fd;
}

static int set_routes(const struct kvm_irq_routing *table)
{
	ck_assert_uint_le(table->nr, FAKE_ROUTES);
	memcpy(fake_kvm.routes, table->entries, table->nr * sizeof(table->entries[0]));
	fake_kvm.route_count = table->nr;
	return 0;
}

/* The log of the slot that was given last, if it is to have one. */
static int get_log(const struct kvm_dirty_log *log)
{
	const struct kvm_userspace_memory_region *slot = &fake_kvm.slots[fake_kvm.slot_count - 1];

	if (!fake_kvm.slot_count || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return refuse(ENOENT);
	ck_assert_uint_le(slot->memory_size / 4096, FAKE_DIRTY);
	memcpy(log->dirty_bitmap, fake_kvm.dirty, slot->memory_size / 4096 / 8);
	memset(fake_kvm.dirty, 0, sizeof(fake_kvm.dirty));
	return 0;
}

/* What vCPU 0 has. */
static int get_msr_list(struct kvm_msr_list *list)
{
	const struct fake_vcpu *vcpu = &fake_kvm.vcpus[0];

	if (list->nmsrs < vcpu->msr_count)
		return refuse(E2BIG);
	list->nmsrs = (uint32_t)vcpu->msr_count;
	for (size_t i = 0; i < vcpu->msr_count; i++)
		list->indices[i] = vcpu->msrs[i].index;
	return 0;
}

static int on_vm(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return fake_kvm.run_size ? fake_kvm.run_size : 3 * 4096;
	case KVM_GET_SUPPORTED_CPUID:
		return get_cpuid(arg);
	case KVM_CREATE_VM:
		return FAKE_VM;
	case KVM_CREATE_VCPU:
		return create_vcpu((uintptr_t)arg);
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg < FAKE_CAPS ? fake_kvm.offers[(uintptr_t)arg] : 0;
	case KVM_ENABLE_CAP:
		return 0;
	case KVM_SET_USER_MEMORY_REGION:
		ck_assert_uint_lt(fake_kvm.slot_count, ARRAY_SIZE(fake_kvm.slots));
		memcpy(&fake_kvm.slots[fake_kvm.slot_count++], arg, sizeof(fake_kvm.slots[0]));
		return 0;
	case KVM_GET_MSR_INDEX_LIST:
		return get_msr_list(arg);
	case KVM_GET_DIRTY_LOG:
		return get_log(arg);
	case KVM_SIGNAL_MSI:
		memcpy(&fake_kvm.messages[fake_kvm.message_count++ % FAKE_MESSAGES], arg,
		       sizeof(fake_kvm.messages[0]));
		return 1;
	case KVM_SET_GSI_ROUTING:
		return set_routes(arg);
	case KVM_SET_TSS_ADDR:
		return 0;
	case KVM_GET_MSRS: /* of the host's CPU: kept as vCPU 0's */
		return get_msrs(&fake_kvm.vcpus[0], arg);
	default:
		return refuse(ENOTTY);
	}
}

static uint64_t value_of(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_SET_SREGS:
		return ((const struct kvm_sregs *)arg)->cr4;
	case KVM_CREATE_VCPU:
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg;
	case KVM_ENABLE_CAP:
		return ((const struct kvm_enable_cap *)arg)->cap;
	default:
		return 0;
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	for (unsigned n = 0; n <= FAKE_VCPUS; n++) {
		const bool vcpu = n < FAKE_VCPUS && fd == fake_kvm.vcpus[n].fd;

		if (!vcpu && !(n == FAKE_VCPUS && (fd == FAKE_DEVICE || fd == FAKE_VM)))
			continue;
		if (fake_kvm.call_count < FAKE_CALLS)
			fake_kvm.calls[fake_kvm.call_count] =
			    (struct fake_call){fd, request, value_of(request, arg)};
		fake_kvm.call_count++;
		if (fake_kvm.interrupted && fake_kvm.interrupted--)
			return refuse(EINTR);
		if (fake_kvm.error && request == fake_kvm.fails && !fake_kvm.fails_after--)
			return refuse(fake_kvm.error);
		return vcpu ? on_vcpu(&fake_kvm.vcpus[n], request, arg) : on_vm(request, arg);
	}
	return __real_ioctl(fd, request, arg);
}

/* /dev/kvm, if it is there; other files are what they are. */
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (strcmp(path, "/dev/kvm") != 0)
		return __real_open(path, flags, mode);
	return fake_kvm.present ? FAKE_DEVICE : refuse(ENOENT);
}

/* ---- KVM_RUN --------------------------------------------------------------------------------- */

static void on_trap(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const int fd = (int)regs[REG_RDI];

	(void)signal;
	(void)info;
	regs[REG_RAX] = -EBADF;
	for (unsigned n = 0; n < FAKE_VCPUS; n++) {
		if (fd == fake_kvm.vcpus[n].fd && fake_kvm.run)
			regs[REG_RAX] = fake_kvm.run(n);
	}
}

/* The other CPUs' threads block all signals but one: a blocked SIGSYS would be the end. */
int __wrap_pthread_attr_setsigmask_np(pthread_attr_t *attributes, const sigset_t *mask)
{
	sigset_t without = *mask;

	sigdelset(&without, SIGSYS);
	return __real_pthread_attr_setsigmask_np(attributes, &without);
}

void fake_kvm_catch_runs(void)
{
	static bool caught;
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};
	/* The handler is a whole KVM, and may end a test. */
	const struct sigaction action = {.sa_sigaction = on_trap,
	                                 .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (caught)
		return;
	ck_assert_int_eq(sigaction(SIGSYS, &action, NULL), 0);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_msg(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0,
	              "no seccomp filter here: %s", strerror(errno));
	caught = true;
}
