"""Risk control, the kill switch and algos on a real service with its simulated exchange, over kill -9."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.stream import Stream

SYMBOL = "rb2605.SHFE"
CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
tick_interval_ms = 50.0
"""
CROSSER = '''
from vnpy_ctastrategy import CtaTemplate


class Crosser(CtaTemplate):
    """Buys at every tick, far above the market."""

    sent = 0
    refused = 0
    variables = ["sent", "refused"]

    def on_init(self):
        pass

    def on_start(self):
        pass

    def on_stop(self):
        pass

    def on_tick(self, tick):
        if self.buy(tick.ask_price_1, 1):
            self.sent += 1
        else:
            self.refused += 1
        self.put_event()
'''


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path, CONFIG)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "crosser.py").write_text(CROSSER)
    with service.start():
        settle(service)
        yield service


def settle(core: ServiceProcess) -> None:
    core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[SYMBOL])
    eventually(lambda: tick(core), 20, "a tick")


def tick(core: ServiceProcess) -> Any:
    ticks = core.get("/api/v1/trading/ticks")["ticks"]
    return next((one for one in ticks if one["vt_symbol"] == SYMBOL), None)


def order(core: ServiceProcess, direction: str, offset: str, volume: float, status: Any = 201, query: str = "") -> Any:
    """Send an order that is filled at once."""
    price = tick(core)["last_price"] + (30 if direction == "LONG" else -30)
    return core.call(
        "POST", f"/api/v1/trading/orders{query}", status, symbol="rb2605", exchange="SHFE", direction=direction,
        offset=offset, type="LIMIT", price=price, volume=volume, gateway_name="SIM",
    )  # fmt: skip


def held(core: ServiceProcess) -> float:
    positions = core.get("/api/v1/trading/positions")["positions"]
    return sum(abs(one["volume"]) for one in positions)


def holds(core: ServiceProcess, volume: float) -> None:
    eventually(lambda: held(core) == volume, 20, f"a position of {volume}")


def test_a_halt_holds_over_kill_9_and_lets_positions_be_closed(core: ServiceProcess) -> None:
    order(core, "LONG", "OPEN", 3)
    holds(core, 3)
    core.call("PUT", "/api/v1/risk/limits", symbol={"max_order_volume": 5})
    assert order(core, "LONG", "OPEN", 6, 409)["code"] == "symbol_volume"
    core.call("PATCH", "/api/v1/risk/rules/OrderSizeRule", parameters={"order_volume_limit": 2})
    assert "OrderSizeRule" in order(core, "LONG", "OPEN", 3, 409)["detail"]
    assert core.call("POST", "/api/v1/risk/halt", reason="odd")["state"] == "HALTED"
    assert order(core, "LONG", "OPEN", 1, 409, "?dry_run=true")["code"] == "trading_halted"
    core.kill()
    (core.data_dir / ".vntrader" / "risk_manager_setting.json").unlink()  # vn.py's own file; the journal has it, too

    core.start()
    settle(core)
    holds(core, 3)
    state = core.get("/api/v1/risk/state")
    assert (state["state"]["state"], state["state"]["reason"]) == ("HALTED", "odd")
    assert state["accounts"][0]["day"]["opening_balance"] > 0
    assert core.get("/api/v1/risk/limits")["limits"]["symbol"]["max_order_volume"] == 5
    assert core.get("/api/v1/risk/rules/OrderSizeRule")["parameters"]["order_volume_limit"] == 2
    with Stream(core.url, "risk") as stream:
        assert order(core, "LONG", "OPEN", 1, 409)["code"] == "trading_halted"
        refused = stream.wait_for(lambda event: event["topic"] == "risk.rejected")["data"]
        assert (refused["code"], refused["vt_symbol"]) == ("trading_halted", SYMBOL)
    assert order(core, "SHORT", "CLOSETODAY", 4, 409)["code"] == "trading_halted"
    order(core, "SHORT", "CLOSETODAY", 3)  # more than the rule's two lots: what reduces is spared it
    holds(core, 0)
    core.call("POST", "/api/v1/risk/resume")
    assert order(core, "LONG", "OPEN", 6, 409)["code"] == "symbol_volume"
    assert "OrderSizeRule" in order(core, "LONG", "OPEN", 3, 409)["detail"]
    order(core, "LONG", "OPEN", 1)


def test_breaker_is_set_off_by_real_losses(core: ServiceProcess) -> None:
    core.call("PUT", "/api/v1/risk/limits", account={"max_daily_loss": 50})

    def loses() -> bool:
        if core.get("/api/v1/risk/state")["accounts"][0]["effective_state"] != "ACTIVE":
            return True
        order(core, "LONG", "OPEN", 5, (201, 409))
        order(core, "SHORT", "CLOSETODAY", 5, (201, 409))
        return False

    eventually(loses, 60, "the spread and the fees have cost 50")
    state = core.get("/api/v1/risk/state")["accounts"][0]
    assert (state["effective_state"], state["state"]["source"]) == ("REDUCING", "daily_loss")
    assert state["daily_loss"] > 0
    assert order(core, "LONG", "OPEN", 1, 409)["code"] == "trading_reducing"
    core.kill()

    core.start()
    settle(core)
    assert core.get("/api/v1/risk/state")["accounts"][0]["effective_state"] == "REDUCING"
    core.call("POST", "/api/v1/risk/resume", scope="SIM")
    assert core.get("/api/v1/risk/state")["accounts"][0]["effective_state"] == "ACTIVE"


