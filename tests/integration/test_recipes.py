"""The recipes of zkfs-ephemeral(7), as they are printed there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import sh, wait_equal, wait_for

MANUAL = Path(__file__).resolve().parents[2] / "fs" / "zkfs-ephemeral.7"


def recipe(name):
    text = MANUAL.read_text()
    block = re.search(rf'^\.\\" recipe: {name}\n\.Bd .*\n((?:.*\n)*?)\.Ed$', text, re.MULTILINE)
    return block.group(1)


@pytest.fixture
def env(tree, mnt):
    """What the recipes call DIR, in the environment."""
    os.mkdir(mnt / "dir")
    return {**os.environ, "DIR": str(mnt / "dir"), "HOSTNAME": "here"}


@pytest.fixture
def script(place):
    def make(name):
        path = place / name
        path.write_text(recipe(name))
        path.chmod(0o755)
        return path

    return make


def test_register_a_service(tree, env):
    sh(recipe("register"), env=env)
    assert tree.get("/dir/s9096") == b'["127.0.0.1","9096"]'


def test_run_a_program_that_is_registered(tree, env, script, spawn):
    program = spawn(script("run"), env["DIR"], "web", "sleep", "1000", env=env)
    wait_for(lambda: tree.exists("/dir/web"))
    assert tree.get("/dir/web") == b"here"
    second = sh(f"{script('run')} {env['DIR']} web true", env=env, check=False)
    assert second.returncode == 75
    program.kill()
    wait_equal(lambda: tree.children("/dir"), [], 1)


def test_a_lease_in_python(tree, env, mnt):
    code = "def work(): print(open(os.environ['DIR'] + '/python').read())\n" + recipe("python")
    done = sh(f"exec {sys.executable} - <<'E'\n{code}E", env=env)
    assert done.stdout == "some data\n"
    wait_equal(lambda: tree.children("/dir"), [], 1)


def test_a_lease_in_c(tree, env, place):
    head = "#include <fcntl.h>\n#include <string.h>\n#include <unistd.h>\n"
    main = 'int main(int c, char **v) { return lease_take(v[1], v[2]) < 0 ? 75 : getchar() < 0; }'
    (place / "lease.c").write_text(head + "#include <stdio.h>\n" + recipe("c") + main)
    sh("cc -Wall -Werror lease.c -o lease", cwd=place)
    argv = [place / "lease", env["DIR"] + "/.lease", "c some data"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as holder:
        wait_for(lambda: tree.exists("/dir/c"))
        assert subprocess.run(argv, stdin=subprocess.DEVNULL).returncode == 75
        holder.communicate(b"x")
    wait_equal(lambda: tree.children("/dir"), [], 1)


def test_a_work_queue(tree, env, mnt, script, spawn, place):
    os.mkdir(mnt / "claims")
    handler = place / "handler"
    handler.write_text(f"#!/bin/sh\necho $1 >> {place}/done\n")
    handler.chmod(0o755)
    env = {**env, "CLAIMS": str(mnt / "claims"), "HANDLER": str(handler)}
    for n in range(5):
        sh(recipe("produce"), env={**env, "PAYLOAD": f"early {n}"})
    workers = [spawn(script("work"), env=env, start_new_session=True) for _ in range(3)]
    for n in range(10):
        sh(recipe("produce"), env={**env, "PAYLOAD": f"late {n}"})
    wait_equal(lambda: tree.children("/dir"), [], 30)
    expected = [f"early {n}" for n in range(5)] + [f"late {n}" for n in range(10)]
    assert sorted((place / "done").read_text().splitlines()) == expected
    for worker in workers:
        os.killpg(worker.pid, 9)
    wait_equal(lambda: tree.children("/claims"), [], 5)


def test_electing_a_leader(tree, env, script, spawn, place):
    lead = place / "lead"
    lead.write_text(f"#!/bin/sh\necho $PPID $1 >> {place}/terms\nsleep 1000\n")
    lead.chmod(0o755)
    env = {**env, "LEAD": str(lead)}

    def terms():
        path = place / "terms"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    candidates = []
    for n in range(3):
        candidates.append(spawn(script("elect"), env=env, start_new_session=True))
        wait_equal(lambda n=n: len(tree.children("/dir")), n + 1)
    for n, candidate in enumerate(candidates):
        wait_equal(lambda n=n: len(terms()), n + 1, 20)
        assert terms()[n][0] == str(candidate.pid)
        os.killpg(candidate.pid, 9)
    numbers = [int(term, 0) for _, term in terms()]
    assert numbers == sorted(numbers) and len(set(numbers)) == 3
