"""zkfs-git-deploy rollback, resume and status: what people do with what is deployed."""

import contextlib
import json
import os
import re
import threading

import pytest

from support.deploy import NAME, TOLD, deploy, plain, snapshot
from support.files import read, write
from support.inotify import CREATE, MOVED_TO, Inotify
from support.waiting import SCALE, wait_equal, wait_for


def deploy_all(deploy, *names):
    return [deploy.deploy({"file": name.encode()}) for name in names]


def test_rollback_brings_back_the_tree_before_with_what_was_changed_in_it(plain):
    first = plain.deploy({"file": b"a"})
    write(plain.tree / "upload", b"u")
    plain.deploy({"file": b"b"})
    assert not (plain.tree / "upload").exists()
    assert plain.command("rollback").returncode == 0
    assert plain.is_at(first) and read(plain.tree / "file") == b"a"
    assert read(plain.tree / "upload") == b"u"
    assert plain.leftovers() == []


def test_rollback_twice_goes_back_twice(plain):
    first, second, _ = deploy_all(plain, "a", "b", "c")
    assert plain.command("rollback").returncode == 0
    assert plain.is_at(second)
    assert plain.command("rollback").returncode == 0
    assert plain.is_at(first)
    done = plain.command("rollback")
    assert done.returncode == 69 and plain.is_at(first)


def test_rollback_goes_past_what_was_taken_back(plain):
    first, _ = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    deploy_all(plain, "c")
    plain.command("rollback", check=True)
    assert plain.is_at(first)


def test_what_was_taken_back_is_the_first_that_is_not_kept(plain):
    first, _ = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    plain.deploy({"file": b"c"}, "--keep", "1")
    assert [read(tree / "file") for tree in plain.releases()] == [b"a"]
    plain.command("rollback", check=True)
    assert plain.is_at(first)


def test_rollback_with_nothing_to_go_back_to_is_69(plain):
    assert plain.command("rollback").returncode == 69
    (commit,) = deploy_all(plain, "a")
    assert plain.command("rollback").returncode == 69
    assert plain.is_at(commit)


def test_what_was_rolled_back_is_held_by_once(deploy):
    first, second = deploy_all(deploy, "a", "b")
    deploy.command("rollback", check=True)
    for _ in range(2):
        done = deploy.once()
        status = deploy.status()
        assert done.returncode == status["code"] == 77
        assert (status["phase"], status["desired"], status["current"]) == ("held", second, first)
    assert deploy.is_at(first)


def test_after_a_second_rollback_the_newest_is_held_still(plain):
    first, _, _ = deploy_all(plain, "a", "b", "c")
    plain.command("rollback", check=True)
    plain.command("rollback", check=True)
    assert plain.once().returncode == 77
    assert plain.is_at(first)


def test_another_commit_ends_what_is_held(plain):
    first, second = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    assert plain.once().returncode == 77
    third = plain.deploy({"file": b"c"})
    assert plain.is_at(third)
    plain.set(second)
    assert plain.once().returncode == 0
    assert plain.is_at(second)
    plain.set(first)
    assert plain.once().returncode == 0


def test_the_commit_that_is_live_ends_what_is_held_too(plain):
    first, second = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    plain.start()
    plain.wait("held", desired=second)
    plain.set(first)
    plain.wait("deployed", current=first)
    plain.set(second)
    plain.wait("deployed", current=second)
    assert plain.is_at(second)


def test_resume_deploys_what_was_held(plain):
    _, second = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    assert plain.once().returncode == 77
    assert plain.command("resume").returncode == 0
    assert plain.once().returncode == 0
    assert plain.is_at(second)


def test_a_daemon_holds_what_was_rolled_back_until_resume(deploy):
    first, second = deploy_all(deploy, "a", "b")
    deploy.start()
    deploy.wait("deployed", current=second)
    deploy.command("rollback", check=True)
    deploy.wait("held", code=77, desired=second, current=first)
    assert deploy.is_at(first)
    deploy.command("resume", check=True)
    deploy.wait("deployed", current=second)


