"""rename(2): files onto names and onto files, directories whole, and the flags of renameat2(2)."""

import errno
import os
import threading
import time

import pytest

from support.files import (
    RENAME_EXCHANGE, RENAME_NOREPLACE, exists, fails_with, read, renameat2, write,
)
from support.waiting import SCALE, run, wait_equal, wait_for


def test_a_file_to_a_new_name_is_one_transaction(mnt, tree):
    tree.create("/old", b"data")
    os.rename(mnt / "old", mnt / "new")
    assert tree.children() == ["new"]
    assert tree.get("/new") == b"data"
    assert tree.version("/new") == 0
    assert tree.stat("/new").czxid == tree.stat("/").pzxid
    assert read(mnt / "new") == b"data"
    assert not exists(mnt / "old")


def test_a_file_to_another_directory(mnt, mnt2, tree):
    tree.create("/a/f", b"data")
    tree.create("/b/x", b"")
    assert read(mnt2 / "a" / "f") == b"data"
    os.rename(mnt / "a" / "f", mnt / "b" / "g")
    assert tree.children("/a") == []
    assert tree.children("/b") == ["g", "x"]
    wait_for(lambda: not exists(mnt2 / "a" / "f"), 5)
    wait_equal(lambda: read(mnt2 / "b" / "g"), b"data", 5)
    assert os.path.isdir(mnt / "a")


def test_onto_a_file_the_targets_znode_lives_on(mnt, mnt2, tree):
    tree.create("/target", b"old")
    tree.create("/source", b"new")
    before = tree.stat("/target")
    events = tree.watch("/target")
    assert read(mnt2 / "target") == b"old"
    os.rename(mnt / "source", mnt / "target")
    assert events.get(timeout=5) == "CHANGED"
    after = tree.stat("/target")
    assert (after.czxid, after.version) == (before.czxid, before.version + 1)
    assert tree.get("/target") == b"new"
    assert tree.children() == ["target"]
    assert read(mnt / "target") == b"new"
    wait_equal(lambda: read(mnt2 / "target"), b"new", 5)


def test_onto_a_file_the_source_goes_in_the_same_transaction(mnt, tree):
    tree.create("/target", b"old")
    tree.create("/source", b"new")
    os.rename(mnt / "source", mnt / "target")
    assert tree.stat("/target").mzxid == tree.stat("/").pzxid


def test_the_target_is_what_is_written_afterwards(mnt, tree):
    tree.create("/target", b"old")
    tree.create("/source", b"new")
    czxid = tree.stat("/target").czxid
    os.rename(mnt / "source", mnt / "target")
    write(mnt / "target", b"newer")
    assert tree.get("/target") == b"newer"
    assert tree.stat("/target").czxid == czxid
    tree.set("/target", b"from elsewhere")
    wait_equal(lambda: read(mnt / "target"), b"from elsewhere", 5)


def test_an_uncommitted_source_is_committed_first(mnt, tree):
    fd = os.open(mnt / "tmp", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"data")
    os.rename(mnt / "tmp", mnt / "f")
    assert tree.get("/f") == b"data"
    assert tree.children() == ["f"]
    os.close(fd)
    assert tree.get("/f") == b"data"
    assert tree.children() == ["f"]


def test_an_uncommitted_change_goes_along(mnt, tree):
    tree.create("/a", b"old")
    tree.create("/b", b"other")
    fd = os.open(mnt / "a", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"new")
    os.rename(mnt / "a", mnt / "b")
    assert tree.get("/b") == b"new"
    os.close(fd)
    assert tree.get("/b") == b"new"
    assert tree.children() == ["b"]


def test_a_handle_follows_its_file_to_the_new_name(mnt, tree):
    tree.create("/a", b"old")
    fd = os.open(mnt / "a", os.O_RDWR)
    os.rename(mnt / "a", mnt / "b")
    os.pwrite(fd, b"new", 0)
    os.close(fd)
    assert tree.get("/b") == b"new"
    assert tree.children() == ["b"]


def test_a_writer_of_the_replaced_target_does_not_touch_the_new_one(mnt, tree):
    """As on every file system: the old file is gone, and what is written into it too."""
    tree.create("/target", b"old")
    tree.create("/source", b"new")
    fd = os.open(mnt / "target", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"lost")
    os.rename(mnt / "source", mnt / "target")
    try:
        os.close(fd)
    except OSError as error:
        assert error.errno == errno.ESTALE
    assert tree.get("/target") == b"new"


