"""kill -9 at any moment: what was shown is on disk, nothing is sent twice, and what is not known is said to be so."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import AUTHORIZATION, ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_replay import every, table
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
balance = 10000000000
ticks_per_second = 40
"""

STRATEGIES = '''
from vnpy_ctastrategy import CtaTemplate


class EveryTick(CtaTemplate):
    """Buys and sells one on every tick."""

    def on_init(self): ...
    def on_start(self): ...

    def on_tick(self, tick):
        if self.trading and self.pos <= 0:
            self.buy(tick.ask_price_1 + 10, 1)
        elif self.trading:
            self.sell(tick.bid_price_1 - 10, 1)


class Watcher(CtaTemplate):
    """Has one stop order."""

    def on_init(self): ...
    def on_start(self):
        self.sent = []

    def on_tick(self, tick):
        if self.trading and not self.sent:
            self.sent = self.buy(tick.limit_up, 1, stop=True)
'''


@pytest.fixture
def core(service: Start, tmp_path: Path) -> ServiceProcess:
    prepare(tmp_path / "data")
    return service(CONFIG)


def prepare(data_dir: Path) -> None:
    """Give a service the strategies, and room for them."""
    folder = data_dir / "strategies"
    folder.mkdir(parents=True)
    (folder / "killed.py").write_text(STRATEGIES)
    lift_limits(data_dir)


def lift_limits(data_dir: Path) -> None:
    """Switch off vn.py's own limits (ten equal orders, twenty a second, a hundred a day)."""
    rules = ("活动委托检查", "每日上限检查", "重复报单检查")
    vnpy = data_dir / ".vntrader"
    vnpy.mkdir(parents=True)
    (vnpy / "risk_manager_setting.json").write_text(json.dumps({rule: {"active": False} for rule in rules}))


def run_strategy(core: ServiceProcess, class_name: str) -> None:
    core.call(
        "POST", "/api/v1/strategies", status=201,
        class_name=class_name, strategy_name=class_name, vt_symbol="rb2605.SHFE", setting={},
    )  # fmt: skip
    core.call("POST", f"/api/v1/strategies/{class_name}/init")
    core.call("POST", f"/api/v1/strategies/{class_name}/start")


