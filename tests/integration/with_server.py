"""Runs a command with ZKFS_TEST_HOSTS naming a fresh ZooKeeper server: with_server.py COMMAND..."""

import os
import subprocess
import sys
import tempfile

from support.server import Server


def main():
    with tempfile.TemporaryDirectory(prefix="zkfs-server-") as folder:
        server = Server(folder)
        try:
            server.start()
            env = {**os.environ, "ZKFS_TEST_HOSTS": server.hosts}
            return subprocess.run(sys.argv[1:], env=env, check=False).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
