/* What the tests that need KVM share: a main, and a guest that does not speak in between. */
#ifndef TESTS_KVM_SUITE_H
#define TESTS_KVM_SUITE_H

#include <check.h>

/* Standard output goes nowhere until kvm_suite_speak, so that what the guest says is not taken for
 * a test's result; RS_LOUD=1: to standard error. */
void kvm_suite_silence(void);
void kvm_suite_speak(void);

/* Runs the tests, given as START_TEST has made them, one after the other in this process and
 * without a time limit, each `times` times with _i from 0 on.  Standard output is back after each,
 * also after one that failed.  The status for main: 0 when all passed, 1, or 77 without a usable
 * /dev/kvm. */
struct kvm_suite_test {
	const TTest *test;
	int times;
};
int kvm_suite_run(const char *name, const struct kvm_suite_test *tests, int count);

#endif
