/* What comes of a question of --probe. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_RESULT_H
#define VMM_INSTRUMENTS_PROBE_PROBE_RESULT_H

enum probe_verdict {
	PROBE_AS_MANUAL,
	PROBE_DIFFERS,
	PROBE_NOT_OFFERED, /* a feature that processors may lack, and CPUID says so too */
	PROBE_MEASURED,    /* a number, or a choice the manuals leave open */
	PROBE_NO_ANSWER,   /* the probe could not run: the answer says why */
};

/* A number that came out, for JSON; and where it is a time, in the unit of its name. */
struct probe_value {
	const char *name; /* NULL: none */
	double value;
};

struct probe_result {
	enum probe_verdict verdict;
	char answer[64];     /* what was seen, some words */
	const char *manual;  /* what the manuals say here; static */
	const char *meaning; /* PROBE_DIFFERS: what it means and what helps, a sentence; static */
	struct probe_value values[3];
};

#endif
