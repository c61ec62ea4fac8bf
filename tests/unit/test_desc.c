/* Descriptors: literal encodings from the manuals, then every value of every field there and back.
 */
#include "tests/unit/tree.h"

#include <string.h>

#include "shared/desc.h"

START_TEST(segment_literals)
{
	/* The GDT that every long-mode kernel has; SDM volume 3, figure 3-8 by hand. */
	static const struct {
		struct desc_segment seg;
		uint64_t word[2];
	} rows[] = {
	    {{.limit = 0xffffffff, .type = DESC_CODE_RX, .present = true, .code64 = true},
	     {0x00af9b000000ffff}},
	    {{.limit = 0xffffffff, .type = DESC_DATA_RW, .present = true, .big = true},
	     {0x00cf93000000ffff}},
	    {{.limit = 0xffffffff, .type = DESC_CODE_RX, .dpl = 3, .present = true, .code64 = true},
	     {0x00affb000000ffff}},
	    {{.limit = 0xffffffff, .type = DESC_DATA_RW, .dpl = 3, .present = true, .big = true},
	     {0x00cff3000000ffff}},
	    {{.limit = 0xffffffff, .type = DESC_CODE_RX, .dpl = 3, .present = true, .big = true},
	     {0x00cffb000000ffff}},
	    {{.base = 0x12345678, .limit = 0x9abcd, .type = DESC_DATA_RO, .dpl = 1},
	     {0x120931345678abcd}},
	    {{.base = 0xffffffffd0002000,
	      .limit = 0x67,
	      .type = DESC_TSS_AVAILABLE,
	      .system = true,
	      .present = true},
	     {0xd000890020000067, 0xffffffff}},
	    {{.base = 0xfffffe0000003000,
	      .limit = 0x206f,
	      .type = DESC_TSS_BUSY,
	      .system = true,
	      .present = true,
	      .avl = true},
	     {0x00108b003000206f, 0xfffffe00}},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t word[2] = {0, 0};
		struct desc_segment seg;

		ck_assert_msg(desc_segment_encode(&rows[i].seg, word), "row %u", i);
		ck_assert_msg(word[0] == rows[i].word[0] && word[1] == rows[i].word[1],
		              "row %u: got %016lx %016lx, wanted %016lx %016lx", i, word[0],
		              word[1], rows[i].word[0], rows[i].word[1]);
		desc_segment_decode(word, &seg);
		ck_assert_msg(seg.base == rows[i].seg.base && seg.limit == rows[i].seg.limit,
		              "row %u: base %lx limit %x", i, seg.base, seg.limit);
	}
}
END_TEST

static void segment_round_trip(const struct desc_segment *seg)
{
	uint64_t word[2] = {0, UINT64_C(0x1111111111111111)};
	struct desc_segment got;

	check_that(desc_segment_encode(seg, word), "base %lx limit %x type %u: refused", seg->base,
	           seg->limit, seg->type);
	check_that(seg->system || word[1] == UINT64_C(0x1111111111111111),
	           "a code or data segment wrote word 1");
	desc_segment_decode(word, &got);
	check_that(got.base == seg->base && got.limit == seg->limit && got.type == seg->type &&
	               got.system == seg->system && got.dpl == seg->dpl &&
	               got.present == seg->present && got.avl == seg->avl &&
	               got.code64 == seg->code64 && got.big == seg->big,
	           "got base %lx limit %x type %u system %d dpl %u p %d avl %d l %d d %d\n"
	           "wanted base %lx limit %x type %u system %d dpl %u p %d avl %d l %d d %d",
	           got.base, got.limit, got.type, got.system, got.dpl, got.present, got.avl,
	           got.code64, got.big, seg->base, seg->limit, seg->type, seg->system, seg->dpl,
	           seg->present, seg->avl, seg->code64, seg->big);
}

