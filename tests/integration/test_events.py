"""Watches are inotify events: what another client changes is told as if it had been changed here."""

import errno
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from support.files import exists, fails_with, read, write
from support.inotify import CHANGES, OPEN, Inotify
from support.tree import connect, disconnect, expire
from support.waiting import DIES_WITH_PARENT, run, sh, wait_equal, wait_for, waits


@pytest.fixture
def inotify():
    made = []

    def make(*paths, mask=CHANGES):
        made.append(Inotify())
        for path in paths:
            made[-1].watch(path, mask)
        return made[-1]

    yield make
    for one in made:
        one.close()


ALL = CHANGES | OPEN


@pytest.fixture(params=["", "ro"])
def seen(request, mounts, tree):
    """A mount, read-only too, with the file /d/f and the directory /d/sub."""
    tree.create("/d/f", b"old")
    tree.create("/d/sub/x")
    tree.delete("/d/sub/x")
    return mounts(*([request.param] if request.param else []))


def test_create_with_data(seen, tree, inotify):
    events = inotify(seen / "d", mask=ALL)
    tree.create("/d/new", b"data")
    assert events.wait(("new", "CLOSE_WRITE")) == [
        ("new", "CREATE"), ("new", "OPEN"), ("new", "MODIFY"), ("new", "CLOSE_WRITE")]


def test_create_without_data(seen, tree, inotify):
    events = inotify(seen / "d", mask=ALL)
    tree.create("/d/new", b"")
    assert events.wait(("new", "CLOSE_WRITE")) == [
        ("new", "CREATE"), ("new", "OPEN"), ("new", "CLOSE_WRITE")]


def test_create_a_directory(seen, tree, inotify):
    events = inotify(seen / "d", mask=ALL)
    tree.create("/d/new", None)
    assert events.wait(("new", "CREATE|ISDIR")) == [("new", "CREATE|ISDIR")]
    assert events.take() == []


def test_set(seen, tree, inotify):
    parent = inotify(seen / "d", mask=ALL)
    node = inotify(seen / "d" / "f", mask=ALL)
    tree.set("/d/f", b"new")
    assert parent.wait(("f", "CLOSE_WRITE")) == [
        ("f", "OPEN"), ("f", "MODIFY"), ("f", "CLOSE_WRITE")]
    assert node.wait(("", "CLOSE_WRITE")) == [("", "OPEN"), ("", "MODIFY"), ("", "CLOSE_WRITE")]
    assert read(seen / "d" / "f") == b"new"


def test_delete(seen, tree, inotify):
    parent = inotify(seen / "d")
    node = inotify(seen / "d" / "f")
    tree.delete("/d/f")
    assert parent.wait(("f", "DELETE")) == [("f", "DELETE")]
    assert node.wait(("", "IGNORED")) == [("", "ATTRIB"), ("", "DELETE_SELF"), ("", "IGNORED")]
    assert not exists(seen / "d" / "f")


def test_delete_a_directory(seen, tree, inotify):
    parent = inotify(seen / "d")
    node = inotify(seen / "d" / "sub")
    tree.delete("/d/sub")
    assert parent.wait(("sub", "DELETE|ISDIR")) == [("sub", "DELETE|ISDIR")]
    node.wait(("", "IGNORED"))


def test_delete_a_whole_tree(seen, tree, inotify):
    tree.create("/d/sub/x", b"x")
    events = inotify(seen / "d", seen / "d" / "sub")
    tree.delete_tree("/d/sub")
    told = events.wait(("sub", "DELETE|ISDIR"))
    assert told.index(("x", "DELETE")) < told.index(("sub", "DELETE|ISDIR"))


def test_an_ephemeral_vanishes_with_its_session(seen, server, tree, inotify):
    other = connect(server.hosts)
    events = inotify(seen / "d")
    other.create(tree.path("/d/service"), b"here", ephemeral=True)
    events.wait(("service", "CLOSE_WRITE"))
    disconnect(other)
    assert events.wait(("service", "DELETE")) == [("service", "DELETE")]


