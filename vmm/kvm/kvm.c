#include "vmm/kvm/kvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "shared/abi.h"
#include "vmm/base/message.h"
#include "vmm/base/pc.h"
#include "vmm/kvm/cpuid.h"

/* ---- Calls and their errors ---------------------------------------------------------------- */

/* What a user can do about an ioctl's errno; "" where the errno says it all. */
static const char *cure(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "; the host's security policy forbids it";
	case EBUSY:
		return "; another hypervisor (VirtualBox?) holds the CPU's virtualisation: stop it";
	case EMFILE:
	case ENFILE:
		return "; too many files are open: raise the limit (ulimit -n)";
	case ENOMEM:
		return "; the host is out of memory, or a limit forbids more: give less with --mem";
	case ENOTTY:
		return "; this is not KVM, or a KVM that is older than this program";
	case EEXIST:
		return "; KVM keeps some guest addresses below 4 GiB for itself: give less with "
		       "--mem";
	default:
		return "";
	}
}

int kvm_try(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

int kvm_offers(int fd, int capability)
{
	return kvm_try(fd, KVM_CHECK_EXTENSION, (void *)(intptr_t)capability);
}

int kvm_ioctl(int fd, unsigned long request, const char *name, void *arg)
{
	int result;

	do
		result = kvm_try(fd, request, arg);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		message_error("KVM: ioctl %s: %s%s", name, strerror(errno), cure(errno));
	return result;
}

int kvm_msrs(int fd, unsigned long request, struct kvm_msr_entry *entries, unsigned count)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + KVM_MSRS_MAX * sizeof(*entries)];
	} buffer;

	if (count > KVM_MSRS_MAX) {
		errno = E2BIG;
		return -1;
	}
	memset(buffer.room, 0, sizeof(buffer.room));
	buffer.list.nmsrs = count;
	memcpy(buffer.list.entries, entries, count * sizeof(*entries));

	int done = kvm_try(fd, request, &buffer);

	if (done > 0)
		memcpy(entries, buffer.list.entries, (size_t)done * sizeof(*entries));
	return done;
}

#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif

/* What a user can do when /dev/kvm cannot be opened, or is something else. */
static const char *device_cure(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "; load the module (modprobe kvm_intel or kvm_amd), enable virtualisation "
		       "in the firmware, or, inside a virtual machine, ask its host for nested "
		       "virtualisation";
	case EACCES:
	case EPERM:
		return "; join the group that owns it (sudo usermod -aG kvm $USER, then log in "
		       "again) or run as root";
	default:
		return cure(error);
	}
}

static bool refuse_device(int error, const struct kvm_advice *advice)
{
	char *text = advice->text ? advice->text(advice->ctx) : NULL;

	message_error("/dev/kvm: %s%s%s", strerror(error), device_cure(error), text ? text : "");
	free(text);
	return false;
}

static bool open_device(struct kvm *kvm, const struct kvm_advice *advice)
{
	kvm->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->fd >= 0)
		kvm->host.kvm_api = kvm_try(kvm->fd, KVM_GET_API_VERSION, NULL);
	if (kvm->fd < 0 || kvm->host.kvm_api < 0)
		return refuse_device(errno, advice);
	return kvm->host.kvm_api == KVM_API_VERSION ||
	       message_error("KVM: API version is %d: must be %d", kvm->host.kvm_api,
	                     KVM_API_VERSION);
}

bool kvm_is_usable(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = -1;

	if (fd >= 0 && kvm_try(fd, KVM_GET_API_VERSION, NULL) == KVM_API_VERSION)
		vm = kvm_try(fd, KVM_CREATE_VM, NULL);
	if (vm >= 0)
		close(vm);
	if (fd >= 0)
		close(fd);
	return vm >= 0;
}

/* ---- Capabilities -------------------------------------------------------------------------- */

