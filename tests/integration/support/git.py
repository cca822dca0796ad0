"""git without the configuration of the machine, and repositories that are made of Python values."""

import contextlib
import subprocess
from collections import namedtuple

from .waiting import DIES_WITH_PARENT, free_port, run, wait_for

CLEAN = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@t",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@t",
    "GIT_OPTIONAL_LOCKS": "0",  # looking changes nothing
}

# What a commit may hold besides bytes, which are a file.
Executable = namedtuple("Executable", "data")
Link = namedtuple("Link", "target")
Submodule = namedtuple("Submodule", "commit")


class Git:
    """Runs git as git(...), in an environment in which nothing of the machine's counts."""

    def __init__(self, environment):
        self.environment = {**environment, **CLEAN}

    def __call__(self, *args, **kwargs):
        return run("git", *args, env=self.environment, **kwargs)

    def said(self, *args, **kwargs):
        """What it prints, without the line's end."""
        return self(*args, **kwargs).stdout.strip()


class Origin:
    """A bare repository to deploy from."""

    def __init__(self, git, path):
        self.git = git
        self.path = path
        self.count = 0
        git("init", "-q", "--bare", "-b", "main", path)

    @property
    def url(self):
        return f"file://{self.path}"

    def said(self, *args, **kwargs):
        return self.git.said("-C", self.path, *args, **kwargs)

    def commit(self, files, branch="main"):
        """The id of a new commit on the branch that holds just that: {"d/name": b"data"}."""
        self.count += 1
        where = f"refs/heads/{branch}"
        lines = [f"commit {where}", f"committer t <t@t> {self.count} +0000"]
        stream = "\n".join(lines).encode() + b"\n" + data(b"%d" % self.count)
        if self.git("-C", self.path, "show-ref", "-q", where, check=False).returncode == 0:
            stream += f"from {where}^0\n".encode()
        stream += b"deleteall\n" + b"".join(entry(name, what) for name, what in files.items())
        argv = ["git", "-C", str(self.path), "fast-import", "--quiet"]
        subprocess.run(argv, input=stream, env=self.git.environment, check=True)
        return self.said("rev-parse", where)

    def raw_commit(self, *entries):
        """The id of a commit of a tree that git itself would not make: (mode, name, id)."""
        tree = b"".join(
            f"{mode} {name}\0".encode() + bytes.fromhex(object_id)
            for mode, name, object_id in entries
        )
        return self.commit_tree(self.raw_tree(tree))

    def raw_tree(self, tree):
        argv = ["git", "-C", str(self.path), "hash-object", "-w", "-t", "tree", "--literally"]
        argv.append("--stdin")
        done = subprocess.run(
            argv, input=tree, env=self.git.environment, check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode().strip()

    def commit_tree(self, tree, branch="main"):
        commit = self.said("commit-tree", "-m", "raw", tree)
        self.git("-C", self.path, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def blob(self, content):
        return self.said("hash-object", "-w", "--stdin", input=content)


def data(value):
    return b"data %d\n%s\n" % (len(value), value)


def entry(name, what):
    """A line of git-fast-import(1), with what follows it."""
    if isinstance(what, Submodule):
        return f"M 160000 {what.commit} {name}\n".encode()
    if isinstance(what, Link):
        return f"M 120000 inline {name}\n".encode() + data(what.target.encode())
    if isinstance(what, Executable):
        return f"M 100755 inline {name}\n".encode() + data(what.data)
    return f"M 100644 inline {name}\n".encode() + data(what)


@contextlib.contextmanager
def daemon(git, folder):
    """git-daemon(1) on loopback for the repositories in the folder; gives the start of URLs."""
    port = free_port()
    argv = DIES_WITH_PARENT + [f"{git.said('--exec-path')}/git-daemon", "--verbose"]
    argv += ["--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    argv += [f"--base-path={folder}", str(folder)]
    url = f"git://127.0.0.1:{port}"
    log = folder / "daemon.log"
    with open(log, "wb") as err:
        process = subprocess.Popen(argv, env=git.environment, stderr=err)
    try:
        wait_for(lambda: "Ready" in log.read_text(), 10, "git daemon")
        yield url
    finally:
        process.terminate()
        process.wait()
