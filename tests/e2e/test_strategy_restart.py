"""kill -9 in the middle of trading: each strategy goes on with its position, variables, orders and stop orders."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_kill import lift_limits
from tests.e2e.test_replay import every, table

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[gateways.SIM.setting]
feed = "replay"
replay_symbols = ["rb2605.SHFE"]
speed = 600
balance = 100000000
[strategies]
save_interval_s = 1
"""
STRATEGIES = '''
from vnpy_ctastrategy import CtaTemplate


class Busy(CtaTemplate):
    """Buys two, sells one, over and over."""

    fills = 0
    variables = ["fills"]

    def on_init(self): ...

    def on_tick(self, tick):
        if self.trading and self.pos < 2:
            self.buy(tick.ask_price_1 + 10, 2)
        elif self.trading:
            self.sell(tick.bid_price_1 - 10, 1)

    def on_trade(self, trade):
        self.fills += 1


class Guard(CtaTemplate):
    """Holds one, with a stop order below it, and sends nothing twice."""

    step = ""
    seen = 0
    variables = ["step", "seen"]

    def on_init(self): ...

    def on_tick(self, tick):
        self.seen += 1
        self.put_event()
        if self.trading and not self.step:
            self.buy(tick.ask_price_1 + 10, 1)
            self.step = "bought"
        elif self.trading and self.step == "bought" and self.pos:
            self.sell(3450, 1, stop=True)
            self.step = "guarded"

    def on_stop_order(self, stop_order):
        self.step = stop_order.status.name.lower() if self.step == "guarded" else self.step


class Resting(CtaTemplate):
    """Has one order that is never filled."""

    sent = 0
    variables = ["sent"]

    def on_init(self): ...

    def on_tick(self, tick):
        if self.trading and not self.sent:
            self.sent = len(self.buy(3200, 1))
            self.put_event()
'''
NAMES = ("Busy", "Guard", "Resting")
PATH = "/api/v1/strategies"


