/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Access control lists, as text `scheme:id:perms,…` (perms: letters of "cdrwa") and as a counted
 * list. An id may itself hold colons and commas: an entry ends at a comma that follows valid perms.
 */

enum zk_perm {
	ZK_PERM_READ = 1 << 0,
	ZK_PERM_WRITE = 1 << 1,
	ZK_PERM_CREATE = 1 << 2,
	ZK_PERM_DELETE = 1 << 3,
	ZK_PERM_ADMIN = 1 << 4,
	ZK_PERM_ALL = 31,
};

struct zk_acl_entry {
	unsigned perms; /* of enum zk_perm; the values are ZooKeeper's own */
	char *scheme;
	char *id;
};

struct zk_acl {
	size_t n_entries;
	struct zk_acl_entry *entries;
};

struct zk_auth;

/* Parses `len` bytes of `text` (a newline at the end is allowed). -EINVAL: not an ACL, or an empty
 * one. -ENOMEM. On success the caller owns *aclp. */
int zk_acl_parse(const char *text, size_t len, struct zk_acl **aclp);

/* An ACL with room for n entries, all zero: for who fills it in with strdup'ed strings. */
struct zk_acl *zk_acl_new(size_t n_entries);
struct zk_acl *zk_acl_copy(const struct zk_acl *acl);

/* Takes NULL and half-filled lists, returns NULL. */
struct zk_acl *zk_acl_free(struct zk_acl *acl);

/* The text form, malloc'ed, without a newline; NULL when out of memory. */
char *zk_acl_format(const struct zk_acl *acl);

/* Same entries in the same order. */
int zk_acl_equal(const struct zk_acl *a, const struct zk_acl *b);

/* The bytes it takes in a request (jute: a count, then perms, scheme and id of each entry). */
size_t zk_acl_wire_size(const struct zk_acl *acl);

/*
 * Could a session with these credentials (NULL: none) have all of `perms`? 0 means certainly not:
 * nothing in the list can match it. Ids that only the server can match (a digest of the same user
 * name, an ip, a scheme that we authenticated with) count as perhaps, so as yes; and so does
 * everything for the user "super".
 */
int zk_acl_may(const struct zk_acl *acl, const struct zk_auth *auth, unsigned perms);

/* The ACLs that the option acl= names: world:anyone:cdrwa; auth::cdrwa; world:anyone:r with
 * auth::cdrwa. NULL when out of memory. */
struct zk_acl *zk_acl_new_open(void);
struct zk_acl *zk_acl_new_creator(void);
struct zk_acl *zk_acl_new_read(void);
