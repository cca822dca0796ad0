"""inotify(7), through libc: what a program that watches files is told."""

import ctypes
import os
import select
import struct
import time

from .waiting import SCALE

ACCESS, MODIFY, ATTRIB, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 1, 2, 4, 8, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
IGNORED, ISDIR = 0x8000, 0x40000000

# Not what readers make, ourselves among them.
CHANGES = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF

NAMES = {
    value: name
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int) and value & (value - 1) == 0
}

libc = ctypes.CDLL(None, use_errno=True)


def show(mask):
    """"CREATE|ISDIR"."""
    return "|".join(name for bit, name in sorted(NAMES.items()) if mask & bit)


class Inotify:
    """Events come as (path, name, "MODIFY"), in their order; `path` as it was given to watch()."""

    def __init__(self):
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0
        self.paths = {}
        self.events = []

    def watch(self, path, mask=CHANGES):
        wd = libc.inotify_add_watch(self.fd, os.fsencode(str(path)), mask)
        if wd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        self.paths[wd] = str(path)
        return self

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def read(self, seconds=0):
        """Takes what has come, or comes within the time; False: nothing."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        data, at = os.read(self.fd, 1 << 20), 0
        while at < len(data):
            wd, mask, _, size = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + size].rstrip(b"\0").decode()
            self.events.append((self.paths.get(wd, ""), name, show(mask)))
            at += 16 + size
        return True

    def wait(self, wanted, seconds=10):
        """Reads until the event has come; `wanted`: (name, "MODIFY"). Gives all up to it."""
        deadline = time.monotonic() + seconds * SCALE
        done = 0
        while True:
            for index in range(done, len(self.events)):
                if self.events[index][1:] == wanted:
                    seen, self.events = self.events[: index + 1], self.events[index + 1 :]
                    return [event[1:] for event in seen]
            done = len(self.events)
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left) and time.monotonic() >= deadline:
                raise AssertionError(f"no {wanted}, but {self.events[-20:]}")

    def take(self):
        """All that has come so far, without the paths."""
        while self.read():
            pass
        seen, self.events = self.events, []
        return [event[1:] for event in seen]
