/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequential creates, several operations each: create with the mark; if the answer was lost, list
 * the parent and look at the ACLs of those that may be it, newest first, until some are older than the
 * create; take the mark away.
 *
 * Not found means not made. A connection begins with a sync, and a server that has got a session's
 * new connection takes nothing more from the old one: neither that server (it closes it first) nor
 * another (session moved). Found in the name of a session that has expired, an ephemeral is about to
 * go: it is deleted, and made again.
 *
 * What cannot be told: whether it was made, found and deleted by somebody else before we looked.
 */

#include "zk/sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/client_private.h"
#include "zk/path.h"

#define MARK_SCHEME "digest"
#define N_DIGITS 10

/* So many older than the create are passed over before the search ends: a name may have been given a
 * number by hand. */
#define OLDER_MAX 64

struct candidate {
	long long number;
	char *path;
};

struct zk_sequence {
	struct zk_client *client;
	struct zk_op *op; /* that runs, or NULL */
	char *prefix;
	struct zk_blob *data; /* a reference */
	struct zk_acl *acl, *marked_acl;
	enum zk_create_mode mode;
	int64_t ttl_ms;
	zk_sequence_fn fn; /* NULL: the caller was told; what was made is to be removed */
	void *userdata;
	int64_t zxid_before; /* what was made has a higher one */

	struct candidate *candidates; /* newest first */
	size_t n_candidates, position;
	size_t n_older;  /* that were passed over */
	bool any_denied; /* one of them may not be looked at */

	char *path; /* what was made */
	struct zk_stat stat;
	LIST_ENTRY(zk_sequence) link;
};

static void create(struct zk_sequence *sequence);
static void look(struct zk_sequence *sequence);
static void look_at_next(struct zk_sequence *sequence);

static void free_candidates(struct zk_sequence *sequence)
{
	for (size_t i = 0; i < sequence->n_candidates; i++)
		free(sequence->candidates[i].path);
	free(sequence->candidates);
	sequence->candidates = NULL;
	sequence->n_candidates = 0;
}

static void sequence_free(struct zk_sequence *sequence)
{
	LIST_REMOVE(sequence, link);
	free_candidates(sequence);
	free(sequence->path);
	free(sequence->prefix);
	zk_blob_unref(sequence->data);
	zk_acl_free(sequence->acl);
	zk_acl_free(sequence->marked_acl);
	free(sequence);
}

static void tell(struct zk_sequence *sequence, int r, bool marked)
{
	struct zk_sequence_reply reply = {
		.path = sequence->path, .stat = sequence->stat, .marked = marked
	};
	zk_sequence_fn fn = sequence->fn;

	sequence->fn = NULL;
	if (fn)
		fn(sequence->userdata, r, &reply);
}

static void end(struct zk_sequence *sequence, int r, bool marked)
{
	tell(sequence, r, marked);
	sequence_free(sequence);
}

/* It is not known whether it was made: the caller does not wait for that any longer. */
static void give_up(struct zk_sequence *sequence, int r)
{
	tell(sequence, r, false);
	look(sequence);
}

/* The mark */

static int add_mark(struct zk_acl_entry *entry)
{
	unsigned char bytes[16];
	char id[sizeof("zkfs-") + 2 * sizeof(bytes) + sizeof(":x")];
	char *end = stpcpy(id, "zkfs-");

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(bytes); i++)
		end += sprintf(end, "%02x", bytes[i]);
	strcpy(end, ":x"); /* which is what is shown in place of a digest, too */
	entry->perms = 0;
	entry->scheme = strdup(MARK_SCHEME);
	entry->id = strdup(id);
	return entry->scheme && entry->id ? 0 : -ENOMEM;
}

static int mark_acl(const struct zk_acl *acl, struct zk_acl **markedp)
{
	struct zk_acl *marked = zk_acl_new(acl->n_entries + 1);
	int r = marked ? add_mark(&marked->entries[acl->n_entries]) : -ENOMEM;

	for (size_t i = 0; i < acl->n_entries && r == 0; i++) {
		marked->entries[i].perms = acl->entries[i].perms;
		marked->entries[i].scheme = strdup(acl->entries[i].scheme);
		marked->entries[i].id = strdup(acl->entries[i].id);
		if (!marked->entries[i].scheme || !marked->entries[i].id)
			r = -ENOMEM;
	}
	if (r < 0) {
		zk_acl_free(marked);
		return r;
	}
	*markedp = marked;
	return 0;
}

