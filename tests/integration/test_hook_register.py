"""zkfs-register: a service is registered for as long as its port is open."""

import os
import socket

import pytest

from support.files import exists, read, write
from support.tree import expire
from support.waiting import free_port, wait_equal, wait_for

NAME = "zkfs-register"


class Service:
    """A port that can be opened and closed, and the node that tells of it."""

    def __init__(self, hooks, folder):
        self.hooks = hooks
        self.folder = folder
        self.port = free_port()
        self.node = folder / f"s{self.port}"
        self.socket = None

    def open(self):
        self.socket = socket.create_server(("127.0.0.1", self.port), backlog=1000)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def register(self, *options):
        common = ("--port", self.port, "--dir", self.folder, "--interval", "0.2")
        return self.hooks.start(NAME, *common, *options)

    def value(self):
        return f'["127.0.0.1", "{self.port}"]'.encode()

    def wait_there(self, timeout=5):
        wait_equal(lambda: read(self.node), self.value(), timeout)

    def wait_gone(self, timeout=5):
        wait_for(lambda: not exists(self.node), timeout, "the node to go")


@pytest.fixture
def service(mnt, hooks):
    (mnt / "what").mkdir()
    service = Service(hooks, mnt / "what")
    yield service
    service.close()


def test_it_is_there_while_the_port_is_open(service):
    service.register()
    service.open()
    service.wait_there(1.2)
    service.close()
    service.wait_gone()
    service.open()
    service.wait_there(1.2)


def test_it_is_an_ephemeral_of_its_process(service, tree):
    service.open()
    hook = service.register()
    service.wait_there()
    assert tree.stat(f"/what/{service.node.name}").ephemeralOwner != 0
    hook.kill()
    service.wait_gone(1)


def test_sigterm_takes_it_away(service):
    service.open()
    hook = service.register()
    service.wait_there()
    assert hook.stop() == 0
    service.wait_gone(1)


def test_what_is_removed_comes_back(service, tree):
    service.open()
    service.register()
    service.wait_there()
    before = tree.stat(f"/what/{service.node.name}").czxid
    tree.delete(f"/what/{service.node.name}")
    wait_for(lambda: (s := tree.stat(f"/what/{service.node.name}")) and s.czxid > before)
    service.wait_there()


def test_an_expired_session_is_survived(server, proxy, tree, mounts, hooks):
    tree.create("/what/other", b"")
    mount = mounts(hosts=proxy.hosts + tree.root)
    service = Service(hooks, mount / "what")
    service.open()
    service.register()
    service.wait_there()
    expire(server.hosts, proxy.session)
    wait_for(lambda: int(mount.status()["expiries"]) > 0, 20)
    wait_for(lambda: tree.exists(f"/what/{service.node.name}"), 10, "the node to be back")
    service.wait_there()
    service.close()


def test_a_foreign_node_is_left_alone_and_followed_when_it_goes(service, tree):
    service.open()
    tree.create(f"/what/{service.node.name}", b"foreign")
    hook = service.register("--interval", "30")
    wait_for(lambda: "standby" in hook.stderr())
    assert tree.get(f"/what/{service.node.name}") == b"foreign"
    tree.delete(f"/what/{service.node.name}")
    service.wait_there(2)  # by the event, long before the interval is over


def test_two_registrars_of_one_name_take_turns(service):
    service.open()
    first = service.register()
    service.wait_there()
    second = service.register()
    wait_for(lambda: "standby" in second.stderr())
    first.kill()
    wait_for(lambda: "registered as" in second.stderr())
    service.wait_there()


def test_while_zookeeper_is_away_nothing_changes(own_server, place, mounts, hooks):
    mount = mounts("op_timeout=500", hosts=own_server.hosts)
    (mount / "what").mkdir()
    service = Service(hooks, mount / "what")
    service.open()
    hook = service.register()
    service.wait_there()
    before = os.getxattr(service.node, "user.zk.czxid")
    own_server.pause()
    wait_for(lambda: mount.status()["state"] != "connected", 20)
    assert hook.alive()
    own_server.resume()
    wait_for(lambda: mount.status()["state"] == "connected", 20)
    assert hook.alive()
    if mount.status()["expiries"] == "0":
        wait_equal(lambda: os.getxattr(service.node, "user.zk.czxid"), before)
    service.wait_there()
    service.close()


def test_a_new_mount_gets_it_too(service, mnt):
    service.open()
    hook = service.register()
    service.wait_there()
    mnt.kill()
    mnt.start()
    service.wait_there(20)
    assert hook.alive()


def test_a_plain_directory_has_no_leases(place, hooks):
    service = Service(hooks, place)
    service.open()
    hook = service.register()
    wait_for(lambda: "No such file" in hook.stderr())
    assert not service.node.exists() and hook.alive()
    service.close()


def test_fall_and_rise(service, place):
    """The command's answers decide, several of them in a row."""
    script = f"echo x >> {place}/probes; test -e {place}/up"
    argv = ("--check", f"exec:{script}", "--rise", "3", "--fall", "3")
    service.register(*argv)

    def probes():
        return len((place / "probes").read_text().split()) if (place / "probes").exists() else 0

    wait_for(lambda: probes() >= 1)
    write(place / "up", b"")
    before = probes()
    service.wait_there()
    assert probes() - before >= 2
    (place / "up").unlink()
    before = probes()
    service.wait_gone()
    assert probes() - before >= 2


def test_listen_does_not_connect(service):
    service.open()
    service.socket.settimeout(0)
    service.register("--check", "listen")
    service.wait_there()
    with pytest.raises(BlockingIOError):
        service.socket.accept()


def test_a_check_that_hangs_is_down(service, place):
    service.register("--check", f"exec:echo x >> {place}/probes; sleep 1000", "--timeout", "0.1")
    wait_for(lambda: (place / "probes").exists() and len(read(place / "probes")) > 4)
    assert not exists(service.node)


def test_the_name_and_the_address_can_be_chosen(service):
    service.open()
    service.register("--name", "%p-%%", "--ip", "127.0.0.1")
    service.node = service.folder / f"{service.port}-%"
    service.wait_there()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--port", "1"),
        ("--dir", "."),
        ("--port", "0", "--dir", "."),
        ("--port", "65536", "--dir", "."),
        ("--port", "1", "--dir", ".", "--ip", "localhost"),
        ("--port", "1", "--dir", ".", "--name", "a/b"),
        ("--port", "1", "--dir", ".", "--name", ".lease"),
        ("--port", "1", "--dir", ".", "--name", "a b"),
        ("--port", "1", "--dir", ".", "--name", ""),
        ("--port", "1", "--dir", ".", "--check", "guess"),
        ("--port", "1", "--dir", ".", "--check", "exec:"),
        ("--port", "1", "--dir", ".", "--interval", "0"),
        ("--port", "1", "--dir", ".", "more"),
    ],
)
def test_usage(hooks, options):
    done = hooks.run(NAME, *options)
    assert done.returncode == 64 and done.stderr


def test_once_only_looks(service):
    argv = (NAME, "--once", "--port", service.port, "--dir", service.folder)
    assert service.hooks.run(*argv).returncode == 69
    service.open()
    assert service.hooks.run(*argv).returncode == 0
    assert not exists(service.node)


def test_dry_run_registers_nothing(service):
    service.open()
    hook = service.register("--dry-run")
    wait_for(lambda: "would register" in hook.stderr())
    assert not exists(service.node)
