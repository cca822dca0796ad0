/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one place where ZooKeeper's codes become ours: 0 for ZOK, else a negative errno (see op.h for
 * the list). Codes of a lost connection are -ENOTCONN. */
int zk_error_to_errno(int code);
