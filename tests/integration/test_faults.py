"""
What happens when servers die, stop or come back, answers are lost, and the session expires:
nothing hangs, nothing acknowledged is lost, nothing is done twice.
"""

import errno
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from support import proxy as zk
from support.files import exists, fails_with, read, renameat2, write, RENAME_EXCHANGE
from support.mount import mounts_at
from support.tree import Tree, connect, disconnect, expire
from support.waiting import SCALE, run, sh, wait_equal, wait_for, waits


class Timed:
    """How long a call took, what it gave, or the errno that it ended with."""

    def __init__(self, call):
        start = time.monotonic()
        self.error = None
        try:
            self.result = call()
        except OSError as error:
            self.error = error.errno
        self.seconds = time.monotonic() - start


def in_background(call):
    """Runs call in a thread; .join(timeout) it, then look at .timed."""
    thread = threading.Thread(target=lambda: setattr(thread, "timed", Timed(call)), daemon=True)
    thread.start()
    return thread


def joined(thread, timeout=30):
    thread.join(timeout * SCALE)
    assert not thread.is_alive(), "the call hangs"
    return thread.timed


# Servers of an ensemble


@pytest.fixture
def shared(ensemble, place):
    """A subtree on the ensemble, seen by kazoo through all servers."""
    client = connect(ensemble.hosts, connection_retry={"max_tries": -1})
    client.create(f"/{place.name}", b"")
    yield Tree(client, f"/{place.name}")
    disconnect(client)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("how", ["kill", "pause"])
def test_losing_the_leader_loses_no_acknowledged_write(ensemble, shared, mounts, how):
    mnt = mounts("op_timeout=20000", "timeout=5000", hosts=ensemble.hosts + shared.root)
    write(mnt / "counter", b"0")
    done = {"files": [], "counter": 0, "slowest": 0.0, "errors": []}
    stop = threading.Event()

    def writer():
        n = 0
        while not stop.is_set():
            n += 1
            start = time.monotonic()
            try:
                write(mnt / f"f{n}", b"%d" % n)
                done["files"].append(n)
                write(mnt / "counter", b"%d" % n)
                done["counter"] = n
            except OSError as error:
                done["errors"].append(error)
            done["slowest"] = max(done["slowest"], time.monotonic() - start)

    thread = in_background(writer)
    wait_for(lambda: done["counter"] >= 20, 20)
    getattr(ensemble.leader(), how)()
    before = done["counter"]
    wait_for(lambda: done["counter"] >= before + 20, 40, "writes after the leader was lost")
    stop.set()
    joined(thread)
    assert not done["errors"]
    assert done["slowest"] < 20 * SCALE
    ensemble.heal()
    # A leader that was paused answers sync and reads from its past until it learns of the new one.
    wait_equal(lambda: shared.get("/counter"), b"%d" % done["counter"], 30)
    assert shared.version("/counter") == done["counter"]
    for n in done["files"]:
        assert shared.get_both(f"/f{n}")[0] == b"%d" % n
        assert shared.version(f"/f{n}") == 0


def test_losing_a_follower_is_hardly_noticed(ensemble, shared, mounts):
    mnt = mounts(hosts=ensemble.hosts + shared.root)
    write(mnt / "f", b"0")
    port = int(mnt.status()["server"].rpartition(":")[2])
    next(server for server in ensemble.servers if server.port == port).kill()
    timed = Timed(lambda: write(mnt / "f", b"1"))
    assert timed.error is None
    assert timed.seconds < 10 * SCALE
    assert shared.get("/f") == b"1"
    assert mnt.status()["state"] == "connected"


# All servers gone


@pytest.fixture
def lone(own_server, mounts):
    """A mount of a server that the test may stop; op_timeout is short."""

    def make(*options):
        return mounts(*options, hosts=own_server.hosts)

    client = connect(own_server.hosts)
    tree = Tree(client, "")
    for name in ("cached", "uncached", "other"):
        tree.create(f"/d/{name}", name.encode())
    tree.create("/far/away", b"away")
    disconnect(client)
    return make


