/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <zookeeper/zookeeper.h>

#include "zk/client.h"
#include "zk/op.h"
#include "zk/request.h"
#include "zk/watch.h"

/*
 * Private to zk/: the client and its operations. Who does what:
 *
 *	client.c      the event loop's side: dispatch, timers, name resolving
 *	connection.c  the library's handle: made, polled, replaced, closed
 *	op.c          the life of an operation, from its start to its one callback
 *	send.c        an operation as calls of the library, and their completions
 *	settle.c      a write whose answer was lost
 *	sequence.c    creates to whose names the server adds a number
 *	watch.c       what is watched, and for whom
 *
 * All times are CLOCK_MONOTONIC in milliseconds.
 */

struct zk_resolver;

/* What epoll_wait brings. */
enum zk_waker {
	ZK_WAKER_TIMER,
	ZK_WAKER_WAKE,
	ZK_WAKER_SOCKET,
	ZK_WAKER_RESOLVER,
};

/* Where an operation is; each place but the first is a list of the client. */
enum zk_place {
	ZK_PLACE_NOWHERE,
	ZK_PLACE_WAITING, /* for a server, in the order of their start */
	ZK_PLACE_SENT,    /* the library has a request of it, in the order of sending */
	ZK_PLACE_FAILED,  /* only its callback is left, and is called in the next dispatch */
	ZK_N_PLACES,
};

TAILQ_HEAD(zk_op_list, zk_op);

struct zk_op {
	struct zk_client *client;
	enum zk_place place;
	TAILQ_ENTRY(zk_op) by_place;
	TAILQ_ENTRY(zk_op) by_deadline; /* in client->deadlines[since_outage] until it has ended */
	int64_t deadline;
	uint64_t number; /* counts the client's operations: tells their order */
	unsigned round;  /* the dispatch that it was started in, or has failed in */
	unsigned flags;

	zk_reply_fn fn;
	void *userdata;
	bool ended; /* the callback was called or is not wanted: only the library still knows it */
	int result; /* in ZK_PLACE_FAILED */

	struct zk_request request;
	struct zk_multi *multi; /* owned; in a multi, whose request has nothing but its type */
	size_t probe;
	zoo_op_result_t *results; /* of a multi that is sent; the library writes to them */
	struct Stat *stats;

	unsigned tries;      /* times that the request itself was sent */
	int64_t zxid_before; /* the highest we had seen when it was sent first */
	int64_t session;     /* that it was sent in last */
	bool unsure;         /* it was sent and the answer was lost: settle.c has to look */
	bool blind;          /* looking shows only the Stat: the rest may not be read */
	int doubt;           /* errno of a repeated request that its first copy may have caused */
	int doubt_failed_op;
};

struct zk_client {
	struct zk_client_options options;
	enum zk_state state;

	int epoll_fd;
	int timer_fd;
	int64_t timer_at; /* when it goes off, 0: not armed */
	int wake_fd;      /* for what must wait for the next dispatch */
	bool woken;
	bool dispatching;
	bool closing; /* completions are only counted */
	unsigned round;
	int64_t now; /* at the start of this dispatch */

	/* connection.c */
	zhandle_t *zh;   /* NULL: no address yet, or between two */
	char *addresses; /* of the servers, in the library's form; NULL: none resolved */
	int socket_fd;   /* as registered with epoll, -1: not */
	uint32_t socket_events;
	int64_t interest_at; /* when the library wants to be called */
	int64_t retry_at;    /* no attempt to connect before */
	unsigned failures;   /* to connect, one after the other */
	bool associated;     /* there is a session on this connection; see the barrier */
	bool barrier_sent;
	bool stale;        /* the handle has lost its connection without knowing it */
	bool session_gone; /* the server said that the session has expired */
	bool was_connected;
	clientid_t id;
	int session_timeout_ms;
	int64_t last_zxid;
	int64_t outage_at; /* since when, 0: none */
	int64_t heard_at;  /* when something last came from the server */
	int64_t silent_at; /* when an operation last ended unanswered, by a server that was mute */
	uint64_t reconnects;
	uint64_t expiries;

	/* client.c */
	struct zk_resolver *resolver; /* a look-up that runs */
	bool needs_resolving;
	int64_t resolve_at; /* not before */

	/* op.c */
	struct zk_op_list places[ZK_N_PLACES];
	size_t counts[ZK_N_PLACES];
	struct zk_op_list deadlines[2]; /* in that order; [1]: those with ZK_OP_SINCE_OUTAGE */
	struct zk_op *last_requeued;    /* a hint where the next one belongs */
	uint64_t n_ops;
	uint64_t requests[ZK_N_REQUESTS]; /* sent */
	int64_t hold_until;               /* the server asked for mercy: send nothing before */

	/* sequence.c */
	LIST_HEAD(, zk_sequence) sequences; /* that run */

