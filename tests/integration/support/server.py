"""ZooKeeper servers on 127.0.0.1, with private ports and folders: one alone, or three."""

import signal
import socket
import subprocess
from pathlib import Path

from .waiting import DIES_WITH_PARENT, free_port, wait_for

CLASSPATH = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
JAVA = [
    "java",
    "-Xmx1g",  # it keeps the last 500 transactions, whatever their size
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dzookeeper.preAllocSize=1024",
    "-Dzookeeper.forceSync=no",
    "-cp",
    CLASSPATH,
    MAIN,
]
CONFIG = """\
tickTime=500
initLimit=20
syncLimit=10
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
maxClientCnxns=0
4lw.commands.whitelist=ruok,srvr,mntr,cons,dump
"""


class Server:
    """One server. `quorum` holds the server.N= lines of an ensemble, my_id its own number there."""

    def __init__(self, folder, my_id=None, quorum=()):
        self.folder = Path(folder)
        self.port = free_port()
        self.process = None
        (self.folder / "data").mkdir(parents=True)
        config = CONFIG.format(folder=self.folder, port=self.port)
        (self.folder / "zoo.cfg").write_text(config + "\n".join(quorum) + "\n")
        if my_id is not None:
            (self.folder / "data" / "myid").write_text(f"{my_id}\n")

    @property
    def hosts(self):
        return f"127.0.0.1:{self.port}"

    def launch(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                DIES_WITH_PARENT + JAVA + [str(self.folder / "zoo.cfg")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def start(self):
        self.launch()
        self.wait_ready()

    def wait_ready(self):
        try:
            wait_for(self.mode, 30, "a ZooKeeper server")
        except AssertionError as error:
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}\n{log}") from None

    def ask(self, word):
        """A four letter word; "" when nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as conn:
                conn.sendall(word.encode())
                answer = b""
                while piece := conn.recv(65536):
                    answer += piece
                return answer.decode()
        except OSError:
            return ""

    def mode(self):
        """standalone, leader or follower; None when it does not serve."""
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode: "):
                return line[len("Mode: ") :]
        return None

    def metric(self, name):
        """A number from mntr."""
        for line in self.ask("mntr").splitlines():
            key, _, value = line.partition("\t")
            if key == name:
                return int(float(value))
        return None

    def has_session(self, session_id):
        """Whether this (standalone or leading) server knows the session."""
        return f"{session_id:x}" in self.ask("dump").lower()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """Ends it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    stop = kill


class Ensemble:
    """Three servers, one of them leading."""

    def __init__(self, folder):
        ports = set()
        while len(ports) < 6:
            ports.add(free_port())
        ports = sorted(ports)
        quorum = [
            f"server.{n}=127.0.0.1:{ports[n - 1]}:{ports[n + 2]}" for n in (1, 2, 3)
        ]
        self.servers = [Server(Path(folder) / str(n), n, quorum) for n in (1, 2, 3)]

    @property
    def hosts(self):
        return ",".join(server.hosts for server in self.servers)

    def start(self):
        self.heal()

    def heal(self):
        """Brings back whatever was stopped or killed, and waits until all three serve."""
        for server in self.servers:
            if server.alive():
                server.resume()
            else:
                server.launch()
        for server in self.servers:
            server.wait_ready()

    def leader(self):
        return next(server for server in self.servers if server.mode() == "leader")

    def followers(self):
        return [server for server in self.servers if server.mode() == "follower"]

    def stop(self):
        for server in self.servers:
            server.stop()
