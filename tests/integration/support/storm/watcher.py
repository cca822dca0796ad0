"""
What a program knows of a tree that only listens to inotify.

It lists a directory once, when it begins to watch it. From then on a name is there or not, and a
file has other bytes than it had, because an event says so: then it is read again.
"""

import contextlib
import ctypes
import hashlib
import os
import select
import stat
import struct

from .. import inotify as ino

MASK = (
    ino.CREATE
    | ino.DELETE
    | ino.MOVED_FROM
    | ino.MOVED_TO
    | ino.MODIFY
    | ino.CLOSE_WRITE
    | 0x01000000  # IN_ONLYDIR
)
OVERFLOW = 0x4000


def digest(data):
    return hashlib.sha1(data).hexdigest()[:12] + f" {len(data)}"


class Directory:
    def __init__(self, fd, path):
        self.fd = fd  # O_PATH: leads to it whatever its name is by now
        self.path = path  # where it was when it was found
        self.files = {}  # name: digest of its bytes, or why they could not be read
        self.directories = set()

    def at(self, name):
        return f"/proc/self/fd/{self.fd}/{name}"

    def names(self):
        return {**self.files, **dict.fromkeys(self.directories, "directory")}


class Watcher:
    def __init__(self, root, note):
        self.inotify = ino.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.note = note
        self.watched = {}  # wd: Directory
        self.dirty = set()  # (wd, name)
        self.doubtful = set()  # the same: an exchange looks like moving there and back
        self.overflowed = False
        self.watch(root, root)

    def add(self, path):
        wd = ino.libc.inotify_add_watch(self.inotify, os.fsencode(path), MASK)
        if wd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        return wd

    def watch(self, path, shown):
        """A directory that has come, and all that is in it."""
        try:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
            wd = self.add(f"/proc/self/fd/{fd}")
        except OSError as error:
            self.note(f"cannot watch {shown}: {error}")
            return
        if wd in self.watched:
            os.close(fd)
            return
        self.note(f"watches {shown} as {wd}")
        directory = self.watched[wd] = Directory(fd, shown)
        try:
            with os.scandir(f"/proc/self/fd/{fd}") as entries:
                found = [(entry.name, entry.is_dir()) for entry in entries]
        except OSError as error:
            self.note(f"cannot list {shown}: {error}")
            return
        self.note(f"lists {shown}: {found}")
        for name, is_dir in found:
            self.came(wd, directory, name, is_dir)

    def came(self, wd, directory, name, is_dir):
        self.went(directory, name)
        if is_dir:
            directory.directories.add(name)
            self.watch(directory.at(name), f"{directory.path}/{name}")
        else:
            directory.files[name] = None
            self.dirty.add((wd, name))

    @staticmethod
    def went(directory, name):
        directory.directories.discard(name)
        directory.files.pop(name, None)

    def forget(self, wd):
        directory = self.watched.pop(wd, None)
        if directory:
            os.close(directory.fd)

    def heard(self, wd, mask, name):
        directory = self.watched.get(wd)
        if mask & OVERFLOW:
            self.overflowed = True
        if not directory:
            return
        self.note(f"event {ino.show(mask & 0x4000FFFF)} {directory.path}/{name}")
        if mask & ino.IGNORED:
            self.forget(wd)
        elif mask & (ino.DELETE | ino.MOVED_FROM):
            self.went(directory, name)
            if mask & ino.MOVED_FROM:
                self.doubtful.add((wd, name))
        elif mask & (ino.CREATE | ino.MOVED_TO):
            self.came(wd, directory, name, bool(mask & ino.ISDIR))
        elif name in directory.files:
            self.dirty.add((wd, name))

    def take(self):
        """Handles what has come; False: nothing."""
        try:
            data = os.read(self.inotify, 1 << 16)
        except BlockingIOError:
            return False
        at = 0
        while at < len(data):
            wd, mask, _, size = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + size].rstrip(b"\0").decode()
            self.heard(wd, mask, name)
            at += 16 + size
        return True

    def settle_doubts(self):
        while self.doubtful:
            wd, name = self.doubtful.pop()
            directory = self.watched.get(wd)
            if not directory or name in directory.names():
                continue
            with contextlib.suppress(OSError):
                is_dir = stat.S_ISDIR(os.lstat(directory.at(name)).st_mode)
                self.note(f"is there after all: {directory.path}/{name}")
                self.came(wd, directory, name, is_dir)

    def read_dirty(self):
        while self.dirty:
            wd, name = self.dirty.pop()
            directory = self.watched.get(wd)
            if directory and name in directory.files:
                directory.files[name] = self.read(directory.at(name))
                self.note(f"has read {directory.path}/{name}: {directory.files[name]}")

    @staticmethod
    def read(path):
        try:
            with open(path, "rb") as file:
                return digest(file.read())
        except OSError as error:
            return error.strerror

    def catch_up(self):
        while self.take():
            pass
        self.settle_doubts()
        self.read_dirty()

    def known(self, path):
        """What it knows of the directory at a path; None: nobody told of it."""
        wd = self.add(path)
        if wd in self.watched:
            return self.watched[wd].names()
        ino.libc.inotify_rm_watch(self.inotify, wd)
        with contextlib.suppress(OSError):
            select.select([self.inotify], [], [], 0)
        return None

    def close(self):
        for wd in list(self.watched):
            self.forget(wd)
        os.close(self.inotify)
