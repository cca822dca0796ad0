/* SPDX-License-Identifier: Apache-2.0 */

/* Host strings: what users write, what the client library gets, and what is refused. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zk/hosts.h"

static struct zk_hosts *parse(const char *text)
{
	struct zk_hosts *hosts = NULL;
	struct zk_hosts_error error = { "" };

	if (zk_hosts_parse(text, &hosts, &error) < 0)
		fail_msg("'%s' was refused: %s", text, error.text);
	return hosts;
}

static void assert_host(const struct zk_host *host, const char *name, int port, bool numeric)
{
	assert_string_equal(host->name, name);
	assert_int_equal(host->port, port);
	assert_int_equal(host->numeric, numeric);
}

/* One host. */
static void assert_one(const char *text, const char *name, int port, bool numeric)
{
	struct zk_hosts *hosts = parse(text);

	assert_int_equal(hosts->n_hosts, 1);
	assert_host(&hosts->hosts[0], name, port, numeric);
	assert_string_equal(hosts->chroot, "");
	zk_hosts_free(hosts);
}

static void assert_chroot(const char *text, const char *chroot)
{
	struct zk_hosts *hosts = parse(text);

	assert_string_equal(hosts->chroot, chroot);
	zk_hosts_free(hosts);
}

/* Refused with a message that is one line and has `named` in it. */
static void assert_refused(const char *text, const char *named)
{
	struct zk_hosts *hosts = NULL;
	struct zk_hosts_error error = { "" };

	if (zk_hosts_parse(text, &hosts, &error) != -EINVAL)
		fail_msg("'%s' was not refused", text);
	assert_null(hosts);
	if (!strstr(error.text, named))
		fail_msg("'%s' is not in: %s", named, error.text);
	assert_null(strchr(error.text, '\n'));
}

static void a_name_with_a_port(void **state)
{
	assert_one("zk1.example:2182", "zk1.example", 2182, false);
	assert_one("zk_1-a:65535", "zk_1-a", 65535, false);
	assert_one("a:1", "a", 1, false);
}

static void a_missing_port_is_2181(void **state)
{
	assert_one("localhost", "localhost", 2181, false);
	assert_one("127.0.0.1", "127.0.0.1", 2181, true);
	assert_one("[::1]", "::1", 2181, true);
}

static void ipv4_is_numeric(void **state)
{
	assert_one("127.0.0.1:2181", "127.0.0.1", 2181, true);
	assert_one("1.2.3:2181", "1.2.3", 2181, false);
	assert_one("1.2.3.999:2181", "1.2.3.999", 2181, false);
}

static void ipv6_is_in_brackets(void **state)
{
	assert_one("[::1]:2182", "::1", 2182, true);
	assert_one("[::]:1", "::", 1, true);
	assert_one("[::ffff:127.0.0.1]:2182", "::ffff:127.0.0.1", 2182, true);
	assert_one("[1111:2222:3333:4444:5555:6666:7777:8888]",
		"1111:2222:3333:4444:5555:6666:7777:8888", 2181, true);
}

static void ipv6_with_a_zone_must_be_resolved(void **state)
{
	assert_one("[fe80::1%lo]:2182", "fe80::1%lo", 2182, false);
}

static void ipv6_without_brackets_is_refused_because_it_is_ambiguous(void **state)
{
	assert_refused("::1", "[::1]:2181");
	assert_refused("::1:2181", "'::1:2181'");
	assert_refused("a:1:2", "'a:1:2'");
}

static void broken_brackets_are_refused(void **state)
{
	assert_refused("[::1", "[::1");
	assert_refused("[", "[");
	assert_refused("[]:2181", "IPv6");
	assert_refused("[::1]2181", "[::1]2181");
	assert_refused("[::1]:", "[::1]:");
	assert_refused("[::1]:0", "port");
	assert_refused("[::1]]:1", "[::1]]");
	assert_refused("[[::1]]", "[[::1]]");
	assert_refused("[127.0.0.1]:2181", "127.0.0.1");
	assert_refused("[::g]", "::g");
	assert_refused("[::1%]", "::1%");
	assert_refused("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]", "9999");
}

static void several_hosts_keep_their_order(void **state)
{
	struct zk_hosts *hosts = parse("127.0.0.1:2181,[::1]:2182,zk3");

	assert_int_equal(hosts->n_hosts, 3);
	assert_host(&hosts->hosts[0], "127.0.0.1", 2181, true);
	assert_host(&hosts->hosts[1], "::1", 2182, true);
	assert_host(&hosts->hosts[2], "zk3", 2181, false);
	zk_hosts_free(hosts);
}

static void blanks_around_commas_and_at_the_ends_are_skipped(void **state)
{
	struct zk_hosts *hosts = parse("  a:1 ,b:2,\tc:3 , d/x \n");

	assert_int_equal(hosts->n_hosts, 4);
	assert_host(&hosts->hosts[0], "a", 1, false);
	assert_host(&hosts->hosts[1], "b", 2, false);
	assert_host(&hosts->hosts[2], "c", 3, false);
	assert_host(&hosts->hosts[3], "d", 2181, false);
	assert_string_equal(hosts->chroot, "/x");
	zk_hosts_free(hosts);
}

