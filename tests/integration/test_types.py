"""Which znode is a file and which a directory, the directory's own data, and mkdir."""

import errno
import os
import stat

import pytest

from support.files import exists, fails_with, read, write
from support.tree import Tree
from support.waiting import run, sh, wait_equal, wait_for


def is_dir(path):
    return stat.S_ISDIR(os.stat(path).st_mode)


def test_the_root_is_a_directory_whatever_it_holds(mounts, server, tree):
    tree.create("/data", b"data")
    tree.create("/null", None)
    for name in ("data", "null"):
        mnt = mounts(hosts=f"{server.hosts}{tree.root}/{name}")
        assert is_dir(mnt.path)
        os.mkdir(mnt / "below")
        assert is_dir(mnt / "below")


@pytest.mark.parametrize("data", [b"data", b"", None], ids=["data", "empty", "null"])
def test_an_ephemeral_is_a_file(mnt, tree, data):
    tree.create("/e", data, ephemeral=True)
    assert not is_dir(mnt / "e")
    assert read(mnt / "e") == (data or b"")
    write(mnt / "e", b"changed")
    assert tree.get("/e") == b"changed"
    assert tree.stat("/e").ephemeralOwner == tree.client.client_id[0]
    os.unlink(mnt / "e")
    assert not tree.exists("/e")


@pytest.mark.parametrize("data", [b"data", b"", None], ids=["data", "empty", "null"])
def test_what_has_or_had_children_is_a_directory(mnt, tree, data):
    for name in ("has", "had"):
        tree.create(f"/{name}", data)
        tree.create(f"/{name}/child", b"")
    tree.delete("/had/child")
    assert is_dir(mnt / "has") and is_dir(mnt / "had")
    assert sorted(os.listdir(mnt / "has")) == ([".data", "child"] if data else ["child"])
    assert os.listdir(mnt / "had") == ([".data"] if data else [])


def test_what_never_had_children_goes_by_its_data(mnt, tree):
    tree.create("/data", b"data")
    tree.create("/empty", b"")
    tree.create("/null", None)
    assert not is_dir(mnt / "data")
    assert not is_dir(mnt / "empty")
    assert is_dir(mnt / "null")
    kinds = {entry.name: entry.is_dir() for entry in os.scandir(mnt.path)}
    assert kinds == {"data": False, "empty": False, "null": True}


def test_a_null_node_that_gets_data_is_a_file(mnt, tree):
    tree.create("/x", None)
    assert is_dir(mnt / "x")
    tree.set("/x", b"data")
    wait_equal(lambda: read(mnt / "x"), b"data", 5)


def test_a_file_becomes_a_directory_with_its_first_child(mnt, tree):
    tree.create("/f", b"data")
    assert read(mnt / "f") == b"data"
    tree.create("/f/child", b"below")
    wait_for(lambda: is_dir(mnt / "f"), 5, "the directory")
    assert read(mnt / "f" / "child") == b"below"
    assert read(mnt / "f" / ".data") == b"data"
    tree.delete("/f/child")
    wait_equal(lambda: os.listdir(mnt / "f"), [".data"], 5)
    assert is_dir(mnt / "f")


def test_a_file_open_while_it_becomes_a_directory_can_still_be_read(mnt, tree):
    tree.create("/f", b"data")
    fd = os.open(mnt / "f", os.O_RDONLY)
    tree.create("/f/child", b"below")
    wait_for(lambda: is_dir(mnt / "f"), 5, "the directory")
    assert os.pread(fd, 100, 0) in (b"data", b"")
    os.close(fd)


def test_mkdir_leaves_no_child_no_data_and_a_directory_for_good(mnt, mnt2, tree):
    os.mkdir(mnt / "d")
    found = tree.stat("/d")
    assert tree.children("/d") == []
    assert found.dataLength == 0
    assert (found.version, found.cversion, found.ephemeralOwner) == (0, 2, 0)
    assert is_dir(mnt / "d")
    wait_for(lambda: exists(mnt2 / "d") and is_dir(mnt2 / "d"), 5)
    assert os.listdir(mnt2 / "d") == []


def test_mkdir_is_seen_elsewhere_as_one_empty_node(mnt, tree):
    events = tree.watch("/d")
    os.mkdir(mnt / "d")
    assert events.get(timeout=5) == "CREATED"
    assert tree.children() == ["d"]


def test_a_directory_stays_one_in_later_mounts(mounts, tree):
    first = mounts()
    os.mkdir(first / "d")
    write(first / "d" / "f", b"data")
    os.unlink(first / "d" / "f")
    first.umount()
    mnt = mounts()
    assert is_dir(mnt / "d")
    assert os.listdir(mnt / "d") == []


