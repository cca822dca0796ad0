"""The command line: what it accepts, what it refuses and how, and the life of the daemon."""

import errno
import os
import signal
import stat
import subprocess
import time

import pytest

from support.files import fails_with, read, write
from support.mount import BINARY, daemon_pids, mounts_at, zkfs_command
from support.proxy import Proxy
from support.waiting import SCALE, free_port, run, sh, wait_for


@pytest.fixture
def point(place):
    """An empty directory to mount at."""
    path = place / "point"
    path.mkdir()
    return path


def check_refused(argv, *words, point=None, timeout=15):
    """Exit non-zero, one clear line that has one of the words, nothing mounted, nobody left."""
    done = run(*argv, check=False, timeout=timeout)
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT), done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("zkfs: "), lines
    assert not words or any(word in lines[0] for word in words), lines
    if point is not None:
        assert not mounts_at(point)
        assert daemon_pids(point) == []


BAD_OPTIONS = [
    "nonsense", "nonsense=1", "timeout=abc", "timeout=-1", "timeout=", "op_timeout=1x",
    "timeout=99999999999999999999", "acl=everybody", "stale=maybe", "max_data=lots",
    "file_mode=999", "uid=me?", "log=loud?",
]


@pytest.mark.parametrize("option", BAD_OPTIONS)
@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
def test_a_bad_option_is_refused(server, point, option, foreground):
    argv = zkfs_command(server.hosts, point, [option], foreground)
    check_refused(argv, option.partition("=")[0], point=point)


@pytest.mark.parametrize("acl", ["creator", "read"])
def test_an_acl_that_needs_auth_is_refused_without(server, point, acl):
    check_refused(zkfs_command(server.hosts, point, [f"acl={acl}"]), "auth", point=point)


BAD_AUTH = {
    "missing": (None, 0o600),
    "readable by others": ("digest alice:secret\n", 0o644),
    "readable by one other": ("digest alice:secret\n", 0o604),
    "no credential": ("digest\n", 0o600),
    "binary": ("\x00\x01\x02\n", 0o600),
}


@pytest.mark.parametrize("kind", BAD_AUTH)
def test_a_bad_auth_file_is_refused(server, place, point, kind):
    text, mode = BAD_AUTH[kind]
    path = place / "auth"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    argv = zkfs_command(server.hosts, point, [f"auth_file={path}"])
    done = run(*argv, check=False)
    assert "secret" not in done.stderr + done.stdout
    check_refused(argv, str(path), "auth", point=point)


def test_an_auth_file_that_may_not_be_read(server, place, point):
    path = place / "auth"
    path.mkdir(mode=0o700)
    check_refused(
        zkfs_command(server.hosts, point, [f"auth_file={path}"]), str(path), point=point
    )


def test_an_auth_scheme_that_the_server_does_not_know(server, place, point):
    path = place / "auth"
    path.write_text("nosuchscheme alice:secret\n")
    path.chmod(0o600)
    argv = zkfs_command(server.hosts, point, [f"auth_file={path}"])
    check_refused(argv, "auth", point=point, timeout=30)


BAD_HOSTS = ["", "127.0.0.1:99999", "127.0.0.1:abc", "127.0.0.1:", "[::1", ",", "127.0.0.1:1/a//b",
             "127.0.0.1:1/..", "127.0.0.1 127.0.0.2", "127.0.0.1:-1"]


@pytest.mark.parametrize("hosts", BAD_HOSTS)
def test_bad_hosts_are_refused(point, hosts):
    check_refused(zkfs_command(hosts, point, ["timeout=2000", "op_timeout=2000"]), point=point)


@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
def test_unreachable_hosts_are_refused_within_the_timeout(point, foreground):
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    argv = zkfs_command(hosts, point, ["timeout=2000", "op_timeout=2000"], foreground)
    start = time.monotonic()
    check_refused(argv, hosts.split(",", maxsplit=1)[0], "connect", point=point)
    assert time.monotonic() - start < 6 * SCALE


def test_a_server_that_does_not_answer_is_refused_within_the_timeout(server, proxy, point):
    proxy.freeze()
    start = time.monotonic()
    argv = zkfs_command(proxy.hosts, point, ["timeout=2000", "op_timeout=2000"])
    check_refused(argv, proxy.hosts, "connect", "answer", point=point)
    assert time.monotonic() - start < 6 * SCALE