def test_a_file_becomes_a_directory(seen, tree, inotify):
    events = inotify(seen / "d")
    tree.create("/d/f/child", b"data")
    assert events.wait(("f", "CREATE|ISDIR")) == [("f", "DELETE"), ("f", "CREATE|ISDIR")]
    assert os.listdir(seen / "d" / "f") == [".data", "child"]
    assert read(seen / "d" / "f" / ".data") == b"old"


def test_a_znode_made_anew(seen, tree, inotify):
    events = inotify(seen / "d")
    ino = os.stat(seen / "d" / "f").st_ino
    multi = tree.client.transaction()
    multi.delete(tree.path("/d/f"))
    multi.create(tree.path("/d/f"), b"another")
    multi.commit()
    events.wait(("f", "CLOSE_WRITE"))
    assert read(seen / "d" / "f") == b"another"
    assert os.stat(seen / "d" / "f").st_ino != ino


def test_data_of_a_directory(seen, tree, inotify):
    assert not exists(seen / "d" / "sub" / ".data")
    events = inotify(seen / "d" / "sub")
    tree.set("/d/sub", b"data")
    assert events.wait((".data", "CLOSE_WRITE"))[0] == (".data", "CREATE")
    assert read(seen / "d" / "sub" / ".data") == b"data"
    tree.set("/d/sub", b"more")
    events.wait((".data", "CLOSE_WRITE"))
    assert read(seen / "d" / "sub" / ".data") == b"more"
    tree.set("/d/sub", b"")
    assert events.wait((".data", "DELETE")) == [(".data", "DELETE")]


def test_data_of_a_directory_that_nobody_reads(seen, tree, inotify):
    events = inotify(seen / "d" / "sub")
    tree.set("/d/sub", b"data")
    events.wait((".data", "CLOSE_WRITE"))
    tree.set("/d/sub", b"more")
    assert events.wait((".data", "CLOSE_WRITE"))[0] == (".data", "MODIFY")
    tree.set("/d/sub", b"")
    assert events.wait((".data", "DELETE")) == [(".data", "DELETE")]


def test_a_name_that_is_not_there_yet(seen, tree, inotify):
    assert not exists(seen / "d" / "later")
    events = inotify(seen / "d")
    tree.create("/d/later", b"now")
    events.wait(("later", "CLOSE_WRITE"))
    assert read(seen / "d" / "later") == b"now"


def test_a_child_that_nobody_looked_up(mounts, tree, inotify):
    for n in range(5):
        tree.create(f"/d/f{n}", b"old")
    mnt = mounts()
    events = inotify(mnt / "d")
    tree.client.set(tree.path("/d/f3"), b"new")
    assert ("f3", "MODIFY") in events.wait(("f3", "CLOSE_WRITE"))


def test_inotifywait_sees_what_is_made_below_what_is_made(mnt, tree, spawn, place):
    tree.create("/d/f", b"old")
    with open(place / "told", "wb") as told:
        spawn("inotifywait", "-m", "-r", "-q", "--format", "%w%f %e", mnt / "d",
              "-e", "create,delete,modify", stdout=told)

    def sees(line):
        wait_for(lambda: f"{mnt}/{line}\n" in (place / "told").read_text(), 10, line)

    def sets():
        tree.set("/d/f", b"new")
        return "d/f MODIFY" in (place / "told").read_text()

    wait_for(sets, 10, "inotifywait to begin")
    tree.create("/d/new", None)
    sees("d/new CREATE,ISDIR")
    # inotifywait begins to watch what it was told of in its own time
    wait_for(lambda: tree.create(f"/d/new/{time.monotonic_ns()}", b"x") and
             "d/new/" in (place / "told").read_text(), 10)


def test_events_off_makes_none_and_the_caches_are_right(mounts, tree, inotify):
    tree.create("/d/f", b"old")
    mnt = mounts("events=off")
    events = inotify(mnt / "d", mask=ALL)
    assert read(mnt / "d" / "f") == b"old"
    assert os.listdir(mnt / "d") == ["f"]
    events.take()
    tree.set("/d/f", b"newer")
    tree.create("/d/g", b"g")
    assert events.take() == []
    assert read(mnt / "d" / "f") == b"newer"
    assert sorted(os.listdir(mnt / "d")) == ["f", "g"]
    assert read(mnt / "d" / "g") == b"g"
    tree.delete("/d/g")
    assert not exists(mnt / "d" / "g")


