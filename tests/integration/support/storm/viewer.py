"""A program that looks at a mount as any program does, through all caches of the kernel."""

import contextlib
import os
import select
import stat
import sys
import traceback

from . import actor
from .watcher import Watcher, digest

HANDLES_MAX = 8


def version(path):
    return int(os.getxattr(path, "user.zk.version"))


class Viewer(actor.Actor):
    """`watches`: "none", "directories", or "all": the files too, which pins them in the kernel."""

    def __init__(self):
        super().__init__()
        self.root = self.config["mount"]
        self.watches = self.config["watches"]
        self.watcher = None
        self.pins = None
        self.handles = {}  # path: a file that stays open

    def serve(self):
        self.open_journal()
        if self.watches != "none":
            self.watcher = Watcher(self.root, self.note)
            self.pins = Pins() if self.watches == "all" else None
        self.answer(ready=True)
        while self.wait_for_order():
            line = sys.stdin.readline()
            if not line:
                break
            order = actor.json.loads(line)
            getattr(self, "do_" + order.pop("do"))(**order)
        if self.watcher:
            self.watcher.close()

    def wait_for_order(self):
        """Listens meanwhile."""
        while self.watcher:
            self.watcher.catch_up()
            ready = select.select([sys.stdin, self.watcher.inotify], [], [])[0]
            if sys.stdin in ready:
                break
        return True

    def do_round(self, number, seconds):
        self.open_journal()
        self.rng.seed(f"{self.seed}/{self.name}/{number}")
        for path in self.rng.sample(list(self.handles), len(self.handles) // 2):
            os.close(self.handles.pop(path))
        self.answer(n_done=0, problems=[], acknowledged=[])

    def do_look(self):
        """All that is there, what is not, and what the watcher knows."""
        if self.watcher:
            self.watcher.catch_up()
        self.found, self.told = {}, {}
        self.look(self.root, ".", set(actor.UNIVERSE))
        if self.pins:
            self.pins.take()
        self.note("has looked")
        self.answer(found=self.found, told=self.told)

    def look(self, path, shown, absent):
        names = sorted(os.listdir(path))
        self.found[shown] = {"names": names, **self.describe(path)}
        if self.watcher:
            self.compare(path, shown)
        for name in names:
            below = name if shown == "." else f"{shown}/{name}"
            try:
                self.look_at(f"{path}/{name}", below, absent)
            except OSError as error:
                self.found[below] = f"{error!r} at {traceback.extract_tb(error.__traceback__)[-1][1]}"
        if shown == ".":
            self.look_for_absent(absent)

    def look_for_absent(self, paths):
        for path in sorted(paths):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(f"{self.root}/{path}")
                self.found[path] = "is there, but not listed"

    def look_at(self, path, shown, absent):
        absent.discard(shown)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            self.look(path, shown, absent)
            return
        with open(path, "rb") as file:
            data = file.read()
        self.found[shown] = {"bytes": digest(data), **self.describe(path)}
        self.look_through_handle(path, shown)
        if self.pins:
            self.pins.add(path)

    def describe(self, path):
        st = os.lstat(path)
        return {
            "kind": "directory" if stat.S_ISDIR(st.st_mode) else "file",
            "size": st.st_size,
            "mtime": st.st_mtime_ns,
            "ino": st.st_ino,
            "version": version(path),
        }

    def look_through_handle(self, path, shown):
        """Who has a file open for long sees the newest version of it, too."""
        if shown.endswith(".data"):
            return  # cleared and written anew it is another file, with the same number
        fd = self.handles.get(shown)
        if fd is not None and self.number(fd) == self.found[shown]["ino"]:
            data = os.pread(fd, 1 << 20, 0)
            if digest(data) != self.found[shown]["bytes"]:
                self.found[shown]["open"] = digest(data)
        elif fd is not None:
            os.close(self.handles.pop(shown))
        elif len(self.handles) < HANDLES_MAX and self.config["handles"]:
            self.handles[shown] = os.open(path, os.O_RDONLY)

    @staticmethod
    def number(fd):
        """None: it has been deleted, here or elsewhere."""
        try:
            st = os.fstat(fd)
        except OSError:
            return None
        return st.st_ino if st.st_nlink else None

    def compare(self, path, shown):
        known = self.watcher.known(path)
        if known is None:
            self.told[shown] = "nobody told of this directory"
            return
        self.told[shown] = known

    def finish(self):
        pass


class Pins:
    """Watches on files: as long as these stand, the kernel keeps their inodes."""

    def __init__(self):
        self.inotify = actor_inotify()

    def add(self, path):
        with contextlib.suppress(OSError):
            self.inotify.watch(path)

    def take(self):
        self.inotify.take()


def actor_inotify():
    from ..inotify import Inotify

    return Inotify()


if __name__ == "__main__":
    Viewer().serve()
