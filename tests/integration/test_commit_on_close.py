"""open, write, close is exactly one ZooKeeper write, however a program goes about it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from support.files import exists, read
from support.waiting import run, sh, wait_equal, wait_for

# cp makes new files with O_EXCL, which creates at open: there the data is version 1.
EXCLUSIVE = "cp SOURCE f"

# Each writes "a" and "b", a line each, into f.
FORMS = {
    "group": "{ echo a; echo b; } > f",
    "group of programs": "{ /bin/echo a; /bin/echo b; } > f",
    "exec": "exec 3> f; echo a >&3; echo b >&3; exec 3>&-",
    "exec with programs": "exec 3> f; /bin/echo a >&3; /bin/echo b >&3; exec 3>&-",
    "exec left open": "exec 3> f; echo a >&3; echo b >&3",
    "exec on stdout": "exec > f; echo a; /bin/echo b",
    "both outputs": "sh -c 'echo a; echo b >&2' > f 2>&1",
    "program with both outputs": "sh -c '/bin/echo a; /bin/echo b >&2; :' > f 2>&1",
    "loop": "for i in a b; do echo $i; done > f",
    "loop of programs": "for i in a b; do /bin/echo $i; done > f",
    "while loop": "printf 'a\\nb\\n' | while read x; do echo $x; done > f",
    "pipe": "printf 'a\\nb\\n' | cat > f",
    "tee": "(echo a; echo b) | tee f > /dev/null",
    "subshell": "(echo a; (echo b)) > f",
    "background": "{ (sleep 0.05; echo b) & echo a; wait; } > f",
    "killed child in between": "{ echo a; sh -c 'kill -9 $$'; echo b; } > f",
    "here document": "cat > f <<EOF\na\nb\nEOF",
    "dd": "printf 'a\\nb\\n' | dd of=f bs=1 status=none",
    "cp": EXCLUSIVE,
    "cat": "cat SOURCE > f",
    "awk": "awk 'BEGIN { print \"a\" > \"f\"; print \"b\" > \"f\" }'",
    "python": "PYTHON -c \"f = open('f', 'w'); f.write('a\\n'); f.flush(); f.write('b\\n')\"",
    "python unbuffered": "PYTHON -c \"import os; f = os.open('f', os.O_WRONLY | os.O_CREAT"
    " | os.O_TRUNC); os.write(f, b'a\\n'); os.write(f, b'b\\n')\"",
}


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("form", FORMS)
def test_one_version(mounts, tree, place, shell, form):
    """A new file has its whole data at version 0, an existing one goes up by exactly one."""
    mnt = mounts()
    (place / "source").write_text("a\nb\n")
    script = FORMS[form].replace("SOURCE", str(place / "source")).replace("PYTHON", sys.executable)
    sh(script, cwd=mnt, shell=shell)
    wait_equal(lambda: (tree.exists("/f") and tree.get("/f")), b"a\nb\n", 5)
    new = 1 if FORMS[form] == EXCLUSIVE else 0
    assert tree.version("/f") == new
    tree.set("/f", b"something longer than that")
    sh(script, cwd=mnt, shell=shell)
    wait_for(lambda: tree.get("/f") == b"a\nb\n", 5)
    mnt.umount()
    assert tree.version("/f") == new + 2


def test_append_of_a_group_is_one_version(mounts, tree):
    mnt = mounts()
    tree.create("/f", b"0\n")
    sh("{ echo a; /bin/echo b; } >> f", cwd=mnt)
    wait_equal(lambda: tree.get("/f"), b"0\na\nb\n", 5)
    mnt.umount()
    assert tree.version("/f") == 1


def test_a_watcher_sees_a_new_file_whole_at_version_0(mnt, tree):
    data = b"x" * 200_000
    events = tree.watch("/f")
    children = tree.watch_children("/")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    for start in range(0, len(data), 4096):
        os.write(fd, data[start : start + 4096])
    assert events.empty() and children.empty()
    os.close(fd)
    assert events.get(timeout=5) == "CREATED"
    assert children.get(timeout=5) == "CHILD"
    value, stat = tree.get_both("/f")
    assert value == data
    assert stat.version == 0


WRITER = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | getattr(os, sys.argv[2]))
os.write(fd, b"half\\n")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def writer(spawn):
    """Starts a process that has written, and keeps the file open."""

    def start(path, flag):
        process = spawn(sys.executable, "-c", WRITER, path, flag, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        return process

    return start


def end(process, number):
    process.send_signal(number)
    process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_writer_publishes_nothing(mounts, writer, tree, number):
    mnt = mounts()
    tree.create("/old", b"old")
    for name in ("old", "new"):
        end(writer(mnt / name, "O_TRUNC"), number)
    wait_equal(lambda: read(mnt / "old"), b"old", 5)
    wait_for(lambda: not exists(mnt / "new"), 5, "the new file to go")
    mnt.umount()
    assert tree.get("/old") == b"old"
    assert tree.version("/old") == 0
    assert not tree.exists("/new")


def test_a_killed_change_in_place_publishes_nothing(mounts, writer, tree):
    mnt = mounts()
    tree.create("/f", b"0123456789")
    end(writer(mnt / "f", "O_CREAT"), signal.SIGKILL)
    mnt.umount()
    assert tree.get("/f") == b"0123456789"
    assert tree.version("/f") == 0


def test_a_killed_shell_publishes_nothing(mounts, tree):
    mnt = mounts()
    tree.create("/f", b"old")
    sh("exec > f; echo half; kill -9 $$", cwd=mnt, check=False)
    mnt.umount()
    assert tree.get("/f") == b"old"


def test_what_a_killed_writer_has_appended_stays(mounts, writer, tree):
    mnt = mounts()
    tree.create("/f", b"old\n")
    end(writer(mnt / "f", "O_APPEND"), signal.SIGKILL)
    mnt.umount()
    assert tree.get("/f") == b"old\nhalf\n"


def test_exit_without_close_is_a_close(mnt, tree):
    code = (
        "import os; fd = os.open('f', os.O_WRONLY | os.O_CREAT)\n"
        "os.write(fd, b'all'); os._exit(1)"
    )
    sh(f'{sys.executable} -c "{code}"', cwd=mnt, check=False)
    wait_for(lambda: tree.exists("/f"), 5)
    assert tree.get("/f") == b"all"


def test_a_descriptor_that_exec_closes_is_a_close(mounts, tree):
    """The kernel closes it in the middle of execve(2), with locks of the process held."""
    mnt = mounts()
    code = (
        "import os; fd = os.open('f', os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)\n"
        "os.write(fd, b'data'); os.execv('/bin/true', ['true'])"
    )
    run(sys.executable, "-c", code, cwd=mnt, timeout=10)
    mnt.umount()
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 0


def test_the_last_of_two_descriptors_commits(mnt, tree):
    tree.create("/f", b"old")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    copy = os.dup(fd)
    os.write(fd, b"ne")
    os.close(fd)
    assert tree.version("/f") == 0
    os.write(copy, b"w")
    os.close(copy)
    assert tree.get("/f") == b"new"
    assert tree.version("/f") == 1


def test_the_opener_commits_though_a_child_still_holds_the_file(mnt, spawn, tree):
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    child = spawn("sleep", "600", pass_fds=[fd])
    os.write(fd, b"data")
    os.close(fd)
    assert tree.get("/f") == b"data"
    child.kill()
    child.wait()
    assert tree.version("/f") == 0


def test_opened_in_one_thread_and_closed_in_another(mnt, tree):
    opened = []
    thread = threading.Thread(
        target=lambda: opened.append(os.open(mnt / "f", os.O_WRONLY | os.O_CREAT))
    )
    thread.start()
    thread.join()
    os.write(opened[0], b"data")
    os.close(opened[0])
    assert tree.get("/f") == b"data"
    assert tree.version("/f") == 0


def test_the_same_file_open_twice_is_two_commits(mnt, tree):
    """Two handles of one process are two writers, each with its own close."""
    tree.create("/f", b"old")
    first = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(first, b"first")
    second = os.open(mnt / "f", os.O_RDONLY)
    os.close(first)
    os.close(second)
    wait_for(lambda: tree.get("/f") == b"first", 5)
    assert tree.version("/f") == 1


def test_a_descriptor_passed_on_commits_when_the_last_holder_closes(mounts, tree):
    """The opener ends without having written; a child that inherited the file writes."""
    mnt = mounts()
    tree.create("/f", b"0123456789")
    sh("exec 3<> f; (sleep 0.2; printf late >&3; printf r >&3) & exit", cwd=mnt)
    wait_equal(lambda: tree.get("/f"), b"later56789", 5)
    mnt.umount()
    assert tree.version("/f") == 1
