"""zkfs-git-deploy: the commit that a file names is deployed."""

import json
import os
import re
import signal
import socket
import time

import pytest

from support.deploy import HOST, NAME, TOLD, Deployment, deploy, plain, snapshot
from support.files import exists, read, write
from support.git import Executable, Link, daemon
from support.mount import is_running
from support.waiting import SCALE, run, wait_equal, wait_for

A = {"file": b"a\n", "only-a": b"", "d/e/deep": b"a"}
B = {"file": b"b\n", "only-b": b"", "d/e/deep": b"b"}


@pytest.fixture
def mounted(hooks, place, mnt):
    return Deployment(hooks, place, mnt.path)


def holds(tree, files):
    """Whether the tree holds these files, and no others."""
    found = {
        str(path.relative_to(tree)): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(tree).parts
    }
    return found == files


# Deployed


def test_the_commit_is_deployed_as_a_clean_work_tree(deploy):
    commit = deploy.deploy(A)
    assert deploy.head() == commit and deploy.is_clean()
    assert holds(deploy.tree, A)
    assert deploy.leftovers() == []


def test_a_daemon_follows_what_the_file_says(deploy):
    first, second = deploy.origin.commit(A), deploy.origin.commit(B)
    deploy.set(first)
    deploy.start()
    deploy.wait("deployed", current=first)
    assert holds(deploy.tree, A)
    deploy.set(second)
    deploy.wait("deployed", current=second)
    assert holds(deploy.tree, B) and deploy.is_clean()
    deploy.set(first)
    deploy.wait("deployed", current=first)
    assert holds(deploy.tree, A) and deploy.is_clean()


def test_a_commit_that_was_pushed_after_the_first_fetch_is_fetched(plain):
    plain.deploy(A)
    commit = plain.deploy(B)
    assert plain.is_at(commit)
    assert len(list((plain.own / "cache").iterdir())) == 1


def test_a_commit_of_another_branch_and_one_that_is_no_tip_are_found(plain):
    plain.origin.commit(A)
    middle = plain.origin.commit(B, branch="other")
    plain.origin.commit(A, branch="other")
    plain.set(middle)
    assert plain.once().returncode == 0
    assert plain.is_at(middle)


def test_modes_links_and_odd_files_are_as_in_the_commit(plain):
    files = {
        "run": Executable(b"#!/bin/sh\n"),
        "plain": b"",
        "binary": bytes(range(256)) * 100,
        "link": Link("plain"),
        "dangling": Link("/nowhere/at/all"),
        "out": Link("../../.."),
        "to-dir": Link("d"),
        "d/näme with blanks": b"x",
        ".hidden/.gitkeep": b"",
        "-rf": b"",
    }
    commit = plain.deploy(files)
    assert os.access(plain.tree / "run", os.X_OK)
    assert (plain.tree / "run").stat().st_mode & 0o777 == 0o755
    assert (plain.tree / "plain").stat().st_mode & 0o777 == 0o644
    for name, what in files.items():
        if isinstance(what, Link):
            assert os.readlink(plain.tree / name) == what.target
        elif isinstance(what, bytes):
            assert read(plain.tree / name) == what
    assert plain.head() == commit and plain.is_clean()


def test_gitattributes_are_followed_and_the_tree_is_clean_still(plain):
    attributes = b"*.txt text eol=crlf\n*.id ident\n"
    files = {"a.txt": b"1\n2\n", "b": b"1\n2\n", "c.id": b"$Id$\n"}
    plain.deploy({".gitattributes": attributes, **files})
    assert read(plain.tree / "a.txt") == b"1\r\n2\r\n"
    assert read(plain.tree / "b") == b"1\n2\n"
    assert read(plain.tree / "c.id").startswith(b"$Id: ")
    assert plain.is_clean()


def test_a_commit_without_files_is_deployed(plain):
    plain.deploy(A)
    commit = plain.deploy({})
    assert plain.is_at(commit) and plain.is_clean() and os.listdir(plain.tree) == [".git"]


def test_relative_names_are_of_the_working_directory(plain):
    commit = plain.origin.commit(A)
    plain.set(commit)
    options = ("--config", "plain/config", "--root", "root", "--status-dir", "plain/status")
    assert plain.once(*options, cwd=plain.place).returncode == 0
    assert plain.is_at(commit) and plain.status()["phase"] == "deployed"


