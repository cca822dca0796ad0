/* SPDX-License-Identifier: Apache-2.0 */

/* ACLs: their text form, and what can be said about them without a server. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zk/acl.h"
#include "zk/auth.h"

static struct zk_acl *parse(const char *text)
{
	struct zk_acl *acl = NULL;

	if (zk_acl_parse(text, strlen(text), &acl) < 0)
		fail_msg("'%s' was refused", text);
	return acl;
}

static void assert_entry(
	const struct zk_acl *acl, size_t i, const char *scheme, const char *id, unsigned perms)
{
	assert_true(i < acl->n_entries);
	assert_string_equal(acl->entries[i].scheme, scheme);
	assert_string_equal(acl->entries[i].id, id);
	assert_int_equal(acl->entries[i].perms, perms);
}

/* One entry. */
static void assert_one(const char *text, const char *scheme, const char *id, unsigned perms)
{
	struct zk_acl *acl = parse(text);

	assert_int_equal(acl->n_entries, 1);
	assert_entry(acl, 0, scheme, id, perms);
	zk_acl_free(acl);
}

static void assert_refused(const char *text)
{
	struct zk_acl *acl = NULL;

	if (zk_acl_parse(text, strlen(text), &acl) != -EINVAL)
		fail_msg("'%s' was not refused", text);
	assert_null(acl);
}

static void one_entry(void **state)
{
	assert_one("world:anyone:cdrwa", "world", "anyone", ZK_PERM_ALL);
	assert_one("ip:127.0.0.1/8:rw", "ip", "127.0.0.1/8", ZK_PERM_READ | ZK_PERM_WRITE);
}

static void perms_come_in_any_order(void **state)
{
	assert_one("world:anyone:awrdc", "world", "anyone", ZK_PERM_ALL);
	assert_one("world:anyone:c", "world", "anyone", ZK_PERM_CREATE);
	assert_one("world:anyone:d", "world", "anyone", ZK_PERM_DELETE);
	assert_one("world:anyone:a", "world", "anyone", ZK_PERM_ADMIN);
	assert_one("world:anyone:w", "world", "anyone", ZK_PERM_WRITE);
}

static void an_id_may_be_empty(void **state)
{
	assert_one("auth::cdrwa", "auth", "", ZK_PERM_ALL);
}

static void an_id_may_have_colons(void **state)
{
	assert_one("digest:u:hash=:cdrwa", "digest", "u:hash=", ZK_PERM_ALL);
	assert_one("ip:::1:r", "ip", "::1", ZK_PERM_READ);
	assert_one("ip:2001:db8::/32:rw", "ip", "2001:db8::/32", ZK_PERM_READ | ZK_PERM_WRITE);
	assert_one("digest:::r", "digest", ":", ZK_PERM_READ);
}

static void an_id_may_have_commas_and_colons(void **state)
{
	struct zk_acl *acl = parse("x509:CN=a,OU=b:r,world:anyone:cdrwa");

	assert_int_equal(acl->n_entries, 2);
	assert_entry(acl, 0, "x509", "CN=a,OU=b", ZK_PERM_READ);
	assert_entry(acl, 1, "world", "anyone", ZK_PERM_ALL);
	zk_acl_free(acl);

	assert_one("x509:CN=a:b,OU=c:x,O=e,:rw", "x509", "CN=a:b,OU=c:x,O=e,",
		ZK_PERM_READ | ZK_PERM_WRITE);
}

static void a_comma_in_an_id_behind_what_is_not_quite_perms_does_not_end_the_entry(void **state)
{
	assert_one("x509:CN=a:radar,OU=b:r", "x509", "CN=a:radar,OU=b", ZK_PERM_READ);
	assert_one("x509:CN=a:,OU=b:r", "x509", "CN=a:,OU=b", ZK_PERM_READ);
	assert_one("x509:r,OU=b:r", "x509", "r,OU=b", ZK_PERM_READ);
}

static void one_newline_at_the_end_is_allowed(void **state)
{
	assert_one("world:anyone:r\n", "world", "anyone", ZK_PERM_READ);
	assert_refused("world:anyone:r\n\n");
	assert_refused("\n");
}

static void an_empty_acl_is_refused(void **state)
{
	assert_refused("");
	assert_refused(",");
	assert_refused(":");
	assert_refused("::");
}

