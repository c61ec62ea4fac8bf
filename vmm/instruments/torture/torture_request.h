/* What is asked of a torture run. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_REQUEST_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_REQUEST_H

struct torture_request {
	const char *event;    /* "nmi", "irq", "step"; NULL: none */
	const char *crossing; /* a pattern for those to torture; NULL: all */
};

#endif