def test_a_name_that_does_not_resolve_is_refused(point):
    argv = zkfs_command("no-such-host.invalid:2181", point, ["timeout=2000", "op_timeout=2000"])
    check_refused(argv, "no-such-host.invalid", point=point, timeout=30)


def test_a_missing_mountpoint_is_refused(server, place):
    missing = place / "missing"
    check_refused(zkfs_command(server.hosts, missing), str(missing), point=missing)
    assert not missing.exists()


def test_a_mountpoint_that_is_a_file_is_refused(server, place):
    path = place / "file"
    path.write_text("data")
    check_refused(zkfs_command(server.hosts, path), str(path), point=path)
    assert path.read_text() == "data"


def test_a_missing_chroot_is_refused_and_not_made(server, kz, point):
    argv = zkfs_command(f"{server.hosts}/no/such/chroot", point)
    check_refused(argv, "/no/such/chroot", point=point)
    assert not kz.exists("/no")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_arguments(server, point, count):
    argv = [BINARY, *[server.hosts, str(point), "more"][:count]]
    done = run(*argv, check=False)
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert done.stderr
    assert not mounts_at(point)


def test_an_unknown_flag(server, point):
    done = run(BINARY, "--nonsense", server.hosts, point, check=False)
    assert done.returncode != 0
    assert "nonsense" in done.stderr
    assert not mounts_at(point)


def test_help_and_version():
    text = run(BINARY, "--help").stdout
    assert "HOSTS" in text and "MOUNTPOINT" in text
    for option in ("timeout", "op_timeout", "auth_file", "acl", "strict", "stale", "max_data"):
        assert option in text, option
    assert run(BINARY, "-h").stdout == text
    assert run(BINARY, "--version").stdout.startswith("zkfs ")
    assert run(BINARY, "-V").stdout == run(BINARY, "--version").stdout


# How hosts may be written


def test_a_chroot_is_the_root_of_the_mount(server, mounts, tree):
    tree.create("/a/b/f", b"data")
    for hosts in (f"{server.hosts}{tree.root}/a/b", f"{server.hosts}{tree.root}/a/b/"):
        mnt = mounts(hosts=hosts)
        assert os.listdir(mnt.path) == ["f"]
        write(mnt / "g", b"more")
        assert tree.get("/a/b/g") == b"more"
        os.unlink(mnt / "g")
        mnt.umount()


def test_blanks_around_commas(server, mounts, tree):
    mnt = mounts(hosts=f" {server.hosts} , {server.hosts} ,{server.hosts}{tree.root}")
    write(mnt / "f", b"data")
    assert tree.get("/f") == b"data"


def test_a_host_name(server, mounts, tree):
    mnt = mounts(hosts=f"localhost:{server.port}{tree.root}")
    write(mnt / "f", b"data")
    assert tree.get("/f") == b"data"


def test_ipv6(server, mounts, tree):
    try:
        proxy = Proxy(server.port, "::1")
    except OSError:
        pytest.skip("no IPv6 here")
    mnt = mounts(hosts=proxy.hosts + tree.root)
    write(mnt / "f", b"data")
    assert tree.get("/f") == b"data"
    mnt.umount()
    proxy.close()


def test_a_dead_server_in_the_list_does_no_harm(server, mounts, tree):
    mnt = mounts(hosts=f"127.0.0.1:{free_port()},{server.hosts}{tree.root}")
    write(mnt / "f", b"data")
    assert tree.get("/f") == b"data"


def test_the_arguments_that_mount_8_gives(server, mounts, tree, point):
    """mount -t zkfs calls a helper with HOSTS MOUNTPOINT -o OPTIONS, generic ones among them."""
    hosts = server.hosts + tree.root
    run(BINARY, hosts, point, "-o", "rw,nosuid,nodev,noatime,max_data=100")
    try:
        write(point / "f", b"data")
        assert tree.get("/f") == b"data"
        with fails_with(errno.EFBIG):
            write(point / "f", b"x" * 101)
    finally:
        run("fusermount3", "-u", point)


# What options do


