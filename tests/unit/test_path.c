/* SPDX-License-Identifier: Apache-2.0 */

/* Names that a file system can carry, and paths made of them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zk/path.h"

static int check(const char *name)
{
	return zk_path_check_name(name, strlen(name));
}

static void plain_names_are_fine(void **state)
{
	assert_int_equal(check("a"), 0);
	assert_int_equal(check("..."), 0);
	assert_int_equal(check(".hidden"), 0);
	assert_int_equal(check("with blank, comma: and *?[]"), 0);
	assert_int_equal(check("\\ ~"), 0);
	assert_int_equal(check("-rf"), 0);
}

static void names_with_a_meaning_are_refused(void **state)
{
	assert_int_equal(check(""), -EINVAL);
	assert_int_equal(check("."), -EINVAL);
	assert_int_equal(check(".."), -EINVAL);
}

static void a_slash_is_refused_anywhere(void **state)
{
	assert_int_equal(check("/"), -EINVAL);
	assert_int_equal(check("/a"), -EINVAL);
	assert_int_equal(check("a/"), -EINVAL);
	assert_int_equal(check("a/b"), -EINVAL);
}

static void only_len_bytes_are_looked_at(void **state)
{
	assert_int_equal(zk_path_check_name("a/b", 1), 0);
	assert_int_equal(zk_path_check_name("..b", 2), -EINVAL);
}

static void control_characters_are_refused(void **state)
{
	assert_int_equal(zk_path_check_name("a\0b", 3), -EINVAL);
	assert_int_equal(zk_path_check_name("\0", 1), -EINVAL);
	assert_int_equal(check("a\n"), -EINVAL);
	assert_int_equal(check("\x1b[2J"), -EINVAL);
	assert_int_equal(check("\x1f"), -EINVAL);
	assert_int_equal(check("a\x7f"), -EINVAL);
}

static void c1_controls_are_refused_and_what_follows_them_is_not(void **state)
{
	assert_int_equal(check("\xc2\x80"), -EINVAL); /* U+0080 */
	assert_int_equal(check("\xc2\x9b"), -EINVAL); /* U+009B, a terminal's CSI */
	assert_int_equal(check("\xc2\x9f"), -EINVAL); /* U+009F */
	assert_int_equal(check("\xc2\xa0"), 0);       /* U+00A0 */
}

static void utf8_of_every_length_is_fine(void **state)
{
	assert_int_equal(check("\xc3\xa9"), 0);         /* é */
	assert_int_equal(check("\xdf\xbf"), 0);         /* U+07FF */
	assert_int_equal(check("\xe0\xa0\x80"), 0);     /* U+0800 */
	assert_int_equal(check("\xe9\x85\x8d"), 0);     /* 配 */
	assert_int_equal(check("\xef\xbf\xbf"), 0);     /* U+FFFF: the server's to refuse */
	assert_int_equal(check("\xf0\x90\x80\x80"), 0); /* U+10000 */
	assert_int_equal(check("\xf4\x8f\xbf\xbf"), 0); /* U+10FFFF */
}

static void overlong_forms_are_refused(void **state)
{
	assert_int_equal(check("\xc0\xaf"), -EINVAL); /* a slash in two bytes */
	assert_int_equal(check("\xc0\x80"), -EINVAL); /* U+0000, as Java writes it */
	assert_int_equal(check("\xc1\xbf"), -EINVAL);
	assert_int_equal(check("\xe0\x80\xaf"), -EINVAL);
	assert_int_equal(check("\xe0\x9f\xbf"), -EINVAL); /* U+07FF in three bytes */
	assert_int_equal(check("\xf0\x80\x80\xaf"), -EINVAL);
	assert_int_equal(check("\xf0\x8f\xbf\xbf"), -EINVAL); /* U+FFFF in four */
}

static void surrogates_are_refused_and_their_neighbours_are_not(void **state)
{
	assert_int_equal(check("\xed\x9f\xbf"), 0);                   /* U+D7FF */
	assert_int_equal(check("\xed\xa0\x80"), -EINVAL);             /* U+D800 */
	assert_int_equal(check("\xed\xbf\xbf"), -EINVAL);             /* U+DFFF */
	assert_int_equal(check("\xee\x80\x80"), 0);                   /* U+E000 */
	assert_int_equal(check("\xed\xa0\xbd\xed\xb8\x80"), -EINVAL); /* a pair of them */
}

