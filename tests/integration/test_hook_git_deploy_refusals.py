"""zkfs-git-deploy: what is refused or fails, with the old tree as it was."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from support.deploy import NAME, deploy, on_disk, plain, snapshot
from support.files import read, write
from support.git import Submodule, daemon
from support.waiting import SCALE, free_port, run, wait_for

OLD = {"file": b"old\n", "d/e/deep": b"old"}
NEW = {"file": b"new\n"}
NOWHERE = "1" * 40
ID = "0123456789abcdef0123456789abcdef01234567"


def visible(root):
    """All of the root but what is the program's own."""
    return {
        path: what for path, what in snapshot(root).items() if ".zkfs-git-deploy" not in path
    }


def refused(deploy, code, *words, options=(), env=None):
    """What the file says is not deployed: nothing changes, and the status says why."""
    before = visible(deploy.root)
    done = deploy.once(*options, env=env)
    status = deploy.status()
    assert (done.returncode, status["code"]) == (code, code), (read(deploy.file), done.stderr)
    assert status["phase"] == ("refused" if code in (65, 77) else "failed"), status
    for word in words:
        assert word in status["message"] and word in done.stderr, status
    assert visible(deploy.root) == before
    assert list((deploy.own / "work").iterdir()) == []
    assert not deploy.is_locked()
    return status


# What the file says

BAD_FILES = [
    *(b"", b"nonsense", b'{"url": "https://example.org/x.git", "commitId":', b"{} {}", b"[]"),
    *(b'"url"', b"null", b'{"url": "\xff"}', b"\0", b"[" * 100_000),
    b'{"url": "' + b"x" * 100_000 + b'"}',
]


def test_what_is_no_such_object_is_65(plain):
    plain.deploy(OLD)
    for value in BAD_FILES:
        plain.set_bytes(value)
        refused(plain, 65)


KEYS = ["url", "commitId", "relativePath"]


def test_a_missing_key_is_65(plain):
    plain.deploy(OLD)
    config = plain.config(plain.origin.commit(NEW))
    for key in KEYS:
        others = {name: value for name, value in config.items() if name != key}
        plain.set_bytes(json.dumps(others).encode())
        refused(plain, 65, key)


def test_a_key_of_the_wrong_type_is_65(plain):
    plain.deploy(OLD)
    config = plain.config(plain.origin.commit(NEW))
    for key in KEYS:
        for value in (None, 1, True, [config[key]], {"a": config[key]}):
            plain.set_bytes(json.dumps({**config, key: value}).encode())
            refused(plain, 65, key)


def test_a_key_that_is_there_twice_is_65(plain):
    plain.deploy(OLD)
    config = plain.config(plain.origin.commit(NEW))
    for key in [*KEYS, "other"]:
        text = json.dumps({"other": 1, **config})
        again = json.dumps({key: config.get(key, 1)})
        plain.set_bytes((text[:-1] + ", " + again[1:]).encode())
        refused(plain, 65)


BAD_IDS = ["", "d5f5f14", ID[:-1], ID + "0", ID.upper(), "HEAD", "main", "-" + ID[1:]]
BAD_IDS += ["g" + ID[1:], "0" * 64, ID[:-1] + "\n", " " + ID[1:], ID + "^", "0x" + ID[2:]]
BAD_IDS += [ID * 1000]


def test_what_is_no_full_commit_id_is_65(plain):
    plain.deploy(OLD)
    for commit in BAD_IDS:
        plain.set(commit)
        refused(plain, 65, "commitId")


def test_the_reason_is_in_the_status_wherever_that_is(deploy):
    commit = deploy.deploy(OLD)
    deploy.set("short")
    status = refused(deploy, 65, "commitId")
    assert status["host"] == "host"
    assert deploy.is_at(commit) and deploy.is_clean()