static void blanks_elsewhere_are_refused(void **state)
{
	assert_refused("a b:1", "a b");
	assert_refused("a :1", "'a :1'");
	assert_refused("a: 1", "'a: 1'");
	assert_refused("[ ::1]:1", "' ::1'");
}

static void bad_ports_are_refused(void **state)
{
	assert_refused("a:", "'a:'");
	assert_refused("a:0", "'a:0'");
	assert_refused("a:65536", "65536");
	assert_refused("a:4294969477", "4294969477"); /* 2181 + 2^32 */
	assert_refused("a:99999999999999999999999999", "port");
	assert_refused("a:zookeeper", "zookeeper");
	assert_refused("a:2181x", "2181x");
	assert_refused("a:-1", "-1");
	assert_refused("a:+1", "+1");
	assert_refused("a:0x10", "0x10");
}

static void an_empty_host_is_refused(void **state)
{
	assert_refused("", "no host");
	assert_refused("   ", "no host");
	assert_refused(",", "no host");
	assert_refused("a:1,", "no host");
	assert_refused(",a:1", "no host");
	assert_refused("a:1,,b:2", "no host");
	assert_refused("a:1, ,b:2", "no host");
	assert_refused("a:1,/x", "no host");
	assert_refused(":2181", "no host");
	assert_refused("/x", "no host");
}

static void bad_host_names_are_refused(void **state)
{
	assert_refused("a@b:1", "a@b");
	assert_refused("a;b", "a;b");
	assert_refused("caf\xc3\xa9:1", "caf");
	assert_refused("a\nb:1", "a?b");
	assert_refused("good:1,b*d:2", "b*d");
}

static void the_message_about_a_very_long_part_is_cut(void **state)
{
	char text[2000];

	memset(text, 'a', sizeof(text));
	memcpy(text + sizeof(text) - 3, ":0", 3);
	assert_refused(text, "bad port in 'aaaa");
}

static void the_chroot_is_a_path_without_a_slash_at_its_end(void **state)
{
	assert_chroot("a:1", "");
	assert_chroot("a:1/", "");
	assert_chroot("a:1/x", "/x");
	assert_chroot("a:1/x/", "/x");
	assert_chroot("a:1,b:2/x/y z/w", "/x/y z/w");
	assert_chroot("a:1/x,y:2", "/x,y:2");
	assert_chroot("a:1/\xe9\x85\x8d\xe7\xbd\xae", "/\xe9\x85\x8d\xe7\xbd\xae");
}

static void bad_chroots_are_refused(void **state)
{
	assert_refused("a:1//", "chroot");
	assert_refused("a:1//x", "chroot");
	assert_refused("a:1/x//", "'/x/");
	assert_refused("a:1/x//y", "/x//y");
	assert_refused("a:1/.", "/.");
	assert_refused("a:1/..", "/..");
	assert_refused("a:1/./", "/.");
	assert_refused("a:1/x/../y", "/x/../y");
	assert_refused("a:1/x/./y", "/x/./y");
	assert_refused("a:1/x\x01y", "/x?y");
	assert_refused("a:1/\xff", "chroot");
}

static void join_writes_what_the_client_library_takes(void **state)
{
	struct zk_hosts *hosts = parse(" 127.0.0.1 , [::1]:2182, 127.0.0.3:1/x");
	char *text = zk_hosts_join(hosts);

	assert_string_equal(text, "127.0.0.1:2181,::1:2182,127.0.0.3:1");
	free(text);
	zk_hosts_free(hosts);
}

static void free_takes_null(void **state)
{
	assert_null(zk_hosts_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_with_a_port),
		cmocka_unit_test(a_missing_port_is_2181),
		cmocka_unit_test(ipv4_is_numeric),
		cmocka_unit_test(ipv6_is_in_brackets),
		cmocka_unit_test(ipv6_with_a_zone_must_be_resolved),
		cmocka_unit_test(ipv6_without_brackets_is_refused_because_it_is_ambiguous),
		cmocka_unit_test(broken_brackets_are_refused),
		cmocka_unit_test(several_hosts_keep_their_order),
		cmocka_unit_test(blanks_around_commas_and_at_the_ends_are_skipped),
		cmocka_unit_test(blanks_elsewhere_are_refused),
		cmocka_unit_test(bad_ports_are_refused),
		cmocka_unit_test(an_empty_host_is_refused),
		cmocka_unit_test(bad_host_names_are_refused),
		cmocka_unit_test(the_message_about_a_very_long_part_is_cut),
		cmocka_unit_test(the_chroot_is_a_path_without_a_slash_at_its_end),
		cmocka_unit_test(bad_chroots_are_refused),
		cmocka_unit_test(join_writes_what_the_client_library_takes),
		cmocka_unit_test(free_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