def test_git_works_in_the_tree(plain):
    first = plain.deploy(A)
    second = plain.deploy(B)
    git = plain.git
    assert git.said("-C", plain.tree, "log", "--format=%H") == f"{second}\n{first}"
    assert git.said("-C", plain.tree, "remote", "get-url", "origin") == plain.origin.url
    git("-C", plain.tree, "fsck", "--no-dangling")


def test_what_is_deployed_already_is_left_alone(deploy):
    commit = deploy.deploy(A)
    before = snapshot(deploy.root)
    assert deploy.once("--post", "exit 1").returncode == 0
    assert snapshot(deploy.root) == before
    assert deploy.status()["current"] == commit


def test_the_same_bytes_written_again_deploy_nothing(deploy, place):
    deploy.set(deploy.origin.commit(A))
    deploy.start("--post", f"echo >> {place}/posts")
    deploy.wait("deployed")
    inode = deploy.tree.stat().st_ino
    deploy.touch()
    second = deploy.origin.commit(B)
    deploy.set(second)
    deploy.wait("deployed", current=second)
    assert read(place / "posts") == b"\n\n"
    assert (deploy.releases()[0]).stat().st_ino == inode


def test_parents_of_the_path_are_made(plain):
    path = "a/b c/äpp%2F"
    commit = plain.deploy(A, path=path)
    assert plain.is_at(commit, path) and plain.is_clean(path)
    assert path in plain.command("status").stdout


def test_an_empty_directory_is_deployed_to(plain):
    plain.tree.mkdir()
    commit = plain.deploy(A)
    assert plain.is_at(commit)
    assert plain.releases() == []


def test_another_path_is_deployed_and_the_old_one_stays(plain):
    plain.deploy(A)
    before = snapshot(plain.tree)
    commit = plain.deploy(B, path="other")
    assert plain.is_at(commit, "other")
    assert snapshot(plain.tree) == before


def test_a_tree_that_somebody_has_removed_comes_back(plain):
    plain.set(plain.origin.commit(A))
    plain.start()
    plain.wait("deployed")
    os.rename(plain.tree, plain.place / "away")
    plain.touch()
    wait_for(lambda: plain.tree.is_dir() and holds(plain.tree, A), what="the tree")


def test_a_file_that_comes_later_goes_and_comes_back(deploy):
    first, second = deploy.origin.commit(A), deploy.origin.commit(B)
    hook = deploy.start()
    deploy.wait("waiting", code=69)
    deploy.set(first)
    deploy.wait("deployed", current=first)
    os.unlink(deploy.file)
    wait_for(lambda: "is not there" in hook.stderr().splitlines()[-1], what="the log")
    assert deploy.is_at(first)
    deploy.set(second)
    deploy.wait("deployed", current=second)


def test_a_file_that_is_renamed_onto_it_is_followed(deploy):
    first, second = deploy.origin.commit(A), deploy.origin.commit(B)
    deploy.set(first)
    deploy.start()
    deploy.wait("deployed", current=first)
    new = deploy.file.with_name("new")
    write(new, json.dumps(deploy.config(second)).encode())
    os.rename(new, deploy.file)
    deploy.wait("deployed", current=second)


def test_unknown_keys_are_passed_over(plain):
    commit = plain.origin.commit(A)
    plain.set_bytes(json.dumps({**plain.config(commit), "more": {"a": [1]}}).encode())
    assert plain.once().returncode == 0
    assert plain.is_at(commit)


def test_a_change_by_another_client_is_deployed_within_five_seconds(mounted, tree):
    first, second = mounted.origin.commit(A), mounted.origin.commit(B)
    mounted.set(first)
    mounted.start()
    mounted.wait("deployed", current=first)
    tree.set("/config", json.dumps(mounted.config(second)).encode())
    mounted.wait("deployed", 5, current=second)


def test_a_mount_that_goes_changes_nothing_and_its_return_is_followed(mounted, mnt, tree):
    first, second = mounted.origin.commit(A), mounted.origin.commit(B)
    mounted.set(first)
    hook = mounted.start()
    mounted.wait("deployed", current=first)
    mnt.kill()
    tree.client.set(tree.path("/config"), json.dumps(mounted.config(second)).encode())
    assert hook.alive() and mounted.is_at(first)
    mnt.start()
    mounted.wait("deployed", 30, current=second)
    assert mounted.is_at(second)


# Transports