def test_ro(mounts, tree):
    tree.create("/d/f", b"data")
    tree.create("/e", None)
    mnt = mounts("ro")
    assert read(mnt / "d" / "f") == b"data"
    attempts = [
        lambda: write(mnt / "d" / "f", b"new"),
        lambda: write(mnt / "new", b"new"),
        lambda: os.truncate(mnt / "d" / "f", 0),
        lambda: os.mkdir(mnt / "new"),
        lambda: os.unlink(mnt / "d" / "f"),
        lambda: os.rmdir(mnt / "e"),
        lambda: os.rename(mnt / "d" / "f", mnt / "g"),
        lambda: os.setxattr(mnt / "d" / "f", "user.zk.acl", b"world:anyone:r"),
        lambda: os.utime(mnt / "d" / "f"),
        lambda: os.chmod(mnt / "d" / "f", 0o600),
        lambda: os.open(mnt / "x", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    ]
    for attempt in attempts:
        with fails_with(errno.EROFS):
            attempt()
    assert tree.children() == ["d", "e"]
    assert tree.version("/d/f") == 0


def test_ro_follows_changes(mounts, tree):
    tree.create("/f", b"one")
    mnt = mounts("ro")
    assert read(mnt / "f") == b"one"
    tree.set("/f", b"two")
    wait_for(lambda: read(mnt / "f") == b"two", 5)


def test_strict(mounts, tree):
    tree.create("/f", b"data")
    mnt = mounts("strict")
    with fails_with(errno.EPERM):
        os.chmod(mnt / "f", 0o600)
    with fails_with(errno.EPERM):
        os.chown(mnt / "f", 12345, 12345)
    with fails_with(errno.EPERM):
        os.utime(mnt / "f", (1000, 1000))
    run("touch", mnt / "f")
    assert tree.version("/f") == 1
    write(mnt / "f", b"new")
    assert tree.get("/f") == b"new"


def test_max_data(mounts, tree):
    mnt = mounts("max_data=1000")
    write(mnt / "f", b"x" * 1000)
    assert tree.version("/f") == 0
    with fails_with(errno.EFBIG):
        write(mnt / "f", b"y" * 1001)
    with fails_with(errno.EFBIG):
        os.truncate(mnt / "f", 1001)
    assert tree.get("/f") == b"x" * 1000


def test_owner_and_modes(mounts, tree):
    tree.create("/d/f", b"data")
    mnt = mounts("uid=1234", "gid=4321", "file_mode=0640", "dir_mode=0750")
    for name, mode in {"": 0o750, "d": 0o750, "d/f": 0o640}.items():
        found = os.stat(mnt / name)
        assert (found.st_uid, found.st_gid) == (1234, 4321)
        assert stat.S_IMODE(found.st_mode) == mode


def as_nobody(*argv):
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", *argv]
    return run(*argv, check=False)


@pytest.fixture
def reachable(place, needs_root):
    """A mountpoint that other users can reach."""
    import shutil
    import tempfile

    path = tempfile.mkdtemp(prefix="zkfs-point-", dir="/var/tmp")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_other_users_are_kept_out(mounts, tree, reachable):
    tree.create("/f", b"data")
    mnt = mounts(path=reachable)
    assert as_nobody("cat", mnt / "f").returncode != 0
    mnt.umount()


def test_allow_other_lets_others_in_as_the_modes_say(mounts, tree, reachable):
    tree.create("/f", b"data")
    mnt = mounts("allow_other", "file_mode=0644", path=reachable)
    assert as_nobody("cat", mnt / "f").stdout == "data"
    assert as_nobody("sh", "-c", f"echo no > {mnt}/f").returncode != 0
    assert as_nobody("mkdir", mnt / "d").returncode != 0
    mnt.umount()
    mnt = mounts("allow_other", "file_mode=0600", path=reachable)
    assert as_nobody("cat", mnt / "f").returncode != 0
    mnt.umount()
    mnt = mounts("allow_other", "uid=65534", "file_mode=0600", "dir_mode=0700", path=reachable)
    assert as_nobody("sh", "-c", f"echo yes > {mnt}/f && cat {mnt}/f").stdout == "yes\n"
    mnt.umount()
    assert tree.get("/f") == b"yes\n"


# The life of the daemon


def test_it_returns_when_the_mount_answers(server, mounts, tree):
    tree.create("/f", b"data")
    mnt = mounts(start=False, foreground=False)
    run(*zkfs_command(mnt.hosts, mnt.path), env=mnt.environment())
    assert read(mnt / "f") == b"data"
    assert mnt.status()["state"] == "connected"
    (mnt.daemon,) = daemon_pids(mnt.path)
    assert os.readlink(f"/proc/{mnt.daemon}/cwd") == "/"


def test_the_daemon_lets_go_of_the_terminal(server, mounts, tree):
    """A pipe that is read to its end shows that nobody holds the other one."""
    mnt = mounts(start=False, foreground=False)
    command = " ".join(f"'{arg}'" for arg in zkfs_command(mnt.hosts, mnt.path))
    assert sh(f"{command} 2>&1 | cat", env=mnt.environment()).stdout == ""
    (mnt.daemon,) = daemon_pids(mnt.path)
    assert os.getsid(mnt.daemon) != os.getsid(0)


def test_a_relative_mountpoint_and_one_with_blanks(server, mounts, tree):
    tree.create("/f", b"data")
    mnt = mounts(start=False, foreground=False)
    (mnt.path / "with blanks").mkdir()
    run(BINARY, mnt.hosts, "with blanks", cwd=mnt.path, env=mnt.environment())
    assert read(mnt.path / "with blanks" / "f") == b"data"
    run("fusermount3", "-u", mnt.path / "with blanks")


@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
@pytest.mark.parametrize("how", ["fusermount3", "umount"])
def test_unmounting_ends_the_daemon_and_its_session(mounts, server, tree, how, foreground):
    """Within a second."""
    if how == "umount" and os.geteuid() != 0:
        pytest.skip("needs root")
    mnt = mounts(foreground=foreground)
    session = mnt.session()
    assert server.has_session(session)
    start = time.monotonic()
    run(*([how, mnt.path] if how == "umount" else [how, "-u", mnt.path]))
    mnt.wait_gone()
    assert time.monotonic() - start < 1 * SCALE
    assert not server.has_session(session)
    assert not mounts_at(mnt.path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts_and_closes_the_session(mounts, server, number):
    mnt = mounts()
    session = mnt.session()
    mnt.signal(number)
    mnt.wait_gone()
    assert not mounts_at(mnt.path)
    assert not server.has_session(session)


def test_a_busy_mount_is_not_unmounted(mnt, tree):
    tree.create("/f", b"data")
    fd = os.open(mnt / "f", os.O_RDONLY)
    assert run("fusermount3", "-u", mnt.path, check=False).returncode != 0
    assert os.read(fd, 10) == b"data"
    os.close(fd)


def test_a_lazy_unmount_ends_when_the_last_file_is_closed(mnt, tree):
    tree.create("/f", b"data")
    fd = os.open(mnt / "f", os.O_RDWR)
    run("fusermount3", "-u", "-z", mnt.path)
    os.write(fd, b"DATA")
    os.close(fd)
    mnt.wait_gone()
    assert tree.get("/f") == b"DATA"


@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
def test_a_stale_mountpoint_is_taken_over(mounts, tree, foreground):
    tree.create("/f", b"data")
    dead = mounts()
    dead.kill()
    with fails_with(errno.ENOTCONN):
        os.stat(dead / "f")
    mnt = mounts(path=dead.path, foreground=foreground)
    assert read(mnt / "f") == b"data"
    assert mounts_at(mnt.path) == 1
    mnt.umount()
    assert mounts_at(mnt.path) == 0


def test_a_stale_mountpoint_with_somebody_in_it_is_taken_over(mounts, tree, spawn):
    tree.create("/d/f", b"data")
    dead = mounts()
    inside = spawn("sh", "-c", "echo in; sleep 600", cwd=dead / "d", stdout=subprocess.PIPE)
    assert inside.stdout.readline() == b"in\n"
    dead.kill()
    mnt = mounts(path=dead.path)
    assert read(mnt / "d" / "f") == b"data"


def test_two_mounts_of_different_trees_do_not_meet(server, mounts, tree):
    tree.create("/a/f", b"a")
    tree.create("/b/f", b"b")
    a = mounts(hosts=f"{server.hosts}{tree.root}/a")
    b = mounts(hosts=f"{server.hosts}{tree.root}/b")
    assert (read(a / "f"), read(b / "f")) == (b"a", b"b")
    a.umount()
    assert read(b / "f") == b"b"


def test_the_session_timeout_is_what_was_asked_for(mounts):
    assert "4000" in mounts("timeout=4000").status()["timeout"]


@pytest.mark.parametrize("option", ["events=off", "events=on", "watches=1000", "log=debug",
                                    "max_read=131072", "fsname=mine", "stale=serve"])
def test_options_that_are_taken(mounts, tree, option):
    mnt = mounts(option)
    write(mnt / "f", b"data")
    assert tree.get("/f") == b"data"