@pytest.mark.parametrize("flags", [os.O_APPEND, 0])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handle_follows_its_file_with_the_directory(mnt, tree, flags, when):
    tree.create("/d/e/f", b"old")
    fd = os.open(mnt / "d" / "e" / "f", os.O_WRONLY | flags)
    if when == "before":
        os.write(fd, b"new")
    os.rename(mnt / "d", mnt / "moved")
    if when == "after":
        os.write(fd, b"new")
    os.close(fd)
    assert tree.get("/moved/e/f") == (b"oldnew" if flags else b"new")


def test_a_handle_of_data_follows_its_directory(mnt, tree):
    tree.create("/d", b"old")
    tree.create("/d/x", b"")
    fd = os.open(mnt / "d" / ".data", os.O_WRONLY | os.O_APPEND)
    os.rename(mnt / "d", mnt / "moved")
    os.write(fd, b"new")
    os.close(fd)
    assert tree.get("/moved") == b"oldnew"


@pytest.mark.parametrize("target", [True, False])
def test_a_handle_that_was_overtaken_does_not_catch_up_by_a_rename(mnt, tree, target):
    tree.create("/a", b"old")
    if target:
        tree.create("/b", b"other")
    fd = os.open(mnt / "a", os.O_WRONLY)
    tree.set("/a", b"theirs")
    os.rename(mnt / "a", mnt / "b")
    os.write(fd, b"mine")
    with fails_with(errno.ESTALE):
        os.close(fd)
    assert tree.get("/b") == b"theirs"


def test_an_append_that_was_overtaken_follows_the_rename(mnt, tree):
    tree.create("/a", b"0\n")
    fd = os.open(mnt / "a", os.O_WRONLY | os.O_APPEND)
    tree.set("/a", b"0\ntheirs\n")
    os.rename(mnt / "a", mnt / "b")
    os.write(fd, b"mine\n")
    os.close(fd)
    assert tree.get("/b") == b"0\ntheirs\nmine\n"


def test_a_renamed_handle_does_not_write_into_a_later_namesake(mnt, tree):
    tree.create("/d/f", b"old")
    fd = os.open(mnt / "d" / "f", os.O_WRONLY)
    os.rename(mnt / "d", mnt / "e")
    tree.delete("/e/f")
    tree.create("/e/f", b"another")
    os.write(fd, b"mine")
    with fails_with(errno.ESTALE):
        os.close(fd)
    assert tree.get("/e/f") == b"another"


def test_rename_and_change_at_once(mnt, tree):
    """The open finds the znode under the new name, not what was known of the old one."""
    for n in range(40):
        tree.create(f"/a{n}", b"one")
        os.stat(mnt / f"a{n}")
        write(mnt / f"a{n}", b"two", os.O_TRUNC)
        os.rename(mnt / f"a{n}", mnt / f"b{n}")
        write(mnt / f"b{n}", b"X", 0)
        assert tree.get(f"/b{n}") == b"Xwo"


def test_exchange_of_open_files(mnt, tree):
    """What was written goes along with each, and what comes too."""
    tree.create("/a", b"A")
    tree.create("/b", b"B")
    a, b = (os.open(mnt / name, os.O_WRONLY | os.O_APPEND) for name in "ab")
    os.write(a, b"1")
    os.write(b, b"1")
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    assert (tree.get("/a"), tree.get("/b")) == (b"B1", b"A1")
    os.write(a, b"2")
    os.write(b, b"2")
    os.close(a)
    os.close(b)
    assert (tree.get("/a"), tree.get("/b")) == (b"B12", b"A12")


def test_exchange_of_directories_with_open_files(mnt, tree):
    tree.create("/a/one", b"1")
    tree.create("/b/two", b"2")
    files = [os.open(mnt / path, os.O_RDWR) for path in ("a/one", "b/two")]
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    for fd in files:
        os.write(fd, b"new")
        os.close(fd)
    assert (tree.get("/a/two"), tree.get("/b/one")) == (b"new", b"new")


def test_exchange_with_a_file_that_is_not_committed_yet(mnt, tree):
    tree.create("/a", b"A")
    fd = os.open(mnt / "b", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"B")
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    os.close(fd)
    assert (tree.get("/a"), tree.get("/b")) == (b"B", b"A")


@pytest.fixture
def busy():
    """Calls functions over and over in threads of their own; .errors is what they raised."""

    class Busy:
        def __init__(self):
            self.errors = []
            self.stop = threading.Event()
            self.threads = []

        def repeat(self, call):
            while not self.stop.is_set() and not self.errors:
                try:
                    call()
                except OSError as error:
                    self.errors.append(error)

        def start(self, *calls):
            for call in calls:
                thread = threading.Thread(target=self.repeat, args=[call], daemon=True)
                self.threads.append(thread)
                thread.start()

        def end(self):
            self.stop.set()
            for thread in self.threads:
                thread.join()

    busy = Busy()
    yield busy
    busy.end()