def test_by_git_daemon(plain):
    first = plain.origin.commit(A)
    second = plain.origin.commit(B)
    with daemon(plain.git, plain.place) as url:
        for commit in (second, first):
            plain.set(commit, url=f"{url}/origin.git")
            assert plain.once("--allow-url", url).returncode == 0
            assert plain.is_at(commit)


def test_what_is_in_the_cache_needs_no_server(plain):
    first, second = plain.deploy(A), plain.deploy(B)
    plain.origin.path.rename(plain.place / "away")
    plain.set(first)
    assert plain.once().returncode == 0
    assert plain.is_at(first)
    plain.set(second)
    assert plain.once().returncode == 0
    assert plain.is_at(second)


# Old trees, and what others have done in the tree


def test_who_works_in_the_old_tree_keeps_it_whole(plain):
    plain.deploy(A)
    fd = os.open(plain.tree, os.O_RDONLY)
    plain.deploy(B)
    assert read_at(fd, "file") == b"a\n" and read_at(fd, "d/e/deep") == b"a"
    os.close(fd)


def read_at(fd, name):
    handle = os.open(name, os.O_RDONLY, dir_fd=fd)
    try:
        return os.read(handle, 1 << 20)
    finally:
        os.close(handle)


def test_as_many_old_trees_are_kept_as_were_asked_for(plain):
    for n in range(5):
        plain.deploy({"file": b"%d" % n}, "--keep", "2")
    assert [read(path / "file") for path in plain.releases()] == [b"2", b"3"]
    plain.deploy(A, "--keep", "0")
    assert plain.releases() == []


def test_three_old_trees_are_kept_without_keep(plain):
    for n in range(6):
        plain.deploy({"file": b"%d" % n})
    assert [read(path / "file") for path in plain.releases()] == [b"2", b"3", b"4"]


def test_a_tree_with_changes_is_replaced_and_kept_with_them(plain):
    plain.deploy(A)
    write(plain.tree / "file", b"changed\n")
    write(plain.tree / "untracked", b"u\n")
    (plain.tree / "only-a").unlink()
    commit = plain.deploy(B)
    assert plain.is_at(commit) and plain.is_clean() and holds(plain.tree, B)
    (old,) = plain.releases()
    assert read(old / "file") == b"changed\n" and read(old / "untracked") == b"u\n"


def test_what_untracked_links_in_the_tree_point_to_is_never_touched(plain, place):
    outside = place / "outside"
    (outside / "e").mkdir(parents=True)
    write(outside / "file", b"outside")
    write(outside / "e" / "deep", b"outside")
    before = snapshot(outside)
    plain.deploy({"other": b""}, "--keep", "1")
    (plain.tree / "d").symlink_to(outside)
    (plain.tree / "file").symlink_to(outside / "file")
    plain.deploy(A, "--keep", "1")
    assert holds(plain.tree, A) and not (plain.tree / "d").is_symlink()
    plain.deploy(B, "--keep", "1")  # and the tree with the links is removed
    plain.deploy(A, "--keep", "0")
    assert snapshot(outside) == before


def test_what_tracked_links_point_to_is_never_touched(plain, place):
    outside = place / "outside"
    (outside / "e").mkdir(parents=True)
    write(outside / "e" / "deep", b"outside")
    before = snapshot(outside)
    plain.deploy({"d": Link(str(outside)), "file": Link(str(outside / "e" / "deep"))})
    plain.deploy(A, "--keep", "0")
    assert holds(plain.tree, A)
    assert snapshot(outside) == before


def test_adopt_takes_a_directory_with_files_and_keeps_it(plain):
    plain.tree.mkdir()
    write(plain.tree / "precious", b"p")
    commit = plain.deploy(A, "--adopt")
    assert plain.is_at(commit) and holds(plain.tree, A)
    for name in "bcdef":
        plain.deploy({name: b""}, "--adopt", "--keep", "1")
    kept = [path for path in plain.own.rglob("precious")]
    assert [read(path) for path in kept] == [b"p"]


# The commands


def test_check_is_run_in_the_new_tree_before_it_is_published(plain, place):
    first = plain.deploy(A)
    out = place / "out"
    check = f"(pwd; cat file {plain.tree}/file; {TOLD}) > {out}"
    second = plain.deploy(B, "--check", check)
    lines = read(out).decode().splitlines()
    assert lines[1:3] == ["b", "a"]
    variables = dict(line.split("=", 1) for line in lines[3:])
    assert lines[0] == variables["ZKFS_TREE"] != str(plain.tree)
    assert variables["ZKFS_COMMIT"] == second and variables["ZKFS_PREVIOUS"] == first
    assert variables["ZKFS_URL"] == plain.origin.url


