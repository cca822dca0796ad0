"""O_CREAT|O_EXCL creates at open, and is exclusive across the cluster."""

import errno
import os
import threading

from support.files import fails_with
from support.waiting import sh

EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def race(paths, attempt):
    """Calls attempt on every path at the same moment; gives the results or the errnos."""
    barrier = threading.Barrier(len(paths))
    results = [None] * len(paths)

    def run(n):
        barrier.wait()
        try:
            results[n] = attempt(paths[n])
        except OSError as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(paths))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def check_one_winner(results):
    losers = [result for result in results if isinstance(result, OSError)]
    assert len(losers) == len(results) - 1, results
    assert all(loser.errno == errno.EEXIST for loser in losers), losers


def test_20_races_between_two_mounts_have_one_winner_each(mnt, mnt2, tree):
    for n in range(20):
        results = race([mnt / f"f{n}", mnt2 / f"f{n}"], lambda path: os.open(path, EXCLUSIVE))
        check_one_winner(results)
        os.close(next(result for result in results if isinstance(result, int)))
    assert len(tree.children()) == 20


def test_races_of_mkdir_have_one_winner_each(mnt, mnt2, tree):
    for n in range(10):
        check_one_winner(race([mnt / f"d{n}", mnt2 / f"d{n}"], os.mkdir))
    assert len(tree.children()) == 10


def test_the_znode_is_there_when_open_returns(mnt, tree):
    fd = os.open(mnt / "f", EXCLUSIVE)
    assert tree.get("/f") == b""
    os.write(fd, b"data")
    os.close(fd)
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 1


def test_an_existing_file_refuses(mnt, tree):
    tree.create("/f", b"data")
    with fails_with(errno.EEXIST):
        os.open(mnt / "f", EXCLUSIVE)
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 0


def test_a_file_that_this_mount_has_not_heard_of_refuses(mnt, tree):
    """A cached ENOENT does not make an exclusive create succeed."""
    assert not os.path.exists(mnt / "f")
    tree.create("/f", b"theirs")
    with fails_with(errno.EEXIST):
        os.open(mnt / "f", EXCLUSIVE)
    assert tree.get("/f") == b"theirs"


def test_noclobber_of_the_shells(mnt, tree):
    tree.create("/f", b"old")
    for shell in ("bash", "dash"):
        assert sh("set -C; echo new > f", cwd=mnt, shell=shell, check=False).returncode != 0
    assert tree.get("/f") == b"old"


def test_a_read_only_create_creates_at_open(mnt, tree):
    """As flock(1) opens its file."""
    fd = os.open(mnt / "f", os.O_RDONLY | os.O_CREAT)
    assert tree.get("/f") == b""
    os.close(fd)
    assert tree.version("/f") == 0