# Changes made here

LOCALLY = {
    "create": "echo data > new",
    "write": "echo data > f",
    "append": "echo data >> f",
    "mkdir": "mkdir new",
    "rm": "rm f",
    "rmdir": "rmdir sub",
    "mv": "mv f g",
    "mv over": "mv f other",
    "mv a directory": "mv sub new",
    "touch new": "touch new",
    "cp": "cp f new",
}


@pytest.mark.parametrize("command", LOCALLY.values(), ids=LOCALLY.keys())
def test_what_is_changed_here_is_told_once(mnt, tree, place, inotify, command):
    """As the kernel tells it on any file system."""
    told = []
    base = place / "base"
    for where in (base, mnt / "d"):
        os.makedirs(where / "sub")
        write(where / "f", b"old")
        write(where / "other", b"other")
        mnt.catch_up()
        events = inotify(where)
        sh(command, cwd=where)
        mnt.catch_up()
        told.append(events.take())
    assert told[1] == told[0]


def test_a_create_that_fails_at_close_is_told_as_a_delete(mnt, tree, inotify):
    events = inotify(mnt)
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"data")
    assert events.take()[0] == ("f", "CREATE")
    tree.client.create(tree.path("/f"), b"theirs", ephemeral=False)
    tree.client.create(tree.path("/f/child"), b"", ephemeral=False)
    with fails_with(errno.EISDIR):
        os.close(fd)
    events.wait(("f", "DELETE"))


def test_the_last_holder_closes_late(mnt, tree, place, inotify):
    """The commit comes at the end of the last holder, and so does an IN_CLOSE_WRITE."""
    tree.create("/f", b"old")
    go = place / "go"
    os.mkfifo(go)
    sh(f"exec 3> f; (read < {go}; echo new >&3) > /dev/null 2>&1 & exit", cwd=mnt)
    events = inotify(mnt)
    go.write_text("\n")
    wait_equal(lambda: tree.get("/f"), b"new\n")
    wait_for(lambda: events.wait(("f", "CLOSE_WRITE")) and read(mnt / "f") == b"new\n", 10)


# Order, storms


def test_who_waits_for_ready_reads_all_that_came_before(mnt, tree, inotify):
    names = [f"f{n}" for n in range(5)]
    for name in names:
        tree.create(f"/d/{name}", b"0")
    events = inotify(mnt / "d")
    for turn in range(1, 51):
        for name in names:
            tree.client.set(tree.path(f"/d/{name}"), b"%d" % turn)
        tree.client.create(tree.path("/d/ready"), b"%d" % turn)
        events.wait(("ready", "CLOSE_WRITE"))
        assert [read(mnt / "d" / name) for name in names] == [b"%d" % turn] * 5
        tree.client.delete(tree.path("/d/ready"))
        events.wait(("ready", "DELETE"))


def test_changes_in_several_directories_are_told_in_their_order(mnt, tree, inotify):
    """A script that waits for a file in one directory may read those in another."""
    tree.create("/b/x")
    names = [f"f{n}" for n in range(20)]
    for name in names:
        tree.create(f"/a/{name}", b"0")
    events = inotify(mnt / "a", mnt / "b")
    for turn in range(1, 11):
        pending = [tree.client.set_async(tree.path(f"/a/{name}"), b"%d" % turn) for name in names]
        pending.append(tree.client.create_async(tree.path("/b/ready"), b"x"))
        told = events.wait(("ready", "CREATE"))
        assert {name for name, what in told if what == "CLOSE_WRITE"} == set(names)
        assert [read(mnt / "a" / name) for name in names] == [b"%d" % turn] * 20
        for one in pending:
            one.get()
        tree.client.delete(tree.path("/b/ready"))
        events.wait(("ready", "DELETE"))


