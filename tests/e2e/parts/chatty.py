"""A gateway that tells a new order every few milliseconds, for as long as it is connected, and of no account.

Its orders have ended: with each one that works, vn.py adds up all those of its symbol.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from vnpy.event import EventEngine
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Product, Status
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import CancelRequest, ContractData, OrderData, OrderRequest, SubscribeRequest

PAUSE_S = 0.01


class ChattyGateway(BaseGateway):
    default_name = "CHATTY"
    default_setting = {"orders_per_second": 700}  # noqa: RUF012 -- declared so by vn.py
    exchanges = [Exchange.SHFE]  # noqa: RUF012 -- declared so by vn.py

    def __init__(self, event_engine: EventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def connect(self, setting: dict[str, Any]) -> None:
        self.on_contract(ContractData(self.gateway_name, "rb2605", Exchange.SHFE, "rb2605", Product.FUTURES, 10, 1))
        self._thread = threading.Thread(target=self._talk, args=(setting["orders_per_second"],), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def send_order(self, req: OrderRequest) -> str:
        return ""

    def cancel_order(self, req: CancelRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...

    def _talk(self, rate: int) -> None:
        run, began, told = time.time_ns(), time.monotonic(), 0
        while not self._closed.wait(PAUSE_S):
            for number in range(told, int((time.monotonic() - began) * rate)):
                order = OrderData(
                    self.gateway_name, "rb2605", Exchange.SHFE, f"{run}-{number}", OrderType.LIMIT, Direction.LONG,
                    Offset.OPEN, 3500, 1, 0, Status.CANCELLED, datetime.now(UTC),
                )  # fmt: skip
                self.on_order(order)
                told = number + 1
