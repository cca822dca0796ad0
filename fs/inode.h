/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uthash.h>

#include "fs/kind.h"
#include "zk/stat.h"

struct fs_children;
struct fs_file;
struct fs_fill;
struct fs_list;
struct fs_names;
struct fs_notice;
struct fs_notices;
struct fs_refetch;
struct zk_acl;
struct zk_blob;

/*
 * Inodes: what the kernel holds of the tree, and nothing else.
 *
 * An inode lives while the kernel has lookups on it (each entry given out counts one, FORGET takes
 * them back) or while something here refers to it: a child, an open file, a request. A reference
 * keeps its parents alive too, so the path of an inode can always be told.
 *
 * An inode is `linked` while its name leads to it. It loses its name when the znode is removed, or
 * when the name turns out to lead elsewhere: to nothing, to a znode made anew, to one that changed
 * from file to directory (a nodeid never changes its type). Requests for an inode that is not linked
 * get ESTALE; the kernel then looks the name up again.
 *
 * An inode that does not `exist` yet is a new file whose writer has not closed it.
 *
 * Event loop thread only.
 */

enum fs_grant {
	FS_GRANT_OPEN = 1 << 0,
	FS_GRANT_ATTR = 1 << 1,
};

/* The key under which an inode is found by name. */
struct fs_inode_name {
	uint64_t parent_id;
	char name[]; /* terminated; the 0 is not part of the key */
};

struct fs_inode {
	uint64_t nodeid;
	enum fs_kind kind;
	struct fs_inode *parent; /* a reference; NULL for the root */
	struct fs_inode_name *name;
	uint64_t n_lookups;
	pid_t looked_up_by; /* thread whose LOOKUP was answered with it last */
	unsigned n_refs;
	bool linked;
	bool exists;
	bool removed;        /* through this mount: what is still open on it is dropped silently */
	unsigned n_requests; /* of the kernel that hold a lock on it (request.h) */

	LIST_HEAD(, fs_inode) children; /* those that refer to it */
	LIST_ENTRY(fs_inode) sibling;

	/* The number that the kernel was told last, and the one before: after a rename it is another,
	 * and the kernel ignores what it is told while something else changes. */
	uint64_t shown_ino, shown_before;
	struct zk_stat stat; /* last known, valid while it exists */
	bool unreadable;

	/* The content last seen, kept while there is room (cache.h). data: NULL is null data. */
	struct zk_blob *data;
	bool has_data;
	struct fs_list *list;
	size_t cached_bytes;
	TAILQ_ENTRY(fs_inode) cache_link;

	/* Is what is known of it what is there? (watch.h) */
	bool watched;            /* a watch on its data is wanted; that holds a reference */
	bool current;            /* stat, data and kind: the watch stands since they were read */
	bool children_watched;   /* a watch on its children is wanted */
	bool children_current;   /* list; of a file: that it has none */
	bool evicting;           /* the kernel was asked to let go of it */
	bool in_use;             /* and did not */
	bool kernel_lists;       /* its names, or the lack of one, may be in the kernel's cache */
	bool renew;              /* renamed as it was told: the state that made is no news */
	int32_t renewed_version; /* of that state */
	struct zk_blob *renewed_data;
	struct fs_refetch *refetch;  /* that runs, or NULL */
	struct fs_children *loading; /* its names are being asked for, or NULL */
	struct fs_fill *fill;        /* what is in it is being asked for, or NULL */
	bool unloaded;               /* in fs->unloaded; that holds a reference */
	TAILQ_ENTRY(fs_inode) unloaded_link;
	bool listed; /* in fs->held */
	TAILQ_ENTRY(fs_inode) held_link;

	/* What the kernel, and those who watch through it, were told last (notice.h). */
	bool told;  /* that it is there */
	bool shown; /* somebody has looked it up, told or not: that it goes is told */
	int64_t told_mzxid;
	int32_t told_version;
	/* Of a directory whose children are watched: the names last heard of, and those last told. */
	struct fs_list *known_list, *told_list;
	struct fs_names *gone;      /* names that have gone since the latter */
	bool shown_early;           /* names were listed that have not been told of */
	uint64_t n_told_names;      /* how often it was told that a name came or went */
	size_t n_unwatched;         /* children that are not watched, as there was no room */
	bool starved;               /* and more of them are to be as soon as there is */
	struct fs_notice *notice;   /* more is to be told; or NULL */
	struct fs_notices *notices; /* of a directory: what is to be told of it, or NULL */

