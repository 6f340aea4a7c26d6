"""BenchGateway: the market both sides are given. Ticks at a paced rate, resting orders, and an instant order book.

A vn.py gateway as any other, configured by its class path on our side and added by ``add_gateway`` on the peer's.
Its setting ``control`` is the path of a Unix socket; a line ``{"what": "ticks", "rate": 1000, "count": 5000}`` there
starts a feed (or ``orders``: changes of the resting ones; or ``facts``: such that carry a time, as the ticks do; or
``mixed``: ticks and facts) and is answered, once the last one is pushed, with what was sent and how well the pace was
kept.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from copy import copy
from datetime import datetime
from zoneinfo import ZoneInfo

from vnpy.event import EventEngine
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Product, Status
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import (
    AccountData,
    CancelRequest,
    ContractData,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TickData,
)

from bench.servers import SYMBOLS

ZONE = ZoneInfo("Asia/Shanghai")
EXCHANGE = Exchange.SHFE
BURST_S = 0.001
MIXED = 50  # in a mixed feed each such one is a fact


class BenchGateway(BaseGateway):
    """Push what the benchmark asks for; a limit order rests and is never filled, a FAK order is cancelled at once."""

    default_name = "BENCH"
    default_setting = {"control": "", "orders": 1000}  # noqa: RUF012 - declared so by vn.py
    exchanges = [EXCHANGE]  # noqa: RUF012 - declared so by vn.py

    def __init__(self, event_engine: EventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self._last_orderid = 0
        self._orders: dict[str, OrderData] = {}
        self._listener: socket.socket | None = None

    def connect(self, setting: dict) -> None:
        for symbol in SYMBOLS:
            self.on_contract(ContractData(self.gateway_name, symbol, EXCHANGE, symbol, Product.FUTURES, 10, 1))
        self.on_account(AccountData(self.gateway_name, "bench", balance=1e9))
        for _ in range(int(setting["orders"])):
            number = self._last_orderid
            self.send_order(
                OrderRequest(
                    SYMBOLS[number % len(SYMBOLS)], EXCHANGE, Direction.LONG if number % 2 else Direction.SHORT,
                    OrderType.LIMIT, 1 + number % 9, 3000 + number % 500, Offset.OPEN, f"resting-{number}",
                )
            )  # fmt: skip
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(setting["control"]))
        self._listener.listen(1)
        threading.Thread(target=self._serve, args=(self._listener,), name="BenchFeed", daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def subscribe(self, req: SubscribeRequest) -> None:
        """Nothing to do: a feed pushes every symbol."""

    def send_order(self, req: OrderRequest) -> str:
        self._last_orderid += 1
        order = req.create_order_data(str(self._last_orderid), self.gateway_name)
        order.datetime = datetime.now(ZONE)
        if order.type is OrderType.FAK:
            order.status = Status.CANCELLED
        else:
            order.status = Status.NOTTRADED
            self._orders[order.orderid] = order
        self.on_order(copy(order))
        return order.vt_orderid

    def cancel_order(self, req: CancelRequest) -> None:
        order = self._orders.pop(req.orderid, None)
        if order is not None:
            order.status = Status.CANCELLED
            self.on_order(copy(order))

    def query_account(self) -> None:
        """The account was pushed at connect and does not change."""

    def query_position(self) -> None:
        """There are no positions: nothing is ever filled."""

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", encoding="utf-8") as lines:
                for line in lines:
                    wanted = json.loads(line)
                    pushes = {
                        "ticks": self._push_tick, "orders": self._push_order, "facts": self._push_fact,
                        "mixed": self._push_mixed,
                    }  # fmt: skip
                    report = self._feed(pushes[wanted["what"]], wanted["rate"], wanted["count"])
                    lines.write(json.dumps(report) + "\n")
                    lines.flush()

    def _feed(self, push: Callable[[int], None], rate: float, count: int) -> dict[str, float]:
        """Push ``count`` events on an absolute schedule, those of one millisecond together."""
        late: list[float] = []
        sent, first_ns = 0, time.monotonic_ns()
        start = time.perf_counter()
        while sent < count:
            elapsed = time.perf_counter() - start
            due = min(count, int(elapsed * rate) + 1)
            if due <= sent:
                time.sleep(max(0.0, max(sent / rate, (elapsed // BURST_S + 1) * BURST_S) - elapsed))
                continue
            late.append(elapsed - sent / rate)
            while sent < due:
                push(sent)
                sent += 1
        seconds = time.perf_counter() - start
        late.sort()
        return {
            "sent": sent,
            "facts": len(range(0, sent, MIXED)),
            "seconds": seconds,
            "first_ns": first_ns,
            "late_p99_ms": late[int(len(late) * 0.99)] * 1e3,
            "late_max_ms": late[-1] * 1e3,
        }

    def _push_tick(self, number: int) -> None:
        """Push a tick that carries in ``turnover`` the moment of its creation.

        That is in nanoseconds of the monotonic clock, which all processes of a machine share and which a JSON number
        holds exactly.
        """
        price = 3500 + number % 100
        tick = TickData(
            self.gateway_name, SYMBOLS[number % len(SYMBOLS)], EXCHANGE, datetime.now(ZONE), "rebar", 120_000 + number,
            0, 1_500_000, price, 3, 3900, 3100, 3480, 3620, 3470, 3490,
            price - 1, price - 2, price - 3, price - 4, price - 5,
            price + 1, price + 2, price + 3, price + 4, price + 5,
            11, 22, 33, 44, 55, 12, 23, 34, 45, 56,
        )  # fmt: skip
        tick.turnover = float(time.monotonic_ns())
        self.on_tick(tick)

    def _push_order(self, number: int) -> None:
        """Let a resting order be filled a little more, or begin again."""
        order = self._orders[str(1 + number % len(self._orders))]
        order.traded = (order.traded + 0.5) % order.volume
        order.status = Status.PARTTRADED
        self.on_order(copy(order))

    def _push_mixed(self, number: int) -> None:
        """Push ticks, and a fact now and then."""
        if number % MIXED:
            self._push_tick(number)
        else:
            self._push_fact(number // MIXED)

    def _push_fact(self, number: int) -> None:
        """Tell a resting order once more, with the moment of that in ``reference``, as a tick has it in turnover."""
        order = self._orders[str(1 + number % len(self._orders))]
        order.reference = str(time.monotonic_ns())
        self.on_order(copy(order))