def test_each_of_200_sets_is_read_on_its_event(mnt, tree, inotify):
    tree.create("/f", b"start")
    events = inotify(mnt / "f")
    for n in range(200):
        tree.client.set(tree.path("/f"), b"%d" % n)
        events.wait(("", "CLOSE_WRITE"))
        assert read(mnt / "f") == b"%d" % n


def test_the_last_of_2000_sets_is_told(mnt, tree, inotify):
    names = [f"f{n}" for n in range(20)]
    for name in names:
        tree.create(f"/d/{name}", b"")
    events = inotify(mnt / "d")
    last = {}
    pending = []
    for n in range(2000):
        name = names[n * 7 % 20]
        last[name] = b"%d" % n
        pending.append(tree.client.set_async(tree.path(f"/d/{name}"), last[name]))
    for one in pending:
        one.get()
    got = {}

    def all_told():
        events.read(0.1)
        for name, what in events.take():
            if what == "CLOSE_WRITE":
                got[name] = read(mnt / "d" / name)
        return got == last

    wait_for(all_told, 20, "the last state of each")


def test_500_creates_and_500_deletes_are_told(mnt, tree, inotify):
    tree.create("/d", None)
    events = inotify(mnt / "d")
    names = {f"n{n}" for n in range(500)}
    for what, start in (("CREATE", lambda path: tree.client.create_async(path, b"x")),
                        ("DELETE", tree.client.delete_async)):
        told = set()
        for one in [start(tree.path(f"/d/{name}")) for name in names]:
            one.get()

        def all_told():
            events.read(0.1)
            told.update(name for name, kind in events.take() if kind == what)
            return told == names

        wait_for(all_told, 20, what)


def test_what_was_seen_before_it_was_told_of_is_told_when_it_goes(mnt, tree, inotify):
    """Who looks, and finds a name, hears of its end: its making may never be told."""
    tree.create("/d/f", b"old")
    events = inotify(mnt / "d")
    for turn in range(30):
        mnt.catch_up()
        # What is changed is not told at once while somebody reads it, nor what comes behind that.
        with open(mnt / "d" / "f", "rb") as file:
            file.read()
            tree.client.set(tree.path("/d/f"), b"%d" % turn)
            tree.client.create(tree.path("/d/x"), b"x")
            wait_for(lambda: exists(mnt / "d" / "x"), 10)
            tree.client.delete(tree.path("/d/x"))
            mnt.catch_up()
        events.wait(("x", "DELETE"))


def test_data_of_a_directory_cleared_elsewhere_and_written_here(mnt, tree, inotify):
    """What is there in the end is told last, though it was made here before the other was told."""
    tree.create("/d/busy", b"old")
    tree.create("/d/sub/x")
    tree.set("/d/sub", b"theirs")
    assert read(mnt / "d" / "sub" / ".data") == b"theirs"
    events = inotify(mnt / "d" / "sub")
    for turn in range(10):
        assert read(mnt / "d" / "busy")
        mnt.catch_up()
        # What is changed is not told at once while somebody reads it, nor what is heard of later.
        with open(mnt / "d" / "busy", "rb") as file:
            file.read()
            multi = tree.client.transaction()
            multi.set_data(tree.path("/d/busy"), b"%d" % turn)
            multi.set_data(tree.path("/d/sub"), b"")
            multi.commit()
            wait_for(lambda: not exists(mnt / "d" / "sub" / ".data"), 10)
            write(mnt / "d" / "sub" / ".data", b"ours")
        mnt.catch_up()
        told = [what for name, what in events.take() if what in ("CREATE", "DELETE")]
        assert told[-1] == "CREATE", told


