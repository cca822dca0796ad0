"""Readers see whole versions, and nobody is left with the size of an old one."""

import os
import subprocess
import sys
import time

import pytest

from support.files import read, write
from support.waiting import run, wait_equal

# Sets a znode every 10 ms to a letter times a length that belongs to that letter.
SETTER = """
import sys, time
from kazoo.client import KazooClient
kz = KazooClient(hosts=sys.argv[1])
kz.start()
end = time.monotonic() + float(sys.argv[3])
n = 0
print("ready", flush=True)
while time.monotonic() < end:
    letter = n % 26
    kz.set(sys.argv[2], bytes([97 + letter]) * (100_000 + letter * 7_000))
    n += 1
    time.sleep(0.01)
kz.stop()
"""

# A change waits this long for the readers that are under way.
GRACE = 0.05


def length_of(letter):
    return 100_000 + (letter - 97) * 7_000


def is_whole(data):
    return len(data) == length_of(data[0]) and data == data[:1] * len(data)


def read_in_steps(path, step=4096):
    """(data, seconds from before the open until the end was seen)."""
    start = time.monotonic()
    pieces = []
    fd = os.open(path, os.O_RDONLY)
    while piece := os.read(fd, step):
        pieces.append(piece)
    took = time.monotonic() - start
    os.close(fd)
    return b"".join(pieces), took


@pytest.fixture
def setter(server, spawn):
    """Starts another client that sets a path for some seconds."""
    return lambda path, seconds: start_setter(server, spawn, path, seconds)


def start_setter(server, spawn, path, seconds):
    argv = [sys.executable, "-c", SETTER, server.hosts, path, seconds]
    process = spawn(*argv, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("step", [4096, 1 << 20])
def test_readers_are_never_torn(setter, mnt, tree, step):
    tree.create("/f", b"a" * length_of(97))
    process = setter(tree.path("/f"), 3)
    in_time = torn = 0
    letters = set()
    while process.poll() is None:
        data, took = read_in_steps(mnt / "f", step)
        if took < GRACE:
            in_time += 1
            torn += not is_whole(data)
            letters.add(data[0])
    assert torn == 0, f"{torn} of {in_time}"
    assert in_time >= 30
    assert len(letters) > 10
    wait_equal(lambda: read(mnt / "f"), tree.get("/f"), 5)


def test_readers_on_another_mount_are_never_torn_by_a_writer_here(mnt, mnt2, spawn):
    write(mnt / "f", b"a" * length_of(97))
    code = (
        "import sys, time\n"
        "for n in range(100):\n"
        "    c = n % 26\n"
        "    open(sys.argv[1], 'wb').write(bytes([97 + c]) * (100_000 + c * 7_000))\n"
        "    time.sleep(0.01)\n"
    )
    process = spawn(sys.executable, "-c", code, mnt / "f")
    in_time = torn = 0
    while process.poll() is None:
        for reader in (mnt, mnt2):
            data, took = read_in_steps(reader / "f")
            if took < GRACE:
                in_time += 1
                torn += not is_whole(data)
    assert process.returncode == 0
    assert torn == 0, f"{torn} of {in_time}"
    assert in_time >= 20


def test_the_page_cache_never_mixes_versions_for_later_readers(mnt, tree):
    """Reads that are overtaken by a change leave nothing behind."""
    tree.create("/f", b"a" * length_of(97))
    for n in range(1, 60):
        letter = 97 + n % 26
        fd = os.open(mnt / "f", os.O_RDONLY)
        os.read(fd, 4096)
        tree.set("/f", bytes([letter]) * length_of(letter))
        os.read(fd, 1 << 20)
        os.close(fd)
        wait_equal(lambda: is_whole(data := read(mnt / "f")) and data[0], letter, 5)


@pytest.mark.parametrize("old, new", [(b"short", b"much longer " * 1000), (b"long " * 1000, b"s")])
def test_stat_between_write_and_close_never_leaves_an_old_size(mnt, tree, old, new):
    tree.create("/f", old)
    for value in (new, old) * 20:
        fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
        os.stat(mnt / "f")
        os.write(fd, value)
        os.stat(mnt / "f")
        os.fstat(fd)
        os.close(fd)
        assert os.stat(mnt / "f").st_size == len(value)
        assert read(mnt / "f") == value


def test_stat_of_another_process_between_write_and_close(mnt, tree):
    tree.create("/f", b"eight..\n")
    for n in range(10):
        value = b"0123456789abcde\n" * (n + 1)
        fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
        os.write(fd, value)
        run("ls", "-l", mnt.path)
        run("cat", mnt / "f")
        os.close(fd)
        assert run("stat", "-c", "%s", mnt / "f").stdout == f"{len(value)}\n"
        assert run("cat", mnt / "f").stdout.encode() == value


def test_stat_tells_the_writer_the_committed_size(mnt, tree):
    tree.create("/f", b"committed")
    fd = os.open(mnt / "f", os.O_RDWR)
    os.pwrite(fd, b"x" * 5000, 0)
    assert os.fstat(fd).st_size == 9
    assert os.stat(mnt / "f").st_size == 9
    os.close(fd)
    assert os.stat(mnt / "f").st_size == 5000


def test_stat_while_another_client_sets(setter, mnt, tree):
    """Sizes that come from the cache are those of a version, and the last one is the last."""
    tree.create("/f", b"a" * length_of(97))
    process = setter(tree.path("/f"), 1.5)
    sizes = {length_of(97 + n) for n in range(26)}
    while process.poll() is None:
        assert os.stat(mnt / "f").st_size in sizes
    wait_equal(lambda: os.stat(mnt / "f").st_size, len(tree.get("/f")), 5)


# What is mapped of a file, through a descriptor that was opened before it grew.
MAPPER = """
import mmap, os, sys
fd = int(sys.argv[1])
with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as view:
    sys.exit(view[:] != b"b" * 20_000)
"""


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_who_maps_an_old_snapshot_leaves_the_others_their_size(mnt, tree, flags):
    tree.create("/f", b"a" * 500)
    writer = os.open(mnt / "f", os.O_RDWR)  # while somebody may write nobody reads through the cache
    fd = os.open(mnt / "f", flags)
    os.close(writer)
    tree.client.set(tree.path("/f"), b"b" * 20_000)
    mnt.catch_up()
    wait_equal(lambda: os.fstat(fd).st_size, 20_000)
    mapper = subprocess.run([sys.executable, "-c", MAPPER, str(fd)], pass_fds=[fd])
    assert mapper.returncode == 0, mapper
    assert read(mnt / "f") == b"b" * 20_000
    os.close(fd)