def test_a_daemon_goes_on_after_what_is_refused(deploy):
    first, second = deploy.origin.commit(OLD), deploy.origin.commit(NEW)
    deploy.set(first)
    deploy.start()
    deploy.wait("deployed", current=first)
    deploy.set_bytes(b"nonsense")
    deploy.wait("refused", code=65, current=first, desired="")
    deploy.set(second, path="../x")
    deploy.wait("refused", code=77, current=first)
    deploy.set(NOWHERE)
    deploy.wait("failed", code=69, current=first, desired=NOWHERE)
    assert deploy.is_at(first)
    deploy.set(second)
    deploy.wait("deployed", code=0, current=second)


# Commits


def test_an_unknown_commit_is_69(plain):
    plain.deploy(OLD)
    plain.set(NOWHERE)
    refused(plain, 69, NOWHERE)


def test_a_commit_that_comes_later_is_deployed(plain):
    plain.origin.commit(OLD)
    clone = plain.place / "clone"
    plain.git("clone", "-q", "--bare", plain.origin.path, clone)
    argv = ("-C", clone, "commit-tree", "-m", "x", "-p", "main", "main^{tree}")
    commit = plain.git.said(*argv)
    plain.set(commit)
    plain.start()
    plain.wait("failed", code=69)
    plain.git("-C", clone, "push", "-q", plain.origin.path, f"{commit}:refs/heads/main")
    plain.wait("deployed", current=commit)


def test_the_id_of_what_is_no_commit_is_65(plain):
    commit = plain.deploy(OLD)
    plain.git("-C", plain.origin.path, "tag", "-a", "-m", "x", "annotated", commit)
    for name in ("main^{tree}", "main:file", "annotated"):
        object_id = plain.origin.said("rev-parse", name)
        assert object_id != commit
        plain.set(object_id)
        refused(plain, 65, object_id)


def test_a_submodule_is_refused_by_its_name(plain):
    plain.deploy(OLD)
    plain.set(plain.origin.commit({**NEW, "libs/sub": Submodule(NOWHERE)}))
    refused(plain, 65, "libs/sub", "submodule")


def test_a_pointer_of_lfs_is_refused_by_its_name(plain):
    plain.deploy(OLD)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
    plain.set(plain.origin.commit({**NEW, "big/file": pointer}))
    refused(plain, 65, "big/file", "LFS")


MALICIOUS = {
    "dot-dot-file": [("100644", "..", "blob")],
    "dot-dot": [("40000", "..", "tree")],
    "dot-git": [("40000", ".git", "tree")],
    "dot-GIT": [("40000", ".GIT", "tree")],
    "dot-git-file": [("100644", ".git", "blob")],
    "slash": [("100644", "a/b", "blob")],
    "link-then-folder": [("120000", "d", "link"), ("40000", "d", "tree")],
    "folder-then-link": [("40000", "d", "tree"), ("120000", "d", "link")],
    "through-a-link": [("120000", "d", "link"), ("100644", "d/evil", "blob")],
    "through-a-later-link": [("100644", "d/evil", "blob"), ("120000", "d", "link")],
    "folder-through-a-link": [("120000", "d", "link"), ("40000", "d/e", "tree")],
    "dot": [("40000", ".", "tree")],
    "twice": [("100644", "a", "blob"), ("100644", "a", "link")],
}


@pytest.mark.parametrize("entries", MALICIOUS.values(), ids=MALICIOUS)
def test_trees_that_git_would_not_make_are_65_and_touch_nothing_outside(plain, place, entries):
    plain.deploy(OLD)
    outside = place / "outside"
    outside.mkdir()
    ids = {"blob": plain.origin.blob("evil"), "link": plain.origin.blob(str(outside))}
    ids["tree"] = plain.origin.raw_tree(b"100644 evil\0" + bytes.fromhex(ids["blob"]))
    entries = [(mode, name, ids[kind]) for mode, name, kind in entries]
    plain.set(plain.origin.raw_commit(*entries))
    try:
        refused(plain, 65)
    finally:
        assert list(outside.iterdir()) == []


