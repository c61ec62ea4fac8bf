/*
 * The unit tests: pure code on the host, no KVM.  Usual for Check: CK_RUN_SUITE and CK_RUN_CASE
 * choose, CK_FORK=no for a debugger, CK_VERBOSITY=verbose for all names.  RS_SEED repeats the
 * random sequences of one run.
 */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/tree.h"

int main(void)
{
	/* Check's own limit for a test, 4 s, is too little for a busy machine. */
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);

	SRunner *runner = srunner_create(suite_pt_change());
	int failed;

	srunner_add_suite(runner, suite_pt_share());
	srunner_add_suite(runner, suite_pt_failures());
	srunner_add_suite(runner, suite_pt_look());
	srunner_add_suite(runner, suite_pt_explain());
	srunner_add_suite(runner, suite_pt_model());
	srunner_add_suite(runner, suite_pt_text());
	srunner_add_suite(runner, suite_desc());
	srunner_add_suite(runner, suite_memory());
	srunner_add_suite(runner, suite_pcid());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
