"""/.zkfs/metrics, as Prometheus reads it."""

import os
import re

import pytest

from support.files import exists, read, write
from support.inotify import Inotify
from support.waiting import run, wait_for

SAMPLE = re.compile(r'([a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+|\+Inf)\Z')


def parse(text):
    """{"zkfs_events_total{event="create"}": 3.0, …}; checks the format on the way."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, "one TYPE line for each name"
            types[name] = kind
            continue
        name, labels, value = SAMPLE.match(line).groups()
        base = re.sub(r"_(bucket|sum|count)\Z", "", name)
        assert types.get(name) in ("counter", "gauge") or types.get(base) == "histogram", line
        key = f"{name}{{{labels}}}" if labels else name
        assert key not in samples, key
        samples[key] = float(value)
    return samples


@pytest.fixture
def metrics(mnt):
    def get(name=None):
        samples = parse(read(mnt / ".zkfs" / "metrics").decode())
        return samples[name] if name else samples

    return get


def test_every_name_is_ours_and_has_a_type(metrics):
    assert all(name.startswith("zkfs_") for name in metrics())


def test_it_stands_beside_the_status_and_cannot_be_written(mnt):
    assert sorted(os.listdir(mnt / ".zkfs")) == ["metrics", "status"]
    assert run("sh", "-c", f"echo x > {mnt}/.zkfs/metrics", check=False).returncode != 0


def test_operations_are_counted_and_timed(mnt, metrics):
    for _ in range(10):
        write(mnt / "f", b"data")
    samples = metrics()
    assert samples['zkfs_operation_seconds_count{operation="write"}'] == 10
    assert samples['zkfs_operation_seconds_bucket{operation="write",le="+Inf"}'] == 10
    assert 0 < samples['zkfs_operation_seconds_sum{operation="flush"}'] < 60
    classes = [
        value
        for name, value in samples.items()
        if name.startswith('zkfs_operation_seconds_bucket{operation="write"')
    ]
    assert classes == sorted(classes)


def test_errors_are_counted(mnt, metrics):
    name = 'zkfs_operation_errors_total{operation="lookup"}'
    exists(mnt / "absent")
    assert metrics(name) >= 0
    before = metrics(name)
    with pytest.raises(OSError):
        os.mkdir(mnt / "bad\nname")
    assert metrics(name) == before + 1


def test_what_is_hot_is_a_hit_and_asks_zookeeper_nothing(mnt, tree, metrics):
    tree.create("/f", b"data")
    read(mnt / "f")
    mnt.catch_up()
    before = metrics()
    for _ in range(10):
        read(mnt / "f")
    after = metrics()
    hits = 'zkfs_cache_hits_total{operation="open"}'
    assert after[hits] == before[hits] + 10
    for kind in "get", "exists", "children":
        name = f'zkfs_zookeeper_requests_total{{type="{kind}"}}'
        assert after[name] == before[name]


def test_zookeepers_requests_are_counted_by_type(mnt, metrics):
    name = 'zkfs_zookeeper_requests_total{type="%s"}'
    before = metrics()
    write(mnt / "f", b"new")
    write(mnt / "f", b"again")
    after = metrics()
    assert after[name % "create"] == before[name % "create"] + 1
    assert after[name % "set"] == before[name % "set"] + 1


def test_events_are_counted_by_kind(mnt, tree, metrics):
    tree.create("/f", b"data")
    events = Inotify().watch(mnt.path)
    before = metrics()
    tree.set("/f", b"new")
    tree.create("/g", b"g")
    tree.delete("/g")
    after = metrics()
    for kind in "modify", "create", "unlink":
        name = f'zkfs_events_total{{event="{kind}"}}'
        assert after[name] == before[name] + 1, kind
    assert after["zkfs_events_owed"] == 0
    assert after["zkfs_events_failed_total"] == 0
    assert after["zkfs_watches_fired_total"] > before["zkfs_watches_fired_total"]
    events.close()


def test_versions_that_were_never_told_are_counted(mnt, tree, metrics):
    tree.create("/f", b"0")
    read(mnt / "f")
    mnt.catch_up()
    before = metrics()
    for one in [tree.client.set_async(tree.path("/f"), b"%d" % n) for n in range(100)]:
        one.get()
    mnt.catch_up()
    after = metrics()
    told = 'zkfs_events_total{event="modify"}'
    coalesced = "zkfs_events_coalesced_total"
    assert after[told] - before[told] + after[coalesced] - before[coalesced] == 100


def test_a_lost_connection_shows(proxy, mounts, tree):
    mnt = mounts(hosts=proxy.hosts + tree.root)

    def metric(name):
        return parse(read(mnt / ".zkfs" / "metrics").decode())[name]

    assert metric("zkfs_connected") == 1
    proxy.cut()
    wait_for(lambda: metric("zkfs_connected") == 0, 10)
    proxy.heal()
    wait_for(lambda: metric("zkfs_connected") == 1, 20)
    assert metric("zkfs_reconnects_total") == 1
