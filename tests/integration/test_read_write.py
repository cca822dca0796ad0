"""Reading and writing: the bytes, who sees them when, truncation, touch, and handles that lose."""

import errno
import mmap
import os

import pytest

from support.files import exists, fails_with, fallocate, read, read_rest, write
from support.waiting import run, sh, wait_equal, wait_for

EVERY_BYTE = bytes(range(256))


def test_cat_shows_what_another_client_wrote(mnt, tree):
    for name, data in {"text": b"hello\n", "bare": b"no newline", "bytes": EVERY_BYTE}.items():
        tree.create(f"/{name}", data)
        assert read(mnt / name) == data
    assert run("cat", mnt / "text").stdout == "hello\n"


def test_what_is_written_is_seen_by_another_client_at_once(mnt, tree):
    for name, data in {"text": b"hello\n", "bare": b"no newline", "bytes": EVERY_BYTE}.items():
        write(mnt / name, data)
        assert tree.get(f"/{name}") == data
        assert tree.version(f"/{name}") == 0


def test_a_shorter_value_replaces_a_longer_one(mnt, tree):
    tree.create("/f", b"a long old value")
    assert read(mnt / "f") == b"a long old value"
    write(mnt / "f", b"new")
    assert tree.get("/f") == b"new"
    assert read(mnt / "f") == b"new"
    assert tree.version("/f") == 1


def test_empty_file(mnt, tree):
    sh(": > new", cwd=mnt)
    assert tree.get("/new") == b""
    assert tree.version("/new") == 0
    assert read(mnt / "new") == b""
    tree.create("/old", b"old")
    sh(": > old", cwd=mnt)
    wait_for(lambda: tree.version("/old") == 1)
    assert tree.get("/old") == b""


def test_change_in_place_is_one_version(mnt, tree):
    tree.create("/f", b"0123456789")
    with open(mnt / "f", "r+b", buffering=0) as f:
        f.seek(3)
        f.write(b"abc")
        f.seek(8)
        f.write(b"XYZ")
    assert tree.get("/f") == b"012abc67XYZ"
    assert tree.version("/f") == 1


