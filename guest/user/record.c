#include "guest/user/record.h"

#include "guest/user/lib.h"

void record_begin(struct rs_record *record, const char *name, const char *unit, uint32_t mode)
{
	*record = (struct rs_record){
	    .mode = mode,
	    .min = RS_RECORD_NONE,
	    .median = RS_RECORD_NONE,
	    .p90 = RS_RECORD_NONE,
	    .p99 = RS_RECORD_NONE,
	    .max = RS_RECORD_NONE,
	};
	set_text(record->name, sizeof(record->name), name);
	set_text(record->unit, sizeof(record->unit), unit);
}

uint64_t record_signed(int64_t value)
{
	return value < 0 ? RS_RECORD_MINUS - (uint64_t)value : (uint64_t)value;
}

void record_at(struct rs_record *record, uint64_t x, const char *x_unit)
{
	set_text(record->x_unit, sizeof(record->x_unit), x_unit);
	record->x = x;
}

uint64_t record_send(const struct rs_record *list, uint64_t count)
{
	uint64_t sent = 0;

	while (sent < count) {
		uint64_t some = count - sent < RS_RECORDS_A_CALL ? count - sent : RS_RECORDS_A_CALL;
		long taken = syscall(RS_SYS_RECORD, list + sent, some);

		if (taken <= 0)
			break;
		sent += (uint64_t)taken;
	}
	return sent;
}
