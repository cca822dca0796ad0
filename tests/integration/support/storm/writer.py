"""A program on a mount: reads and writes all it finds, in every way there is."""

import contextlib
import errno
import mmap
import os
import signal
import time
import traceback

from ..files import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2, write_all
from . import records
from .actor import KEEP, NAMES, Actor

# What may happen to who works where others do.
EXPECTED = {
    errno.ENOENT,
    errno.ESTALE,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EXDEV,  # a directory that does not fit in one request
    errno.EFBIG,
}

READING = ("read_all", "read_in_steps", "read_mapped", "look", "list", "list_all", "scan", "keep_looking")

# Who takes no longer than this to read a file gets one version of it.
PATIENCE = 0.05

# A file that is longer is not appended to.
APPEND_MAX = 400_000


class Writer(Actor):
    def __init__(self):
        super().__init__()
        self.root = self.config["mount"]
        self.seen = {}  # the newest mzxid and mtime of what is kept
        self.kept = []  # files that stay open
        self.steps = [
            (getattr(self, name), weight)
            for name, weight in {
                "replace": 12,
                "replace_in_steps": 4,
                "replace_by_rename": 5,
                "create_exclusively": 4,
                "append": 6,
                "change": 5,
                "truncate": 4,
                "touch": 3,
                "rename": 6,
                "exchange": 1,
                "unlink": 7,
                "make_directory": 5,
                "remove_directory": 4,
                "write_directory": 3,
                "clear_directory": 2,
                "read_all": 14,
                "read_in_steps": 10,
                "read_mapped": 2,
                "look": 16,
                "list": 6,
                "list_all": 2,
                "scan": 5,
                "keep_looking": 6,
                "keep_log": 3,
                "keep_last": 3,
                "keep_count": 2,
                "rest": 3,
            }.items()
        ]

    def full(self, path):
        return f"{self.root}/{path}"

    def step(self):
        step = self.rng.choices(*zip(*self.steps))[0]
        self.attempt(step.__name__, step)

    def attempt(self, name, step):
        path = self.path()
        self.note(f"{name} {path}")
        try:
            result = step(path)
        except OSError as error:
            result = errno.errorcode.get(error.errno, str(error.errno))
            if error.errno not in EXPECTED and not self.is_expected(name, error.errno):
                self.complain(f"{name} {path}: {error!r}\n{traceback.format_exc(limit=-3)}")
        self.note(f"  {name} {path} -> {result}")

    def is_expected(self, name, number):
        """
        A directory cannot be moved into itself; a file that is not committed has no znode yet; and
        of a write whose answer was lost nobody can tell what became of it, if others wrote since.
        """
        if number == errno.EIO:
            return self.config["loses_answers"] and name not in READING
        if number == errno.EINVAL:
            return name in ("rename", "exchange")
        return number == errno.ENODATA and name == "look"

    def fresh(self, n_blocks=None):
        n_blocks = n_blocks or records.random_size(self.rng)
        return records.record(self.seed, self.name, self.next_counter(), n_blocks)

    def check(self, path, data, what):
        found, problem = records.parse(self.seed, data)
        if problem:
            self.complain(f"{what} {path}: {problem} ({len(data)} bytes)")
        return found

    @contextlib.contextmanager
    def opened(self, path, flags):
        fd = os.open(self.full(path), flags, 0o644)
        try:
            yield fd
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        os.close(fd)

    # Writing

    def replace(self, path):
        data = self.fresh()
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            write_all(fd, data)
        return f"{self.counter}: {len(data)}"

    def replace_in_steps(self, path):
        data = self.fresh()
        with self.opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as fd:
            for at in range(0, len(data), 50_000):
                write_all(fd, data[at : at + 50_000])
            if self.rng.random() < 0.3:
                os.fsync(fd)
            self.linger()
        return f"{self.counter}: {len(data)}"

    def replace_by_rename(self, path):
        data = self.fresh()
        draft = self.sibling(path)
        with self.opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            write_all(fd, data)
        os.rename(self.full(draft), self.full(path))
        return f"{self.counter}: {len(data)} from {draft}"

    def sibling(self, path):
        return path[:-1] + self.rng.choice([name for name in NAMES if name != path[-1]])

    def create_exclusively(self, path):
        data = self.fresh()
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
            write_all(fd, data)
        return f"{self.counter}: {len(data)}"

    def append(self, path):
        data = self.fresh()
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
            if os.fstat(fd).st_size < APPEND_MAX:
                write_all(fd, data)
        return f"{self.counter}: {len(data)}"

    def change(self, path):
        """One record makes place for another, on the version that was read."""
        with self.opened(path, os.O_RDWR) as fd:
            data = os.read(fd, 1 << 20)
            found = self.check(path, data, "change")
            if not found:
                return "nothing to change"
            at, _, _, n_blocks = self.rng.choice(found)
            os.pwrite(fd, self.fresh(n_blocks), at)
            self.linger()
        return f"{self.counter}: at {at}"

    def truncate(self, path):
        size = records.BLOCK * (2 * self.rng.randint(0, 80) + 1) if self.rng.random() < 0.8 else 0
        if self.rng.random() < 0.5:
            os.truncate(self.full(path), size)
        else:
            with self.opened(path, os.O_RDWR) as fd:
                os.ftruncate(fd, size)
        return size

    def touch(self, path):
        os.utime(self.full(path))

    # Names

    def rename(self, path):
        to, flags = self.path(), self.rng.choice((0, 0, RENAME_NOREPLACE))
        self.note(f"  to {to}")
        renameat2(self.full(path), self.full(to), flags)
        return to

    def exchange(self, path):
        to = self.path()
        self.note(f"  with {to}")
        renameat2(self.full(path), self.full(to), RENAME_EXCHANGE)
        return to

    def unlink(self, path):
        os.unlink(self.full(path))

    def make_directory(self, path):
        os.mkdir(self.full(path))

    def remove_directory(self, path):
        os.rmdir(self.full(path))

    def write_directory(self, path):
        """Its own data; a file has none to write, and is left alone."""
        data = self.fresh()
        with self.opened(f"{path}/.data", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            write_all(fd, data)
        return f"{self.counter}: {len(data)}"

    def clear_directory(self, path):
        os.unlink(self.full(f"{path}/.data"))

    # Reading

    def read_steps(self, path, step):
        """The bytes, if it did not take too long to be sure of one version."""
        start = time.monotonic()
        pieces = []
        fd = os.open(self.full(path), os.O_RDONLY)
        try:
            while piece := os.read(fd, step):
                pieces.append(piece)
        finally:
            took = time.monotonic() - start
            os.close(fd)
        data = b"".join(pieces)
        if took < PATIENCE:
            self.check(path, data, f"read in steps of {step}")
        return f"{len(data)} {data[:30]!r}"

    def read_all(self, path):
        return self.read_steps(path, 1 << 20)

    def read_in_steps(self, path):
        if self.rng.random() < 0.2:
            path += "/.data"
        return self.read_steps(path, self.rng.choice((1000, 4096, 10_000, 65536)))

    def read_mapped(self, path):
        """In a process of its own: who looks behind the end of a file is killed."""
        pid = os.fork()
        if pid == 0:
            self.map_and_leave(path)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGBUS:
            self.complain(f"read mapped {path}: signal {os.WTERMSIG(status)}")
        return status

    def map_and_leave(self, path):
        try:
            start = time.monotonic()
            fd = os.open(self.full(path), os.O_RDONLY)
            with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as view:
                data = view[:]
            took = time.monotonic() - start
            found, problem = records.parse(self.seed, data)
            if problem and took < PATIENCE:
                self.note(f"PROBLEM mapped {path}: {problem}")
                os._exit(2)
        except (OSError, ValueError):
            os._exit(1)
        finally:
            os._exit(0)

    def look(self, path):
        if self.rng.random() < 0.3:
            return os.getxattr(self.full(path), "user.zk.mzxid").decode()
        stat = os.stat(self.full(path))
        return f"size {stat.st_size} mtime {stat.st_mtime_ns} ino {stat.st_ino:x}"

    def list(self, path):
        return sorted(os.listdir(self.full(path)))

    def list_all(self, path):
        return sorted(os.listdir(self.full(".")))

    def scan(self, path):
        found = []
        with os.scandir(self.full(path)) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.name, entry.is_dir(), entry.stat().st_size))
        return sorted(found)

    # What must never be lost, nor go back to what was before

    def keep_looking(self, path):
        path = f"{KEEP}/{self.rng.choice(('log', 'last', 'count'))}"
        if self.rng.random() < 0.3:
            now = "mzxid", int(os.getxattr(self.full(path), "user.zk.mzxid"), 0)
        else:
            now = "mtime", os.stat(self.full(path)).st_mtime_ns
        before = self.seen.get((path, now[0]), now[1])
        self.seen[path, now[0]] = now[1]
        if now[1] < before:
            self.complain(f"{path} went back from {now[0]} {before} to {now[1]}")
        return f"{path} {now}"

    def keep_log(self, path):
        data = self.fresh(2)
        start, counter = time.monotonic(), self.counter
        self.acknowledge("log", counter, start, False)
        with self.opened(f"{KEEP}/log", os.O_WRONLY | os.O_APPEND) as fd:
            write_all(fd, data)
        self.acknowledge("log", counter, start, True)
        return counter

    def keep_last(self, path):
        data = self.fresh()
        start, counter = time.monotonic(), self.counter
        self.acknowledge("last", counter, start, False)
        with self.opened(f"{KEEP}/last", os.O_WRONLY | os.O_TRUNC) as fd:
            write_all(fd, data)
        self.acknowledge("last", counter, start, True)
        return counter

    def keep_count(self, path):
        """
        Counts up on what it has read; a conflict is told. The same bytes from two writers could not
        be told apart when an answer is lost.
        """
        self.acknowledge("count", 0, 0, False)
        with self.opened(f"{KEEP}/count", os.O_RDWR) as fd:
            number = int(os.read(fd, 100).split()[0])
            os.pwrite(fd, b"%020d %-10s" % (number + 1, self.name.encode()), 0)
        self.acknowledge("count", number + 1, 0, True)
        return number + 1

    def acknowledge(self, file, counter, start, done):
        self.acknowledged.append((file, self.name, counter, start, time.monotonic(), done))

    # Time

    def linger(self):
        if self.rng.random() < 0.2:
            time.sleep(self.rng.random() * 0.03)

    def rest(self, path):
        time.sleep(self.rng.random() * 0.02)


if __name__ == "__main__":
    Writer().serve()
