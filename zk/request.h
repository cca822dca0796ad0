/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zk/op.h"

/* Private to zk/: what is asked of the server, alone or as a part of a multi. */

enum zk_request_type {
	ZK_REQUEST_GET,
	ZK_REQUEST_EXISTS,
	ZK_REQUEST_CHILDREN,
	ZK_REQUEST_ACL_GET,
	ZK_REQUEST_SYNC,
	ZK_REQUEST_UNWATCH,
	ZK_REQUEST_CREATE, /* the first that writes */
	ZK_REQUEST_SET,
	ZK_REQUEST_DELETE,
	ZK_REQUEST_ACL_SET,
	ZK_REQUEST_MULTI,
	ZK_N_REQUESTS,
};

struct zk_request {
	enum zk_request_type type;
	char *path;           /* owned */
	struct zk_blob *data; /* a reference; create, set */
	struct zk_acl *acl;   /* owned; create, acl_set */
	enum zk_create_mode mode;
	int64_t ttl_ms;
	bool sequential;  /* the server adds a number to the path; sequence.c */
	unsigned watches; /* kinds; unwatch */
	int32_t version;  /* condition of set and delete; of acl_set: on the ACL's version */
	bool any_version; /* the caller gave no condition; settle.c may have since */
	int64_t czxid;    /* of the znode that is meant, or 0 */
	bool has_base;
	struct zk_stat base; /* last state that the caller knew */
};

/* Each fills in *request with copies and references, -ENOMEM: nothing to clean up. */
int zk_request_init(struct zk_request *request, enum zk_request_type type, const char *path);
int zk_request_init_create(struct zk_request *request, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode);
int zk_request_init_set(struct zk_request *request, const char *path, struct zk_blob *data,
	int32_t version, const struct zk_stat *base);
int zk_request_init_delete(
	struct zk_request *request, const char *path, int32_t version, int64_t czxid);
int zk_request_init_acl_set(
	struct zk_request *request, const char *path, const struct zk_acl *acl, int32_t aversion);

void zk_request_done(struct zk_request *request);

bool zk_request_is_write(const struct zk_request *request);

/* Bytes of the request without the 8 of its header; not for a multi. */
size_t zk_request_body_size(const struct zk_request *request);

#define ZK_REQUEST_HEADER_SIZE 8 /* xid, type */

/* Size of the data as the client library wants it: -1 for null data. */
int zk_request_data_len(const struct zk_request *request);
const char *zk_request_data(const struct zk_request *request);

/* A multi is a row of requests that write; opaque outside of zk/. */
struct zk_multi {
	size_t n_requests;
	size_t n_allocated;
	struct zk_request *requests;
};
