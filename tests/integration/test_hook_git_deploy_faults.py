"""zkfs-git-deploy under readers, quick changes, kills, and damage: never a mixed tree."""

import contextlib
import os
import random
import shutil
import threading
import time

import pytest

from support.deploy import NAME, deploy, on_disk, plain, snapshot, times
from support.files import read, write
from support.inotify import CLOSE_NOWRITE, Inotify
from support.waiting import SCALE, run, wait_equal, wait_for


FILES = [f"{folder}{n}" for folder in ("", "d/", "d/e/") for n in range(5)]


def content(text):
    """A commit all of whose files hold the same."""
    return {name: text for name in FILES}


def read_at(fd, name):
    handle = os.open(name, os.O_RDONLY, dir_fd=fd)
    try:
        return os.read(handle, 100)
    finally:
        os.close(handle)


def read_tree(tree):
    """What its files hold, all of them below one open directory."""
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return {read_at(fd, name) for name in FILES}
    finally:
        os.close(fd)


class Reader(threading.Thread):
    """Opens the tree and reads all of it, over and over; what was wrong is in `problems`."""

    def __init__(self, tree):
        super().__init__()
        self.tree = tree
        self.problems = []
        self.seen = []
        self.rounds = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.001):
            try:
                values = read_tree(self.tree)
            except OSError as error:
                self.problems.append(error)
                continue
            self.rounds += 1
            if len(values) != 1:
                self.problems.append(values)
            elif self.seen[-1:] != list(values):
                self.seen += values

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.ended.set()
        self.join()


@pytest.mark.deadline(120)
def test_alternating_deployments_are_never_seen_mixed_nor_absent(plain):
    a, b = plain.origin.commit(content(b"a")), plain.origin.commit(content(b"b"))
    plain.set(a)
    plain.start("--keep", "1000")  # what is still read is not removed
    plain.wait("deployed", current=a)
    with Reader(plain.tree) as reader:
        for n in range(times(100, 20)):
            commit = (b, a)[n % 2]
            plain.set(commit)
            plain.wait("deployed", current=commit)
            if n % 2:
                wait_for(lambda: reader.seen[-1] == b"a", what="the reader")
    assert not reader.problems
    assert reader.rounds > 20 and len(reader.seen) > times(50, 10)
    assert plain.head() == a and plain.is_clean() and plain.leftovers() == []


def test_of_two_changes_the_last_remains_and_the_first_is_never_published_after_it(deploy):
    start = deploy.origin.commit(content(b"0"))
    deploy.set(start)
    deploy.start("--settle", "0", "--keep", "1000")
    deploy.wait("deployed", current=start)
    with Reader(deploy.tree) as reader:
        for n in range(times(10, 4)):
            a = deploy.origin.commit(content(b"a%d" % n))
            b = deploy.origin.commit(content(b"b%d" % n))
            deploy.set(a)
            time.sleep(0.01 * n)  # the first is met at different moments
            deploy.set(b)
            deploy.wait("deployed", current=b)
            assert deploy.is_at(b)
    assert not reader.problems
    order = [(int(text[1:]), text[:1]) for text in reader.seen[1:]]
    assert order == sorted(order)


def test_a_change_during_check_ends_it_and_is_deployed(plain, place):
    a, b = plain.origin.commit(content(b"a")), plain.origin.commit(content(b"b"))
    plain.set(a)
    plain.start("--check", f"cat 0 >> {place}/log; grep -q b 0 || exec sleep 1000")
    wait_equal(lambda: read(place / "log"), b"a")
    plain.set(b)
    plain.wait("deployed", current=b)
    assert read(place / "log") == b"ab" and plain.releases() == []


def test_a_change_during_post_is_deployed_after_it(plain, place):
    a, b = plain.origin.commit(content(b"a")), plain.origin.commit(content(b"b"))
    plain.set(a)
    wait = f"until [ -e {place}/go ]; do sleep 0.05; done"
    plain.start("--post", f"cat 0 >> {place}/log; {wait}; echo . >> {place}/log")
    wait_equal(lambda: read(place / "log"), b"a")
    plain.set(b)
    (place / "go").touch()
    plain.wait("deployed", current=b)
    assert read(place / "log") == b"a.\nb.\n"


