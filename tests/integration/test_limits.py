"""Large values, values too large, and directories of many children."""

import errno
import os
import time

import pytest

from support.files import exists, fails_with, read, write
from support.waiting import SCALE, run, sh, wait_equal

LARGE = os.urandom(900_000)
TOO_LARGE = os.urandom(1_100_000)


def test_900_kb_pass_both_ways(mnt, tree, place):
    write(mnt / "f", LARGE)
    assert tree.get("/f") == LARGE
    assert read(mnt / "f") == LARGE
    tree.create("/g", LARGE[::-1])
    assert read(mnt / "g") == LARGE[::-1]
    assert os.stat(mnt / "g").st_size == 900_000
    (place / "large").write_bytes(LARGE)
    run("cp", place / "large", mnt / "h")
    assert tree.get("/h") == LARGE
    run("cmp", mnt / "h", place / "large")
    run("dd", f"if={place}/large", f"of={mnt}/f", "bs=7777", "conv=notrunc")
    assert tree.get("/f") == LARGE
    assert tree.version("/f") == 1


def test_a_little_below_the_limit_of_the_server(mnt, tree):
    write(mnt / "f", b"x" * 1_048_000)
    assert tree.stat("/f").dataLength == 1_048_000
    write(mnt / "f", b"y" * 1_048_000)
    assert tree.version("/f") == 1


@pytest.mark.parametrize("existing", [True, False], ids=["existing", "new"])
def test_1_1_mb_is_efbig_and_the_old_value_stands(mnt, tree, place, existing):
    if existing:
        tree.create("/f", b"old")
    (place / "big").write_bytes(TOO_LARGE)
    with fails_with(errno.EFBIG):
        write(mnt / "f", TOO_LARGE)
    commands = ["dd if=SRC of=f bs=64k", "cat SRC > f", "tee f < SRC > /dev/null"]
    if existing:
        commands.append("cp SRC f")  # which makes a new file with O_EXCL, so at once
    for command in commands:
        done = sh(command.replace("SRC", str(place / "big")), cwd=mnt, check=False)
        assert done.returncode != 0, command
        assert "File too large" in done.stderr, command
    if existing:
        assert read(mnt / "f") == b"old"
        assert tree.get("/f") == b"old"
        assert tree.version("/f") == 0
    else:
        assert not tree.exists("/f")
        wait_equal(lambda: exists(mnt / "f"), False, 5)


def test_an_append_that_passes_the_limit(mnt, tree):
    tree.create("/f", LARGE)
    with fails_with(errno.EFBIG):
        write(mnt / "f", LARGE[:200_000], os.O_APPEND)
    assert tree.get("/f") == LARGE


def test_truncate_beyond_the_limit(mnt, tree):
    tree.create("/f", b"old")
    for length in (1_100_000, 1 << 40):
        with fails_with(errno.EFBIG):
            os.truncate(mnt / "f", length)
    assert tree.get("/f") == b"old"
    assert tree.version("/f") == 0


def test_a_write_far_beyond_the_limit(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_RDWR)
    with fails_with(errno.EFBIG):
        os.pwrite(fd, b"x", 1 << 40)
    try:
        os.close(fd)
    except OSError as error:
        assert error.errno == errno.EFBIG
    assert tree.get("/f") == b"old"


def test_the_session_survives_what_is_too_large(mnt, tree):
    """A request over the limit of the server would cut the connection."""
    session = mnt.session()
    for _ in range(3):
        with fails_with(errno.EFBIG):
            write(mnt / "f", TOO_LARGE)
    write(mnt / "f", b"fine")
    assert mnt.session() == session
    assert mnt.status().get("reconnects", "0") == "0"


def test_large_values_on_many_handles_at_once(mnt, tree):
    fds = [os.open(mnt / f"f{n}", os.O_WRONLY | os.O_CREAT) for n in range(8)]
    for fd in fds:
        os.write(fd, LARGE[:500_000])
    for fd in fds:
        os.close(fd)
    for n in range(8):
        assert read(mnt / f"f{n}") == LARGE[:500_000]


@pytest.fixture(scope="module")
def ten_thousand(kz):
    """A directory of 10,000 children, for all tests here."""
    kz.create("/ten-thousand", b"")
    for start in range(0, 10_000, 1000):
        multi = kz.transaction()
        for n in range(start, start + 1000):
            multi.create(f"/ten-thousand/child-{n:05}", b"%d" % n)
        multi.commit()
    return [f"child-{n:05}" for n in range(10_000)]


def test_10000_children_are_listed_with_their_attributes(server, mounts, ten_thousand):
    mnt = mounts(hosts=f"{server.hosts}/ten-thousand")
    start = time.monotonic()
    assert sorted(os.listdir(mnt.path)) == ten_thousand
    lines = run("ls", "-l", mnt.path).stdout.splitlines()[1:]
    took = time.monotonic() - start
    sizes = {line.split()[-1]: int(line.split()[4]) for line in lines}
    assert sizes == {f"child-{n:05}": len(str(n)) for n in range(10_000)}
    assert took < 10 * SCALE


def test_10000_children_are_read(server, mounts, ten_thousand):
    mnt = mounts(hosts=server.hosts)
    found = sh("cat ten-thousand/*", cwd=mnt).stdout
    assert found == "".join(str(n) for n in range(10_000))
    assert os.getxattr(mnt / "ten-thousand", "user.zk.num_children") == b"10000"


def test_a_directory_of_many_long_names(mnt, tree):
    names = [f"{n:04}-{'n' * 200}" for n in range(1000)]
    tree.create("/d", b"")
    tree.create_many("/d", names)
    assert sorted(os.listdir(mnt / "d")) == names


def test_a_deep_path(mnt, tree):
    path = mnt.path
    for n in range(60):
        path = path / f"level-{n:03}-{'x' * 40}"
        os.mkdir(path)
    write(path / "f", b"deep")
    assert read(path / "f") == b"deep"
    run("rm", "-r", mnt / f"level-000-{'x' * 40}")
    assert tree.children() == []
