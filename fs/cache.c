/* SPDX-License-Identifier: Apache-2.0 */
/* The cached content of inodes, in order of use. An inode is in the queue while it has any. */
#include "fs/cache.h"

#include "fs/inode.h"
#include "fs/list.h"
#include "zk/blob.h"

static size_t content_bytes(const struct fs_inode *inode)
{
	size_t bytes = 0;

	if (inode->has_data)
		bytes += sizeof(struct zk_blob) + (inode->data ? inode->data->len : 0);
	if (inode->list)
		bytes += inode->list->n_bytes;
	return bytes;
}

/* Puts the inode where its present content belongs, and makes room. */
static void settle(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_inode *oldest;

	if (inode->cached_bytes > 0)
		TAILQ_REMOVE(&inodes->cached, inode, cache_link);
	inodes->cached_bytes -= inode->cached_bytes;
	inode->cached_bytes = content_bytes(inode);
	inodes->cached_bytes += inode->cached_bytes;
	if (inode->cached_bytes > 0)
		TAILQ_INSERT_TAIL(&inodes->cached, inode, cache_link);

	while (inodes->cached_bytes > FS_CACHE_BYTES && (oldest = TAILQ_FIRST(&inodes->cached)))
		fs_cache_drop(inodes, oldest);
}

static void release_data(struct fs_inode *inode)
{
	inode->data = zk_blob_unref(inode->data);
	inode->has_data = false;
}

void fs_cache_put_data(struct fs_inodes *inodes, struct fs_inode *inode, struct zk_blob *data)
{
	zk_blob_ref(data);
	release_data(inode);
	inode->data = data;
	inode->has_data = true;
	settle(inodes, inode);
}

void fs_cache_put_list(struct fs_inodes *inodes, struct fs_inode *inode, struct fs_list *list)
{
	fs_list_ref(list);
	fs_list_unref(inode->list);
	inode->list = list;
	settle(inodes, inode);
}

void fs_cache_drop_data(struct fs_inodes *inodes, struct fs_inode *inode)
{
	release_data(inode);
	settle(inodes, inode);
}

void fs_cache_drop(struct fs_inodes *inodes, struct fs_inode *inode)
{
	release_data(inode);
	inode->list = fs_list_unref(inode->list);
	settle(inodes, inode);
}

void fs_cache_drop_all(struct fs_inodes *inodes)
{
	struct fs_inode *inode;

	while ((inode = TAILQ_FIRST(&inodes->cached)))
		fs_cache_drop(inodes, inode);
}
