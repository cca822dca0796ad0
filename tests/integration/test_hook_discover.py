"""zkfs-discover: where the instances of a service are, fresh, or the last that was known."""

import json
import os
import time

import pytest

from support.files import write
from support.waiting import wait_equal, wait_for

NAME = "zkfs-discover"


@pytest.fixture
def services(anywhere):
    folder = anywhere / "what"
    folder.mkdir()
    return folder


def register(folder, *ports):
    for port in ports:
        write(folder / f"s{port}", f'["127.0.0.1", "{port}"]'.encode())


def lines(*ports):
    return "".join(f"127.0.0.1:{port}\n" for port in ports)


def test_it_prints_address_and_port_sorted(services, hooks):
    register(services, 9099, 9095, 10000)
    done = hooks.run(NAME, services)
    assert (done.returncode, done.stdout, done.stderr) == (0, lines(9095, 9099, 10000), "")


def test_json(services, hooks):
    register(services, 9095)
    done = hooks.run(NAME, services, "--format", "json")
    assert json.loads(done.stdout) == [{"ip": "127.0.0.1", "port": 9095}]


def test_ipv6_and_a_port_that_is_a_number(services, hooks):
    write(services / "a", b'["::1", 80]')
    assert hooks.run(NAME, services).stdout == "[::1]:80\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"nonsense",
        b"{}",
        b'["127.0.0.1"]',
        b'["127.0.0.1", "80", "x"]',
        b'["localhost", "80"]',
        b'["127.0.0.1", "0"]',
        b'["127.0.0.1", "65536"]',
        b'["127.0.0.1", " 80"]',
        b'["127.0.0.1", "80\\n1.2.3.4:5"]',
        b'["127.0.0.1\\u0000x", "80"]',
        b'["127.0.0.1", -1]',
        b'["127.0.0.1", 1.5]',
        b'["127.0.0.1", null]',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda bad: bad[:20].decode(errors="replace"),
)
def test_a_bad_child_is_skipped_with_a_warning(place, hooks, bad):
    (place / "what").mkdir()
    register(place / "what", 9095)
    write(place / "what" / "bad", bad)
    done = hooks.run(NAME, place / "what")
    assert (done.returncode, done.stdout) == (0, lines(9095))
    assert done.stderr.count("skipped:") == 1 and "bad" in done.stderr


def test_a_directory_among_them_is_skipped(services, hooks):
    register(services, 9095)
    (services / "d").mkdir()
    assert hooks.run(NAME, services).stdout == lines(9095)


def test_nothing_to_serve(services, hooks):
    done = hooks.run(NAME, services)
    assert (done.returncode, done.stdout) == (69, "")
    assert hooks.run(NAME, services / "missing").returncode == 69


def test_the_last_list_is_served_when_the_directory_is_gone(services, hooks, place):
    register(services, 9095, 9096)
    assert hooks.run(NAME, services, "--cache", place / "cache").returncode == 0
    os.rename(services, services.parent / "gone")
    done = hooks.run(NAME, services, "--cache", place / "cache")
    assert (done.returncode, done.stdout) == (75, lines(9095, 9096))
    done = hooks.run(NAME, services, "--cache", place / "cache", "--format", "json")
    assert done.returncode == 75 and len(json.loads(done.stdout)) == 2


def test_max_stale(place, hooks):
    cache = place / "cache"
    write(cache, lines(9095).encode())
    os.utime(cache, (time.time() - 100, time.time() - 100))
    argv = (NAME, place / "missing", "--cache", cache, "--max-stale")
    assert hooks.run(*argv, "1000").returncode == 75
    done = hooks.run(*argv, "50")
    assert (done.returncode, done.stdout) == (69, "")


def test_what_is_still_right_gets_younger(services, hooks, place):
    register(services, 9095)
    cache = place / "cache"
    hooks.run(NAME, services, "--cache", cache)
    os.utime(cache, (1, 1))
    hooks.run(NAME, services, "--cache", cache)
    assert time.time() - cache.stat().st_mtime < 60


def test_a_cache_that_is_rubbish_serves_nothing(place, hooks):
    write(place / "cache", b"\xff\x00:::\n[]:1\n1.2.3.4:x\n:\n")
    done = hooks.run(NAME, place / "missing", "--cache", place / "cache")
    assert (done.returncode, done.stdout) == (69, "")