static void empty_perms_are_refused(void **state)
{
	assert_refused("world:anyone:");
	assert_refused("world:anyone:r,world:anyone:");
	assert_refused("world:anyone");
	assert_refused("world");
	assert_refused("world:r");
}

static void bad_perms_are_refused(void **state)
{
	assert_refused("world:anyone:x");
	assert_refused("world:anyone:crx");
	assert_refused("world:anyone:R");
	assert_refused("world:anyone:31");
	assert_refused("world:anyone:r ");
}

static void duplicate_perms_are_refused(void **state)
{
	assert_refused("world:anyone:rr");
	assert_refused("world:anyone:cdrwac");
}

static void a_missing_scheme_is_refused(void **state)
{
	assert_refused(":anyone:r");
	assert_refused("world:anyone:r,:x:r");
}

static void commas_without_an_entry_are_refused(void **state)
{
	assert_refused("world:anyone:r,");
	assert_refused(",world:anyone:r");
	assert_refused("world:anyone:r,,auth::r");
	assert_refused("world:anyone:r, auth::r");
}

static void control_characters_and_nul_are_refused(void **state)
{
	static const char with_nul[] = "world:any\0one:r";
	struct zk_acl *acl = NULL;

	assert_refused("world:anyone:r\nauth::cdrwa");
	assert_refused("digest:u\x7f:r");
	assert_int_equal(zk_acl_parse(with_nul, sizeof(with_nul) - 1, &acl), -EINVAL);
	assert_int_equal(zk_acl_parse("world:anyone:r", 15, &acl), -EINVAL);
	assert_null(acl);
}

static void only_len_bytes_are_looked_at(void **state)
{
	struct zk_acl *acl = NULL;

	assert_int_equal(zk_acl_parse("world:anyone:rwx", 15, &acl), 0);
	assert_entry(acl, 0, "world", "anyone", ZK_PERM_READ | ZK_PERM_WRITE);
	zk_acl_free(acl);
}

static void format_writes_what_parse_reads(void **state)
{
	static const char *const texts[] = {
		"world:anyone:cdrwa",
		"auth::r",
		"x509:CN=a,OU=b:r,world:anyone:cdrwa",
		"digest:u:hash=:cdrw,ip:::1:a,sasl:u@H:d",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct zk_acl *acl = parse(texts[i]);
		char *text = zk_acl_format(acl);

		assert_string_equal(text, texts[i]);
		free(text);
		zk_acl_free(acl);
	}
}

static void format_shows_an_entry_that_grants_nothing(void **state)
{
	struct zk_acl *acl = parse("world:anyone:r");

	acl->entries[0].perms = 0;
	char *text = zk_acl_format(acl);

	assert_string_equal(text, "world:anyone:");
	free(text);
	zk_acl_free(acl);
}

static void format_of_no_entries_is_an_empty_text(void **state)
{
	struct zk_acl *acl = zk_acl_new(0);
	char *text = zk_acl_format(acl);

	assert_string_equal(text, "");
	free(text);
	zk_acl_free(acl);
}

static void equal_compares_entries_in_order(void **state)
{
	static const char *const others[] = {
		"world:anyone:r",
		"world:anyone:rw,auth::cdrwa",
		"world:anyone:r,auth:x:cdrwa",
		"world:anyone:r,ip::cdrwa",
		"auth::cdrwa,world:anyone:r",
		"world:anyone:r,auth::cdrwa,auth::cdrwa",
	};
	struct zk_acl *acl = parse("world:anyone:r,auth::cdrwa");

	assert_true(zk_acl_equal(acl, acl));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct zk_acl *other = parse(others[i]);

		if (zk_acl_equal(acl, other) || zk_acl_equal(other, acl))
			fail_msg("'%s' is not equal", others[i]);
		zk_acl_free(other);
	}
	zk_acl_free(acl);
}

static void a_copy_is_equal_and_lives_alone(void **state)
{
	struct zk_acl *acl = parse("digest:u:hash:r,world:anyone:cdrwa");
	struct zk_acl *copy = zk_acl_copy(acl);
	struct zk_acl *again = parse("digest:u:hash:r,world:anyone:cdrwa");

	zk_acl_free(acl);
	assert_true(zk_acl_equal(copy, again));
	zk_acl_free(copy);
	zk_acl_free(again);
}

