"""What watching costs, here and on the server, and what becomes of it where there is no room."""

import os
import time

import pytest

from support.files import read
from support.inotify import Inotify
from support.tree import connect, disconnect
from support.waiting import run, wait_for


@pytest.fixture
def inotify():
    made = []

    def make(*paths):
        made.append(Inotify())
        for path in paths:
            made[-1].watch(path)
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(own_server):
    client = connect(own_server.hosts)
    yield client
    disconnect(client)


def make_dirs(client, parent, n_dirs, n_files):
    """Directories d0, d1, … of files f0, f1, …, in few transactions."""
    for d in range(n_dirs):
        paths = [f"{parent}/d{d}"] + [f"{parent}/d{d}/f{f}" for f in range(n_files)]
        for start in range(0, len(paths), 500):
            multi = client.transaction()
            for path in paths[start : start + 500]:
                multi.create(path, b"x")
            multi.commit()


def watches_of(server):
    """Watches that the server keeps, for all sessions."""
    return server.metric("zk_watch_count")


def test_watches_stay_within_the_budget(own_server, client, mounts, inotify):
    make_dirs(client, "", 30, 30)
    before = watches_of(own_server)
    mnt = mounts("watches=300", hosts=own_server.hosts)
    events = inotify(mnt / "d0")
    for _ in range(3):
        assert len(run("find", mnt, "-name", "f*").stdout.split()) == 900
        assert watches_of(own_server) - before <= 300
    client.set("/d0/f7", b"new")
    events.wait(("f7", "CLOSE_WRITE"))
    client.create("/d0/new", b"new")
    events.wait(("new", "CLOSE_WRITE"))


@pytest.mark.once
@pytest.mark.deadline(300)
def test_find_over_100000_znodes(own_server, client, mounts, inotify):
    client.create("/watched")
    for n in range(10):
        client.create(f"/watched/f{n}", b"old")
    client.create("/tree")
    make_dirs(client, "/tree", 100, 1000)
    mnt = mounts(hosts=own_server.hosts)
    events = inotify(mnt / "watched")
    find = run("find", mnt / "tree", "-name", "f*", timeout=200)
    assert len(find.stdout.split()) == 100000
    wait_for(lambda: watches_of(own_server) <= 32768, 10, "the watches to be removed")
    with open(f"/proc/{mnt.daemon}/status", encoding="ascii") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < 100_000
    client.set("/watched/f7", b"new")
    events.wait(("f7", "CLOSE_WRITE"))
    client.delete("/watched/f8")
    events.wait(("f8", "DELETE"))


def test_a_directory_without_room_is_named(own_server, client, mounts):
    make_dirs(client, "", 2, 200)
    mnt = mounts("watches=100", hosts=own_server.hosts)
    os.stat(mnt / "d1")
    wait_for(lambda: "/d1 (" in mnt.status().get("partly_watched", ""), 10, "its name in the status")
    assert watches_of(own_server) <= 100
    client.set("/d1/f7", b"new")
    assert read(mnt / "d1" / "f7") == b"new"


def test_a_directory_takes_not_all_of_the_budget(own_server, client, mounts, inotify):
    make_dirs(client, "", 2, 200)
    mnt = mounts("watches=400", hosts=own_server.hosts)
    inotify(mnt / "d0")
    wait_for(lambda: "/d0 (" in mnt.status().get("partly_watched", ""), 10, "the end of the filling")
    client.create("/small", None)
    client.create("/small/f", b"old")
    events = inotify(mnt / "small")
    client.set("/small/f", b"new")
    events.wait(("f", "CLOSE_WRITE"))


def test_a_large_directory_that_somebody_holds_open_is_watched(own_server, client, mounts, inotify):
    make_dirs(client, "", 1, 300)
    mnt = mounts(hosts=own_server.hosts)
    fd = os.open(mnt / "d0", os.O_RDONLY | os.O_DIRECTORY)
    assert "f250" in os.listdir(fd)
    events = inotify(mnt / "d0")
    wait_for(lambda: mnt.status()["filling"] == "0", 10, "the filling")
    client.set("/d0/f250", b"new")
    events.wait(("f250", "CLOSE_WRITE"))
    os.close(fd)


def test_a_directory_is_watched_when_there_is_room_again(
    own_server, client, mounts, inotify, needs_root
):
    make_dirs(client, "", 3, 100)
    mnt = mounts("watches=500", hosts=own_server.hosts)
    held = inotify(mnt / "d0", mnt / "d1")
    events = inotify(mnt / "d2")
    wait_for(lambda: "/d2 (" in mnt.status().get("partly_watched", ""), 10, "the want of room")
    held.close()

    def watched():
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
            drop.write("2\n")
        return "partly_watched" not in mnt.status() and mnt.status()["filling"] == "0"

    wait_for(watched, 20, "the filling")
    client.set("/d2/f99", b"new")
    events.wait(("f99", "CLOSE_WRITE"))


def test_what_nobody_holds_is_not_watched(own_server, client, mounts, needs_root):
    make_dirs(client, "", 1, 100)
    mnt = mounts(hosts=own_server.hosts)
    os.stat(mnt / "d0")
    wait_for(lambda: int(mnt.status()["watches"].split()[0]) > 100, 10, "watches")

    def forgotten():
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
            drop.write("2\n")
        return int(mnt.status()["watches"].split()[0]) < 20

    wait_for(forgotten, 10, "the kernel to forget")
    wait_for(lambda: watches_of(own_server) < 20, 10, "the server to forget")


def test_idle_costs_nothing(mnt, tree, inotify):
    tree.create("/d/f", b"data")
    inotify(mnt / "d")
    read(mnt / "d" / "f")
    mnt.catch_up()

    def used():
        with open(f"/proc/{mnt.daemon}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        with open(f"/proc/{mnt.daemon}/status", encoding="utf-8", errors="replace") as status:
            switches = next(line for line in status if line.startswith("voluntary"))
        return int(fields[11]) + int(fields[12]), int(switches.split()[1])

    def is_idle():
        before = used()
        time.sleep(2)  # the time is what is measured
        after = used()
        return after[0] - before[0] <= 1 and after[1] - before[1] <= 6  # pings

    wait_for(is_idle, 10, "an idle daemon")
