"""A strategy that holds the event thread: seen by liveness, log, alert and systemd, and over when its cause is."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream

CONFIG = """\
demo = false
[monitoring]
stalled_after_s = 2.5
"""
STRATEGY = '''\
"""Holds the event thread while there is a file."""

import time
from pathlib import Path

from vnpy_ctastrategy import CtaTemplate


class HoldingStrategy(CtaTemplate):
    author = "test"

    def on_init(self):
        pass

    def on_start(self):
        pass

    def on_stop(self):
        pass

    def on_tick(self, tick):
        self.wait_for_the_file_to_go()

    def wait_for_the_file_to_go(self):
        while Path({hold!r}).exists():
            time.sleep(0.02)
'''


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0.01)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Take what has come, and return all that ever did."""
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                return self.heard

    def beats(self) -> int:
        return self.listen().count("WATCHDOG=1")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listener = Systemd(tmp_path / "notify")
    yield listener
    listener.socket.close()


def test_a_stuck_event_thread_is_seen_and_over_when_its_cause_is(tmp_path: Path, systemd: Systemd) -> None:
    hold, folder = tmp_path / "hold", tmp_path / "data"
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / "holding.py").write_text(STRATEGY.format(hold=str(hold)))
    core = ServiceProcess(folder, CONFIG)
    core.environment |= {"NOTIFY_SOCKET": systemd.socket.getsockname(), "WATCHDOG_USEC": "900000"}
    with core:
        eventually(lambda: "READY=1" in systemd.listen() and systemd.beats() >= 2)
        assert eventually(lambda: next((line for line in systemd.listen() if line.startswith("STATUS=Ready")), None))
        assert core.http.get("/health/live").json()["alive"]
        symbol = core.get("/api/v1/trading/contracts")["contracts"][0]["vt_symbol"]
        core.call(
            "POST", "/api/v1/strategies", 201, class_name="HoldingStrategy", strategy_name="holder", vt_symbol=symbol,
        )  # fmt: skip
        core.call("POST", "/api/v1/strategies/holder/init")
        core.call("POST", "/api/v1/strategies/holder/start")
        with Stream(core.url, "alert") as stream:
            hold.touch()
            began = time.monotonic()
            live = eventually(lambda: failed(core, "/health/live"), 20, "liveness fails")
            assert time.monotonic() - began < 15
            assert "strategy holder holds it in on_tick" in live["detail"]
            raised = stream.wait_for(lambda event: is_stall(event, resolved=False))
            assert "strategy holder holds it in on_tick" in raised["data"]["summary"]
            assert raised["seq"]
            ready = failed(core, "/health/ready")
            assert ready is not None
            stuck = next(each for each in ready["dependencies"] if each["name"] == "event_engine")
            assert (stuck["state"], stuck["needed"]) == ("DOWN", True)
            assert stuck["since"] > next(each for each in ready["dependencies"] if each["name"] == "journal")["since"]
            # What the strategy stands at, in the log; and systemd hears nothing that would keep it from acting.
            eventually(lambda: "wait_for_the_file_to_go" in logged(core))
            before = systemd.beats()
            asked_until = time.monotonic() + 1.5
            while time.monotonic() < asked_until:
                assert failed(core, "/health/live")
            assert systemd.beats() == before

            hold.unlink()
            eventually(lambda: core.http.get("/health/live").status_code == 200, 10)
            assert "goes on" in stream.wait_for(lambda event: is_stall(event, resolved=True))["data"]["summary"]
            eventually(lambda: systemd.beats() > before)
            eventually(lambda: core.http.get("/health/ready").status_code == 200, 10)
            metrics = core.http.get("/metrics").text.splitlines()
            assert 'vnpy_core_stalls_total{thread="event_thread"} 1.0' in metrics
        assert core.stop() == 0
    assert "STOPPING=1" in systemd.listen()


def failed(core: ServiceProcess, path: str) -> dict[str, object] | None:
    response: httpx.Response = core.http.get(path)
    return response.json() if response.status_code == 503 else None


def is_stall(event: dict[str, object], *, resolved: bool) -> bool:
    data = event["data"]
    assert isinstance(data, dict)
    return data["alert_id"] == "event_thread_stalled" and data["resolved"] is resolved


def logged(core: ServiceProcess) -> str:
    return (core.data_dir / "logs" / "vnpy-core.log").read_text(encoding="utf-8")
