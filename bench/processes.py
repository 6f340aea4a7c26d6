"""Child processes of a benchmark: started in a folder of their own, measured, and always ended by their own pid."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
# What is measured is this checkout, whichever one the environment has installed.
PYTHON_PATH = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
# The load client has the last core for itself as far as it can: the servers are left to the scheduler.
CLIENT_CORES = sorted(os.sched_getaffinity(0))[-1:]


class BenchError(Exception):
    """Something cannot be measured; where a process ended, the message has the last lines it wrote."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One child process. Its output goes to ``<folder>/<name>.log``; leaving the ``with`` block ends it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        piped: bool = False,
        grace_s: float = 20.0,
    ) -> None:
        self.name = name
        self._grace_s = grace_s
        self.log = folder / f"{name}.log"
        pipe = subprocess.PIPE if piped else subprocess.DEVNULL
        with self.log.open("ab") as log:
            self.started = time.monotonic()
            # A session of its own: Ctrl-C reaches the benchmark alone, which then ends its children in order.
            self.popen = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**os.environ, "PYTHONPATH": PYTHON_PATH, "LANGUAGE": "en", **(environment or {})},
                stdin=pipe,
                stdout=pipe if piped else log,
                stderr=log,
                start_new_session=True,
                text=True,
                bufsize=1,
            )
        self._psutil = psutil.Process(self.popen.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        """Poll ``condition`` and return the seconds from the process's start to its being true."""
        while True:
            if condition():
                return time.monotonic() - self.started
            if self.popen.poll() is not None:
                raise BenchError(f"{self.name} ended with code {self.popen.returncode}:\n{self.last_lines()}")
            if time.monotonic() - self.started > timeout_s:
                raise BenchError(f"{self.name} was not ready within {timeout_s:g} s:\n{self.last_lines()}")
            time.sleep(0.02)

    def last_lines(self, count: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def cpu_s(self) -> float:
        """CPU time of the process and its children so far, in seconds."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._family()))

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, in MB (10^6 bytes)."""
        return sum(process.memory_info().rss for process in self._family()) / 1e6

    def _family(self) -> list[psutil.Process]:
        return [self._psutil, *self._psutil.children(recursive=True)]