def rename_to_and_fro(a, b, busy, seconds=2):
    """Ends early with the first error of what is done meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not busy.errors:
        os.rename(a, b)
        os.rename(b, a)


def test_stat_of_an_open_file_while_it_is_renamed(mnt, tree, busy):
    """The answer to what was asked under the old name says nothing of the file."""
    tree.create("/a", b"x")
    fd = os.open(mnt / "a", os.O_RDONLY)
    busy.start(*[lambda: os.fstat(fd)] * 3)
    rename_to_and_fro(mnt / "a", mnt / "b", busy)
    assert not busy.errors


def test_names_below_a_directory_while_it_is_renamed(mnt, tree, busy):
    tree.create("/a/d/f", b"x")
    fd = os.open(mnt / "a" / "d", os.O_RDONLY | os.O_DIRECTORY)
    busy.start(lambda: os.stat("f", dir_fd=fd), lambda: os.listdir(fd))
    rename_to_and_fro(mnt / "a", mnt / "b", busy)
    assert not busy.errors


@pytest.mark.parametrize("flags", [os.O_APPEND, 0, os.O_TRUNC])
def test_writing_a_file_while_it_is_renamed(mnt, tree, busy, flags):
    tree.create("/a", b"")
    written = []

    def append():
        try:
            fd = os.open(mnt / "a", os.O_WRONLY | flags)
        except FileNotFoundError:
            return
        os.write(fd, b"x")
        os.close(fd)
        written.append(b"x")

    busy.start(append)
    rename_to_and_fro(mnt / "a", mnt / "b", busy)
    busy.end()
    assert not busy.errors
    assert tree.get("/a") == (b"".join(written) if flags == os.O_APPEND else b"x")


def test_fsync_of_a_file_while_it_is_renamed(mnt, tree, busy):
    tree.create("/d/a", b"")
    fd = os.open(mnt / "d" / "a", os.O_WRONLY | os.O_APPEND)
    written = []

    def append():
        os.write(fd, b"x")
        os.fsync(fd)
        written.append(b"x")

    busy.start(append)
    rename_to_and_fro(mnt / "d", mnt / "e", busy)
    busy.end()
    assert not busy.errors
    os.close(fd)
    assert tree.get("/d/a") == b"".join(written)


def test_noreplace(mnt, tree):
    tree.create("/a", b"a")
    tree.create("/b", b"b")
    with fails_with(errno.EEXIST):
        renameat2(mnt / "a", mnt / "b", RENAME_NOREPLACE)
    assert (tree.get("/a"), tree.get("/b")) == (b"a", b"b")
    renameat2(mnt / "a", mnt / "c", RENAME_NOREPLACE)
    assert tree.children() == ["b", "c"]


def test_noreplace_onto_a_file_that_was_made_elsewhere(mnt, tree):
    tree.create("/a", b"a")
    assert not exists(mnt / "b")
    tree.create("/b", b"theirs")
    with fails_with(errno.EEXIST):
        renameat2(mnt / "a", mnt / "b", RENAME_NOREPLACE)
    assert tree.get("/b") == b"theirs"


def test_exchange_of_files(mnt, mnt2, tree):
    tree.create("/a", b"a")
    tree.create("/b", b"was b")
    assert read(mnt2 / "a") == b"a"
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    assert (tree.get("/a"), tree.get("/b")) == (b"was b", b"a")
    assert (read(mnt / "a"), read(mnt / "b")) == (b"was b", b"a")
    assert tree.stat("/a").mzxid == tree.stat("/b").mzxid
    wait_equal(lambda: read(mnt2 / "a"), b"was b", 5)


def test_exchange_of_directories(mnt, tree):
    tree.create("/a/one", b"1")
    tree.create("/b/two", b"2")
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    assert (tree.children("/a"), tree.children("/b")) == (["two"], ["one"])
    assert read(mnt / "a" / "two") == b"2"


def test_exchange_needs_both(mnt, tree):
    tree.create("/a", b"a")
    with fails_with(errno.ENOENT):
        renameat2(mnt / "a", mnt / "none", RENAME_EXCHANGE)
    assert tree.get("/a") == b"a"


def test_a_directory_moves_whole_in_one_transaction(mnt, mnt2, tree):
    tree.create("/d", b"own data")
    for path, data in {"/d/f": b"1", "/d/e/g": b"2", "/d/e/h/i": b"3", "/d/null": None}.items():
        tree.create(path, data)
    os.mkdir(mnt / "d" / "empty")
    assert read(mnt2 / "d" / "f") == b"1"
    os.rename(mnt / "d", mnt / "moved")
    assert tree.children() == ["moved"]
    assert tree.children("/moved") == ["e", "empty", "f", "null"]
    assert tree.get("/moved") == b"own data"
    assert tree.get("/moved/e/h/i") == b"3"
    paths = ["/moved", "/moved/f", "/moved/e/h/i", "/moved/empty"]
    assert len({tree.stat(path).czxid for path in paths}) == 1
    for name in ("moved", "moved/empty", "moved/e", "moved/null"):
        assert os.path.isdir(mnt / name)
    assert read(mnt / "moved" / ".data") == b"own data"
    wait_equal(lambda: read(mnt2 / "moved" / "e" / "g"), b"2", 5)
    wait_for(lambda: not exists(mnt2 / "d"), 5)
    assert not exists(mnt / "d")


def test_an_empty_directory_stays_one_in_its_new_place(mounts, tree):
    mnt = mounts()
    os.mkdir(mnt / "d")
    os.rename(mnt / "d", mnt / "e")
    assert tree.children("/e") == []
    assert os.path.isdir(mnt / "e")
    mnt.umount()
    assert os.path.isdir(mounts() / "e")


def test_a_directory_onto_an_empty_one(mnt, tree):
    tree.create("/a/f", b"data")
    os.mkdir(mnt / "b")
    os.rename(mnt / "a", mnt / "b")
    assert tree.children() == ["b"]
    assert tree.children("/b") == ["f"]


def test_a_directory_onto_one_that_is_not_empty(mnt, tree):
    tree.create("/a/f", b"data")
    tree.create("/b/g", b"data")
    os.mkdir(mnt / "c")
    write(mnt / "c" / ".data", b"own data")
    for name in ("b", "c"):
        with fails_with(errno.ENOTEMPTY, errno.EEXIST):
            os.rename(mnt / "a", mnt / name)
    assert tree.children("/a") == ["f"]


def test_into_a_directory_that_was_deleted_elsewhere(mounts, tree):
    mnt = mounts("op_timeout=60000")
    tree.create("/f", b"data")
    tree.create("/d", None)
    assert os.listdir(mnt / "d") == []
    tree.delete("/d")
    start = time.monotonic()
    with fails_with(errno.ENOENT):
        os.rename(mnt / "f", mnt / "d" / "f")
    assert time.monotonic() - start < 5 * SCALE
    assert tree.get("/f") == b"data"


def test_files_and_directories_do_not_replace_each_other(mnt, tree):
    tree.create("/f", b"data")
    os.mkdir(mnt / "d")
    with fails_with(errno.EISDIR):
        os.rename(mnt / "f", mnt / "d")
    with fails_with(errno.ENOTDIR):
        os.rename(mnt / "d", mnt / "f")
    with fails_with(errno.EINVAL):
        os.rename(mnt / "d", mnt / "d" / "below")
    with fails_with(errno.ENOENT):
        os.rename(mnt / "none", mnt / "f")
    assert tree.get("/f") == b"data"


@pytest.fixture
def big_directory(tree):
    """More than one transaction can carry."""
    for n in range(3):
        tree.create(f"/big/f{n}", bytes([97 + n]) * 500_000)


def test_a_directory_that_does_not_fit_is_exdev(mnt, tree, big_directory):
    with fails_with(errno.EXDEV):
        os.rename(mnt / "big", mnt / "moved")
    assert tree.children() == ["big"]
    assert tree.children("/big") == ["f0", "f1", "f2"]


def test_mv_copies_a_directory_that_does_not_fit(mnt, tree, big_directory):
    run("mv", "big", "moved", cwd=mnt)
    assert tree.children() == ["moved"]
    assert tree.get("/moved/f2") == b"c" * 500_000


def test_mv_of_a_file_and_of_a_directory(mnt, tree):
    tree.create("/d/f", b"data")
    run("mv", "d/f", "g", cwd=mnt)
    run("mv", "g", "d/h", cwd=mnt)
    run("mv", "d", "e", cwd=mnt)
    assert tree.children() == ["e"]
    assert tree.children("/e") == ["h"]


def test_rename_of_data_moves_the_bytes_or_is_refused(mnt, tree):
    """A directory's own data is no znode of its own."""
    os.mkdir(mnt / "d")
    write(mnt / "d" / ".data", b"own data")
    try:
        os.rename(mnt / "d" / ".data", mnt / "f")
    except OSError:
        assert tree.get("/d") == b"own data"
        assert not tree.exists("/f")
    else:
        assert tree.get("/f") == b"own data"
        assert not tree.get("/d")


def test_an_ephemeral_of_another_session_is_not_turned_into_a_lasting_node(mnt, tree):
    tree.create("/e", b"data", ephemeral=True)
    try:
        os.rename(mnt / "e", mnt / "f")
    except OSError:
        assert tree.get("/e") == b"data"
    else:
        assert tree.stat("/f").ephemeralOwner != 0