def test_a_change_back_during_check_publishes_nothing(plain, place):
    a, b = plain.origin.commit(content(b"a")), plain.origin.commit(content(b"b"))
    plain.set(a)
    plain.start("--check", f"grep -q a 0 || {{ touch {place}/checks; exec sleep 1000; }}")
    plain.wait("deployed", current=a)
    inode = plain.tree.stat().st_ino
    plain.set(b)
    wait_for((place / "checks").exists, what="the check")
    plain.set(a)
    plain.wait("deployed", current=a)
    assert plain.tree.stat().st_ino == inode


HOLD_OUT = """
if mkdir {place}/first; then
    trap 'touch {place}/asked; until [ -e {place}/go ]; do sleep 0.01; done; exit {status}' TERM
    touch {place}/checking
    while :; do sleep 0.01; done
fi
"""


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("once", [True, False], ids=["once", "daemon"])
def test_a_change_and_back_during_the_first_check_is_deployed(plain, place, once, status):
    a, b = plain.origin.commit(content(b"a")), plain.origin.commit(content(b"b"))
    plain.set(a)
    check = HOLD_OUT.format(place=place, status=status)
    hook = plain.start("--check", check, *(["--once"] if once else []))
    wait_for((place / "checking").exists, what="the check")
    plain.set(b)
    wait_for((place / "asked").exists, what="the check to be ended")
    reader = Inotify().watch(plain.file, CLOSE_NOWRITE)
    plain.set(a)
    wait_for(reader.read, what="the daemon to read it")
    reader.close()
    (place / "go").touch()
    plain.wait("deployed", code=0, desired=a, current=a)
    assert not once or hook.process.wait(timeout=10 * SCALE) == 0
    assert plain.is_at(a) and plain.releases() == []


@pytest.mark.deadline(120)
def test_killed_at_any_moment_it_converges_and_leaves_nothing(plain):
    commits = [plain.origin.commit(content(text)) for text in (b"a", b"b")]
    plain.set(commits[0])
    assert plain.once().returncode == 0
    with Reader(plain.tree) as reader:
        for n in range(times(20, 6)):
            commit = plain.origin.commit(content(b"%d" % n))
            plain.set(commit)
            hook = plain.start("--post", "true")
            time.sleep(random.uniform(0, 0.25 * SCALE))
            hook.kill()
            done = plain.once("--post", "true")
            assert done.returncode == 0, done.stderr
            assert plain.is_at(commit) and plain.is_clean()
            assert plain.leftovers() == [] and not plain.is_locked()
            assert len(plain.releases()) <= 4
    assert not reader.problems
    assert plain.head() == plain.origin.said("rev-parse", "main")


def test_killed_in_the_middle_of_many_files_nothing_is_left(plain):
    old = plain.deploy(content(b"old"))
    before = snapshot(plain.tree)
    big = plain.origin.commit({f"d{n % 50}/{n}": b"%d" % n for n in range(3000)})
    plain.set(big)
    hook = plain.start()
    making = plain.own / "work"
    wait_for(lambda: any(making.iterdir()), what="the checkout")
    hook.kill()
    assert snapshot(plain.tree) == before
    plain.set(old)
    done = plain.once()
    assert done.returncode == 0
    assert plain.is_at(old) and plain.leftovers() == [] and not plain.is_locked()


def test_what_was_left_is_removed_at_the_start_even_with_nothing_to_deploy(plain):
    commit = plain.deploy(content(b"a"))
    for name in ("tree", "making", "trash"):
        (plain.own / "work" / name / "d").mkdir(parents=True)
        write(plain.own / "work" / name / "d" / "file", b"")
    plain.start()
    plain.wait("deployed", current=commit)
    wait_equal(plain.leftovers, [])
    assert plain.is_at(commit)


