"""Server: a server program of a test's own, from its first start to the removal of its folder."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import psutil

from tests.servers import guard

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1.0
# Where Debian keeps what is not on everyone's PATH.
_PLACES = ("/usr/sbin", "/usr/local/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))


class ProgramMissing(Exception):
    """A server program, or a tool that sets it up, is not installed: ``make services`` installs all of them."""


def find_program(name: str) -> str:
    """Return where ``name`` is.

    Raises:
        ProgramMissing: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PLACES))
    if found is None:
        raise ProgramMissing(f"{name} is not installed; make services installs it")
    return found


def free_port() -> int:
    """Return a port that nobody listens on, of those that no outgoing connection is given.

    With one of the others a client that tries to reach a killed server might get it, and find itself connected to
    itself, and the server could not start again.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server(ABC):
    """A server on ``port`` of 127.0.0.1, with its data in a new temporary folder; as a context manager it runs inside.

    Nothing but what was started here is ever signalled, and if the test session itself is killed, ``guard`` clears up.

    Args:
        arguments: added to the program's command line.
        folder: for the data, instead of a new one: an existing folder that others may enter, which is left behind.
    """

    program: ClassVar[str]
    # PostgreSQL refuses to run as root, and then runs as this user.
    run_as: ClassVar[str | None] = None
    # Asks the program to end without waiting for its clients.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, *arguments: str, folder: Path | None = None) -> None:
        self.arguments = arguments
        self.port = free_port()
        self._path = find_program(self.program)
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"vnpy-core-{self.program}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    @property
    @abstractmethod
    def url(self) -> str:
        """What a client is configured with."""

    @abstractmethod
    def ping(self) -> None:
        """Return if the server answers. Raises an OSError otherwise, or RuntimeError if it answers something else."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Return the arguments that start the program in the foreground, on ``port`` and in ``folder``."""

    def _prepare(self) -> None:  # noqa: B027  most need nothing
        """Make the files that the first start needs."""

    @property
    def is_running(self) -> bool:
        """True also while it is frozen."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        return self.folder / "output.txt"

    def start(self) -> Self:
        """Start, and return when the server answers. Data and port are those of before, if there was a before."""
        assert not self.is_running, f"{self.program} is running"
        if not self._prepared:
            if self.user is not None:
                self.folder.chmod(0o755)
                shutil.chown(self.folder, self.user)
            self._prepare()
            self._prepared = True
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._path, *self._command(), *self.arguments],
                cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, **self._identity(),
            )  # fmt: skip
        guard.watch(self._process.pid, self.folder if self._temporary else None)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.ping()
                return self
            except (OSError, RuntimeError) as error:
                if not self.is_running or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"{self.program} does not answer: {error}\n{self._last_words()}") from error
            # Its answer is what is awaited; there is nothing else to wait on.
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask the server to end, frozen or not, and kill it if that takes too long."""
        if self._process is None:
            return
        family = self._family()
        self._process.send_signal(self.stop_signal)
        _signal(family, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End the server and its children by SIGKILL, and return when they are gone."""
        if self._process is None:
            return
        # Stopped first, it can have no further children.
        self.freeze()
        family = self._family()
        _signal(family, signal.SIGKILL)
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(map(_is_alive, family)) and time.monotonic() < deadline:
            # They are nobody's children now, so there is nothing to wait on.
            time.sleep(0.005)

    def freeze(self) -> None:
        """Let the server stand still (SIGSTOP): it accepts connections, and answers nothing."""
        _signal(self._family()[:1], signal.SIGSTOP)
        _signal(self._family()[1:], signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        _signal(self._family(), signal.SIGCONT)

    def restart(self) -> None:
        """Stop if it runs, and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its folder."""
        self.kill()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def user(self) -> str | None:
        """The user it runs as, if that is another than the one who tests."""
        return self.run_as if os.geteuid() == 0 else None

    def run(self, program: str, *arguments: str, **environment: str) -> str:
        """Run a tool as the server's user and return what it prints.

        Raises:
            RuntimeError: it failed; with what it printed.
        """
        done = subprocess.run(
            [find_program(program), *arguments],
            cwd=self.folder, env=self._environment() | environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=START_TIMEOUT_S, check=False, **self._identity(),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def ask(self, question: bytes) -> bytes:
        """Connect, send ``question``, and return the beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), PING_TIMEOUT_S) as connection:
            connection.sendall(question)
            return connection.recv(4096)

    def _environment(self) -> dict[str, str]:
        """Nothing of the tester's own settings: PGHOST, MYSQL_HOME, INFLUXDB_…"""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}

    def _identity(self) -> dict[str, Any]:
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def _family(self) -> list[psutil.Process]:
        """The program and its children; PostgreSQL has one for each connection, in sessions of their own."""
        if not self.is_running:
            return []
        assert self._process is not None
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _is_alive(process: psutil.Process) -> bool:
    """Not one that is dead, and only waits for init to notice."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