# Paths


BAD_PATHS = ["", "/", "/etc", "..", "../x", "a/../../x", "a/..", "a//b", "a/", ".", "./a", "a/."]
BAD_PATHS += [".git", ".git/x", "a/.git", "a/.git/x", ".GIT/x", ".zkfs-git-deploy", "a\nb", "a\tb"]
BAD_PATHS += [".zkfs-git-deploy/cache", "\x7f", "x" * 5000, "a/" * 1000 + "a"]


def test_paths_that_lead_elsewhere_are_77(plain):
    plain.deploy(OLD)
    (plain.place / "x").mkdir()
    commit = plain.origin.commit(NEW)
    for path in BAD_PATHS:
        plain.set(commit, path=path)
        refused(plain, 77, "relativePath")
    assert list((plain.place / "x").iterdir()) == []


def test_symbolic_links_on_the_way_and_as_the_target_are_77(plain, place):
    outside = place / "outside"
    (outside / "app").mkdir(parents=True)
    (plain.root / "d").mkdir()
    (plain.root / "link").symlink_to(outside)
    (plain.root / "d" / "link").symlink_to(outside)
    (plain.root / "inside").symlink_to("d")
    for path in ("link", "link/app", "d/link/app", "inside/app"):
        plain.set(plain.origin.commit(NEW), path=path)
        refused(plain, 77, "symbolic link")
    assert snapshot(outside).keys() == {str(outside / "app")}


def test_a_link_that_is_put_on_the_way_during_the_fetch_is_not_followed(plain, place):
    outside = place / "outside"
    (outside / "app").mkdir(parents=True)
    (plain.root / "d").mkdir()
    plain.set(plain.origin.commit(NEW), path="d/app")
    swap = f"rmdir {plain.root}/d && ln -s {outside} {plain.root}/d"
    done = plain.once("--check", swap)
    assert done.returncode == 77 and plain.status()["phase"] == "refused"
    assert list((outside / "app").iterdir()) == []


def test_a_file_as_the_target_or_on_the_way_is_77(plain):
    write(plain.root / "app", b"precious")
    for path in ("app", "app/d"):
        plain.set(plain.origin.commit(NEW), path=path)
        refused(plain, 77, "app")
    assert read(plain.root / "app") == b"precious"


def test_a_directory_with_files_is_77(plain):
    plain.tree.mkdir()
    write(plain.tree / "precious", b"p")
    plain.set(plain.origin.commit(NEW))
    refused(plain, 77, "--adopt")


def test_files_that_come_during_the_fetch_are_77(plain):
    plain.tree.mkdir()
    plain.set(plain.origin.commit(NEW))
    done = plain.once("--check", f"echo p > {plain.tree}/precious")
    assert done.returncode == 77 and plain.status()["phase"] == "refused"
    assert read(plain.tree / "precious") == b"p\n" and os.listdir(plain.tree) == ["precious"]


def test_a_work_tree_of_somebody_else_is_77(plain):
    plain.origin.commit(OLD)
    plain.git("clone", "-q", plain.origin.path, plain.tree)
    plain.set(plain.origin.commit(NEW))
    refused(plain, 77, "--adopt")
    plain.set(plain.origin.commit(NEW), path="app/d")
    refused(plain, 77, "work tree")


def test_a_path_through_a_deployed_tree_is_77(plain):
    plain.deploy(OLD)
    for path in ("app/new", "app/d/new"):
        plain.set(plain.origin.commit(NEW), path=path)
        refused(plain, 77, "work tree")


def test_a_directory_that_holds_a_deployed_tree_is_77(plain):
    plain.deploy(OLD, path="a/b")
    plain.set(plain.origin.commit(NEW), path="a")
    refused(plain, 77, "--adopt")