def test_what_check_refuses_is_not_published(plain):
    first = plain.deploy(A)
    before = snapshot(plain.tree)
    second = plain.origin.commit(B)
    plain.set(second)
    done = plain.once("--check", "grep -q a file")
    assert done.returncode == 69
    status = plain.status()
    assert (status["phase"], status["code"], status["current"]) == ("failed", 69, first)
    assert status["desired"] == second and "--check" in status["message"]
    assert snapshot(plain.tree) == before
    assert plain.once("--check", "grep -q b file").returncode == 0
    assert plain.is_at(second)


def test_post_is_run_in_the_published_tree_with_its_environment(plain, place):
    out = place / "out"
    post = f"(pwd; {TOLD}) > {out}"
    first = plain.deploy(A, "--post", post)
    lines = [str(plain.tree), f"ZKFS_COMMIT={first}", "ZKFS_PREVIOUS=", f"ZKFS_TREE={plain.tree}"]
    assert read(out).decode().splitlines() == [*lines, f"ZKFS_URL={plain.origin.url}"]
    second = plain.deploy(B, "--post", post)
    lines = [str(plain.tree), f"ZKFS_COMMIT={second}", f"ZKFS_PREVIOUS={first}"]
    assert read(out).decode().splitlines()[:3] == lines


def test_post_that_fails_is_tried_again_and_the_tree_stays(deploy, place):
    commit = deploy.origin.commit(A)
    deploy.set(commit)
    deploy.start("--post", f"echo x >> {place}/runs; [ -e {place}/good ]")
    status = deploy.wait("failed", code=69, current=commit)
    assert "--post" in status["message"]
    assert deploy.is_at(commit)
    (place / "good").touch()
    deploy.wait("deployed", current=commit, code=0)
    assert len(read(place / "runs").split()) >= 2


def test_post_that_failed_is_run_after_a_restart_and_then_no_more(plain, place):
    plain.set(plain.origin.commit(A))
    post = ("--post", f"echo x >> {place}/runs; [ -e {place}/good ]")
    assert plain.once(*post).returncode == 69
    (place / "good").touch()
    assert plain.once(*post).returncode == 0
    assert plain.once(*post).returncode == 0
    assert read(place / "runs") == b"x\nx\n"


def test_post_that_is_due_is_run_though_the_file_now_names_an_unknown_commit(plain, place):
    commit = plain.origin.commit(A)
    plain.set(commit)
    post = ("--post", f"echo x >> {place}/runs; [ -e {place}/good ]")
    assert plain.once(*post).returncode == 69
    (place / "good").touch()
    plain.set("1" * 40)
    plain.start(*post)
    wait_equal(lambda: read(place / "runs"), b"x\nx\n")
    plain.wait("failed", code=69, desired="1" * 40, current=commit)
    wait_for(lambda: "--post" not in plain.command("status").stdout, what="the record")


def test_post_that_is_run_again_is_told_the_same(plain, place):
    plain.deploy(A)
    plain.set(plain.origin.commit(B))
    post = ("--post", f"{TOLD} >> {place}/told; [ -e {place}/good ]")
    assert plain.once(*post).returncode == 69
    told = read(place / "told")
    (place / "good").touch()
    assert plain.once(*post).returncode == 0
    assert read(place / "told") == 2 * told


def test_killed_in_post_it_is_run_again(plain, place):
    plain.set(plain.origin.commit(A))
    post = ("--post", f"echo x >> {place}/runs; [ -e {place}/good ] || exec sleep 1000")
    hook = plain.start(*post)
    plain.wait("posting")
    wait_for((place / "runs").exists, what="the command")
    hook.kill()
    (place / "good").touch()
    assert plain.once(*post).returncode == 0
    assert read(place / "runs") == b"x\nx\n"


