"""/.zkfs/status, and what it says about memory."""

import errno
import os

import pytest

from support.files import exists, fails_with, read
from support.waiting import run, wait_for


def test_it_tells_the_session_and_the_server(mnt, server):
    status = mnt.status()
    assert {"session", "state", "server", "timeout", "cached_nodes"} <= set(status)
    assert status["state"] == "connected"
    assert str(server.port) in status["server"]
    assert server.has_session(mnt.session())


def test_every_line_is_a_key_and_a_value(mnt):
    lines = read(mnt / ".zkfs" / "status").decode().splitlines()
    assert lines
    for line in lines:
        key, colon, _ = line.partition(":")
        assert colon and key.strip() == key and " " not in key, line


def test_it_is_read_with_cat_as_often_as_one_likes(mnt):
    for _ in range(5):
        assert "state: connected" in run("cat", mnt / ".zkfs" / "status").stdout


def test_it_cannot_be_written_or_removed(mnt, tree):
    with fails_with(errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP):
        os.close(os.open(mnt / ".zkfs" / "status", os.O_WRONLY | os.O_TRUNC))
    with fails_with(errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP):
        os.unlink(mnt / ".zkfs" / "status")
    with fails_with(errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP, errno.ENOTEMPTY):
        os.rmdir(mnt / ".zkfs")
    assert tree.children() == []


def test_an_operator_sees_no_znode_behind_it(mnt, tree):
    read(mnt / ".zkfs" / "status")
    assert tree.children() == []
    assert not os.path.exists(mnt / ".zkfs" / "nothing")


def cached(mnt):
    return int(mnt.status()["cached_nodes"].split()[0])


def test_what_the_kernel_forgets_is_freed(mnt, tree):
    tree.create("/d", b"")
    tree.create_many("/d", [f"f{n}" for n in range(1000)])
    before = cached(mnt)
    run("ls", "-l", mnt / "d")
    assert cached(mnt) >= before + 1000
    tree.delete_tree("/d")
    wait_for(lambda: not exists(mnt / "d"), 5)
    wait_for(lambda: cached(mnt) <= before + 10, 10, "the nodes to be forgotten")


@pytest.mark.once  # a sanitizer keeps freed memory back
def test_memory_does_not_grow_with_what_was_deleted(mnt, tree):
    def resident():
        with open(f"/proc/{mnt.daemon}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096

    def turn():
        tree.create("/d", b"")
        tree.create_many("/d", [f"f{n}" for n in range(1000)], b"x" * 100)
        run("sh", "-c", "cat d/* > /dev/null", cwd=mnt)
        tree.delete_tree("/d")
        wait_for(lambda: not exists(mnt / "d"), 5)
        wait_for(lambda: cached(mnt) < 50, 10, "the nodes to be forgotten")

    turn()
    first = resident()
    for _ in range(4):
        turn()
    assert resident() < first + 3_000_000