def test_a_second_rollback_of_what_is_held_is_told(plain):
    first, second, third = deploy_all(plain, "a", "b", "c")
    plain.start()
    plain.wait("deployed", current=third)
    for commit in (second, first):
        plain.command("rollback", check=True)
        plain.wait("held", desired=third, current=commit)


def test_a_restart_does_not_end_what_is_held(plain):
    first, second = deploy_all(plain, "a", "b")
    plain.command("rollback", check=True)
    plain.start().stop()
    plain.start()
    plain.wait("held", desired=second, current=first)
    assert plain.is_at(first)


def test_post_of_a_rollback_is_run_in_the_tree(plain, place):
    first, second = deploy_all(plain, "a", "b")
    post = f"(pwd; cat file; echo; {TOLD}) > {place}/out"
    assert plain.command("rollback", "--post", post).returncode == 0
    expected = [str(plain.tree), "a", f"ZKFS_COMMIT={first}", f"ZKFS_PREVIOUS={second}"]
    expected += [f"ZKFS_TREE={plain.tree}", f"ZKFS_URL={plain.origin.url}"]
    assert read(place / "out").decode().splitlines() == expected


def test_post_of_a_rollback_that_fails_is_told(plain):
    first, _ = deploy_all(plain, "a", "b")
    assert plain.command("rollback", "--post", "exit 3").returncode == 69
    assert plain.is_at(first)


def test_rollback_with_post_while_a_daemon_follows_is_never_in_its_way(plain, place):
    commits = []
    for n in range(11):
        commits.append(plain.deploy({"file": b"%d" % n}, "--keep", "1000"))
    plain.start("--settle", "0", "--post", f"echo daemon >> {place}/runs")
    plain.wait("deployed", current=commits[-1])
    with waking(plain):
        for commit in commits[-2::-1]:
            done = plain.command("rollback", "--post", f"echo rollback >> {place}/runs")
            assert done.returncode == 0, done.stderr
            assert plain.is_at(commit)
    plain.wait("held", desired=commits[-1], current=commits[0])
    assert read(place / "runs") == 10 * b"rollback\n"


@contextlib.contextmanager
def waking(deploy):
    """The daemon looks whether all is as it should be, over and over."""
    ended = threading.Event()

    def wake():
        while not ended.wait(0.002):
            os.close(os.open(deploy.file, os.O_WRONLY))

    thread = threading.Thread(target=wake)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_without_post_the_daemon_runs_its_own_once(plain, place):
    first, second = deploy_all(plain, "a", "b")
    plain.start("--post", f"cat file >> {place}/runs; echo >> {place}/runs")
    plain.wait("deployed", current=second)
    plain.command("rollback", check=True)
    plain.wait("held", current=first)
    assert read(place / "runs") == b"a\n"
    plain.touch()
    plain.command("resume", check=True)
    plain.wait("deployed", current=second)
    assert read(place / "runs") == b"a\nb\n"


def test_several_paths_need_a_path(plain):
    first = plain.deploy({"file": b"1"})
    other_first = plain.deploy({"file": b"x"}, path="d/other")
    second = plain.deploy({"file": b"2"})
    plain.deploy({"file": b"y"}, path="d/other")
    done = plain.command("rollback")
    assert done.returncode == 64 and "--path" in done.stderr
    assert plain.command("resume").returncode == 64
    assert plain.command("rollback", "--path", "d/other").returncode == 0
    assert plain.is_at(other_first, "d/other") and plain.is_at(second)
    assert plain.command("rollback", "--path", "app").returncode == 0
    assert plain.is_at(first)
    assert plain.command("rollback", "--path", "none").returncode == 69


