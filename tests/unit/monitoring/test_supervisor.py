"""What systemd is told, over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vnpy_core.monitoring.supervisor import Supervisor


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def test_it_is_told_each_thing_once(systemd: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "2500000", "HOME": "/x"}
    supervisor = Supervisor.of(environ)
    assert environ == {"HOME": "/x"}  # not for child processes
    assert supervisor.watchdog_s == 2.5
    supervisor.ready()
    supervisor.status("Ready")
    supervisor.status("Ready")
    supervisor.status("Not\nready")
    supervisor.alive()
    supervisor.stopping()
    told = [systemd.recv(4096).decode() for _ in range(5)]
    assert told == ["READY=1", "STATUS=Ready", "STATUS=Not ready", "WATCHDOG=1", "STOPPING=1"]
    supervisor.close()


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"vnpy-core-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        supervisor = Supervisor(f"@{name}")
        supervisor.ready()
        assert listener.recv(100) == b"READY=1"
        supervisor.close()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "1000000"}, 0),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"}, 1),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 0),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_is_ours_only_if_it_is_meant_for_this_process(environ: dict[str, str], watchdog_s: float) -> None:
    supervisor = Supervisor.of(environ)
    assert supervisor.watchdog_s == watchdog_s
    supervisor.ready()  # to nobody, and nothing comes of it
    supervisor.close()
