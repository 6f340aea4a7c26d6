"""Supervisor: tells systemd how the service is (``sd_notify``), if it was started by it with ``Type=notify``."""

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Self


class Supervisor:
    """Datagrams to the socket that systemd listens at; without one nothing is sent. From any thread.

    ``watchdog_s``: so often systemd wants to be told that all goes well, or it ends the service; 0: never.
    """

    def __init__(self, address: str | None, watchdog_s: float = 0.0) -> None:
        self.watchdog_s = watchdog_s if address else 0.0
        # An address that begins with @ is of Linux' abstract space.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self._status = ""

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Self:
        """Return the one that ``environ`` names, and take the names out of it: child processes are not meant."""
        found = {name: environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
        return cls(found["NOTIFY_SOCKET"] or None, _watchdog_s(found))

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Put off the end that the watchdog would bring; only while it is deserved."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how it is going, if that is news."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={' '.join(text.split())}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None and self._address:
            with contextlib.suppress(OSError):  # a systemd that does not listen is no reason to stop trading
                self._socket.sendto(message.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float:
    usec, pid = environ["WATCHDOG_USEC"], environ["WATCHDOG_PID"]
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(usec) / 1e6
