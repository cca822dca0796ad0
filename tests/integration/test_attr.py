"""Attributes: size, times, inode numbers, link counts, modes, statfs."""

import errno
import os
import stat

from support.files import fails_with, write
from support.waiting import run, wait_equal, wait_for


def test_size_is_the_length_of_the_data(mnt, tree):
    for name, data in {"empty": b"", "one": b"x", "many": b"y" * 100_000}.items():
        tree.create(f"/{name}", data)
        assert os.stat(mnt / name).st_size == len(data)


def test_a_file_has_one_link_and_so_has_a_directory(mnt, tree):
    tree.create("/d/e/f", b"data")
    for name in ("", "d", "d/e", "d/e/f"):
        assert os.stat(mnt / name).st_nlink == 1


def test_mtime_is_the_znodes_with_its_mzxid_below_the_millisecond(mnt, tree):
    tree.create("/f", b"one")
    tree.create("/d/f", b"one")
    for name in ("f", "d", "d/f"):
        znode = tree.stat(f"/{name}")
        file = os.stat(mnt / name)
        assert file.st_mtime_ns == znode.mtime * 1_000_000 + znode.mzxid % 1_000_000
        assert file.st_ctime_ns // 1_000_000 == znode.mtime


def test_every_change_changes_mtime(mnt, tree):
    tree.create("/f", b"0")
    seen = set()
    for _ in range(30):
        write(mnt / "f", b"same")
        seen.add(os.stat(mnt / "f").st_mtime_ns)
    assert len(seen) == 30


def test_mtime_follows_a_change_made_elsewhere(mnt, tree):
    tree.create("/f", b"0")
    before = os.stat(mnt / "f").st_mtime_ns
    tree.set("/f", b"0")
    wait_for(lambda: os.stat(mnt / "f").st_mtime_ns > before, 5)


def test_inode_numbers_are_the_same_on_every_mount(mnt, mnt2, tree):
    tree.create("/d/f", b"data")
    tree.create("/d/g", b"data")
    names = ("d", "d/f", "d/g")
    numbers = [os.stat(mnt / name).st_ino for name in names]
    assert numbers == [os.stat(mnt2 / name).st_ino for name in names]
    assert len(set(numbers)) == 3


def test_inode_numbers_outlive_the_mount_and_changes_of_the_data(mounts, tree):
    tree.create("/d/f", b"data")
    first = mounts()
    number = os.stat(first / "d" / "f").st_ino
    write(first / "d" / "f", b"other")
    assert os.stat(first / "d" / "f").st_ino == number
    first.umount()
    assert os.stat(mounts() / "d" / "f").st_ino == number


def test_a_znode_made_again_has_another_inode_number(mnt, tree):
    tree.create("/f", b"data")
    number = os.stat(mnt / "f").st_ino
    tree.delete("/f")
    tree.create("/f", b"data")
    wait_for(lambda: os.stat(mnt / "f").st_ino != number, 5)


def test_a_new_file_keeps_its_inode_number_when_it_is_committed(mnt, mnt2, tree):
    """What a program saw by fstat while it wrote may differ; afterwards all agree."""
    write(mnt / "f", b"data")
    wait_equal(lambda: os.stat(mnt2 / "f").st_size, 4, 5)
    wait_equal(lambda: os.stat(mnt / "f").st_ino, os.stat(mnt2 / "f").st_ino, 5)


def test_readdir_and_stat_agree_on_inode_and_type(mnt, tree):
    tree.create("/d/file", b"data")
    tree.create("/d/dir/below", b"")
    with os.scandir(mnt / "d") as entries:
        for entry in entries:
            assert entry.inode() == os.stat(entry.path).st_ino
            assert entry.is_dir() == stat.S_ISDIR(os.stat(entry.path).st_mode)


def test_only_regular_files_and_directories(mnt, tree):
    tree.create("/d/f", b"data")
    assert stat.S_ISDIR(os.stat(mnt.path).st_mode)
    assert stat.S_ISDIR(os.stat(mnt / "d").st_mode)
    assert stat.S_ISREG(os.stat(mnt / "d" / "f").st_mode)


def test_files_belong_to_who_mounted(mnt, tree):
    tree.create("/d/f", b"data")
    for name in ("", "d", "d/f"):
        found = os.stat(mnt / name)
        assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


def test_statfs_answers(mnt):
    found = os.statvfs(mnt.path)
    assert found.f_namemax == 255
    assert found.f_bsize > 0
    assert str(mnt.path) in run("df", mnt.path).stdout
    run("stat", "-f", mnt.path)


def test_enoent_for_what_is_not_there(mnt):
    with fails_with(errno.ENOENT):
        os.stat(mnt / "nothing")
    with fails_with(errno.ENOENT):
        os.stat(mnt / "nothing" / "below")


def test_access_follows_the_modes(mnt, tree):
    tree.create("/f", b"data")
    assert os.access(mnt / "f", os.R_OK | os.W_OK)
    assert os.access(mnt.path, os.R_OK | os.X_OK)