def test_another_file_system_on_the_way_is_77(on_disk, needs_root):
    (on_disk.root / "other").mkdir()
    with tmpfs(on_disk.root / "other", "1m"):
        on_disk.set(on_disk.origin.commit(NEW), path="other/app")
        refused(on_disk, 77, "file system")
        on_disk.set(on_disk.origin.commit(NEW), path="other")
        refused(on_disk, 77, "file system")


@contextlib.contextmanager
def tmpfs(path, size):
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    try:
        yield
    finally:
        run("umount", "-l", path)  # a daemon may still be there if the test has failed


def give_away(path):
    os.chown(path, 65534, -1)


def open_to_the_group(path):
    path.chmod(0o770)


def lead_elsewhere(path):
    elsewhere = path.parents[path.parts[::-1].index("root")] / "elsewhere"
    path.rename(elsewhere)
    write(elsewhere / "precious", b"p")
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("how", [give_away, open_to_the_group, lead_elsewhere])
@pytest.mark.parametrize("which", ["", "adopted", "cache", "releases", "work"])
def test_a_folder_of_its_own_that_is_not_its_own_is_78(plain, needs_root, which, how):
    plain.deploy(OLD)
    how(plain.own / which)
    plain.set(plain.origin.commit(NEW))
    before = snapshot(plain.place)
    for run_it in (plain.once, lambda: plain.hooks.run(NAME, *plain.arguments())):
        done = run_it()
        assert done.returncode == 78 and "--root" in done.stderr, done.stderr
    for command in ("rollback", "resume", "status"):
        assert plain.command(command).returncode == 78
    assert snapshot(plain.place) == before


def test_a_ban_that_cannot_be_read_deploys_nothing(plain):
    plain.deploy(OLD)
    (plain.own / "releases" / "app" / "held").mkdir()
    plain.set(plain.origin.commit(NEW))
    refused(plain, 74)


# --check


@pytest.mark.parametrize("then", ["goes", "changes"])
def test_check_is_run_even_if_the_file_goes_or_changes_as_the_tree_is_made(plain, place, then):
    commit = plain.origin.commit(NEW)
    expected = plain.origin.commit(OLD) if then == "changes" else commit
    with waiting_daemon(plain) as (url, go):
        plain.set(commit, url=f"{url}/origin.git")
        check = f"echo $ZKFS_COMMIT >> {place}/checked; false"
        hook = plain.start("--allow-url", url, "--check", check)
        plain.wait("fetching")
        hook.process.send_signal(signal.SIGSTOP)
        go.set()
        wait_for(lambda: has_ended(child_of(hook)), what="the checkout")
        assert (plain.own / "work" / "tree").is_dir()
        if then == "changes":
            plain.set(expected, url=f"{url}/origin.git")
        else:
            plain.file.unlink()
        hook.process.send_signal(signal.SIGCONT)
        plain.wait("failed", code=69, desired=expected, current="")
    assert read(place / "checked").decode().split() == [expected]
    assert not plain.tree.exists()


@contextlib.contextmanager
def waiting_daemon(deploy):
    """git-daemon(1) that answers as soon as the event is set; gives the start of URLs, and that."""
    go = threading.Event()
    argv = [f"{deploy.git.said('--exec-path')}/git-daemon", "--inetd", "--export-all"]
    argv.append(f"--base-path={deploy.place}")

    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as connection:
                    go.wait()
                    ends = {"stdin": connection, "stdout": connection}
                    subprocess.run(argv, env=deploy.git.environment, check=False, **ends)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        try:
            yield f"git://127.0.0.1:{server.getsockname()[1]}", go
        finally:
            go.set()
            server.shutdown(socket.SHUT_RDWR)


def child_of(hook):
    pid = hook.process.pid
    return int(read(f"/proc/{pid}/task/{pid}/children").split()[0])


def has_ended(pid):
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] == b"Z"


# URLs