static const struct {
	int capability;
	const char *name;
	const char *purpose;
} required[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest RAM"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "the guest's CPUID table"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "giving exceptions to the guest"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "stopping the guest (Linux 4.13)"},
};

static bool check_max_vcpus(const struct kvm *kvm, unsigned cpus)
{
	int max;

	if (cpus == 1)
		return true;
	max = kvm_offers(kvm->fd, KVM_CAP_MAX_VCPUS);
	if (max <= 0)
		max = 4; /* api.rst, 4.4: without the capability */
	return cpus <= (unsigned)max ||
	       message_error("--cpus %u: this KVM lets a VM have %d: give less", cpus, max);
}

static bool check_capabilities(struct kvm *kvm)
{
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (kvm_offers(kvm->fd, required[i].capability) <= 0)
			return message_error(
			    "KVM: no %s, which is needed for %s: this kernel is too old, or "
			    "its KVM too small",
			    required[i].name, required[i].purpose);
	}

	const int all = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	int fields = kvm_offers(kvm->fd, KVM_CAP_SYNC_REGS);

	kvm->host.sync_regs = fields > 0 && (fields & all) == all;

	int run_size = KVM_IOCTL(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);

	if (run_size < 0)
		return false;
	if ((size_t)run_size < sizeof(struct kvm_run))
		return message_error("KVM: KVM_GET_VCPU_MMAP_SIZE is %d: must be %zu at least",
		                     run_size, sizeof(struct kvm_run));
	kvm->run_size = (size_t)run_size;
	return true;
}

/* ---- CPUID --------------------------------------------------------------------------------- */

/* 75 entries on one KVM, some 120 on the largest servers.  The call is dear, 70 to 270 us where the
 * host's CPUIDs are traps themselves, so guess high at once rather than ask twice. */
static bool ask_cpuid(struct kvm *kvm)
{
	uint32_t room = 256;

	for (;;) {
		free(kvm->cpuid);
		kvm->cpuid = cpuid_new(room);
		if (!kvm->cpuid)
			return message_error("no memory for a CPUID table of %u entries", room);
		if (kvm_try(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid) == 0)
			return true;
		if (errno != E2BIG || room >= 4096)
			return message_error("KVM: ioctl KVM_GET_SUPPORTED_CPUID: %s%s",
			                     strerror(errno), cure(errno));
		room *= 2;
	}
}

static bool read_cpuid(struct kvm *kvm, bool basic)
{
	if (!basic)
		return ask_cpuid(kvm);
	kvm->cpuid = cpuid_basic();
	return kvm->cpuid || message_error("no memory for a CPUID table");
}

enum { X2APIC = 1 << 21 }; /* leaf 1, ECX */

/* Where CPUID says what (SDM volume 2, CPUID; APM volume 3, appendix E). */
static const struct {
	uint64_t feature;
	uint32_t leaf;
	uint8_t reg, bit;
} feature_bits[] = {
    {RS_FEATURE_PCID, 0x1, CPUID_ECX, 17},
    {RS_FEATURE_FSGSBASE, 0x7, CPUID_EBX, 0},
    {RS_FEATURE_SMEP, 0x7, CPUID_EBX, 7},
    {RS_FEATURE_INVPCID, 0x7, CPUID_EBX, 10},
    {RS_FEATURE_SMAP, 0x7, CPUID_EBX, 20},
    {RS_FEATURE_UMIP, 0x7, CPUID_ECX, 2},
    {RS_FEATURE_LA57, 0x7, CPUID_ECX, 16},
    {RS_FEATURE_NX, 0x80000001, CPUID_EDX, 20},
    {RS_FEATURE_GIB_PAGES, 0x80000001, CPUID_EDX, 26},
};