def test_killed_right_after_the_exchange_the_old_tree_is_kept_at_the_next_start(plain):
    first = plain.deploy(content(b"a"))
    second = plain.deploy(content(b"b"))
    (old,) = plain.releases()
    old.rename(plain.own / "work" / "tree")  # where the exchange has put it
    plain.start()
    plain.wait("deployed", current=second)
    wait_equal(plain.leftovers, [])
    assert plain.releases() == [old]
    plain.command("rollback", check=True)
    assert plain.is_at(first)


def test_what_a_killed_fetch_has_left_in_the_cache_is_swept(plain):
    plain.deploy(content(b"a"))
    (cache,) = (plain.own / "cache").iterdir()
    write(cache / "objects" / "pack" / "pack_git2_0123456789abcdef", b"x" * 1000)
    for name in ("refs/heads/main.lock", "refs/heads/d/x.lock", "packed-refs.lock", "HEAD.lock"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        write(cache / name, b"")
    write(cache / "config.lock", b"")
    commit = plain.deploy(content(b"b"))
    assert plain.is_at(commit) and plain.leftovers() == []


def remove_objects(cache):
    shutil.rmtree(cache / "objects")


def empty_objects(cache):
    for path in list((cache / "objects").rglob("*")):
        if path.is_file():
            path.unlink()


def truncate_packs(cache):
    for path in (cache / "objects").rglob("*.pack"):
        path.chmod(0o644)
        os.truncate(path, 50)


def spoil_packs(cache):
    for path in (cache / "objects").rglob("*.pack"):
        path.chmod(0o644)
        whole = read(path)
        write(path, whole[:20] + b"\xff" * (len(whole) - 40) + whole[-20:])


def remove_indexes(cache):
    for path in (cache / "objects").rglob("*.idx"):
        path.unlink()


def remove_head(cache):
    (cache / "HEAD").unlink()


def spoil_config(cache):
    write(cache / "config", b"[[[nonsense")


def remove_all(cache):
    shutil.rmtree(cache)


def make_a_file(cache):
    shutil.rmtree(cache)
    write(cache, b"")


DAMAGES = [remove_objects, empty_objects, truncate_packs, spoil_packs, remove_indexes]
DAMAGES += [remove_head, spoil_config, remove_all, make_a_file]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("what", ["a-new-commit", "an-old-commit"])
def test_a_damaged_cache_heals_itself(plain, damage, what):
    first = plain.deploy(content(b"a"))
    plain.deploy(content(b"b"))
    (cache,) = (plain.own / "cache").iterdir()
    damage(cache)
    commit = first if what == "an-old-commit" else plain.origin.commit(content(b"c"))
    plain.set(commit)
    done = plain.once()
    assert done.returncode == 0, done.stderr
    assert plain.is_at(commit) and plain.is_clean()


def test_what_a_killed_fetch_has_left_in_the_cache_of_another_url_is_removed(plain):
    other = plain.place / "other.git"
    commit = plain.origin.commit(content(b"a"))
    shutil.copytree(plain.origin.path, other)
    plain.set(commit, url=f"file://{other}")
    assert plain.once().returncode == 0
    (cache,) = (plain.own / "cache").iterdir()
    left = [cache / "objects" / "pack" / "pack_git2_Xy12Z3", cache / "config.lock"]
    for path in left:
        write(path, b"x" * 1000)
    commit = plain.deploy(content(b"b"))
    assert not any(path.exists() for path in left) and plain.leftovers() == []
    assert plain.is_at(commit) and len(list((plain.own / "cache").iterdir())) == 2


# What resists


@contextlib.contextmanager
def unmounting(folder):
    """What is mounted below it at the end, wherever it has been moved to, is unmounted."""
    try:
        yield
    finally:
        wait_for(lambda: not unmount_below(folder), what="all to be unmounted")


def unmount_below(folder):
    """Gives what was mounted; it may be moved away meanwhile."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        paths = [line.split()[1] for line in mounts]
    found = [path for path in paths if path.startswith(f"{folder}/")]
    for path in found:
        run("umount", "-l", path, check=False)
    return found


def precious(place):
    folder = place / "precious"
    (folder / "d").mkdir(parents=True)
    write(folder / "file", b"p")
    write(folder / "d" / "file", b"p")
    return folder


def test_what_is_mounted_in_an_old_tree_is_never_touched(on_disk, place, needs_root):
    mounted = precious(place)
    before = snapshot(mounted)
    on_disk.deploy(content(b"a"))
    with unmounting(on_disk.root):
        for name in ("uploads", "d/uploads"):
            (on_disk.tree / name).mkdir()
            run("mount", "--bind", mounted, on_disk.tree / name)
        for text in b"b", b"c":
            commit = on_disk.deploy(content(text), "--keep", "0")
            assert on_disk.is_at(commit) and on_disk.is_clean() and on_disk.releases() == []
    assert snapshot(mounted) == before


def test_an_old_tree_that_cannot_be_removed_stops_nothing(on_disk, place, needs_root):
    mounted = precious(place)
    commit = on_disk.deploy(content(b"a"))
    on_disk.start("--keep", "0")
    with unmounting(on_disk.root):
        for text in b"b", b"c":
            (on_disk.tree / "busy").mkdir()
            run("mount", "--bind", mounted, on_disk.tree / "busy")
            run("mount", "--bind", mounted / "file", on_disk.tree / "0")
            commit = on_disk.origin.commit(content(text))
            on_disk.set(commit)
            on_disk.wait("deployed", current=commit)
        assert on_disk.is_at(commit) and on_disk.is_clean()
    commit = on_disk.deploy(content(b"d"), "--keep", "0")
    on_disk.wait("deployed", current=commit)
    wait_equal(lambda: [path for path in on_disk.own.glob("releases/app/*") if path.is_dir()], [])
    wait_equal(on_disk.leftovers, [])
    assert read(mounted / "file") == b"p"


def test_a_refused_tree_that_cannot_be_removed_stops_nothing(on_disk, place, needs_root):
    mounted = precious(place)
    on_disk.set(on_disk.origin.commit(content(b"a")))
    with unmounting(on_disk.root):
        check = f"mkdir busy && mount --bind {mounted} busy && exit 1"
        for _ in range(2):
            assert on_disk.once("--check", check).returncode == 69
        commit = on_disk.deploy(content(b"b"))
        assert on_disk.is_at(commit) and on_disk.is_clean()
    on_disk.deploy(content(b"c"))
    assert on_disk.leftovers() == [] and list((on_disk.own / "adopted").iterdir()) == []
    assert read(mounted / "d" / "file") == b"p"


def unprivileged():
    """What comes before a command that is to be bound by the modes of its own files."""
    dropped = "-dac_override,-dac_read_search"
    if os.geteuid() != 0:
        return ()
    return ("setpriv", f"--inh-caps={dropped}", f"--bounding-set={dropped}", "--")


def test_folders_that_nobody_may_change_are_removed_with_their_tree(plain):
    post = "mkdir -p ro/d none && touch ro/d/f none/f && chmod 555 ro ro/d && chmod 0 none"
    for text in b"a", b"b", b"c":
        commit = deploy_unprivileged(plain, content(text), "--keep", "0", "--post", post)
        assert plain.is_at(commit) and plain.releases() == [] and plain.leftovers() == []


def deploy_unprivileged(deploy, files, *options):
    commit = deploy.origin.commit(files)
    deploy.set(commit)
    argv = (deploy.hooks.program(NAME), *deploy.arguments("--once", *options))
    done = run(*unprivileged(), *argv, check=False, env=deploy.hooks.environment)
    assert done.returncode == 0, done.stderr
    return commit


@pytest.mark.parametrize("option", ["--check", "--post"])
def test_a_tree_that_nobody_may_change_is_replaced_and_rolled_back_to(plain, option):
    first, _, last = [
        deploy_unprivileged(plain, content(text), option, "chmod 555 .")
        for text in (b"a", b"b", b"c")
    ]
    assert plain.is_at(last) and len(plain.releases()) == 2
    for _ in range(2):
        argv = (plain.hooks.program(NAME), "rollback", "--root", plain.root)
        run(*unprivileged(), *argv, env=plain.hooks.environment)
    assert plain.is_at(first) and plain.leftovers() == []


def test_a_root_that_goes_and_is_made_again_is_deployed_to(deploy):
    commits = [deploy.origin.commit(content(text)) for text in (b"a", b"b", b"c")]
    deploy.set(commits[0])
    deploy.start()
    deploy.wait("deployed", current=commits[0])
    for commit in commits[1:]:
        deploy.root.rename(deploy.place / commit)  # in one step: what is gone, it makes again
        deploy.root.mkdir()
        deploy.set(commit)
        deploy.wait("deployed", current=commit)
        assert deploy.is_at(commit) and deploy.is_clean()


def test_two_daemons_with_different_files_share_a_root(deploy, place):
    """Of the same repository, too, so that they share its cache."""
    other = deploy.file.with_name("config2")
    names = ["app", "other"]
    files = [deploy.file, other]
    for name, file in zip(names, files):
        deploy.start("--config", file, "--name", name)
    commits = []
    for n in range(times(8, 3)):
        commits = [deploy.origin.commit(content(b"%d%d" % (n, k))) for k in (0, 1)]
        for name, file, commit in zip(names, files, commits):
            deploy.file = file
            deploy.set(commit, path=name)
    for name, commit in zip(names, commits):
        wait_equal(lambda: deploy.status(name).get("current"), commit, 20)
        wait_equal(lambda: deploy.status(name).get("phase"), "deployed", 20)
        assert deploy.is_at(commit, name) and deploy.is_clean(name)


def test_two_daemons_for_the_same_run_post_once_for_each_commit(plain, place):
    """As when one is started before the other has ended."""
    for name in ("one", "two"):
        plain.start("--name", name, "--post", f"cat 0 >> {place}/runs")
    for text in b"a", b"b", b"c":
        commit = plain.origin.commit(content(text))
        plain.set(commit)
        for name in ("one", "two"):
            wait_equal(lambda: plain.status(name).get("current"), commit)
            wait_equal(lambda: plain.status(name).get("phase"), "deployed")
    assert read(place / "runs") == b"abc"
    assert plain.is_at(commit) and plain.leftovers() == []


def test_once_waits_for_the_lock_that_another_holds_then_is_75(plain, place):
    commit = plain.origin.commit(content(b"a"))
    plain.set(commit)
    plain.start("--check", f"[ -e {place}/go ] || exec sleep 1000")
    plain.wait("checking")
    options = ("--name", "second", "--timeout", str(0.5 * SCALE))
    done = plain.once(*options)
    assert done.returncode == 75 and not plain.tree.exists()


def test_a_rollback_in_a_storm_of_changes_leaves_a_whole_tree(plain):
    rounds = times(8, 3)
    for n in range(rounds + 1):  # so that there is always something to go back to
        plain.deploy(content(b"old%d" % n), "--keep", "1000")
    plain.start("--keep", "1000")
    with Reader(plain.tree) as reader:
        for n in range(rounds):
            commit = plain.origin.commit(content(b"%d" % n))
            plain.set(commit)
            done = plain.command("rollback")
            assert done.returncode == 0, done.stderr
        last = plain.origin.commit(content(b"z"))
        plain.set(last)
        plain.wait("deployed", current=last)
    assert not reader.problems
    assert plain.is_at(last) and plain.is_clean() and plain.leftovers() == []


def test_a_status_that_cannot_be_written_stops_nothing(plain):
    plain.status_dir.rmdir()
    write(plain.status_dir, b"a file")
    commit = plain.origin.commit(content(b"a"))
    plain.set(commit)
    done = plain.once()
    assert done.returncode == 0 and plain.is_at(commit)


def test_a_killed_command_line_tool_leaves_what_it_found(plain):
    """A rollback that is killed in the middle has happened, or not."""
    commits = [plain.deploy(content(b"%d" % n)) for n in range(4)]
    with Reader(plain.tree) as reader:
        for _ in range(times(10, 3)):
            hook = plain.hooks.start(NAME, "rollback", "--root", plain.root)
            time.sleep(random.uniform(0, 0.02 * SCALE))
            hook.kill()
            assert plain.head() in commits
        plain.command("resume", check=True)
        assert plain.once().returncode == 0
    assert not reader.problems
    assert plain.is_at(commits[-1]) and plain.leftovers() == []