static void free_takes_null_and_half_filled_lists(void **state)
{
	struct zk_acl *acl = zk_acl_new(3);

	acl->entries[1].scheme = strdup("world");
	assert_null(zk_acl_free(acl));
	assert_null(zk_acl_free(NULL));
}

static void wire_size_counts_as_jute_does(void **state)
{
	struct zk_acl *acl = parse("world:anyone:cdrwa,auth::r");

	/* a count, then perms, a counted scheme and a counted id each */
	assert_int_equal(zk_acl_wire_size(acl), 4 + (4 + 4 + 5 + 4 + 6) + (4 + 4 + 4 + 4 + 0));
	zk_acl_free(acl);
}

/* zk_acl_may for a session with one credential, or none. */
static int may(const char *acl_text, const char *scheme, const char *credential, unsigned perms)
{
	char scheme_copy[32] = "", credential_copy[64] = "";
	struct zk_auth_entry entry = { scheme_copy, credential_copy, 0 };
	struct zk_auth auth = { 1, &entry };
	struct zk_acl *acl = parse(acl_text);

	if (scheme) {
		strncpy(scheme_copy, scheme, sizeof(scheme_copy) - 1);
		strncpy(credential_copy, credential, sizeof(credential_copy) - 1);
		entry.credential_len = strlen(credential);
	}
	int r = zk_acl_may(acl, scheme ? &auth : NULL, perms);

	zk_acl_free(acl);
	return r;
}

static int may_without_auth(const char *acl_text, unsigned perms)
{
	return may(acl_text, NULL, NULL, perms);
}

static void may_grants_to_the_world_what_it_says_and_no_more(void **state)
{
	assert_true(may_without_auth("world:anyone:r", ZK_PERM_READ));
	assert_false(may_without_auth("world:anyone:r", ZK_PERM_WRITE));
	assert_false(may_without_auth("world:anyone:r", ZK_PERM_READ | ZK_PERM_WRITE));
	assert_true(may_without_auth("world:anyone:cdrwa", ZK_PERM_ALL));
	assert_false(may_without_auth("world:nobody:r", ZK_PERM_READ));
}

static void may_adds_up_what_several_entries_grant(void **state)
{
	assert_true(
		may_without_auth("world:anyone:r,ip:127.0.0.1:w", ZK_PERM_READ | ZK_PERM_WRITE));
	assert_false(
		may_without_auth("world:anyone:r,ip:127.0.0.1:w", ZK_PERM_READ | ZK_PERM_DELETE));
}

static void may_without_credentials_matches_no_digest_sasl_or_auth(void **state)
{
	assert_false(may_without_auth("digest:u:hash:cdrwa", ZK_PERM_READ));
	assert_false(may_without_auth("sasl:u:cdrwa", ZK_PERM_READ));
	assert_false(may_without_auth("auth::cdrwa", ZK_PERM_READ));
}

static void may_leaves_to_the_server_what_it_knows_of_the_connection(void **state)
{
	assert_true(may_without_auth("ip:10.0.0.0/8:r", ZK_PERM_READ));
	assert_true(may_without_auth("x509:CN=a:r", ZK_PERM_READ));
}

static void may_compares_the_user_of_a_digest(void **state)
{
	assert_true(may("digest:u:hash:cdrwa", "digest", "u:secret", ZK_PERM_WRITE));
	assert_true(may("digest:u:hash:cdrwa", "digest", "u:a:b", ZK_PERM_WRITE));
	assert_true(may("digest:u:hash:cdrwa", "digest", "u", ZK_PERM_WRITE));
	assert_false(may("digest:u:hash:r", "digest", "u:secret", ZK_PERM_WRITE));
	assert_false(may("digest:u:hash:cdrwa", "digest", "v:secret", ZK_PERM_READ));
	assert_false(may("digest:u:hash:cdrwa", "digest", "us:secret", ZK_PERM_READ));
	assert_false(may("digest:us:hash:cdrwa", "digest", "u:secret", ZK_PERM_READ));
	assert_false(may("digest:u:hash:cdrwa", "sasl", "u:secret", ZK_PERM_READ));
}

