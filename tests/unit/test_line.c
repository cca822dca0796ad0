/* SPDX-License-Identifier: Apache-2.0 */
/* Control lines: options, names, data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "fs/line.h"

static int parse(const char *text, bool any_mode, struct fs_line *line)
{
	return fs_line_parse(text, strlen(text), any_mode, line);
}

static void assert_data(const struct fs_line *line, const void *data, size_t size)
{
	assert_true(line->has_data);
	assert_int_equal(line->data_size, size);
	assert_memory_equal(line->data, data, size);
}

static void name_alone(void **state)
{
	struct fs_line line;

	assert_int_equal(parse("a\n", false, &line), 0);
	assert_string_equal(line.name, "a");
	assert_false(line.has_data);
	assert_int_equal(line.mode, ZK_CREATE_EPHEMERAL);
	assert_int_equal(parse("a", true, &line), 0);
	assert_int_equal(line.mode, ZK_CREATE_PERSISTENT);
	assert_false(line.sequential);
}

static void data_is_all_behind_one_blank(void **state)
{
	struct fs_line line;

	assert_int_equal(parse("a  x y \n", false, &line), 0);
	assert_data(&line, " x y ", 5);
	assert_int_equal(parse("a x\n\n", false, &line), 0);
	assert_data(&line, "x\n", 2);
	assert_int_equal(fs_line_parse("a \0\xff\n\0", 6, false, &line), 0);
	assert_data(&line, "\0\xff\n\0", 4);
	assert_int_equal(parse("a ", false, &line), 0);
	assert_data(&line, "", 0);
	assert_int_equal(parse("a -s", false, &line), 0);
	assert_data(&line, "-s", 2);
}

static void options_set_the_mode(void **state)
{
	struct fs_line line;

	assert_int_equal(parse("-s  -e a", true, &line), 0);
	assert_int_equal(line.mode, ZK_CREATE_EPHEMERAL);
	assert_true(line.sequential);
	assert_int_equal(parse("-c a", true, &line), 0);
	assert_int_equal(line.mode, ZK_CREATE_CONTAINER);
	assert_int_equal(parse("-t 5000 -s a x", true, &line), 0);
	assert_int_equal(line.mode, ZK_CREATE_TTL);
	assert_int_equal(line.ttl_ms, 5000);
	assert_data(&line, "x", 1);
	assert_int_equal(parse("-s a", false, &line), 0);
	assert_true(line.sequential);
	assert_int_equal(line.mode, ZK_CREATE_EPHEMERAL);
}

static void two_dashes_end_the_options(void **state)
{
	struct fs_line line;

	assert_int_equal(parse("-s -- -e x", true, &line), 0);
	assert_string_equal(line.name, "-e");
	assert_data(&line, "x", 1);
	assert_int_equal(parse("-- --", true, &line), 0);
	assert_string_equal(line.name, "--");
}

static void bad_lines_are_refused(void **state)
{
	static const char *const bad[] = { "", "\n", " ", "\n\n", "a/b", "/", ".", "..", "a\nb",
		"a\tb", "-x a", "-se a", "-", "-s", "--", "-t a", "-t 0 a", "-t -1 a", "-t 1x a",
		"-t", "-t 1099511627776 a", "-t 99999999999999999999999 a", "-e -c a", "-e -t 5 a",
		"-c -s a", "\xff", "\xed\xa0\x80 x" };
	struct fs_line line;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], true, &line), -EINVAL);
	assert_int_equal(fs_line_parse("a\0b", 3, true, &line), -EINVAL);
	assert_int_equal(parse("-e a", false, &line), -EINVAL);
	assert_int_equal(parse("-c a", false, &line), -EINVAL);
	assert_int_equal(parse("-t 5 a", false, &line), -EINVAL);
}

static void long_names_are_refused(void **state)
{
	char text[ZK_PATH_NAME_MAX + 8];
	struct fs_line line;

	memset(text, 'n', sizeof(text));
	assert_int_equal(fs_line_parse(text, ZK_PATH_NAME_MAX, false, &line), 0);
	assert_int_equal(fs_line_parse(text, ZK_PATH_NAME_MAX + 1, false, &line), -ENAMETOOLONG);
	memcpy(text, "-s ", 3);
	assert_int_equal(fs_line_parse(text, 3 + ZK_PATH_NAME_MAX - 10, false, &line), 0);
	assert_int_equal(
		fs_line_parse(text, 3 + ZK_PATH_NAME_MAX - 9, false, &line), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_alone),
		cmocka_unit_test(data_is_all_behind_one_blank),
		cmocka_unit_test(options_set_the_mode),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(bad_lines_are_refused),
		cmocka_unit_test(long_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