def test_a_strategy_that_is_refused_lives_on(core: ServiceProcess) -> None:
    core.call("POST", "/api/v1/risk/halt", state="REDUCING")
    core.call(
        "POST", "/api/v1/strategies", class_name="Crosser", strategy_name="x", vt_symbol=SYMBOL, setting={}
    )
    core.call("POST", "/api/v1/strategies/x/init")
    with Stream(core.url, "risk") as stream:
        core.call("POST", "/api/v1/strategies/x/start")
        refused = stream.wait_for(lambda event: event["topic"] == "risk.rejected")["data"]
    assert (refused["code"], refused["reference"]) == ("trading_reducing", "CtaStrategy_x")
    eventually(lambda: core.get("/api/v1/strategies/x")["variables"]["refused"] > 2, 20, "it goes on")
    assert core.get("/api/v1/strategies/x")["state"] == "TRADING"
    core.call("POST", "/api/v1/risk/resume")
    eventually(lambda: core.get("/api/v1/strategies/x")["variables"]["sent"] > 0, 20, "it trades")


def test_kill_switch_leaves_nothing_open(core: ServiceProcess) -> None:
    order(core, "LONG", "OPEN", 3)
    order(core, "SHORT", "OPEN", 2)
    holds(core, 5)
    far = tick(core)["last_price"] - 100
    core.call(
        "POST", "/api/v1/trading/orders", 201, symbol="rb2605", exchange="SHFE", direction="LONG", offset="OPEN",
        type="LIMIT", price=far, volume=1, gateway_name="SIM",
    )  # fmt: skip
    core.call(
        "POST", "/api/v1/strategies", class_name="Crosser", strategy_name="x", vt_symbol=SYMBOL, setting={}
    )
    core.call("POST", "/api/v1/strategies/x/init")
    core.call("POST", "/api/v1/strategies/x/start")

    report = core.call("POST", "/api/v1/risk/kill-switch", flatten=True, timeout_s=30, reason="fire")

    assert report["complete"], report
    assert (report["strategies_stopped"], report["orders_left"], report["positions_left"]) == (["x"], [], [])
    assert report["orders_cancelled"] >= 1
    assert held(core) == 0
    assert core.get("/api/v1/trading/orders", active=True)["orders"] == []
    assert core.get("/api/v1/strategies/x")["desired_state"] != "TRADING"
    core.kill()

    core.start()
    assert core.get("/api/v1/risk/kill-switch") == report
    assert core.get("/api/v1/risk/state")["state"]["source"] == "kill_switch"


@pytest.mark.parametrize(
    ("template", "setting", "beyond"),
    [
        ("TwapAlgo", {"time": 5, "interval": 1}, 50),
        ("IcebergAlgo", {"display_volume": 2.0, "interval": 1}, 50),
        ("SniperAlgo", {}, 50),
        ("StopAlgo", {"price_add": 50.0}, -50),
        ("BestLimitAlgo", {"min_volume": 1, "max_volume": 2}, 50),
    ],
)
def test_every_official_algo_runs_to_its_end(
    core: ServiceProcess, template: str, setting: dict[str, Any], beyond: float
) -> None:
    with Stream(core.url, "algo") as stream:
        algo = core.call(
            "POST", "/api/v1/algos", 201, template=template, vt_symbol=SYMBOL, direction="LONG", offset="OPEN",
            price=tick(core)["last_price"] + beyond, volume=4.0, setting=setting,
        )  # fmt: skip
        name = algo["algo_name"]
        ended = stream.wait_for(
            lambda event: event["data"].get("algo_name") == name and event["data"]["status"] != "RUNNING", 60
        )["data"]
    assert (ended["status"], ended["traded"], ended["left"]) == ("FINISHED", 4.0, 0.0)
    assert core.get(f"/api/v1/algos/{name}") == ended
    holds(core, 4)


def test_an_algo_that_was_killed_is_stopped_and_its_name_not_given_again(core: ServiceProcess) -> None:
    body = {
        "template": "SniperAlgo", "vt_symbol": SYMBOL, "direction": "LONG", "offset": "OPEN", "price": 1.0,
        "volume": 1.0,
    }  # fmt: skip
    name = core.call("POST", "/api/v1/algos", 201, **body)["algo_name"]
    core.kill()
    core.start()
    left = core.get(f"/api/v1/algos/{name}")
    assert (left["status"], left["error"]) == ("STOPPED", "The service ended while it ran.")
    settle(core)
    assert core.call("POST", "/api/v1/algos", 201, **body)["algo_name"] != name
