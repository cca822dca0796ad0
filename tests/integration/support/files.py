"""System calls that Python does not offer or hides, and short ways to do common things."""

import contextlib
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
AT_FDCWD = -100


def renameat2(old, new, flags):
    r = libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)
    if r != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(old))


def fallocate(fd, length):
    """The system call itself: what Python offers writes zeros where it fails."""
    if libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def read(path, flags=0):
    """The whole file, through a handle of its own."""
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        return read_rest(fd)
    finally:
        os.close(fd)


def read_rest(fd, step=1 << 20):
    pieces = []
    while piece := os.read(fd, step):
        pieces.append(piece)
    return b"".join(pieces)


def write(path, data, flags=os.O_CREAT | os.O_TRUNC):
    """Writes data in one open, write, close; every error is raised."""
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        write_all(fd, data)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def exists(path):
    """Like os.path.exists, but only ENOENT is absence."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def fails_with(*numbers):
    """The block must end with one of these errnos."""
    names = "/".join(errno.errorcode[number] for number in numbers)
    try:
        yield
    except OSError as error:
        assert error.errno in numbers, f"{error!r}, expected {names}"
    else:
        raise AssertionError(f"no error, expected {names}")