START_TEST(segment_all_values)
{
	static const uint32_t limits[] = {0,       1,       0x67,     0xffff,
	                                  0x10000, 0xfffff, 0x100fff, 0xffffffff};

	for (unsigned bits = 0; bits < 1u << 12; bits++) {
		struct desc_segment seg = {
		    .type = bits & 15,
		    .dpl = bits >> 4 & 3,
		    .system = bits >> 6 & 1,
		    .present = bits >> 7 & 1,
		    .avl = bits >> 8 & 1,
		    .code64 = bits >> 9 & 1,
		    .big = bits >> 10 & 1,
		    .base = bits >> 11 & 1 ? 0x89abcdef : 0x76543210,
		};

		if (seg.system)
			seg.base |= UINT64_C(0xfedcba98) << 32;
		if (seg.code64 && seg.big)
			continue;
		for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			seg.limit = limits[i];
			segment_round_trip(&seg);
		}
	}
	/* Every single bit of base and limit. */
	for (unsigned bit = 0; bit < 64; bit++) {
		struct desc_segment seg = {.base = UINT64_C(1) << bit, .system = bit >= 32};

		segment_round_trip(&seg);
		if (bit < 20) {
			seg.limit = UINT32_C(1) << bit;
			segment_round_trip(&seg);
			seg.limit = (UINT32_C(1) << (bit + 12) | 0xfff) | 0x100000;
			segment_round_trip(&seg);
		}
	}
}
END_TEST

START_TEST(segment_refusals)
{
	static const struct desc_segment bad[] = {
	    {.limit = 0x100000},
	    {.limit = 0xfffffffe},
	    {.limit = 0xfffff7ff},
	    {.limit = 0x100ffe},
	    {.base = UINT64_C(1) << 32},
	    {.base = UINT64_C(1) << 63},
	    {.code64 = true, .big = true},
	    {.dpl = 4},
	    {.type = 16},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t word[2] = {5, 6};

		ck_assert_msg(!desc_segment_encode(&bad[i], word), "row %u", i);
		ck_assert_uint_eq(word[0], 5);
		ck_assert_uint_eq(word[1], 6);
	}
}
END_TEST

/* Decoding then encoding gives every legal pattern back, bit by bit. */
START_TEST(segment_bits_survive)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t word[2] = {UINT64_C(1) << bit | UINT64_C(1) << 44, 0}, again[2] = {0, 0};
		struct desc_segment seg;

		if (bit == 55) /* in pages, with a limit that needs them */
			word[0] |= UINT64_C(0xf) << 48;
		desc_segment_decode(word, &seg);
		ck_assert(desc_segment_encode(&seg, again));
		ck_assert_msg(again[0] == word[0], "bit %u: got %016lx, wanted %016lx", bit,
		              again[0], word[0]);
	}
}
END_TEST

START_TEST(gate_literals)
{
	static const struct {
		struct desc_gate gate;
		uint64_t word[2];
	} rows[] = {
	    /* SDM volume 3, figure 6-8, by hand. */
	    {{0xffffffff80123456, 0x08, 0, DESC_INTERRUPT_GATE, 0, true},
	     {0x80128e0000083456, 0xffffffff}},
	    {{0xffffffff80123456, 0x08, 2, DESC_INTERRUPT_GATE, 0, true},
	     {0x80128e0200083456, 0xffffffff}},
	    {{0x00007fffdeadbeef, 0x33, 0, DESC_TRAP_GATE, 3, true}, {0xdeadef000033beef, 0x7fff}},
	    {{0xffffffffc0001000, 0x08, 0, DESC_CALL_GATE, 3, true},
	     {0xc000ec0000081000, 0xffffffff}},
	    {{0, 0, 7, DESC_TRAP_GATE, 1, false}, {0x00002f0700000000, 0}},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t word[2] = {0, 0};

		ck_assert_msg(desc_gate_encode(&rows[i].gate, word), "row %u", i);
		ck_assert_msg(word[0] == rows[i].word[0] && word[1] == rows[i].word[1],
		              "row %u: got %016lx %016lx, wanted %016lx %016lx", i, word[0],
		              word[1], rows[i].word[0], rows[i].word[1]);
	}
}
END_TEST

static void gate_round_trip(const struct desc_gate *gate)
{
	uint64_t word[2];
	struct desc_gate got;

	check_that(desc_gate_encode(gate, word), "type %u ist %u dpl %u: refused", gate->type,
	           gate->ist, gate->dpl);
	desc_gate_decode(word, &got);
	check_that(got.offset == gate->offset && got.selector == gate->selector &&
	               got.ist == gate->ist && got.type == gate->type && got.dpl == gate->dpl &&
	               got.present == gate->present,
	           "got %lx sel %x ist %u type %u dpl %u p %d\n"
	           "wanted %lx sel %x ist %u type %u dpl %u p %d",
	           got.offset, got.selector, got.ist, got.type, got.dpl, got.present, gate->offset,
	           gate->selector, gate->ist, gate->type, gate->dpl, gate->present);
}

