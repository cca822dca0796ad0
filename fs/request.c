/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait, their one reply, and interrupts. */
#include "fs/request.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "fs/proc.h"

static void give_up(struct fs_request *request)
{
	fs_reply_error(request, -EINTR);
	if (request->cancel) {
		request->cancel(request);
	} else if (request->op && zk_op_cancel(request->op)) {
		request->op = NULL;
		fs_request_end(request);
	}
}

/* libfuse allows to reply from here (it holds a count on the request meanwhile). */
static void interrupted(fuse_req_t req, void *data)
{
	struct fs_request *request = data;

	if (request->req != req)
		return;
	request->interrupted = true;
	request->fs->any_interrupted = true;
	if (fs_proc_must_end(request->tid))
		give_up(request);
}

bool fs_requests_check(struct fs *fs)
{
	struct fs_request *request, *next;
	bool more = false;

	if (!fs->any_interrupted)
		return false;
	for (request = LIST_FIRST(&fs->requests); request; request = next) {
		next = LIST_NEXT(request, link);
		if (!request->interrupted || !request->req)
			continue;
		more = true;
		if (!fs_proc_must_end(request->tid))
			continue;
		give_up(request);
		return true; /* that may have ended others too */
	}
	fs->any_interrupted = more;
	return more;
}

void *fs_request_new_internal(struct fs *fs, size_t size, void (*free)(struct fs_request *))
{
	struct fs_request *request = calloc(1, size);

	if (!request)
		return NULL;
	request->fs = fs;
	request->free = free;
	LIST_INSERT_HEAD(&fs->requests, request, link);
	return request;
}

void *fs_request_new(struct fs *fs, fuse_req_t req, size_t size, void (*free)(struct fs_request *))
{
	struct fs_request *request = fs_request_new_internal(fs, size, free);

	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	request->req = req;
	request->tid = fuse_req_ctx(req)->pid;
	fuse_req_interrupt_func(req, interrupted, request);
	return request;
}

void fs_request_hold(struct fs_request *request, struct fs_inode *inode)
{
	request->held[request->held[0] ? 1 : 0] = fs_inode_ref(inode);
	inode->n_requests++;
}

void fs_request_end(struct fs_request *request)
{
	LIST_REMOVE(request, link);
	for (int i = 0; i < 2 && request->held[i]; i++) {
		request->held[i]->n_requests--;
		fs_inode_unref(&request->fs->inodes, request->held[i]);
	}
	if (request->free)
		request->free(request);
	free(request);
}

void fs_reply_error(struct fs_request *request, int error)
{
	if (!request->req)
		return;
	fuse_reply_err(request->req, -error);
	request->req = NULL;
}

void fs_reply_data(struct fs_request *request, const void *data, size_t size)
{
	if (!request->req)
		return;
	fuse_reply_buf(request->req, data, size);
	request->req = NULL;
}

void fs_request_fail(struct fs_request *request, int error)
{
	fs_reply_error(request, error);
	fs_request_end(request);
}
