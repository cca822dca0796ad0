"""
The coherence test: programs that change a small tree from all sides, and then a look at it.

Each mount has writers (writer.py) and a viewer (viewer.py); another client (other.py) works on the
znodes themselves. They are processes of their own, told by the director (storm.py) when to begin.
After each round of random operations all is quiet, and what the mounts show through the kernel's
caches must be what ZooKeeper has; and so must be what an inotify watcher has been told.
"""
