"""What the programs of the storm have in common: orders, a journal, an own source of chance."""

import json
import os
import random
import sys
import time

NAMES = ("a", "b", "c")

# Every path there may be.
UNIVERSE = [
    "/".join(parts)
    for depth in (1, 2, 3)
    for parts in __import__("itertools").product(NAMES, repeat=depth)
]

# Files that are never removed or renamed: what was acknowledged must be found in them.
KEEP = "keep"


class Actor:
    """A child process. Orders come as lines of JSON, answers go back the same way."""

    def __init__(self):
        self.config = json.loads(sys.argv[1])
        self.name = self.config["name"]
        self.seed = self.config["seed"]
        self.rng = random.Random()
        self.counter = 0
        self.problems = []
        self.journal_path = self.config["journal"]
        self.journal = None
        self.acknowledged = []

    def note(self, text):
        """Into the journal: it is read when something goes wrong, also when this process hangs."""
        os.write(self.journal, f"{time.monotonic():.6f} {self.name} {text}\n".encode())

    def open_journal(self):
        """One file for this round, one for the last."""
        if self.journal is not None:
            os.close(self.journal)
            os.replace(self.journal_path, self.journal_path + ".before")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND
        self.journal = os.open(self.journal_path, flags, 0o644)

    def complain(self, text):
        self.note(f"PROBLEM {text}")
        if len(self.problems) < 20:
            self.problems.append(f"{time.monotonic():.6f} {self.name}: {text}")

    def path(self):
        depth = self.rng.choices((1, 2, 3), (5, 5, 2))[0]
        return "/".join(self.rng.choice(NAMES) for _ in range(depth))

    def next_counter(self):
        self.counter += 1
        return self.counter

    def answer(self, **reply):
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()

    def serve(self):
        self.open_journal()
        self.answer(ready=True)
        for line in sys.stdin:
            order = json.loads(line)
            getattr(self, "do_" + order.pop("do"))(**order)
        self.finish()

    def finish(self):
        pass

    def do_round(self, number, seconds):
        """Random operations; tells how many, and what was seen that must not be."""
        self.open_journal()
        self.rng.seed(f"{self.seed}/{self.name}/{number}")
        self.problems, self.acknowledged = [], []
        n_done, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            n_done += 1
        self.round_ends()
        self.answer(n_done=n_done, problems=self.problems, acknowledged=self.acknowledged)

    def round_ends(self):
        pass
