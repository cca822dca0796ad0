/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads through the page cache, and which version. */
#include "fs/pages.h"

#include "fs/clock.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "zk/blob.h"

bool fs_pages_may_serve(const struct fs_inode *inode)
{
	const struct fs_file *file;

	if (!inode->has_data || inode->n_requests > 0 || !fs_entry_is_certain(inode))
		return false;
	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->mode != FS_FILE_READ)
			return false;
	return true;
}

static void keep(struct fs_inode *inode, struct zk_blob *blob, bool known)
{
	zk_blob_ref(blob);
	zk_blob_unref(inode->pages);
	inode->pages = blob;
	inode->pages_stat = inode->stat;
	inode->knows_pages = known;
}

void fs_pages_opened(struct fs_file *file)
{
	struct fs_inode *inode = file->inode;

	file->cached = true;
	inode->has_pages = true;
	inode->n_page_readers++;
	inode->page_reader_time = fs_clock_now();
	if (!inode->knows_pages)
		keep(inode, inode->data, true);
}

void fs_pages_closed(struct fs_file *file)
{
	struct fs_inode *inode = file->inode;

	if (--inode->n_page_readers == 0)
		keep(inode, NULL, false);
}

bool fs_pages_bytes(const struct fs_inode *inode, struct zk_blob **blobp)
{
	if (inode->knows_pages)
		*blobp = inode->pages;
	return inode->knows_pages;
}

void fs_pages_learned(struct fs_inode *inode, struct zk_blob *blob)
{
	if (inode->n_page_readers > 0)
		keep(inode, blob, true);
}

void fs_pages_changed(struct fs *fs, struct fs_inode *inode)
{
	if (inode->has_pages)
		fs_notice_invalidate(fs, inode);
}

void fs_pages_turn(struct fs_inode *inode)
{
	keep(inode, inode->data, inode->has_data && inode->n_page_readers > 0);
	if (!inode->knows_pages)
		keep(inode, NULL, false);
}

void fs_pages_turned(struct fs_inode *inode)
{
	inode->has_pages = inode->n_page_readers > 0;
}

const struct zk_stat *fs_pages_stat(struct fs_inode *inode)
{
	if (inode->n_page_readers == 0 || !inode->knows_pages ||
		zk_stat_same_data(&inode->pages_stat, &inode->stat))
		return &inode->stat;
	if (fs_pages_busy_until(inode))
		return &inode->pages_stat;
	fs_pages_turn(inode);
	return &inode->stat;
}

int64_t fs_pages_busy_until(const struct fs_inode *inode)
{
	int64_t until = inode->page_reader_time + FS_PAGES_PATIENCE_MS * FS_MS;

	return inode->n_page_readers > 0 && until > fs_clock_now() ? until : 0;
}

bool fs_pages_wait(struct fs *fs, struct fs_calm *calm)
{
	calm->until = fs_pages_busy_until(calm->inode);
	if (!calm->until)
		return false;
	TAILQ_INSERT_TAIL(&fs->calms, calm, link);
	return true;
}

void fs_pages_cancel(struct fs *fs, struct fs_calm *calm)
{
	TAILQ_REMOVE(&fs->calms, calm, link);
}

int64_t fs_pages_run(struct fs *fs)
{
	int64_t now = TAILQ_EMPTY(&fs->calms) ? 0 : fs_clock_now(), next = INT64_MAX;
	struct fs_calm *calm, *after;

	for (calm = TAILQ_FIRST(&fs->calms); calm; calm = after) {
		after = TAILQ_NEXT(calm, link);
		if (calm->until > now && calm->inode->n_page_readers > 0) {
			next = calm->until < next ? calm->until : next;
			continue;
		}
		TAILQ_REMOVE(&fs->calms, calm, link);
		calm->done(calm);
	}
	return next;
}