	/* watch.c */
	struct zk_watch *watches; /* by path */
	const struct zk_watcher *watcher;
	TAILQ_HEAD(, zk_watch) leaving; /* armed, but not wanted */
	size_t n_wanted, n_armed;
	size_t n_leaving, n_removing; /* not asked to be removed yet; asked, and not answered */
	size_t wanted_bytes;
	uint64_t n_fired;
};

int64_t zk_now_ms(void);

/* client.c: makes the loop call zk_client_dispatch (again). */
void zk_client_wake(struct zk_client *client);
/* client.c: the same, at that time. */
void zk_client_wake_at(struct zk_client *client, int64_t at);

/* connection.c */
/* Makes or replaces the handle where that is due. */
void zk_connection_repair(struct zk_client *client);
/* Reads what has come; `events` of epoll for the socket. */
void zk_connection_process(struct zk_client *client, uint32_t events);
/* Asks the library what it waits for and registers that. */
void zk_connection_refresh(struct zk_client *client);
/* To be called after each request: notices a connection that broke in the sending. */
void zk_connection_check(struct zk_client *client);
/* The library's watcher_fn, of the session and of all watches; the context is the client. */
void zk_connection_on_event(zhandle_t *zh, int type, int state, const char *path, void *userdata);
/* Closes the session within a second. */
void zk_connection_close(struct zk_client *client);

/* op.c, for the loop's side */
void zk_ops_init(struct zk_client *client);
void zk_ops_done(struct zk_client *client);
/* Sends what waits, if there is a server. */
void zk_ops_flush(struct zk_client *client);
/* Calls the callbacks of those that have failed before this dispatch, or are past their deadline. */
void zk_ops_expire(struct zk_client *client);
/* An outage turns out to have begun earlier: so do the deadlines that count from it. */
void zk_ops_count_from_outage(struct zk_client *client);
/* When zk_ops_expire or zk_ops_flush has to be called next, INT64_MAX: never. */
int64_t zk_ops_next_deadline(const struct zk_client *client);
/* The handle is gone: nothing of what was sent will be answered. */
void zk_ops_lose_all(struct zk_client *client);
/* The connection is lost: what was to be removed from the server is not to be set on the next one. */
void zk_ops_forget_removals(struct zk_client *client);
/* Nothing will ever be sent again: fails them all with `r`. */
void zk_ops_fail_all(struct zk_client *client, int r);

/* op.c, for the completions */
/*
 * First thing in every completion. False: there is nothing more to do, because nobody waits for
 * it any more, or because it has to be asked again and is back in the queue.
 */
bool zk_op_returned(struct zk_op *op, int code);
/* Back to the queue, to its old place there. */
void zk_op_requeue(struct zk_op *op);
/* Ends it: the one place where callbacks are called. Frees it, unless the library knows it. */
void zk_op_end(struct zk_op *op, int r, const struct zk_reply *reply);
/* Ends it in the next dispatch. */
void zk_op_fail_later(struct zk_op *op, int r);

/* send.c: both return the library's code; ZOK: a completion will come. */
int zk_send_request(struct zk_op *op);
void zk_send_free_results(struct zk_op *op);

/* op.c: takes watches from the server; `fn` gets the client. Nothing can be done about a failure. */
int zk_op_unwatch(struct zk_client *client, const char *path, unsigned kinds, zk_reply_fn fn);
/* op.c: the same as zk_create_ttl, but that a lost answer is -ENOTCONN: for sequence.c. */
int zk_op_create_sequential(struct zk_client *c, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp);

/* sequence.c: at the very end. */
void zk_sequences_done(struct zk_client *client);

/* send.c: makes the library forget watches that it would set again on the next connection. */
void zk_send_forget_watches(struct zk_client *client, const char *path, unsigned kinds);

/* watch.c */
/* The library has a watch since this very answer. False: nobody wants it any more. */
bool zk_watch_armed(struct zk_client *client, const char *path, unsigned kind);
/* The server may have these kinds still, but the next one is not to be told of them. */
void zk_watch_forget(struct zk_client *client, const char *path, unsigned kinds);
/* `event`: one of the library's. */
void zk_watch_fired(struct zk_client *client, const char *path, int event);
/* Takes those that are leaving from the server; without a connection only from those that the next
 * one will get. */
void zk_watches_remove(struct zk_client *client);
/* The connection is lost: keeps as many as the next one can set again. */
void zk_watches_fit(struct zk_client *client);
void zk_watches_init(struct zk_client *client);
void zk_watches_lost(struct zk_client *client);
void zk_watches_connected(struct zk_client *client);
void zk_watches_done(struct zk_client *client);

/* send.c: the library's structs as ours */
void zk_stat_import(struct zk_client *client, struct zk_stat *stat, const struct Stat *from);
int zk_acl_import(struct zk_acl **aclp, const struct ACL_vector *from);

/* settle.c */
int zk_settle_look(struct zk_op *op);
/* May this answer to a repeated write have been caused by its first copy? Then it is looked up. */
bool zk_settle_doubts(struct zk_op *op, int r, int failed_op);
