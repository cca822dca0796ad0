"""zkfs-post-receive: a push sets the commit that a file names."""

import json
import os
import subprocess
import time

import pytest

from support.files import read, write
from support.git import Git
from support.hook import FOLDER
from support.waiting import SCALE, run, wait_equal, wait_for

NAME = "zkfs-post-receive"
CONFIG = {"url": "u", "commitId": "0" * 40, "relativePath": "app", "more": {"kept": [1, None]}}


class Fleet:
    """A bare repository with the hook, clones that push to it, and the file that it sets."""

    def __init__(self, hooks, place, file):
        self.file = file
        self.place = place
        self.status = file.parent / "status"
        self.bare = place / "bare.git"
        self.git = Git(hooks.environment)
        self.git("init", "-q", "--bare", "-b", "main", self.bare)
        self.hook("--map", f"refs/heads/main={file}")

    def hook(self, *options):
        script = self.bare / "hooks" / "post-receive"
        words = " ".join(f"'{option}'" for option in options)
        script.write_text(f"#!/bin/sh\nexec {FOLDER / NAME} {words}\n")
        script.chmod(0o755)

    def clone(self, name):
        where = self.place / name
        self.git("init", "-q", "-b", "main", where)
        self.git("-C", where, "remote", "add", "origin", self.bare)
        return where

    def commit(self, clone):
        self.git("-C", clone, "commit", "-q", "--allow-empty", "-m", "change")
        return self.git("-C", clone, "rev-parse", "HEAD").stdout.strip()

    def push(self, clone, *what):
        return self.git("-C", clone, "push", "origin", *(what or ("main",))).stderr

    def set(self, config=None):
        write(self.file, json.dumps(config or CONFIG).encode())

    def start_push(self, clone):
        return Push(self, clone)

    def tell(self, host, **status):
        """What zkfs-git-deploy would tell, in the status directory."""
        write(self.status / host, json.dumps({"host": host, **status}).encode())

    def named(self):
        return json.loads(read(self.file))["commitId"]

    def tip(self):
        return self.git("-C", self.bare, "rev-parse", "refs/heads/main").stdout.strip()


class Push:
    """One that goes on; what the pusher has been shown is in `shown`, without git's prefix."""

    def __init__(self, fleet, clone):
        self.log = fleet.place / "push.err"
        self.start = time.monotonic()
        argv = ["git", "push", "-q", "origin", "main"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, cwd=clone, env=fleet.git.environment, stderr=log)

    def shown(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.partition(f"{NAME}: ")[2].rstrip() for line in lines if NAME in line]

    def wait_shown(self, line):
        wait_for(lambda: line in self.shown(), 10, line)

    def end(self):
        """Lets it end well, and gives how long it took."""
        assert self.process.wait(timeout=30 * SCALE) == 0
        return time.monotonic() - self.start


@pytest.fixture
def fleet(hooks, place, anywhere):
    fleet = Fleet(hooks, place, anywhere / "config")
    fleet.set()
    return fleet


@pytest.fixture
def plain(hooks, place):
    fleet = Fleet(hooks, place, place / "config")
    fleet.set()
    return fleet


def test_a_push_sets_the_commit_and_keeps_the_rest(fleet):
    clone = fleet.clone("a")
    commit = fleet.commit(clone)
    assert commit in fleet.push(clone)
    assert json.loads(read(fleet.file)) == {**CONFIG, "commitId": commit}


def test_on_a_mount_it_is_one_version(mnt, tree, hooks, place):
    fleet = Fleet(hooks, place, mnt / "config")
    tree.create("/config", json.dumps(CONFIG).encode())
    clone = fleet.clone("a")
    fleet.commit(clone)
    fleet.push(clone)
    assert tree.version("/config") == 1


def test_what_is_right_already_is_not_written(mnt, tree, hooks, place):
    fleet = Fleet(hooks, place, mnt / "config")
    clone = fleet.clone("a")
    tree.create("/config", json.dumps({**CONFIG, "commitId": fleet.commit(clone)}).encode())
    fleet.push(clone)
    assert tree.version("/config") == 0


def test_a_deletion_changes_nothing(fleet):
    clone = fleet.clone("a")
    commit = fleet.commit(clone)
    fleet.git("-C", fleet.bare, "config", "receive.denyDeleteCurrent", "ignore")
    fleet.push(clone)
    fleet.push(clone, ":main")
    assert fleet.named() == commit