static bool has_mark(const struct zk_sequence *sequence, const struct zk_acl *acl)
{
	const struct zk_acl *marked = sequence->marked_acl;
	const char *id = marked->entries[marked->n_entries - 1].id;

	for (size_t i = 0; i < acl->n_entries; i++)
		if (strcmp(acl->entries[i].id, id) == 0)
			return true;
	return false;
}

static void unmarked(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_sequence *sequence = userdata;

	(void)reply;
	sequence->op = NULL;
	sequence->stat.aversion += r == 0;
	/* Gone: somebody was fast. */
	end(sequence, 0, r != 0 && r != -ENOENT);
}

static void made(struct zk_sequence *sequence)
{
	int r = zk_acl_set(sequence->client, sequence->path, sequence->acl, sequence->stat.aversion,
		0, unmarked, sequence, &sequence->op);

	if (r < 0)
		end(sequence, 0, true);
}

/* What was made in vain */

static void removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_sequence *sequence = userdata;

	(void)reply;
	sequence->op = NULL;
	if (r == -ETIMEDOUT)
		give_up(sequence, r);
	else if (sequence->fn && (r == 0 || r == -ENOENT))
		create(sequence);
	else
		end(sequence, r, false);
}

static void remove_found(struct zk_sequence *sequence, const char *path, const struct zk_stat *stat)
{
	int r = zk_delete(sequence->client, path, ZK_ANY_VERSION, stat->czxid, 0, removed, sequence,
		&sequence->op);

	if (r < 0)
		end(sequence, r, false);
}

static void found(struct zk_sequence *sequence, const struct zk_stat *stat)
{
	struct candidate *candidate = &sequence->candidates[sequence->position];
	bool of_old_session = sequence->mode == ZK_CREATE_EPHEMERAL &&
			      stat->ephemeral_owner != sequence->client->id.client_id;

	if (!sequence->fn || of_old_session) {
		remove_found(sequence, candidate->path, stat);
		return;
	}
	sequence->path = candidate->path;
	candidate->path = NULL;
	sequence->stat = *stat;
	made(sequence);
}

/* Looking for it */

static void not_found(struct zk_sequence *sequence)
{
	if (!sequence->fn || sequence->any_denied)
		end(sequence, -EIO, false);
	else
		create(sequence);
}

static void looked_at(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_sequence *sequence = userdata;

	sequence->op = NULL;
	if (r == -ETIMEDOUT) {
		give_up(sequence, r);
	} else if (r == 0 && has_mark(sequence, reply->acl)) {
		found(sequence, &reply->stat);
	} else {
		sequence->any_denied |= r < 0 && r != -ENOENT;
		sequence->n_older += r == 0 && reply->stat.czxid <= sequence->zxid_before;
		sequence->position++;
		look_at_next(sequence);
	}
}

static void look_at_next(struct zk_sequence *sequence)
{
	int r;

	if (sequence->position == sequence->n_candidates || sequence->n_older > OLDER_MAX) {
		not_found(sequence);
		return;
	}
	r = zk_acl_get(sequence->client, sequence->candidates[sequence->position].path, 0,
		looked_at, sequence, &sequence->op);
	if (r < 0)
		end(sequence, r, false);
}

/* Is it the name with a number behind it? The counter may have gone over to negative ones. */
static bool is_candidate(const char *name, const char *base, long long *number)
{
	size_t len = strlen(base);
	const char *digits;

	if (strncmp(name, base, len) != 0)
		return false;
	digits = name + len + (name[len] == '-');
	if (strlen(digits) != N_DIGITS || strspn(digits, "0123456789") != N_DIGITS)
		return false;
	*number = strtoll(name + len, NULL, 10);
	return true;
}

/* The counter is of 32 bits and wraps. */
static int newest_first(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	int32_t ahead = (int32_t)(uint32_t)(left->number - right->number);

	return ahead < 0 ? 1 : ahead > 0 ? -1 : 0;
}

static char *parent_of(const char *path)
{
	size_t len = (size_t)(zk_path_base(path) - path);

	return strndup(path, len > 1 ? len - 1 : 1);
}