def test_a_hole_reads_as_zeros(mnt, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.pwrite(fd, b"end", 10)
    os.close(fd)
    assert tree.get("/f") == bytes(10) + b"end"
    assert read(mnt / "f") == bytes(10) + b"end"


def test_writes_of_many_sizes_at_odd_offsets(mnt, tree):
    expected = bytearray(40000)
    fd = os.open(mnt / "f", os.O_RDWR | os.O_CREAT)
    pieces = [(0, 1), (4095, 2), (1, 8191), (20000, 20000), (12345, 7)]
    for n, (offset, length) in enumerate(pieces):
        piece = bytes([n + 1]) * length
        expected[offset : offset + length] = piece
        os.pwrite(fd, piece, offset)
    assert os.pread(fd, 50000, 0) == bytes(expected)
    os.close(fd)
    assert tree.get("/f") == bytes(expected)
    assert tree.version("/f") == 0


@pytest.mark.parametrize("length", [0, 3, 20])
def test_truncate_by_name_is_one_version(mnt, tree, length):
    tree.create("/f", b"0123456789")
    os.truncate(mnt / "f", length)
    assert tree.get("/f") == b"0123456789"[:length].ljust(length, b"\0")
    assert tree.version("/f") == 1
    assert os.stat(mnt / "f").st_size == length
    assert len(read(mnt / "f")) == length


def test_open_for_reading_with_truncation_truncates(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_RDONLY | os.O_TRUNC)
    assert os.read(fd, 10) == b""
    os.close(fd)
    assert tree.get("/f") == b""
    assert tree.version("/f") == 1
    os.close(os.open(mnt / "new", os.O_RDONLY | os.O_CREAT | os.O_TRUNC))
    assert tree.version("/new") == 0


def test_truncate_of_an_open_file_counts_with_its_writes(mnt, tree):
    tree.create("/f", b"0123456789")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.ftruncate(fd, 4)
    assert tree.version("/f") == 0
    os.pwrite(fd, b"X", 6)
    os.close(fd)
    assert tree.get("/f") == b"0123\0\0X"
    assert tree.version("/f") == 1


def test_truncate_to_the_same_length_by_handle_then_nothing(mnt, tree):
    write(mnt / "f", b"")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.ftruncate(fd, 5)
    os.ftruncate(fd, 2)
    os.close(fd)
    assert tree.get("/f") == b"\0\0"
    assert tree.version("/f") == 1


def test_a_change_made_elsewhere_is_read_soon(mnt, tree):
    tree.create("/f", b"one")
    assert read(mnt / "f") == b"one"
    for value in (b"second value", b"3", b"", b"fifth"):
        tree.set("/f", value)
        wait_equal(lambda: read(mnt / "f"), value, 5)
        assert os.stat(mnt / "f").st_size == len(value)


def test_a_write_on_one_mount_is_read_on_the_other(mnt, mnt2):
    write(mnt / "f", b"one")
    wait_equal(lambda: read(mnt2 / "f"), b"one", 5)
    write(mnt2 / "f", b"two and more")
    wait_equal(lambda: read(mnt / "f"), b"two and more", 5)


def test_a_handle_kept_open_follows_the_newest_version(mnt, tree):
    tree.create("/f", b"one")
    fd = os.open(mnt / "f", os.O_RDONLY)
    assert os.pread(fd, 100, 0) == b"one"
    tree.set("/f", b"a longer second")
    wait_equal(lambda: os.pread(fd, 100, 0), b"a longer second", 5)
    tree.set("/f", b"3")
    wait_equal(lambda: os.pread(fd, 100, 0), b"3", 5)
    os.close(fd)


def test_an_o_direct_handle_is_a_snapshot(mnt, tree):
    tree.create("/f", b"one")
    fd = os.open(mnt / "f", os.O_RDONLY | os.O_DIRECT)
    assert os.pread(fd, 100, 0) == b"one"
    tree.set("/f", b"a longer second")
    wait_equal(lambda: read(mnt / "f"), b"a longer second", 5)
    assert os.pread(fd, 100, 0) == b"one"
    os.close(fd)


@pytest.mark.parametrize("flag", ["O_DIRECT", "O_SYNC"])
def test_a_synced_open_reads_what_was_written_before_it(ensemble, mounts, place, flag):
    """Whichever server the mount is at, and however far that is behind."""
    from support.tree import connect, disconnect

    kz = connect(ensemble.leader().hosts)
    kz.create(f"/{place.name}", b"")
    kz.create(f"/{place.name}/f", b"0")
    mnt = mounts(hosts=f"{ensemble.followers()[0].hosts}/{place.name}")
    for n in range(1, 50):
        kz.set(f"/{place.name}/f", b"%d" % n)
        assert read(mnt / "f", getattr(os, flag)) == b"%d" % n
    disconnect(kz)


def test_nobody_sees_what_is_not_yet_closed(mnt, mnt2, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"half of")
    assert tree.get("/f") == b"old"
    assert read(mnt / "f") == b"old"
    assert read(mnt2 / "f") == b"old"
    assert run("cat", mnt / "f").stdout == "old"
    os.write(fd, b" it")
    os.close(fd)
    assert tree.get("/f") == b"half of it"
    assert read(mnt / "f") == b"half of it"
    wait_equal(lambda: read(mnt2 / "f"), b"half of it", 5)


def test_a_writer_reads_its_own_bytes_before_it_closes(mnt, tree):
    tree.create("/f", b"0123456789")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.pwrite(fd, b"AB", 2)
    assert os.pread(fd, 100, 0) == b"01AB456789"
    os.pwrite(fd, b"tail", 10)
    assert os.pread(fd, 100, 0) == b"01AB456789tail"
    os.close(fd)
    assert tree.get("/f") == b"01AB456789tail"


def test_seek_end_tells_the_writer_its_own(mnt, tree):
    tree.create("/f", b"0123456789")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.pwrite(fd, b"x" * 90, 10)
    assert os.lseek(fd, 0, os.SEEK_END) == 100
    os.write(fd, b"end")
    os.close(fd)
    assert tree.get("/f") == b"0123456789" + b"x" * 90 + b"end"


def test_a_new_file_is_not_there_for_others_until_it_is_closed(mnt, mnt2, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"whole")
    assert not tree.exists("/f")
    assert not exists(mnt2 / "f")
    os.close(fd)
    assert tree.get("/f") == b"whole"
    assert tree.version("/f") == 0
    wait_equal(lambda: read(mnt2 / "f"), b"whole", 5)


def test_fsync_commits_early(mnt, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"one")
    os.fsync(fd)
    assert tree.get("/f") == b"one"
    assert tree.version("/f") == 0
    os.write(fd, b" two")
    assert tree.get("/f") == b"one"
    os.close(fd)
    assert tree.get("/f") == b"one two"
    assert tree.version("/f") == 1


def test_fsync_then_close_is_still_one_version(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"new")
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    assert tree.get("/f") == b"new"
    assert tree.version("/f") == 1


def test_opening_for_writing_and_writing_nothing_changes_nothing(mnt, tree):
    tree.create("/f", b"same")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDWR | os.O_CREAT):
        os.close(os.open(mnt / "f", flags))
    assert tree.version("/f") == 0


