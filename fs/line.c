/* SPDX-License-Identifier: Apache-2.0 */
/* Control lines, from bytes that anybody may have written. */
#include "fs/line.h"

#include <errno.h>
#include <string.h>

#define N_DIGITS 10 /* of a sequence number */

struct word {
	const char *text;
	size_t size;
};

/* The next word, without taking it; its size is 0 at the end. */
static struct word next_word(const char **text, const char *end)
{
	struct word word;

	while (*text < end && **text == ' ')
		(*text)++;
	word.text = *text;
	while (*text < end && **text != ' ')
		(*text)++;
	word.size = (size_t)(*text - word.text);
	*text = word.text;
	return word;
}

static bool is_word(const struct word *word, const char *expected)
{
	return word->size == strlen(expected) && memcmp(word->text, expected, word->size) == 0;
}

static int parse_ttl(const struct word *word, int64_t *ttl_ms)
{
	int64_t value = 0;

	for (size_t i = 0; i < word->size; i++) {
		if (word->text[i] < '0' || word->text[i] > '9')
			return -EINVAL;
		value = value * 10 + (word->text[i] - '0');
		if (value > ZK_TTL_MAX)
			return -EINVAL;
	}
	if (value == 0)
		return -EINVAL;
	*ttl_ms = value;
	return 0;
}

/* One mode, once or several times. */
static int set_mode(struct fs_line *line, enum zk_create_mode mode)
{
	if (line->mode != ZK_CREATE_PERSISTENT && line->mode != mode)
		return -EINVAL;
	line->mode = mode;
	return 0;
}

/* Takes the option that `word` is, and what belongs to it. */
static int parse_option(struct fs_line *line, const struct word *word, bool any_mode,
	const char **text, const char *end)
{
	struct word argument;
	int r;

	*text += word->size;
	if (is_word(word, "-s")) {
		line->sequential = true;
		return 0;
	}
	if (!any_mode)
		return -EINVAL;
	if (is_word(word, "-e"))
		return set_mode(line, ZK_CREATE_EPHEMERAL);
	if (is_word(word, "-c"))
		return set_mode(line, ZK_CREATE_CONTAINER);
	if (!is_word(word, "-t"))
		return -EINVAL;
	argument = next_word(text, end);
	*text += argument.size;
	r = parse_ttl(&argument, &line->ttl_ms);
	return r < 0 ? r : set_mode(line, ZK_CREATE_TTL);
}

static int parse_options(
	struct fs_line *line, bool any_mode, const char **text, const char *end, struct word *name)
{
	for (;;) {
		int r;

		*name = next_word(text, end);
		if (name->size == 0 || name->text[0] != '-')
			return 0;
		if (is_word(name, "--")) {
			*text += name->size;
			*name = next_word(text, end);
			return 0;
		}
		r = parse_option(line, name, any_mode, text, end);
		if (r < 0)
			return r;
	}
}

static int take_name(struct fs_line *line, const struct word *name)
{
	int r = zk_path_check_name(name->text, name->size);

	if (r < 0)
		return r;
	if (line->sequential && name->size + N_DIGITS > ZK_PATH_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(line->name, name->text, name->size);
	line->name[name->size] = '\0';
	return 0;
}

int fs_line_parse(const char *text, size_t size, bool any_mode, struct fs_line *line)
{
	const char *end = text + size;
	struct fs_line parsed = { .mode = ZK_CREATE_PERSISTENT };
	struct word name;
	int r;

	if (size > 0 && end[-1] == '\n')
		end--;
	r = parse_options(&parsed, any_mode, &text, end, &name);
	if (r == 0 && parsed.sequential && parsed.mode == ZK_CREATE_CONTAINER)
		r = -EINVAL; /* there is no such thing */
	if (r == 0)
		r = take_name(&parsed, &name);
	if (r < 0)
		return r;
	text = name.text + name.size;
	parsed.has_data = text < end;
	if (parsed.has_data) {
		parsed.data = text + 1;
		parsed.data_size = (size_t)(end - parsed.data);
	}
	if (!any_mode)
		parsed.mode = ZK_CREATE_EPHEMERAL;
	*line = parsed;
	return 0;
}
