"""zkfs-git-deploy with what it needs: a file to follow, a root, a repository, a status folder."""

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from .files import read, write
from .git import Git, Origin
from .waiting import SCALE, wait_for

NAME = "zkfs-git-deploy"
HOST = "host"
OWN = ".zkfs-git-deploy"

# What a command is told.
TOLD = "env | grep -E '^ZKFS_(TREE|URL|COMMIT|PREVIOUS)=' | sort"


class Deployment:
    """`folder` is where the file and the statuses are: on a mount, or not."""

    def __init__(self, hooks, place, folder):
        self.hooks = hooks
        self.place = place
        self.file = folder / "config"
        self.status_dir = folder / "status"
        self.status_dir.mkdir()
        self.root = place / "root"
        self.root.mkdir()
        self.git = Git(hooks.environment)
        self.origin = Origin(self.git, place / "origin.git")

    @property
    def tree(self):
        return self.root / "app"

    @property
    def own(self):
        return self.root / OWN

    # The file

    def config(self, commit, path="app", url=None):
        return {"url": url or self.origin.url, "commitId": commit, "relativePath": path}

    def set(self, commit, path="app", url=None):
        self.set_bytes(json.dumps(self.config(commit, path, url)).encode())

    def set_bytes(self, value):
        write(self.file, value)

    def touch(self):
        """The same bytes once more, so that it is looked at again, without waiting a minute."""
        write(self.file, read(self.file))

    # The program

    def arguments(self, *options):
        return (
            *("--config", self.file, "--root", self.root, "--status-dir", self.status_dir),
            *("--name", HOST, "--settle", "10", "--allow-url", f"file://{self.place}", *options),
        )

    def start(self, *options, **kwargs):
        return self.hooks.start(NAME, *self.arguments(*options), **kwargs)

    def once(self, *options, **kwargs):
        return self.hooks.run(NAME, *self.arguments("--once", *options), **kwargs)

    def command(self, command, *options, **kwargs):
        """rollback, resume or status of the root."""
        return self.hooks.run(NAME, command, "--root", self.root, *options, **kwargs)

    def deploy(self, files, *options, path="app"):
        """A new commit, deployed by a run of its own; gives its id."""
        commit = self.origin.commit(files)
        self.set(commit, path)
        done = self.once(*options)
        assert done.returncode == 0, done.stderr
        return commit

    # What has come of it

    def status(self, host=HOST):
        """{} if there is none; while it is written in a plain directory it may be half of one."""
        try:
            return json.loads(read(self.status_dir / host))
        except (FileNotFoundError, ValueError):
            return {}

    def wait(self, phase, timeout=10, **fields):
        """Until the status says that; gives the status."""
        wanted = {"phase": phase, **fields}

        def told():
            status = self.status()
            return status if wanted.items() <= status.items() else None

        try:
            return wait_for(told, timeout, f"{wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}, {self.status()}") from None

    def head(self, path="app"):
        return self.git.said("-C", self.root / path, "rev-parse", "HEAD")

    def is_clean(self, path="app"):
        return self.git.said("-C", self.root / path, "status", "--porcelain") == ""

    def is_at(self, commit, path="app"):
        return (self.root / path).is_dir() and self.head(path) == commit

    def releases(self):
        """The trees that are kept."""
        return sorted(path.parent for path in self.own.glob("releases/*/*/.git"))

    def leftovers(self):
        """What a run that has ended, however, should not have left."""
        found = [path for path in self.root.iterdir() if path not in (self.own, self.tree)]
        found += (self.own / "work").iterdir()
        for pattern in ("*.lock", "pack_git2_*", "tmp_*"):
            found += (self.own / "cache").rglob(pattern)
        return found

    def is_locked(self):
        """Whether somebody holds the lock of the root."""
        try:
            fd = os.open(self.own / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


def snapshot(folder):
    """All that is in a folder, by path: modes, bytes, and where links point to."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        status = path.lstat()
        mode = oct(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            found[str(path)] = mode, os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            found[str(path)] = mode, status.st_ino, path.read_bytes()
        else:
            found[str(path)] = mode, status.st_ino
    return found


def times(plain, sanitized):
    """How often to repeat what takes long."""
    return plain if SCALE == 1 else sanitized


# Fixtures, for the test files that import them.


@pytest.fixture
def deploy(hooks, place, anywhere):
    """On a plain directory, and on a mount."""
    return Deployment(hooks, place, anywhere)


@pytest.fixture
def plain(memory, hooks):
    """On a plain directory in memory."""
    (memory / "plain").mkdir()
    return Deployment(hooks, memory, memory / "plain")


@pytest.fixture
def on_disk(hooks, place):
    """For what mounts something below it: tests/run unmounts what it finds there."""
    (place / "plain").mkdir()
    return Deployment(hooks, place, place / "plain")
