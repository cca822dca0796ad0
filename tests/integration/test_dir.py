"""Directories: listing, changing while listed, removing."""

import errno
import itertools
import os

import pytest

from support.files import exists, fails_with, read, write
from support.waiting import run, wait_equal, wait_for


def names(path):
    return sorted(os.listdir(path))


def test_an_empty_directory(mnt, tree):
    os.mkdir(mnt / "d")
    assert names(mnt / "d") == []
    assert run("ls", mnt / "d").stdout == ""
    assert run("ls", "-a", mnt / "d").stdout.split() == [".", ".."]
    assert run("ls", mnt.path).stdout == "d\n"


def test_hidden_files_are_never_listed(mnt, tree):
    os.mkdir(mnt / "d")
    assert run("ls", "-A", mnt.path).stdout == "d\n"
    assert run("ls", "-A", mnt / "d").stdout == ""
    assert run("find", mnt.path).stdout == f"{mnt.path}\n{mnt.path}/d\n"
    assert exists(mnt / ".zkfs" / "status")


def test_a_listing_that_is_read_late_is_not_kept(mnt, tree):
    """The kernel keeps what it reads: that is what is there then, not when it was opened."""
    os.mkdir(mnt / "d")
    mnt.catch_up()
    fd = os.open(mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    write(mnt / "d" / "f", b"")
    assert os.listdir(fd) == ["f"]
    os.close(fd)
    assert names(mnt / "d") == ["f"]


def test_a_listing_follows_changes_made_here(mnt, tree):
    assert names(mnt.path) == []
    write(mnt / "f", b"")
    os.mkdir(mnt / "d")
    assert names(mnt.path) == ["d", "f"]
    os.rename(mnt / "f", mnt / "g")
    assert names(mnt.path) == ["d", "g"]
    os.unlink(mnt / "g")
    os.rmdir(mnt / "d")
    assert names(mnt.path) == []


def test_a_listing_follows_changes_made_elsewhere(mnt, tree):
    assert names(mnt.path) == []
    for n in range(5):
        tree.create(f"/f{n}", b"")
    wait_equal(lambda: names(mnt.path), [f"f{n}" for n in range(5)], 5)
    for n in range(5):
        tree.delete(f"/f{n}")
    wait_equal(lambda: names(mnt.path), [], 5)


def test_a_listing_follows_changes_made_on_another_mount(mnt, mnt2, tree):
    assert names(mnt2.path) == []
    write(mnt / "f", b"")
    os.mkdir(mnt / "d")
    wait_equal(lambda: names(mnt2.path), ["d", "f"], 5)
    os.unlink(mnt2 / "f")
    os.rmdir(mnt2 / "d")
    wait_equal(lambda: names(mnt.path), [], 5)


def test_rewinddir_lists_anew(mnt, tree):
    tree.create("/d/a", b"")
    fd = os.open(mnt / "d", os.O_RDONLY)
    assert sorted(os.listdir(fd)) == ["a"]
    write(mnt / "d" / "b", b"")
    assert sorted(os.listdir(fd)) == ["a", "b"]
    os.unlink(mnt / "d" / "a")
    assert sorted(os.listdir(fd)) == ["b"]
    os.close(fd)


def test_entries_that_stay_are_listed_once_while_others_come_and_go(mnt, tree):
    tree.create("/d", b"")
    stay = [f"stay-{n:04}" for n in range(2000)]
    tree.create_many("/d", stay)
    tree.create_many("/d", [f"go-{n:04}" for n in range(200)])
    for rounds in range(3):
        seen = []
        with os.scandir(mnt / "d") as entries:
            for count, entry in enumerate(entries):
                seen.append(entry.name)
                if count % 100 == 0:
                    number = rounds * 60 + count // 100
                    if tree.exists(f"/d/go-{number:04}"):
                        tree.delete(f"/d/go-{number:04}")
                    tree.create(f"/d/come-{rounds}-{count}", b"")
        assert sorted(name for name in seen if name.startswith("stay-")) == stay
        assert len(seen) == len(set(seen))


@pytest.fixture
def read_ahead(mnt, tree):
    """A directory that is being listed, and names of which more is known than was told yet."""
    tree.create("/d/x", b"")
    tree.create_many("/d", [f"f{n:05}" for n in range(3000)], b"1")
    entries = os.scandir(mnt / "d")
    seen = set()
    for entry in itertools.islice(entries, 1300):
        entry.stat()
        seen.add(entry.name)
    ahead = [name for name in tree.client.get_children(tree.path("/d")) if name not in seen]
    yield entries, ahead
    entries.close()


def test_names_made_again_while_listing_are_new_files(mnt, tree, read_ahead):
    """What was asked for ahead of the listing is of files that are gone."""
    entries, ahead = read_ahead
    names = ahead[:900]
    for name in names:
        os.unlink(mnt / "d" / name)
    files = [os.open(mnt / "d" / name, os.O_WRONLY | os.O_CREAT) for name in names]
    for fd in files:
        os.write(fd, b"new")
    for _ in entries:
        pass
    for fd in files:
        os.close(fd)
    assert {tree.get(f"/d/{name}") for name in names} == {b"new"}


def test_stat_while_listing_tells_what_was_written_since(mnt, read_ahead):
    entries, ahead = read_ahead
    for name in ahead:
        write(mnt / "d" / name, b"longer")
    ahead = set(ahead)
    assert {entry.stat().st_size for entry in entries if entry.name in ahead} == {6}


def test_removing_while_listing(mnt, tree):
    tree.create("/d", b"")
    tree.create_many("/d", [f"f{n}" for n in range(500)])
    with os.scandir(mnt / "d") as entries:
        for entry in entries:
            os.unlink(entry.path)
    assert names(mnt / "d") == []
    assert tree.children("/d") == []


def test_rm_r_removes_everything_and_only_that(mnt, tree):
    tree.create("/keep/f", b"data")
    tree.create("/d", b"own data")
    for path in ("/d/a/b/c", "/d/a/f", "/d/g"):
        tree.create(path, b"data")
    tree.create("/d/null", None)
    tree.create_many("/d", [f"f{n}" for n in range(200)])
    run("rm", "-r", mnt / "d")
    assert tree.children() == ["keep"]
    assert tree.get("/keep/f") == b"data"


def test_mkdir_p(mnt, tree):
    deep = "/".join(f"level{n}" for n in range(20))
    run("mkdir", "-p", deep, cwd=mnt)
    run("mkdir", "-p", deep, cwd=mnt)
    assert tree.exists(f"/{deep}").cversion == 2
    write(mnt / deep / "f", b"deep")
    assert tree.get(f"/{deep}/f") == b"deep"


def test_unlink_and_rmdir_delete_exactly_one_znode(mnt, tree):
    tree.create("/d/f", b"data")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(mnt / "d")
    with fails_with(errno.EISDIR):
        os.unlink(mnt / "d")
    with fails_with(errno.ENOTDIR):
        os.rmdir(mnt / "d" / "f")
    with fails_with(errno.ENOENT):
        os.unlink(mnt / "d" / "none")
    with fails_with(errno.ENOENT):
        os.rmdir(mnt / "none")
    os.unlink(mnt / "d" / "f")
    os.rmdir(mnt / "d")
    assert tree.children() == []


def test_rmdir_of_a_directory_that_was_filled_elsewhere(mnt, tree):
    os.mkdir(mnt / "d")
    assert names(mnt / "d") == []
    tree.create("/d/f", b"data")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(mnt / "d")
    assert tree.get("/d/f") == b"data"


def test_unlink_of_a_file_that_became_a_directory_elsewhere(mnt, tree):
    tree.create("/f", b"data")
    assert read(mnt / "f") == b"data"
    tree.create("/f/child", b"below")
    with fails_with(errno.ENOTEMPTY, errno.EISDIR):
        os.unlink(mnt / "f")
    assert tree.get("/f/child") == b"below"


def test_unlink_of_a_file_that_became_an_empty_directory_elsewhere(mnt, tree):
    tree.create("/f", b"")
    os.stat(mnt / "f")
    tree.create("/f/x", b"")
    tree.delete("/f/x")
    tree.set("/f", b"data of a directory")
    with fails_with(errno.EISDIR, errno.ENOENT):
        os.unlink(mnt / "f")
    assert tree.get("/f") == b"data of a directory"
    assert os.path.isdir(mnt / "f")


@pytest.mark.parametrize("data", [b"", b"data"])
def test_rmdir_of_a_directory_that_became_a_file_elsewhere(mnt, tree, data):
    tree.create("/d/x", b"")
    os.listdir(mnt / "d")
    os.stat(mnt / "d")
    tree.delete_tree("/d")
    tree.create("/d", data)
    with fails_with(errno.ENOTDIR):
        os.rmdir(mnt / "d")
    assert tree.exists("/d")
    assert os.path.isfile(mnt / "d")


def test_unlink_of_a_file_that_was_written_elsewhere(mnt, tree):
    tree.create("/f", b"old")
    os.stat(mnt / "f")
    tree.set("/f", b"new")
    os.unlink(mnt / "f")
    assert not tree.exists("/f")


def test_rmdir_with_a_child_that_is_not_shown(mnt, tree):
    tree.create("/d/.lock", b"")
    assert names(mnt / "d") == []
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(mnt / "d")


def test_unlink_of_what_was_deleted_elsewhere(mnt, tree):
    tree.create("/f", b"data")
    assert read(mnt / "f") == b"data"
    tree.delete("/f")
    with fails_with(errno.ENOENT):
        os.unlink(mnt / "f")


def test_a_directory_deleted_elsewhere_while_somebody_is_in_it(mnt, tree):
    os.mkdir(mnt / "d")
    fd = os.open(mnt / "d", os.O_RDONLY)
    tree.delete("/d")
    wait_for(lambda: not exists(mnt / "d"), 5)
    try:
        assert os.listdir(fd) == []
    except OSError as error:
        assert error.errno in (errno.ENOENT, errno.ESTALE)
    os.close(fd)


def test_find_by_type(mnt, tree):
    tree.create("/d/f", b"data")
    os.mkdir(mnt / "d" / "e")
    assert run("find", ".", "-type", "f", cwd=mnt).stdout == "./d/f\n"
    assert sorted(run("find", ".", "-type", "d", cwd=mnt).stdout.split()) == [".", "./d", "./d/e"]
    assert run("find", ".", "-empty", cwd=mnt).stdout == "./d/e\n"


def test_statuses_of_names_that_are_asked_for_again_and_again(mnt, tree):
    """Absence is cached, and ends when the znode comes."""
    for _ in range(3):
        for n in range(20):
            assert not exists(mnt / f"f{n}")
    for n in range(20):
        tree.create(f"/f{n}", b"%d" % n)
        wait_equal(lambda n=n: read(mnt / f"f{n}"), b"%d" % n, 5)


def test_many_directories_made_and_removed(mnt, tree):
    for n in range(50):
        os.mkdir(mnt / f"d{n}")
    assert len(names(mnt.path)) == 50
    for n in range(50):
        os.rmdir(mnt / f"d{n}")
    assert tree.children() == []


@pytest.mark.parametrize("flags", ["-l", "-la", "-lR", "-i"])
def test_ls_has_nothing_to_complain_about(mnt, tree, flags):
    tree.create("/d/f", b"data")
    tree.create("/d/e", None)
    assert run("ls", flags, mnt.path).stderr == ""
