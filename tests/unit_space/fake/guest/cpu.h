/*
 * The guest's view of its CPU (guest/cpu.h), with a model in place of the instructions: what
 * guest/space.c is compiled with on the host.
 */
#ifndef FAKE_GUEST_CPU_H
#define FAKE_GUEST_CPU_H

#include "shared/abi.h"

enum cpu_exit { EXIT_FAST, EXIT_FAST_PTI, EXIT_SLOW };

/* As the real one, but for what space.c does not touch. */
struct cpu {
	uint64_t kernel_cr3, user_cr3;
	uint32_t pti, exit;
	uint64_t noflush;
	uint32_t number;
};

struct cpu *this_cpu(void);
struct rs_stats *cpu_stats(void);
struct rs_call *cpu_call(void);

uint64_t read_cr3(void);
void write_cr3(uint64_t value);
uint64_t read_cr4(void);
void write_cr4(uint64_t value);
void invlpg(uint64_t va);

#endif
