"""
What is written, so that bytes that nobody wrote are seen at once.

A value is a row of records, a record an even number of blocks, and each block says whose it is and
where it belongs. Values are truncated to an odd number of blocks only: a record may be cut there,
but not at the end of a page.
"""

import functools
import random
import re
import zlib

BLOCK = 64
HEAD = re.compile(rb"(\w{1,12}):(\d{8}):(\d{5})/(\d{5}):([0-9a-f]{8}):")


@functools.lru_cache(maxsize=64)
def record(seed, writer, counter, n_blocks):
    head = f"{writer}:{counter:08d}:".encode()
    tag = zlib.crc32(f"{seed}/{writer}/{counter}/{n_blocks}".encode())
    tail = f"/{n_blocks:05d}:{tag:08x}:".encode()
    rest = b"." * (BLOCK - 1 - len(head) - 5 - len(tail)) + b"\n"
    return b"".join(b"%s%05d%s%s" % (head, i, tail, rest) for i in range(n_blocks))


def random_size(rng: random.Random):
    """In blocks: mostly small, some over 100 kB."""
    kind = rng.random()
    if kind < 0.75:
        return 2 * rng.randint(1, 20)
    if kind < 0.92:
        return 2 * rng.randint(50, 300)
    return 2 * rng.randint(800, 2350)


def parse(seed, data):
    """[(offset, writer, counter, n_blocks)] of the whole records, and what is wrong or None."""
    found, at = [], 0
    if len(data) % BLOCK:
        return found, f"{len(data)} bytes are no whole blocks"
    while at < len(data):
        if data[at] == 0:
            at, problem = skip_zeros(data, at)
        else:
            at, problem = take_record(seed, data, at, found)
        if problem:
            return found, problem
    return found, None


def is_cut(at):
    return at // BLOCK % 2 == 1


def skip_zeros(data, at):
    """A file that was truncated to more than it had."""
    end = at
    while end < len(data) and data[end] == 0:
        end += 1
    if end % BLOCK or not is_cut(end):
        return end, f"zeros from {at} to {end}"
    return end, None


def take_record(seed, data, at, found):
    head = HEAD.match(data, at)
    if not head:
        return at, f"at {at} nobody's bytes: {data[at : at + BLOCK]!r}"
    writer, counter, n_blocks = head[1].decode(), int(head[2]), int(head[4])
    expected = record(seed, writer, counter, n_blocks)
    if data.startswith(expected, at):
        found.append((at, writer, counter, n_blocks))
        return at + len(expected), None
    end = at
    while end < len(data) and data[end : end + BLOCK] == expected[end - at : end - at + BLOCK]:
        end += BLOCK
    if end == at or not is_cut(end):
        what = data[end : end + 40]
        return end, f"{writer}:{counter} of {n_blocks} blocks, from {at}, goes on at {end} as {what!r}"
    return end, None
