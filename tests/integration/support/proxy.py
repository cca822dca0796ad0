"""
A TCP proxy in front of a ZooKeeper server, to take the network away.

It knows the frames of the protocol well enough to lose a request before it reaches the server, or
an answer after the request was done, and to learn the session's id and password.
"""

import socket
import struct
import threading

from .waiting import free_port

# Operation codes of the protocol.
CREATE, DELETE, EXISTS, GET, SET = 1, 2, 3, 4, 5
GET_ACL, SET_ACL, GET_CHILDREN, SYNC, GET_CHILDREN2, MULTI, CREATE2 = 6, 7, 8, 9, 12, 14, 15
WRITES = (CREATE, DELETE, SET, SET_ACL, MULTI, CREATE2)


def read_exactly(conn, length):
    data = b""
    while len(data) < length:
        piece = conn.recv(length - len(data))
        if not piece:
            return None
        data += piece
    return data


def read_frame(conn):
    head = read_exactly(conn, 4)
    if head is None:
        return None
    body = read_exactly(conn, struct.unpack(">i", head)[0])
    return None if body is None else head + body


class Trap:
    """The next request of one of these kinds is lost, or its answer. `sprung` tells when."""

    def __init__(self, opcodes, lose, then_cut):
        self.opcodes = opcodes
        self.lose = lose
        self.then_cut = then_cut
        self.sprung = threading.Event()


class Link:
    """One connection through the proxy: two threads that pass frames on."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        self.lost_xid = None
        self.trap = None
        for pump in (self.pump_requests, self.pump_answers):
            threading.Thread(target=self.guard, args=(pump,), daemon=True).start()

    def guard(self, pump):
        try:
            pump()
        except OSError:
            pass
        self.close()

    def pump_requests(self):
        first = True
        while frame := read_frame(self.client):
            self.proxy.flowing.wait()
            if not first and self.is_lost(frame):
                return
            first = False
            self.server.sendall(frame)

    def is_lost(self, frame):
        """Springs the trap if this request is what it waits for."""
        xid, opcode = struct.unpack(">ii", frame[4:12])
        trap = self.proxy.take_trap(opcode)
        if trap is None:
            return False
        self.trap = trap
        if trap.lose == "answer":
            self.lost_xid = xid
            return False
        self.spring()
        return True

    def pump_answers(self):
        frame = read_frame(self.server)
        if frame is None:
            return
        self.proxy.learn_session(frame)
        self.client.sendall(frame)
        while frame := read_frame(self.server):
            self.proxy.flowing.wait()
            if self.lost_xid is not None and self.lost_xid == struct.unpack(">i", frame[4:8])[0]:
                self.spring()
                return
            self.client.sendall(frame)

    def spring(self):
        if self.trap.then_cut:
            self.proxy.cut()
        self.close()
        self.trap.sprung.set()

    def close(self):
        for conn in (self.client, self.server):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            conn.close()


class Proxy:
    """Listens on `port` and passes everything on to `target` until told otherwise."""

    def __init__(self, target, host="127.0.0.1"):
        self.target = target
        self.host = host
        self.port = free_port(host)
        self.session = None  # (id, password), as the last connecting client got it
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.links = []
        self.traps = []
        self.listener = None
        self.heal()

    @property
    def hosts(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def heal(self):
        """Everything flows again."""
        self.flowing.set()
        if self.listener is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self.listener = socket.create_server((self.host, self.port), family=family)
            threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.flowing.wait()
            try:
                link = Link(self, client)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.links.append(link)

    def cut(self):
        """Every connection ends, and new ones are refused."""
        listener, self.listener = self.listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        self.drop()

    def drop(self):
        """Every connection ends; new ones are taken."""
        with self.lock:
            links, self.links = self.links, []
        for link in links:
            link.close()

    def freeze(self):
        """Connections stay, but nothing gets through in either direction."""
        self.flowing.clear()

    def learn_session(self, frame):
        _, _, session_id, length = struct.unpack(">iiqi", frame[4:24])
        self.session = (session_id, frame[24 : 24 + length])

    def lose_answer(self, *opcodes, then_cut=False):
        return self.set_trap(Trap(opcodes, "answer", then_cut))

    def lose_request(self, *opcodes, then_cut=False):
        return self.set_trap(Trap(opcodes, "request", then_cut))

    def set_trap(self, trap):
        with self.lock:
            self.traps.append(trap)
        return trap

    def take_trap(self, opcode):
        with self.lock:
            for trap in self.traps:
                if opcode in trap.opcodes:
                    self.traps.remove(trap)
                    return trap
        return None

    def close(self):
        self.flowing.set()
        self.cut()