def warm(mnt):
    """Has the kernel and zkfs hold /d/cached, and nothing of its siblings' data."""
    assert read(mnt / "d" / "cached") == b"cached"
    os.stat(mnt / "d" / "cached")


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_with_no_server_an_uncached_read_times_out(own_server, lone, how):
    mnt = lone("op_timeout=1500", "timeout=3000")
    warm(mnt)
    getattr(own_server, how)()
    timed = Timed(lambda: read(mnt / "d" / "uncached"))
    assert timed.error == errno.ETIMEDOUT
    assert 1 < timed.seconds < 1.5 + 3 * SCALE
    timed = Timed(lambda: os.stat(mnt / "far" / "nothing-known-of-it"))
    assert timed.error == errno.ETIMEDOUT
    timed = Timed(lambda: write(mnt / "d" / "cached", b"new"))
    assert timed.error == errno.ETIMEDOUT
    if how == "pause":
        own_server.resume()


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_with_no_server_cached_reads_go_on(own_server, lone, how):
    mnt = lone("op_timeout=1500", "timeout=3000")
    warm(mnt)
    assert sorted(os.listdir(mnt / "d")) == ["cached", "other", "uncached"]
    getattr(own_server, how)()
    if how == "kill":
        wait_for(lambda: mnt.status()["state"] != "connected", 10)
    for _ in range(3):
        assert read(mnt / "d" / "cached") == b"cached"
        assert os.stat(mnt / "d" / "cached").st_size == 6
        assert sorted(os.listdir(mnt / "d")) == ["cached", "other", "uncached"]
    assert run("cat", mnt / "d" / "cached", timeout=5).stdout == "cached"
    if how == "pause":
        own_server.resume()


def test_cached_reads_go_on_when_the_session_must_have_expired(own_server, lone):
    mnt = lone("op_timeout=1000", "timeout=2000")
    warm(mnt)
    own_server.kill()
    time.sleep(3)  # longer than the session timeout: nothing to wait for but the time
    assert read(mnt / "d" / "cached") == b"cached"
    assert mnt.status()["state"] != "connected"