@pytest.mark.parametrize("which", ["--check", "--post"])
def test_a_hung_command_is_ended_with_its_group(plain, place, which):
    plain.deploy({"file": b"old\n"})
    before = snapshot(plain.tree)
    commit = plain.origin.commit(A)
    plain.set(commit)
    script = f"trap '' TERM; sleep 1000 & echo $! > {place}/pid; wait; sleep 1000"
    start = time.monotonic()
    done = plain.once("--timeout", str(0.5 * SCALE), which, script)
    assert done.returncode == 75
    assert time.monotonic() - start < 8 * SCALE
    status = plain.status()
    assert (status["phase"], status["code"]) == ("failed", 75) and which in status["message"]
    pid = int((place / "pid").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or not is_running(pid))
    assert (snapshot(plain.tree) == before) == (which == "--check")
    assert plain.is_at(commit) == (which == "--post")


def test_sigterm_ends_it_with_its_command(plain, place):
    plain.set(plain.origin.commit(A))
    hook = plain.start("--check", f"echo $$ > {place}/pid; exec sleep 1000")
    plain.wait("checking")
    pid = int(wait_for(lambda: (place / "pid").exists() and read(place / "pid")))
    assert hook.stop() == 0
    assert not os.path.exists(f"/proc/{pid}")
    assert not plain.is_locked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(plain, number):
    plain.set(plain.origin.commit(A))
    hook = plain.start()
    plain.wait("deployed")
    hook.process.send_signal(number)
    assert hook.process.wait(timeout=10 * SCALE) == 0


def ignore_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def test_whoever_starts_it_may_ignore_sigchld(plain, place):
    first, second = plain.origin.commit(A), plain.origin.commit(B)
    for commit in (first, second):
        plain.set(commit)
        commands = ("--check", f"echo c >> {place}/runs", "--post", f"echo p >> {place}/runs")
        done = plain.once(*commands, preexec_fn=ignore_children)
        assert done.returncode == 0, done.stderr
        assert plain.is_at(commit)
    post = f"echo r >> {place}/runs"
    done = plain.command("rollback", "--post", post, preexec_fn=ignore_children)
    assert done.returncode == 0, done.stderr
    assert plain.is_at(first) and read(place / "runs") == b"c\np\nc\np\nr\n"


# The status


