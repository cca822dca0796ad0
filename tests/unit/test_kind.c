/* SPDX-License-Identifier: Apache-2.0 */
/* The table "which znode is a file, which a directory", row by row and rule before rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/kind.h"

static void the_root_is_a_directory_whatever_it_holds(void **state)
{
	struct zk_stat stat = { .data_length = 5 };

	assert_int_equal(fs_kind_of(&stat, FS_DATA_PRESENT, true), FS_KIND_DIR);
}

static void an_ephemeral_is_a_file_with_and_without_data(void **state)
{
	struct zk_stat stat = { .ephemeral_owner = 77 };

	assert_int_equal(fs_kind_of(&stat, FS_DATA_NULL, false), FS_KIND_FILE);
	assert_int_equal(fs_kind_of(&stat, FS_DATA_UNKNOWN, false), FS_KIND_FILE);
}

static void what_ever_had_a_child_is_a_directory(void **state)
{
	struct zk_stat had = { .cversion = 2, .data_length = 5 };
	struct zk_stat has = { .num_children = 1 };
	struct zk_stat quota = { .cversion = -2 }; /* /zookeeper */

	assert_int_equal(fs_kind_of(&had, FS_DATA_PRESENT, false), FS_KIND_DIR);
	assert_int_equal(fs_kind_of(&has, FS_DATA_DENIED, false), FS_KIND_DIR);
	assert_int_equal(fs_kind_of(&quota, FS_DATA_UNKNOWN, false), FS_KIND_DIR);
}

static void data_makes_a_file_also_unread(void **state)
{
	struct zk_stat stat = { .data_length = 1 };

	assert_int_equal(fs_kind_of(&stat, FS_DATA_UNKNOWN, false), FS_KIND_FILE);
	assert_int_equal(fs_kind_of(&stat, FS_DATA_DENIED, false), FS_KIND_FILE);
}

static void null_data_is_a_directory_and_empty_data_a_file(void **state)
{
	struct zk_stat stat = { 0 };

	assert_int_equal(fs_kind_of(&stat, FS_DATA_NULL, false), FS_KIND_DIR);
	assert_int_equal(fs_kind_of(&stat, FS_DATA_PRESENT, false), FS_KIND_FILE);
	assert_int_equal(fs_kind_of(&stat, FS_DATA_DENIED, false), FS_KIND_FILE);
}

static void without_data_only_reading_tells(void **state)
{
	struct zk_stat stat = { 0 };

	assert_int_equal(fs_kind_of(&stat, FS_DATA_UNKNOWN, false), FS_KIND_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_is_a_directory_whatever_it_holds),
		cmocka_unit_test(an_ephemeral_is_a_file_with_and_without_data),
		cmocka_unit_test(what_ever_had_a_child_is_a_directory),
		cmocka_unit_test(data_makes_a_file_also_unread),
		cmocka_unit_test(null_data_is_a_directory_and_empty_data_a_file),
		cmocka_unit_test(without_data_only_reading_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