OTHER_SCHEMES = ["", "ext::sh -c 'touch /x'", "ext::sh", "ext://sh", "/srv/x.git", "x.git"]
OTHER_SCHEMES += ["./x.git", "host:x", "git@host:x.git", "http://example.org/x", "ftp://host/x"]
OTHER_SCHEMES += ["HTTPS://example.org/x", "file:/srv/x.git", "git+ssh://host/x", "https:/host/x"]
OTHER_SCHEMES += ["-https://host/x", " https://host/x", "--upload-pack=touch", "local::x", "fd::1"]


def test_other_schemes_are_77_even_without_allow_url(plain):
    for url in OTHER_SCHEMES:
        plain.set(NOWHERE, url=url)
        refused_bare(plain)


def refused_bare(deploy, *options):
    """Refused before anything is tried; gives all that has been told."""
    done = bare(deploy, *options)
    status = deploy.status()
    assert (done.returncode, status["code"]) == (77, 77), (read(deploy.file), done.stderr)
    assert status["phase"] == "refused" and "fetching" not in done.stderr
    return done.stderr + json.dumps(status, ensure_ascii=False)


def bare(deploy, *options, **kwargs):
    """Without --allow-url."""
    common = ("--root", deploy.root, "--status-dir", deploy.status_dir, "--name", "host")
    return deploy.hooks.run(
        "zkfs-git-deploy", "--config", deploy.file, *common, "--once", "--settle", "0", *options,
        **kwargs,
    )


@pytest.mark.parametrize("scheme", ["git", "file"])
def test_git_and_file_need_an_allow_url_that_names_them(plain, scheme):
    commit = plain.origin.commit(NEW)
    plain.set(commit, url=f"{scheme}://{plain.origin.path}")
    for options in ((), ("--allow-url", "https://example.org/")):
        assert "--allow-url" in refused_bare(plain, *options)


def test_what_no_allow_url_names_is_77(plain):
    plain.deploy(OLD)
    org = plain.place / "org"
    for name in ("org", "org2", "orga/n"):
        shutil.copytree(plain.origin.path, plain.place / name / "x.git")
    commit = plain.origin.said("rev-parse", "main")
    for prefix in (f"file://{org}", f"file://{org}/", f"file://{org}/x.git"):
        for name in ("org2/x.git", "orga/n/x.git", "orga", "org/../org2/x.git", "", "ORG/x.git"):
            plain.set(commit, path="app2", url=f"file://{plain.place}/{name}")
            refused_bare(plain, "--allow-url", prefix)
    assert not (plain.root / "app2").exists()
    for n, prefix in enumerate((f"file://{org}", f"file://{org}/", f"file://{org}/x.git")):
        plain.set(commit, path=f"good{n}", url=f"file://{org}/x.git")
        assert bare(plain, "--allow-url", prefix).returncode == 0


LOOKALIKES = [
    ("https://good.org", "https://good.org.evil.org/x.git"),
    ("https://good.org", "https://good.org@evil.org/x.git"),
    ("https://good.org", "https://good.org:1234/x.git"),
    ("https://good.org/a", "https://good.org/a/../b/x.git"),
    ("https://good.org/a", "https://good.org/a/%2e%2e/b/x.git"),
    ("https://good.org/a", "https://good.org/a/.%2E/b/x.git"),
    ("https://good.org/a", "https://good.org/a/..%2fb/x.git"),
    ("https://good.org/a", "https://good.org/a\\..\\b/x.git"),
    ("https://good.org/a", "https://good.org/ab"),
    ("https://good.org/a", "https://good.org/A/x.git"),
    ("https://good.org", "https://evil.org/https://good.org/"),
    ("https://good.org", "https://evil.org#https://good.org/"),
    ("ssh://git@good.org", "ssh://evil@good.org/x.git"),
    ("ssh://git@good.org", "ssh://git@good.org.evil.org/x.git"),
]