static void read_vendor(struct host *host, const struct kvm_cpuid2 *table)
{
	uint32_t word[3] = {cpuid_value(table, 0, CPUID_EBX), cpuid_value(table, 0, CPUID_EDX),
	                    cpuid_value(table, 0, CPUID_ECX)};

	memcpy(host->vendor, word, 12);
	if (!strcmp(host->vendor, "GenuineIntel"))
		host->cpuid_features |= RS_FEATURE_INTEL;
	if (!strcmp(host->vendor, "AuthenticAMD") || !strcmp(host->vendor, "HygonGenuine"))
		host->cpuid_features |= RS_FEATURE_AMD;

	uint32_t signature = cpuid_value(table, 1, CPUID_EAX);

	host->stepping = signature & 0xf;
	host->model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
	host->family = signature >> 8 & 0xf;
	if (host->family == 0xf)
		host->family += signature >> 20 & 0xff;
}

static bool describe_cpu(struct kvm *kvm)
{
	struct host *host = &kvm->host;

	read_vendor(host, kvm->cpuid);
	for (size_t i = 0; i < sizeof(feature_bits) / sizeof(feature_bits[0]); i++) {
		uint32_t value = cpuid_value(kvm->cpuid, feature_bits[i].leaf, feature_bits[i].reg);

		if (value >> feature_bits[i].bit & 1)
			host->cpuid_features |= feature_bits[i].feature;
	}
	host->features = host->cpuid_features;
	host->maxphyaddr = cpuid_value(kvm->cpuid, 0x80000008, CPUID_EAX) & 0xff;
	if (host->maxphyaddr < 32 || host->maxphyaddr > 52)
		host->maxphyaddr = 36; /* SDM 4.1.4: without the leaf */

	/* Long mode, and NX, without which a page table cannot say W^X. */
	if (!(cpuid_value(kvm->cpuid, 0x80000001, CPUID_EDX) & X86_BIT(29)))
		return message_error(
		    "KVM: its CPUID table has no long mode (80000001H:EDX.29): a 64-bit "
		    "host is needed");
	if (!(host->features & RS_FEATURE_NX))
		return message_error(
		    "KVM: its CPUID table has no execute-disable bit (80000001H:EDX.20): "
		    "enable it in the firmware");
	return true;
}

void host_describe(struct host *host)
{
	struct utsname name;
	uint32_t word[12] = {0};

	if (uname(&name) == 0)
		memcpy(host->kernel, name.release, strnlen(name.release, sizeof(host->kernel) - 1));
	/* The processor's own words: KVM's table may leave the brand out. */
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t *w = word + 4 * (size_t)i;

		__get_cpuid(0x80000002 + i, &w[0], &w[1], &w[2], &w[3]);
	}

	const char *brand = (const char *)word;
	size_t first = 0, last = strnlen(brand, sizeof(word));

	while (first < last && brand[first] == ' ')
		first++;
	while (last > first && brand[last - 1] == ' ')
		last--;
	memcpy(host->brand, brand + first, last - first);
	host->brand[last - first] = '\0';
}

bool kvm_rdcl_no(struct kvm *kvm)
{
	enum { ARCH_CAPABILITIES = 0x10a, RDCL_NO = 1 };
	struct host *host = &kvm->host;
	struct kvm_msr_entry msr = {.index = ARCH_CAPABILITIES};

	if (host->rdcl_no_known)
		return host->rdcl_no;
	host->rdcl_no_known = true;
	/* Affected are Intel's processors; AMD's and Hygon's never were, and say nothing. */
	if (host->features & RS_FEATURE_AMD)
		host->rdcl_no = true;
	else if (kvm_msrs(kvm->fd, KVM_GET_MSRS, &msr, 1) == 1)
		host->rdcl_no = msr.data & RDCL_NO;
	return host->rdcl_no;
}

/* ---- Opening and closing ------------------------------------------------------------------- */

bool kvm_open(struct kvm *kvm, unsigned cpus, const struct kvm_advice *advice)
{
	*kvm = KVM_CLOSED;
	return open_device(kvm, advice) && check_capabilities(kvm) && check_max_vcpus(kvm, cpus);
}

