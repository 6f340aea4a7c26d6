"""A client of the simulated exchange made of vn.py's own, unmodified engines."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from vnpy.event import Event, EventEngine
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType
from vnpy.trader.engine import MainEngine
from vnpy.trader.event import (
    EVENT_ACCOUNT,
    EVENT_CONTRACT,
    EVENT_LOG,
    EVENT_ORDER,
    EVENT_POSITION,
    EVENT_TICK,
    EVENT_TRADE,
)
from vnpy.trader.object import OrderData, OrderRequest, SubscribeRequest, TickData, TradeData

from vnpy_core.engine.sim import SimGateway

WAIT_S = 10.0
REBAR, ORE, BITCOIN = "rb2605.SHFE", "i2605.DCE", "BTCUSDT.GLOBAL"
TYPES = (EVENT_TICK, EVENT_ORDER, EVENT_TRADE, EVENT_POSITION, EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_LOG)

T = TypeVar("T")


class Client:
    """vn.py's event and main engine with one SimGateway; ``events`` holds all that arrived, in order."""

    def __init__(
        self,
        name: str = "SIM",
        event_engine: EventEngine | None = None,
        engines: Callable[[EventEngine], MainEngine] = MainEngine,
    ) -> None:
        self.event_engine = event_engine or EventEngine(0.05)  # type: ignore[arg-type] # its timer is joined at the end
        self.main = engines(self.event_engine)
        gateway = self.main.add_gateway(SimGateway, name)
        assert isinstance(gateway, SimGateway)
        self.gateway = gateway
        self.events: list[Event] = []
        self._arrived = threading.Condition()
        for event_type in TYPES:
            self.event_engine.register(event_type, self._collect)

    def _collect(self, event: Event) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def connect(self, **setting: Any) -> None:
        self.main.connect({"persist": False, "tick_interval_ms": 20.0} | setting, self.gateway.gateway_name)

    def subscribe(self, *vt_symbols: str) -> None:
        for vt_symbol in vt_symbols:
            symbol, exchange = vt_symbol.split(".")
            self.main.subscribe(SubscribeRequest(symbol, Exchange(exchange)), self.gateway.gateway_name)

    def send(self, volume: float, price: float = 0, *, vt_symbol: str = REBAR, **fields: Any) -> str:
        symbol, exchange = vt_symbol.split(".")
        fields = {
            "direction": Direction.LONG, "offset": Offset.OPEN, "type": OrderType.LIMIT if price else OrderType.MARKET,
        } | fields  # fmt: skip
        request = OrderRequest(symbol, Exchange(exchange), volume=volume, price=price, **fields)
        return str(self.main.send_order(request, self.gateway.gateway_name))

    def cancel(self, vt_orderid: str) -> None:
        order = self.main.get_order(vt_orderid)
        assert order is not None
        self.main.cancel_order(order.create_cancel_request(), self.gateway.gateway_name)

    def of(self, event_type: str) -> list[Any]:
        with self._arrived:
            return [event.data for event in self.events if event.type == event_type]

    def states(self, vt_orderid: str) -> list[str]:
        orders: list[OrderData] = self.of(EVENT_ORDER)
        return [order.status.name for order in orders if order.vt_orderid == vt_orderid]

    def fills(self, vt_orderid: str) -> list[TradeData]:
        return [trade for trade in self.of(EVENT_TRADE) if trade.vt_orderid == vt_orderid]

    def wait(self, condition: Callable[[], T], timeout_s: float = WAIT_S) -> T:
        """Wait until ``condition``, looked at after every event, holds, and return what it returned."""
        with self._arrived:
            assert self._arrived.wait_for(condition, timeout_s), "it did not happen in time"
            return condition()

    def wait_for_state(self, vt_orderid: str, *states: str) -> None:
        self.wait(lambda: bool(set(states) & set(self.states(vt_orderid))))

    def wait_for_tick(self, vt_symbol: str = REBAR) -> TickData:
        """Wait for the next tick from now on."""
        count = len(self._ticks(vt_symbol))
        self.wait(lambda: len(self._ticks(vt_symbol)) > count)
        return self._ticks(vt_symbol)[-1]

    def _ticks(self, vt_symbol: str) -> list[TickData]:
        return [tick for tick in self.of(EVENT_TICK) if tick.vt_symbol == vt_symbol]

    def settle(self) -> None:
        """Wait until everything that was put so far has been handled."""
        reached = threading.Event()
        self.event_engine.register("eTestMark", lambda event: event.data.set())
        self.event_engine.put(Event("eTestMark", reached))
        assert reached.wait(WAIT_S)

    def forget(self) -> None:
        self.settle()
        with self._arrived:
            self.events.clear()

    def close(self) -> None:
        self.main.close()


@contextmanager
def client(name: str = "SIM") -> Iterator[Client]:
    made = Client(name)
    try:
        yield made
    finally:
        made.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.endswith("-feed")]
