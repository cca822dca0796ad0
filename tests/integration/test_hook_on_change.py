"""zkfs-on-change: a command for each change of a file's bytes."""

import os
import socket
import time

import pytest

from support.files import read, write
from support.mount import is_running
from support.waiting import wait_equal, wait_for

NAME = "zkfs-on-change"


class Runs:
    """The file to change, and a log to which each run of the command appends the value it got."""

    def __init__(self, hooks, place, folder):
        self.hooks = hooks
        self.file = folder / "file"
        self.log = place / "runs"
        self.fifo = place / "fifo"
        self.log.touch()
        os.mkfifo(self.fifo)

    def command(self, extra="true"):
        return ["sh", "-c", f'cat "$ZKFS_SNAPSHOT" >> {self.log}; echo >> {self.log}; {extra}']

    def start(self, *options, command=None):
        hook = self.hooks.start(NAME, self.file, *options, "--", *(command or self.command()))
        return hook

    def once(self, *options, command=None):
        return self.hooks.run(
            NAME, self.file, "--once", *options, "--", *(command or self.command())
        )

    def values(self):
        return self.log.read_text().splitlines()

    def wait(self, *values):
        wait_equal(self.values, list(values))

    def set(self, value):
        write(self.file, value.encode())

    def wait_kept(self, value):
        """Until the success of a run has been written down."""

        def kept():
            states = (self.hooks.folder / "state" / "zkfs").glob("on-change-*")
            return any(s.read_bytes() == value.encode() for s in states if not s.suffix)

        wait_for(kept, what="the state")


@pytest.fixture
def runs(hooks, place, anywhere):
    return Runs(hooks, place, anywhere)


@pytest.fixture
def plain(hooks, place):
    (place / "plain").mkdir()
    return Runs(hooks, place, place / "plain")


def test_one_run_for_each_change(runs):
    runs.set("a")
    runs.start()
    runs.wait("a")
    runs.set("b")
    runs.wait("a", "b")
    runs.set("c")
    runs.wait("a", "b", "c")


def test_a_change_by_another_client_runs(mnt, tree, hooks, place):
    runs = Runs(hooks, place, mnt.path)
    tree.create("/file", b"a")
    runs.start()
    runs.wait("a")
    tree.set("/file", b"b")
    runs.wait("a", "b")


def test_the_same_bytes_are_no_change(runs):
    runs.set("a")
    runs.start()
    runs.wait("a")
    runs.wait_kept("a")
    runs.set("a")
    runs.set("b")
    runs.wait("a", "b")


def test_a_file_that_comes_later_with_its_directories(runs):
    runs.file = runs.file.parent / "d" / "e" / "file"
    runs.start()
    os.makedirs(runs.file.parent)
    runs.set("a")
    runs.wait("a")


def test_a_file_that_is_renamed_onto_it_or_goes_and_comes_back(runs):
    runs.set("a")
    runs.start()
    runs.wait("a")
    write(runs.file.parent / "new", b"b")
    os.rename(runs.file.parent / "new", runs.file)
    runs.wait("a", "b")
    os.unlink(runs.file)
    runs.set("c")
    runs.wait("a", "b", "c")


def test_a_parent_that_is_replaced(plain):
    top = plain.file.parent
    for name in ("one", "two"):
        (top / name).mkdir()
        write(top / name / "file", name.encode())
    plain.file = top / "current" / "file"
    os.rename(top / "one", top / "current")
    plain.start()
    plain.wait("one")
    os.rename(top / "current", top / "old")
    os.rename(top / "two", top / "current")
    plain.wait("one", "two")


def test_ten_changes_in_100_ms_make_at_most_two_runs_the_last_with_the_last_value(runs):
    runs.set("a")
    runs.start()
    runs.wait("a")
    for n in range(10):
        runs.set(f"b{n}")
    wait_for(lambda: runs.values()[-1] == "b9", what="the last value")
    assert len(runs.values()) <= 3


def test_a_change_during_a_run_makes_exactly_one_more_with_the_newest(runs):
    runs.set("a")
    runs.start(command=runs.command(f"read line < {runs.fifo}"))
    runs.wait("a")
    for value in ("b", "c", "d"):
        runs.set(value)
    write(runs.fifo, b"go\n", 0)
    runs.wait("a", "d")
    write(runs.fifo, b"go\n", 0)
    runs.wait_kept("d")
    assert runs.values() == ["a", "d"]


def test_busy_restart_ends_the_run_for_an_old_value(runs):
    runs.set("a")
    command = runs.command('[ "$(cat $ZKFS_SNAPSHOT)" = b ] || exec sleep 1000')
    runs.start("--busy", "restart", command=command)
    runs.wait("a")
    runs.set("b")
    runs.wait("a", "b")
    runs.wait_kept("b")


def test_changed_while_stopped_runs_at_the_start_unchanged_does_not(runs):
    runs.set("a")
    assert runs.once().returncode == 0
    assert runs.once().returncode == 0
    assert runs.values() == ["a"]
    runs.set("b")
    assert runs.once().returncode == 0
    assert runs.values() == ["a", "b"]


def test_initial_always_and_never(plain):
    plain.set("a")
    assert plain.once("--initial", "never").returncode == 0
    assert plain.values() == []
    assert plain.once().returncode == 0
    assert plain.values() == []
    assert plain.once("--initial", "always").returncode == 0
    assert plain.values() == ["a"]


def test_killed_in_a_run_it_runs_again(plain):
    plain.set("a")
    command = plain.command(f"[ -e {plain.log}.go ] || exec sleep 1000")
    hook = plain.start(command=command)
    plain.wait("a")
    hook.kill()
    (plain.log.parent / "runs.go").touch()
    plain.start(command=command)
    plain.wait("a", "a")