def prepare(folder: Path) -> None:
    """Record a market that stands still for a minute of the test's time, at most, and then falls."""
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / "restarted.py").write_text(STRATEGIES)
    lift_limits(folder)
    first = datetime(2026, 1, 5, 9)  # noqa: DTZ001 - the trading time zone
    rows = [
        f"{first + timedelta(minutes=n)},{base},{base + 5},{base - 5},{base + 2},4000\n"
        for n in range(2000)
        for base in ([3500] if n < 60 else [3420])
    ]
    (folder / "bars.csv").write_text("datetime,open,high,low,close,volume\n" + "".join(rows))
    core = ServiceProcess(folder, CONFIG)
    core.http.close()
    imported = core.run(
        "data", "import", str(folder / "bars.csv"), "--symbol", "rb2605.SHFE", "--interval", "MINUTE",
        "--timezone", "Asia/Shanghai",
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr


def traded(core: ServiceProcess) -> dict[str, float]:
    """Return what each strategy has bought less sold, by the trades that the API lists."""
    orders = {order["vt_orderid"]: order["reference"] for order in every(core, "orders")}
    net = dict.fromkeys(NAMES, 0.0)
    for trade in every(core, "trades"):
        name = orders[trade["vt_orderid"]].removeprefix("CtaStrategy_")
        net[name] += trade["volume"] if trade["direction"] == "LONG" else -trade["volume"]
    return net


def state(core: ServiceProcess, name: str) -> dict[str, Any]:
    found: dict[str, Any] = core.get(f"{PATH}/{name}")
    return found


def saved(core: ServiceProcess, name: str) -> dict[str, Any]:
    found: dict[str, Any] = core.get(f"{PATH}/{name}/variables/history", limit=1)["history"][0]["variables"]
    return found


def remove_trade(core: ServiceProcess, vt_tradeid: str) -> None:
    with closing(sqlite3.connect(core.data_dir / "vnpy-core.db")) as database, database:
        database.execute("delete from trades where vt_tradeid = ?", (vt_tradeid,))


@pytest.mark.timeout(180)
def test_strategies_go_on_after_kill_9_as_if_nothing_had_been(service: Start, tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    with service() as core:
        for name in reversed(NAMES):
            core.call("POST", PATH, status=201, class_name=name, strategy_name=name, vt_symbol="rb2605.SHFE")
            core.call("POST", f"{PATH}/{name}/init")
            core.call("POST", f"{PATH}/{name}/start")
        eventually(lambda: state(core, "Busy")["variables"]["fills"] > 30, 30, "it trades")
        eventually(lambda: saved(core, "Guard").get("step") == "guarded", 15, "the stop order waits, and that is saved")
        (resting,) = eventually(
            lambda: [o for o in core.get("/api/v1/trading/orders", active=True)["orders"] if o["price"] == 3200], 10
        )
        before = {name: saved(core, name) for name in NAMES}
        shown = {trade["vt_tradeid"] for trade in every(core, "trades")}
        core.kill()

    with service() as core, Stream(core.url, "stop_order", "alert") as stream:
        eventually(lambda: all(state(core, name)["trading"] for name in NAMES), 20, "all trade again")
        for name in NAMES:
            assert core.get(f"{PATH}/{name}/position")["state"] == "AGREES"
        assert shown <= {trade["vt_tradeid"] for trade in every(core, "trades")}
        count = len(every(core, "trades"))
        eventually(lambda: len(every(core, "trades")) > count + 10, 20, "and go on trading")

        eventually(lambda: state(core, "Guard")["variables"]["step"] == "triggered", 30, "the stop order triggers")
        eventually(lambda: state(core, "Guard")["pos"] == 0, 10, "and closes what it guarded")
        assert [event["data"]["status"] for event in stream.of("stop_order")][-1] == "TRIGGERED"
        core.call("POST", f"{PATH}/Resting/stop")
        eventually(
            lambda: core.get(f"/api/v1/trading/orders/{resting['vt_orderid']}")["status"] == "CANCELLED", 10,
            "its order is still its own",
        )  # fmt: skip
        for name in ("Busy", "Guard"):
            core.call("POST", f"{PATH}/{name}/stop")
        eventually(lambda: traded(core) == {name: state(core, name)["pos"] for name in NAMES}, 10, "pos equals trades")
        after = {name: state(core, name)["variables"] for name in NAMES}
        assert after["Busy"]["fills"] >= before["Busy"]["fills"]
        assert after["Guard"]["seen"] > before["Guard"]["seen"] > 0
        assert after["Resting"]["sent"] == 1
        assert not [event for event in stream.of("alert") if not event["data"]["resolved"]]
        core.call("POST", f"{PATH}/Busy/start")
        assert core.stop() == 0

    # A trade that is not on record: what is held is not known any more, and nothing is sent on top of it.
    rows = table(core, "select t.vt_tradeid, t.volume from trades t join orders o on o.vt_orderid = t.vt_orderid "
                       "where o.reference = 'CtaStrategy_Busy' and t.direction = 'LONG' limit 1")
    remove_trade(core, rows[0][0])
    with service() as core, Stream(core.url, "alert") as stream:
        stream.wait_for(lambda e: e["data"].get("alert_id") == "strategy.position.Busy" and not e["data"]["resolved"])
        assert state(core, "Busy")["state"] == "ADDED"
        standing = core.get(f"{PATH}/Busy/position")
        assert (standing["state"], standing["difference"]) == ("DIFFERS", rows[0][1])
        assert core.call("POST", f"{PATH}/Busy/init", status=409)["code"] == "position_mismatch"
        core.call("POST", f"{PATH}/Busy/position/accept", keep="pos")
        eventually(lambda: state(core, "Busy")["trading"], 15, "accepted, it is brought up")
        stream.wait_for(lambda e: e["data"].get("alert_id") == "strategy.position.Busy" and e["data"]["resolved"])
