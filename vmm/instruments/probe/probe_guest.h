/* What probe_guest.S and the code that runs it have to agree on. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_GUEST_H
#define VMM_INSTRUMENTS_PROBE_PROBE_GUEST_H

/* Ports below 256 for the short form of OUT, which needs no register; none is a PIC's. */
#define PROBE_PORT_TRAP  0xe0 /* an exception or interrupt arrived; its frame is on the stack */
#define PROBE_PORT_DONE  0xe1 /* ring 0 reached the end */
#define PROBE_PORT_ENTRY 0xe2 /* SYSCALL or SYSENTER arrived in ring 0 */
#define PROBE_PORT_TICK  0xe3 /* nothing: what an exit costs */

#define PROBE_VECTOR_STRIDE 16
#define PROBE_TIMER_VECTOR  0x40

#ifndef __ASSEMBLER__

#include <stdint.h>

/* First bytes of the two texts and of the guests in them. */
#define PROBE_GUEST(name) extern const uint8_t probe_##name[] __attribute__((visibility("hidden")))

PROBE_GUEST(text0);
PROBE_GUEST(vectors);
PROBE_GUEST(entry);
PROBE_GUEST(r0_done);
PROBE_GUEST(r0_int3);
PROBE_GUEST(r0_read);
PROBE_GUEST(r0_write);
PROBE_GUEST(r0_jump);
PROBE_GUEST(r0_stac);
PROBE_GUEST(r0_invpcid);
PROBE_GUEST(r0_pcid);
PROBE_GUEST(r0_ltr);
PROBE_GUEST(r0_apic);
PROBE_GUEST(r0_halt);
PROBE_GUEST(r0_nops);
PROBE_GUEST(r0_loop);
PROBE_GUEST(r0_exits);
PROBE_GUEST(r0_rdtsc);
PROBE_GUEST(text0_end);
PROBE_GUEST(text3);
PROBE_GUEST(r3_end);
PROBE_GUEST(r3_syscall);
PROBE_GUEST(r3_sysenter);
PROBE_GUEST(r3_int80);
PROBE_GUEST(r3_int14);
PROBE_GUEST(r3_int3);
PROBE_GUEST(r3_read);
PROBE_GUEST(r3_jump);
PROBE_GUEST(r3_sgdt);
PROBE_GUEST(r3_rdfsbase);
PROBE_GUEST(r3_nops);
PROBE_GUEST(r3_spin);
PROBE_GUEST(r3_loop);
PROBE_GUEST(r3_exits);
PROBE_GUEST(text3_end);

#undef PROBE_GUEST

#endif /* __ASSEMBLER__ */
#endif
