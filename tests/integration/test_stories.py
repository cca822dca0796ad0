"""The stories of examples/: each starts what it needs, checks itself, and leaves nothing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.mount import BINARY
from support.waiting import run, wait_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STORIES = sorted(path.parent.name for path in EXAMPLES.glob("*/run"))

pytestmark = [pytest.mark.once, pytest.mark.deadline(150)]


@pytest.fixture
def environment(place):
    """A TMPDIR of its own, in which nothing may be left, neither files nor mounts nor users."""
    where = place / "tmp"
    where.mkdir()
    yield {**os.environ, "ZKFS": BINARY, "TMPDIR": str(where)}
    assert str(where) not in Path("/proc/self/mountinfo").read_text()
    assert not list(where.iterdir())
    wait_for(lambda: not users(where), 10, "the end of all processes")


def users(where):
    """Processes that have the folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(where) in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("story", STORIES)
def test_the_story_checks_itself_and_leaves_nothing(story, environment):
    done = run(EXAMPLES / story / "run", env=environment, timeout=140)
    assert done.stdout.endswith("Done.\n") and "  ok: " in done.stdout


def test_a_story_that_is_interrupted_leaves_nothing(environment):
    argv = [str(EXAMPLES / "service-discovery" / "run")]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as story:
        for line in story.stdout:
            if "five are discovered" in line:
                break
        story.send_signal(signal.SIGTERM)
        story.stdout.read()
    assert story.returncode == 143


def test_a_story_that_goes_wrong_fails(environment, place):
    (place / "fs").mkdir()
    (place / "fs" / "zkfs").symlink_to("/bin/false")
    broken = {**environment, "ZKFS": place / "fs" / "zkfs"}
    done = run(EXAMPLES / "kafka" / "run", env=broken, check=False)
    assert done.returncode != 0 and "Done." not in done.stdout