static void may_leaves_other_schemes_we_authenticated_with_to_the_server(void **state)
{
	assert_true(may("custom:x:r", "custom", "whatever", ZK_PERM_READ));
	assert_false(may("custom:x:r", "other", "whatever", ZK_PERM_READ));
	assert_true(may("auth::r", "digest", "u:secret", ZK_PERM_READ));
}

static void may_lets_the_super_user_do_everything(void **state)
{
	assert_true(may("digest:u:hash:r", "digest", "super:secret", ZK_PERM_ALL));
	assert_false(may("digest:u:hash:r", "digest", "superb:secret", ZK_PERM_READ));
	assert_false(may("digest:u:hash:r", "sasl", "super:secret", ZK_PERM_READ));
}

static void may_looks_at_every_credential(void **state)
{
	struct zk_auth_entry entries[] = { { (char *)"digest", (char *)"a:1", 3 },
		{ (char *)"digest", (char *)"b:2", 3 } };
	struct zk_auth auth = { 2, entries };
	struct zk_acl *acl = parse("digest:b:hash:r,digest:a:hash:w");

	assert_true(zk_acl_may(acl, &auth, ZK_PERM_READ | ZK_PERM_WRITE));
	auth.n_entries = 1;
	assert_false(zk_acl_may(acl, &auth, ZK_PERM_READ | ZK_PERM_WRITE));
	zk_acl_free(acl);
}

static void may_do_everything_where_there_is_no_entry(void **state)
{
	struct zk_acl *acl = zk_acl_new(0);

	assert_true(zk_acl_may(acl, NULL, ZK_PERM_ALL));
	zk_acl_free(acl);
}

static void assert_text(struct zk_acl *acl, const char *expected)
{
	char *text = zk_acl_format(acl);

	assert_string_equal(text, expected);
	free(text);
	zk_acl_free(acl);
}

static void the_acls_of_the_option(void **state)
{
	assert_text(zk_acl_new_open(), "world:anyone:cdrwa");
	assert_text(zk_acl_new_creator(), "auth::cdrwa");
	assert_text(zk_acl_new_read(), "world:anyone:r,auth::cdrwa");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_entry),
		cmocka_unit_test(perms_come_in_any_order),
		cmocka_unit_test(an_id_may_be_empty),
		cmocka_unit_test(an_id_may_have_colons),
		cmocka_unit_test(an_id_may_have_commas_and_colons),
		cmocka_unit_test(
			a_comma_in_an_id_behind_what_is_not_quite_perms_does_not_end_the_entry),
		cmocka_unit_test(one_newline_at_the_end_is_allowed),
		cmocka_unit_test(an_empty_acl_is_refused),
		cmocka_unit_test(empty_perms_are_refused),
		cmocka_unit_test(bad_perms_are_refused),
		cmocka_unit_test(duplicate_perms_are_refused),
		cmocka_unit_test(a_missing_scheme_is_refused),
		cmocka_unit_test(commas_without_an_entry_are_refused),
		cmocka_unit_test(control_characters_and_nul_are_refused),
		cmocka_unit_test(only_len_bytes_are_looked_at),
		cmocka_unit_test(format_writes_what_parse_reads),
		cmocka_unit_test(format_shows_an_entry_that_grants_nothing),
		cmocka_unit_test(format_of_no_entries_is_an_empty_text),
		cmocka_unit_test(equal_compares_entries_in_order),
		cmocka_unit_test(a_copy_is_equal_and_lives_alone),
		cmocka_unit_test(free_takes_null_and_half_filled_lists),
		cmocka_unit_test(wire_size_counts_as_jute_does),
		cmocka_unit_test(may_grants_to_the_world_what_it_says_and_no_more),
		cmocka_unit_test(may_adds_up_what_several_entries_grant),
		cmocka_unit_test(may_without_credentials_matches_no_digest_sasl_or_auth),
		cmocka_unit_test(may_leaves_to_the_server_what_it_knows_of_the_connection),
		cmocka_unit_test(may_compares_the_user_of_a_digest),
		cmocka_unit_test(may_leaves_other_schemes_we_authenticated_with_to_the_server),
		cmocka_unit_test(may_lets_the_super_user_do_everything),
		cmocka_unit_test(may_looks_at_every_credential),
		cmocka_unit_test(may_do_everything_where_there_is_no_entry),
		cmocka_unit_test(the_acls_of_the_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
