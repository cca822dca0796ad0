/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <fuse_lowlevel.h>

#include "zk/op.h"

struct fs;
struct fs_inode;

/*
 * A request of the kernel that cannot be answered at once.
 *
 * An operation derives its own struct from it (base first), starts what it waits for with its `op`
 * as out-parameter, and from the completion replies and ends it. The reply is sent exactly once:
 * fs_reply_…() after the first do nothing.
 *
 * When the caller is interrupted by a signal that is meant to end it the request is answered EINTR
 * at once. What it waits for is taken back; a write that is already on its way goes on, and its
 * completion runs as usual, with nobody to reply to. The kernel tells of the first signal only, be
 * it harmless: from then on fs_requests_check looks for others.
 */
struct fs_request {
	struct fs *fs;
	fuse_req_t req;   /* NULL once replied */
	pid_t tid;        /* of the caller; 0: unknown */
	bool interrupted; /* a signal has come */
	struct zk_op *op; /* what it waits for; NULL: nothing that could be taken back */
	void (*free)(struct fs_request *);
	/* Where it waits for something else than `op`: takes that back; NULL: it goes on. */
	void (*cancel)(struct fs_request *);
	struct fs_inode *held[2]; /* references; see fs_request_hold */
	LIST_ENTRY(fs_request) link;
};

/* Allocates `size` bytes, zeroed, that begin with a struct fs_request. `free` (may be NULL) releases
 * what the operation holds; the struct itself is freed after it. On -ENOMEM the kernel was told and
 * NULL comes back. */
void *fs_request_new(struct fs *fs, fuse_req_t req, size_t size, void (*free)(struct fs_request *));

/* The same for what zkfs asks on its own account: there is nobody to reply to. NULL on -ENOMEM. */
void *fs_request_new_internal(struct fs *fs, size_t size, void (*free)(struct fs_request *));

/* The kernel holds a lock of the inode until it is answered (of two at most): the notifier keeps
 * away from it until the request is over. */
void fs_request_hold(struct fs_request *request, struct fs_inode *inode);

/* The request is over; it must have been replied to. */
void fs_request_end(struct fs_request *request);

/* Each replies, if that was not done yet. `error`: 0 or a negative errno. */
void fs_reply_error(struct fs_request *request, int error);
void fs_reply_data(struct fs_request *request, const void *data, size_t size);

/* Looks after the callers that had a signal. True: there are some left, look again soon. */
bool fs_requests_check(struct fs *fs);

/* Replies with an error and ends it. */
void fs_request_fail(struct fs_request *request, int error);