def test_the_status_has_all_its_fields_in_one_line(deploy):
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    commit = deploy.deploy(A)
    text = read(deploy.status_dir / HOST).decode()
    status = json.loads(text)
    assert "\n" not in text.rstrip("\n")
    expected = {"host": HOST, "phase": "deployed", "desired": commit, "current": commit}
    expected |= {"code": 0, "relativePath": "app"}
    assert expected.items() <= status.items()
    assert isinstance(status["message"], str)
    assert before <= status["time"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_the_phases_of_a_deployment_are_told(deploy, place):
    first, second = deploy.origin.commit(A), deploy.origin.commit(B)
    for name in ("check", "post"):
        os.mkfifo(place / name)
    deploy.set(first)
    deploy.start("--check", f"read line < {place}/check", "--post", f"read line < {place}/post")
    for commit, previous in ((first, ""), (second, first)):
        deploy.set(commit)
        deploy.wait("checking", desired=commit, current=previous)
        write(place / "check", b"go\n", 0)
        deploy.wait("posting", desired=commit, current=commit)
        write(place / "post", b"go\n", 0)
        deploy.wait("deployed", desired=commit, current=commit)


def test_fetching_is_told(plain):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"git://127.0.0.1:{mute.getsockname()[1]}"
        plain.set("1" * 40, url=f"{url}/x.git")
        plain.start("--allow-url", url)
        plain.wait("fetching", desired="1" * 40, current="")


def test_the_status_on_a_mount_goes_when_the_daemon_is_killed(mounted, tree):
    mounted.set(mounted.origin.commit(A))
    hook = mounted.start()
    mounted.wait("deployed")
    assert tree.stat(f"/status/{HOST}").ephemeralOwner != 0
    hook.kill()
    wait_for(lambda: not exists(mounted.status_dir / HOST), 5, "the status to go")


def test_the_status_on_a_mount_of_once_stays_and_is_ephemeral(mounted, tree):
    mounted.deploy(A)
    assert mounted.status()["phase"] == "deployed"
    assert tree.stat(f"/status/{HOST}").ephemeralOwner != 0
    mounted.start()
    second = mounted.origin.commit(B)
    mounted.set(second)
    mounted.wait("deployed", current=second)


def test_the_status_of_a_daemon_that_was_killed_is_taken_over(deploy):
    first = deploy.origin.commit(A)
    second = deploy.origin.commit(B)
    deploy.set(first)
    hook = deploy.start()
    deploy.wait("deployed", current=first)
    hook.kill()
    deploy.set(second)
    deploy.start()
    deploy.wait("deployed", current=second)


def test_the_status_in_any_directory_is_removed_at_the_end(deploy):
    deploy.set(deploy.origin.commit(A))
    hook = deploy.start()
    deploy.wait("deployed")
    assert hook.stop() == 0
    wait_for(lambda: not exists(deploy.status_dir / HOST), 5, "the status to go")
    assert list(deploy.status_dir.iterdir()) == []


def test_several_hosts_have_a_status_each(deploy, place):
    commit = deploy.origin.commit(A)
    deploy.set(commit)
    for name in ("server1", "server2"):
        (place / name).mkdir()
        deploy.start("--name", name, "--root", place / name)
    for name in ("server1", "server2"):
        wait_equal(lambda: deploy.status(name).get("phase"), "deployed")
        assert deploy.status(name)["host"] == name
        assert deploy.git.said("-C", place / name / "app", "rev-parse", "HEAD") == commit
    assert sorted(os.listdir(deploy.status_dir)) == ["server1", "server2"]


def test_the_status_of_another_is_not_overwritten(deploy, place):
    commit = deploy.origin.commit(A)
    deploy.set(commit)
    deploy.start()
    deploy.wait("deployed")
    before = read(deploy.status_dir / HOST)
    (place / "other").mkdir()
    hook = deploy.start("--root", place / "other")
    wait_for(lambda: (place / "other" / "app").is_dir(), what="the deployment")
    wait_for(lambda: "somebody else" in hook.stderr(), what="the log")
    assert read(deploy.status_dir / HOST) == before
    assert hook.stop() == 0
    assert read(deploy.status_dir / HOST) == before


def test_the_status_of_one_that_follows_another_file_is_not_overwritten_nor_removed(deploy):
    """The same host, root and name."""
    first, second = deploy.origin.commit(A), deploy.origin.commit(B)
    deploy.set(first)
    one = deploy.start()
    deploy.wait("deployed", current=first)
    before = read(deploy.status_dir / HOST)
    other = deploy.file.with_name("config2")
    write(other, json.dumps(deploy.config(second, "app2")).encode())
    two = deploy.start("--config", other)
    wait_for(lambda: "somebody else" in two.stderr(), what="the log")
    wait_for(lambda: "deployed" in two.stderr(), what="the deployment")
    assert read(deploy.status_dir / HOST) == before
    assert two.stop() == 0
    assert read(deploy.status_dir / HOST) == before
    deploy.set(second)
    deploy.wait("deployed", current=second, relativePath="app")
    assert one.stop() == 0
    wait_for(lambda: not exists(deploy.status_dir / HOST), 5, "the status to go")


def test_the_default_of_the_name_is_that_of_the_host(plain):
    plain.set(plain.origin.commit(A))
    options = ("--root", plain.root, "--status-dir", plain.status_dir, "--once")
    done = plain.hooks.run(
        NAME, "--config", plain.file, *options, "--allow-url", f"file://{plain.place}"
    )
    assert done.returncode == 0
    assert os.listdir(plain.status_dir) == [socket.gethostname()]


def test_a_status_directory_that_comes_later_is_written_to(plain):
    plain.status_dir.rmdir()
    plain.set(plain.origin.commit(A))
    plain.start()
    wait_for(lambda: plain.tree.is_dir(), what="the deployment")
    plain.status_dir.mkdir()
    plain.wait("deployed")


# Options


def test_dry_run_does_nothing(plain):
    commit = plain.origin.commit(A)
    plain.set(commit)
    done = plain.once("--dry-run", "--post", "false", "--check", "false")
    assert done.returncode == 0 and commit in done.stderr
    assert list(plain.root.iterdir()) == [] and list(plain.status_dir.iterdir()) == []


def test_dry_run_says_what_would_be_refused(plain):
    plain.set("short")
    assert plain.once("--dry-run").returncode == 65
    assert list(plain.status_dir.iterdir()) == []


@pytest.mark.once
def test_splay_is_always_the_same_for_one_host(plain):
    plain.set(plain.origin.commit(A))
    names = [f"host{n}" for n in range(5)]
    took = {}
    for turn in range(2):
        for name in names:
            root = plain.place / f"{name}-{turn}"
            root.mkdir()
            plain.start("--root", root, "--name", name, "--splay", "3")
            took[name, turn] = -time.time()
    for (name, turn), start in took.items():
        tree = plain.place / f"{name}-{turn}" / "app"
        wait_for(tree.is_dir, 3 + 10, "the deployment")
        took[name, turn] = tree.stat().st_ctime + start
    assert all(abs(took[name, 0] - took[name, 1]) < 1 for name in names), took
    assert max(took.values()) - min(took.values()) > 1, took


def test_the_splay_is_waited_for_even_if_the_same_bytes_are_written_again(plain):
    plain.set(plain.origin.commit(A))
    plain.start("--splay", "10000")
    for _ in range(3):
        with pytest.raises(AssertionError):
            wait_for(plain.tree.exists, 0.2)
        plain.touch()


def test_json_logs_are_json_a_line(plain):
    commit = plain.origin.commit(A)
    plain.set(commit)
    lines = plain.once("--log-format", "json").stderr.splitlines()
    assert any(commit in json.loads(line)["message"] for line in lines)


def test_systemd_is_told_and_the_watchdog_is_fed(plain, place):
    commit = plain.origin.commit(A)
    plain.set(commit)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(place / "notify"))
        sock.settimeout(10 * SCALE)
        env = {"NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "200000"}
        hook = plain.start(env=env)
        wanted = [b"READY=1", commit.encode(), b"WATCHDOG=1"]
        while wanted:
            told = sock.recv(4096)
            wanted = [text for text in wanted if text not in told]
        assert hook.stop() == 0
        while b"STOPPING=1" not in sock.recv(4096):
            pass


def test_it_does_not_run_while_nothing_happens(plain):
    plain.set(plain.origin.commit(A))
    hook = plain.start()
    plain.wait("deployed")

    def ticks():
        stat = read(f"/proc/{hook.process.pid}/stat").decode().rpartition(")")[2].split()
        return int(stat[11]) + int(stat[12])

    before = ticks()
    time.sleep(0.5)
    assert ticks() - before <= 5  # of 50


def test_it_shows_its_progress_on_a_terminal(plain, place):
    plain.set(plain.origin.commit({f"{n}": b"%d" % n for n in range(50)}))
    program = " ".join(str(word) for word in (place / "x", *plain.arguments("--once")))
    (place / "x").symlink_to(plain.hooks.program(NAME))
    done = run("script", "-qec", program, "/dev/null", env=plain.hooks.environment)
    assert re.search(r"\033\[K\w+( \w+)?: \d+ % \(\d+ of \d+\)", done.stdout)
    assert "%" not in plain.once().stderr


WRONG = ["--nonsense", "more", "rollback more", "--keep x", "--keep -1", "--timeout x"]
WRONG += ["--splay -1", "--settle x", "--name ", "--name a/b", "--name ..", "--allow-url ftp://x/"]
WRONG += ["--timeout 0", "--allow-url ", "--log-format xml", "--config"]


def test_wrong_command_lines_are_64(plain):
    plain.set(plain.origin.commit(A))
    for options in WRONG:
        assert plain.once(*options.split(" ")).returncode == 64, options
    assert list(plain.root.iterdir()) == []


def test_what_is_missing_on_the_command_line_is_64(plain):
    def status(*argv):
        return plain.hooks.run(NAME, *argv).returncode

    assert status() == 64
    assert status("--config", plain.file) == 64
    assert status("--root", plain.root) == 64
    assert status("rollback") == 64
    assert status("resume") == 64
    assert status("status") == 64
    assert status("rollback", "--root", plain.root, "--path", "../x") == 64


def test_a_root_that_cannot_be_used_is_78(plain, place):
    plain.set(plain.origin.commit(A))
    assert plain.once("--root", place / "none").returncode == 78
    write(place / "file", b"")
    assert plain.once("--root", place / "file").returncode == 78
    assert plain.hooks.run(NAME, *plain.arguments("--root", place / "none")).returncode == 78
    for command in ("rollback", "resume", "status"):
        assert plain.hooks.run(NAME, command, "--root", place / "none").returncode == 78


def test_help_and_version(plain):
    done = plain.hooks.run(NAME, "--help")
    assert done.returncode == 0 and "--allow-url" in done.stdout and "rollback" in done.stdout
    assert plain.hooks.run(NAME, "--version").returncode == 0