def test_what_only_looks_like_an_allowed_url_is_77(plain):
    for prefix, url in LOOKALIKES:
        plain.set(NOWHERE, url=url)
        refused_bare(plain, "--allow-url", prefix)


WITH_CREDENTIALS = [
    "https://user:secret@127.0.0.1/x.git",
    "https://:secret@127.0.0.1/x.git",
    "https://secret@127.0.0.1/x.git",
    "ssh://user:secret@127.0.0.1/x.git",
    "git://secret@127.0.0.1/x.git",
    "https://user:secret@127.0.0.1",
    "https://user:secret@127.0.0.1/a@b/x.git",
    "https://user:secret@127.0.0.1/../x.git",
    "https://user:secret@127.0.0.1/x.git\n",
]


def test_credentials_in_a_url_are_77_and_told_to_nobody(plain):
    for url in WITH_CREDENTIALS:
        plain.set(NOWHERE, url=url)
        assert "secret" not in refused_bare(plain)


CONTROLS = ["\n", "\r", "\t", "\x1b[2J", "\x7f", "\x01", "\x85"]


def test_control_characters_in_a_url_are_77_and_not_shown(plain):
    for bad in CONTROLS:
        plain.set(NOWHERE, url=f"https://127.0.0.1/x{bad}y.git")
        assert f"x{bad}y" not in refused_bare(plain)
    plain.set(NOWHERE, url="https://127.0.0.1/x y.git")
    refused_bare(plain)


def test_control_characters_of_other_values_are_not_shown(plain):
    for bad in CONTROLS:
        for config in ({"commitId": f"x{bad}y"}, {"relativePath": f"x/../{bad}y"}):
            plain.set_bytes(json.dumps({**plain.config(NOWHERE), **config}).encode())
            done = plain.once()
            assert done.returncode in (65, 77)
            assert f"{bad}y" not in done.stderr + plain.status()["message"]
        plain.set_bytes(f'{{"x{bad}y": '.encode())
        done = plain.once()
        assert done.returncode == 65
        assert f"{bad}y" not in done.stderr + plain.status()["message"]


@pytest.mark.parametrize("scheme", ["git", "https"])
def test_only_the_server_that_is_allowed_is_asked(plain, scheme):
    with socket.create_server(("127.0.0.1", 0)) as evil:
        host = f"127.0.0.1:{evil.getsockname()[1]}"
        prefix = f"{scheme}://127.0.0.1:{free_port()}"
        for rest in (f"/a@{host}/x.git", f"//@{host}/x.git", f"/:a@{host}", f"//{host}/x"):
            plain.set(NOWHERE, url=prefix + rest)
            assert bare(plain, "--allow-url", prefix).returncode in (69, 77)
        evil.settimeout(0)
        with pytest.raises(BlockingIOError):
            evil.accept()


def test_options_in_an_ssh_url_are_77(plain):
    for url in ("ssh://-oProxyCommand=touch/x", "ssh://-x@host/x", "ssh://git@-x/y"):
        plain.set(NOWHERE, url=url)
        refused_bare(plain)


def test_insteadof_of_a_user_is_not_followed(plain):
    plain.deploy(OLD)
    commit = plain.origin.commit(NEW)
    gitconfig = f'[url "{plain.origin.url}"]\n\tinsteadOf = https://127.0.0.1:1/x.git\n'
    write(plain.hooks.folder / ".gitconfig", gitconfig.encode())
    (plain.hooks.folder / ".config" / "git").mkdir(parents=True)
    write(plain.hooks.folder / ".config" / "git" / "config", gitconfig.encode())
    plain.set(commit, url="https://127.0.0.1:1/x.git")
    refused(plain, 69, options=("--allow-url", "https://127.0.0.1:1/"))


