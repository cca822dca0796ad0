/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The auth file: what is read, what is refused, and that secrets show up nowhere. Files are made in
 * a private directory that each test has for itself.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zk/auth.h"

#define SECRET "s3cret"

struct fixture {
	char dir[32];
	char path[64];
};

/* How often memory that held the secret was wiped. */
static unsigned n_wiped;

/* In place of the C library's: the same, and seen. The declaration tells the compiler that it never
 * reads; hence the detour. */
void explicit_bzero(void *memory, size_t len)
{
	void *seen = memory;

	__asm__ volatile("" : "+r"(seen) : : "memory");
	if (memmem(seen, len, SECRET, strlen(SECRET)))
		n_wiped++;
	memset(seen, 0, len);
	__asm__ volatile("" : : "r"(seen) : "memory");
}

/* What a fortified build calls. */
void __explicit_bzero_chk(void *memory, size_t len, size_t size);
void __explicit_bzero_chk(void *memory, size_t len, size_t size)
{
	explicit_bzero(memory, len);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->dir, "/tmp/zkfs-test-XXXXXX");
	if (!mkdtemp(fixture->dir))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/auth", fixture->dir);
	n_wiped = 0;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (remove(fixture->path) < 0 && errno != ENOENT)
		return -1;
	if (rmdir(fixture->dir) < 0)
		return -1;
	free(fixture);
	return 0;
}

static void make_file(const char *path, const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* A message has one line, and neither the secret nor the user in it. */
static void assert_message(const struct zk_auth_error *error, const char *named)
{
	if (!strstr(error->text, named))
		fail_msg("'%s' is not in: %s", named, error->text);
	assert_null(strstr(error->text, SECRET));
	assert_null(strstr(error->text, "alice"));
	assert_null(strchr(error->text, '\n'));
}

static void assert_read_fails(const char *path, int r, const char *named)
{
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	assert_int_equal(zk_auth_read(path, &auth, &error), r);
	assert_null(auth);
	assert_message(&error, named);
	assert_message(&error, path);
}

static struct zk_auth *parse(const char *text)
{
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	if (zk_auth_parse("F", text, strlen(text), &auth, &error) < 0)
		fail_msg("refused: %s", error.text);
	return auth;
}

static void assert_refused_bytes(const char *text, size_t len, const char *named)
{
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	assert_int_equal(zk_auth_parse("F", text, len, &auth, &error), -EINVAL);
	assert_null(auth);
	assert_message(&error, named);
	assert_message(&error, "F");
}

static void assert_refused(const char *text, const char *named)
{
	assert_refused_bytes(text, strlen(text), named);
}

static void assert_entry(
	const struct zk_auth *auth, size_t i, const char *scheme, const char *credential)
{
	assert_true(i < auth->n_entries);
	assert_string_equal(auth->entries[i].scheme, scheme);
	assert_string_equal(auth->entries[i].credential, credential);
	assert_int_equal(auth->entries[i].credential_len, strlen(credential));
}

/* One entry, digest alice:s3cret. */
static void assert_alice(const char *text)
{
	struct zk_auth *auth = parse(text);

	assert_int_equal(auth->n_entries, 1);
	assert_entry(auth, 0, "digest", "alice:" SECRET);
	zk_auth_free(auth);
}

static void a_line_is_scheme_and_credential(void **state)
{
	assert_alice("digest alice:" SECRET "\n");
}

static void the_last_newline_may_be_missing(void **state)
{
	assert_alice("digest alice:" SECRET);
}

static void lines_may_end_as_on_windows(void **state)
{
	assert_alice("# comment\r\n\r\ndigest alice:" SECRET "\r\n");
}

static void blanks_around_the_words_are_not_part_of_them(void **state)
{
	assert_alice(" \tdigest \t alice:" SECRET " \t\n");
}

static void blanks_inside_a_credential_are_part_of_it(void **state)
{
	struct zk_auth *auth = parse("digest alice:a b\tc  d\n");

	assert_entry(auth, 0, "digest", "alice:a b\tc  d");
	zk_auth_free(auth);
}

static void blank_lines_and_comments_are_skipped(void **state)
{
	assert_alice("\n  \n# digest bob:x\n   # indented\n#\ndigest alice:" SECRET "\n\n");
}

static void a_hash_elsewhere_is_no_comment(void **state)
{
	struct zk_auth *auth = parse("digest alice:a #1\n");

	assert_entry(auth, 0, "digest", "alice:a #1");
	zk_auth_free(auth);
}

static void several_lines_keep_their_order(void **state)
{
	struct zk_auth *auth = parse("digest a:1\nsasl b\ndigest c:3\n");

	assert_int_equal(auth->n_entries, 3);
	assert_entry(auth, 0, "digest", "a:1");
	assert_entry(auth, 1, "sasl", "b");
	assert_entry(auth, 2, "digest", "c:3");
	zk_auth_free(auth);
}

static void a_line_of_one_word_is_refused_without_repeating_it(void **state)
{
	assert_refused("alice:" SECRET "\n", "line 1");
	assert_refused("# comment\ndigest a:1\nalice:" SECRET " \n", "line 3");
	assert_refused("digest\n", "line 1");
}

static void a_file_without_a_credential_is_refused(void **state)
{
	assert_refused("", "no credential");
	assert_refused("\n\n", "no credential");
	assert_refused("# digest alice:" SECRET "\n", "no credential");
}

static void nul_bytes_are_refused(void **state)
{
	static const char in_credential[] = "digest a:1\ndigest alice:" SECRET "\0x\n";
	static const char in_scheme[] = "dig\0est alice:" SECRET "\n";

	assert_refused_bytes(in_credential, sizeof(in_credential) - 1, "line 2");
	assert_refused_bytes(in_scheme, sizeof(in_scheme) - 1, "line 1");
	assert_refused_bytes("\0", 1, "line 1");
}

static void a_scheme_that_is_no_word_is_refused(void **state)
{
	assert_refused("\xef\xbb\xbf"
		       "digest alice:" SECRET "\n",
		"line 1"); /* byte order mark */
	assert_refused("dig\x01st alice:" SECRET "\n", "line 1");
	assert_refused("\x7f alice:" SECRET "\n", "line 1");
}

static void a_long_path_leaves_room_for_the_reason(void **state)
{
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };
	char path[4000];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(zk_auth_parse(path, "x", 1, &auth, &error), -EINVAL);
	assert_message(&error, "line 1");
}

