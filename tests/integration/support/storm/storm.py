"""The director: begins the rounds, makes accidents happen, and compares what everybody sees."""

import collections
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from ..tree import expire
from ..waiting import DIES_WITH_PARENT, SCALE
from . import records
from .actor import KEEP
from .watcher import digest

HERE = Path(__file__).resolve().parents[2]  # where `support` is found

# How long an actor may be busy with one operation behind the end of its round: longer is a hang.
ANSWER_TIME = 20

# Who waits for a session to come back first; only then the second of grace begins.
RECONNECT_TIME = 20


class Failure(AssertionError):
    """Something was seen that must not be."""


class Child:
    """A program of the storm, and the pipe that orders go through."""

    def __init__(self, module, folder, **config):
        self.name = config["name"]
        self.journal = folder / f"{self.name}.journal"
        config["journal"] = str(self.journal)
        self.process = subprocess.Popen(
            DIES_WITH_PARENT + [sys.executable, "-B", "-m", module, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=HERE,
        )

    def order(self, **order):
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds * SCALE)[0]:
            raise Failure(f"{self.name} hangs: {self.where()}")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.name} has died: {self.process.wait()}")
        return json.loads(line)

    def where(self):
        lines = self.lines()
        try:
            stack = Path(f"/proc/{self.process.pid}/stack").read_text()
        except OSError as error:
            stack = str(error)
        return f"{lines[-1] if lines else ''}\n{stack}"

    def lines(self):
        """Of its journal, oldest first."""
        text = ""
        for path in (f"{self.journal}.before", self.journal):
            try:
                text += Path(path).read_text(errors="replace")
            except FileNotFoundError:
                pass
        return text.splitlines()

    def end(self):
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Side:
    """A mount with those who work there."""

    def __init__(self, mount, proxy=None):
        self.mount = mount
        self.proxy = proxy
        self.watches = None
        self.writers = []
        self.viewer = None


