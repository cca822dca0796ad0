/* SPDX-License-Identifier: Apache-2.0 */
/* The status of hosts: one line of JSON, and what becomes of a line that comes from who knows where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "hooks/deploy_status.h"

#define COMMIT "d5f5f144c66f0a36d452e9e13067b21d3d89b743"

static int parse(const char *text, struct deploy_status *status)
{
	return deploy_status_parse(text, strlen(text), status);
}

static void assert_message(const char *json, const char *expected)
{
	struct deploy_status status = { 0 };
	char text[4096];

	snprintf(text, sizeof(text), "{\"message\": \"%s\"}", json);
	assert_int_equal(parse(text, &status), 0);
	assert_string_equal(status.message, expected);
}

static void what_is_formatted_is_parsed(void **state)
{
	static const struct deploy_status status = {
		.host = "server1",
		.phase = "refused",
		.desired = COMMIT,
		.current = "",
		.message = "a \"word\", \xc3\xa4 and \\",
		.path = "shop",
		.time = "2026-11-25T16:30:00Z",
		.owner = "x:/srv",
		.code = 77,
	};
	struct deploy_status again = { 0 };
	char *line = deploy_status_format(&status);

	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(parse(line, &again), 0);
	assert_memory_equal(&again, &status, sizeof(status));
	free(line);
}

static void what_is_no_utf8_can_be_formatted(void **state)
{
	static const struct deploy_status status = { .message = "\xff a \xc3" };
	struct deploy_status again = { 0 };
	char *line = deploy_status_format(&status);

	assert_non_null(line);
	assert_int_equal(parse(line, &again), 0);
	assert_string_equal(again.message, "? a ?");
	free(line);
}

static void other_keys_and_types_are_passed_over(void **state)
{
	struct deploy_status status = { .host = "before", .code = 1 };

	assert_int_equal(
		parse("{\"more\": [{}], \"phase\": \"held\", \"host\": 7, \"code\": \"7\"}",
			&status),
		0);
	assert_string_equal(status.phase, "held");
	assert_string_equal(status.host, "");
	assert_int_equal(status.code, 0);
	assert_int_equal(parse("{\"code\": -1}", &status), 0);
	assert_int_equal(status.code, HOOK_DATA);
}

static void what_is_no_object_changes_nothing(void **state)
{
	static const char *const bad[] = { "", "[]", "7", "{", "{} {}", "\xff", "null" };
	struct deploy_status status = { .phase = "before" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], &status), -EBADMSG);
	assert_string_equal(status.phase, "before");
}

static void a_terminal_is_safe(void **state)
{
	assert_message("\\u001b[2J\\u0007\\n\\t\\u007f", "?[2J????");
	assert_message("\\u009b2J \\u0085", "?2J ?");
	assert_message("\\u202egnp.exe\\u2066", "?gnp.exe?");
	assert_message(
		"\xc3\xa4 \xe5\xbc\x95 \xf0\x9f\x9a\x80", "\xc3\xa4 \xe5\xbc\x95 \xf0\x9f\x9a\x80");
}

static void what_is_too_long_is_cut_between_characters(void **state)
{
	struct deploy_status status = { 0 };
	char text[128] = "{\"phase\": \"", expected[16] = "";

	for (int i = 0; i < 10; i++)
		strcat(text, "\xe5\xbc\x95");
	for (int i = 0; i < 5; i++)
		strcat(expected, "\xe5\xbc\x95");
	assert_int_equal(parse(strcat(text, "\"}"), &status), 0);
	assert_string_equal(status.phase, expected);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_formatted_is_parsed),
		cmocka_unit_test(what_is_no_utf8_can_be_formatted),
		cmocka_unit_test(other_keys_and_types_are_passed_over),
		cmocka_unit_test(what_is_no_object_changes_nothing),
		cmocka_unit_test(a_terminal_is_safe),
		cmocka_unit_test(what_is_too_long_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
