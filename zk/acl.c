/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ACLs: their text form, and what can be said about them without asking the server.
 *
 * The text form has no quoting, but ids may hold its separators (`x509:CN=a,OU=b:r`). So a scheme
 * ends at the first colon, the perms begin after the last one, and an entry ends at the first comma
 * behind valid perms. Perms are strict for that reason (at least one letter, none twice): the
 * fewer texts are perms, the fewer ids are cut in two. What zk_acl_format writes is read back the
 * same, except for an id that itself looks like the end of an entry, and for an entry that grants
 * nothing, which cannot be written.
 */

#include "zk/acl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zk/auth.h"

/* In zkCli's order. */
static const struct {
	char letter;
	enum zk_perm perm;
} perm_letters[] = {
	{ 'c', ZK_PERM_CREATE },
	{ 'd', ZK_PERM_DELETE },
	{ 'r', ZK_PERM_READ },
	{ 'w', ZK_PERM_WRITE },
	{ 'a', ZK_PERM_ADMIN },
};

#define N_PERM_LETTERS (sizeof(perm_letters) / sizeof(perm_letters[0]))

static unsigned perm_of_letter(char letter)
{
	for (size_t i = 0; i < N_PERM_LETTERS; i++)
		if (perm_letters[i].letter == letter)
			return perm_letters[i].perm;
	return 0;
}

/* The perms that the text says, or 0 if it says none or is something else. */
static unsigned perms_parse(const char *text, const char *end)
{
	unsigned perms = 0;

	for (; text < end; text++) {
		unsigned perm = perm_of_letter(*text);

		if (perm == 0 || (perms & perm))
			return 0;
		perms |= perm;
	}
	return perms;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool scheme_valid(const char *text, const char *end)
{
	if (text == end)
		return false;
	for (; text < end; text++)
		if (*text == ' ' || *text == ',')
			return false;
	return true;
}

/* Parses one entry at *textp, and moves *textp to the comma behind it, or to the end. */
static int entry_parse(const char **textp, const char *end, struct zk_acl_entry *entry)
{
	const char *text = *textp;
	const char *scheme_end = memchr(text, ':', (size_t)(end - text));
	const char *id_end = NULL; /* the last colon seen behind the scheme's */
	unsigned perms = 0;

	if (!scheme_end || !scheme_valid(text, scheme_end))
		return -EINVAL;

	const char *p = scheme_end + 1;

	for (;; p++) {
		if (p < end && *p == ':')
			id_end = p;
		if (p < end && *p != ',')
			continue;
		if (id_end)
			perms = perms_parse(id_end + 1, p);
		if (perms || p == end)
			break;
	}
	if (!perms)
		return -EINVAL;

	entry->perms = perms;
	entry->scheme = strndup(text, (size_t)(scheme_end - text));
	entry->id = strndup(scheme_end + 1, (size_t)(id_end - scheme_end - 1));
	if (!entry->scheme || !entry->id)
		return -ENOMEM;
	*textp = p;
	return 0;
}

/* No ACL has more entries than this; each but the last ends at a comma. */
static size_t entries_at_most(const char *text, const char *end)
{
	size_t n = 1;

	for (; text < end; text++)
		n += *text == ',';
	return n;
}

int zk_acl_parse(const char *text, size_t len, struct zk_acl **aclp)
{
	if (len > 0 && text[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len; i++)
		if (is_control(text[i]))
			return -EINVAL;

	const char *end = text + len;
	struct zk_acl *acl = zk_acl_new(entries_at_most(text, end));

	if (!acl)
		return -ENOMEM;

	size_t n = 0;
	int r = entry_parse(&text, end, &acl->entries[n++]);

	while (r == 0 && text < end) {
		text++; /* the comma */
		r = entry_parse(&text, end, &acl->entries[n++]);
	}
	if (r < 0) {
		zk_acl_free(acl);
		return r;
	}
	acl->n_entries = n;
	*aclp = acl;
	return 0;
}

struct zk_acl *zk_acl_new(size_t n_entries)
{
	struct zk_acl *acl = calloc(1, sizeof(*acl));

	if (!acl)
		return NULL;
	acl->entries = calloc(n_entries > 0 ? n_entries : 1, sizeof(*acl->entries));
	if (!acl->entries) {
		free(acl);
		return NULL;
	}
	acl->n_entries = n_entries;
	return acl;
}

static int entry_set(struct zk_acl_entry *entry, const char *scheme, const char *id, unsigned perms)
{
	entry->perms = perms;
	entry->scheme = strdup(scheme);
	entry->id = strdup(id);
	return entry->scheme && entry->id ? 0 : -ENOMEM;
}

struct zk_acl *zk_acl_copy(const struct zk_acl *acl)
{
	struct zk_acl *copy = zk_acl_new(acl->n_entries);

	if (!copy)
		return NULL;
	for (size_t i = 0; i < acl->n_entries; i++) {
		const struct zk_acl_entry *entry = &acl->entries[i];

		if (entry_set(&copy->entries[i], entry->scheme, entry->id, entry->perms) < 0)
			return zk_acl_free(copy);
	}
	return copy;
}

struct zk_acl *zk_acl_free(struct zk_acl *acl)
{
	if (!acl)
		return NULL;
	for (size_t i = 0; i < acl->n_entries; i++) {
		free(acl->entries[i].scheme);
		free(acl->entries[i].id);
	}
	free(acl->entries);
	free(acl);
	return NULL;
}

static void entry_format(FILE *out, const struct zk_acl_entry *entry)
{
	fprintf(out, "%s:%s:", entry->scheme, entry->id);
	for (size_t i = 0; i < N_PERM_LETTERS; i++)
		if (entry->perms & perm_letters[i].perm)
			fputc(perm_letters[i].letter, out);
}

char *zk_acl_format(const struct zk_acl *acl)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < acl->n_entries; i++) {
		if (i > 0)
			fputc(',', out);
		entry_format(out, &acl->entries[i]);
	}

	bool failed = ferror(out);

	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

int zk_acl_equal(const struct zk_acl *a, const struct zk_acl *b)
{
	if (a->n_entries != b->n_entries)
		return false;
	for (size_t i = 0; i < a->n_entries; i++) {
		const struct zk_acl_entry *x = &a->entries[i], *y = &b->entries[i];

		if (x->perms != y->perms || strcmp(x->scheme, y->scheme) != 0 ||
			strcmp(x->id, y->id) != 0)
			return false;
	}
	return true;
}

size_t zk_acl_wire_size(const struct zk_acl *acl)
{
	size_t size = 4;

	for (size_t i = 0; i < acl->n_entries; i++)
		size += 4 + 4 + strlen(acl->entries[i].scheme) + 4 + strlen(acl->entries[i].id);
	return size;
}

/* Of `user:password` and of `user:hash`, the user. The server takes one without a colon as a user
 * without a password. */
static size_t user_len(const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);

	return colon ? (size_t)(colon - text) : len;
}