def test_a_ref_that_is_not_mapped_changes_nothing(fleet):
    clone = fleet.clone("a")
    fleet.commit(clone)
    before = read(fleet.file)
    fleet.push(clone, "main:refs/heads/other", "main:refs/heads/main2", "main:refs/tags/main")
    assert read(fleet.file) == before


def test_several_refs_have_files_of_their_own(plain):
    other = plain.place / "other"
    write(other, b"{}")
    plain.hook("--map", f"refs/heads/main={plain.file}", "--map", f"refs/heads/dev={other}")
    clone = plain.clone("a")
    first = plain.commit(clone)
    plain.push(clone, "main:dev")
    second = plain.commit(clone)
    plain.push(clone)
    assert json.loads(read(other)) == {"commitId": first}
    assert plain.named() == second


def test_the_tip_counts_not_what_git_has_said(plain, hooks):
    clone = plain.clone("a")
    stale = plain.commit(clone)
    plain.push(clone)
    tip = plain.commit(clone)
    plain.hook("--map", "refs/heads/none=/none")
    plain.push(clone)
    argv = (NAME, "--once", "--map", f"refs/heads/main={plain.file}")
    line = f"{'0' * 40} {stale} refs/heads/main\n"
    done = hooks.run(*argv, env={"GIT_DIR": str(plain.bare)}, input=line)
    assert done.returncode == 0 and plain.named() == tip


