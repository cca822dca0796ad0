"""Waiting for conditions, running programs, and free ports: nothing here knows of ZooKeeper."""

import os
import random
import socket
import subprocess
import time

# Sanitized builds are slower: every time limit is multiplied by this.
SCALE = float(os.environ.get("ZKFS_TEST_SCALE", "1"))

# What a test starts must not outlive it, even if it is killed.
DIES_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


def wait_for(condition, timeout=10, what="condition"):
    """Calls condition until it gives something true, and returns that."""
    deadline = time.monotonic() + timeout * SCALE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out waiting for {what} (last: {result!r})")
        time.sleep(0.01)


def wait_equal(get, expected, timeout=10):
    """Waits until get() returns expected; exceptions of the file system count as not yet."""
    deadline = time.monotonic() + timeout * SCALE
    while True:
        try:
            last = get()
        except OSError as error:
            last = error
        if not isinstance(last, OSError) and last == expected:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out waiting for {expected!r}, last {last!r}")
        time.sleep(0.01)


def run(*argv, check=True, timeout=30, **kwargs):
    """Runs a program to its end; its output is captured as text."""
    kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
    if "input" in kwargs:
        kwargs.pop("stdin")
    done = subprocess.run(
        [str(arg) for arg in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout * SCALE,
        encoding="utf-8",
        errors="surrogateescape",
        **kwargs,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def sh(script, cwd=None, shell="bash", **kwargs):
    """Runs a shell script, in cwd."""
    return run(shell, "-c", script, cwd=cwd, **kwargs)


def free_port(host="127.0.0.1"):
    """A port nobody listens on, outside the range that outgoing connections use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randint(20000, 32000)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port


def waits(pid):
    """Whether the process waits for an answer of a FUSE daemon."""
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as wchan:
            channel = wchan.read()
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return "fuse" in channel or "request_wait" in channel or (channel == "0" and state in "SD")
