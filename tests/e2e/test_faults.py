"""A strategy, a gateway and a handler that raise, and many clients at once: the service goes on and says so."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import AUTHORIZATION, ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
seed = 7
balance = 10000000000
[gateways.FAULTY]
class = "tests.e2e.parts.faulty.FaultyGateway"
auto_connect = true
reconcile_quiet_s = 0.1
[gateways.GONE]
class = "vnpy_nowhere.NowhereGateway"
auto_connect = true
"""

STRATEGIES = '''
from vnpy_ctastrategy import CtaTemplate


class RaisesInTick(CtaTemplate):
    parameters = []
    variables = ["ticks"]
    ticks = 0

    def on_init(self): ...
    def on_start(self): ...

    def on_tick(self, tick):
        self.ticks += 1
        if self.trading:
            raise ValueError("raised in on_tick")


class RaisesInInit(CtaTemplate):
    def on_init(self):
        raise ValueError("raised in on_init")


class RaisesInStart(CtaTemplate):
    def on_init(self): ...
    def on_start(self):
        raise SystemExit("raised in on_start")


class RaisesInItsOwnHandler(CtaTemplate):
    def on_init(self): ...
    def on_start(self):
        self.cta_engine.event_engine.register("eTimer", self.raise_in_handler)

    def raise_in_handler(self, event):
        raise SystemExit("raised in a handler")


class EveryTick(CtaTemplate):
    """Buys and sells one on every tick, and keeps count of its own fills."""

    variables = ["filled", "sent"]
    filled = 0.0
    sent = 0

    def on_init(self): ...
    def on_start(self): ...
    def on_stop(self): ...

    def on_tick(self, tick):
        if not self.trading:
            return
        self.sent += 1
        if self.pos <= 0:
            self.buy(tick.ask_price_1 + 10, 1)
        else:
            self.sell(tick.bid_price_1 - 10, 1)

    def on_trade(self, trade):
        self.filled += trade.volume
        self.put_event()
'''


@pytest.fixture
def core(service: Start, tmp_path: Path) -> ServiceProcess:
    folder = tmp_path / "data" / "strategies"
    folder.mkdir(parents=True)
    (folder / "faulty_strategies.py").write_text(STRATEGIES)
    # vn.py's own limits (ten equal orders, twenty a second, a hundred a day) would end this test early.
    rules = ("活动委托检查", "每日上限检查", "重复报单检查")
    vnpy = tmp_path / "data" / ".vntrader"
    vnpy.mkdir()
    (vnpy / "risk_manager_setting.json").write_text(json.dumps({rule: {"active": False} for rule in rules}))
    (folder / "does_not_import.py").write_text("import nothing_of_this_name\n")
    return service(CONFIG, python_path=Path(__file__).resolve().parents[2])


def future(core: ServiceProcess) -> dict[str, Any]:
    contracts = core.get("/api/v1/trading/contracts", gateway_name="SIM")["contracts"]
    return next(c for c in contracts if c["product"] == "FUTURES" and c["exchange"] == "SHFE")


def add(core: ServiceProcess, class_name: str, vt_symbol: str, name: str | None = None) -> str:
    name = name or class_name
    core.call(
        "POST", "/api/v1/strategies", status=201,
        class_name=class_name, strategy_name=name, vt_symbol=vt_symbol, setting={},
    )  # fmt: skip
    return f"/api/v1/strategies/{name}"


