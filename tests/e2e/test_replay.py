"""Recorded data through the simulated exchange, official strategies on it, and everyone seeing the same."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream

Start = Callable[..., ServiceProcess]

REPLAY = """
demo = false
[history]
record_ticks = true
record_bars = true
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = {auto}
[gateways.SIM.setting]
feed = "replay"
balance = 100000000
replay_symbols = ["{symbol}"]
replay_interval = "{interval}"
replay_start = "{start}"
replay_end = "{end}"
speed = {speed}
"""
STRATEGIES = ("AtrRsiStrategy", "DoubleMaStrategy", "BollChannelStrategy")


def prepare(folder: Path, config: str, recorded: Path) -> None:
    core = ServiceProcess(folder, config)
    core.http.close()
    import_recorded(core, recorded)
    # vn.py's own limits (ten equal orders, a hundred a day) count by the wall clock, which a replay outruns.
    (folder / ".vntrader").mkdir(exist_ok=True)
    rules = ("活动委托检查", "每日上限检查", "重复报单检查")
    (folder / ".vntrader" / "risk_manager_setting.json").write_text(
        json.dumps({rule: {"active": False} for rule in rules})
    )


def import_recorded(core: ServiceProcess, folder: Path) -> None:
    bars = core.run(
        "data", "import", str(folder / "btc_perp_1m_202201.csv.gz"), "--symbol", "BTCUSDT.GLOBAL",
        "--interval", "MINUTE", "--timezone", "UTC", "--bar-time", "end",
    )  # fmt: skip
    assert bars.returncode == 0, bars.stdout + bars.stderr
    assert "45,031" in bars.stdout
    quotes = core.run(
        "data", "import", str(folder / "usdjpy_quotes_20130101.csv.gz"), "--symbol", "USDJPY.IDEALPRO",
        "--interval", "TICK",
    )  # fmt: skip
    assert quotes.returncode == 0, quotes.stdout + quotes.stderr
    assert "1,000" in quotes.stdout


def add_strategies(core: ServiceProcess, vt_symbol: str) -> None:
    for class_name in STRATEGIES:
        core.call(
            "POST", "/api/v1/strategies", status=201,
            class_name=class_name, strategy_name=class_name, vt_symbol=vt_symbol, setting={"fixed_size": 1}
            if class_name != "DoubleMaStrategy" else {},
        )  # fmt: skip
        core.call("POST", f"/api/v1/strategies/{class_name}/init")
        core.call("POST", f"/api/v1/strategies/{class_name}/start")


def every(core: ServiceProcess, what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = core.get(f"/api/v1/trading/{what}", limit=1000, **({"cursor": cursor} if cursor else {}))
        rows += page[what]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def table(core: ServiceProcess, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{core.data_dir / 'vnpy-core.db'}?mode=ro", uri=True) as database:
        return database.execute(sql).fetchall()


def is_replayed(core: ServiceProcess) -> bool:
    return any(
        "replay finished" in (g["detail"] or "").lower() for g in core.get("/api/v1/trading/gateways")["gateways"]
    )


@pytest.mark.timeout(300)
def test_three_official_strategies_on_recorded_bars(service: Start, recorded: Path, tmp_path: Path) -> None:
    config = REPLAY.format(
        auto="false", symbol="BTCUSDT.GLOBAL", interval="MINUTE",
        start="2022-01-03T00:00:00+00:00", end="2022-01-06T00:00:00+00:00", speed=0,
    )  # fmt: skip
    prepare(tmp_path / "data", config, recorded)

    with service() as core:
        overview = core.get("/api/v1/data/overview")["overview"]
        assert {(o["vt_symbol"], o["count"]) for o in overview} == {
            ("BTCUSDT.GLOBAL", 45031),
            ("USDJPY.IDEALPRO", 1000),
        }
        replayed = {"vt_symbol": "BTCUSDT.GLOBAL", "interval": "1m", "start": "2022-01-03T00:00:00Z", "limit": 5000}
        bars = core.get("/api/v1/data/bars", **replayed)["bars"]
        assert len(bars) == 5000

        add_strategies(core, "BTCUSDT.GLOBAL")
        with Stream(core.url, "order", "trade", "position") as stream:
            core.call("POST", "/api/v1/trading/gateways/SIM/connect")
            eventually(lambda: is_replayed(core), 240, "the replay is finished")
            trades = eventually(lambda: settled(core, stream), 30, "REST, /ws and SQLite hold the same")

        assert len(trades) > 50
        strategies = {s["strategy_name"]: s for s in core.get("/api/v1/strategies")["strategies"]}
        assert all(s["trading"] for s in strategies.values())
        orders = {o["vt_orderid"]: o for o in every(core, "orders")}
        for name, strategy in strategies.items():
            signed = sum(
                t["volume"] * (1 if t["direction"] == "LONG" else -1)
                for t in trades
                if orders[t["vt_orderid"]]["reference"] == f"CtaStrategy_{name}"
            )
            assert strategy["pos"] == pytest.approx(signed)
        net = sum(t["volume"] * (1 if t["direction"] == "LONG" else -1) for t in trades)
        held = sum(p["volume"] for p in core.get("/api/v1/trading/positions")["positions"])
        assert held == pytest.approx(net)
        assert core.get("/api/v1/data/bars", **replayed)["bars"] == bars  # it was not recorded over
        assert core.get("/api/v1/data/overview")["overview"] == overview
        log = core.data_dir / "logs"
        assert not any("Traceback" in file.read_text(errors="replace") for file in log.glob("*"))


def settled(core: ServiceProcess, stream: Stream) -> list[dict[str, Any]] | None:
    """Return all trades once REST, the stream and SQLite agree on every order, trade and position."""
    orders, trades = every(core, "orders"), every(core, "trades")
    positions = core.get("/api/v1/trading/positions")["positions"]
    shown = {kind: {} for kind in ("order", "trade", "position")}
    for event in list(stream.events):
        kind = event["topic"].partition(".")[0]
        data = event["data"]
        key = {"order": "vt_orderid", "trade": "vt_tradeid", "position": "vt_positionid"}[kind]
        shown[kind][data[key]] = data
    if shown["order"] != {o["vt_orderid"]: o for o in orders}:
        return None
    if shown["trade"] != {t["vt_tradeid"]: t for t in trades}:
        return None
    if shown["position"] != {p["vt_positionid"]: p for p in positions}:
        return None
    if sorted(table(core, "select vt_orderid, status, traded from orders")) != sorted(
        (o["vt_orderid"], o["status"], o["traded"]) for o in orders
    ):
        return None
    if sorted(table(core, "select vt_tradeid, price, volume from trades")) != sorted(
        (t["vt_tradeid"], t["price"], t["volume"]) for t in trades
    ):
        return None
    if sorted(table(core, "select vt_positionid, volume, frozen from positions")) != sorted(
        (p["vt_positionid"], p["volume"], p["frozen"]) for p in positions
    ):
        return None
    return trades


def test_recorded_quotes_are_replayed(service: Start, recorded: Path, tmp_path: Path) -> None:
    config = REPLAY.format(
        auto="true", symbol="USDJPY.IDEALPRO", interval="TICK",
        start="2013-01-01T00:00:00+00:00", end="2013-01-03T00:00:00+00:00", speed=0,
    )  # fmt: skip
    prepare(tmp_path / "data", config, recorded)
    with service() as core, Stream(core.url, "tick", snapshot=False) as stream:
        core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=["USDJPY.IDEALPRO"])
        eventually(lambda: is_replayed(core), 60, "the replay is finished")
        ticks = eventually(lambda: (t := stream.of("tick")) and len(t) >= 1 and t, 10)
        assert all(0 < e["data"]["bid_price_1"] <= e["data"]["ask_price_1"] for e in ticks)


@pytest.mark.timeout(300)
def test_what_was_shown_survives_kill_9(service: Start, recorded: Path, tmp_path: Path) -> None:
    config = REPLAY.format(
        auto="false", symbol="BTCUSDT.GLOBAL", interval="MINUTE",
        start="2022-01-03T00:00:00+00:00", end="2022-01-20T00:00:00+00:00", speed=0,
    )  # fmt: skip
    prepare(tmp_path / "data", config, recorded)

    with service() as core:
        add_strategies(core, "BTCUSDT.GLOBAL")
        with Stream(core.url, "order", "trade") as stream:
            core.call("POST", "/api/v1/trading/gateways/SIM/connect")
            eventually(lambda: len(stream.of("trade")) > 60, 120, "trades flow")
            core.kill()
            assert stream.closed.wait(10)
        shown_orders = {e["data"]["vt_orderid"]: e for e in stream.of("order")}
        shown_trades = {e["data"]["vt_tradeid"] for e in stream.of("trade")}
        assert len(stream.of("trade")) == len(shown_trades)

    with service() as core:
        trades = [t["vt_tradeid"] for t in every(core, "trades")]
        orders = {o["vt_orderid"]: o for o in every(core, "orders")}
        assert len(trades) == len(set(trades))
        assert shown_trades <= set(trades)
        assert shown_orders.keys() <= orders.keys()
        for vt_orderid, event in shown_orders.items():
            assert orders[vt_orderid]["traded"] >= event["data"]["traded"]
        eventually(
            lambda: shown_trades <= {row[0] for row in table(core, "select vt_tradeid from trades")}, 20, "SQL has them"
        )
        rows = table(core, "select vt_tradeid, count(*) from trades group by vt_tradeid having count(*) > 1")
        assert rows == []