	/* The kernel's pages (pages.h). */
	bool has_pages;            /* it may have some */
	unsigned n_page_readers;   /* open files that read through them */
	int64_t page_reader_time;  /* fs_clock_now() when the last one was opened */
	struct zk_blob *pages;     /* what they are of, while somebody reads them */
	bool knows_pages;          /* is that known? */
	struct zk_stat pages_stat; /* and their state */

	/* What a request has just fetched may be used once more by the next request of the same
	 * thread, within a moment: open(2) is LOOKUP and OPEN. */
	unsigned grants;
	pid_t grant_tid;
	int64_t grant_time;

	struct zk_acl *acl; /* as of acl_version; NULL: not known */
	int32_t acl_version;
	/* Of a directory: when a child's ACL was last waited for (fs_clock_now()), and the position in
	 * known_list up to which they were asked for ahead. */
	int64_t acls_wanted;
	size_t acls_asked;

	LIST_HEAD(, fs_file) files; /* open on it, for reading and writing */

	UT_hash_handle by_id;
	UT_hash_handle by_name;
};

TAILQ_HEAD(fs_inode_queue, fs_inode);

struct fs_inodes {
	struct fs_inode *by_id;
	struct fs_inode *by_name;
	struct fs_inode *root;
	uint64_t last_id;
	size_t n_inodes;
	char *prefix; /* path of the root in ZooKeeper: "" or "/chroot" */
	size_t cached_bytes;
	struct fs_inode_queue cached; /* least recently used first */
};

/* `prefix` is copied. 0 or -ENOMEM. */
int fs_inodes_init(struct fs_inodes *inodes, const char *prefix);
void fs_inodes_done(struct fs_inodes *inodes);

struct fs_inode *fs_inode_by_id(struct fs_inodes *inodes, uint64_t nodeid);
/* The inode that the name leads to, or NULL. */
struct fs_inode *fs_inode_by_name(
	struct fs_inodes *inodes, const struct fs_inode *parent, const char *name);

/* A new linked inode with one reference, which the caller drops. The name must be free. NULL when
 * out of memory. */
struct fs_inode *fs_inode_new(
	struct fs_inodes *inodes, struct fs_inode *parent, const char *name, enum fs_kind kind);

struct fs_inode *fs_inode_ref(struct fs_inode *inode);
void fs_inode_unref(struct fs_inodes *inodes, struct fs_inode *inode);
void fs_inode_forget(struct fs_inodes *inodes, struct fs_inode *inode, uint64_t n_lookups);

/* Takes its name away. */
void fs_inode_unlink(struct fs_inodes *inodes, struct fs_inode *inode);
/* Gives an inode another name, which must be free if it is to lead to it. 0, or -ENOMEM: then it has
 * none. */
int fs_inode_move(struct fs_inodes *inodes, struct fs_inode *inode, struct fs_inode *parent,
	const char *name, bool leads);

/* The path of its znode, malloc'ed; NULL when out of memory. For DIR/.data that is DIR's. */
char *fs_inode_path(const struct fs_inodes *inodes, const struct fs_inode *inode);
/* The same for a name in a directory (".data" is nothing special here). */
char *fs_inode_child_path(
	const struct fs_inodes *inodes, const struct fs_inode *parent, const char *name);

/* Where it is below the root, as who uses the mount sees it, without a slash in front. malloc'ed. */
char *fs_inode_shown_path(const struct fs_inode *inode);
/* The inode that a znode's path leads to, or NULL. */
struct fs_inode *fs_inode_by_path(struct fs_inodes *inodes, const char *path);

void fs_inode_grant(struct fs_inode *inode, pid_t tid, unsigned grants);
/* True, once, if the thread has this grant and it is fresh. */
bool fs_inode_take_grant(struct fs_inode *inode, pid_t tid, enum fs_grant grant);