def test_failures_are_reported_and_stop_nothing_else(core: ServiceProcess) -> None:
    states = {g["gateway_name"]: g for g in core.get("/api/v1/trading/gateways")["gateways"]}
    assert states["GONE"]["state"] == "FAILED"
    assert "vnpy_nowhere" in states["GONE"]["detail"]
    assert states["SIM"]["state"] == "CONNECTED"
    eventually(
        lambda: any(g["state"] == "CONNECTED" for g in core.get("/api/v1/trading/gateways")["gateways"]
                    if g["gateway_name"] == "FAULTY"), 10,
    )  # fmt: skip
    contract = future(core)

    with Stream(core.url, "strategy", "order") as stream:
        failed = core.call("POST", f"{add(core, 'RaisesInInit', contract['vt_symbol'])}/init", status=409)
        assert failed["code"] == "strategy_failed"
        assert "raised in on_init" in failed["traceback"]
        path = add(core, "RaisesInStart", contract["vt_symbol"])
        core.call("POST", f"{path}/init")
        failed = core.call("POST", f"{path}/start", status=409)
        assert "raised in on_start" in failed["traceback"]
        assert core.get(path)["trading"] is False

        path = add(core, "RaisesInTick", contract["vt_symbol"])
        core.call("POST", f"{path}/init")
        core.call("POST", f"{path}/start")
        event = stream.wait_for(
            lambda e: (
                e["topic"] == "strategy.updated"
                and e["data"]["strategy_name"] == "RaisesInTick"
                and e["data"]["state"] == "FAILED"
            )
        )
        assert "raised in on_tick" in event["data"]["error"]

        path = add(core, "RaisesInItsOwnHandler", contract["vt_symbol"])
        core.call("POST", f"{path}/init")
        core.call("POST", f"{path}/start")
        assert "raised in a handler" in eventually(lambda: core.get(path)["error"])
        errors = core.get("/api/v1/system/status")["event_engine"]["errors_by_handler"]
        assert any("raise_in_handler" in name for name in errors)

        order = order_of(contract, price=1, volume=1) | {"gateway_name": "FAULTY", "symbol": "BAD", "exchange": "LOCAL"}
        unknown = core.call("POST", "/api/v1/trading/orders", status=504, **order)
        assert unknown["code"] == "outcome_unknown"
        assert "the line broke" in unknown["detail"]
        assert core.get("/api/v1/system/status")["unknown_orders"] == 1
        (intent,) = core.get("/api/v1/trading/intents", outcome="UNKNOWN")["intents"]
        assert (intent["intent_id"], intent["symbol"], intent["outcome"]) == (unknown["intent_id"], "BAD", "UNKNOWN")
        assert "the line broke" in intent["reason"]

        refused = core.call(
            "POST", "/api/v1/trading/orders", status=(404, 409, 503), **order | {"gateway_name": "GONE"}
        )
        assert "GONE" in refused["detail"]

    assert core.get("/health/live")["alive"] is True
    status = core.get("/api/v1/system/status")
    assert status["event_engine"]["running"] is True
    assert core.get("/api/v1/trading/ticks")["ticks"]


@pytest.mark.timeout(300)
def test_six_thousand_orders_from_eight_clients_while_strategies_trade(core: ServiceProcess) -> None:
    contract = future(core)
    paths = [add(core, "EveryTick", contract["vt_symbol"], f"every{i}") for i in range(3)]
    for path in paths:
        core.call("POST", f"{path}/init")
        core.call("POST", f"{path}/start")
    tick = eventually(
        lambda: next(
            (t for t in core.get("/api/v1/trading/ticks")["ticks"] if t["vt_symbol"] == contract["vt_symbol"]), None
        )
    )
    step = contract["pricetick"]

    def client(number: int) -> list[str]:
        sent = []
        with httpx.Client(base_url=core.url, timeout=30, headers=AUTHORIZATION) as http:
            for count in range(750):
                # Rest, take, rest, …: so that hundreds of orders are alive while others fill.
                distance = -40 - count % 40 if count % 2 else 40
                price = round((tick["last_price"] + distance * step) / step) * step
                body = order_of(contract, price=price, volume=1, client_order_id=f"{number}-{count}")
                answer = http.post("/api/v1/trading/orders", json=body)
                assert answer.status_code == 201, answer.text
                sent.append(answer.json()["vt_orderid"])
                if count % 4 == 1:
                    http.delete(f"/api/v1/trading/orders/{sent[-1]}")
        return sent

    with ThreadPoolExecutor(8) as pool:
        sent = [vt_orderid for orders in pool.map(client, range(8)) for vt_orderid in orders]
    assert len(set(sent)) == 6000
    assert core.get("/health/live")["alive"] is True
    for path in paths:
        core.call("POST", f"{path}/stop")

    def consistent() -> bool:
        orders = every_order(core)
        trades = page_all(core, "trades")
        if not set(sent) <= orders.keys():
            return False
        traded: dict[str, float] = {}
        for trade in trades:
            traded[trade["vt_orderid"]] = traded.get(trade["vt_orderid"], 0) + trade["volume"]
        if any(abs(order["traded"] - traded.get(key, 0)) > 1e-9 for key, order in orders.items()):
            return False
        for path in paths:
            strategy = core.get(path)
            own = [
                t for t in trades if orders[t["vt_orderid"]]["reference"] == f"CtaStrategy_{strategy['strategy_name']}"
            ]
            if not own or strategy["variables"]["filled"] != sum(t["volume"] for t in own):
                return False
            if strategy["pos"] != sum(t["volume"] * (1 if t["direction"] == "LONG" else -1) for t in own):
                return False
        return True

    eventually(consistent, 60, "every order has its fills and every fill reached its strategy")


def page_all(core: ServiceProcess, what: str) -> list[dict[str, Any]]:
    from tests.e2e.test_replay import every

    return every(core, what)


def every_order(core: ServiceProcess) -> dict[str, dict[str, Any]]:
    return {order["vt_orderid"]: order for order in page_all(core, "orders")}
