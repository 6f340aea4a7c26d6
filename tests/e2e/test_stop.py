"""The end of the service: whatever it was doing, what its strategies have left at the exchange is withdrawn first."""

import signal
from collections.abc import Callable
from pathlib import Path

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_replay import table

Start = Callable[..., ServiceProcess]

LATE_ANSWERS = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
faults = { ack_delay_ms = 1000 }
"""

STRATEGY = '''
from vnpy_ctastrategy import CtaTemplate


class Rests(CtaTemplate):
    """Has one order at the exchange that is not filled."""

    def on_init(self): ...
    def on_start(self):
        self.sent = []

    def on_tick(self, tick):
        if self.trading and not self.sent:
            self.sent = self.buy(tick.limit_down, 1)
'''


def test_further_signals_do_not_cut_the_stop_short(service: Start, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "strategies"
    folder.mkdir(parents=True)
    (folder / "rests.py").write_text(STRATEGY)
    with service(LATE_ANSWERS) as core:
        core.call(
            "POST", "/api/v1/strategies", status=201,
            class_name="Rests", strategy_name="rests", vt_symbol="rb2605.SHFE", setting={},
        )  # fmt: skip
        core.call("POST", "/api/v1/strategies/rests/init")
        with Stream(core.url, "order") as stream:
            core.call("POST", "/api/v1/strategies/rests/start")
            stream.wait_for(lambda e: e["data"]["status"] == "NOTTRADED")
            assert core.process is not None
            core.process.send_signal(signal.SIGINT)
            eventually(lambda: "Stopping" in core.printed(), 10, "it stops")
            core.process.send_signal(signal.SIGINT)
            eventually(lambda: "Already stopping" in core.printed(), 10, "it says that it stops")
            assert core.stop(signal.SIGTERM, 20) == 0
        assert table(core, "select status, reference from orders") == [("CANCELLED", "CtaStrategy_rests")]


def test_a_stop_during_the_start(tmp_path: Path) -> None:
    core = ServiceProcess(tmp_path / "data", LATE_ANSWERS)
    try:
        for stage in ("starting", "engines"):
            core.output.unlink(missing_ok=True)
            core.launch()
            eventually(lambda: stage in core.printed(), 30, "it has come so far")  # noqa: B023
            assert core.stop(signal.SIGTERM, 20) == 0
            assert "Stopped before it was ready" in core.printed()
            assert "Traceback" not in core.printed()
    finally:
        core.http.close()
        assert core.process is not None
        core.process.kill()