def test_a_list_is_no_older_than_what_was_told_before_it_was_read(mnt, tree, inotify):
    """It may have been opened long before."""
    tree.create("/d/busy", b"old")
    events = inotify(mnt / "d")
    for turn in range(10):
        tree.create("/d/f", b"old")
        events.wait(("f", "CLOSE_WRITE"))
        assert read(mnt / "d" / "busy")
        mnt.catch_up()
        # While something is owed the kernel keeps no list of its own.
        with open(mnt / "d" / "busy", "rb") as file:
            file.read()
            tree.client.set(tree.path("/d/busy"), b"%d" % turn)
            wait_for(lambda: mnt.status()["events_owed"] != "0", 10)
            entries = os.scandir(mnt / "d")
        events.wait(("busy", "CLOSE_WRITE"))
        tree.client.delete(tree.path("/d/f"))
        events.wait(("f", "DELETE"))
        assert [entry.name for entry in entries] == ["busy"]


# Outages


@pytest.mark.deadline(120)
def test_what_hangs_in_one_directory_delays_no_event_of_another(own_server, mounts, inotify):
    """A lookup and a create wait for a server; what was heard of before it went is told."""
    client = connect(own_server.hosts)
    client.ensure_path("/cold/deep")
    client.ensure_path("/hangs/z")
    client.create("/d")
    names = [f"f{n}" for n in range(1000)]
    for change in "create", "set_data":
        multi = client.transaction()
        for name in names:
            getattr(multi, change)(f"/d/{name}", b"old")
        multi.commit()
    mnt = mounts("op_timeout=60000", "timeout=60000", hosts=own_server.hosts)
    os.listdir(mnt / "hangs")
    events = inotify(mnt / "d")
    wait_for(lambda: mnt.status()["filling"] == "0", 10, "all of it to be watched")

    def change_all():
        """All change at once; then there is a moment when all are heard of and few are told."""
        mnt.catch_up()
        events.take()
        multi = client.transaction()
        for name in names:
            multi.set_data(f"/d/{name}", b"new")
        multi.commit()
        owed = is_heard(mnt)
        while events.read():
            pass
        n_told = sum(what == "CLOSE_WRITE" for _, _, what in events.events)
        return owed > 100 and owed + n_told >= len(names)

    wait_for(change_all, 60, "many changes that are heard of and not told")
    own_server.pause()
    calls = [
        subprocess.Popen(DIES_WITH_PARENT + argv, stderr=subprocess.DEVNULL)
        for argv in (["stat", mnt / "cold" / "deep"], ["mkdir", mnt / "hangs" / "y"])
    ]
    told = set()

    def all_told():
        events.read(0.1)
        told.update(name for name, what in events.take() if what == "CLOSE_WRITE")
        return told == set(names)

    try:
        wait_for(lambda: all(waits(call.pid) for call in calls), 10, "the calls to hang")
        wait_for(all_told, 20, "the events")
        assert all(waits(call.pid) for call in calls)
    finally:
        own_server.resume()
        for call in calls:
            call.wait()
    disconnect(client)


def is_heard(mnt):
    """Waits until nothing more is being asked; how many changes are owed then?"""
    while True:
        status = mnt.status()
        if status["requests_in_flight"] == "0":
            return int(status["events_owed"])


def make_d(client):
    client.create("/d", b"")
    for name in ("changed", "removed", "same"):
        client.create(f"/d/{name}", b"old")


def change_d(client):
    client.set("/d/changed", b"new")
    client.delete("/d/removed")
    client.create("/d/made", b"made")


def wait_d_told(events):
    """Within two seconds: what differs, and nothing else."""
    told = []

    def all_told():
        events.read(0.1)
        told.extend(events.take())
        return {("changed", "MODIFY"), ("removed", "DELETE"), ("made", "CREATE")} <= set(told)

    wait_for(all_told, 2, "the differences")
    assert not [one for one in told if one[0] == "same"]


def test_what_changed_while_the_server_was_away_is_told(own_server, proxy_to, mounts, inotify):
    client = connect(own_server.hosts)
    make_d(client)
    proxy = proxy_to(own_server)
    mnt = mounts(hosts=proxy.hosts)
    events = inotify(mnt / "d")
    proxy.cut()
    wait_for(lambda: mnt.status()["state"] != "connected", 10, "the outage")
    change_d(client)
    proxy.heal()
    wait_for(lambda: mnt.status()["state"] == "connected", 20, "the return")
    wait_d_told(events)
    disconnect(client)