static bool same_user(const struct zk_auth_entry *auth, const char *id)
{
	size_t len = user_len(auth->credential, auth->credential_len);

	return len == user_len(id, strlen(id)) && memcmp(auth->credential, id, len) == 0;
}

static bool is_super(const struct zk_auth_entry *auth)
{
	return strcmp(auth->scheme, "digest") == 0 && same_user(auth, "super");
}

static bool entry_may_match(const struct zk_acl_entry *entry, const struct zk_auth *auth)
{
	if (strcmp(entry->scheme, "world") == 0)
		return strcmp(entry->id, "anyone") == 0;
	/* What the server knows of a connection by itself; TLS may be a tunnel's, not ours. */
	if (strcmp(entry->scheme, "ip") == 0 || strcmp(entry->scheme, "x509") == 0)
		return true;
	for (size_t i = 0; auth && i < auth->n_entries; i++) {
		const struct zk_auth_entry *ours = &auth->entries[i];

		/* "auth" stands, until a server has seen it, for all that we are. */
		if (strcmp(entry->scheme, "auth") == 0)
			return true;
		if (strcmp(entry->scheme, ours->scheme) != 0)
			continue;
		if (strcmp(entry->scheme, "digest") != 0 || same_user(ours, entry->id))
			return true;
	}
	return false;
}

int zk_acl_may(const struct zk_acl *acl, const struct zk_auth *auth, unsigned perms)
{
	unsigned granted = 0;

	/* The server holds a znode with an empty ACL to be open. */
	if (acl->n_entries == 0)
		return true;
	for (size_t i = 0; auth && i < auth->n_entries; i++)
		if (is_super(&auth->entries[i]))
			return true;
	for (size_t i = 0; i < acl->n_entries; i++)
		if (entry_may_match(&acl->entries[i], auth))
			granted |= acl->entries[i].perms;
	return (granted & perms) == perms;
}

struct zk_acl *zk_acl_new_open(void)
{
	struct zk_acl *acl = zk_acl_new(1);

	if (acl && entry_set(&acl->entries[0], "world", "anyone", ZK_PERM_ALL) < 0)
		return zk_acl_free(acl);
	return acl;
}

struct zk_acl *zk_acl_new_creator(void)
{
	struct zk_acl *acl = zk_acl_new(1);

	if (acl && entry_set(&acl->entries[0], "auth", "", ZK_PERM_ALL) < 0)
		return zk_acl_free(acl);
	return acl;
}

struct zk_acl *zk_acl_new_read(void)
{
	struct zk_acl *acl = zk_acl_new(2);

	if (acl && (entry_set(&acl->entries[0], "world", "anyone", ZK_PERM_READ) < 0 ||
			   entry_set(&acl->entries[1], "auth", "", ZK_PERM_ALL) < 0))
		return zk_acl_free(acl);
	return acl;
}
