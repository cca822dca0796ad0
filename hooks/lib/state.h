/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_STATE_H
#define HOOKS_LIB_STATE_H

#include <stdint.h>

/* Over all of keys, which ends with NULL. For names and to spread hosts, not against an adversary. */
uint64_t hook_state_hash(const char *const keys[]);

/*
 * Where a hook keeps what it must know after a restart: NAME-HASH in $STATE_DIRECTORY (systemd's), or
 * in zkfs/ of $XDG_STATE_HOME or ~/.local/state. The hash is over keys, which ends with NULL. The
 * directory is made. Gives a new string, or -errno; -ENOENT: no place is named.
 */
int hook_state_path(const char *name, const char *const keys[], char **pathp);

/* Takes the lock PATH.lock for as long as this process lives. -EBUSY: another has it. */
int hook_state_lock(const char *path, int *fdp);

#endif
