/* SPDX-License-Identifier: Apache-2.0 */

/* Counted bytes. That the last unref frees is left to the sanitizers. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "zk/blob.h"

static void new_copies_the_data(void **state)
{
	char data[] = { 'a', '\0', 'b' };
	struct zk_blob *blob = zk_blob_new(data, sizeof(data));

	data[0] = 'x';
	assert_non_null(blob);
	assert_int_equal(blob->refs, 1);
	assert_int_equal(blob->len, 3);
	assert_memory_equal(blob->data, "a\0b", 3);
	zk_blob_unref(blob);
}

static void new_without_data_is_zeroes(void **state)
{
	struct zk_blob *blob = zk_blob_new(NULL, 4);

	assert_int_equal(blob->len, 4);
	assert_memory_equal(blob->data, "\0\0\0\0", 4);
	zk_blob_unref(blob);
}

static void empty_data_is_a_blob_of_length_0(void **state)
{
	struct zk_blob *blob = zk_blob_new("", 0);

	assert_non_null(blob);
	assert_int_equal(blob->len, 0);
	zk_blob_unref(blob);
}

static void ref_returns_its_argument_and_keeps_it_alive(void **state)
{
	struct zk_blob *blob = zk_blob_new("abc", 3);

	assert_ptr_equal(zk_blob_ref(blob), blob);
	assert_int_equal(blob->refs, 2);
	assert_null(zk_blob_unref(blob));
	assert_int_equal(blob->refs, 1);
	assert_memory_equal(blob->data, "abc", 3);
	assert_null(zk_blob_unref(blob));
}

static void null_data_needs_no_care(void **state)
{
	assert_null(zk_blob_ref(NULL));
	assert_null(zk_blob_unref(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_copies_the_data),
		cmocka_unit_test(new_without_data_is_zeroes),
		cmocka_unit_test(empty_data_is_a_blob_of_length_0),
		cmocka_unit_test(ref_returns_its_argument_and_keeps_it_alive),
		cmocka_unit_test(null_data_needs_no_care),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