def test_touch_writes_the_same_bytes_again(mnt, tree):
    tree.create("/f", b"same")
    events = tree.watch("/f")
    run("touch", mnt / "f")
    assert events.get(timeout=5) == "CHANGED"
    assert tree.get("/f") == b"same"
    assert tree.version("/f") == 1


def test_touch_of_an_open_file_that_was_written_is_part_of_its_close(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.write(fd, b"n")
    os.utime(fd)
    os.close(fd)
    assert tree.get("/f") == b"nld"
    assert tree.version("/f") == 1


def test_touch_by_another_process_does_not_overtake_a_writer(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.write(fd, b"n")
    run("touch", mnt / "f")
    assert tree.version("/f") == 1
    os.close(fd)
    assert tree.get("/f") == b"nld"


def test_touch_and_truncate_of_a_new_file_that_a_reader_has_open_too(mnt, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"data")
    reader = os.open(mnt / "f", os.O_RDONLY)
    os.utime(mnt / "f")
    os.truncate(mnt / "f", 2)
    os.close(reader)
    os.close(fd)
    assert tree.get("/f") == b"da"


def test_touch_makes_an_empty_file(mnt, tree):
    run("touch", mnt / "f")
    assert tree.get("/f") == b""
    assert tree.version("/f") == 0
    assert os.path.isfile(mnt / "f")


def test_touch_of_a_directory_changes_nothing(mnt, tree):
    os.mkdir(mnt / "d")
    before = tree.stat("/d")
    run("touch", mnt / "d")
    run("touch", mnt.path)
    assert tree.stat("/d") == before
    assert not tree.children("/d")


def test_of_two_writers_that_truncate_the_last_wins(mnt, mnt2, tree):
    tree.create("/f", b"old")
    first = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    second = os.open(mnt2 / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(first, b"first to open")
    os.write(second, b"second")
    os.close(second)
    assert tree.get("/f") == b"second"
    os.close(first)
    assert tree.get("/f") == b"first to open"
    assert tree.version("/f") == 2


def test_two_creators_of_one_file_lose_nothing_but_the_race(mnt, mnt2, tree):
    first = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    second = os.open(mnt2 / "f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(first, b"first")
    os.write(second, b"second")
    os.close(first)
    assert tree.get("/f") == b"first"
    os.close(second)
    assert tree.get("/f") == b"second"


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY, os.O_WRONLY | os.O_APPEND])
def test_a_creator_that_wrote_nothing_keeps_what_another_mount_wrote(mnt, mnt2, tree, flags):
    """open(O_CREAT) without O_TRUNC wants no more than that the file is there."""
    first = os.open(mnt / "f", flags | os.O_CREAT)
    second = os.open(mnt2 / "f", flags | os.O_CREAT)
    os.write(first, b"data")
    os.close(first)
    os.close(second)
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 0


def test_a_second_opener_that_wrote_nothing_keeps_what_the_creator_wrote(mnt, tree):
    first = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    second = os.open(mnt / "f", os.O_RDWR)
    os.write(first, b"data")
    os.fsync(first)
    os.close(second)
    os.close(first)
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 0


@pytest.mark.parametrize("commit", [os.close, os.fsync], ids=["close", "fsync"])
def test_a_change_in_place_of_an_overtaken_version_is_refused(mnt, tree, commit):
    tree.create("/f", b"0123456789")
    fd = os.open(mnt / "f", os.O_RDWR)
    assert os.read(fd, 4) == b"0123"
    os.pwrite(fd, b"mine", 0)
    tree.set("/f", b"theirs")
    with fails_with(errno.ESTALE):
        commit(fd)
    assert tree.get("/f") == b"theirs"
    assert tree.version("/f") == 1
    if commit is os.fsync:
        try:
            os.close(fd)
        except OSError:
            pass
    assert tree.get("/f") == b"theirs"


def test_a_refusal_is_told_though_the_process_has_the_file_open_on_another_mount(mnt, mnt2, tree):
    """There it has the same inode number, but is another file to the kernel."""
    tree.create("/f", b"0123456789")
    fd = os.open(mnt / "f", os.O_RDWR)
    other = os.open(mnt2 / "f", os.O_RDWR)
    os.pwrite(fd, b"mine", 0)
    tree.set("/f", b"theirs")
    with fails_with(errno.ESTALE):
        os.close(fd)
    os.close(other)
    assert tree.get("/f") == b"theirs"


def test_changes_in_place_one_after_the_other_through_one_handle(mnt, tree):
    """The handle's own commits are no conflict."""
    tree.create("/f", b"0000")
    fd = os.open(mnt / "f", os.O_RDWR)
    for n in range(4):
        os.pwrite(fd, b"1", n)
        os.fsync(fd)
    os.close(fd)
    assert tree.get("/f") == b"1111"
    assert tree.version("/f") == 4


def test_unlinking_an_uncommitted_file_cancels_its_create(mnt, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"never to be seen")
    os.unlink(mnt / "f")
    os.close(fd)
    assert not tree.exists("/f")
    assert not exists(mnt / "f")


def test_a_handle_of_a_file_unlinked_here_is_dropped_silently(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.write(fd, b"new")
    os.unlink(mnt / "f")
    assert not tree.exists("/f")
    os.close(fd)
    assert not tree.exists("/f")


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY | os.O_TRUNC], ids=["in-place", "trunc"])
def test_a_handle_of_a_file_deleted_elsewhere_is_stale(mnt, tree, flags):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", flags)
    os.write(fd, b"new")
    tree.delete("/f")
    with fails_with(errno.ESTALE):
        os.close(fd)
    assert not tree.exists("/f")


def test_a_handle_never_writes_into_a_later_namesake(mnt, tree):
    tree.create("/f", b"old")
    number = os.stat(mnt / "f").st_ino
    fd = os.open(mnt / "f", os.O_RDWR)
    os.write(fd, b"new")
    tree.delete("/f")
    tree.create("/f", b"old")  # at version 0, as the other was
    wait_for(lambda: os.stat(mnt / "f").st_ino != number, 5, "the namesake to be seen here")
    with fails_with(errno.ESTALE):
        os.close(fd)
    assert tree.get("/f") == b"old"


def test_a_create_whose_parent_went_away_fails_at_close(mnt, tree):
    tree.create("/d/other", b"")
    fd = os.open(mnt / "d" / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"data")
    tree.delete_tree("/d")
    with fails_with(errno.ENOENT, errno.ESTALE):
        os.close(fd)
    assert not tree.exists("/d")


def test_reading_a_file_deleted_elsewhere_ends(mnt, tree):
    tree.create("/f", b"old")
    assert read(mnt / "f") == b"old"
    tree.delete("/f")
    wait_for(lambda: not exists(mnt / "f"), 5, "the file to go")
    tree.create("/f", b"again")
    wait_equal(lambda: read(mnt / "f"), b"again", 5)


def test_a_file_made_elsewhere_appears_where_there_was_none(mnt, tree):
    assert not exists(mnt / "f")
    assert not exists(mnt / "f")
    tree.create("/f", b"now")
    wait_equal(lambda: read(mnt / "f"), b"now", 5)


def test_wrong_kinds_of_open(mnt, tree):
    tree.create("/d/f", b"data")
    with fails_with(errno.EISDIR):
        os.open(mnt / "d", os.O_WRONLY)
    with fails_with(errno.ENOTDIR):
        os.open(mnt / "d" / "f" / "below", os.O_WRONLY | os.O_CREAT)
    with fails_with(errno.ENOTDIR):
        os.open(mnt / "d" / "f", os.O_RDONLY | os.O_DIRECTORY)
    with fails_with(errno.ENOENT):
        os.open(mnt / "none", os.O_RDONLY)
    with fails_with(errno.ENOENT):
        os.open(mnt / "none" / "f", os.O_WRONLY | os.O_CREAT)


def test_what_znodes_cannot_do_is_refused(mnt, tree):
    tree.create("/f", b"data")
    with fails_with(errno.EPERM):
        os.link(mnt / "f", mnt / "hard")
    with fails_with(errno.EPERM):
        os.symlink("f", mnt / "soft")
    with open(mnt / "f", "r+b") as f:
        with fails_with(errno.EOPNOTSUPP):
            fallocate(f.fileno(), 4096)
        with fails_with(errno.ENODEV):
            mmap.mmap(f.fileno(), 4, flags=mmap.MAP_SHARED, prot=mmap.PROT_WRITE | mmap.PROT_READ)
    assert tree.children() == ["f"]
    assert tree.version("/f") == 0


def test_a_private_mapping_reads(mnt, tree):
    tree.create("/f", b"mapped" * 1000)
    with open(mnt / "f", "rb") as f:
        with mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as view:
            assert view[:] == b"mapped" * 1000


def test_modes_owners_and_times_are_taken_and_not_kept(mnt, tree):
    tree.create("/f", b"data")
    before = os.stat(mnt / "f")
    os.chmod(mnt / "f", 0o600)
    os.chown(mnt / "f", os.geteuid(), os.getegid())
    os.utime(mnt / "f", (1000, 1000))
    after = os.stat(mnt / "f")
    assert after.st_mode == before.st_mode
    assert after.st_mtime_ns == before.st_mtime_ns
    assert tree.version("/f") == 0


def test_many_handles_on_one_file_at_once(mnt, tree):
    tree.create("/f", b"x" * 10000)
    fds = [os.open(mnt / "f", os.O_RDONLY) for _ in range(50)]
    assert all(read_rest(fd) == b"x" * 10000 for fd in fds)
    for fd in fds:
        os.close(fd)


def test_many_files_at_once(mnt, tree):
    fds = [os.open(mnt / f"f{n}", os.O_WRONLY | os.O_CREAT) for n in range(100)]
    for n, fd in enumerate(fds):
        os.write(fd, b"%d" % n)
    for fd in fds:
        os.close(fd)
    assert len(tree.children()) == 100
    assert all(tree.get(f"/f{n}") == b"%d" % n for n in range(100))
    assert all(tree.version(f"/f{n}") == 0 for n in range(100))


def test_a_shell_that_reads_its_own_writes(mnt):
    """No wait between write and read on the same mount, a hundred times."""
    script = "for i in $(seq 100); do echo $i > f; read x < f; [ $x = $i ] || echo $x, not $i; done"
    assert sh(script, cwd=mnt).stdout == ""
