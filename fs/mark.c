/* SPDX-License-Identifier: Apache-2.0 */
/* The mark of a directory: that it once had a child. */
#include "fs/mark.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "zk/op.h"
#include "zk/path.h"

/* Any name would do; this one tells a reader of the transaction log whose it is. */
#define MARK_NAME ".zkfs-directory"

int fs_mark_add(const struct fs *fs, struct zk_multi *multi, const char *path)
{
	char *child = zk_path_join(path, MARK_NAME);
	int r = -ENOMEM;

	if (child)
		r = zk_multi_add_create(multi, child, NULL, fs->acl, ZK_CREATE_PERSISTENT);
	if (r == 0)
		r = zk_multi_add_delete(multi, child, ZK_ANY_VERSION, 0);
	free(child);
	return r;
}
