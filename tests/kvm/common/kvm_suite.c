#include "tests/kvm/common/kvm_suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_SKIPPED 77 /* as automake's test driver has it */

static int loud, quiet; /* standard output without and with what the guest says */

void kvm_suite_silence(void)
{
	dup2(quiet, STDOUT_FILENO);
}

void kvm_suite_speak(void)
{
	dup2(loud, STDOUT_FILENO);
}

int kvm_suite_run(const char *name, const struct kvm_suite_test *tests, int count)
{
	Suite *suite = suite_create(name);
	TCase *all = tcase_create(name);
	SRunner *runner;
	int failed;

	if (access("/dev/kvm", W_OK)) {
		printf("no usable /dev/kvm here\n");
		return EXIT_SKIPPED;
	}
	quiet = getenv("RS_LOUD") ? STDERR_FILENO : open("/dev/null", O_WRONLY);
	loud = dup(STDOUT_FILENO);
	tcase_set_timeout(all, 0);
	tcase_add_checked_fixture(all, NULL, kvm_suite_speak);
	for (int i = 0; i < count; i++)
		tcase_add_loop_test(all, tests[i].test, 0, tests[i].times);
	suite_add_tcase(suite, all);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
