"""Authentication from auth_file, the ACL of new znodes, and access that an ACL denies."""

import errno
import os
import stat

import pytest
from kazoo.security import make_acl, make_digest_acl, make_digest_acl_credential

from support.files import fails_with, read, write
from support.tree import Tree, connect, disconnect
from support.waiting import run

EVERYTHING = 31


@pytest.fixture
def auth_file(place):
    path = place / "auth"
    path.write_text("digest alice:secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def alice(server, tree):
    """A kazoo client that may do what alice may."""
    client = connect(server.hosts, auth_data=[("digest", "alice:secret")])
    yield Tree(client, tree.root)
    disconnect(client)


ALICE = ("digest", make_digest_acl_credential("alice", "secret"))
WORLD = ("world", "anyone")


def acl_of(tree, path):
    return {((acl.id.scheme, acl.id.id), acl.perms) for acl in tree.acls(path)}


def private(**perms):
    """An ACL for somebody else, with these permissions for the world."""
    acl = [make_digest_acl("bob", "hidden", all=True)]
    return acl + ([make_acl("world", "anyone", **perms)] if perms else [])


def make_all_kinds(mnt):
    write(mnt / "f", b"data")
    os.mkdir(mnt / "d")
    os.close(os.open(mnt / "x", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    with open(mnt / "a", "ab") as f:
        f.write(b"data")
    os.rename(mnt / "a", mnt / "r")
    return ["/f", "/d", "/x", "/r"]


def test_new_znodes_are_open_by_default(mnt, tree):
    for path in make_all_kinds(mnt):
        assert acl_of(tree, path) == {(WORLD, EVERYTHING)}


def test_acl_open_with_auth(mounts, tree, auth_file):
    mnt = mounts("acl=open", f"auth_file={auth_file}")
    for path in make_all_kinds(mnt):
        assert acl_of(tree, path) == {(WORLD, EVERYTHING)}


def test_acl_creator(mounts, alice, tree, auth_file):
    mnt = mounts("acl=creator", f"auth_file={auth_file}")
    for path in make_all_kinds(mnt):
        assert acl_of(alice, path) == {(ALICE, EVERYTHING)}
    assert read(mnt / "f") == b"data"
    assert os.path.isdir(mnt / "d")
    assert alice.stat("/d").cversion == 2
    assert alice.get("/f") == b"data"


def test_acl_read(mounts, alice, auth_file):
    mnt = mounts("acl=read", f"auth_file={auth_file}")
    for path in make_all_kinds(mnt):
        assert acl_of(alice, path) == {(ALICE, EVERYTHING), (WORLD, 1)}
    assert os.path.isdir(mnt / "d")


def test_without_the_secret_a_creators_file_is_denied_and_not_absent(mounts, tree, auth_file):
    owner = mounts("acl=creator", f"auth_file={auth_file}")
    write(owner / "f", b"data")
    os.mkdir(owner / "d")
    other = mounts()
    assert sorted(os.listdir(other.path)) == ["d", "f"]
    assert os.stat(other / "f").st_size == 4
    assert os.path.isdir(other / "d")
    with fails_with(errno.EACCES):
        read(other / "f")
    with fails_with(errno.EACCES):
        write(other / "f", b"stolen")
    with fails_with(errno.EACCES):
        os.listdir(other / "d")
    with fails_with(errno.EACCES):
        write(other / "d" / "f", b"data")
    with fails_with(errno.EACCES):
        os.mkdir(other / "d" / "e")
    assert read(owner / "f") == b"data"


def test_several_credentials(mounts, server, tree, place):
    path = place / "auth"
    path.write_text("digest carol:pw1\ndigest alice:secret\n")
    path.chmod(0o600)
    tree.create("/a", b"a", acl=[make_digest_acl("alice", "secret", all=True)])
    tree.create("/c", b"c", acl=[make_digest_acl("carol", "pw1", all=True)])
    mnt = mounts(f"auth_file={path}")
    assert (read(mnt / "a"), read(mnt / "c")) == (b"a", b"c")


def test_a_file_that_may_not_be_read(mnt, tree):
    tree.create("/f", b"data", acl=private(write=True))
    assert os.stat(mnt / "f").st_size == 4
    assert os.listdir(mnt.path) == ["f"]
    assert " 4 " in run("ls", "-l", mnt.path).stdout
    with fails_with(errno.EACCES):
        read(mnt / "f")
    assert run("cat", mnt / "f", check=False).stderr.endswith("Permission denied\n")


def test_a_file_that_may_be_written_but_not_read(mnt, tree):
    tree.create("/f", b"data", acl=private(write=True))
    write(mnt / "f", b"new")
    assert tree.version("/f") == 1


def test_a_file_that_may_be_read_but_not_written(mnt, tree):
    tree.create("/f", b"data", acl=private(read=True))
    assert read(mnt / "f") == b"data"
    with fails_with(errno.EACCES):
        write(mnt / "f", b"new")
    with fails_with(errno.EACCES):
        os.truncate(mnt / "f", 0)
    assert tree.get("/f") == b"data"
    assert read(mnt / "f") == b"data"


def test_an_unreadable_node_without_data_or_children_is_a_file(mnt, tree):
    """Null and empty data cannot be told apart without reading."""
    for name, data in {"null": None, "empty": b""}.items():
        tree.create(f"/{name}", data, acl=private())
        assert stat.S_ISREG(os.stat(mnt / name).st_mode)
    kinds = {entry.name: entry.is_file() for entry in os.scandir(mnt.path)}
    assert kinds == {"null": True, "empty": True}


def test_an_unreadable_node_with_children_is_a_directory(mounts, tree):
    tree.create("/d", b"data")
    tree.create("/d/open", b"open")
    tree.set_acls("/d", private())
    mnt = mounts()
    assert os.path.isdir(mnt / "d")
    with fails_with(errno.EACCES):
        os.listdir(mnt / "d")
    assert read(mnt / "d" / "open") == b"open"
    with fails_with(errno.EACCES):
        read(mnt / "d" / ".data")


def test_an_unreadable_child_does_not_spoil_the_listing(mnt, tree):
    tree.create("/d/secret", b"data", acl=private())
    tree.create("/d/open", b"open")
    tree.create("/d/null", None, acl=private())
    listing = run("ls", "-l", mnt / "d")
    assert listing.stderr == ""
    assert sorted(os.listdir(mnt / "d")) == ["null", "open", "secret"]
    done = run("grep", "-r", "open", ".", cwd=mnt / "d", check=False)
    assert done.stdout == "./open:open\n"
    assert "Permission denied" in done.stderr


def test_a_parent_that_allows_neither_create_nor_delete(mnt, tree):
    tree.create("/d/f", b"data")
    tree.set_acls("/d", private(read=True))
    with fails_with(errno.EACCES):
        write(mnt / "d" / "g", b"data")
    with fails_with(errno.EACCES):
        os.mkdir(mnt / "d" / "e")
    with fails_with(errno.EACCES):
        os.unlink(mnt / "d" / "f")
    with fails_with(errno.EACCES):
        os.rename(mnt / "d" / "f", mnt / "f")
    with fails_with(errno.EACCES):
        os.open(mnt / "d" / "x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert tree.children("/d") == ["f"]
    assert not os.path.exists(mnt / "d" / "g")


def test_xattrs_of_what_may_not_be_read(mnt, tree):
    """The stat needs no permission; the ACL may need one."""
    tree.create("/f", b"data", acl=private())
    assert os.getxattr(mnt / "f", "user.zk.version") == b"0"
    assert os.getxattr(mnt / "f", "user.zk.ephemeral_owner") == b"0x0"
    with fails_with(errno.EACCES):
        os.setxattr(mnt / "f", "user.zk.acl", b"world:anyone:cdrwa")


def test_an_acl_that_is_opened_again_opens_the_file(mnt, tree, alice):
    alice.create("/f", b"data", acl=[make_digest_acl("alice", "secret", all=True)])
    with fails_with(errno.EACCES):
        read(mnt / "f")
    alice.set_acls("/f", [make_acl("world", "anyone", all=True)])
    assert read(mnt / "f") == b"data"


def test_acl_by_xattr_with_auth(mounts, alice, auth_file):
    mnt = mounts("acl=creator", f"auth_file={auth_file}")
    write(mnt / "f", b"data")
    os.setxattr(mnt / "f", "user.zk.acl", f"world:anyone:r,{':'.join(ALICE)}:cdrwa".encode())
    assert acl_of(alice, "/f") == {(ALICE, EVERYTHING), (WORLD, 1)}


def test_auth_is_given_again_after_the_session_expired(server, proxy, mounts, tree, auth_file):
    from support.tree import expire
    from support.waiting import wait_for

    hosts = proxy.hosts + tree.root
    mnt = mounts("acl=creator", f"auth_file={auth_file}", hosts=hosts)
    write(mnt / "f", b"data")
    session = mnt.session()
    expire(server.hosts, proxy.session)
    wait_for(lambda: mnt.session() != session, 20, "a new session")
    assert read(mnt / "f", os.O_SYNC) == b"data"
    write(mnt / "f", b"more")
