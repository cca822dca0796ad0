/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZooKeeper's codes as errno. Whoever needs to know more than the errno (was the connection lost?)
 * asks for -ENOTCONN, which no server ever answers; -EAGAIN means "not done, ask again".
 */

#include "zk/error.h"

#include <errno.h>
#include <stddef.h>
#include <zookeeper/zookeeper.h>

#define QUOTA_EXCEEDED (-125) /* Debian's header has no name for it */

static const struct {
	int code;
	int error;
} table[] = {
	{ ZOK, 0 },
	{ ZRUNTIMEINCONSISTENCY, ENOTCONN }, /* the library lost count of its answers and hung up */
	{ ZCONNECTIONLOSS, ENOTCONN },
	{ ZOPERATIONTIMEOUT, ENOTCONN },
	{ ZINVALIDSTATE, ENOTCONN },
	{ ZSESSIONEXPIRED, ENOTCONN },
	{ ZSESSIONMOVED, ENOTCONN },
	{ ZCLOSING, ENOTCONN },
	{ ZTHROTTLEDOP, EAGAIN },
	{ ZNONODE, ENOENT },
	{ ZNODEEXISTS, EEXIST },
	{ ZNOTEMPTY, ENOTEMPTY },
	{ ZNOAUTH, EACCES },
	{ ZAUTHFAILED, EACCES },
	{ ZSESSIONCLOSEDREQUIRESASLAUTH, EACCES },
	{ ZBADVERSION, ESTALE },
	{ ZINVALIDACL, EINVAL },
	{ ZBADARGUMENTS, EINVAL },
	{ ZNOCHILDRENFOREPHEMERALS, ENOTDIR },
	{ ZNOTREADONLY, EROFS },
	{ ZUNIMPLEMENTED, EOPNOTSUPP },
	{ ZEPHEMERALONLOCALSESSION, EOPNOTSUPP },
	{ QUOTA_EXCEEDED, EDQUOT },
};

int zk_error_to_errno(int code)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].code == code)
			return -table[i].error;
	}
	return -EIO;
}