static void freed_credentials_are_wiped(void **state)
{
	struct zk_auth *auth = parse("digest alice:" SECRET "\ndigest bob:" SECRET "\n");

	n_wiped = 0;
	assert_null(zk_auth_free(auth));
	assert_int_equal(n_wiped, 2);
}

static void what_was_read_before_a_bad_line_is_wiped(void **state)
{
	n_wiped = 0;
	assert_refused("digest alice:" SECRET "\nbad\n", "line 2");
	assert_int_equal(n_wiped, 1);
}

static void free_takes_null(void **state)
{
	assert_null(zk_auth_free(NULL));
}

static void a_private_file_is_read_and_the_buffer_wiped(void **state)
{
	static const char text[] = "digest alice:" SECRET "\n";
	struct fixture *fixture = *state;
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	make_file(fixture->path, text, strlen(text), 0600);
	assert_int_equal(zk_auth_read(fixture->path, &auth, &error), 0);
	assert_int_equal(n_wiped, 1);
	assert_int_equal(auth->n_entries, 1);
	assert_entry(auth, 0, "digest", "alice:" SECRET);
	zk_auth_free(auth);
	assert_int_equal(n_wiped, 2);
}

static void a_read_only_file_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	make_file(fixture->path, "digest a:1", 10, 0400);
	assert_int_equal(zk_auth_read(fixture->path, &auth, &error), 0);
	assert_entry(auth, 0, "digest", "a:1");
	zk_auth_free(auth);
}

