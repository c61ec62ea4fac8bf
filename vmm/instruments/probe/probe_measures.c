/* Questions of --probe that are answered by a number. */
#include "vmm/instruments/probe/probe_questions.h"

#include <stdlib.h>
#include <time.h>

#include "shared/x86.h"
#include "vmm/base/clock.h"
#include "vmm/base/units.h"
#include "vmm/instruments/probe/probe_guest.h"

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void probe_ask_tsc(struct asking *asking)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	struct probe_vm *vm = &asking->vm;
	struct probe_stop first, second;
	uint64_t begin, end;

	probe_vm_start0(vm, probe_r0_rdtsc);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &first);
	begin = clock_ns();
	nanosleep(&pause, NULL);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &second);
	end = clock_ns();
	if (first.end != PROBE_DONE || second.end != PROBE_DONE) {
		asking_no_answer(asking, first.end != PROBE_DONE ? &first : &second);
	} else {
		double khz =
		    (double)(second.regs.rax - first.regs.rax) * 1e6 / (double)(end - begin);
		double claim = kvm_try(vm->vcpu, KVM_GET_TSC_KHZ, NULL);
		bool right = claim > 0 && khz > claim * 0.9 && khz < claim * 1.1;

		asking->result->values[0] = (struct probe_value){"tsc_khz", khz};
		asking->result->values[1] =
		    (struct probe_value){"claimed_khz", claim > 0 ? claim : 0};
		asking_answer(asking, right ? PROBE_MEASURED : PROBE_DIFFERS,
		              "%.0f MHz (KVM says %.0f)", khz / 1e3, claim / 1e3);
	}
}

/* Nanoseconds that one instruction of the loop takes; 0 and the result given when it does not run.
 */
static double instruction_time(struct asking *asking, unsigned ring)
{
	enum { INSTRUCTIONS = 2, REPEATS = 3 };
	const uint64_t enough = 3000000, most = UINT64_C(1) << 26;
	const uint8_t *loop = ring == 0 ? probe_r0_loop : probe_r3_loop;
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;
	double best = 0;

	probe_start(vm, ring, loop);
	for (uint64_t turns = 1, base = 0, repeats = 0; repeats < REPEATS;) {
		vm->regs.rcx = turns;
		probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
		if (stop.end != PROBE_DONE && !probe_is_trap(&stop, VECTOR_UD, 0)) {
			asking_no_answer(asking, &stop);
			return 0;
		}
		if (turns == 1 && repeats++ > 0) {
			/* The first run fills caches and shadow tables; the second is the base. */
			base = stop.nanoseconds;
			turns = 256;
			repeats = 0;
		} else if (turns > 1 && stop.nanoseconds < base + enough && turns < most) {
			turns *= 4;
		} else if (turns > 1) {
			double time =
			    stop.nanoseconds > base ? (double)(stop.nanoseconds - base) : 0;
			double each = time / ((double)turns * INSTRUCTIONS);

			if (repeats++ == 0 || each < best)
				best = each;
		}
	}
	return best;
}

void probe_ask_ring_speed(struct asking *asking)
{
	const double interpreted = 20; /* times slower: no processor is that */
	double ring3 = instruction_time(asking, 3);
	double ring0 = ring3 > 0 && asking_renew(asking) ? instruction_time(asking, 0) : 0;

	if (ring3 <= 0 || ring0 <= 0)
		return;
	asking->result->values[0] = (struct probe_value){"ring0_ns", ring0};
	asking->result->values[1] = (struct probe_value){"ring3_ns", ring3};
	if (ring0 > ring3 * interpreted)
		asking_answer(asking, PROBE_DIFFERS, "ring 0: %.*f ns, ring 3: %.*f",
		              ring0 < 99.5 ? 2 : 0, ring0, ring3 < 99.5 ? 2 : 0, ring3);
	else
		asking_answer(asking, PROBE_AS_MANUAL, "ring 0: %.*f ns, ring 3: %.*f",
		              ring0 < 99.5 ? 2 : 0, ring0, ring3 < 99.5 ? 2 : 0, ring3);
}

/* Times KVM_RUN over OUTs of a guest that is ready to run and makes nothing else. */
static void measure_exits(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	enum { EXITS = 400 };
	static const uint64_t budget = 500000000;
	uint64_t times[EXITS], begin = clock_ns();
	struct probe_stop stop;
	size_t count = 0;
	char min[UNITS_SIZE], median[UNITS_SIZE];

	probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
	while (stop.end == PROBE_TICK && count < EXITS && clock_ns() - begin < budget) {
		probe_vm_continue(vm, PROBE_RUN_LIMIT, &stop);
		times[count++] = stop.nanoseconds;
	}
	if (stop.end != PROBE_TICK || count == 0) {
		asking_no_answer(asking, &stop);
		return;
	}
	qsort(times, count, sizeof(times[0]), by_size);

	const uint64_t least = times[0], middle = times[count / 2];

	asking->result->values[0] = (struct probe_value){"min_ns", (double)least};
	asking->result->values[1] = (struct probe_value){"median_ns", (double)middle};
	asking_answer(asking, PROBE_MEASURED, "%s, median %s", units_time(min, least),
	              units_time(median, middle));
}

void probe_ask_exit0(struct asking *asking)
{
	probe_vm_start0(&asking->vm, probe_r0_exits);
	measure_exits(asking);
}

void probe_ask_exit3(struct asking *asking)
{
	probe_start_port(&asking->vm, true);
	measure_exits(asking);
}