def test_a_server_that_starts_again_misses_nothing(own_server, mounts, inotify):
    """It comes back with what others have done before it took the mount's connection again."""
    client = connect(own_server.hosts)
    client.create("/d", b"")
    client.create("/d/f", b"old")
    mnt = mounts(hosts=own_server.hosts)
    events = inotify(mnt / "d")
    for turn in range(3):
        own_server.kill()
        wait_for(lambda: mnt.status()["state"] != "connected", 10, "the outage")
        mnt.signal(signal.SIGSTOP)
        own_server.start()
        client.retry(client.set, "/d/f", b"%d" % turn)
        client.retry(client.create, f"/d/{turn}", b"made")
        mnt.signal(signal.SIGCONT)
        events.wait(("f", "CLOSE_WRITE"), 20)
        assert read(mnt / "d" / "f") == b"%d" % turn
        wait_for(lambda: exists(mnt / "d" / f"{turn}"), 2)
    disconnect(client)


def test_what_changed_while_zkfs_was_stopped_is_told(own_server, mounts, inotify):
    """Past the end of its session."""
    client = connect(own_server.hosts)
    make_d(client)
    mnt = mounts("timeout=4000", hosts=own_server.hosts)
    events = inotify(mnt / "d")
    assert read(mnt / "d" / "changed") == b"old"
    session = mnt.session()
    mnt.signal(signal.SIGSTOP)
    change_d(client)
    wait_for(lambda: not own_server.has_session(session), 20, "the session to expire")
    mnt.signal(signal.SIGCONT)
    wait_d_told(events)
    assert read(mnt / "d" / "changed") == b"new"
    disconnect(client)


def test_an_expired_session_watches_again(server, proxy, mounts, tree, inotify):
    tree.create("/d/f", b"old")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    events = inotify(mnt / "d")
    for turn in range(3):
        session = mnt.session()
        expire(server.hosts, proxy.session)
        wait_for(lambda: mnt.session() != session, 20, "another session")
        tree.set("/d/f", b"%d" % turn)
        events.wait(("f", "CLOSE_WRITE"))
        assert read(mnt / "d" / "f") == b"%d" % turn


@pytest.fixture
def behind(proxy, mounts, tree):
    """
    A mount that does not hear of what `change` does until the operation that follows has begun:
    behind(change, operation).
    """
    tree.create("/d/f", b"old")
    tree.create("/d/x/known", b"data")
    mount = mounts(hosts=proxy.hosts + tree.root)
    mount.catch_up()

    def act(change, operation):
        proxy.freeze()
        change()
        thread = threading.Thread(target=operation)
        thread.start()
        wait_for(lambda: mount_is_asked(mount), 10, "the request")
        proxy.heal()
        thread.join()

    act.mount = mount
    return act


def mount_is_asked(mount):
    return int(mount.status()["requests_in_flight"]) > 0


def test_a_touch_hides_no_change(behind, tree, inotify):
    mount = behind.mount
    events = inotify(mount / "d")
    assert read(mount / "d" / "f") == b"old"
    behind(lambda: tree.client.set(tree.path("/d/f"), b"new"), lambda: os.utime(mount / "d" / "f"))
    events.wait(("f", "CLOSE_WRITE"))
    assert read(mount / "d" / "f") == b"new"


def test_a_rename_hides_no_change_below(behind, tree, inotify):
    mount = behind.mount
    events = inotify(mount / "d" / "x")
    mount.catch_up()

    def change():
        tree.client.create(tree.path("/d/x/new"), b"data")
        tree.client.set(tree.path("/d/x/known"), b"other")

    behind(change, lambda: os.rename(mount / "d" / "x", mount / "d" / "y"))
    seen = set()
    while not {("new", "CREATE"), ("known", "CLOSE_WRITE")} <= seen:
        assert events.read(10), seen
        seen.update(events.take())