def test_mkdir_of_what_exists(mnt, tree):
    tree.create("/f", b"data")
    tree.create("/d/child", b"")
    for name in ("f", "d"):
        with fails_with(errno.EEXIST):
            os.mkdir(mnt / name)
    tree.create("/unseen", b"data")
    with fails_with(errno.EEXIST):
        os.mkdir(mnt / "unseen")
    with fails_with(errno.ENOENT):
        os.mkdir(mnt / "none" / "d")


def test_a_container_is_shown_by_the_same_rules(server, mnt, tree):
    """Made with zkCli.sh, as kazoo here cannot."""
    cli = "/usr/share/zookeeper/bin/zkCli.sh"
    if not os.path.exists(cli):
        pytest.skip("zkCli.sh is not installed")
    run(cli, "-server", server.hosts, "create", "-c", tree.path("/c"), "data")
    assert read(mnt / "c") == b"data"
    tree.create("/c/child", b"")
    wait_for(lambda: is_dir(mnt / "c"), 5)
    assert read(mnt / "c" / ".data") == b"data"


# The directory's own data


def test_data_is_listed_only_when_there_is_some(mnt, tree):
    tree.create("/d", b"own data")
    tree.create("/d/f", b"")
    os.mkdir(mnt / "e")
    assert sorted(os.listdir(mnt / "d")) == [".data", "f"]
    assert os.listdir(mnt / "e") == []
    assert read(mnt / "d" / ".data") == b"own data"
    assert os.stat(mnt / "d" / ".data").st_size == 8


def test_data_is_written_like_any_file(mnt, tree):
    os.mkdir(mnt / "d")
    sh("echo one > d/.data", cwd=mnt)
    wait_equal(lambda: tree.get("/d"), b"one\n", 5)
    assert tree.version("/d") == 1
    sh("echo two >> d/.data", cwd=mnt)
    wait_equal(lambda: tree.get("/d"), b"one\ntwo\n", 5)
    assert tree.version("/d") == 2
    assert os.listdir(mnt / "d") == [".data"]
    assert is_dir(mnt / "d")


def test_writing_data_never_makes_a_file_of_the_directory(mounts, tree):
    first = mounts()
    tree.create("/null", None)
    assert is_dir(first / "null")
    write(first / "null" / ".data", b"data")
    assert tree.get("/null") == b"data"
    assert is_dir(first / "null")
    assert tree.children("/null") == []
    first.umount()
    mnt = mounts()
    assert is_dir(mnt / "null")
    assert read(mnt / "null" / ".data") == b"data"


def test_removing_data_clears_it(mnt, tree):
    tree.create("/d", b"own data")
    tree.create("/d/f", b"")
    os.unlink(mnt / "d" / ".data")
    assert not tree.get("/d")
    assert os.listdir(mnt / "d") == ["f"]
    assert tree.children("/d") == ["f"]


def test_rmdir_with_data_is_refused(mnt, tree):
    os.mkdir(mnt / "d")
    write(mnt / "d" / ".data", b"own data")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(mnt / "d")
    assert tree.get("/d") == b"own data"
    os.unlink(mnt / "d" / ".data")
    os.rmdir(mnt / "d")
    assert not tree.exists("/d")


def test_rmdir_of_a_directory_that_got_data_elsewhere_is_refused(mnt, tree):
    os.mkdir(mnt / "d")
    assert os.listdir(mnt / "d") == []
    tree.set("/d", b"new data")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(mnt / "d")
    assert tree.get("/d") == b"new data"


def test_data_of_the_root(mnt, tree):
    write(mnt / ".data", b"of the root")
    assert tree.get("/") == b"of the root"
    assert ".data" in os.listdir(mnt.path)
    os.unlink(mnt / ".data")
    assert not tree.get("/")


def test_data_follows_a_change_made_elsewhere(mnt, tree):
    tree.create("/d", b"one")
    tree.create("/d/f", b"")
    assert read(mnt / "d" / ".data") == b"one"
    tree.set("/d", b"two, longer")
    wait_equal(lambda: read(mnt / "d" / ".data"), b"two, longer", 5)
    tree.set("/d", b"")
    wait_equal(lambda: os.listdir(mnt / "d"), ["f"], 5)


def test_data_cannot_be_a_directory_or_moved_over_one(mnt, tree):
    os.mkdir(mnt / "d")
    with fails_with(errno.EEXIST, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL):
        os.mkdir(mnt / "d" / ".data")
    assert is_dir(mnt / "d")
    assert not tree.children("/d")


def test_data_has_the_xattrs_of_its_directory(mnt, tree):
    tree.create("/d", b"own data")
    tree.create("/d/f", b"")
    got = os.getxattr(mnt / "d" / ".data", "user.zk.czxid").decode()
    assert got == str(tree.stat("/d").czxid)


# Reserved names