def test_fewer_than_min_are_not_believed(services, hooks, place):
    argv = (NAME, services, "--cache", place / "cache", "--min", "2")
    register(services, 9095, 9096)
    assert hooks.run(*argv).returncode == 0
    (services / "s9096").unlink()
    done = hooks.run(*argv)
    assert (done.returncode, done.stdout) == (75, lines(9095, 9096))


def test_dry_run_writes_no_cache(services, hooks, place):
    register(services, 9095)
    done = hooks.run(NAME, services, "--dry-run", "--cache", place / "cache")
    assert done.stdout == lines(9095)
    assert not (place / "cache").exists()


def test_usage(hooks, place):
    assert hooks.run(NAME).returncode == 64
    assert hooks.run(NAME, place, "--format", "xml").returncode == 64
    assert hooks.run(NAME, place, "--min", "-1").returncode == 64
    assert hooks.run(NAME, place, place).returncode == 64
    assert "--cache" in hooks.run(NAME, "--help").stdout


def watched(hook):
    """The lists that --watch has printed so far."""
    return [block + "\n" if block else "" for block in hook.stdout().split("\n\n")[:-1]]


def test_watch_prints_each_list_within_a_second(services, hooks, place):
    register(services, 9095)
    hook = hooks.start(NAME, services, "--watch", "--cache", place / "cache")
    wait_equal(lambda: watched(hook), [lines(9095)], 10)
    register(services, 9096)
    wait_equal(lambda: watched(hook)[-1], lines(9095, 9096), 1)
    write(services / "s9096", b'["127.0.0.1", "9097"]')
    wait_equal(lambda: watched(hook)[-1], lines(9095, 9097), 1)
    (services / "s9095").unlink()
    wait_equal(lambda: watched(hook)[-1], lines(9097), 1)
    wait_equal((place / "cache").read_text, lines(9097), 1)


def test_watch_follows_what_other_clients_do(mnt, tree, hooks):
    tree.create("/what/s1", b'["127.0.0.1", "1"]')
    hook = hooks.start(NAME, mnt / "what", "--watch")
    wait_equal(lambda: watched(hook), [lines(1)], 10)
    tree.client.create(tree.path("/what/s2"), b'["127.0.0.1", "2"]', ephemeral=True)
    wait_equal(lambda: watched(hook)[-1], lines(1, 2), 1)
    tree.client.set(tree.path("/what/s1"), b'["127.0.0.1", "3"]')
    wait_equal(lambda: watched(hook)[-1], lines(2, 3), 1)
    tree.client.delete(tree.path("/what/s2"))
    wait_equal(lambda: watched(hook)[-1], lines(3), 1)


def test_watch_keeps_the_list_while_the_directory_is_away(services, hooks):
    register(services, 9095)
    hook = hooks.start(NAME, services, "--watch")
    wait_equal(lambda: watched(hook), [lines(9095)])
    os.rename(services, services.parent / "away")
    wait_for(lambda: "No such file" in hook.stderr())
    register(services.parent / "away", 9096)
    os.rename(services.parent / "away", services)
    wait_equal(lambda: watched(hook), [lines(9095), lines(9095, 9096)])


def test_watch_starts_with_the_last_list(place, hooks):
    write(place / "cache", lines(9095).encode())
    hook = hooks.start(NAME, place / "missing", "--watch", "--cache", place / "cache")
    wait_equal(lambda: watched(hook), [lines(9095)])


def test_servers_gone_for_good_serve_the_last_list(own_server, place, mounts, hooks):
    """With stale=fail reads fail once the session must have expired."""
    options = ("stale=fail", "timeout=2000", "op_timeout=1000")
    mount = mounts(*options, hosts=own_server.hosts)
    (mount / "what").mkdir()
    register(mount / "what", 9095)
    argv = (NAME, mount / "what", "--cache", place / "cache")
    assert hooks.run(*argv).returncode == 0
    own_server.stop()
    done = wait_for(lambda: (d := hooks.run(*argv)).returncode == 75 and d, 15)
    assert done.stdout == lines(9095)


def test_calls_ask_zookeeper_nothing(mnt, tree, hooks):
    for n in range(5):
        tree.create(f"/what/s{n}", b'["127.0.0.1", "%d"]' % (9000 + n))
    hooks.run(NAME, mnt / "what")
    before = int(mnt.status()["requests"])
    for _ in range(50):
        assert hooks.run(NAME, mnt / "what").returncode == 0
    assert int(mnt.status()["requests"]) - before <= 1
