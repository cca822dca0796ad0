"""The stat and the ACL of a znode as extended attributes."""

import errno
import os

import pytest
from kazoo.security import make_acl

from support.files import fails_with, write
from support.waiting import run, wait_equal

NUMBERS = {
    "version": "version",
    "cversion": "cversion",
    "aversion": "aversion",
    "czxid": "czxid",
    "mzxid": "mzxid",
    "pzxid": "pzxid",
    "ctime": "ctime",
    "mtime": "mtime",
    "num_children": "numChildren",
}
ALL = {f"user.zk.{name}" for name in NUMBERS} | {"user.zk.ephemeral_owner", "user.zk.acl"}


def get(path, name):
    return os.getxattr(path, f"user.zk.{name}").decode()


def check(path, znode):
    for name, field in NUMBERS.items():
        assert get(path, name) == str(getattr(znode, field)), name
    owner = get(path, "ephemeral_owner")
    assert owner.startswith("0x")
    assert int(owner, 16) == znode.ephemeralOwner


def test_every_file_and_directory_has_them_all(mnt, tree):
    tree.create("/d/f", b"data")
    for name in ("", "d", "d/f"):
        assert set(os.listxattr(mnt / name)) == ALL
        check(mnt / name, tree.stat(f"/{name}" if name else "/"))


def test_they_follow_a_write_at_once(mnt, tree):
    for n in range(20):
        write(mnt / "f", b"data")
        assert get(mnt / "f", "version") == str(n)
    check(mnt / "f", tree.stat("/f"))


def test_they_follow_a_change_made_elsewhere(mnt, tree):
    tree.create("/d/f", b"data")
    check(mnt / "d", tree.stat("/d"))
    tree.set("/d/f", b"more")
    wait_equal(lambda: get(mnt / "d" / "f", "version"), "1", 5)
    tree.create("/d/g", b"data")
    wait_equal(lambda: get(mnt / "d", "num_children"), "2", 5)
    wait_equal(lambda: get(mnt / "d", "cversion"), "2", 5)


def test_the_owner_of_an_ephemeral(mnt, tree):
    tree.create("/e", b"data", ephemeral=True)
    assert int(get(mnt / "e", "ephemeral_owner"), 16) == tree.client.client_id[0]
    check(mnt / "e", tree.stat("/e"))


def test_getfattr_prints_them(mnt, tree):
    tree.create("/f", b"data")
    printed = run("getfattr", "-d", "--absolute-names", mnt / "f").stdout
    assert 'user.zk.version="0"' in printed
    assert 'user.zk.acl="world:anyone:' in printed
    assert len([line for line in printed.splitlines() if line.startswith("user.zk.")]) == len(ALL)


def test_they_cannot_be_written_or_removed(mnt, tree):
    tree.create("/f", b"data")
    for name in sorted(ALL - {"user.zk.acl"}):
        with fails_with(errno.EPERM):
            os.setxattr(mnt / "f", name, b"1")
    for name in sorted(ALL):
        with fails_with(errno.EPERM):
            os.removexattr(mnt / "f", name)
    assert tree.version("/f") == 0


def test_others_do_not_exist_and_cannot_be_made(mnt, tree):
    tree.create("/f", b"data")
    with fails_with(errno.ENODATA):
        os.getxattr(mnt / "f", "user.color")
    with fails_with(errno.ENODATA):
        os.getxattr(mnt / "f", "user.zk.color")
    with fails_with(errno.EOPNOTSUPP):
        os.setxattr(mnt / "f", "user.color", b"blue")


def test_security_and_system_attributes_stay_away(mnt, tree):
    tree.create("/f", b"data")
    with fails_with(errno.ENODATA, errno.EOPNOTSUPP):
        os.getxattr(mnt / "f", "security.capability")
    with fails_with(errno.ENODATA, errno.EOPNOTSUPP):
        os.getxattr(mnt / "f", "system.posix_acl_access")
    if os.geteuid() == 0:
        with fails_with(errno.EOPNOTSUPP, errno.EPERM):
            os.setxattr(mnt / "f", "security.capability", b"\x01\0\0\2" + bytes(16))
    assert tree.version("/f") == 0
    assert tree.stat("/f").aversion == 0


