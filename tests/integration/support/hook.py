"""A hook program: run once, or as a daemon that is ended, and checked for sanitizer reports."""

import os
import signal
import subprocess
from pathlib import Path

from .mount import BINARY
from .waiting import DIES_WITH_PARENT, SCALE, run

FOLDER = Path(BINARY).resolve().parents[1] / "hooks"


class Hooks:
    """Starts hooks whose state and sanitizer reports are in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.running = []
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "ASAN_OPTIONS": f"detect_leaks=1:log_path={self.folder}/sanitizer",
            "LSAN_OPTIONS": f"print_suppressions=0:suppressions={self.suppressions()}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.folder}/sanitizer",
        }
        for name in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "STATE_DIRECTORY", "WATCHDOG_USEC"):
            self.environment.pop(name, None)

    @staticmethod
    def program(name):
        return FOLDER / name

    def suppressions(self):
        """What libgit2 keeps of its regular expressions is not ours to free."""
        path = self.folder / "suppressions"
        path.write_text("leak:libpcre2\n")
        return path

    def run(self, name, *args, check=False, env=None, **kwargs):
        """To its end; gives what support.waiting.run gives."""
        environment = {**self.environment, **(env or {})}
        return run(self.program(name), *args, check=check, env=environment, **kwargs)

    def start(self, name, *args, env=None):
        hook = Hook(self, name, args, {**self.environment, **(env or {})})
        self.running.append(hook)
        return hook

    def finish(self):
        """Ends what still runs, and gives what was wrong."""
        problems = [hook.finish() for hook in self.running if hook.alive()]
        reports = [path.read_text(errors="replace") for path in self.folder.glob("sanitizer*")]
        return [problem for problem in problems + reports if problem]


class Hook:
    """One that runs; its log is in `stderr`, what it prints in `stdout`."""

    def __init__(self, hooks, name, args, env):
        number = len(hooks.running)
        self.name = name
        self.out = hooks.folder / f"{name}-{number}.out"
        self.err = hooks.folder / f"{name}-{number}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                DIES_WITH_PARENT + [str(hooks.program(name))] + [str(arg) for arg in args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
            )

    def stdout(self):
        return self.out.read_text(errors="replace")

    def stderr(self):
        return self.err.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to end, and gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10 * SCALE)

    def finish(self):
        try:
            status = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} does not end\n{self.stderr()}"
        return f"{self.name} ended with {status}\n{self.stderr()}" if status != 0 else None