class Storm:
    """
    `client`: kazoo; `root`: the subtree that the sides mount; `accidents`: their names, of
    ACCIDENTS; `folder`: a private one; `listens`: are there watchers, who must be told of all?
    """

    def __init__(
        self, client, hosts, root, sides, folder, seed, accidents=(), listens=True, n_writers=2
    ):
        self.client, self.hosts, self.root = client, hosts, root
        self.listens = listens
        self.sides = sides
        self.folder = Path(folder)
        self.seed = seed
        self.accidents = list(accidents)
        self.rng = random.Random(f"{seed}/director")
        self.n_rounds = self.n_done = 0
        self.events = collections.deque(maxlen=100)
        self.children = []
        self.prepare_tree()
        for number, side in enumerate(sides):
            self.prepare_side(side, number + 1, n_writers)
        self.other = self.child("other", "k", hosts=hosts, root=root)
        for child in self.children:
            child.answer(30)

    def child(self, module, name, **config):
        config = {"name": name, "seed": self.seed, **config}
        self.children.append(Child(f"{__package__}.{module}", self.folder, **config))
        return self.children[-1]

    def prepare_tree(self):
        for name in ("log", "last", "count"):
            self.client.create(f"{self.root}/{KEEP}/{name}", b"", makepath=True)
        self.clear_kept()

    def prepare_side(self, side, number, n_writers):
        mount = str(side.mount.path)
        side.watches = self.rng.choice(("none", "directories", "directories", "all"))
        if not self.listens:
            side.watches = "none"
        for i in range(n_writers):
            name = f"m{number}w{i + 1}"
            loses = bool({"drop", "cut", "expire"} & set(self.accidents))
            side.writers.append(self.child("writer", name, mount=mount, loses_answers=loses))
        side.viewer = self.child(
            "viewer",
            f"m{number}v",
            mount=mount,
            watches=side.watches,
            handles=self.rng.random() < 0.5,
        )

    def close(self):
        for child in self.children:
            child.end()

    def note(self, text):
        self.events.append(f"{time.monotonic():.6f} director {text}")

    # Rounds

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round(min(self.rng.choice((0.2, 0.5, 1, 2)), seconds))

    def round(self, seconds):
        self.n_rounds += 1
        self.note(f"round {self.n_rounds} of {seconds} s")
        for child in self.children:
            child.order(do="round", number=self.n_rounds, seconds=seconds)
        self.have_accidents(seconds)
        answers = [child.answer(seconds + ANSWER_TIME) for child in self.children]
        self.n_done += sum(answer["n_done"] for answer in answers)
        problems = [problem for answer in answers for problem in answer["problems"]]
        if problems:
            raise Failure(self.report("\n".join(problems), words_of(problems[0])))
        self.note("quiet")
        self.look()
        self.check_kept([ack for answer in answers for ack in answer["acknowledged"]])

    def wait_connected(self):
        end = time.monotonic() + RECONNECT_TIME * SCALE
        for side in self.sides:
            while side.proxy and not self.is_connected(side):
                if time.monotonic() > end:
                    raise Failure(self.report("no session", []))
                time.sleep(0.01)

    @staticmethod
    def is_connected(side):
        try:
            return side.mount.status().get("state") == "connected"
        except OSError:
            return False

    def look(self):
        """Within a second all see the same; and a second look, served by the caches, shows it too."""
        self.wait_connected()
        end = time.monotonic() + SCALE
        expected = self.expected()
        while True:
            late = time.monotonic() > end
            views = self.views()
            differences = compare(expected, views)
            if not differences:
                break
            if late:
                raise Failure(self.report_differences(differences, views))
        views = self.views()
        differences = compare(expected, views)
        if differences:
            raise Failure("the second look: " + self.report_differences(differences, views))

    def views(self):
        viewers = [side.viewer for side in self.sides]
        for viewer in viewers:
            viewer.order(do="look")
        return {viewer.name: viewer.answer(ANSWER_TIME) for viewer in viewers}

    # What ZooKeeper has, and how it must look

    def expected(self):
        found = {}
        self.expect(found, self.root, ".")
        return found

    def expect(self, found, path, shown):
        data, stat = self.client.get(path)
        children = self.client.get_children(path)
        if shown == "." or is_dir(data, stat):
            names = sorted(children + ([".data"] if data else []))
            found[shown] = {"names": names, **describe("directory", stat)}
            if data:
                name = ".data" if shown == "." else f"{shown}/.data"
                found[name] = {"bytes": digest(data), **describe("file", stat)}
            for child in children:
                self.expect(found, f"{path}/{child}", child if shown == "." else f"{shown}/{child}")
        else:
            found[shown] = {"bytes": digest(data or b""), **describe("file", stat)}

    # What was acknowledged

    def clear_kept(self):
        for name in ("log", "last"):
            self.client.set(f"{self.root}/{KEEP}/{name}", b"")
        self.client.set(f"{self.root}/{KEEP}/count", b"%020d %-10s" % (0, b"nobody"))

    def check_kept(self, acknowledged):
        by_file = collections.defaultdict(list)
        for file, *ack in acknowledged:
            by_file[file].append(ack)
        problems = [
            check_log(self.seed, self.kept("log"), by_file["log"]),
            check_last(self.seed, self.kept("last"), by_file["last"]),
            check_count(self.kept("count"), by_file["count"]),
        ]
        for problem in filter(None, problems):
            raise Failure(self.report(problem, [KEEP]))
        self.clear_kept()

    def kept(self, name):
        return self.client.get(f"{self.root}/{KEEP}/{name}")[0]

    # Accidents

    def have_accidents(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.rng.random() * 0.5))
            if self.accidents and left > 0 and self.rng.random() < 0.7:
                name, side = self.rng.choice(self.accidents), self.rng.choice(self.sides)
                self.note(f"{name} of {side.viewer.name}")
                ACCIDENTS[name](side, self.rng)
                self.note(f"{name} is over")

    # What went wrong

    def report_differences(self, differences, views):
        lines = [f"{path}: {difference}" for path, difference in differences.items()]
        return self.report("\n".join(lines), blamed(next(iter(differences)), views))

    def report(self, what, paths):
        lines = [
            f"seed {self.seed}, round {self.n_rounds}, {self.n_done} operations:",
            what,
            *self.history(paths),
        ]
        for side in self.sides:
            lines.append(f"{side.mount}: -o {','.join(side.mount.options)}, watches {side.watches}")
            try:
                lines.append(json.dumps(side.mount.status()))
            except OSError as error:
                lines.append(str(error))
        return "\n".join(lines)

    def history(self, paths, count=80):
        """The last operations on these paths, and on those above them."""
        lines = list(self.events)
        for child in self.children:
            lines += [line for line in child.lines() if is_about(line, paths)]
        lines.sort(key=lambda line: float(line.split()[0]) if line[:1].isdigit() else 0)
        return lines[-count:]


def blamed(path, views):
    """What to tell about a path that is wrong; of a directory, the names that are."""
    names = [set(view["told"].get(path) or ()) for view in views.values()]
    shown = [view["found"].get(path) for view in views.values()]
    listed = [set(node.get("names", ())) for node in shown if isinstance(node, dict)]
    every = set.union(*names, *listed)
    odd = every - set.intersection(*names, *listed)
    below = [name if path == "." else f"{path}/{name}" for name in odd]
    return below or [path]


def words_of(problem):
    return [word.strip(":,") for word in problem.split() if "/" in word or len(word) == 1]


