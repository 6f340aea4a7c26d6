"""The performance of a strategy over kill -9: the numbers that were told are told again, and go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_kill import CONFIG, prepare, run_strategy

Start = Callable[..., ServiceProcess]
PATH = "/api/v1/strategies/EveryTick/performance"


def settled(core: ServiceProcess) -> Any:
    """Return how it does, once its last order is done with and the account's fills are counted."""
    core.call("POST", "/api/v1/strategies/EveryTick/stop")
    eventually(lambda: not core.get("/api/v1/trading/orders", active="true")["orders"], what="no order works")
    # Of that instant the price may still move what is held; what is realised and counted may not.
    return without_prices(core.get(PATH))


def without_prices(told: Any) -> Any:
    counted = ("realised_pnl", "commission", "slippage", "turnover", "trade_count", "trips", "latency", "notes")
    sides = ("vt_symbol", "long_volume", "long_price", "short_volume")
    held = [{name: position[name] for name in sides} for position in told["positions"]]
    return {name: told[name] for name in counted} | {"held": held}


def test_a_kill_changes_no_number(service: Start, tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    core = service(f"{CONFIG}\n[performance]\ncommission_rate = 0.0001\n")
    run_strategy(core, "EveryTick")
    eventually(lambda: core.get(PATH)["trade_count"] >= 20, what="it trades")
    before = settled(core)
    assert before["trips"]["closed"] >= 5
    assert before["commission"] > 0
    trades = core.get("/api/v1/trading/trades", limit=10_000)["trades"]
    assert before["trade_count"] == len(trades)
    assert before["turnover"] == sum(trade["price"] * trade["volume"] * 10 for trade in trades)

    chart = core.get("/api/v1/charts/rb2605.SHFE", strategy="EveryTick", indicator="SMA:1")
    assert {trade["vt_tradeid"] for trade in chart["trades"]} == {trade["vt_tradeid"] for trade in trades}
    assert [order["vt_orderid"] for order in chart["orders"]]
    assert chart["forming"]
    assert chart["indicators"][0]["outputs"]["real"] == [bar["close_price"] for bar in chart["bars"]]

    core.kill()
    core = service()
    eventually(lambda: core.http.get(PATH).status_code == 200, what="fills were read")
    assert without_prices(core.get(PATH)) == before
    core.call("POST", "/api/v1/strategies/EveryTick/start", status=(200, 409))
    if core.get("/api/v1/strategies/EveryTick")["state"] != "TRADING":
        eventually(lambda: core.http.post("/api/v1/strategies/EveryTick/init").status_code in (200, 409))
        core.call("POST", "/api/v1/strategies/EveryTick/start")
    eventually(lambda: core.get(PATH)["trade_count"] > before["trade_count"], what="it goes on")
    whole = core.get("/api/v1/strategies/performance")
    assert whole["strategies"] == ["EveryTick"]
    assert core.get(f"{PATH}/daily")["daily"][-1]["trade_count"] > before["trade_count"]
