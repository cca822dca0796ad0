/* SPDX-License-Identifier: Apache-2.0 */
/* Inode numbers and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/attr.h"
#include "fs/control.h"

static void the_number_depends_on_path_creation_and_kind(void **state)
{
	uint64_t ino = fs_attr_ino("/a/b", 17, FS_KIND_FILE);

	assert_true(ino == fs_attr_ino("/a/b", 17, FS_KIND_FILE));
	assert_true(ino != fs_attr_ino("/a/c", 17, FS_KIND_FILE));
	assert_true(ino != fs_attr_ino("/a/b", 18, FS_KIND_FILE));
	assert_true(fs_attr_ino("/a/b", 17, FS_KIND_DATA) != fs_attr_ino("/a/b", 17, FS_KIND_DIR));
}

static void a_file_that_becomes_a_directory_keeps_its_number(void **state)
{
	assert_true(fs_attr_ino("/a", 3, FS_KIND_FILE) == fs_attr_ino("/a", 3, FS_KIND_DIR));
}

static void no_number_is_one_of_our_own(void **state)
{
	for (int64_t czxid = 0; czxid < 100000; czxid++)
		assert_true(fs_attr_ino("/x", czxid, FS_KIND_FILE) > FS_CONTROL_INO_LAST);
}

static void below_the_millisecond_is_the_zxid(void **state)
{
	struct timespec time = fs_attr_time(1700000000123, 0x100000005);

	assert_int_equal(time.tv_sec, 1700000000);
	assert_int_equal(time.tv_nsec, 123000000 + 0x100000005 % 1000000);
}

static void two_changes_in_one_millisecond_differ(void **state)
{
	struct timespec a = fs_attr_time(5, 41), b = fs_attr_time(5, 42);

	assert_int_equal(a.tv_sec, b.tv_sec);
	assert_int_not_equal(a.tv_nsec, b.tv_nsec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_number_depends_on_path_creation_and_kind),
		cmocka_unit_test(a_file_that_becomes_a_directory_keeps_its_number),
		cmocka_unit_test(no_number_is_one_of_our_own),
		cmocka_unit_test(below_the_millisecond_is_the_zxid),
		cmocka_unit_test(two_changes_in_one_millisecond_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