def test_stale_fail_ends_cached_reads_when_the_session_must_have_expired(own_server, lone):
    mnt = lone("op_timeout=1000", "timeout=2000", "stale=fail")
    warm(mnt)
    own_server.kill()
    assert read(mnt / "d" / "cached") == b"cached"
    wait_for(lambda: Timed(lambda: read(mnt / "d" / "cached")).error, 10, "reads to fail")
    assert Timed(lambda: os.stat(mnt / "d" / "cached")).error not in (None, errno.ENOENT)
    own_server.start()
    wait_equal(lambda: read(mnt / "d" / "cached"), b"cached", 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(
    "command",
    ["cat d/uncached", "stat nothing", "ls far", "rm d/uncached", "mkdir e", "mv d/uncached x"],
)
def test_a_signal_ends_a_wait_at_once(own_server, lone, spawn, command, number):
    mnt = lone("op_timeout=60000", "timeout=3000")
    os.stat(mnt / "d")
    own_server.kill()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = spawn(*command.split(), cwd=mnt, **quiet)
    wait_for(lambda: waits(process.pid), 5, "the program to wait")
    start = time.monotonic()
    process.send_signal(number)
    process.wait(20 * SCALE)
    assert time.monotonic() - start < 1 * SCALE


HANDLES_SIGNALS = """
import os, signal, sys
for number in (signal.SIGCHLD, signal.SIGURG, signal.SIGUSR1, signal.SIGALRM):
    signal.signal(number, lambda *args: None)
try:
    print("ready", flush=True)
    os.listdir(sys.argv[1])
except KeyboardInterrupt:
    os._exit(17)
"""


@pytest.fixture
def waiting(own_server, lone, spawn):
    """A program with handlers for signals, which waits for an answer of the mount."""
    mnt = lone("op_timeout=60000", "timeout=3000")
    own_server.kill()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    argv = [sys.executable, "-c", HANDLES_SIGNALS, mnt / "far"]
    process = spawn(*argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    wait_for(lambda: waits(process.pid), 5, "the program to wait")
    return process


def test_a_harmless_signal_disturbs_no_wait(own_server, waiting):
    """A shell whose child has just ended must not be told that a file is not there."""
    for number in (signal.SIGURG, signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM):
        waiting.send_signal(number)
    own_server.start()
    assert waiting.wait(20 * SCALE) == 0


def test_a_signal_ends_a_wait_also_after_a_harmless_one(waiting):
    waiting.send_signal(signal.SIGURG)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(5 * SCALE) == 17


def test_ctrl_c_ends_a_write_at_once(own_server, lone, spawn):
    mnt = lone("op_timeout=60000", "timeout=3000")
    warm(mnt)
    own_server.kill()
    code = "open('d/cached', 'w').write('new')"
    process = spawn(sys.executable, "-c", code, cwd=mnt, stderr=subprocess.DEVNULL)
    wait_for(lambda: waits(process.pid), 10, "the program to wait")
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(20 * SCALE)
    assert time.monotonic() - start < 2 * SCALE


def test_waits_in_one_directory_do_not_add_up(own_server, lone):
    """A lookup holds its directory's lock in the kernel while it waits."""
    mnt = lone("op_timeout=1500", "timeout=3000")
    os.stat(mnt / "d")
    own_server.kill()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    threads = [
        in_background(lambda name=f"new{n}": write(mnt / "d" / name, b"data")) for n in range(6)
    ]
    timed = [joined(thread) for thread in threads]
    assert all(one.error == errno.ETIMEDOUT for one in timed), [one.error for one in timed]
    assert max(one.seconds for one in timed) < 1.5 * 2.5 + 2 * (SCALE - 1)


def test_what_waits_is_done_when_the_server_is_back(own_server, lone):
    mnt = lone("op_timeout=30000", "timeout=10000")
    warm(mnt)
    own_server.kill()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    threads = [
        in_background(lambda: read(mnt / "d" / "uncached")),
        in_background(lambda: write(mnt / "new", b"data")),
        in_background(lambda: os.mkdir(mnt / "d" / "made")),
    ]
    own_server.start()
    timed = [joined(thread) for thread in threads]
    assert [one.error for one in timed] == [None, None, None]
    assert timed[0].result == b"uncached"
    assert read(mnt / "new") == b"data"
    wait_for(lambda: mnt.status()["state"] == "connected", 10)


def test_a_server_that_restarts_is_found_again(own_server, lone):
    mnt = lone("op_timeout=20000", "timeout=10000")
    for n in range(3):
        own_server.kill()
        own_server.start()
        write(mnt / "f", b"%d" % n)
        assert read(mnt / "f", os.O_SYNC) == b"%d" % n
    assert read(mnt / "d" / "cached") == b"cached"


def test_what_changed_during_an_outage_is_seen_after_it(server, proxy, mounts, tree):
    tree.create("/f", b"old")
    tree.create("/gone", b"data")
    tree.create("/d/child", b"data")
    mnt = mounts("timeout=8000", hosts=proxy.hosts + tree.root)
    assert read(mnt / "f") == b"old"
    assert exists(mnt / "gone")
    assert not exists(mnt / "new")
    assert os.listdir(mnt / "d") == ["child"]
    proxy.cut()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    tree.set("/f", b"changed meanwhile")
    tree.delete("/gone")
    tree.create("/new", b"new")
    tree.create("/d/second", b"data")
    assert read(mnt / "f") == b"old"
    proxy.heal()
    wait_equal(lambda: read(mnt / "f"), b"changed meanwhile", 20)
    wait_equal(lambda: exists(mnt / "gone"), False)
    wait_equal(lambda: read(mnt / "new"), b"new")
    wait_equal(lambda: sorted(os.listdir(mnt / "d")), ["child", "second"])


def test_umount_without_a_server_does_not_wait(own_server, lone):
    mnt = lone("op_timeout=30000", "timeout=10000")
    warm(mnt)
    own_server.kill()
    wait_for(lambda: mnt.status()["state"] != "connected", 10)
    assert mnt.umount() < 2 * SCALE


def end_while_waiting(mnt, proxy, *calls):
    """Has calls wait for a frozen server, then ends zkfs, and gives the server back in time."""
    proxy.freeze()
    threads = []
    for call in calls:
        threads.append(in_background(call))
        wait_for(lambda: waits(threads[-1].native_id), 5, "the call to wait")
    mnt.signal(signal.SIGTERM)
    wait_for(lambda: not mounts_at(mnt.path), 5, "the mount to go")
    proxy.heal()
    for thread in threads:
        joined(thread)
    mnt.wait_gone()


def test_ending_zkfs_while_a_directory_is_looked_up(proxy, mounts, tree):
    """What is in it is asked for before its entry is given out."""
    for name in "abc":
        tree.create(f"/d/{name}", b"data")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    mnt.catch_up()
    trap = proxy.lose_request(zk.EXISTS, then_cut=True)
    thread = in_background(lambda: os.stat(mnt / "d"))
    assert trap.sprung.wait(10 * SCALE)
    wait_for(lambda: waits(thread.native_id), 5, "the call to wait")
    mnt.signal(signal.SIGTERM)
    mnt.wait_gone()
    assert joined(thread).error is not None


def test_ending_zkfs_while_an_append_is_on_its_way(proxy, mounts, tree):
    tree.create("/log", b"old\n")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    fd = os.open(mnt / "log", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"new\n")
    end_while_waiting(mnt, proxy, lambda: os.fsync(fd))
    wait_equal(lambda: tree.get("/log"), b"old\nnew\n", 5)


def test_ending_zkfs_while_a_read_is_on_its_way(proxy, mounts, tree):
    """The file that is read is let go of while the commit of another is waited for."""
    tree.create("/read", b"old\n")
    tree.create("/written", b"old\n")
    mnt = mounts("watches=0", hosts=proxy.hosts + tree.root)
    reader = os.open(mnt / "read", os.O_RDONLY)
    writer = os.open(mnt / "written", os.O_WRONLY | os.O_TRUNC)
    os.write(writer, b"new\n")
    time.sleep(0.1)  # the reader's snapshot is not good enough any more
    end_while_waiting(mnt, proxy, lambda: os.pread(reader, 10, 0), lambda: os.fsync(writer))
    wait_equal(lambda: tree.get("/written"), b"new\n", 5)


LATE_WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
if os.fork():
    os._exit(0)
sys.stdin.readline()
os.write(fd, b"new")
print("written", flush=True)
sys.stdin.readline()
os._exit(0)
"""


def test_a_commit_that_the_end_cuts_off_is_logged(proxy, mounts, spawn, tree):
    """Its writer had inherited the file, and has ended: nobody is there to be told."""
    tree.create("/f", b"old")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    pipe = subprocess.PIPE
    process = spawn(sys.executable, "-c", LATE_WRITER, mnt / "f", stdin=pipe, stdout=pipe)
    assert process.wait(10) == 0
    process.stdin.write(b"write\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"written\n"
    proxy.freeze()
    process.stdin.close()
    wait_for(lambda: not any_holder(mnt), 5, "the last holder to end")
    mnt.umount()
    proxy.heal()
    assert "/f: what was written may be lost" in mnt.stderr()


def any_holder(mnt):
    """Whether a process has a file of the mount open."""
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(path).startswith(str(mnt)):
                return True
        except OSError:
            pass
    return False


def test_a_killed_daemon_ends_its_callers(own_server, lone):
    mnt = lone("op_timeout=60000", "timeout=3000")
    os.stat(mnt / "d")
    own_server.kill()
    thread = in_background(lambda: read(mnt / "d" / "uncached"))
    time.sleep(0.3)  # there is no way to see from outside that the request has been read
    mnt.kill()
    assert joined(thread).error in (errno.ECONNABORTED, errno.ENOTCONN)


def test_a_silent_network_is_noticed(server, proxy, mounts, tree):
    """Nothing is refused and nothing answers, as when a cable is pulled."""
    tree.create("/f", b"data")
    tree.create("/far/away", b"data")
    mnt = mounts("timeout=3000", "op_timeout=1500", hosts=proxy.hosts + tree.root)
    assert read(mnt / "f") == b"data"
    proxy.freeze()
    assert Timed(lambda: os.stat(mnt / "far" / "nothing")).error == errno.ETIMEDOUT
    assert read(mnt / "f") == b"data"
    wait_for(lambda: mnt.status()["state"] != "connected", 15)
    proxy.heal()
    wait_for(lambda: mnt.status()["state"] == "connected", 20)
    write(mnt / "f", b"again")
    assert tree.get("/f") == b"again"


# The session


def test_session_expiry_heals_by_itself(server, proxy, mounts, tree):
    tree.create("/f", b"old")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    assert read(mnt / "f") == b"old"
    assert not exists(mnt / "new")
    session = mnt.session()
    assert session == proxy.session[0]
    expire(server.hosts, proxy.session)
    tree.set("/f", b"changed")
    tree.create("/new", b"new")
    wait_for(lambda: mnt.session() != session and mnt.status()["state"] == "connected", 20)
    wait_equal(lambda: read(mnt / "f"), b"changed")
    wait_equal(lambda: read(mnt / "new"), b"new")
    write(mnt / "f", b"mine")
    assert tree.get("/f") == b"mine"
    tree.set("/f", b"theirs")
    wait_equal(lambda: read(mnt / "f"), b"theirs")


def test_expiry_does_not_lose_what_is_being_written(server, proxy, mounts, tree):
    tree.create("/f", b"old")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    new = os.open(mnt / "new", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"half")
    os.write(new, b"new")
    session = mnt.session()
    expire(server.hosts, proxy.session)
    wait_for(lambda: mnt.session() != session, 20)
    os.write(fd, b" and half")
    os.close(fd)
    os.close(new)
    assert tree.get("/f") == b"half and half"
    assert tree.get("/new") == b"new"


def test_expiry_again_and_again(server, proxy, mounts, tree):
    mnt = mounts(hosts=proxy.hosts + tree.root)
    for n in range(4):
        session = mnt.session()
        expire(server.hosts, proxy.session)
        write(mnt / "f", b"%d" % n)
        assert tree.get("/f") == b"%d" % n
        wait_for(lambda session=session: mnt.session() != session, 20)


# Lost answers. Each operation is done exactly once, and reported done if and only if it was.


def do_set(mnt):
    write(mnt / "file", b"new")


def do_change_in_place(mnt):
    with open(mnt / "file", "r+b", buffering=0) as f:
        f.write(b"new")


def do_append(mnt):
    write(mnt / "file", b"+new", os.O_APPEND)


def do_create(mnt):
    write(mnt / "made", b"new")


def do_exclusive_create(mnt):
    os.close(os.open(mnt / "made", os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def do_unlink(mnt):
    os.unlink(mnt / "file")


def do_mkdir(mnt):
    os.mkdir(mnt / "made")


def do_rmdir(mnt):
    os.rmdir(mnt / "empty")


def do_rename(mnt):
    os.rename(mnt / "file", mnt / "made")


def do_rename_onto(mnt):
    os.rename(mnt / "file", mnt / "other")


def do_rename_directory(mnt):
    os.rename(mnt / "dir", mnt / "made")


def do_exchange(mnt):
    renameat2(mnt / "file", mnt / "other", RENAME_EXCHANGE)


def do_exchange_directory(mnt):
    renameat2(mnt / "file", mnt / "empty", RENAME_EXCHANGE)


def do_acl(mnt):
    os.setxattr(mnt / "file", "user.zk.acl", b"world:anyone:cdrwa,ip:127.0.0.1:r")


OPERATIONS = {call.__name__[3:]: call for call in (
    do_set, do_change_in_place, do_append, do_create, do_exclusive_create, do_unlink, do_mkdir,
    do_rmdir, do_rename, do_rename_onto, do_rename_directory, do_exchange,
    do_exchange_directory, do_acl,
)}


def shape(tree, path="/"):
    """All there is below path, versions included, as one value that can be compared."""
    data, stat = tree.get_both(path)
    below = {
        name: shape(tree, f"{path.rstrip('/')}/{name}") for name in tree.children(path)
    }
    return (data, stat.version if path != "/" else 0, stat.aversion, below)


@pytest.fixture
def furnished(tree):
    """Two identical subtrees, to do the same in both: one with the network well, one not."""
    for top in ("/well", "/ill"):
        tree.create(f"{top}/file", b"old")
        tree.create(f"{top}/other", b"other")
        tree.create(f"{top}/dir/child", b"data")
        tree.create(f"{top}/empty/child", b"")
        tree.delete(f"{top}/empty/child")
    return tree


def shapes_after(operation, proxy, mounts, furnished, trap):
    """The shapes before, as it should be after, and as it is after; and what the caller heard."""
    well = mounts(hosts=f"{proxy.hosts}{furnished.root}/well")
    ill = mounts("timeout=8000", hosts=f"{proxy.hosts}{furnished.root}/ill")
    before = shape(Tree(furnished.client, f"{furnished.root}/ill"))
    OPERATIONS[operation](well)
    well.umount()
    sprung = trap()
    timed = Timed(lambda: OPERATIONS[operation](ill))
    assert sprung.sprung.is_set()
    ill.umount()
    should = shape(Tree(furnished.client, f"{furnished.root}/well"))
    return before, should, shape(Tree(furnished.client, f"{furnished.root}/ill")), timed


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_lost_answer_of_what_was_done_is_reported_done(proxy, mounts, furnished, operation):
    _, should, found, timed = shapes_after(
        operation, proxy, mounts, furnished, lambda: proxy.lose_answer(*zk.WRITES)
    )
    assert timed.error is None
    assert found == should


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_lost_request_is_done_once_or_reported(proxy, mounts, furnished, operation):
    before, should, found, timed = shapes_after(
        operation, proxy, mounts, furnished, lambda: proxy.lose_request(*zk.WRITES)
    )
    assert found == (should if timed.error is None else before)
    assert timed.error is None, "the server is there: it should have been sent again"


@pytest.fixture
def other_hand(proxy, mounts, tree):
    """A file whose next write loses its request or answer, with the network gone until healed."""
    tree.create("/f", b"old")
    mnt = mounts("timeout=8000", "op_timeout=20000", hosts=proxy.hosts + tree.root)
    assert read(mnt / "f") == b"old"
    return mnt


@pytest.mark.parametrize("how", ["lose_answer", "lose_request"])
def test_a_lost_write_never_overwrites_a_later_one(proxy, other_hand, tree, how):
    trap = getattr(proxy, how)(*zk.WRITES, then_cut=True)
    thread = in_background(lambda: write(other_hand / "f", b"mine"))
    assert trap.sprung.wait(10 * SCALE)
    tree.set("/f", b"theirs")
    proxy.heal()
    timed = joined(thread)
    assert tree.get("/f") == b"theirs"
    applied = tree.version("/f") == 2
    assert applied == (how == "lose_answer")
    if not applied:
        assert timed.error is not None


def test_a_lost_create_of_a_name_that_another_takes(proxy, other_hand, tree):
    trap = proxy.lose_request(*zk.WRITES, then_cut=True)
    thread = in_background(lambda: write(other_hand / "new", b"mine"))
    assert trap.sprung.wait(10 * SCALE)
    tree.create("/new", b"theirs")
    proxy.heal()
    timed = joined(thread)
    assert timed.error is not None or tree.get("/new") == b"mine" and tree.version("/new") == 1
    if timed.error is not None:
        assert tree.get("/new") == b"theirs"


def test_a_lost_exclusive_create_of_a_name_that_another_takes(proxy, other_hand, tree):
    trap = proxy.lose_request(*zk.WRITES, then_cut=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    thread = in_background(lambda: os.close(os.open(other_hand / "new", flags)))
    assert trap.sprung.wait(10 * SCALE)
    tree.create("/new", b"theirs")
    proxy.heal()
    assert joined(thread).error == errno.EEXIST
    assert tree.get("/new") == b"theirs"


def test_a_lost_append_is_there_once(proxy, other_hand, tree):
    for how in ("lose_answer", "lose_request"):
        trap = getattr(proxy, how)(*zk.WRITES)
        write(other_hand / "f", b"+", os.O_APPEND)
        assert trap.sprung.is_set()
    assert tree.get("/f") == b"old++"


def test_a_lost_delete_does_not_take_a_later_namesake(proxy, other_hand, tree):
    trap = proxy.lose_answer(*zk.WRITES, then_cut=True)
    thread = in_background(lambda: os.unlink(other_hand / "f"))
    assert trap.sprung.wait(10 * SCALE)
    assert not tree.exists("/f")
    tree.create("/f", b"theirs")
    proxy.heal()
    assert joined(thread).error is None
    assert tree.get("/f") == b"theirs"


def test_lost_reads_are_asked_again(proxy, mounts, tree):
    tree.create("/d/f", b"data")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    for how in (proxy.lose_answer, proxy.lose_request):
        for opcodes in ((zk.GET,), (zk.GET_CHILDREN, zk.GET_CHILDREN2), (zk.EXISTS,), (zk.SYNC,)):
            how(*opcodes)
    assert os.listdir(mnt / "d") == ["f"]
    assert read(mnt / "d" / "f") == b"data"
    assert read(mnt / "d" / "f", os.O_SYNC) == b"data"
    assert not exists(mnt / "d" / "none")


def test_connections_that_break_all_the_time(proxy, mounts, tree):
    """Two hundred writes and reads while the connection is cut again and again."""
    mnt = mounts("timeout=8000", "op_timeout=20000", hosts=proxy.hosts + tree.root)
    write(mnt / "f", b"start")
    stop = threading.Event()

    def breaker():
        while not stop.wait(0.15):
            proxy.drop()

    thread = in_background(breaker)
    for n in range(100):
        write(mnt / "f", b"%d" % n)
        assert read(mnt / "f") == b"%d" % n
    stop.set()
    joined(thread)
    assert tree.get("/f") == b"99"
    assert tree.version("/f") == 100


def test_an_error_that_nobody_asked_for_is_counted(proxy, mounts, tree, tmp_path):
    """The last holder is not the opener: the commit fails after close(2) has returned."""
    tree.create("/f", b"old")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    before = read(mnt / ".zkfs" / "status").decode()
    go = tmp_path / "go"
    os.mkfifo(go)
    sh(f"exec 3<> f; (read < {go}; echo x >&3) > /dev/null 2>&1 & exit", cwd=mnt)
    tree.delete("/f")
    go.write_text("\n")
    wait_for(lambda: re.search("ESTALE|[Ss]tale", status_change(mnt, before)), 10, "a report")
    with fails_with(errno.ENOENT):
        read(mnt / "f")


def status_change(mnt, before):
    """The lines of the status that are not what they were."""
    old = set(before.splitlines())
    now = read(mnt / ".zkfs" / "status").decode().splitlines()
    return "\n".join(line for line in now if line not in old)
