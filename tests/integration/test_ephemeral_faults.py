"""
Ephemerals and leases when connections break, answers are lost, servers die and sessions expire: at
the end the tree is exactly what was acknowledged.
"""

import errno
import os
import subprocess
import threading
import time

import pytest

from support import proxy as zk
from support.files import RENAME_EXCHANGE, exists, fails_with, read, renameat2, write
from support.tree import Tree, connect, disconnect, expire
from support.waiting import SCALE, wait_equal, wait_for, waits

CREATES = (zk.CREATE2, zk.CREATE)


def put(path, line):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


def lease_of(path, *lines):
    fd = os.open(path, os.O_RDWR)
    for line in lines:
        os.write(fd, line)
    return fd


@pytest.fixture
def mnt(proxy, mounts, tree):
    return mounts(hosts=proxy.hosts + tree.root)


def owners(tree, names):
    stats = [tree.stat(f"/{name}") for name in names]
    return [stat and stat.ephemeralOwner for stat in stats]


def wait_owned(tree, mnt, names, timeout=10):
    """The tree has exactly these, all of them in the mount's session of now."""
    wait_for(
        lambda: tree.children() == sorted(names)
        and set(owners(tree, names)) == {mnt.session()},
        timeout,
        "the ephemerals to be there again",
    )


def end_session(server, proxy, mnt):
    session = mnt.session()
    expire(server.hosts, proxy.session)
    wait_for(lambda: mnt.session() != session and mnt.status()["state"] == "connected", 20)


# Connections