def test_hooks_and_filters_of_a_user_are_not_run(plain, place):
    evil = place / "evil"
    evil.mkdir()
    write(evil / "post-checkout", f"#!/bin/sh\ntouch {place}/ran\n".encode())
    (evil / "post-checkout").chmod(0o755)
    text = f'[core]\n\thooksPath = {evil}\n[filter "x"]\n\tsmudge = touch {place}/ran; cat\n'
    write(plain.hooks.folder / ".gitconfig", f"{text}[init]\n\ttemplateDir = {evil}\n".encode())
    plain.deploy({".gitattributes": b"* filter=x\n", **NEW})
    assert not (place / "ran").exists()
    assert not (plain.tree / ".git" / "post-checkout").exists()


# Servers


def test_a_repository_that_is_not_there_is_69(plain):
    plain.deploy(OLD)
    plain.set(NOWHERE, url=f"file://{plain.place}/none.git")
    refused(plain, 69)


def test_git_daemon_without_the_commit_or_the_repository_is_69(plain):
    plain.deploy(OLD)
    with daemon(plain.git, plain.place) as url:
        plain.set(NOWHERE, url=f"{url}/origin.git")
        refused(plain, 69, NOWHERE, options=("--allow-url", url))
        plain.set(NOWHERE, url=f"{url}/none.git")
        refused(plain, 69, options=("--allow-url", url))


def test_a_server_that_is_away_is_69_and_that_is_said(plain):
    plain.deploy(OLD)
    url = f"git://127.0.0.1:{free_port()}"
    plain.set(NOWHERE, url=f"{url}/origin.git")
    refused(plain, 69, "Connection refused", options=("--allow-url", url))


@pytest.mark.parametrize("scheme", ["git", "https", "ssh"])
def test_a_server_that_never_answers_is_75_within_the_timeout(plain, scheme):
    plain.deploy(OLD)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{scheme}://127.0.0.1:{mute.getsockname()[1]}"
        plain.set(NOWHERE, url=f"{url}/x.git")
        start = time.monotonic()
        options = ("--allow-url", url, "--timeout", str(0.5 * SCALE))
        refused(plain, 75, options=options)
        assert time.monotonic() - start < 2 * SCALE


def test_a_change_of_the_file_ends_a_fetch_that_hangs(plain):
    commit = plain.origin.commit(NEW)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"git://127.0.0.1:{mute.getsockname()[1]}"
        plain.set(NOWHERE, url=f"{url}/x.git")
        plain.start("--allow-url", url)
        plain.wait("fetching")
        plain.set(commit)
        plain.wait("deployed", 5, current=commit)


def test_a_server_that_talks_nonsense_is_69(plain):
    plain.deploy(OLD)
    with talking(b"HTTP/1.1 200 OK\r\n\r\n" * 100) as url:
        plain.set(NOWHERE, url=f"{url}/x.git")
        refused(plain, 69, options=("--allow-url", url))
    with talking(b"") as url:
        plain.set(NOWHERE, url=f"{url}/x.git")
        refused(plain, 69, options=("--allow-url", url))


