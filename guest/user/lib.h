/*
 * The ring 3 library: system calls as a C program knows them, formatted output, faults as return
 * values.
 */
#ifndef GUEST_USER_LIB_H
#define GUEST_USER_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/uapi.h"

/* Linux's numbers for SYSCALL and, second, for INT 0x80. */
#define SYS_read        0
#define SYS_write       1
#define SYS_mmap        9
#define SYS_mprotect    10
#define SYS_munmap      11
#define SYS_brk         12
#define SYS_sched_yield 24
#define SYS_nanosleep   35
#define SYS_getpid      39
#define SYS_fork        57
#define SYS_exit        60
#define SYS_wait4       61
#define SYS32_fork      2
#define SYS32_write     4
#define SYS32_getpid    20
#define SYS32_mmap      90 /* the old one: its arguments lie in memory */
#define SYS32_mmap2     192

/* Set by a call that failed; never cleared. */
extern int errno;

/* By SYSCALL: the result, or -1 with errno set.  As many arguments as the call has, each as wide as
 * a long: an int constant needs its L. */
long syscall(long number, ...);
/* By INT 0x80, with the i386 numbers and 32-bit arguments: likewise. */
long syscall_int80(long number, ...);
/* Both without the library's turn: the kernel's own -errno. */
long raw_syscall(long number, ...);
long raw_int80(long number, ...);

/* %s %c %d %u %x %% with '-', '0', ' and a width; all integers are long.  ' groups digits by three.
 */
void printf(const char *format, ...);
/* Writes what printf has gathered: before fork and exit, or it is written twice or never. */
void flush(void);
_Noreturn void exit(int status);

/* Whether two strings are equal. */
bool same(const char *a, const char *b);
/* Fills the whole field with the text, as far as it fits, and NULs: what was there is gone. */
void set_text(char *field, size_t size, const char *text);
/* The decimal number a string begins with; 0 when there is none. */
uint64_t number(const char *text);

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

#endif
