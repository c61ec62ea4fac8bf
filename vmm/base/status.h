/*
 * The exit status of the VMM, which says to the shell how a run ended.
 *
 *     0 ... 123  the guest's own status (RS_PORT_EXIT); 0 also for a guest that halted
 *     2          wrong usage: the command line, before anything was opened
 *     124        --timeout ran out
 *     125        the guest could not be run: its file was refused, or the VMM or the host failed
 *     126        the guest died: triple fault, panic, KVM cannot go on, a status above 123
 *     128 + n    signal n stopped the VMM (130 for SIGINT, 143 for SIGTERM)
 */
#ifndef VMM_BASE_STATUS_H
#define VMM_BASE_STATUS_H

enum {
	STATUS_GUEST_MAX = 123,
	STATUS_USAGE = 2,
	STATUS_TIMEOUT = 124,
	STATUS_VMM_FAILED = 125,
	STATUS_GUEST_DIED = 126,
	STATUS_SIGNAL = 128, /* + the signal's number */
};

#endif
