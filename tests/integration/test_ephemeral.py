"""
.ephemeral, .lease and .create: what one write makes, what is read back, how long it stays, and what
is refused.
"""

import errno
import os
import signal
import subprocess
import sys

import pytest

from support.files import exists, fails_with, read
from support.server import Server
from support.waiting import SCALE, sh, wait_equal, wait_for


def owner(tree, path):
    return tree.stat(path).ephemeralOwner


def put(path, line):
    """One write(2) of the whole line."""
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.write(fd, line) == len(line)
    finally:
        os.close(fd)


@pytest.fixture
def services(tree, mnt):
    """A directory, and its path in the mount."""
    tree.create("/services/x", b"")
    tree.delete("/services/x")
    wait_for(lambda: (mnt / "services").is_dir())
    return mnt / "services"


# .ephemeral


def test_registering_a_service_is_one_echo(tree, mnt, services):
    """Whole at the first event that a watcher gets, and owned by the mount's session."""
    events = tree.watch("/services/s9096")
    sh("""echo 's9096 ["127.0.0.1","9096"]' > .ephemeral""", cwd=services)
    assert events.get(timeout=10 * SCALE) == "CREATED"
    data, stat = tree.get_both("/services/s9096")
    assert (data, stat.version) == (b'["127.0.0.1","9096"]', 0)
    assert stat.ephemeralOwner == mnt.session()


def test_an_ephemeral_is_an_ordinary_file(tree, mnt, services):
    put(services / ".ephemeral", b"a one\n")
    assert sh("cat a", cwd=services).stdout == "one"
    sh("echo two > a", cwd=services)
    data, stat = tree.get_both("/services/a")
    assert (data, stat.version, stat.ephemeralOwner) == (b"two\n", 1, mnt.session())
    os.remove(services / "a")
    assert not tree.exists("/services/a")
    wait_equal(lambda: read(services / ".ephemeral"), b"")


def test_a_name_alone_makes_an_empty_file(tree, services):
    put(services / ".ephemeral", b"a")
    assert tree.get("/services/a") == b""
    assert (services / "a").is_file()


def test_data_is_taken_as_it_is(tree, services):
    data = bytes(range(256)) + b"\n\n"
    put(services / ".ephemeral", b"a " + data + b"\n")
    assert tree.get("/services/a") == data


def test_what_is_owned_is_read_back(tree, mnt, mnt2, services):
    other = mnt2 / "services"
    put(services / ".ephemeral", b"a")
    put(services / ".ephemeral", b"b x")
    put(other / ".ephemeral", b"c")
    (mnt / "services" / "d").write_text("")
    assert read(services / ".ephemeral") == b"a\nb\n"
    assert read(other / ".ephemeral") == b"c\n"
    assert read(mnt / ".ephemeral") == b""


def test_several_through_one_open_file(tree, services):
    sh("exec 3> .ephemeral; echo a 1 >&3; echo b 2 >&3; echo -s c- 3 >&3", cwd=services)
    assert tree.children("/services")[:2] == ["a", "b"]
    assert tree.get("/services/b") == b"2"
    assert len(tree.children("/services")) == 3


def test_special_files_are_in_no_listing(tree, mnt, services):
    put(services / ".ephemeral", b"a")
    assert os.listdir(services) == ["a"]
    assert sh("ls -A", cwd=services).stdout == "a\n"
    assert os.listdir(mnt) == ["services"]
    for name in ".ephemeral", ".lease", ".create":
        assert exists(services / name) and exists(mnt / name)
    assert not exists(services / ".lock")


def test_special_files_look_like_empty_files(mnt, mounts):
    for name in ".ephemeral", ".lease", ".create":
        st = os.stat(mnt / name)
        assert (st.st_mode, st.st_size, st.st_nlink) == (0o100644, 0, 1)
        assert os.listxattr(mnt / name) == []
        with fails_with(errno.ENODATA):
            os.getxattr(mnt / name, "user.zk.version")
    assert os.stat(mounts("file_mode=600") / ".lease").st_mode == 0o100600


def test_special_files_are_in_no_listing_while_they_are_open(tree, services):
    with open(services / ".lease", "wb", buffering=0) as lease:
        assert os.listdir(services) == []
        lease.write(b"a")
        os.remove(services / "a")
        os.rmdir(services)
    assert not tree.exists("/services")


def test_a_new_name_is_seen_at_once(tree, services):
    """Also where the kernel remembers that there was none, and a listing without it."""
    for i in range(30):
        assert not exists(services / f"n{i}")
        assert f"n{i}" not in os.listdir(services)
        put(services / ".ephemeral", f"n{i} {i}\n".encode())
        assert read(services / f"n{i}") == str(i).encode()
        assert f"n{i}" in os.listdir(services)