RESERVED = [".ephemeral", ".lease", ".create", ".lock"]


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names_cannot_be_made(mnt, tree, name):
    """All but .lock are there already, as files (test_ephemeral.py)."""
    os.mkdir(mnt / "d")
    error = errno.EOPNOTSUPP if name == ".lock" else errno.EEXIST
    for where in (mnt.path, mnt / "d"):
        with fails_with(error):
            write(where / name, b"x", os.O_CREAT | os.O_EXCL)
        with fails_with(error):
            os.mkdir(where / name)
    write(mnt / "f", b"data")
    with fails_with(errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL):
        os.rename(mnt / "f", mnt / name)
    assert tree.children() == ["d", "f"]
    assert tree.children("/d") == []


def test_zkfs_is_reserved_at_the_root_only(mnt, tree):
    with fails_with(errno.EOPNOTSUPP, errno.EEXIST):
        os.mkdir(mnt / ".zkfs")
    os.mkdir(mnt / "d")
    write(mnt / "d" / ".zkfs", b"an ordinary file")
    assert tree.get("/d/.zkfs") == b"an ordinary file"
    assert os.listdir(mnt / "d") == [".zkfs"]
    assert tree.children() == ["d"]


def test_children_with_reserved_names_shadow_nothing_and_are_reported(mnt, tree):
    tree.create("/d", b"own data")
    for name in [".data", *RESERVED, "plain"]:
        tree.create(f"/d/{name}", b"hidden")
    assert sorted(os.listdir(mnt / "d")) == [".data", "plain"]
    assert read(mnt / "d" / ".data") == b"own data"
    text = (mnt / ".zkfs" / "status").read_text()
    assert any(name in text for name in RESERVED + [".data"]), text


def test_a_child_whose_name_no_file_can_carry_is_left_out_and_reported(mnt, tree):
    long = "n" * 300
    tree.create("/d/good", b"data")
    tree.create(f"/d/{long}", b"data")
    assert os.listdir(mnt / "d") == ["good"]
    assert read(mnt / "d" / "good") == b"data"
    assert long[:50] in (mnt / ".zkfs" / "status").read_text()
    with fails_with(errno.ENOTEMPTY):
        os.unlink(mnt / "d" / "good")
        os.rmdir(mnt / "d")


# Names


NAMES = ["plain", "with blank", " lead and trail ", "ünïcödé", "日本語", "a:b,c;d=e", "-rf",
         "...", "'quote\"", "back\\slash", "%41", "*", "~", "x" * 255, "é" * 127]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
def test_names_pass_both_ways(mnt, tree, name):
    write(mnt / name, b"from here")
    assert tree.children() == [name]
    assert tree.get(f"/{name}") == b"from here"
    tree.create(f"/d/{name}", b"from there")
    assert os.listdir(mnt / "d") == [name]
    assert read(mnt / "d" / name) == b"from there"
    os.mkdir(mnt / "e")
    os.rename(mnt / name, mnt / "e" / name)
    assert tree.children("/e") == [name]
    os.unlink(mnt / "e" / name)
    assert tree.children("/e") == []


BAD_NAMES = [b"new\nline", b"\x01", b"tab\t", b"\x7f", "\u0085".encode(), b"\xff\xfe", b"\xc3",
             b"\xed\xa0\x80", b"\xc0\xaf"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_control_characters_and_broken_utf8_are_refused(mnt, tree, name):
    path = os.path.join(os.fsencode(mnt.path), name)
    with fails_with(errno.EINVAL):
        write(path, b"data")
    with fails_with(errno.EINVAL):
        os.mkdir(path)
    with fails_with(errno.EINVAL):
        os.stat(path)
    write(mnt / "f", b"data")
    with fails_with(errno.EINVAL):
        os.rename(os.fsencode(mnt / "f"), path)
    assert tree.children() == ["f"]


def test_a_name_of_256_bytes_is_too_long(mnt, tree):
    with fails_with(errno.ENAMETOOLONG):
        write(mnt / ("x" * 256), b"data")
    with fails_with(errno.ENAMETOOLONG):
        os.mkdir(mnt / ("x" * 256))
    assert tree.children() == []


def test_names_that_zookeeper_refuses_are_invalid(mnt, tree):
    """Its server takes no private use characters, and none beyond U+FFFF."""
    for name in ("\ue000", "🦓"):
        with fails_with(errno.EINVAL):
            write(mnt / name, b"data")
    assert tree.children() == []


def test_nothing_is_created_that_nobody_asked_for(mounts, kz, tree):
    before = sorted(kz.get_children("/"))
    mnt = mounts()
    write(mnt / "f", b"data")
    os.mkdir(mnt / "d")
    read(mnt / "f")
    run("ls", "-laR", mnt.path)
    mnt.umount()
    assert tree.children() == ["d", "f"]
    assert sorted(kz.get_children("/")) == before


def test_the_zookeeper_node_of_a_whole_tree_is_shown(server, mounts, kz):
    """/zookeeper has a negative cversion."""
    mnt = mounts(hosts=server.hosts)
    assert is_dir(mnt / "zookeeper")
    assert sorted(os.listdir(mnt / "zookeeper")) == Tree(kz, "").children("/zookeeper")
