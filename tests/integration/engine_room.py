"""Real vn.py engines on a folder of their own, with a gateway and a database that tests control."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import vnpy.trader.database
from vnpy.event import Event
from vnpy.trader.app import BaseApp
from vnpy.trader.constant import Direction, Exchange, Interval, Offset, OrderType, Product, Status
from vnpy.trader.database import BarOverview, BaseDatabase, TickOverview
from vnpy.trader.engine import BaseEngine
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import (
    AccountData,
    BarData,
    CancelRequest,
    ContractData,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TickData,
    TradeData,
)

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.main_engine import CoreMainEngine

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 1, 5, 12, tzinfo=ZONE)
SYMBOL = "rb2505.SHFE"
WAIT_S = 10.0

T = TypeVar("T")
E = TypeVar("E", bound=BaseEngine)


def bar(minute: int, *, close: float = 3500, symbol: str = "rb2505") -> BarData:
    return BarData(
        gateway_name="DB",
        symbol=symbol,
        exchange=Exchange.SHFE,
        datetime=NOON.replace(minute=minute),
        interval=Interval.MINUTE,
        close_price=close,
    )


class MemoryDatabase(BaseDatabase):
    """Keeps the bars it is given, and gives them all."""

    def __init__(self) -> None:
        self.bars: list[BarData] = []

    def save_bar_data(self, bars: list[BarData], stream: bool = False) -> bool:
        self.bars += bars
        return True

    def load_bar_data(
        self, symbol: str, exchange: Exchange, interval: Interval, start: datetime, end: datetime
    ) -> list[BarData]:
        return [bar for bar in self.bars if bar.symbol == symbol]

    def save_tick_data(self, ticks: list[TickData], stream: bool = False) -> bool:
        raise AssertionError("no test saves ticks")

    def load_tick_data(self, symbol: str, exchange: Exchange, start: datetime, end: datetime) -> list[TickData]:
        return []

    def delete_bar_data(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        return 0

    def delete_tick_data(self, symbol: str, exchange: Exchange) -> int:
        return 0

    def get_bar_overview(self) -> list[BarOverview]:
        return []

    def get_tick_overview(self) -> list[TickOverview]:
        return []


class ProbeGateway(BaseGateway):
    """Fills and cancels when it is told to. ``on_sent`` is called in ``send_order``, after the order was pushed."""

    default_name = "PROBE"
    exchanges = [Exchange.SHFE]  # noqa: RUF012
    default_setting: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, event_engine: CoreEventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self.orders: dict[str, OrderData] = {}
        self.subscribed: list[str] = []
        self.cancelled: list[str] = []
        self.on_sent: Callable[[OrderData], None] | None = None
        self.raises: BaseException | None = None
        self.history: list[BarData] = []

    def connect(self, setting: dict[str, Any]) -> None:
        self.contract("rb2505")
        self.on_account(AccountData(self.gateway_name, "A", 1e6))

    def contract(self, symbol: str, *, history_data: bool = False, stop_supported: bool = False) -> None:
        self.on_contract(
            ContractData(
                self.gateway_name, symbol, Exchange.SHFE, symbol, Product.FUTURES, 10, 1,
                history_data=history_data, stop_supported=stop_supported,
            )
        )  # fmt: skip

    def subscribe(self, req: SubscribeRequest) -> None:
        self.subscribed.append(req.vt_symbol)

    def send_order(self, req: OrderRequest) -> str:
        if self.raises is not None:
            raise self.raises
        order = req.create_order_data(str(len(self.orders) + 1), self.gateway_name)
        order.datetime = NOON
        self.orders[order.orderid] = order
        self.on_order(copy(order))
        if self.on_sent is not None:
            self.on_sent(order)
        return str(order.vt_orderid)

    def cancel_order(self, req: CancelRequest) -> None:
        self.cancelled.append(req.orderid)
        order = self.orders[req.orderid]
        if order.is_active():
            self.report(order, Status.CANCELLED)

    def report(self, order: OrderData, status: Status) -> None:
        order.status = status
        self.on_order(copy(order))

    def fill(self, order: OrderData, *, tradeid: str | None = None) -> None:
        order.traded = order.volume
        self.report(order, Status.ALLTRADED)
        self.on_trade(
            TradeData(
                gateway_name=self.gateway_name,
                symbol=order.symbol,
                exchange=order.exchange,
                orderid=order.orderid,
                tradeid=tradeid or f"T{order.orderid}",
                direction=order.direction,
                offset=order.offset,
                price=order.price,
                volume=order.volume,
                datetime=NOON,
            )
        )

    def tick(self, price: float, symbol: str = "rb2505") -> None:
        self.on_tick(
            TickData(
                gateway_name=self.gateway_name, symbol=symbol, exchange=Exchange.SHFE, datetime=NOON,
                last_price=price, bid_price_1=price - 1, ask_price_1=price + 1, bid_volume_1=9, ask_volume_1=9,
            )
        )  # fmt: skip

    def query_history(self, req: Any) -> list[BarData]:
        if self.raises is not None:
            raise self.raises
        return self.history

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...

    def close(self) -> None: ...


def limit_order(price: float = 3500, volume: float = 1, direction: Direction = Direction.LONG) -> OrderRequest:
    return OrderRequest("rb2505", Exchange.SHFE, direction, OrderType.LIMIT, volume, price, Offset.OPEN)


class Room:
    """The engines. ``start`` again on the same folder is what a restarted process finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = MemoryDatabase()
        self.events: dict[str, list[Any]] = {}
        self._watched: set[str] = set()

    def start(self) -> None:
        vnpy.trader.database.database = self.database
        self.event_engine = CoreEventEngine(3600)  # its timer never fires: tests put the event
        self.main_engine = CoreMainEngine(self.event_engine)
        gateway = self.main_engine.add_gateway(ProbeGateway)
        assert isinstance(gateway, ProbeGateway)
        self.gateway = gateway
        for event_type in self._watched:
            self.event_engine.tap(event_type, lambda event: self.events[event.type].append(event.data))

    def stop(self) -> None:
        self.main_engine.close()
        assert not self.event_engine._thread.is_alive()

    def add(self, app: type[BaseApp], kind: type[E]) -> E:
        return self.main_engine.add_core_app(app, kind)

    def watch(self, *event_types: str) -> None:
        """Collect the data of these events from the next ``start`` on, or from now on."""
        for event_type in event_types:
            self._watched.add(event_type)
            self.events.setdefault(event_type, [])
            if hasattr(self, "event_engine"):
                self.event_engine.tap(event_type, lambda event: self.events[event.type].append(event.data))

    def on_events(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run ``fn`` on the event thread and return its result."""
        return self.event_engine.call(fn, *args, **kwargs).result(WAIT_S)

    def settle(self) -> None:
        """Wait until the events put so far have been handled, and those that they brought about."""
        for _ in range(3):
            assert self.event_engine.drain(WAIT_S)

    def connect(self) -> None:
        self.main_engine.connect({}, "PROBE")
        self.settle()

    def tick(self, *prices: float) -> None:
        for price in prices:
            self.gateway.tick(price)
        self.settle()

    def timer(self) -> None:
        self.event_engine.put(Event("eTimer"))
        self.settle()

    def strategy_file(self, name: str, text: str) -> None:
        (self.folder / "strategies" / name).write_text(text)

    def json(self, name: str) -> Any:
        return json.loads((self.folder / ".vntrader" / name).read_text())


@contextmanager
def engine_room(folder: Path, home: Path) -> Iterator[Room]:
    """Make vn.py work in ``folder``, and afterwards in ``home`` again; end the engines that a test has left."""
    runtime.prepare(VnPyCoreConfig(data_dir=folder))
    room = Room(folder)
    try:
        yield room
    finally:
        if hasattr(room, "event_engine") and room.event_engine.is_alive():
            room.stop()
        vnpy.trader.database.database = None
        runtime.prepare(VnPyCoreConfig(data_dir=home))
        shutil.rmtree(folder, ignore_errors=True)
        leaked = [t.name for t in threading.enumerate() if t.name.startswith(("event-", "strategy-init-"))]
        assert not leaked


def failure(future: Future[Any]) -> BaseException | None:
    return future.exception(WAIT_S)
