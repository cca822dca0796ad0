"""./examples/quickstart as a new user has it: every command that it prints works as printed."""

import re
import socket
from pathlib import Path

import pytest

from support.files import read
from support.mount import mounts_at
from support.waiting import run, sh

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "quickstart"
PORTS = (2181, 2182, 2183, 2888, 3888, 2899, 3899, 2877, 3877)

pytestmark = [pytest.mark.once, pytest.mark.deadline(240)]


def quickstart(*args, **kwargs):
    return run(SCRIPT, *args, timeout=200, **kwargs)


@pytest.fixture
def point(place):
    """Where to mount; whatever the test does, nothing keeps running."""
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} is in use on this machine")
    yield place / "zk"
    quickstart("stop")
    assert not mounts_at(place / "zk")


def commands(text):
    """The commands that the script says to try: the lines set off by two blanks after "Try:"."""
    lines = text.partition("Try:\n")[2].splitlines()
    return [line.strip() for line in lines if line.startswith("  ")]


def test_the_commands_it_prints_work_as_printed(point):
    printed = quickstart("--mountpoint", point).stdout
    assert "127.0.0.1:2181  standalone" in printed
    assert '"commitId": "d5f5f144' in read(point / "app" / "business" / "config").decode()
    assert len(commands(printed)) > 5
    for command in commands(printed):
        sh(command)


def test_twice_is_once(point):
    first = quickstart("--mountpoint", point).stdout
    (point / "app" / "business" / "config").write_text("mine\n")
    second = quickstart("--mountpoint", point).stdout
    assert "Running already" in second
    assert commands(second) == commands(first)
    assert read(point / "app" / "business" / "config") == b"mine\n"
    assert mounts_at(point) == 1


def test_ensemble_lists_three_servers_one_leading(point):
    printed = quickstart("--ensemble", "--mountpoint", point).stdout
    modes = re.findall(r"127\.0\.0\.1:(\d+)  (leader|follower)$", printed, re.MULTILINE)
    assert [port for port, _ in modes] == ["2181", "2182", "2183"]
    assert sorted(mode for _, mode in modes) == ["follower", "follower", "leader"]
    assert quickstart("status").stdout.count("follower") == 2
    for command in commands(printed):
        sh(command)


def test_stop_leaves_nothing(point):
    quickstart("--mountpoint", point)
    quickstart("stop")
    assert not point.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 2181)) != 0
    assert "Nothing" in quickstart("stop").stdout
    assert "Nothing" in quickstart("status").stdout


def test_hosts_leaves_alone_what_exists_and_stop_takes_the_rest_away(point, server, tree):
    tree.create("/app/business/config", b"precious")
    hosts = server.hosts + tree.root
    printed = quickstart("--hosts", hosts, "--mountpoint", point).stdout
    assert "left alone" in printed and "app/business/config" in printed
    assert tree.get("/app/business/config") == b"precious"
    assert len(tree.children("/service/business/what")) == 5
    for command in commands(printed):
        sh(command)
    tree.set("/service/business/what/s9095", b"changed")
    assert "service/business/what" in quickstart("stop").stdout
    assert tree.children("/service/business/what") == ["s9095"]
    assert tree.get("/app/business/config") == b"precious"


def test_errors_are_clear_and_leave_nothing(point):
    with socket.create_server(("127.0.0.1", 2181)):
        done = quickstart("--mountpoint", point, check=False)
    assert done.returncode != 0
    assert "2181" in done.stderr and "--hosts" in done.stderr
    done = quickstart("--hosts", "127.0.0.1:1", "--mountpoint", point, check=False)
    assert done.returncode != 0 and "127.0.0.1:1" in done.stderr
    done = quickstart("--nonsense", check=False)
    assert done.returncode != 0 and "--nonsense" in done.stderr
    (point.parent / "full").mkdir()
    (point.parent / "full" / "file").touch()
    done = quickstart("--mountpoint", point.parent / "full", check=False)
    assert done.returncode != 0 and "not empty" in done.stderr
    assert "Nothing" in quickstart("status").stdout
