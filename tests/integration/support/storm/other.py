"""Another client: works on the znodes themselves, and knows nothing of files."""

import time

from kazoo import exceptions as zk

from ..tree import connect, disconnect
from . import records
from .actor import KEEP, Actor

EXPECTED = (
    zk.NoNodeError,
    zk.NodeExistsError,
    zk.NotEmptyError,
    zk.BadVersionError,
    zk.NoChildrenForEphemeralsError,
    zk.RolledBackError,
)


class Other(Actor):
    def __init__(self):
        super().__init__()
        self.client = connect(self.config["hosts"])
        self.session = None  # of ephemeral znodes
        self.steps = {
            self.set: 20,
            self.set_twice: 4,
            self.create: 14,
            self.create_below: 6,
            self.delete: 14,
            self.make_anew: 6,
            self.delete_tree: 2,
            self.make_directory: 4,
            self.null: 2,
            self.empty: 2,
            self.ephemeral: 5,
            self.end_session: 1,
            self.keep_last: 3,
            self.rest: 25,
        }

    def step(self):
        step = self.rng.choices(list(self.steps), list(self.steps.values()))[0]
        path = self.path()
        self.note(f"{step.__name__} {path}")
        try:
            result = step(f"{self.config['root']}/{path}")
        except EXPECTED as error:
            result = type(error).__name__
        except zk.KazooException as error:
            result = repr(error)
            self.complain(f"{step.__name__} {path}: {error!r}")
        self.note(f"  {step.__name__} {path} -> {result}")

    def fresh(self):
        n_blocks = records.random_size(self.rng)
        return records.record(self.seed, self.name, self.next_counter(), n_blocks)

    def set(self, path):
        return f"{self.counter + 1} mzxid {self.client.set(path, self.fresh()).mzxid:#x}"

    def set_twice(self, path):
        first = self.client.set_async(path, self.fresh())
        second = self.client.set_async(path, self.fresh())
        first.get()
        return f"{self.counter} mzxid {second.get().mzxid:#x}"

    def create(self, path, data=None, **kwargs):
        self.client.create(path, data or self.fresh(), **kwargs)
        return self.counter

    def create_below(self, path):
        """A file becomes a directory."""
        return self.create(path + "/" + self.rng.choice("abc"))

    def delete(self, path):
        self.client.delete(path)

    def make_anew(self, path):
        """A path leads to another znode from one moment to the next."""
        data = self.fresh()
        multi = self.client.transaction()
        multi.delete(path)
        multi.create(path, data)
        results = multi.commit()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return self.counter

    def delete_tree(self, path):
        self.client.delete(path, recursive=True)

    def make_directory(self, path):
        multi = self.client.transaction()
        multi.create(path, b"")
        multi.create(path + "/x", b"")
        multi.delete(path + "/x")
        return [str(result) for result in multi.commit()]

    def null(self, path):
        self.client.create(path, None)

    def empty(self, path):
        if self.rng.random() < 0.5:
            self.client.create(path, b"")
        else:
            self.client.set(path, b"")

    def ephemeral(self, path):
        if self.session is None:
            self.session = connect(self.config["hosts"])
        self.session.create(path, self.fresh(), ephemeral=True)
        return self.counter

    def end_session(self, path):
        if self.session is not None:
            disconnect(self.session)
        self.session = None

    def keep_last(self, path):
        data = self.fresh()
        start, counter = time.monotonic(), self.counter
        self.client.set(f"{self.config['root']}/{KEEP}/last", data)
        self.acknowledged.append(("last", self.name, counter, start, time.monotonic(), True))
        return counter

    def rest(self, path):
        time.sleep(self.rng.random() * 0.03)

    def finish(self):
        self.end_session(None)
        disconnect(self.client)


if __name__ == "__main__":
    Other().serve()
