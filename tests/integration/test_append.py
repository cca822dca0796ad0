"""O_APPEND: an atomic append, whoever else appends at the same time."""

import fcntl
import os
import sys

import pytest

from support.files import read
from support.waiting import SCALE, run, sh, wait_equal, wait_for

LOOP = "for i in $(seq {count}); do echo {name}-$i >> f; done"


def appenders(spawn, jobs, count):
    """Runs one shell for each (mount, name), all at once."""
    running = [
        spawn("dash", "-c", LOOP.format(count=count, name=name), cwd=mnt)
        for mnt, name in jobs
    ]
    for process in running:
        assert process.wait(60 * SCALE) == 0


def check_lines(text, names, count):
    """Every line is there once, whole, and each writer's are in their order."""
    lines = text.decode().splitlines()
    for name in names:
        mine = [line for line in lines if line.startswith(name + "-")]
        assert mine == [f"{name}-{i}" for i in range(1, count + 1)]
    assert len(lines) == len(names) * count


@pytest.mark.deadline(120)
def test_two_mounts_appending_100_lines_at_once_lose_none(mnt, mnt2, spawn, tree):
    appenders(spawn, [(mnt, "one"), (mnt2, "two")], 100)
    wait_for(lambda: tree.get("/f").count(b"\n") == 200, 5)
    check_lines(tree.get("/f"), ["one", "two"], 100)


def test_four_processes_on_one_mount_lose_no_line(mnt, spawn, tree):
    names = ["a", "b", "c", "d"]
    appenders(spawn, [(mnt, name) for name in names], 25)
    wait_for(lambda: tree.get("/f").count(b"\n") == 100, 5)
    check_lines(tree.get("/f"), names, 25)


def test_two_handles_making_one_file_by_appending(mnt, tree):
    """The second was opened before there was a znode, and is closed when there is one."""
    first = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    second = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(first, b"first\n")
    os.write(second, b"second\n")
    os.fsync(first)
    os.fsync(second)
    os.close(first)
    os.close(second)
    assert tree.get("/f") == b"first\nsecond\n"


def test_append_while_another_client_appends(mnt, tree):
    """A change from elsewhere between open and close is kept."""
    tree.create("/f", b"0\n")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"mine\n")
    tree.set("/f", b"0\ntheirs\n")
    os.close(fd)
    assert tree.get("/f") == b"0\ntheirs\nmine\n"


def test_append_makes_a_new_file(mnt, tree):
    sh("echo a >> f; echo b >> f", cwd=mnt)
    wait_equal(lambda: tree.get("/f"), b"a\nb\n", 5)
    assert tree.version("/f") == 1


def test_two_mounts_making_the_same_file_by_appending(mnt, mnt2, tree):
    first = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    second = os.open(mnt2 / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(first, b"first\n")
    os.write(second, b"second\n")
    os.close(first)
    os.close(second)
    assert tree.get("/f") == b"first\nsecond\n"


def test_append_goes_by_the_flag_and_not_by_a_stale_size(mnt, tree):
    tree.create("/f", b"1\n")
    assert read(mnt / "f") == b"1\n"
    tree.set("/f", b"1\n2\n3\n")
    sh("echo 4 >> f", cwd=mnt)
    wait_equal(lambda: tree.get("/f"), b"1\n2\n3\n4\n", 5)


def test_tee_and_python_append(mnt, tree):
    tree.create("/f", b"0\n")
    run("tee", "-a", "f", cwd=mnt, input="a\n")
    run(sys.executable, "-c", "f = open('f', 'a'); f.write('b\\n'); f.close()", cwd=mnt)
    assert tree.get("/f") == b"0\na\nb\n"
    assert tree.version("/f") == 2


def test_append_reads_back_through_the_same_handle(mnt, tree):
    tree.create("/f", b"0\n")
    fd = os.open(mnt / "f", os.O_RDWR | os.O_APPEND)
    os.write(fd, b"a\n")
    assert os.pread(fd, 100, 0) == b"0\na\n"
    os.close(fd)
    assert tree.get("/f") == b"0\na\n"


def test_append_and_truncate(mnt, tree):
    """Truncated once; from then on it appends to what is there."""
    tree.create("/f", b"old\n")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    os.write(fd, b"1\n")
    os.write(fd, b"2\n")
    os.fsync(fd)
    assert tree.get("/f") == b"1\n2\n"
    tree.set("/f", b"theirs\n")
    os.write(fd, b"3\n")
    os.close(fd)
    assert tree.get("/f") == b"theirs\n3\n"


def test_append_and_truncate_without_a_write_leaves_an_empty_file(mnt, tree):
    tree.create("/f", b"old\n")
    os.close(os.open(mnt / "f", os.O_WRONLY | os.O_APPEND | os.O_TRUNC))
    assert tree.get("/f") == b""


def set_append(fd, on):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND if on else flags & ~os.O_APPEND)


def test_append_is_switched_on_while_the_file_is_open(mnt, tree):
    """As GNU make does with its output."""
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    set_append(fd, True)
    os.write(fd, b"aaaa")
    os.stat(mnt / "f")  # the kernel believes the size of what is committed
    os.write(fd, b"bbbb")
    os.close(fd)
    assert tree.get("/f") == b"aaaabbbb"


def test_append_that_is_switched_on_loses_nothing_of_others(mnt, tree):
    tree.create("/f", b"0\n")
    fd = os.open(mnt / "f", os.O_WRONLY)
    set_append(fd, True)
    os.write(fd, b"mine\n")
    tree.set("/f", b"0\ntheirs\n")
    os.close(fd)
    assert tree.get("/f") == b"0\ntheirs\nmine\n"


def test_append_is_switched_off_while_the_file_is_open(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"er")
    set_append(fd, False)
    os.pwrite(fd, b"b", 0)
    os.close(fd)
    assert tree.get("/f") == b"blder"
