"""The other client: kazoo, looking at the subtree that a test has for itself."""

import queue
import socket
import struct

from kazoo.client import KazooClient


class Tree:
    """
    Paths are relative to the subtree: "/" is its top.

    Reads go on when their connection breaks: a test may have stopped the server.

    A mount serves what it holds until it is told of a change, which takes a moment. The mounts in
    `readers` have been told when a change that is made here returns; `client` makes them without.
    """

    def __init__(self, client, root):
        self.client = client
        self.root = root
        self.readers = []

    def changed(self):
        for mount in self.readers:
            mount.catch_up()

    def path(self, path):
        return self.root + ("" if path == "/" else path) or "/"

    def create(self, path, data=b"", **kwargs):
        """data None is ZooKeeper's null data. Missing parents are made with no data."""
        parent = path.rpartition("/")[0]
        if parent and not self.exists(parent):
            self.client.ensure_path(self.path(parent))
        self.client.create(self.path(path), data, **kwargs)
        self.changed()
        return self.stat(path)

    def create_many(self, parent, names, data=b""):
        """Thousands of children, in few transactions."""
        names = list(names)
        for start in range(0, len(names), 500):
            multi = self.client.transaction()
            for name in names[start : start + 500]:
                multi.create(self.path(f"{parent}/{name}"), data)
            for result in multi.commit():
                assert isinstance(result, str), result
        self.changed()

    def get(self, path):
        return self.client.retry(self.client.get, self.path(path))[0]

    def get_both(self, path):
        """(data, stat), read together; (None, None) when there is no such znode."""
        if not self.exists(path):
            return None, None
        return self.client.retry(self.client.get, self.path(path))

    def set(self, path, data):
        stat = self.client.set(self.path(path), data)
        self.changed()
        return stat

    def stat(self, path):
        return self.client.retry(self.client.exists, self.path(path))

    def version(self, path):
        return self.stat(path).version

    exists = stat

    def children(self, path="/"):
        return sorted(self.client.retry(self.client.get_children, self.path(path)))

    def delete(self, path):
        self.client.delete(self.path(path))
        self.changed()

    def delete_tree(self, path):
        self.client.delete(self.path(path), recursive=True)
        self.changed()

    def acls(self, path):
        return self.client.get_acls(self.path(path))[0]

    def set_acls(self, path, acls):
        self.client.set_acls(self.path(path), acls)

    def watch(self, path):
        """A queue that gets the type of the next event on path ("CREATED", "CHANGED", ...)."""
        events = queue.Queue()
        self.client.exists(self.path(path), watch=lambda event: events.put(event.type))
        return events

    def watch_children(self, path):
        events = queue.Queue()
        self.client.get_children(self.path(path), watch=lambda event: events.put(event.type))
        return events


def connect(hosts, **kwargs):
    client = KazooClient(hosts=hosts, **kwargs)
    client.start(timeout=30)
    return client


def disconnect(client):
    client.stop()
    client.close()


def expire(hosts, session):
    """Ends somebody's session for good: a second connection of the same session closes it.

    The server cuts the other connection then, and its owner comes back and cuts ours: whoever is
    faster. So this speaks the protocol itself, and tries until the server says that there is no such
    session any more.
    """
    for _ in range(100):
        if not close_session(hosts.partition("/")[0].split(",")[0], *session):
            return
    raise AssertionError("the session cannot be ended")


def close_session(host, session_id, password):
    """False: the server does not know the session."""
    address, _, port = host.rpartition(":")
    request = struct.pack(">iqiqi", 0, 0, 10000, session_id, len(password)) + password + b"\0"
    close = struct.pack(">ii", 1, -11)
    with socket.create_connection((address, int(port)), timeout=5) as conn:
        try:
            conn.sendall(struct.pack(">i", len(request)) + request)
            conn.sendall(struct.pack(">i", len(close)) + close)
            answer = conn.recv(4096)
            while conn.recv(4096):
                pass
        except OSError:
            return True
    return len(answer) < 20 or struct.unpack(">q", answer[12:20])[0] != 0
