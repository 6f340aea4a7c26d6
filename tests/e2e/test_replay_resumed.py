"""A replay that is interrupted goes on where it was, and one that has finished does not begin again by itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.process import ServiceProcess, eventually

Start = Callable[..., ServiceProcess]

NOTING = '''
"""A strategy that writes down every tick it is shown, and when."""

import time
from pathlib import Path

from vnpy_ctastrategy import CtaTemplate


class Noting(CtaTemplate):
    file = ""
    parameters = ["file"]

    def on_init(self):
        self.notes = Path(self.file).open("a", buffering=1)

    def on_tick(self, tick):
        self.notes.write(f"{tick.datetime.timestamp():.0f} {time.monotonic()}\\n")
'''
REPLAY = """
demo = false
[gateways.SIM.setting]
feed = "replay"
replay_symbols = ["rb2605.SHFE"]
speed = {speed}
"""
ONE_LOT = {
    "symbol": "rb2605", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN", "type": "LIMIT", "price": 3600,
    "volume": 1,
}  # fmt: skip


def prepare(folder: Path, minutes: int, speed: int) -> Path:
    """Record that many bars in a new data folder, and return where the strategy is to write."""
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / "noting.py").write_text(NOTING)
    first = datetime(2026, 1, 5, 9)  # noqa: DTZ001 - the trading time zone
    rows = [f"{first + timedelta(minutes=n)},3500,{3505 + n % 5},3495,3502,400\n" for n in range(minutes)]
    (folder / "bars.csv").write_text("datetime,open,high,low,close,volume\n" + "".join(rows))
    core = ServiceProcess(folder, REPLAY.format(speed=speed))
    core.http.close()
    imported = core.run(
        "data", "import", str(folder / "bars.csv"), "--symbol", "rb2605.SHFE", "--interval", "MINUTE",
        "--timezone", "Asia/Shanghai",
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    return folder / "notes.txt"


def follow(core: ServiceProcess, file: Path) -> None:
    core.call(
        "POST", "/api/v1/strategies", status=201,
        class_name="Noting", strategy_name="noting", vt_symbol="rb2605.SHFE", setting={"file": str(file)},
    )  # fmt: skip
    core.call("POST", "/api/v1/strategies/noting/init")
    core.call("POST", "/api/v1/strategies/noting/start")


def notes(file: Path) -> list[tuple[int, float]]:
    """Return the moment of each tick in the recording, and when the strategy got it."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(moment), float(seen)) for moment, seen in whole]


@pytest.mark.timeout(180)
def test_a_killed_replay_goes_on_where_it_was(service: Start, tmp_path: Path) -> None:
    file = prepare(tmp_path / "data", minutes=900, speed=600)
    with service() as core:
        follow(core, file)
        eventually(lambda: len(notes(file)) > 4, 30, "the replay runs")
        order = core.call("POST", "/api/v1/trading/orders", status=201, **ONE_LOT)
        held = eventually(lambda: core.get("/api/v1/trading/positions")["positions"], 15, "it is filled")
        eventually(lambda: (n := notes(file))[-1][1] - n[0][1] > 4, 60, "a few seconds of it are past")
        core.kill()
    before = notes(file)

    with service() as core:
        assert core.get("/api/v1/trading/positions")["positions"] == held
        trades = core.get("/api/v1/trading/trades")["trades"]
        assert [trade["vt_orderid"] for trade in trades] == [order["vt_orderid"]]
        after = eventually(lambda: (n := notes(file)[len(before) :]) and len(n) > 100 and n, 60, "it goes on")

    moments = [moment for moment, _ in before]
    repeated = [seen for moment, seen in before if moment >= after[0][0]]
    # It is written down once a second where it is; the strategy has had each tick before the next one was sent.
    assert not repeated or repeated[-1] - repeated[0] < 2
    assert after[0][0] > moments[0]
    assert len(moments) == len(set(moments))
    seen = sorted({*moments, *(moment for moment, _ in after)})
    steps = {later - earlier for earlier, later in pairwise(seen)}
    assert steps <= {1, 19, 20}, "none was left out"


@pytest.mark.timeout(120)
def test_a_finished_replay_is_traded_once(service: Start, tmp_path: Path) -> None:
    file = prepare(tmp_path / "data", minutes=30, speed=0)

    def detail(core: ServiceProcess) -> str:
        return str(core.get("/api/v1/trading/gateways")["gateways"][0]["detail"])

    with service() as core:
        follow(core, file)
        eventually(lambda: detail(core) == "replay finished after 120 ticks", 30, "it has finished")
        eventually(lambda: len(notes(file)) == 120, 15, "the strategy has seen all of it")

    with service() as core:
        eventually(lambda: core.get("/api/v1/strategies/noting")["trading"], 30, "the strategy runs again")
        eventually(lambda: detail(core).startswith("replay finished before"), 15, "the gateway says so")
        assert len(notes(file)) == 120
        core.call("POST", "/api/v1/trading/gateways/SIM/disconnect")
        core.call("POST", "/api/v1/trading/gateways/SIM/connect")
        eventually(lambda: len(notes(file)) == 240, 30, "asked for, it is replayed again")