def test_a_hung_command_is_killed_with_its_group(plain, place):
    plain.set("a")
    script = f"trap '' TERM; sleep 1000 & echo $! > {place}/pid; wait; sleep 1000"
    done = plain.once("--timeout", "0.2", "--retries", "0", command=["sh", "-c", script])
    assert done.returncode == 75
    pid = int((place / "pid").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or not is_running(pid))


def test_a_failed_command_is_tried_again(plain):
    plain.set("a")
    plain.start(command=plain.command(f'[ "$(wc -l < {plain.log})" -ge 2 ]'))
    plain.wait("a", "a")
    plain.wait_kept("a")


def test_a_failure_is_forgotten_by_no_return_to_the_old_value(plain):
    """What a failed run has left behind is unknown: the old value has to be applied again."""
    plain.set("a")
    command = plain.command('[ "$(cat $ZKFS_SNAPSHOT)" = a ]')
    plain.start("--retries", "0", command=command)
    plain.wait("a")
    plain.set("b")
    plain.wait("a", "b")
    plain.set("a")
    plain.wait("a", "b", "a")


def test_a_relative_path_is_another_one_elsewhere(plain, place):
    for name in ("one", "two"):
        (place / name).mkdir()
        write(place / name / "file", b"same")
        done = plain.hooks.run(NAME, "file", "--once", "--", *plain.command(), cwd=place / name)
        assert done.returncode == 0
    assert plain.values() == ["same", "same"]


def test_the_command_is_run_without_a_shell(plain):
    plain.set("a")
    done = plain.once(command=["printf", "%s|", "a b", "$(id)", "*"])
    assert (done.returncode, done.stdout) == (0, "a b|$(id)|*|")


def test_the_snapshot_is_private_and_goes_with_it(plain, place):
    plain.set("a")
    where = place / "where"
    done = plain.once(command=["sh", "-c", f'stat -c "%a %n" "$ZKFS_SNAPSHOT" > {where}'])
    assert done.returncode == 0
    mode, name = where.read_text().split()
    assert mode == "600"
    assert not os.path.exists(name)


def test_dry_run_runs_nothing_and_keeps_nothing(plain):
    plain.set("a")
    done = plain.once("--dry-run", "--log-format", "json")
    assert done.returncode == 0 and '"message": "would run' in done.stderr.replace('":"', '": "')
    assert plain.values() == []
    assert plain.once().returncode == 0
    assert plain.values() == ["a"]


def test_exit_codes_of_once(plain, place):
    assert plain.once().returncode == 69  # no such file
    plain.set("a")
    assert plain.once("--retries", "0", command=["false"]).returncode == 69
    assert plain.once("--retries", "0", command=["/no/such/program"]).returncode == 69
    assert plain.hooks.run(NAME, place, "--once", "--", "true").returncode == 74  # a directory
    assert plain.once("--settle", "x").returncode == 64
    assert plain.once("--nonsense").returncode == 64
    assert plain.hooks.run(NAME, plain.file).returncode == 64
    assert plain.once("--state", "/dev/null/x").returncode == 78
    assert plain.hooks.run(NAME, "--help").returncode == 0
    assert "--settle" in plain.hooks.run(NAME, "--help").stdout


def test_two_with_the_same_state_are_refused(plain):
    plain.set("a")
    plain.start()
    plain.wait("a")
    done = plain.once()
    assert done.returncode == 78 and "another" in done.stderr


def test_sigterm_ends_it_with_its_command(plain, place):
    plain.set("a")
    hook = plain.start(command=["sh", "-c", f"echo $$ > {place}/pid; exec sleep 1000"])
    pid = int(wait_for(lambda: (place / "pid").exists() and read(place / "pid")))
    assert hook.stop() == 0
    assert not os.path.exists(f"/proc/{pid}")


def test_systemd_is_told_and_the_watchdog_is_fed(plain, place):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(place / "notify"))
        sock.settimeout(10)
        env = {"NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "200000"}
        hook = plain.hooks.start(NAME, plain.file, "--", "true", env=env)
        assert b"READY=1" in sock.recv(4096)
        assert b"WATCHDOG=1" in sock.recv(4096)
        assert b"WATCHDOG=1" in sock.recv(4096)
        assert hook.stop() == 0
        while b"STOPPING=1" not in sock.recv(4096):
            pass


def test_it_does_not_run_while_nothing_happens(plain):
    """No busy waiting. Mounts that come and go elsewhere on the machine wake it now and then."""
    plain.set("a")
    hook = plain.start()
    plain.wait("a")
    plain.wait_kept("a")

    def ticks():
        stat = read(f"/proc/{hook.process.pid}/stat").decode().rpartition(")")[2].split()
        return int(stat[11]) + int(stat[12])

    before = ticks()
    time.sleep(0.5)
    assert ticks() - before <= 5  # of 50


def test_an_unmounted_tree_is_no_change_and_its_return_is_followed(mnt, tree, hooks, place):
    runs = Runs(hooks, place, mnt.path)
    tree.create("/file", b"a")
    runs.start()
    runs.wait("a")
    runs.wait_kept("a")
    mnt.umount()
    tree.client.set(tree.path("/file"), b"b")
    mnt.start()
    runs.wait("a", "b")


def test_a_killed_mount_is_no_change(mnt, tree, hooks, place):
    runs = Runs(hooks, place, mnt.path)
    tree.create("/file", b"a")
    runs.start()
    runs.wait("a")
    runs.wait_kept("a")
    mnt.kill()
    tree.client.set(tree.path("/file"), b"b")
    mnt.start()
    runs.wait("a", "b")