def test_rollback_while_a_deployment_is_under_way_waits_for_it(plain, place):
    _, second = deploy_all(plain, "a", "b")
    third = plain.origin.commit({"file": b"c"})
    plain.set(third)
    plain.start("--check", f"until [ -e {place}/go ]; do sleep 0.01; done")
    plain.wait("checking")
    rollback = plain.hooks.start(NAME, "rollback", "--root", plain.root)
    wait_for(lambda: "under way" in rollback.stderr(), 10, "rollback to wait")
    (place / "go").touch()
    assert rollback.process.wait(timeout=10 * SCALE) == 0
    plain.wait("held", desired=third, current=second)
    assert plain.is_at(second)


def test_rollback_after_a_deployment_that_check_has_refused(plain):
    first, _ = deploy_all(plain, "a", "b")
    plain.set(plain.origin.commit({"file": b"c"}))
    assert plain.once("--check", "false").returncode == 69
    done = plain.command("rollback")
    assert done.returncode == 0, done.stderr
    assert plain.is_at(first) and plain.leftovers() == []


def test_rollback_after_a_daemon_was_killed_in_the_middle(plain):
    first, _ = deploy_all(plain, "a", "b")
    plain.set(plain.origin.commit({"file": b"c"}))
    hook = plain.start("--check", "exec sleep 1000")
    plain.wait("checking")
    hook.kill()
    done = plain.command("rollback")
    assert done.returncode == 0, done.stderr
    assert plain.is_at(first) and plain.leftovers() == []


def test_a_rollback_that_fails_holds_nothing(plain):
    (commit,) = deploy_all(plain, "a")
    assert plain.command("rollback").returncode == 69
    assert "held" not in plain.command("status").stdout
    plain.tree.rename(plain.place / "away")
    assert plain.once().returncode == 0
    assert plain.is_at(commit)


def test_status_of_a_root_tells_what_is_deployed_kept_and_held(plain):
    first, second = deploy_all(plain, "a", "b")
    other = plain.deploy({"file": b"x"}, path="d/other")
    out = plain.command("status", check=True).stdout
    blocks = paragraphs(out)
    assert second in blocks["app"][0] and any(first in line for line in blocks["app"][1:])
    assert other in blocks["d/other"][0] and len(blocks["d/other"]) == 1
    plain.command("rollback", "--path", "app", check=True)
    blocks = paragraphs(plain.command("status", check=True).stdout)
    assert first in blocks["app"][0]
    assert any("held" in line and second in line for line in blocks["app"][1:])


def paragraphs(text):
    """The lines of each path, by path."""
    found = {}
    for line in text.splitlines():
        if not line.startswith(" "):
            path = line.partition(":")[0]
            found[path] = []
        found[path].append(line)
    return found


def test_status_of_a_root_without_anything_is_empty(plain):
    done = plain.command("status")
    assert done.returncode == 0 and done.stdout == ""


def fleet(deploy):
    """What status --status-dir prints, a line a host."""
    done = deploy.hooks.run(NAME, "status", "--status-dir", deploy.status_dir)
    assert done.returncode == 0
    return done.stdout.splitlines()


def words(line):
    """The words of a line; of an id, which may be shortened, only the first digits."""
    return {re.sub(r"^([0-9a-f]{8})[0-9a-f]*$", r"\1", word) for word in line.split()}


def test_status_of_the_hosts_tells_how_each_fares(deploy, place):
    first, second = deploy.origin.commit({"file": b"a"}), deploy.origin.commit({"file": b"b"})
    deploy.set(first)
    for name in ("server1", "server2"):
        (place / name).mkdir()
        check = "true" if name == "server1" else "grep -q a file"
        deploy.start("--name", name, "--root", place / name, "--check", check)
        wait_equal(lambda: deploy.status(name).get("phase"), "deployed")
    deploy.set(second)
    wait_equal(lambda: deploy.status("server1").get("current"), second)
    wait_equal(lambda: deploy.status("server2").get("phase"), "failed")
    wait_equal(lambda: deploy.status("server1").get("phase"), "deployed")
    lines = fleet(deploy)
    assert any({"server1", "deployed", second[:8]} <= words(line) for line in lines), lines
    assert any({"server2", "failed", first[:8]} <= words(line) for line in lines), lines


