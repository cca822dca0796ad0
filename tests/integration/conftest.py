"""
Fixtures. One ZooKeeper server serves the whole run; each test has a subtree of its own (`tree`,
seen through kazoo) and mounts exactly that (`mnt`, `mnt2`, or `mounts` for more or other options).
Tests of faults start servers of their own, or use the `ensemble` of three.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

from support import mount as mounting
from support.hook import Hooks
from support.mount import Mount
from support.proxy import Proxy
from support.server import Ensemble, Server
from support.tree import Tree, connect, disconnect
from support.waiting import DIES_WITH_PARENT, SCALE

counter = itertools.count()


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): how long the test may take at most")
    config.addinivalue_line("markers", "once: not repeated under the sanitizers")


def pytest_collection_modifyitems(config, items):
    """What only tests the scripts and the like need not be run twice."""
    if not os.environ.get("ZKFS_TEST_SANITIZED"):
        return
    dropped = [item for item in items if item.get_closest_marker("once")]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


class Hang(AssertionError):
    """Raised in the middle of a test that exceeds its deadline."""


class Watchdog:
    """
    Ends a test that hangs. A call into a mount that does not answer cannot be interrupted, so the
    daemons are killed first: then every such call fails.
    """

    def __init__(self, seconds):
        self.in_call = False
        self.timer = threading.Timer(seconds, self.bite)
        self.timer.daemon = True

    def bite(self):
        frame = sys._current_frames()[threading.main_thread().ident]
        traceback.print_stack(frame, file=sys.__stderr__)
        for mount in list(mounting.running):
            os.kill(mount.daemon, signal.SIGKILL)
        if self.in_call:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)


def raise_hang(signum, frame):
    raise Hang("the test exceeded its deadline")


signal.signal(signal.SIGUSR1, raise_hang)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    marker = item.get_closest_marker("deadline")
    item.watchdog = Watchdog((marker.args[0] if marker else 60) * SCALE)
    item.watchdog.timer.start()
    yield
    item.watchdog.timer.cancel()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    item.watchdog.in_call = True
    yield
    item.watchdog.in_call = False


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its daemons had to say."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for mount in getattr(item, "zkfs_mounts", []):
            report.sections.append((f"zkfs on {mount.path.parent.name}", mount.stderr()))


@pytest.fixture(scope="session")
def folder():
    """Everything the run leaves on disk is in here."""
    with tempfile.TemporaryDirectory(prefix="zkfs-test-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture(scope="session")
def server(folder):
    server = Server(folder / "server")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def kz(server):
    client = connect(server.hosts)
    yield client
    disconnect(client)


@pytest.fixture
def place(folder, request):
    """A private folder for the test."""
    name = re.sub(r"\W+", "-", request.node.name)[:60].strip("-")
    path = folder / f"{next(counter)}-{name}"
    path.mkdir()
    return path


@pytest.fixture
def memory(place):
    """Like place, but in memory: for what syncs so often that a disk would be too slow."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else place
    with tempfile.TemporaryDirectory(prefix="zkfs-test-", dir=where) as path:
        yield Path(path)


@pytest.fixture
def tree(server, kz, place):
    """An empty subtree, seen through kazoo."""
    assert server.alive(), "the ZooKeeper server has died"
    root = f"/{place.name}"
    kz.create(root, b"")
    return Tree(kz, root)


def close_leaked(folder):
    """A test that failed may have left files open, which would keep its mounts busy."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith(folder):
                os.close(int(fd))
        except OSError:
            pass


@pytest.fixture
def mounts(server, tree, place, request):
    """Makes mounts of the test's subtree: mounts("ro", "max_data=1000")."""
    made = request.node.zkfs_mounts = []

    def make(*options, hosts=None, start=True, **kwargs):
        where = hosts or server.hosts + tree.root
        mount = Mount(place / f"mount{len(made)}", where, options, **kwargs)
        made.append(mount)
        if not hosts:
            tree.readers.append(mount)
        return mount.start() if start else mount

    yield make
    close_leaked(str(place))
    problems = [problem for mount in reversed(made) for problem in mount.finish()]
    assert not problems, "\n".join(problems)


@pytest.fixture
def spawn(mounts):
    """Starts programs that are ended, at the latest, before the mounts are."""
    started = []

    def start(*argv, **kwargs):
        argv = DIES_WITH_PARENT + [str(arg) for arg in argv]
        started.append(subprocess.Popen(argv, **kwargs))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def mnt(mounts):
    return mounts()


@pytest.fixture
def mnt2(mnt, mounts):
    """A second mount of the same subtree, as another host would have it."""
    return mounts()


@pytest.fixture(params=["plain", "mount"])
def anywhere(request, place):
    """A directory to put files into: hooks work on a plain one and on a mount."""
    if request.param == "mount":
        return request.getfixturevalue("mnt").path
    (place / "plain").mkdir()
    return place / "plain"


@pytest.fixture
def hooks(mounts, place):
    """Starts hook programs: hooks.run(name, …), hooks.start(name, …). They end before the mounts."""
    hooks = Hooks(place / "hooks")
    yield hooks
    problems = hooks.finish()
    assert not problems, "\n".join(problems)


@pytest.fixture
def own_server(place):
    """A server that the test may stop and kill."""
    server = Server(place / "server")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def proxy_to():
    """Makes ways to servers that the test may cut."""
    made = []

    def make(server):
        made.append(Proxy(server.port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def proxy(server, proxy_to):
    """A way to the session's server that the test may cut."""
    return proxy_to(server)


@pytest.fixture(scope="session")
def three_servers(folder):
    ensemble = Ensemble(folder / "ensemble")
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.stop()


@pytest.fixture
def ensemble(three_servers):
    """Three servers, all of them well, before and after."""
    three_servers.heal()
    yield three_servers
    three_servers.heal()


@pytest.fixture
def needs_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")