def test_a_buffer_that_is_too_small(mnt, tree):
    from ctypes import create_string_buffer, get_errno

    from support.files import libc

    tree.create("/f", b"data")
    path = os.fsencode(mnt / "f")
    buffer = create_string_buffer(2)
    assert libc.getxattr(path, b"user.zk.acl", buffer, 2) == -1
    assert get_errno() == errno.ERANGE
    assert libc.listxattr(path, buffer, 2) == -1
    assert get_errno() == errno.ERANGE
    length = libc.getxattr(path, b"user.zk.acl", None, 0)
    assert length == len("world:anyone:cdrwa")


def entries(text):
    """acl text as a set of (scheme, id, permissions in no order)."""
    found = set()
    for entry in text.split(","):
        scheme, _, rest = entry.partition(":")
        who, _, perms = rest.rpartition(":")
        found.add((scheme, who, frozenset(perms)))
    return found


def test_acl_reads_as_text(mnt, tree):
    tree.create("/f", b"data")
    assert entries(get(mnt / "f", "acl")) == {("world", "anyone", frozenset("cdrwa"))}
    acl = [
        make_acl("world", "anyone", read=True),
        make_acl("digest", "bob:aGFzaA==", all=True),
        make_acl("ip", "127.0.0.1", read=True, write=True, admin=True),
    ]
    tree.create("/g", b"data", acl=acl)
    assert entries(get(mnt / "g", "acl")) == {
        ("world", "anyone", frozenset("r")),
        ("digest", "bob:aGFzaA==", frozenset("cdrwa")),
        ("ip", "127.0.0.1", frozenset("rwa")),
    }


def test_acl_can_be_written(mnt, tree):
    tree.create("/f", b"data")
    text = "world:anyone:r,digest:bob:aGFzaA==:cdrwa,ip:127.0.0.1:rwa"
    os.setxattr(mnt / "f", "user.zk.acl", text.encode())
    assert entries(get(mnt / "f", "acl")) == entries(text)
    assert {(acl.id.scheme, acl.id.id, acl.perms) for acl in tree.acls("/f")} == {
        ("world", "anyone", 1),
        ("digest", "bob:aGFzaA==", 31),
        ("ip", "127.0.0.1", 19),
    }
    assert get(mnt / "f", "aversion") == "1"
    assert tree.version("/f") == 0


def test_acl_by_setfattr_on_a_directory(mnt, tree):
    os.mkdir(mnt / "d")
    run("setfattr", "-n", "user.zk.acl", "-v", "world:anyone:cdra", mnt / "d")
    assert tree.acls("/d")[0].perms == 1 | 4 | 8 | 16
    assert not tree.children("/d")


def test_acl_is_read_back_as_written_by_another_client(mnt, tree):
    """setACL fires no watch: the attribute is asked for, not cached."""
    tree.create("/f", b"data")
    get(mnt / "f", "acl")
    tree.set_acls("/f", [make_acl("world", "anyone", read=True, admin=True)])
    assert entries(get(mnt / "f", "acl")) == {("world", "anyone", frozenset("ra"))}


@pytest.mark.parametrize(
    "text",
    [b"", b"nonsense", b"world:anyone", b"world:anyone:xyz", b"world:anyone:r,,", b":::",
     b"\xff\xfe:a:r"],
)
def test_a_bad_acl_is_refused(mnt, tree, text):
    tree.create("/f", b"data")
    with fails_with(errno.EINVAL):
        os.setxattr(mnt / "f", "user.zk.acl", text)
    assert tree.stat("/f").aversion == 0


def test_xattr_flags(mnt, tree):
    tree.create("/f", b"data")
    with fails_with(errno.EEXIST):
        os.setxattr(mnt / "f", "user.zk.acl", b"world:anyone:cdrwa", os.XATTR_CREATE)
    os.setxattr(mnt / "f", "user.zk.acl", b"world:anyone:cdrwa", os.XATTR_REPLACE)
    assert tree.stat("/f").aversion == 1
