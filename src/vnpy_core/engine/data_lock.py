"""The lock on the data folder: one process works on it, and anyone can ask which."""

import fcntl
import os
import time
from pathlib import Path

import msgspec

from vnpy_core.errors import AlreadyRunning, ConfigError
from vnpy_core.models import now_timestamp

LOCK_FILE = "vnpy-core.lock"


class LockHolder(msgspec.Struct, frozen=True):
    """The process that holds a data folder. ``url`` is empty until it listens; ``pid`` is 0 if it cannot be told."""

    pid: int
    url: str
    started: str


class DataDirLock:
    """The right to be the one process that works on a data folder. The kernel gives it up when the process ends.

    Processes made by ``fork`` share the lock and keep it: start workers by ``spawn``.
    """

    def __init__(self, data_dir: Path, url: str = "") -> None:
        self._path = data_dir / LOCK_FILE
        self._url = url
        self._started = now_timestamp()
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; nothing happens if this object has it.

        Raises:
            AlreadyRunning: another process has it; the message names its pid and URL.
            ConfigError: the data folder cannot be written.
        """
        if self._file is not None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written ({error.strerror}): set VNPY_DATA_DIR") from error
        if not _try_lock(file):
            os.close(file)
            holder = read_lock_holder(self._path.parent) or LockHolder(pid=0, url="", started="")
            raise AlreadyRunning(
                f"process {holder.pid} works on {self._path.parent}"
                + (f" and answers at {holder.url}" if holder.url else "")
                + ": stop it, or set VNPY_DATA_DIR and VNPY_CORE_SERVICE_PORT for this one",
                pid=holder.pid,
                url=holder.url,
            )
        self._file = file
        self._write(file)

    def publish(self, url: str) -> None:
        """Tell the address at which the holder now answers; before ``acquire`` it is only remembered."""
        self._url = url
        if self._file is not None:
            self._write(self._file)

    def release(self) -> None:
        """Give the lock up; nothing happens if this object has not got it. The file stays, empty."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "DataDirLock":
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def _write(self, file: int) -> None:
        text = msgspec.json.encode(LockHolder(pid=os.getpid(), url=self._url, started=self._started))
        os.pwrite(file, text, 0)
        os.ftruncate(file, len(text))


def _try_lock(file: int) -> bool:
    # Asking who holds the lock takes a shared one for an instant: that must not look like a second service.
    for _attempt in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def read_lock_holder(data_dir: Path) -> LockHolder | None:
    """Return who works on ``data_dir``, or None: nobody does, or whoever did is dead."""
    try:
        file = os.open(data_dir / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        try:
            return msgspec.json.decode(os.pread(file, 4096, 0), type=LockHolder)
        except msgspec.DecodeError:
            return LockHolder(pid=0, url="", started="")
    finally:
        os.close(file)