def is_about(line, paths):
    """Does it name one of them, or a directory that one of them is in?"""
    words = {word.strip(":,") for word in line.split()[2:]}
    words |= {word.partition("/mnt/")[2] for word in words}
    above = {"/".join(path.split("/")[: i + 1]) for path in paths for i in range(path.count("/") + 1)}
    return bool(words & above) and "has looked" not in line


def is_dir(data, stat):
    if stat.ephemeralOwner:
        return False
    return stat.cversion != 0 or stat.numChildren > 0 or data is None


def describe(kind, stat):
    mtime = stat.mtime * 1_000_000 + stat.mzxid % 1_000_000
    return {"kind": kind, "size": stat.dataLength, "mtime": mtime, "version": stat.version}


def differences_of(expected, view):
    """{path: what is wrong with it}."""
    wrong = {}
    for path in sorted({*expected, *view["found"]}):
        want, have = expected.get(path), view["found"].get(path)
        shown = {k: v for k, v in have.items() if k != "ino"} if isinstance(have, dict) else have
        if want != shown:
            wrong[path] = f"is {want}, shown as {have}"
    for path, told in view["told"].items():
        want = told_of(expected, path)
        if path not in wrong and want != told:
            wrong[path] = f"has {want}, told were {told}"
    return wrong


def told_of(expected, path):
    """What a watcher must know of a directory."""
    names = expected.get(path, {}).get("names", [])
    below = {name: expected[name if path == "." else f"{path}/{name}"] for name in names}
    return {name: node.get("bytes", "directory") for name, node in below.items()}


def compare(expected, views):
    found = {}
    for name, view in views.items():
        for path, text in differences_of(expected, view).items():
            found.setdefault(path, []).append(f"{name}: {text}")
    if not found:
        found = differing_numbers(views)
    return {path: "\n  ".join(texts) for path, texts in found.items()}


def differing_numbers(views):
    first, *others = views.values()
    return {
        path: [f"inode numbers {have['ino']:x} and {other['found'][path]['ino']:x}"]
        for other in others
        for path, have in first["found"].items()
        if have["ino"] != other["found"][path]["ino"]
    }


def check_log(seed, data, acks):
    found, problem = records.parse(seed, data)
    if problem:
        return f"{KEEP}/log: {problem}"
    written = [(writer, counter) for _, writer, counter, _ in found]
    if len(set(written)) != len(written):
        return f"{KEEP}/log: appended twice: {written}"
    lost = {(w, c) for w, c, _, _, done in acks if done} - set(written)
    if lost:
        return f"{KEEP}/log: lost: {sorted(lost)}"
    for name in {writer for writer, _ in written}:
        counters = [counter for writer, counter in written if writer == name]
        if counters != sorted(counters):
            return f"{KEEP}/log: out of order: {name} {counters}"
    return None


def check_last(seed, data, acks):
    """The last writer wins: what is there was not over when another, acknowledged, began."""
    done = [ack for ack in acks if ack[4]]
    found, problem = records.parse(seed, data)
    if problem or len(found) > 1 or (done and not found):
        return f"{KEEP}/last: {problem or found}, acknowledged: {done}"
    if not found:
        return None
    _, writer, counter, _ = found[0]
    ends = [end for w, c, _, end, is_done in done if (w, c) == (writer, counter)]
    later = [ack for ack in done if ends and ack[2] > ends[0]]
    return f"{KEEP}/last: {writer}:{counter} has won over {later}" if later else None


def check_count(data, acks):
    done = [counter for _, counter, _, _, is_done in acks if is_done]
    tried = sum(1 for ack in acks if not ack[4])
    if len(set(done)) != len(done):
        return f"{KEEP}/count: counted twice: {sorted(done)}"
    count = int(data.split()[0])
    if not len(done) <= count <= tried:
        return f"{KEEP}/count: {count} after {len(done)} of {tried}"
    return None


# Accidents: each is over when it returns.


def drop_connection(side, rng):
    side.proxy.drop()


def cut_connection(side, rng):
    side.proxy.cut()
    time.sleep(rng.random() * 0.5)
    side.proxy.heal()


def end_session(side, rng):
    if side.proxy.session:
        expire(f"127.0.0.1:{side.proxy.target}", side.proxy.session)


def stop_daemon(side, rng):
    side.mount.signal(signal.SIGSTOP)
    time.sleep(rng.choice((0.05, 0.3, 1)))
    side.mount.signal(signal.SIGCONT)


def drop_caches(side, rng):
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write(rng.choice("23"))


ACCIDENTS = {
    "drop": drop_connection,
    "cut": cut_connection,
    "expire": end_session,
    "stop": stop_daemon,
    "drop_caches": drop_caches,
}