def test_watchers_here_get_the_events_of_a_change_elsewhere(tree, services, spawn):
    wanted = ["CREATE", "OPEN", "MODIFY", "CLOSE_WRITE,CLOSE"]
    argv = ["inotifywait", "-m", "--format", "%e %f", services]
    watcher = spawn(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "Watches established" not in watcher.stderr.readline():
        pass
    put(services / ".ephemeral", b"a x")
    lines = []
    while len(lines) < len(wanted):
        line = watcher.stdout.readline().strip()
        if line.endswith(" a"):
            lines.append(line)
    assert lines == [f"{event} a" for event in wanted]
    watcher.kill()
    watcher.stderr.close()


def test_the_session_is_theirs_until_umount(tree, mounts):
    mnt = mounts()
    put(mnt / ".ephemeral", b"a")
    assert owner(tree, "/a") == mnt.session()
    tree.readers.remove(mnt)
    mnt.umount()
    wait_for(lambda: not tree.exists("/a"), 1, "the end of the ephemeral")


def test_sigterm_ends_them_at_once(tree, mounts):
    mnt = mounts()
    put(mnt / ".ephemeral", b"a")
    tree.readers.remove(mnt)
    mnt.signal(signal.SIGTERM)
    wait_for(lambda: not tree.exists("/a"), 1, "the end of the ephemeral")
    mnt.wait_gone()


def test_status_counts_them(tree, mnt, services):
    put(services / ".ephemeral", b"a")
    with open(services / ".lease", "wb", buffering=0) as lease:
        lease.write(b"b")
        status = mnt.status()
        assert (status["ephemerals"], status["leases"]) == ("2", "1")
    wait_for(lambda: mnt.status()["leases"] == "0")
    assert mnt.status()["ephemerals"] == "1"


# What is refused


BAD_LINES = [
    (b"\n", errno.EINVAL),
    (b" ", errno.EINVAL),
    (b"a/b", errno.EINVAL),
    (b".", errno.EINVAL),
    (b"..", errno.EINVAL),
    (b"a\tb", errno.EINVAL),
    (b"a\x00b x", errno.EINVAL),
    (b"a\nb", errno.EINVAL),
    (b"\xff x", errno.EINVAL),
    (b"-x a", errno.EINVAL),
    (b"-t 5", errno.EINVAL),
    (b".lease x", errno.EINVAL),
    (b".data x", errno.EINVAL),
    (b"n" * 256, errno.ENAMETOOLONG),
    (b"-s " + b"n" * 250, errno.ENAMETOOLONG),
    (b"a " + b"x" * 1100000, errno.EFBIG),
    (b"a " + b"x" * 1048550, errno.EFBIG),
]


@pytest.mark.parametrize("name", [".ephemeral", ".lease", ".create"])
@pytest.mark.parametrize("line, error", BAD_LINES, ids=[repr(line[:9]) for line, _ in BAD_LINES])
def test_a_bad_line_creates_nothing(tree, mnt, services, name, line, error):
    with fails_with(error):
        put(services / name, line)
    assert tree.children("/services") == []
    assert mnt.status()["ephemerals"] == "0"


def test_a_write_split_by_the_kernel_is_refused_whole(tree, services):
    """Its second half must not be taken for a line of its own."""
    with fails_with(errno.EFBIG):
        put(services / ".create", b"a " + b"b " * 700000)
    assert tree.children("/services") == []


def test_a_large_value_is_one_create(tree, services):
    data = os.urandom(900000) + b"."  # a newline at the end would not be part of it
    put(services / ".ephemeral", b"a " + data)
    assert tree.get_both("/services/a")[0] == data
    assert tree.version("/services/a") == 0


def test_max_data_is_the_limit(tree, mounts):
    mnt = mounts("max_data=10")
    put(mnt / ".create", b"a " + b"x" * 10)
    with fails_with(errno.EFBIG):
        put(mnt / ".create", b"b " + b"x" * 11)
    assert tree.children("/") == ["a"]


@pytest.mark.parametrize("name", [".ephemeral", ".lease", ".create"])
def test_a_name_that_is_taken_is_eexist(tree, services, name):
    tree.create("/services/a", b"theirs")
    with fails_with(errno.EEXIST):
        put(services / name, b"a ours")
    assert tree.get("/services/a") == b"theirs"


def test_without_permission_it_is_eacces(tree, mnt, services):
    from kazoo.security import make_acl

    tree.set_acls("/services", [make_acl("world", "anyone", read=True, admin=True)])
    for name in ".ephemeral", ".lease", ".create":
        with fails_with(errno.EACCES):
            put(services / name, b"a x")


def test_in_a_directory_that_is_gone_it_is_an_error(tree, services):
    fd = os.open(services / ".ephemeral", os.O_WRONLY)
    tree.delete("/services")
    with fails_with(errno.ENOENT, errno.ESTALE):
        os.write(fd, b"a x")
    os.close(fd)


def test_a_read_only_mount_creates_nothing(tree, mounts):
    mnt = mounts("ro")
    for name in ".ephemeral", ".lease", ".create":
        with fails_with(errno.EROFS):
            put(mnt / name, b"a x")
    assert read(mnt / ".ephemeral") == b""


def test_bash_tells_the_error(tree, services):
    tree.create("/services/a")
    done = sh("echo a > .ephemeral", cwd=services, check=False)
    assert done.returncode != 0 and "File exists" in done.stderr


# .lease


def test_a_lease_goes_with_its_file(tree, mnt, services):
    with open(services / ".lease", "wb", buffering=0) as lease:
        lease.write(b"a x\n")
        lease.write(b"-s b- y\n")
        assert len(tree.children("/services")) == 2
        assert owner(tree, "/services/a") == mnt.session()
    wait_equal(lambda: tree.children("/services"), [], 1)


def test_a_lease_names_what_it_holds(tree, services):
    with open(services / ".lease", "r+b", buffering=0) as lease:
        lease.write(b"a x\n")
        assert lease.read(100) == b"a\n"
        lease.write(b"b x\n")
        assert lease.read(100) == b"b\n"
        assert lease.read(100) == b""
        assert lease.read(100) == b"a\nb\n"
        os.remove(services / "a")
        assert lease.read(100) == b""
        assert lease.read(100) == b"b\n"
    assert read(services / ".lease") == b""


def test_a_lease_in_bash(tree, services):
    script = "exec 3<> .lease; echo -s job- $$ >&3; read -r name <&3; echo $name; cat $name"
    name, data = sh(script, cwd=services).stdout.split("\n")
    assert name.startswith("job-") and data.isdigit()
    wait_equal(lambda: tree.children("/services"), [], 1)


def test_a_holder_that_is_killed_frees_its_lease(tree, services, spawn):
    script = f"exec 3> {services}/.lease; echo a >&3; echo ready; while :; do sleep 1; done"
    holder = spawn("bash", "-c", script, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"ready\n"
    assert tree.exists("/services/a")
    pid = int(subprocess.check_output(["pgrep", "-P", str(holder.pid)]).split()[0] or 0)
    os.kill(holder.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)  # its sleep holds the file as well
    wait_for(lambda: not tree.exists("/services/a"), 1, "the end of the lease")


def test_a_lease_that_was_passed_on_lives_with_its_last_holder(tree, services, spawn):
    read_end, write_end = os.pipe()
    lease = os.open(services / ".lease", os.O_WRONLY)
    os.write(lease, b"a x")
    argv = [sys.executable, "-c", "import os; os.read(0, 1)"]
    child = subprocess.Popen(argv, stdin=read_end, pass_fds=[lease])
    os.close(read_end)
    copy = os.dup(lease)
    os.close(lease)
    assert tree.exists("/services/a")
    os.close(copy)
    assert tree.exists("/services/a")
    os.close(write_end)
    child.wait()
    wait_for(lambda: not tree.exists("/services/a"), 1, "the end of the lease")


def test_a_thousand_leases_leave_nothing(tree, mnt, services):
    fds = [os.open(services / ".lease", os.O_WRONLY) for _ in range(10)]
    for i in range(1000):
        os.write(fds[i % 10], b"n%d x" % i)
    assert len(tree.children("/services")) == 1000
    for fd in fds:
        os.close(fd)
    wait_equal(lambda: tree.children("/services"), [], 10)
    wait_equal(lambda: mnt.status()["ephemerals"], "0")


def test_a_thousand_open_lease_files_leave_nothing(tree, mnt, services):
    fds = [os.open(services / ".lease", os.O_WRONLY) for _ in range(1000)]
    for i, fd in enumerate(fds):
        os.write(fd, b"n%d x" % i)
    assert len(tree.children("/services")) == 1000
    for fd in fds:
        os.close(fd)
    wait_equal(lambda: tree.children("/services"), [], 10)


def test_closing_a_lease_spares_what_others_have_made_of_its_name(tree, services):
    with open(services / ".lease", "wb", buffering=0) as lease:
        lease.write(b"a x\n")
        tree.delete("/services/a")
        tree.create("/services/a", b"theirs")
        lease.write(b"b x\n")
    wait_for(lambda: not tree.exists("/services/b"))
    assert tree.get("/services/a") == b"theirs"


def test_a_lease_that_was_renamed_is_one_still(tree, mnt, services):
    with open(services / ".lease", "r+b", buffering=0) as lease:
        lease.write(b"a x\n")
        os.rename(services / "a", services / "b")
        assert owner(tree, "/services/b") == mnt.session()
        assert lease.read(100) == b"b\n"
    wait_equal(lambda: tree.children("/services"), [], 1)


# .create


def test_create_makes_what_zkcli_makes(tree, mnt, services):
    put(services / ".create", b"plain x\n")
    put(services / ".create", b"-e eph y\n")
    put(services / ".create", b"-- -e z\n")
    assert tree.get("/services/plain") == b"x" and owner(tree, "/services/plain") == 0
    assert tree.get("/services/eph") == b"y" and owner(tree, "/services/eph") == mnt.session()
    assert tree.get("/services/-e") == b"z"
    assert read(services / ".ephemeral") == b"eph\n"


def test_create_tells_the_sequence_numbers(tree, services):
    fd = os.open(services / ".create", os.O_RDWR)
    for i in range(3):
        os.write(fd, b"-s job- %d" % i)
    names = os.read(fd, 4096).decode().split()
    os.close(fd)
    assert names == tree.children("/services")
    assert [tree.get(f"/services/{name}") for name in names] == [b"0", b"1", b"2"]
    assert [name[:4] for name in names] == ["job-"] * 3
    assert all(len(name) == 14 and name[4:].isdigit() for name in names)


def test_a_sequential_znode_has_the_acl_of_all_others(tree, services):
    put(services / ".create", b"-s job-")
    put(services / ".create", b"-s -e eph-")
    put(services / ".create", b"plain")
    acls = [tree.acls(f"/services/{name}") for name in tree.children("/services")]
    assert len(acls) == 3 and acls[0] == acls[1] == acls[2]


@pytest.mark.parametrize("acl", ["creator", "read"])
def test_with_credentials_too(tree, mounts, place, acl):
    (place / "auth").write_text("digest alice:secret\n")
    (place / "auth").chmod(0o600)
    mnt = mounts(f"acl={acl}", f"auth_file={place}/auth")
    put(mnt / ".create", b"-s job- x")
    put(mnt / ".create", b"plain x")
    job, plain = tree.children()
    acls = [os.getxattr(mnt / name, "user.zk.acl") for name in (job, plain)]
    assert acls[0] == acls[1]
    assert read(mnt / job) == b"x"


def test_a_container_is_a_directory_that_the_server_reaps(tree, mnt, services):
    put(services / ".create", b"-c box")
    assert (services / "box").is_dir()
    put(services / "box" / ".create", b"a x")
    assert tree.get("/services/box/a") == b"x"


def test_ttl_znodes_need_servers_that_have_them(tree, mnt, services):
    with fails_with(errno.EOPNOTSUPP):
        put(services / ".create", b"-t 5000 a x")
    assert not tree.exists("/services/a")
    assert "extendedTypesEnabled" in (mnt / ".zkfs" / "status").read_text()


@pytest.fixture
def extended_server(place):
    server = Server(place / "server", quorum=["extendedTypesEnabled=true"])
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_ttl_znodes_where_the_servers_have_them(extended_server, mounts):
    mnt = mounts(hosts=extended_server.hosts)
    put(mnt / ".create", b"-t 600000 a x")
    put(mnt / ".create", b"-t 600000 -s n- x")
    a, n = sorted(name for name in os.listdir(mnt) if name != "zookeeper")
    assert (a, n) == ("a", "n-0000000001") and read(mnt / n) == b"x"
    with fails_with(errno.EINVAL):
        put(mnt / ".create", b"-t 1099511627776 b x")


def test_the_special_files_cannot_be_removed_or_made(tree, services):
    with fails_with(errno.EOPNOTSUPP):
        os.remove(services / ".ephemeral")
    with fails_with(errno.EEXIST):
        os.open(services / ".lease", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with fails_with(errno.EOPNOTSUPP, errno.EEXIST):
        os.rename(services / ".create", services / "x")
    os.truncate(services / ".ephemeral", 0)
    assert tree.children("/services") == []


def test_below_a_chroot(server, kz, tree, mounts):
    tree.create("/a/b", b"")
    mnt = mounts(hosts=f"{server.hosts}{tree.root}/a")
    put(mnt / ".create", b"-s n- x")
    put(mnt / ".ephemeral", b"e")
    assert read(mnt / ".ephemeral") == b"e\n"
    assert tree.children("/a")[:2] == ["b", "e"]