@pytest.mark.deadline(120)
def test_of_pushes_at_the_same_time_the_final_tip_remains(mnt, hooks, place):
    fleet = Fleet(hooks, place, mnt / "config")
    fleet.set()
    clones = [fleet.clone("a"), fleet.clone("b")]
    for _ in range(50 if SCALE == 1 else 10):
        for clone in clones:
            fleet.commit(clone)
        argv = ["git", "push", "-q", "--force", "origin", "main"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        pushes = [
            subprocess.Popen(argv, cwd=clone, env=fleet.git.environment, **quiet) for clone in clones
        ]
        assert 0 in [push.wait() for push in pushes]
        wait_equal(fleet.named, fleet.tip())


@pytest.mark.parametrize("bad", [b"", b"nonsense", b"[]", b'{"a":1,"a":2}', b"{} more", b"\xff"])
def test_what_is_no_object_is_left_alone_and_the_push_succeeds(plain, bad):
    write(plain.file, bad)
    clone = plain.clone("a")
    plain.commit(clone)
    assert "no JSON object" in plain.push(clone)
    assert read(plain.file) == bad


def test_a_mount_that_is_away_does_not_hold_the_push_up(mnt, tree, hooks, place):
    fleet = Fleet(hooks, place, mnt / "config")
    tree.create("/config", json.dumps(CONFIG).encode())
    clone = fleet.clone("a")
    commit = fleet.commit(clone)
    mnt.umount()
    start = time.monotonic()
    assert "as soon as" in fleet.push(clone)
    assert time.monotonic() - start < 2 * SCALE + 0.5
    mnt.start()
    wait_equal(fleet.named, commit, 15)
    wait_for(lambda: not workers(fleet), 10, "the worker to end")


def test_a_server_that_is_away_does_not_either(own_server, mounts, hooks, place):
    mount = mounts("op_timeout=1000", hosts=own_server.hosts)
    fleet = Fleet(hooks, place, mount / "config")
    fleet.set()
    clone = fleet.clone("a")
    commit = fleet.commit(clone)
    own_server.pause()
    start = time.monotonic()
    fleet.push(clone)
    assert time.monotonic() - start < 2 * SCALE + 0.5
    own_server.resume()
    wait_equal(fleet.named, commit, 30)
    wait_for(lambda: not workers(fleet), 10, "the worker to end")


def workers(fleet):
    done = run("pgrep", "-f", f"{NAME} .*{fleet.file}", check=False)
    return done.stdout.split()


@pytest.fixture
def waiting(fleet):
    """A fleet of two that is at an older commit; a push waits for it."""
    fleet.status.mkdir()
    for host in ("server1", "server2"):
        fleet.tell(host, phase="deployed", desired="0" * 40, current="0" * 40)
    fleet.hook("--map", f"refs/heads/main={fleet.file}", "--wait", 60)
    fleet.clone("a")
    return fleet


def push_commit(fleet):
    clone = fleet.place / "a"
    commit = fleet.commit(clone)
    push = fleet.start_push(clone)
    push.wait_shown(f"{fleet.file} is at {commit} now")
    return push, commit


def test_a_push_waits_until_all_hosts_are_done(waiting):
    push, commit = push_commit(waiting)
    waiting.tell("server1", phase="deployed", desired=commit, current=commit, message="x")
    push.wait_shown(f"server1: deployed {commit[:7]}")
    waiting.tell("server2", phase="fetching", desired=commit, current="0" * 40)
    waiting.tell("server2", phase="refused", desired=commit, code=77, message="not allowed")
    push.wait_shown(f"server2: refused {commit[:7]}: not allowed")
    assert push.end() < 15 * SCALE
    assert push.shown()[1:] == [
        f"server1: deployed {commit[:7]}",
        f"server2: refused {commit[:7]}: not allowed",
        f"1 of 2 hosts are at {commit[:7]}",
    ]


def test_what_concerns_another_commit_is_no_end(waiting):
    waiting.tell("server1", phase="failed", desired="1" * 40, message="before")
    push, commit = push_commit(waiting)
    waiting.tell("server2", phase="held", desired="2" * 40, current=commit)
    waiting.tell("server2", phase="posting", desired=commit, current=commit)
    waiting.tell("server1", phase="deployed", desired="", current=commit)
    push.wait_shown(f"server1: deployed {commit[:7]}")
    assert len(push.shown()) == 2 and push.process.poll() is None
    waiting.tell("server2", phase="held", desired=commit, message="a rollback")
    push.end()
    assert push.shown()[2:] == [
        f"server2: held {commit[:7]}: a rollback",
        f"1 of 2 hosts are at {commit[:7]}",
    ]


def test_a_host_that_fails_and_then_succeeds_is_told_twice(waiting):
    push, commit = push_commit(waiting)
    waiting.tell("server1", phase="failed", desired=commit, message="no network")
    push.wait_shown(f"server1: failed {commit[:7]}: no network")
    waiting.tell("server1", phase="deployed", desired=commit, current=commit)
    push.wait_shown(f"server1: deployed {commit[:7]}")
    waiting.tell("server2", phase="deployed", desired=commit, current=commit)
    push.end()
    assert push.shown()[-1] == f"2 of 2 hosts are at {commit[:7]}"


def test_a_host_that_comes_while_it_is_waited_is_waited_for(waiting):
    push, commit = push_commit(waiting)
    waiting.tell("server3", phase="fetching", desired=commit)
    for host in ("server1", "server2"):
        waiting.tell(host, phase="deployed", desired=commit, current=commit)
        push.wait_shown(f"{host}: deployed {commit[:7]}")
    waiting.tell("server3", phase="deployed", desired=commit, current=commit)
    push.end()
    assert push.shown()[-1] == f"3 of 3 hosts are at {commit[:7]}"


def test_when_the_time_is_over_the_silent_hosts_are_told(waiting):
    waiting.hook("--map", f"refs/heads/main={waiting.file}", "--wait", 2)
    write(waiting.status / "server3", b"nonsense")
    waiting.tell("server4", phase="waiting")
    push, commit = push_commit(waiting)
    waiting.tell("server0", phase="held", desired=commit)
    push.wait_shown(f"server0: held {commit[:7]}")
    waiting.tell("server2", phase="fetching", desired=commit)
    (waiting.status / "server4").unlink()
    assert 2 < push.end() < 5 * SCALE
    assert push.shown()[2:] == [
        f"server1: says nothing of {commit[:7]}, it is deployed at 0000000",
        f"server2: still fetching {commit[:7]}",
        "server3: says nothing: what it tells makes no sense",
        "server4: gone",
        f"0 of 5 hosts are at {commit[:7]}",
    ]


@pytest.mark.parametrize("exists", [True, False])
def test_without_hosts_nobody_waits(fleet, exists):
    if exists:
        fleet.status.mkdir()
    fleet.hook("--map", f"refs/heads/main={fleet.file}", "--wait", 60)
    fleet.clone("a")
    push, _ = push_commit(fleet)
    assert push.end() < 15 * SCALE
    assert push.shown()[1:] == [f"no host tells in {fleet.status} how it fares"]


def test_nobody_waits_for_a_commit_that_another_push_has_replaced(waiting):
    push, commit = push_commit(waiting)
    waiting.set({**CONFIG, "commitId": "3" * 40})
    waiting.tell("server1", phase="fetching", desired="3" * 40)
    assert push.end() < 15 * SCALE
    assert f"{waiting.file} names 3333333 by now" in push.shown()
    assert push.shown()[-1] == f"0 of 2 hosts are at {commit[:7]}"


def test_what_hosts_tell_cannot_reach_the_terminal(plain):
    plain.status.mkdir()
    plain.hook("--map", f"refs/heads/main={plain.file}", "--wait", 60)
    plain.tell("a\x1b[2J", phase="waiting")
    plain.clone("a")
    push, commit = push_commit(plain)
    plain.tell("a\x1b[2J", phase="failed", desired=commit, message="\x1b]0;x\x07\x9b\n\rx")
    push.end()
    assert push.shown()[1] == f"a?[2J: failed {commit[:7]}: ?]0;x????x"


def test_each_map_has_a_status_directory(plain):
    other = plain.place / "other"
    write(other, b"{}")
    (plain.place / "s2").mkdir()
    main, dev = f"refs/heads/main={plain.file}", f"refs/heads/dev={other}"
    dirs = ("--status-dir", plain.status, "--status-dir", plain.place / "s2")
    plain.hook("--wait", 60, *dirs, "--map", main, "--map", dev)
    clone = plain.clone("a")
    commit = plain.commit(clone)
    plain.status.mkdir()
    plain.tell("server1", phase="deployed", desired=commit, current=commit)
    shown = plain.push(clone, "main", "main:dev")
    assert f"server1: deployed {commit[:7]}" in shown
    assert f"no host tells in {plain.place / 's2'}" in shown


def test_a_push_that_sets_nothing_waits_for_nobody(plain):
    plain.status.mkdir()
    plain.tell("server1", phase="waiting")
    plain.hook("--map", f"refs/heads/main={plain.file}", "--wait", 60)
    clone = plain.clone("a")
    plain.commit(clone)
    plain.push(clone, "main:dev")
    write(plain.file, b"nonsense")
    assert "hosts are at" not in plain.push(clone)


def test_a_status_directory_that_does_not_answer_does_not_hold_the_push(
    own_server, mounts, hooks, place
):
    mount = mounts("op_timeout=30000", hosts=own_server.hosts)
    (mount / "status").mkdir()
    fleet = Fleet(hooks, place, place / "config")
    fleet.set()
    option = ("--status-dir", mount / "status")
    fleet.hook("--map", f"refs/heads/main={fleet.file}", "--wait", 1, *option)
    fleet.clone("a")
    mount.umount()
    mount.start()
    own_server.pause()
    push, _ = push_commit(fleet)
    try:
        assert push.end() < 4 * SCALE
    finally:
        own_server.resume()
    assert push.shown()[-1] == "how the hosts fare could not be read in time"
    wait_for(lambda: not workers(fleet), 40, "what reads to end")


def test_dry_run_writes_nothing(plain):
    plain.hook("--dry-run", "--map", f"refs/heads/main={plain.file}")
    clone = plain.clone("a")
    commit = plain.commit(clone)
    assert f"to {commit}" in plain.push(clone)
    assert plain.named() == CONFIG["commitId"]


def test_usage(hooks):
    assert hooks.run(NAME).returncode == 64
    assert hooks.run(NAME, "--map", "main=/x").returncode == 64
    assert hooks.run(NAME, "--map", "refs/heads/main").returncode == 64
    assert hooks.run(NAME, "--map", "refs/heads/main=").returncode == 64
    assert hooks.run(NAME, "--map", "refs/heads/main=/x", "more").returncode == 64
    assert hooks.run(NAME, "--map", "refs/heads/main=/x", "--wait", "soon").returncode == 64
    dirs = ("--status-dir", "/x", "--status-dir", "/y")
    assert hooks.run(NAME, "--map", "refs/heads/main=/x", *dirs).returncode == 64
    assert "--map" in hooks.run(NAME, "--help").stdout


def test_rubbish_on_standard_input_is_passed_over(hooks, place):
    argv = (NAME, "--map", f"refs/heads/main={place / 'x'}")
    done = hooks.run(*argv, input="\n \nrefs/heads/main\n0 1\n\0 \udcff\n" + "x" * 100_000)
    assert done.returncode == 0
    assert not os.path.exists(place / "x")