def test_a_blip_keeps_them(proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a x")
    lease = lease_of(mnt / ".lease", b"b y")
    before = [tree.stat(f"/{name}").czxid for name in "ab"]
    reconnects = int(mnt.status()["reconnects"])
    proxy.drop()
    wait_for(lambda: int(mnt.status()["reconnects"]) > reconnects)
    put(mnt / ".ephemeral", b"c z")
    assert [tree.stat(f"/{name}").czxid for name in "ab"] == before
    assert read(mnt / ".ephemeral") == b"a\nb\nc\n"
    os.close(lease)
    wait_equal(tree.children, ["a", "c"])


def test_a_lease_closed_without_a_connection_goes_with_the_next(proxy, mnt, tree):
    lease = lease_of(mnt / ".lease", b"a x", b"b y")
    proxy.cut()
    os.close(lease)
    assert tree.children() == ["a", "b"]
    proxy.heal()
    wait_equal(tree.children, [])
    wait_equal(lambda: mnt.status()["ephemerals"], "0")


@pytest.mark.parametrize("lose", ["lose_answer", "lose_request"])
@pytest.mark.parametrize("special", [".ephemeral", ".lease", ".create"])
@pytest.mark.parametrize("line", [b"n x", b"-s n x"])
def test_a_create_without_an_answer_is_done_once(proxy, mnt, tree, lose, special, line):
    trap = getattr(proxy, lose)(*CREATES)
    fd = lease_of(mnt / special, line)
    assert trap.sprung.is_set()
    (name,) = tree.children()
    assert tree.get(f"/{name}") == b"x"
    assert owners(tree, [name]) == [0 if special == ".create" else mnt.session()]
    if special == ".create":
        assert os.read(fd, 100) == name.encode() + b"\n"
    os.close(fd)
    wait_equal(tree.children, [] if special == ".lease" else [name])


@pytest.mark.parametrize("lose", ["lose_answer", "lose_request"])
def test_a_mark_whose_removal_is_lost_is_removed(proxy, mnt, tree, lose):
    getattr(proxy, lose)(zk.SET_ACL)
    put(mnt / ".create", b"-s n x")
    put(mnt / ".create", b"plain")
    (name, _) = tree.children()
    assert tree.acls(f"/{name}") == tree.acls("/plain")


def test_a_lost_sequential_create_is_told_from_those_of_others(proxy, mnt, tree):
    """Same name, same data, made at the same time."""
    tree.client.create(tree.path("/n-"), b"x", sequence=True)
    trap = proxy.lose_answer(*CREATES, then_cut=True)
    result = []

    def write_line():
        fd = lease_of(mnt / ".create", b"-s n- x")
        result.append(os.read(fd, 100).decode().strip())
        os.close(fd)

    thread = threading.Thread(target=write_line, daemon=True)
    thread.start()
    assert trap.sprung.wait(20 * SCALE)
    for _ in range(3):
        tree.client.create(tree.path("/n-"), b"x", sequence=True)
    proxy.heal()
    thread.join(20 * SCALE)
    assert result == ["n-0000000001"]
    assert len(tree.children()) == 5


@pytest.mark.parametrize("line", [b"n x", b"-s n x"])
def test_a_lost_create_whose_session_expires_is_done_once(server, proxy, mnt, tree, line):
    trap = proxy.lose_answer(*CREATES, then_cut=True)
    thread = threading.Thread(target=put, args=(mnt / ".ephemeral", line), daemon=True)
    thread.start()
    assert trap.sprung.wait(20 * SCALE)
    expire(server.hosts, proxy.session)
    proxy.heal()
    thread.join(20 * SCALE)
    assert not thread.is_alive()
    (name,) = tree.children()
    wait_owned(tree, mnt, [name])


@pytest.mark.parametrize("line", [b"n x", b"-s n x"])
def test_a_create_that_timed_out_leaves_nothing(proxy, mounts, tree, line):
    mnt = mounts("op_timeout=1000", hosts=proxy.hosts + tree.root)
    trap = proxy.lose_answer(*CREATES, then_cut=True)
    with fails_with(errno.ETIMEDOUT):
        put(mnt / ".ephemeral", line)
    assert trap.sprung.is_set() and len(tree.children()) == 1
    proxy.heal()
    wait_equal(tree.children, [], 20)
    put(mnt / ".ephemeral", b"n y")
    assert tree.children() == ["n"]


def test_a_lease_that_is_closed_before_its_answer_is_removed(proxy, mounts, tree, spawn):
    mnt = mounts(hosts=proxy.hosts + tree.root)
    trap = proxy.lose_answer(*CREATES, then_cut=True)
    writer = spawn("sh", "-c", f"exec 3> {mnt}/.lease; echo a >&3; sleep 100")
    assert trap.sprung.wait(20 * SCALE)
    assert tree.children() == ["a"]
    writer.kill()
    writer.wait()
    proxy.heal()
    wait_equal(tree.children, [], 20)
    wait_equal(lambda: mnt.status()["ephemerals"], "0")


def test_connections_that_break_in_the_middle_of_everything(proxy, mnt, tree):
    """Creates, sets and lease closes, while the connection breaks all the time."""
    stop = threading.Event()

    def breaker():
        while not stop.wait(0.05):
            proxy.drop()

    thread = threading.Thread(target=breaker, daemon=True)
    thread.start()
    kept = {}
    try:
        for i in range(40):
            put(mnt / ".ephemeral", b"e%d x" % i)
            write(mnt / f"e{i}", b"%d" % i, os.O_TRUNC)
            kept[f"e{i}"] = b"%d" % i
            fd = lease_of(mnt / ".lease", b"l%d" % i, b"-s s")
            os.close(fd)
            fd = lease_of(mnt / ".create", b"-s q %d" % i)
            kept[os.read(fd, 100).decode().strip()] = b"%d" % i
            os.close(fd)
    finally:
        stop.set()
        thread.join()
    wait_equal(tree.children, sorted(kept), 20)
    assert {name: tree.get(f"/{name}") for name in kept} == kept


@pytest.mark.parametrize("line", ["a x", "-s a x"])
@pytest.mark.parametrize("special", [".ephemeral", ".lease", ".create"])
def test_a_signal_ends_a_write_that_waits(proxy, mounts, tree, spawn, special, line):
    """And then nothing of it is done."""
    mnt = mounts("op_timeout=60000", hosts=proxy.hosts + tree.root)
    put(mnt / ".ephemeral", b"first")
    proxy.cut()
    wait_for(lambda: mnt.status()["state"] != "connected")
    writer = spawn("dd", f"of={mnt}/{special}", "conv=notrunc", stdin=subprocess.PIPE)
    writer.stdin.write(line.encode())
    writer.stdin.close()
    wait_for(lambda: waits(writer.pid), 5, "the program to wait")
    start = time.monotonic()
    writer.terminate()
    writer.wait(20 * SCALE)
    assert time.monotonic() - start < 1 * SCALE
    proxy.heal()
    put(mnt / ".ephemeral", b"last")
    wait_equal(tree.children, ["first", "last"])


# Expiry


def test_an_expiry_brings_them_back_with_their_last_data(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a 1")
    put(mnt / ".ephemeral", b"b 1")
    put(mnt / ".ephemeral", b"-s s 1")
    put(mnt / ".create", b"-e c 1")
    lease = lease_of(mnt / ".lease", b"l 1", b"-s m 1")
    names = tree.children()
    write(mnt / "a", b"2", os.O_TRUNC)
    tree.set("/b", b"3")
    wait_equal(lambda: read(mnt / "b"), b"3")
    end_session(server, proxy, mnt)
    wait_owned(tree, mnt, names, 2)
    assert [tree.get(f"/{name}") for name in "abcl"] == [b"2", b"3", b"1", b"1"]
    wait_equal(lambda: read(mnt / "b"), b"3")
    os.close(lease)
    wait_equal(tree.children, [name for name in names if name[0] not in "lm"])


def test_what_was_written_just_before_an_expiry_comes_back(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a 0")
    put(mnt / ".ephemeral", b"gone 0")
    for n in range(1, 6):
        write(mnt / "a", b"%d" % n, os.O_TRUNC)
        if n == 3:
            os.remove(mnt / "gone")
        end_session(server, proxy, mnt)
        wait_owned(tree, mnt, ["a"] if n >= 3 else ["a", "gone"])
        assert tree.get("/a") == b"%d" % n
        wait_equal(lambda: exists(mnt / "a"), True)


@pytest.mark.deadline(180)
def test_twenty_expiries_in_a_row(server, proxy, mnt, tree):
    lease = lease_of(mnt / ".lease", *(b"l%d x" % i for i in range(10)), b"-s q x")
    for i in range(10):
        put(mnt / ".ephemeral", b"e%d x" % i)
    names = tree.children()
    for n in range(20):
        end_session(server, proxy, mnt)
        if n % 2:
            wait_owned(tree, mnt, names)
    wait_owned(tree, mnt, names)
    assert (mnt.status()["ephemerals"], mnt.status()["leases"]) == ("21", "11")
    os.close(lease)
    wait_equal(tree.children, [f"e{i}" for i in range(10)])


def test_a_lease_closed_during_an_expiry_does_not_come_back(server, proxy, mnt, tree):
    lease = lease_of(mnt / ".lease", b"a x")
    proxy.cut()
    expire(server.hosts, proxy.session)
    os.close(lease)
    proxy.heal()
    put(mnt / ".ephemeral", b"b")
    wait_owned(tree, mnt, ["b"])
    assert mnt.status()["ephemerals"] == "1"


def test_what_somebody_else_holds_by_then_is_left_alone(server, proxy, mnt, tree):
    lease = lease_of(mnt / ".lease", b"a ours", b"b ours")
    proxy.cut()
    expire(server.hosts, proxy.session)
    other = connect(server.hosts)
    wait_for(lambda: not tree.exists("/a"))
    other.create(tree.path("/a"), b"theirs", ephemeral=True)
    czxid = tree.stat("/a").czxid
    proxy.heal()
    wait_for(lambda: tree.exists("/b"), 20)
    wait_for(lambda: "somebody else holds it" in (mnt / ".zkfs" / "status").read_text())
    assert os.read(lease, 100) == b"b\n"
    os.close(lease)
    wait_equal(tree.children, ["a"])
    assert (tree.get("/a"), tree.stat("/a").czxid) == (b"theirs", czxid)
    disconnect(other)


def test_what_was_removed_elsewhere_does_not_come_back(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a x")
    put(mnt / ".ephemeral", b"b x")
    tree.delete("/a")
    wait_equal(lambda: read(mnt / ".ephemeral"), b"b\n")
    end_session(server, proxy, mnt)
    wait_owned(tree, mnt, ["b"])


def test_what_was_renamed_comes_back_under_its_new_name(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a x")
    put(mnt / ".ephemeral", b"b y")
    put(mnt / ".ephemeral", b"c z")
    os.rename(mnt / "a", mnt / "d")
    os.rename(mnt / "b", mnt / "c")
    end_session(server, proxy, mnt)
    wait_owned(tree, mnt, ["c", "d"])
    assert [tree.get("/c"), tree.get("/d")] == [b"y", b"x"]


def lose_with_session(server, proxy, lose, opcode, call):
    """
    Makes the call, whose request, or its answer, is lost, and the session with it. Gives the error
    that the call ended with, or None.
    """
    outcome = []

    def work():
        try:
            call()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    trap = getattr(proxy, lose)(opcode, then_cut=True)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert trap.sprung.wait(20 * SCALE)
    expire(server.hosts, proxy.session)
    proxy.heal()
    thread.join(20 * SCALE)
    assert outcome, "the call hangs"
    return outcome[0]


def wait_ends_as(tree, mnt, kept):
    """These ephemerals are there, with their data, and they are all that stays."""

    def is_there():
        mnt.catch_up()
        return tree.children() == sorted(kept) and int(mnt.status()["ephemerals"]) == len(kept)

    wait_for(is_there, 20, f"{sorted(kept)} to be all that is there")
    assert owners(tree, kept) == [mnt.session()] * len(kept)
    assert {name: tree.get(f"/{name}") for name in kept} == kept
    assert {name: read(mnt / name) for name in os.listdir(mnt)} == kept


LOSSES = pytest.mark.parametrize("lose", ["lose_answer", "lose_request"])
OWNERS = pytest.mark.parametrize("special", [".ephemeral", ".lease"])


@LOSSES
@OWNERS
def test_a_removal_that_is_lost_with_its_session_is_one(server, proxy, mnt, tree, lose, special):
    lease = lease_of(mnt / special, b"a x")
    error = lose_with_session(server, proxy, lose, zk.DELETE, lambda: os.remove(mnt / "a"))
    assert error is None
    wait_ends_as(tree, mnt, {})
    os.close(lease)


@LOSSES
@OWNERS
def test_a_rename_that_is_lost_with_its_session(server, proxy, mnt, tree, lose, special):
    """Done or refused: there is one of it, under the name that was told."""
    lease = lease_of(mnt / special, b"a x")
    error = lose_with_session(
        server, proxy, lose, zk.MULTI, lambda: os.rename(mnt / "a", mnt / "b")
    )
    wait_ends_as(tree, mnt, {"a" if error else "b": b"x"})
    os.close(lease)
    if special == ".lease":
        wait_ends_as(tree, mnt, {})


@LOSSES
@pytest.mark.parametrize("target", ["plain", "ephemeral"])
def test_a_replacement_that_is_lost_with_its_session(server, proxy, mnt, tree, lose, target):
    put(mnt / ".ephemeral", b"a x")
    if target == "plain":
        write(mnt / "b", b"y")
    else:
        put(mnt / ".ephemeral", b"b y")
    error = lose_with_session(
        server, proxy, lose, zk.MULTI, lambda: os.rename(mnt / "a", mnt / "b")
    )
    if not error:
        wait_ends_as(tree, mnt, {"b": b"x"})
    elif target == "ephemeral":
        wait_ends_as(tree, mnt, {"a": b"x", "b": b"y"})
    else:
        assert lose == "lose_request"
        wait_equal(tree.children, ["a", "b"])
        assert owners(tree, ["a", "b"]) == [mnt.session(), 0]


@LOSSES
@pytest.mark.parametrize("names", [("eph", "plain"), ("plain", "eph")])
def test_an_exchange_that_is_lost_with_its_session(server, proxy, mnt, tree, lose, names):
    put(mnt / ".ephemeral", b"eph x")
    write(mnt / "plain", b"y")
    error = lose_with_session(
        server,
        proxy,
        lose,
        zk.MULTI,
        lambda: renameat2(*(mnt / name for name in names), RENAME_EXCHANGE),
    )
    ours, other = ("eph", "plain") if error else ("plain", "eph")
    wait_for(lambda: owners(tree, [ours, other]) == [mnt.session(), 0], 20)
    assert [tree.get(f"/{name}") for name in (ours, other)] == [b"x", b"y"]
    wait_equal(lambda: read(mnt / ".ephemeral"), ours.encode() + b"\n")


def test_a_renamed_directory_takes_them_along(server, proxy, mnt, tree):
    os.mkdir(mnt / "d")
    lease = lease_of(mnt / "d" / ".lease", b"a 1", b"-s s 2")
    put(mnt / "d" / ".ephemeral", b"b 3")
    os.rename(mnt / "d", mnt / "e")
    os.write(lease, b"c 4")
    names = tree.children("/e")
    assert os.read(lease, 100).decode().split() == ["a", names[-1], "c"]
    end_session(server, proxy, mnt)
    wait_equal(lambda: owners(tree, [f"e/{name}" for name in names]), [mnt.session()] * 4)
    os.close(lease)
    wait_equal(lambda: tree.children("/e"), ["b"])
    assert read(mnt / "e" / ".ephemeral") == b"b\n"


def test_what_was_exchanged_comes_back_as_it_is_then(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a 1")
    put(mnt / ".ephemeral", b"b 2")
    put(mnt / ".ephemeral", b"c 3")
    write(mnt / "plain", b"4")
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    renameat2(mnt / "c", mnt / "plain", RENAME_EXCHANGE)
    end_session(server, proxy, mnt)
    wait_for(lambda: owners(tree, ["a", "b", "plain"]) == [mnt.session()] * 3)
    assert [tree.get(f"/{name}") for name in ("a", "b", "c", "plain")] == [b"2", b"1", b"4", b"3"]
    assert owners(tree, ["c"]) == [0]
    assert sorted(read(mnt / ".ephemeral").split()) == [b"a", b"b", b"plain"]


def test_an_acl_comes_back(server, proxy, mnt, tree):
    put(mnt / ".ephemeral", b"a x")
    os.setxattr(mnt / "a", "user.zk.acl", b"world:anyone:r")
    acls = tree.acls("/a")
    end_session(server, proxy, mnt)
    wait_owned(tree, mnt, ["a"])
    assert tree.acls("/a") == acls


# Daemons and servers


def test_a_restarted_zkfs_does_not_take_over_its_predecessors_nodes(server, proxy, mounts, tree):
    mnt = mounts("timeout=4000", hosts=proxy.hosts + tree.root)
    put(mnt / ".ephemeral", b"a x")
    session = mnt.session()
    mnt.kill()
    mnt.killed = False
    mnt.options = ["timeout=4000"]
    mnt.start()
    assert mnt.session() != session
    assert read(mnt / ".ephemeral") == b""
    with fails_with(errno.EEXIST):
        put(mnt / ".ephemeral", b"a y")
    wait_for(lambda: not tree.exists("/a"), 20)
    put(mnt / ".ephemeral", b"a y")
    assert tree.get("/a") == b"y"


@pytest.fixture
def shared(ensemble, place):
    client = connect(ensemble.hosts, connection_retry={"max_tries": -1})
    client.create(f"/{place.name}", b"")
    yield Tree(client, f"/{place.name}")
    disconnect(client)


class Worker:
    """Creates, sets and closes leases without end; knows what was acknowledged."""

    def __init__(self, mnt):
        self.mnt = mnt
        self.kept = {}
        self.unsure = set()
        self.rounds = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stop.is_set():
            self.rounds += 1
            name = f"e{self.rounds:05}"
            try:
                put(self.mnt / ".ephemeral", f"{name} old".encode())
                self.kept[name] = b"old"
                lease = lease_of(self.mnt / ".lease", f"l{self.rounds}".encode(), b"-s s")
                os.close(lease)
                write(self.mnt / name, b"new", os.O_TRUNC)
                self.kept[name] = b"new"
            except OSError:
                self.unsure.add(name)
                time.sleep(0.02)

    def end(self):
        self.stop.set()
        self.thread.join(60 * SCALE)
        assert not self.thread.is_alive(), "a call hangs"


def check_tree(tree, mnt, worker):
    """Nothing acknowledged is missing, nothing else is there."""
    wait_equal(lambda: [n for n in tree.children() if n[0] != "e"], [], 30)
    wait_for(lambda: set(worker.kept) - worker.unsure <= set(tree.children()), 30)
    assert set(tree.children()) <= set(worker.kept) | worker.unsure
    for name in set(worker.kept) - worker.unsure:
        data, stat = tree.get_both(f"/{name}")
        assert data == worker.kept[name], name
        assert stat.ephemeralOwner == mnt.session(), name


@pytest.mark.deadline(180)
@pytest.mark.parametrize("how", ["kill leader", "pause leader", "restart all"])
def test_losing_servers_in_the_middle_of_everything(ensemble, shared, mounts, how):
    mnt = mounts("op_timeout=20000", "timeout=6000", hosts=ensemble.hosts + shared.root)
    worker = Worker(mnt)
    wait_for(lambda: worker.rounds >= 20, 20)
    if how == "restart all":
        for server in ensemble.servers:
            server.kill()
        ensemble.heal()
    else:
        leader = ensemble.leader()
        leader.kill() if how == "kill leader" else leader.pause()
    before = worker.rounds
    wait_for(lambda: worker.rounds >= before + 20, 60, "work after the outage")
    worker.end()
    ensemble.heal()
    check_tree(shared, mnt, worker)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("seconds", [1, 6])
def test_a_cut_in_the_middle_of_everything(proxy, mounts, tree, seconds):
    """For less, and for more, than the session timeout."""
    mnt = mounts("timeout=4000", "op_timeout=20000", hosts=proxy.hosts + tree.root)
    worker = Worker(mnt)
    wait_for(lambda: worker.rounds >= 20, 20)
    session = mnt.session()
    proxy.cut()
    wait_for(lambda: int(mnt.status()["outage_ms"]) > seconds * 1000, 30)
    proxy.heal()
    before = worker.rounds
    wait_for(lambda: worker.rounds >= before + 20, 60, "work after the outage")
    worker.end()
    check_tree(tree, mnt, worker)
    assert (mnt.session() != session) == (seconds > 4)