def test_status_of_the_hosts_passes_over_what_is_no_status(plain):
    plain.deploy({"file": b"a"})
    (plain.status_dir / "rubbish").write_bytes(b"nonsense")
    (plain.status_dir / "evil").write_bytes(b'{"host": "\\u001b[2J", "phase": 1}')
    (plain.status_dir / "folder").mkdir()
    lines = fleet(plain)
    assert any("host" in line and "deployed" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_what_is_written_on_the_way_to_a_status_is_not_listed(plain):
    watcher = Inotify().watch(plain.status_dir, CREATE | MOVED_TO)
    plain.deploy({"file": b"a"})
    watcher.read()
    watcher.close()
    hidden = {name for _, name, _ in watcher.events if name != "host"}
    assert hidden and all(name.startswith(".") for name in hidden), watcher.events
    before = fleet(plain)
    for name in hidden:  # as whoever was killed would leave it
        write(plain.status_dir / name, read(plain.status_dir / "host"))
    assert fleet(plain) == before and len(before) == 1


@pytest.mark.parametrize("content", ["a-secret", "a-status-of-ours"])
def test_a_status_that_is_a_link_is_not_written_through(plain, place, content):
    plain.deploy({"file": b"a"})
    status, private = plain.status_dir / "host", place / "private"
    write(private, b"secret" if content == "a-secret" else read(status))
    private.chmod(0o600)
    before = read(private)
    status.unlink()
    status.symlink_to(private)
    plain.deploy({"file": b"b"})
    plain.start().stop()
    assert read(private) == before and private.stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_the_special_files_of_a_mount_is_not_written_through(plain, place):
    write(place / "private", b"secret")
    for name in (".lease", ".ephemeral"):
        (plain.status_dir / name).symlink_to(place / "private")
    plain.deploy({"file": b"a"})
    plain.start().stop()
    assert read(place / "private") == b"secret"


def test_status_of_no_such_directory_is_69(plain, place):
    done = plain.hooks.run(NAME, "status", "--status-dir", place / "none")
    assert done.returncode in (69, 78) and done.stderr


def test_status_changes_nothing(plain):
    plain.command("status", check=True)
    assert list(plain.root.iterdir()) == []
    deploy_all(plain, "a", "b")
    before = snapshot(plain.root)
    plain.command("status", check=True)
    assert snapshot(plain.root) == before


def test_a_tree_that_somebody_has_removed_cannot_be_rolled_back(plain):
    deploy_all(plain, "a", "b")
    plain.tree.rename(plain.place / "away")
    assert plain.command("rollback").returncode == 69
    assert plain.once().returncode == 0
    wait_for(plain.tree.is_dir)


@pytest.mark.parametrize("kind", ["fifo", "record"])
def test_nothing_in_the_tree_tells_what_is_deployed_where(plain, place, kind):
    """The tree may belong to somebody else."""
    (place / "elsewhere").mkdir()
    write(place / "elsewhere" / "file", b"precious")
    outside = snapshot(place / "elsewhere")
    first, second = deploy_all(plain, "a", "b")
    before = plain.command("status").stdout
    for tree in (plain.tree, *plain.releases()):
        plant(tree / ".git" / "zkfs-git-deploy", kind, plain)
    assert plain.command("status").stdout == before
    post = ("--post", f"pwd >> {place}/where")
    assert plain.command("rollback", *post).returncode == 0
    assert plain.is_at(first)
    plain.command("resume", check=True)
    assert plain.once(*post).returncode == 0
    assert plain.is_at(second)
    assert read(place / "where").decode().split("\n") == [str(plain.tree), str(plain.tree), ""]
    assert snapshot(place / "elsewhere") == outside


def plant(path, kind, deploy):
    """A FIFO, or a record as of another path."""
    if kind == "fifo":
        os.mkfifo(path)
        return
    record = next(deploy.own.glob("releases/app/*.json"))
    changed = {**json.loads(read(record)), "relativePath": "../elsewhere", "postPending": True}
    write(path, json.dumps(changed).encode())
