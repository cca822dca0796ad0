/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an open file: what a writer sees, and what would be committed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/file.h"
#include "fs/fs.h"
#include "zk/blob.h"

#define MAX 1000

static struct fs fs;

static int setup(void **state)
{
	LIST_INIT(&fs.files);
	return fs_inodes_init(&fs.inodes, "");
}

static int teardown(void **state)
{
	while (!LIST_EMPTY(&fs.files))
		fs_file_unref(LIST_FIRST(&fs.files));
	fs_inodes_done(&fs.inodes);
	return 0;
}

static struct fs_file *open_file(int flags, const char *base)
{
	struct fs_file *file = fs_file_new(&fs, fs.inodes.root, flags, 0);
	struct zk_blob *blob = base ? zk_blob_new(base, (uint32_t)strlen(base)) : NULL;
	struct zk_stat stat = { 0 };

	assert_non_null(file);
	fs_file_set_base(file, blob, &stat);
	zk_blob_unref(blob);
	return file;
}

static void check_content(struct fs_file *file, const char *expected)
{
	struct zk_blob *content = fs_file_content(file, file->base);

	assert_int_equal(content->len, strlen(expected));
	assert_memory_equal(content->data, expected, strlen(expected));
	zk_blob_unref(content);
}

static void check_read(struct fs_file *file, size_t size, uint64_t offset, const char *expected)
{
	struct fs_span spans[2];
	char bytes[MAX];
	size_t len = 0;
	int n = fs_file_read(file, size, offset, spans);

	for (int i = 0; i < n; i++) {
		memcpy(bytes + len, spans[i].data, spans[i].size);
		len += spans[i].size;
	}
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(bytes, expected, len);
}

static void a_reader_reads_its_snapshot(void **state)
{
	struct fs_file *file = open_file(O_RDONLY, "0123456789");

	check_read(file, 4, 3, "3456");
	check_read(file, 100, 8, "89");
	check_read(file, 4, 10, "");
	check_read(file, 4, UINT64_MAX, "");
}

static void truncation_begins_empty(void **state)
{
	struct fs_file *file = open_file(O_WRONLY | O_TRUNC, "old");

	assert_int_equal(fs_file_size(file), 0);
	assert_int_equal(fs_file_write(file, "ab", 2, 0, false, MAX), 0);
	check_content(file, "ab");
}

static void a_change_in_place_keeps_the_rest(void **state)
{
	struct fs_file *file = open_file(O_RDWR, "0123456789");

	assert_int_equal(fs_file_write(file, "xy", 2, 4, false, MAX), 0);
	check_content(file, "0123xy6789");
	check_read(file, 100, 0, "0123xy6789");
	assert_true(file->dirty);
}

static void a_gap_is_filled_with_zeros(void **state)
{
	struct fs_file *file = open_file(O_RDWR, "ab");
	struct zk_blob *content;

	assert_int_equal(fs_file_write(file, "z", 1, 4, false, MAX), 0);
	content = fs_file_content(file, file->base);
	assert_int_equal(content->len, 5);
	assert_memory_equal(content->data, "ab\0\0z", 5);
	zk_blob_unref(content);
}

static void an_append_comes_behind_whatever_the_offset(void **state)
{
	struct fs_file *file = open_file(O_RDWR | O_APPEND, "base");

	assert_int_equal(fs_file_write(file, "1", 1, 0, true, MAX), 0);
	assert_int_equal(fs_file_write(file, "2", 1, 77, true, MAX), 0);
	check_content(file, "base12");
	check_read(file, 3, 3, "e12");
	assert_int_equal(fs_file_size(file), 6);
}

static void truncating_an_append_takes_the_base_over(void **state)
{
	struct fs_file *file = open_file(O_WRONLY | O_APPEND, "base");

	assert_int_equal(fs_file_write(file, "12", 2, 0, true, MAX), 0);
	assert_int_equal(fs_file_truncate(file, 5, MAX), 0);
	check_content(file, "base1");
	assert_int_equal(file->mode, FS_FILE_CHANGE);
}

static void what_does_not_fit_is_efbig_and_changes_nothing(void **state)
{
	struct fs_file *file = open_file(O_RDWR, "base");
	struct fs_file *append = open_file(O_WRONLY | O_APPEND, "base");

	assert_int_equal(fs_file_write(file, "xx", 2, MAX - 1, false, MAX), -EFBIG);
	assert_int_equal(fs_file_write(file, "xx", 2, UINT64_MAX - 1, false, MAX), -EFBIG);
	assert_int_equal(fs_file_truncate(file, MAX + 1, MAX), -EFBIG);
	assert_int_equal(fs_file_write(append, "xx", 2, 0, true, 5), -EFBIG);
	check_content(file, "base");
	check_content(append, "base");
	assert_true(append->too_large);
}

static void truncating_makes_room_again(void **state)
{
	struct fs_file *file = open_file(O_RDWR, "base");

	assert_int_equal(fs_file_write(file, "xx", 2, MAX, false, MAX), -EFBIG);
	assert_int_equal(fs_file_truncate(file, 0, MAX), 0);
	assert_false(file->too_large);
	check_content(file, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_reader_reads_its_snapshot),
		TEST(truncation_begins_empty),
		TEST(a_change_in_place_keeps_the_rest),
		TEST(a_gap_is_filled_with_zeros),
		TEST(an_append_comes_behind_whatever_the_offset),
		TEST(truncating_an_append_takes_the_base_over),
		TEST(what_does_not_fit_is_efbig_and_changes_nothing),
		TEST(truncating_makes_room_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