START_TEST(gate_all_values)
{
	for (unsigned type = 0; type < 32; type++) {
		bool call = type == DESC_CALL_GATE;
		bool known = call || type == DESC_INTERRUPT_GATE || type == DESC_TRAP_GATE;

		for (unsigned bits = 0; bits < 1u << 8; bits++) {
			struct desc_gate gate = {
			    .offset = UINT64_C(0xfedcba9876543210),
			    .selector = 0xa5c3,
			    .type = (uint8_t)type,
			    .ist = bits & 15,
			    .dpl = bits >> 4 & 7,
			    .present = bits >> 7,
			};
			uint64_t word[2] = {5, 6};

			if (known && gate.dpl < 4 && gate.ist < 8 && !(call && gate.ist)) {
				gate_round_trip(&gate);
				continue;
			}
			check_that(!desc_gate_encode(&gate, word) && word[0] == 5 && word[1] == 6,
			           "type %u ist %u dpl %u: taken", type, gate.ist, gate.dpl);
		}
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		struct desc_gate gate = {
		    .offset = UINT64_C(1) << bit,
		    .selector = (uint16_t)(1u << bit % 16),
		    .type = DESC_TRAP_GATE,
		};

		gate_round_trip(&gate);
	}
}
END_TEST

START_TEST(tss_fields)
{
	struct desc_tss tss;
	unsigned char bytes[sizeof(tss)];

	memset(&tss, 0, sizeof(tss));
	for (unsigned i = 0; i < 3; i++)
		desc_tss_set_rsp(&tss, i, UINT64_C(0x1122334455667788) + i);
	for (unsigned i = 1; i <= 7; i++)
		desc_tss_set_ist(&tss, i, UINT64_C(0x99aabbccddeeff00) + i);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(desc_tss_rsp(&tss, i), UINT64_C(0x1122334455667788) + i);
	for (unsigned i = 1; i <= 7; i++)
		ck_assert_uint_eq(desc_tss_ist(&tss, i), UINT64_C(0x99aabbccddeeff00) + i);
	/* Where the processor looks (SDM figure 7-11): RSP0 at 4, IST1 at 36, IST7 at 84. */
	memcpy(bytes, &tss, sizeof(tss));
	for (unsigned i = 0; i < 3; i++) {
		uint64_t value;

		memcpy(&value, bytes + 4 + 8 * i, 8);
		ck_assert_uint_eq(value, UINT64_C(0x1122334455667788) + i);
	}
	for (unsigned i = 1; i <= 7; i++) {
		uint64_t value;

		memcpy(&value, bytes + 28 + 8 * i, 8);
		ck_assert_uint_eq(value, UINT64_C(0x99aabbccddeeff00) + i);
	}
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(bytes[i], 0);
	for (unsigned i = 28; i < 36; i++)
		ck_assert_uint_eq(bytes[i], 0);
	for (unsigned i = 92; i < 104; i++)
		ck_assert_uint_eq(bytes[i], 0);
}
END_TEST

START_TEST(selectors_and_star)
{
	ck_assert_uint_eq(selector_index(0x2b), 5);
	ck_assert_uint_eq(selector_rpl(0x2b), 3);
	ck_assert(!selector_ldt(0x2b));
	ck_assert(selector_ldt(0x0f));
	ck_assert_uint_eq(selector_index(0xffff), 8191);
	/* SYSCALL: CS = STAR[47:32], SYSRET: CS = STAR[63:48] + 16 */
	ck_assert_uint_eq(desc_star(0x08, 0x1b), UINT64_C(0x001b000800000000));
	ck_assert_uint_eq(desc_star(0xffff, 0xffff), UINT64_C(0xffffffff00000000));
}
END_TEST

Suite *suite_desc(void)
{
	Suite *suite = suite_create("desc");
	TCase *tc = tcase_create("desc");

	tcase_add_test(tc, segment_literals);
	tcase_add_test(tc, segment_all_values);
	tcase_add_test(tc, segment_refusals);
	tcase_add_test(tc, segment_bits_survive);
	tcase_add_test(tc, gate_literals);
	tcase_add_test(tc, gate_all_values);
	tcase_add_test(tc, tss_fields);
	tcase_add_test(tc, selectors_and_star);
	suite_add_tcase(suite, tc);
	return suite;
}
