/*
 * The floor: the least that a program can do to run a guest in long mode, and so what ./vmm's
 * start-to-exit and exit round trip are held against.  No CPUID table, no checks of the guest, no
 * statistics; a failure ends it with the name of the call.
 *
 *     bench_floor exit|hello|trips [MIB [cpuid]]
 *
 * runs a guest of guests.S with so much RAM (default 2).  `cpuid` adds what a guest needs that asks
 * its processor for anything: KVM's CPUID table, got and set.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "shared/abi.h"

extern const char bench_guests[], bench_guests_end[];
extern const char bench_exit[], bench_hello[], bench_trips[];

/* Guest-physical, one page each; one 2 MiB page maps them all where they are.  More RAM than that
 * is there, but not mapped. */
enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, CODE = 0x4000 };
enum { PTE_P = 1, PTE_W = 2, PTE_PS = 0x80 };

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(125);
	}
	return result;
}

static void *must_map(size_t size, int flags, int fd)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at == MAP_FAILED)
		must(-1, "mmap");
	return at;
}

static void fill_memory(uint8_t *ram)
{
	*(uint64_t *)(ram + PML4) = PDPT | PTE_P | PTE_W;
	*(uint64_t *)(ram + PDPT) = PD | PTE_P | PTE_W;
	*(uint64_t *)(ram + PD) = PTE_P | PTE_W | PTE_PS;
	memcpy(ram + CODE, bench_guests, (size_t)(bench_guests_end - bench_guests));
}

/* 256 entries at once: a second call for a table that was too small would cost as much again. */
static void set_cpuid(int kvm, int vcpu)
{
	static union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} table = {.head.nent = 256};

	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &table), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, &table), "KVM_SET_CPUID2");
}

static void set_registers(int vcpu, const char *entry)
{
	struct kvm_regs regs = {.rip = CODE + (uint64_t)(entry - bench_guests), .rflags = 2};
	struct kvm_sregs sregs;

	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	sregs.cs.base = 0;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cs.l = 1;
	sregs.cs.g = 1;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static _Noreturn void serve(int vcpu, const struct kvm_run *run)
{
	static char text[4096];
	size_t used = 0;

	for (;;) {

		must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			exit(126);
		const uint8_t *data = (const uint8_t *)run + run->io.data_offset;
		if (run->io.port == RS_PORT_NOP)
			continue;
		if (run->io.port == RS_PORT_PUTC && used < sizeof(text))
			text[used++] = (char)*data;
		if (run->io.port == RS_PORT_EXIT) {
			if (used && write(1, text, used) < 0)
				exit(125);
			exit(*data);
		}
	}
}

static const char *entry_named(const char *name)
{
	if (!strcmp(name, "exit"))
		return bench_exit;
	if (!strcmp(name, "hello"))
		return bench_hello;
	if (!strcmp(name, "trips"))
		return bench_trips;
	fprintf(stderr, "usage: bench_floor exit|hello|trips [MIB [cpuid]]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *entry = entry_named(argc > 1 ? argv[1] : "");
	const size_t ram_size = (argc > 2 ? strtoul(argv[2], NULL, 10) : 2) << 20;
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	uint8_t *ram = must_map(ram_size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	struct kvm_userspace_memory_region slot = {
	    .memory_size = ram_size,
	    .userspace_addr = (uintptr_t)ram,
	};

	fill_memory(ram);
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");

	int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	const struct kvm_run *run = must_map((size_t)size, MAP_SHARED, vcpu);

	if (argc > 3 && !strcmp(argv[3], "cpuid"))
		set_cpuid(kvm, vcpu);
	set_registers(vcpu, entry);
	serve(vcpu, run);
}