@contextlib.contextmanager
def talking(answer):
    """A server that says just that, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.recv(1000)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"git://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


class SmartServer(http.server.BaseHTTPRequestHandler):
    """git's smart protocol, for the one repository of the server, and redirects to it."""

    def do_GET(self):
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/redirect", f"{self.server.to}/x", 1))
            self.end_headers()
            return
        self.server.asked.append(self.path)
        self.answer("advertisement", b"001e# service=git-upload-pack\n0000", "--advertise-refs")

    def do_POST(self):
        self.answer("result", b"")

    def answer(self, kind, start, *options):
        size = int(self.headers.get("Content-Length") or 0)
        argv = ["git", "upload-pack", "--stateless-rpc", *options, str(self.server.repository)]
        done = subprocess.run(
            argv,
            input=self.rfile.read(size),
            stdout=subprocess.PIPE,
            env=self.server.environment,
            check=False,
        )
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Content-Length", str(len(start + done.stdout)))
        self.end_headers()
        self.wfile.write(start + done.stdout)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def https(deploy, name):
    """A server with a certificate that it has made itself; TLS 1.2, as libgit2's mbedTLS has it."""
    key, certificate = deploy.place / "key.pem", deploy.place / "cert.pem"
    if not key.exists():
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        argv += ["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        argv += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate]
        run(*argv)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SmartServer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.repository, server.environment = deploy.origin.path, deploy.git.environment
    server.asked, server.certificate = [], certificate
    server.url = server.to = f"https://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_https_deploys_with_a_certificate_that_is_trusted_and_is_69_without(plain):
    plain.deploy(OLD)
    commit = plain.origin.commit(NEW)
    with https(plain, "localhost") as server:
        plain.set(commit, url=f"{server.url}/x")
        refused(plain, 69, options=("--allow-url", server.url))
        assert server.asked == []
        done = bare(plain, env={"SSL_CERT_FILE": str(server.certificate)})
        assert done.returncode == 0, done.stderr
    assert plain.is_at(commit) and server.asked


def test_a_certificate_for_another_name_is_69(plain):
    with https(plain, "elsewhere") as server:
        plain.set(plain.origin.commit(NEW), url=f"{server.url}/x")
        assert bare(plain, env={"SSL_CERT_FILE": str(server.certificate)}).returncode == 69
        assert server.asked == []


def test_a_redirect_to_http_is_not_followed(plain):
    plain.deploy(OLD)
    with https(plain, "localhost") as server, https(plain, "localhost") as other:
        server.to = f"http://localhost:{other.server_port}"
        plain.set(plain.origin.commit(NEW), url=f"{server.url}/redirect")
        options = ("--allow-url", server.url)
        refused(plain, 69, options=options, env={"SSL_CERT_FILE": str(other.certificate)})
        assert other.asked == []


def test_a_redirect_to_another_host_is_not_even_connected_to(plain):
    commit = plain.origin.commit(NEW)
    with https(plain, "localhost") as server, socket.create_server(("127.0.0.1", 0)) as evil:
        server.to = f"https://127.0.0.1:{evil.getsockname()[1]}"
        plain.set(commit, url=f"{server.url}/redirect")
        options = ("--allow-url", server.url, "--timeout", str(2 * SCALE))
        done = plain.once(*options, env={"SSL_CERT_FILE": str(server.certificate)})
        evil.settimeout(0)
        with pytest.raises(BlockingIOError):
            evil.accept()
        assert done.returncode == 69


# The disk


@pytest.mark.once
def test_a_full_disk_is_74_and_it_deploys_when_there_is_room(on_disk, needs_root):
    with tmpfs(on_disk.root, "6m"):
        first = on_disk.deploy(OLD)
        write(on_disk.root / "filler", b"x" * (4 << 20))
        before = snapshot(on_disk.tree)
        second = on_disk.origin.commit({"file": os.urandom(2 << 20)})
        on_disk.set(second)
        hook = on_disk.start()
        status = on_disk.wait("failed", code=74, current=first)
        assert status["message"]
        assert snapshot(on_disk.tree) == before
        (on_disk.root / "filler").unlink()
        on_disk.wait("deployed", 20, current=second)
        assert on_disk.is_at(second) and on_disk.is_clean()
        assert hook.stop() == 0


@pytest.mark.once
def test_a_disk_that_is_full_in_the_checkout_is_74(on_disk, needs_root):
    with tmpfs(on_disk.root, "6m"):
        on_disk.deploy(OLD)
        on_disk.set(on_disk.origin.commit({"file": b"x" * (8 << 20)}))  # packs to nothing
        before = snapshot(on_disk.tree)
        assert on_disk.once().returncode == 74
        status = on_disk.status()
        assert (status["phase"], status["code"]) == ("failed", 74)
        assert snapshot(on_disk.tree) == before