static void a_file_that_others_can_read_or_write_is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0620, 0604, 0602, 0666, 0040, 0004 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char mode[8];

		if (geteuid() != 0 && !(modes[i] & S_IRUSR))
			continue; /* open(2) refuses these */
		make_file(fixture->path, "digest alice:" SECRET, 19, modes[i]);
		snprintf(mode, sizeof(mode), "%04o", (unsigned)modes[i]);
		assert_read_fails(fixture->path, -EPERM, mode);
		assert_int_equal(unlink(fixture->path), 0);
	}
	assert_int_equal(n_wiped, 0); /* not even read */
}

static void a_file_of_another_user_is_refused(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	make_file(fixture->path, "digest a:1", 10, 0600);
	assert_int_equal(chown(fixture->path, 12345, (gid_t)-1), 0);
	assert_read_fails(fixture->path, -EPERM, "belongs");
}

static void a_missing_file_is_enoent(void **state)
{
	struct fixture *fixture = *state;

	assert_read_fails(fixture->path, -ENOENT, "No such file");
}

static void a_directory_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkdir(fixture->path, 0700), 0);
	assert_read_fails(fixture->path, -EPERM, "regular file");
}

static void a_fifo_is_refused_at_once(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	alarm(10);
	assert_read_fails(fixture->path, -EPERM, "regular file");
	alarm(0);
}

static void an_empty_file_is_refused(void **state)
{
	struct fixture *fixture = *state;

	make_file(fixture->path, "", 0, 0600);
	assert_read_fails(fixture->path, -EINVAL, "no credential");
}

/* A comment of `len` bytes with a credential at its end, on a line of its own. */
static void make_long_file(const char *path, size_t len)
{
	static const char last[] = "\ndigest alice:" SECRET;
	char *text = malloc(len);

	memset(text, '#', len);
	memcpy(text + len - strlen(last), last, strlen(last));
	make_file(path, text, len, 0600);
	free(text);
}

static void a_file_of_64_kib_is_read_whole(void **state)
{
	struct fixture *fixture = *state;
	struct zk_auth *auth = NULL;
	struct zk_auth_error error = { "" };

	make_long_file(fixture->path, 65536);
	assert_int_equal(zk_auth_read(fixture->path, &auth, &error), 0);
	assert_entry(auth, 0, "digest", "alice:" SECRET);
	zk_auth_free(auth);
}

static void a_longer_file_is_refused(void **state)
{
	struct fixture *fixture = *state;

	make_long_file(fixture->path, 65537);
	assert_read_fails(fixture->path, -EINVAL, "longer than");
	assert_int_equal(n_wiped, 1);
}

#define test_with_file(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_scheme_and_credential),
		cmocka_unit_test(the_last_newline_may_be_missing),
		cmocka_unit_test(lines_may_end_as_on_windows),
		cmocka_unit_test(blanks_around_the_words_are_not_part_of_them),
		cmocka_unit_test(blanks_inside_a_credential_are_part_of_it),
		cmocka_unit_test(blank_lines_and_comments_are_skipped),
		cmocka_unit_test(a_hash_elsewhere_is_no_comment),
		cmocka_unit_test(several_lines_keep_their_order),
		cmocka_unit_test(a_line_of_one_word_is_refused_without_repeating_it),
		cmocka_unit_test(a_file_without_a_credential_is_refused),
		cmocka_unit_test(nul_bytes_are_refused),
		cmocka_unit_test(a_scheme_that_is_no_word_is_refused),
		cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
		cmocka_unit_test(freed_credentials_are_wiped),
		cmocka_unit_test(what_was_read_before_a_bad_line_is_wiped),
		cmocka_unit_test(free_takes_null),
		test_with_file(a_private_file_is_read_and_the_buffer_wiped),
		test_with_file(a_read_only_file_is_read),
		test_with_file(a_file_that_others_can_read_or_write_is_refused),
		test_with_file(a_file_of_another_user_is_refused),
		test_with_file(a_missing_file_is_enoent),
		test_with_file(a_directory_is_refused),
		test_with_file(a_fifo_is_refused_at_once),
		test_with_file(an_empty_file_is_refused),
		test_with_file(a_file_of_64_kib_is_read_whole),
		test_with_file(a_longer_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