def test_what_is_renamed_has_become_a_directory(behind, tree, inotify):
    mount = behind.mount
    events = inotify(mount / "d")
    assert read(mount / "d" / "f") == b"old"
    behind(
        lambda: tree.client.create(tree.path("/d/f/child"), b""),
        lambda: os.rename(mount / "d" / "f", mount / "d" / "g"),
    )
    events.wait(("g", "CREATE|ISDIR"))
    assert sorted(os.listdir(mount / "d" / "g")) == [".data", "child"]
    assert not exists(mount / "d" / "f")


def test_the_directory_that_something_is_moved_to_was_made_anew(behind, tree, inotify):
    """The kernel has moved it into the one before, and the path leads to the other."""
    mount = behind.mount
    tree.create("/d/moved/a", b"old")
    mount.catch_up()
    events = inotify(mount / "d", mount / "d" / "x")
    assert read(mount / "d" / "moved" / "a") == b"old"
    assert os.listdir(mount / "d" / "x") == ["known"]
    mount.catch_up()

    def change():
        multi = tree.client.transaction()
        multi.delete(tree.path("/d/x/known"))
        multi.delete(tree.path("/d/x"))
        multi.create(tree.path("/d/x"), b"")
        multi.create(tree.path("/d/x/other"), b"")
        multi.set_data(tree.path("/d/moved/a"), b"new")
        assert not [one for one in multi.commit() if isinstance(one, Exception)]

    behind(change, lambda: os.rename(mount / "d" / "moved", mount / "d" / "x" / "moved"))
    told = events.wait(("x", "CREATE|ISDIR"))
    assert ("moved", "DELETE|ISDIR") in told[told.index(("moved", "MOVED_TO|ISDIR")) :]
    for _ in range(50):
        assert sorted(os.listdir(mount / "d" / "x")) == ["moved", "other"]
        assert read(mount / "d" / "x" / "moved" / "a") == b"new"
    events.watch(mount / "d" / "x")
    tree.client.create(tree.path("/d/x/later"), b"x")
    events.wait(("later", "CLOSE_WRITE"))


def test_what_was_in_a_directory_that_is_replaced_here_holds_nothing_up(mnt, tree):
    """The kernel lets nobody into it any more, and it is in vain to try again and again."""
    below = ["/d/x/a", "/d/x/a/b", "/d/x/a/b/c"]
    tree.create("/busy/f", b"old")
    for turn in range(10):
        tree.create(below[-1], b"data")
        tree.create("/d/new/x")
        tree.delete("/d/new/x")
        assert read(f"{mnt}{below[-1]}") == b"data"
        assert os.listdir(mnt / "d" / "new") == []
        assert read(mnt / "busy" / "f")
        mnt.catch_up()
        multi = tree.client.transaction()
        multi.set_data(tree.path("/busy/f"), b"%d" % turn)
        for path in reversed(below):
            multi.delete(tree.path(path))
        # What is changed is not told at once while somebody reads it, nor what is heard of later.
        with open(mnt / "busy" / "f", "rb") as file:
            file.read()
            multi.commit()
            os.rename(mnt / "d" / "new", mnt / "d" / "x")
        mnt.catch_up()
    metrics = read(mnt / ".zkfs" / "metrics").decode()
    assert int(re.search(r"^zkfs_events_failed_total (\d+)", metrics, re.M)[1]) < 20


@pytest.mark.deadline(120)
def test_umount_in_a_storm(mounts, tree, inotify, needs_root):
    """It never fails, and nothing lands in the directory below."""
    tree.create("/d/f", b"0")
    for turn in range(20):
        mnt = mounts()
        events = inotify(mnt / "d")
        names = [tree.path(f"/d/{turn}-{n}") for n in range(10)]
        pending = [tree.client.set_async(tree.path("/d/f"), b"%d" % n) for n in range(30)]
        pending += [tree.client.create_async(name, b"") for name in names]
        pending += [tree.client.delete_async(name) for name in names]
        events.wait(("f", "CLOSE_WRITE"))
        run("umount", mnt.path)
        mnt.wait_gone()
        for one in pending:
            one.get()
        assert os.listdir(mnt.path) == []