def stored(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read a database that nobody has open."""
    with sqlite3.connect(path) as database:
        return database.execute(sql).fetchall()


class Clients:
    """Send orders side by side until the service is gone; ``answers`` and ``unanswered`` are by client_order_id."""

    def __init__(self, core: ServiceProcess, run: int) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.unanswered: dict[str, dict[str, Any]] = {}
        self._core = core
        self._threads = [threading.Thread(target=self._send, args=(f"{run}-{number}",)) for number in range(4)]
        contracts = core.get("/api/v1/trading/contracts")["contracts"]
        self._contract = next(c for c in contracts if c["vt_symbol"] == "rb2605.SHFE")
        tick = eventually(
            lambda: next((t for t in core.get("/api/v1/trading/ticks")["ticks"] if t["symbol"] == "rb2605"), None)
        )
        self._price = tick["last_price"]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(15)

    def _send(self, name: str) -> None:
        with httpx.Client(base_url=self._core.url, timeout=10, headers=AUTHORIZATION) as http:
            for count in range(10_000):
                client_order_id = f"{name}-{count}"
                price = self._price + (-40, 40)[count % 2] * self._contract["pricetick"]
                body = order_of(
                    self._contract, price=price, volume=1, client_order_id=client_order_id, reference=client_order_id
                )
                self.unanswered[client_order_id] = body
                try:
                    answer = http.post("/api/v1/trading/orders", json=body)
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                self.answers[client_order_id] = answer.json()
                del self.unanswered[client_order_id]


def reconciled(core: ServiceProcess) -> dict[str, Any]:
    (result,) = core.get("/api/v1/trading/reconciliation")["reconciliations"]
    assert isinstance(result, dict)
    return result


@pytest.mark.timeout(300)
def test_orders_of_clients_and_strategies(service: Start, core: ServiceProcess) -> None:
    run_strategy(core, "EveryTick")
    shown: dict[int, dict[str, Any]] = {}
    answers: dict[str, dict[str, Any]] = {}
    for run, trades in enumerate((30, 1, 60)):
        with Stream(core.url, "order", "trade", "position", "account", "strategy", snapshot=False) as stream:
            clients = Clients(core, run)
            eventually(lambda: len(stream.of("trade")) >= trades, 30, "trades flow")  # noqa: B023
            core.kill()
            clients.join()
            assert stream.closed.wait(10)
        answers |= clients.answers
        shown |= {event["seq"]: event for event in stream.events if event["seq"] is not None}

        on_disk = {
            seq: (topic, json.loads(payload))
            for seq, topic, payload in stored(core.data_dir / "journal.db", "select seq, topic, payload from facts")
        }
        assert {seq: on_disk.get(seq) for seq in shown} == {
            seq: (event["topic"], event["data"]) for seq, event in shown.items()
        }
        intents = {data["intent_id"]: data["outcome"] for topic, data in on_disk.values() if topic == "intent"}

        core = service()
        # The venue forgets nothing and hands back the intents' marks: of every order it is known now whether it went.
        eventually(lambda: reconciled(core)["state"] == "PASSED", 15, "what the venue reports agrees")  # noqa: B023
        assert core.get("/api/v1/system/status")["unknown_orders"] == 0
        settled = {each["key"]: each for each in reconciled(core)["differences"] if each["kind"] == "intent"}
        assert settled.keys() == {key for key, outcome in intents.items() if outcome in (None, "UNKNOWN")}
        eventually(lambda: core.get("/api/v1/strategies/EveryTick")["trading"], 15, "it trades again")  # noqa: B023
        # A client that was not answered asks again: the order is not sent a second time.
        for client_order_id, body in clients.unanswered.items():
            again = core.http.post("/api/v1/trading/orders", json=body)
            assert again.status_code in (201, 409), again.text
            if again.status_code == 201:
                answers[client_order_id] = again.json()

    core.call("POST", "/api/v1/strategies/EveryTick/stop")
    core.call("POST", "/api/v1/trading/orders/cancel-all")
    eventually(lambda: not core.get("/api/v1/trading/orders", active=True)["orders"], 10, "all orders are cancelled")
    orders, trades_known = {order["vt_orderid"]: order for order in every(core, "orders")}, every(core, "trades")
    own = [t for t in trades_known if orders[t["vt_orderid"]]["reference"] == "CtaStrategy_EveryTick"]
    assert own
    net = sum(trade["volume"] * (1 if trade["direction"] == "LONG" else -1) for trade in own)
    assert core.get("/api/v1/strategies/EveryTick")["pos"] == net
    assert core.stop() == 0

    for client_order_id, answer in answers.items():
        assert orders[answer["vt_orderid"]]["client_order_id"] == client_order_id
    venue = stored(core.data_dir / "sim_SIM.db", "select orderid, reference, status, traded from orders")
    assert {f"SIM.{row[0]}": (row[1].partition("~")[0], *row[2:]) for row in venue} == {
        key: (order["reference"], order["status"], order["traded"]) for key, order in orders.items()
    }
    of_clients = Counter(row[1].partition("~")[0] for row in venue if not row[1].startswith("CtaStrategy_"))
    assert set(of_clients.values()) == {1}
    fills = [tradeid for (tradeid,) in stored(core.data_dir / "sim_SIM.db", "select tradeid from trades")]
    assert sorted(trade["tradeid"] for trade in trades_known) == sorted(fills)
    assert sorted(table(core, "select vt_orderid, status, traded from orders")) == sorted(
        (key, order["status"], order["traded"]) for key, order in orders.items()
    )


def test_what_only_the_killed_process_watched_is_over(service: Start, core: ServiceProcess) -> None:
    with Stream(core.url, "stop_order") as stream:
        run_strategy(core, "Watcher")
        waiting = stream.wait_for(lambda e: e["data"]["status"] == "WAITING")["data"]
        core.kill()
    (core.data_dir / "strategies" / "killed.py").unlink()  # or it would give a new one of the same number

    core = service()
    with Stream(core.url, "stop_order") as stream:
        told = stream.wait_for(lambda e: e["topic"] == "stop_order.updated")
        assert told["data"] == waiting | {"status": "CANCELLED"}
        assert core.get("/api/v1/strategies/Watcher")["state"] == "FAILED"
