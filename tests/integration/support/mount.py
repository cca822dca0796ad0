"""A zkfs daemon and its mount, in a private folder, checked for sanitizer reports when it ends."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .waiting import DIES_WITH_PARENT, SCALE, run, wait_for

BINARY = os.environ.get(
    "ZKFS", str(Path(__file__).resolve().parents[3] / "build" / "fs" / "zkfs")
)

# Daemons that run now: the watchdog ends them when a test hangs.
running = set()


def unescape(text):
    """/proc/self/mountinfo writes blanks and the like as \\ooo."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode()


def mounts_at(path):
    """How many file systems are mounted at path. Never touches the mount itself."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return sum(unescape(line.split()[4]) == str(path) for line in table)


def zkfs_command(hosts, path, options=(), foreground=False):
    argv = [BINARY]
    if foreground:
        argv.append("-f")
    if options:
        argv += ["-o", ",".join(options)]
    return argv + [hosts, str(path)]


def daemon_pids(path):
    """Processes of zkfs that were started for this mountpoint."""
    pids = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if Path(f"/proc/{entry}/comm").read_text() != "zkfs\n":
                continue  # the command line of a process in execve(2) may block its reader
            argv = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(str(path)) in argv:
            pids.append(int(entry))
    return pids


def parse_status(text):
    """The `key: value` lines of .zkfs/status."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def is_running(pid):
    """Not only is there such a process: it has not ended, even if nobody has reaped it yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def is_stopped(pid):
    """Whether a process is stopped, as by SIGSTOP."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


class Mount:
    """zkfs in the foreground (or not), mounted at `path`; `mount / name` is a path in it."""

    def __init__(self, folder, hosts, options=(), foreground=True, path=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = Path(path) if path else self.folder / "mnt"
        if not path:
            self.path.mkdir(exist_ok=True)
        self.hosts = hosts
        self.options = list(options)
        self.foreground = foreground
        self.process = None
        self.daemon = None
        self.killed = False

    def __truediv__(self, name):
        return self.path / name

    def __str__(self):
        return str(self.path)

    __fspath__ = __str__

    def environment(self):
        log = f"log_path={self.folder}/sanitizer"
        leaks = os.environ.get("ASAN_OPTIONS", "detect_leaks=1")
        return {
            **os.environ,
            "ASAN_OPTIONS": f"{leaks}:{log}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:{log}",
        }

    def start(self):
        argv = zkfs_command(self.hosts, self.path, self.options, self.foreground)
        if self.foreground:
            self.start_foreground(argv)
        else:
            run(*argv, env=self.environment())
            (self.daemon,) = daemon_pids(self.path)
        running.add(self)
        return self

    def start_foreground(self, argv):
        with open(self.folder / "stderr", "ab") as log:
            self.process = subprocess.Popen(
                DIES_WITH_PARENT + argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
            )
        self.daemon = self.process.pid
        running.add(self)
        before = mounts_at(self.path)
        wait_for(self.answers, 20, "the mount")
        assert mounts_at(self.path) >= max(before, 1)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"zkfs ended with {self.process.returncode}: {self.stderr()}")
        if not mounts_at(self.path):
            return False
        try:
            return self.status().get("state") == "connected"
        except OSError:
            return False

    def status(self):
        return parse_status((self.path / ".zkfs" / "status").read_text())

    def session(self):
        """The session id that the status tells."""
        return int(self.status()["session"].split()[0], 16)

    def catch_up(self):
        """Waits until the mount has told all that has changed so far."""
        if not self.alive() or not mounts_at(self.path) or is_stopped(self.daemon):
            return
        try:
            # Answered by the server, and so behind the watches that have fired before.
            os.getxattr(self.path, "user.zk.version")
            wait_for(self.is_quiet, 10, "the events to be told")
        except OSError:
            pass  # the test has broken it

    def is_quiet(self):
        status = self.status()
        return status["events_owed"] == "0" and status["requests_in_flight"] == "0"

    def stderr(self):
        try:
            return (self.folder / "stderr").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def alive(self):
        if self.process is not None:
            return self.process.poll() is None
        return self.daemon is not None and is_running(self.daemon)

    def umount(self):
        """Unmounts, and gives how long it took until the daemon was gone, in seconds."""
        start = time.monotonic()
        run("fusermount3", "-u", self.path)
        self.wait_gone()
        return time.monotonic() - start

    def wait_gone(self, timeout=10):
        wait_for(lambda: not self.alive(), timeout, "the end of the daemon")

    def signal(self, number):
        os.kill(self.daemon, number)

    def kill(self):
        """Ends the daemon at once; the mount stays behind, dead."""
        self.killed = True
        if self.alive():
            self.signal(signal.SIGKILL)
            self.wait_gone()

    def finish(self):
        """Unmounts if need be, whatever state it is in, and complains about an unclean end."""
        problems = []
        if self.alive() and mounts_at(self.path):
            problems += self.try_umount()
        if self.alive():
            problems.append("the daemon did not end")
            self.kill()
        while mounts_at(self.path):
            if run("fusermount3", "-u", "-z", self.path, check=False).returncode != 0:
                break
        running.discard(self)
        if self.process is not None and not self.killed and self.process.returncode != 0:
            problems.append(f"the daemon ended with {self.process.returncode}")
        return problems + self.sanitizer_reports()

    def try_umount(self):
        """Programs that a test has killed may take a moment to let go of the mount."""
        deadline = time.monotonic() + 3 * SCALE
        while time.monotonic() < deadline:
            done = run("fusermount3", "-u", self.path, check=False)
            if done.returncode == 0:
                try:
                    self.wait_gone()
                except AssertionError as error:
                    return [str(error)]
                return []
            time.sleep(0.05)
        return [f"cannot unmount: {done.stderr.strip()}"]

    def sanitizer_reports(self):
        reports = [path.read_text(errors="replace") for path in self.folder.glob("sanitizer.*")]
        text = self.stderr()
        if "Sanitizer" in text or "runtime error:" in text:
            reports.append(text)
        return reports
