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

    def named(self):
        return json.loads(read(self.file))["commitId"]

    def tip(self):
        return self.git("-C", self.bare, "rev-parse", "refs/heads/main").stdout.strip()


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
    assert "--map" in hooks.run(NAME, "--help").stdout


def test_rubbish_on_standard_input_is_passed_over(hooks, place):
    argv = (NAME, "--map", f"refs/heads/main={place / 'x'}")
    done = hooks.run(*argv, input="\n \nrefs/heads/main\n0 1\n\0 \udcff\n" + "x" * 100_000)
    assert done.returncode == 0
    assert not os.path.exists(place / "x")