static int take_candidates(struct zk_sequence *sequence, const struct zk_names *names)
{
	const char *base = zk_path_base(sequence->prefix);
	char *parent = parent_of(sequence->prefix);
	int r = parent ? 0 : -ENOMEM;

	free_candidates(sequence);
	sequence->position = sequence->n_older = 0;
	sequence->any_denied = false;
	sequence->candidates = calloc(names->n_names + 1, sizeof(*sequence->candidates));
	if (!sequence->candidates)
		r = -ENOMEM;
	for (size_t i = 0; i < names->n_names && r == 0; i++) {
		struct candidate *next = &sequence->candidates[sequence->n_candidates];

		if (!is_candidate(names->names[i], base, &next->number))
			continue;
		next->path = zk_path_join(strcmp(parent, "/") == 0 ? "" : parent, names->names[i]);
		if (next->path)
			sequence->n_candidates++;
		else
			r = -ENOMEM;
	}
	free(parent);
	if (r == 0 && sequence->n_candidates > 1)
		qsort(sequence->candidates, sequence->n_candidates, sizeof(struct candidate),
			newest_first);
	return r;
}

static void listed(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_sequence *sequence = userdata;

	sequence->op = NULL;
	if (r == 0)
		r = take_candidates(sequence, &reply->names);
	if (r == 0)
		look_at_next(sequence);
	else if (r == -ETIMEDOUT)
		give_up(sequence, r);
	else
		end(sequence, r == -EACCES ? -EIO : r, false);
}

static void look(struct zk_sequence *sequence)
{
	char *parent = parent_of(sequence->prefix);
	int r = -ENOMEM;

	if (parent)
		r = zk_children(sequence->client, parent, 0, listed, sequence, &sequence->op);
	free(parent);
	if (r < 0)
		end(sequence, r, false);
}

static void created(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_sequence *sequence = userdata;
	bool was_sent = sequence->op->tries > 0;

	sequence->op = NULL;
	if (r == 0) {
		sequence->path = strdup(reply->path);
		sequence->stat = reply->stat;
		if (sequence->path)
			made(sequence);
		else
			give_up(sequence, -ENOMEM);
	} else if (r == -ENOTCONN) {
		look(sequence);
	} else if (r == -ETIMEDOUT && was_sent) {
		give_up(sequence, r);
	} else {
		end(sequence, r, false);
	}
}

static int start_create(struct zk_sequence *sequence)
{
	return zk_op_create_sequential(sequence->client, sequence->prefix, sequence->data,
		sequence->marked_acl, sequence->mode, sequence->ttl_ms, 0, created, sequence,
		&sequence->op);
}

static void create(struct zk_sequence *sequence)
{
	int r = start_create(sequence);

	if (r < 0)
		end(sequence, r, false);
}

int zk_create_sequential(struct zk_client *client, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, zk_sequence_fn fn,
	void *userdata, struct zk_sequence **sequencep)
{
	struct zk_sequence *sequence = calloc(1, sizeof(*sequence));
	int r;

	if (!sequence)
		return -ENOMEM;
	sequence->client = client;
	sequence->prefix = strdup(path);
	sequence->data = zk_blob_ref(data);
	sequence->acl = zk_acl_copy(acl);
	sequence->mode = mode;
	sequence->ttl_ms = ttl_ms;
	sequence->fn = fn;
	sequence->userdata = userdata;
	sequence->zxid_before = client->last_zxid;
	LIST_INSERT_HEAD(&client->sequences, sequence, link);
	r = sequence->prefix && sequence->acl ? mark_acl(acl, &sequence->marked_acl) : -ENOMEM;
	if (r == 0)
		r = start_create(sequence);
	if (r < 0) {
		sequence_free(sequence);
		return r;
	}
	*sequencep = sequence;
	return 0;
}

bool zk_sequence_cancel(struct zk_sequence *sequence)
{
	/* A create that was not sent: everything else is after one that perhaps was. */
	if (!sequence->op || !sequence->op->request.sequential || !zk_op_cancel(sequence->op))
		return false;
	sequence_free(sequence);
	return true;
}

void zk_sequences_done(struct zk_client *client)
{
	struct zk_sequence *sequence;

	while ((sequence = LIST_FIRST(&client->sequences)))
		sequence_free(sequence);
}
