#include "vmm/instruments/anatomy/anatomy_functions.h"

#include <stdlib.h>
#include <string.h>

static uint64_t sum(const struct function *function)
{
	return function->count[0] + function->count[1];
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct function *)a)->name, ((const struct function *)b)->name);
}

static int by_count(const void *a, const void *b)
{
	const uint64_t first = sum(a), second = sum(b);

	return first != second ? (first < second) - (first > second) : by_name(a, b);
}

bool functions_count(struct functions *functions, const struct account *const account[2],
                     const size_t first[2], const size_t end[2])
{
	const size_t room = end[0] - first[0] + end[1] - first[1];
	size_t rows = 0;

	*functions = (struct functions){.list = calloc(room + 1, sizeof(*functions->list))};
	if (!functions->list)
		return false;
	/* One for each row, and those of a name then put together. */
	for (unsigned side = 0; side < 2; side++) {
		for (size_t i = first[side]; i < end[side]; i++) {
			const struct account_row *row = &account[side]->rows[i];

			if (row->cpl != 0)
				continue;
			functions->list[rows].name = row->symbol ? row->symbol : "(no symbol)";
			functions->list[rows++].count[side] = 1;
		}
	}
	qsort(functions->list, rows, sizeof(*functions->list), by_name);
	for (size_t i = 0; i < rows; i++) {
		struct function *to = functions->list + functions->count;

		if (functions->count && !by_name(to - 1, functions->list + i)) {
			to[-1].count[0] += functions->list[i].count[0];
			to[-1].count[1] += functions->list[i].count[1];
		} else {
			*to = functions->list[i];
			functions->count++;
		}
	}
	qsort(functions->list, functions->count, sizeof(*functions->list), by_count);
	return true;
}

void functions_free(struct functions *functions)
{
	free(functions->list);
	*functions = (struct functions){0};
}
