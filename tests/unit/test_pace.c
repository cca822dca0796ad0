/* SPDX-License-Identifier: Apache-2.0 */

/* When a hook looks at what it follows. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

#define SETTLE (100 * HOOK_NS_PER_MS)

static struct hook_pace looked_at(int64_t now)
{
	struct hook_pace pace;

	hook_pace_init(&pace, SETTLE, now);
	assert_int_equal(pace.due, now);
	hook_pace_looked(&pace, now, false);
	return pace;
}

static void test_it_looks_when_it_has_been_quiet(void **state)
{
	struct hook_pace pace = looked_at(0);

	hook_pace_touched(&pace, 1000);
	assert_int_equal(pace.due, 1000 + SETTLE);
	hook_pace_touched(&pace, 1000 + SETTLE / 2);
	assert_int_equal(pace.due, 1000 + SETTLE / 2 + SETTLE);
}

static void test_changes_without_end_do_not_put_it_off_for_ever(void **state)
{
	struct hook_pace pace = looked_at(0);

	for (int64_t now = 0; now <= 20 * SETTLE; now += SETTLE / 2)
		hook_pace_touched(&pace, now);
	assert_int_equal(pace.due, 10 * SETTLE);
	hook_pace_looked(&pace, 20 * SETTLE, false);
	hook_pace_touched(&pace, 21 * SETTLE);
	assert_int_equal(pace.due, 22 * SETTLE);
}

static void test_without_events_it_looks_every_60_s_give_or_take_20_percent(void **state)
{
	int64_t first = looked_at(0).due;
	bool differs = false;

	for (int i = 0; i < 100; i++) {
		int64_t due = looked_at(0).due;

		assert_true(due >= 48 * HOOK_NS_PER_S && due <= 72 * HOOK_NS_PER_S);
		differs |= due != first;
	}
	assert_true(differs);
}

static void test_a_look_that_failed_is_tried_again_ever_later(void **state)
{
	struct hook_pace pace = looked_at(0);
	const int64_t expected[] = { 1, 2, 4, 8, 16, 32, 60, 60 };

	for (unsigned i = 0; i < 8; i++) {
		hook_pace_looked(&pace, 0, true);
		assert_int_equal(pace.due, expected[i] * HOOK_NS_PER_S);
	}
	hook_pace_looked(&pace, 0, false);
	hook_pace_looked(&pace, 0, true);
	assert_int_equal(pace.due, HOOK_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_looks_when_it_has_been_quiet),
		cmocka_unit_test(test_changes_without_end_do_not_put_it_off_for_ever),
		cmocka_unit_test(test_without_events_it_looks_every_60_s_give_or_take_20_percent),
		cmocka_unit_test(test_a_look_that_failed_is_tried_again_ever_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
