/*
 * What is tried at the walls (guest/user/walls.c): functions for try, most of one instruction.
 */
#ifndef GUEST_USER_WALLS_ATTEMPTS_H
#define GUEST_USER_WALLS_ATTEMPTS_H

#include <stdint.h>

/* function, name, instruction; RDI is the argument. */
#define PRIVILEGED(X)                                                                              \
	X(try_hlt, "hlt", "hlt")                                                                   \
	X(try_lgdt, "lgdt", "lgdt (%%rdi)")                                                        \
	X(try_lidt, "lidt", "lidt (%%rdi)")                                                        \
	X(try_lldt, "lldt", "xor %%eax, %%eax\n lldt %%ax")                                        \
	X(try_ltr, "ltr", "mov $0x40, %%eax\n ltr %%ax")                                           \
	X(try_clts, "clts", "clts")                                                                \
	X(try_lmsw, "lmsw", "mov $1, %%eax\n lmsw %%ax")                                           \
	X(try_from_cr0, "mov from cr0", "mov %%cr0, %%rax")                                        \
	X(try_to_cr0, "mov to cr0", "mov %%rax, %%cr0")                                            \
	X(try_from_cr2, "mov from cr2", "mov %%cr2, %%rax")                                        \
	X(try_from_cr3, "mov from cr3", "mov %%cr3, %%rax")                                        \
	X(try_to_cr3, "mov to cr3", "mov %%rax, %%cr3")                                            \
	X(try_from_cr4, "mov from cr4", "mov %%cr4, %%rax")                                        \
	X(try_to_cr4, "mov to cr4", "mov %%rax, %%cr4")                                            \
	X(try_from_cr8, "mov from cr8", "mov %%cr8, %%rax")                                        \
	X(try_from_dr0, "mov from dr0", "mov %%dr0, %%rax")                                        \
	X(try_to_dr7, "mov to dr7", "mov %%rax, %%dr7")                                            \
	X(try_invlpg, "invlpg", "invlpg (%%rdi)")                                                  \
	X(try_invd, "invd", "invd")                                                                \
	X(try_wbinvd, "wbinvd", "wbinvd")                                                          \
	X(try_rdmsr, "rdmsr EFER", "mov $0xc0000080, %%ecx\n rdmsr")                               \
	X(try_wrmsr, "wrmsr EFER", "mov $0xc0000080, %%ecx\n wrmsr")                               \
	X(try_swapgs, "swapgs", "swapgs")                                                          \
	X(try_sysretq, "sysretq", "sysretq")                                                       \
	X(try_sysretl, "sysretl", "sysretl")                                                       \
	X(try_rdpmc, "rdpmc, CR4.PCE clear", "xor %%ecx, %%ecx\n rdpmc")

#define PORTS(X)                                                                                   \
	X(try_cli, "cli", "cli")                                                                   \
	X(try_sti, "sti", "sti")                                                                   \
	X(try_in, "in", "in $0x80, %%al")                                                          \
	X(try_out, "out", "out %%al, $0x80")                                                       \
	X(try_ins, "ins", "mov $0x80, %%edx\n insb")                                               \
	X(try_outs, "outs",                                                                        \
	  "mov $0x80, %%edx\n mov %%rdi, "                                                         \
	  "%%rsi\n outsb")

#define UMIP(X)                                                                                    \
	X(try_sgdt, "sgdt", "sgdt (%%rdi)")                                                        \
	X(try_sidt, "sidt", "sidt (%%rdi)")                                                        \
	X(try_sldt, "sldt", "sldt %%eax")                                                          \
	X(try_str, "str", "str %%eax")                                                             \
	X(try_smsw, "smsw", "smsw %%eax")

#define SOFTWARE_INTERRUPTS(X)                                                                     \
	X(try_int2, "int 2, the NMI's gate", "int $2")                                             \
	X(try_int8, "int 8, the #DF's gate", "int $8")                                             \
	X(try_int13, "int 13, the #GP's gate", "int $13")                                          \
	X(try_int14, "int 14, the #PF's gate", "int $14")                                          \
	X(try_int33, "int 0x21", "int $0x21")                                                      \
	X(try_int255, "int 0xff", "int $0xff")                                                     \
	X(try_int129, "int 0x81, gate not present", "int $0x81")                                   \
	X(try_int80, "int 0x80", "int $0x80")                                                      \
	X(try_int144, "int 0x90 beyond the IDT's limit", "int $0x90")                              \
	X(try_int3, "int3", "int3")                                                                \
	X(try_cd03, "int 3, the long form", ".byte 0xcd, 3")                                       \
	X(try_int4, "int 4", "int $4")                                                             \
	X(try_int130, "int 0x82, a trap gate", "int $0x82")                                        \
	X(try_icebp, "int1 (icebp), gate DPL 0", ".byte 0xf1")                                     \
	X(try_into, "into in 64-bit code", ".byte 0xce")

#define OTHERS(X)                                                                                  \
	X(try_xsetbv, "xsetbv, CR4.OSXSAVE clear", "xor %%ecx, %%ecx\n xsetbv")                    \
	X(try_invpcid, "invpcid",                                                                  \
	  "xor %%eax, %%eax\n invpcid "                                                            \
	  "(%%rdi), %%rax")                                                                        \
	X(try_sysexit, "sysexit", "sysexitl")                                                      \
	X(try_sysenter, "sysenter", "xor %%ecx, %%ecx\n sysenter")                                 \
	X(try_syscall, "syscall", "mov $39, %%eax\n syscall")                                      \
	X(try_rdtsc, "rdtsc", "rdtsc")                                                             \
	X(try_mov_cs, "mov to cs", ".byte 0x8e, 0xc8")                                             \
	X(try_push_es, "push es", ".byte 0x06")                                                    \
	X(try_ud2, "ud2", "ud2")

#define DECLARE_ATTEMPT(function, name, insn) void function(uint64_t arg);
PRIVILEGED(DECLARE_ATTEMPT)
PORTS(DECLARE_ATTEMPT)
UMIP(DECLARE_ATTEMPT)
SOFTWARE_INTERRUPTS(DECLARE_ATTEMPT)
OTHERS(DECLARE_ATTEMPT)

/* ---- Attempts that take a few instructions --------------------------------------------------- */

void read_at(uint64_t address), write_at(uint64_t address), read_unaligned(uint64_t address);
/* RCX is not behind a SYSCALL: a jump to LSTAR is not one. */
void call_at(uint64_t address), ret_to(uint64_t address);
void push_at(uint64_t address);
/* Through RBP, which uses SS. */
void read_by_rbp(uint64_t address);
/* POPF with these flags changed; #UD when they did change. */
void pop_flags(uint64_t change);
void out_mark(uint64_t port), out_mark16(uint64_t port);
/* With key 1's access (write) disabled, which stays so when it faults: allow_all_keys is due. */
void read_keyed(uint64_t address), write_keyed(uint64_t address);
void allow_all_keys(uint64_t unused);
void load_ds(uint64_t selector), load_es(uint64_t selector), load_fs(uint64_t selector),
    load_gs(uint64_t selector), load_ss(uint64_t selector);
void far_call(uint64_t selector), far_jump(uint64_t selector);
/* To conforming ring 0 code, HLT there if asked for, and back.  #UD if CPL is not 3 there. */
void jump_conforming(uint64_t halt);
void iret_to(uint64_t cs), far_return_to(uint64_t cs);

#endif