static void codes_beyond_unicode_are_refused(void **state)
{
	assert_int_equal(check("\xf4\x90\x80\x80"), -EINVAL); /* U+110000 */
	assert_int_equal(check("\xf7\xbf\xbf\xbf"), -EINVAL);
	assert_int_equal(check("\xf8\x88\x80\x80\x80"), -EINVAL); /* five bytes */
	assert_int_equal(check("\xf8\x90\x80\x80"), -EINVAL);
	assert_int_equal(check("\xfe"), -EINVAL);
	assert_int_equal(check("\xff"), -EINVAL);
}

static void broken_sequences_are_refused(void **state)
{
	assert_int_equal(check("\x80"), -EINVAL);
	assert_int_equal(check("a\xbf"), -EINVAL);
	assert_int_equal(check("\xc3"), -EINVAL);
	assert_int_equal(check("\xe9\x85"), -EINVAL);
	assert_int_equal(check("\xf0\x9f\x98"), -EINVAL);
	assert_int_equal(check("\xc3z"), -EINVAL);
	assert_int_equal(check("\xc3\xc3"), -EINVAL);
	assert_int_equal(check("\xe9\x85z"), -EINVAL);
	assert_int_equal(check("caf\xe9"), -EINVAL); /* Latin-1 */
}

static void a_sequence_cut_by_len_is_refused_without_reading_on(void **state)
{
	assert_int_equal(zk_path_check_name("\xc3\xa9", 1), -EINVAL);
	assert_int_equal(zk_path_check_name("a\xe9\x85\x8d", 3), -EINVAL);
}

static void the_longest_name_has_255_bytes(void **state)
{
	char name[257];

	memset(name, 'a', sizeof(name));
	assert_int_equal(zk_path_check_name(name, 255), 0);
	assert_int_equal(zk_path_check_name(name, 256), -ENAMETOOLONG);
	memcpy(name + 254, "\xc3\xa9", 2); /* 255 characters, 256 bytes */
	assert_int_equal(zk_path_check_name(name, 256), -ENAMETOOLONG);
}

static void a_name_that_is_bad_and_too_long_is_bad(void **state)
{
	char name[300];

	memset(name, 'a', sizeof(name));
	name[299] = '/';
	assert_int_equal(zk_path_check_name(name, sizeof(name)), -EINVAL);
}

static void assert_join(const char *parent, const char *name, const char *expected)
{
	char *path = zk_path_join(parent, name);

	assert_string_equal(path, expected);
	free(path);
}

static void join_puts_one_slash_between(void **state)
{
	assert_join("/", "a", "/a");
	assert_join("", "a", "/a");
	assert_join("/x", "a", "/x/a");
	assert_join("/x/y", "\xe9\x85\x8d", "/x/y/\xe9\x85\x8d");
}

static void base_is_what_follows_the_last_slash(void **state)
{
	const char *path = "/x/abc";

	assert_ptr_equal(zk_path_base(path), path + 3);
	assert_string_equal(zk_path_base("/a"), "a");
	assert_string_equal(zk_path_base("/"), "");
	assert_string_equal(zk_path_base("a"), "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_names_are_fine),
		cmocka_unit_test(names_with_a_meaning_are_refused),
		cmocka_unit_test(a_slash_is_refused_anywhere),
		cmocka_unit_test(only_len_bytes_are_looked_at),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(c1_controls_are_refused_and_what_follows_them_is_not),
		cmocka_unit_test(utf8_of_every_length_is_fine),
		cmocka_unit_test(overlong_forms_are_refused),
		cmocka_unit_test(surrogates_are_refused_and_their_neighbours_are_not),
		cmocka_unit_test(codes_beyond_unicode_are_refused),
		cmocka_unit_test(broken_sequences_are_refused),
		cmocka_unit_test(a_sequence_cut_by_len_is_refused_without_reading_on),
		cmocka_unit_test(the_longest_name_has_255_bytes),
		cmocka_unit_test(a_name_that_is_bad_and_too_long_is_bad),
		cmocka_unit_test(join_puts_one_slash_between),
		cmocka_unit_test(base_is_what_follows_the_last_slash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