bool kvm_describe(struct kvm *kvm, bool basic)
{
	return read_cpuid(kvm, basic) && describe_cpu(kvm);
}

/* Local APICs, and for the rest of an interrupt controller a VMM that has none: a whole one in KVM
 * would make it slow to close the VM and take ports away.  Refused is no error. */
static void try_apics(struct kvm *kvm, bool pc)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {pc ? PC_LINES : 0}};
	int nanoseconds;

	if (!(cpuid_value(kvm->cpuid, 1, CPUID_ECX) & X2APIC) ||
	    kvm_try(kvm->vm, KVM_ENABLE_CAP, &split) < 0)
		return;
	/* Older kernels know no other clock for it than 1 ns. */
	nanoseconds = kvm_offers(kvm->fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS);
	kvm->host.apic_khz = UINT64_C(1000000) / (nanoseconds > 0 ? (unsigned)nanoseconds : 1);
	kvm->is_pc = pc;
}

/* Pages that Intel's processors without unrestricted guests need for real mode (api.rst, 4.34):
 * three, behind all that a PC has below 4 GiB. */
static bool give_real_mode(const struct kvm *kvm)
{
	const uintptr_t tss = 0xfffbd000;

	return KVM_IOCTL(kvm->vm, KVM_SET_TSS_ADDR, (void *)tss) == 0;
}

static bool give_part(const struct kvm *kvm, const struct memory *memory, uint32_t number,
                      uint64_t start, uint64_t end, uint32_t flags)
{
	struct kvm_userspace_memory_region slot = {
	    .slot = number,
	    .flags = flags,
	    .guest_phys_addr = start,
	    .memory_size = end - start,
	    .userspace_addr = (uintptr_t)memory->base + start,
	};

	return KVM_IOCTL(kvm->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0;
}

/* As slot 0, and slot 1 for what lies above the hole. */
static bool give_ram(const struct kvm *kvm, const struct memory *memory, uint32_t flags)
{
	return give_part(kvm, memory, 0, 0, memory->low_end, flags) &&
	       (!memory->high_end ||
	        give_part(kvm, memory, 1, RS_HIGH_RAM, memory->high_end, flags));
}

bool kvm_log_dirty(const struct kvm *kvm, const struct memory *memory, bool on)
{
	return give_ram(kvm, memory, on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

static bool add_part(const struct kvm *kvm, uint32_t number, uint64_t start, uint64_t end,
                     uint64_t *pages, uint64_t *room)
{
	const uint64_t words = ((end - start) / PAGE_SIZE + 63) / 64;
	struct kvm_dirty_log log = {.slot = number, .dirty_bitmap = room};

	if (KVM_IOCTL(kvm->vm, KVM_GET_DIRTY_LOG, &log) < 0)
		return false;
	for (uint64_t i = 0; i < words; i++)
		pages[start / PAGE_SIZE / 64 + i] |= room[i];
	return true;
}

bool kvm_add_dirty(const struct kvm *kvm, const struct memory *memory, uint64_t *pages,
                   uint64_t *room)
{
	return add_part(kvm, 0, 0, memory->low_end, pages, room) &&
	       (!memory->high_end || add_part(kvm, 1, RS_HIGH_RAM, memory->high_end, pages, room));
}

bool kvm_create_vm(struct kvm *kvm, const struct memory *memory, enum kvm_interrupts interrupts)
{
	kvm->vm = KVM_IOCTL(kvm->fd, KVM_CREATE_VM, NULL);
	if (kvm->vm < 0 || !give_ram(kvm, memory, 0))
		return false;
	if (interrupts != KVM_NO_APICS)
		try_apics(kvm, interrupts == KVM_PC);
	return interrupts != KVM_PC || give_real_mode(kvm);
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->vm >= 0)
		close(kvm->vm);
	if (kvm->fd >= 0)
		close(kvm->fd);
	free(kvm->cpuid);
	*kvm = KVM_CLOSED;
}
