"""
Two mounts and another client change a small tree: when all is quiet all see the same, and who only
listens to inotify has been told of it.
"""

import os
import random

import pytest

from support.proxy import Proxy
from support.storm.storm import Side, Storm

# Of each storm; any length by hand: tests/coherence.
SECONDS = 15


@pytest.fixture
def storm(server, kz, tree, mounts, place, request):
    """storm(accidents) runs one; its seed is in what it says when it fails."""
    made = []

    def run(seconds, accidents=(), proxies=(None, None)):
        seed = int(os.environ.get("ZKFS_TEST_SEED", random.randrange(1 << 30)))
        sides = []
        for proxy in proxies:
            hosts = (proxy or server).hosts + tree.root
            sides.append(Side(mounts(hosts=hosts), proxy))
        made.append(Storm(kz, server.hosts, tree.root, sides, place, seed, accidents))
        made[-1].run(seconds)
        assert made[-1].n_rounds > 0

    yield run
    for one in made:
        one.close()


@pytest.mark.deadline(120)
def test_all_see_the_same(storm):
    storm(SECONDS)


@pytest.mark.deadline(120)
def test_all_see_the_same_after_accidents(storm, server):
    proxies = [Proxy(server.port) for _ in range(2)]
    try:
        storm(SECONDS, ("drop", "cut", "expire", "stop"), proxies)
    finally:
        for proxy in proxies:
            proxy.close()
