"""Ordinary programs on the mount: each does there what it does anywhere."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from support.files import read
from support.waiting import run, sh, wait_equal


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


@pytest.fixture
def source(place):
    """A small tree on an ordinary file system."""
    top = place / "source"
    (top / "app" / "empty").mkdir(parents=True)
    (top / "app" / "config.json").write_text('{"url": "u", "n": 1}\n')
    (top / "app" / "name with blanks").write_bytes(bytes(range(256)))
    (top / "nothing").write_bytes(b"")
    (top / "large").write_bytes(os.urandom(300_000))
    return top


def check_copy(mnt, tree, source, name):
    run("diff", "-r", source, mnt / name)
    assert tree.children(f"/{name}") == ["app", "large", "nothing"]
    assert tree.get(f"/{name}/app/name with blanks") == bytes(range(256))
    assert tree.version(f"/{name}/large") <= 1
    assert os.path.isdir(mnt / name / "app" / "empty")


def test_sed_i(mnt, tree):
    tree.create("/f", b"color=blue\nsize=1\n")
    run("sed", "-i", "s/blue/red/", mnt / "f")
    assert tree.get("/f") == b"color=red\nsize=1\n"
    assert tree.children() == ["f"]


def test_sed_i_keeps_the_znode(mnt, tree):
    """It writes a new file and renames it: the znode is the old one, one version on."""
    tree.create("/f", b"color=blue\n")
    before = tree.stat("/f")
    for _ in range(3):
        run("sed", "-i", "s/$/./", mnt / "f")
    after = tree.stat("/f")
    assert tree.get("/f") == b"color=blue...\n"
    assert (after.czxid, after.version) == (before.czxid, 3)


@needs("vim")
def test_vim(mnt, tree):
    tree.create("/f", b"one\ntwo\n")
    run("vim", "-es", "-u", "NONE", "-c", "%s/two/2/", "-c", "wq", mnt / "f")
    assert tree.get("/f") == b"one\n2\n"
    assert tree.children() == ["f"]
    backup = ["-c", "set backup writebackup"]
    run("vim", "-es", "-u", "NONE", *backup, "-c", "%s/one/1/", "-c", "wq", mnt / "f")
    assert tree.get("/f") == b"1\n2\n"


def test_python_writes_a_new_file_and_renames_it(mnt, tree):
    tree.create("/f", b"old")
    code = (
        "import os, tempfile\n"
        "fd, name = tempfile.mkstemp(dir='.')\n"
        "with os.fdopen(fd, 'w') as f:\n"
        "    f.write('new')\n"
        "    f.flush()\n"
        "    os.fsync(f.fileno())\n"
        "os.replace(name, 'f')\n"
    )
    run(sys.executable, "-c", code, cwd=mnt)
    assert tree.get("/f") == b"new"
    assert tree.version("/f") == 1
    assert tree.children() == ["f"]


@needs("rsync")
def test_rsync_in_and_out(mnt, tree, source, place):
    run("rsync", "-a", f"{source}/", mnt / "copy")
    check_copy(mnt, tree, source, "copy")
    (source / "app" / "config.json").write_text("{}\n")
    (source / "nothing").unlink()
    run("rsync", "-a", "--delete", f"{source}/", mnt / "copy")
    run("diff", "-r", source, mnt / "copy")
    run("rsync", "-a", f"{mnt}/copy/", place / "back")
    run("diff", "-r", source, place / "back")


@needs("rsync")
def test_rsync_inplace_and_checksum(mnt, tree, source):
    run("rsync", "-a", "--inplace", f"{source}/", mnt / "copy")
    check_copy(mnt, tree, source, "copy")
    before = tree.stat("/copy/large")
    run("rsync", "-rc", f"{source}/", mnt / "copy")
    assert tree.stat("/copy/large") == before


def test_tar_out_and_in(mnt, tree, source, place):
    run("tar", "-C", source, "-cf", place / "in.tar", ".")
    os.mkdir(mnt / "copy")
    run("tar", "-C", mnt / "copy", "-xf", place / "in.tar")
    check_copy(mnt, tree, source, "copy")
    run("tar", "-C", mnt / "copy", "-cf", place / "out.tar", ".")
    (place / "back").mkdir()
    run("tar", "-C", place / "back", "-xf", place / "out.tar")
    run("diff", "-r", source, place / "back")


def make_every_kind(tree):
    tree.create("/d", b"own data")
    tree.create("/d/e/f", b"data")
    tree.create("/d/null", None)
    tree.create("/d/empty", b"")
    tree.set("/d/e", b"more")


def check_every_kind(tree, top):
    assert tree.get(top) == b"own data"
    assert tree.get(f"{top}/e") == b"more"
    assert tree.get(f"{top}/e/f") == b"data"
    assert tree.get(f"{top}/empty") == b""
    assert tree.children(top) == ["e", "empty", "null"]


def test_tar_is_lossless(mnt, tree, place):
    """Directories with data of their own included."""
    make_every_kind(tree)
    run("tar", "-C", mnt.path, "-cf", place / "a.tar", "d")
    run("rm", "-r", mnt / "d")
    assert tree.children() == []
    run("tar", "-C", mnt.path, "-xf", place / "a.tar")
    check_every_kind(tree, "/d")
    assert os.path.isdir(mnt / "d" / "null")
    assert os.path.isfile(mnt / "d" / "empty")


@pytest.mark.parametrize("flag", ["-r", "-a"])
def test_cp_r_is_lossless(mnt, tree, flag):
    make_every_kind(tree)
    done = run("cp", flag, mnt / "d", mnt / "copy")
    assert done.stderr == ""
    check_every_kind(tree, "/copy")
    assert os.path.isdir(mnt / "copy" / "null")


def test_cp_r_in_and_out(mnt, tree, source, place):
    run("cp", "-r", source, mnt / "copy")
    check_copy(mnt, tree, source, "copy")
    run("cp", "-rp", mnt / "copy", place / "back")
    run("diff", "-r", source, place / "back")


def test_mv_in_and_out(mnt, tree, source, place):
    run("cp", "-r", source, place / "moving")
    run("mv", place / "moving", mnt / "copy")
    check_copy(mnt, tree, source, "copy")
    run("mv", mnt / "copy", place / "back")
    run("diff", "-r", source, place / "back")
    assert tree.children() == []


def test_find_and_grep(mnt, tree):
    tree.create("/a/b/f", b"needle\n")
    tree.create("/a/g", b"hay\n")
    assert run("find", ".", "-name", "f", cwd=mnt).stdout == "./a/b/f\n"
    assert run("find", ".", "-type", "f", "-size", "-2", cwd=mnt).stdout.split() in (
        ["./a/b/f", "./a/g"],
        ["./a/g", "./a/b/f"],
    )
    assert run("grep", "-r", "needle", ".", cwd=mnt).stdout == "./a/b/f:needle\n"
    assert run("find", ".", "-newer", "a/b/f", "-name", "g", cwd=mnt).stdout == "./a/g\n"
    assert run("grep", "-rl", "", ".", cwd=mnt).stdout.count("\n") == 2


@needs("jq")
def test_jq(mnt, tree):
    tree.create("/f", b'{"url": "u", "commitId": "c1"}')
    assert run("jq", "-r", ".commitId", mnt / "f").stdout == "c1\n"
    sh("jq '.commitId = \"c2\"' f > g && mv g f", cwd=mnt)
    assert json.loads(tree.get("/f")) == {"url": "u", "commitId": "c2"}
    assert tree.children() == ["f"]
    assert tree.version("/f") == 1


def test_text_tools(mnt, tree):
    tree.create("/f", b"b\na\nc\n")
    run("sort", "-o", "f", "f", cwd=mnt)
    assert tree.get("/f") == b"a\nb\nc\n"
    assert run("wc", "-c", "f", cwd=mnt).stdout == "6 f\n"
    assert run("head", "-n1", "f", cwd=mnt).stdout == "a\n"
    assert run("tail", "-n1", "f", cwd=mnt).stdout == "c\n"
    run("truncate", "-s", "2", "f", cwd=mnt)
    assert tree.get("/f") == b"a\n"
    run("install", "-m", "600", "f", "g", cwd=mnt)
    assert tree.get("/g") == b"a\n"
    run("cmp", "f", "g", cwd=mnt)


@needs("perl")
def test_perl_in_place(mnt, tree):
    tree.create("/f", b"one\n")
    run("perl", "-pi", "-e", "s/one/1/", mnt / "f")
    wait_equal(lambda: tree.get("/f"), b"1\n", 5)
    assert tree.children() == ["f"]


def test_tail_f_follows(mnt, spawn, tree):
    """By polling: the file is looked at once in a while."""
    tree.create("/f", b"one\n")
    argv = ["tail", "-f", "-s", "0.1", "---disable-inotify", mnt / "f"]
    process = spawn(*argv, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"one\n"
    tree.set("/f", b"one\ntwo\n")
    assert process.stdout.readline() == b"two\n"


def test_a_script_runs_from_the_mount_with_an_interpreter(mnt, tree):
    tree.create("/hello.py", b"print('hello')\n")
    assert run(sys.executable, mnt / "hello.py").stdout == "hello\n"
    tree.create("/hello.sh", b"echo hello\n")
    assert run("bash", mnt / "hello.sh").stdout == "hello\n"


def test_du_and_ls_r(mnt, tree):
    tree.create("/d/f", b"x" * 10_000)
    assert run("du", "-b", "--apparent-size", mnt / "d" / "f").stdout.split()[0] == "10000"
    run("du", "-s", mnt.path)
    assert run("ls", "-R", mnt.path).stderr == ""


def test_shutil_copytree_and_rmtree(mnt, tree, source):
    shutil.copytree(source, mnt / "copy")
    check_copy(mnt, tree, source, "copy")
    shutil.rmtree(mnt / "copy")
    assert tree.children() == []
    assert read(source / "nothing") == b""
