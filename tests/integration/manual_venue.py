"""A venue that does what a test tells it, and a gateway to it: it remembers everything, whatever the service does."""

from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from typing import Any, ClassVar

from vnpy.event import EventEngine
from vnpy.trader.constant import Direction, Exchange, Offset, Product, Status
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import (
    AccountData,
    CancelRequest,
    ContractData,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TradeData,
)

from vnpy_core.engine.gateway_events import (
    EVENT_CONNECTION_LOST,
    EVENT_VENUE_REPORTED,
    ConnectionLost,
    VenueReported,
)

NAME, SYMBOL, EXCHANGE = "VENUE", "rb2605", Exchange.SHFE
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


class Venue:
    """Orders, trades and one long position. ``line`` is the gateway that reaches it now, and hears of everything.

    ``on_order`` is asked before an order is taken, and may say otherwise.
    """

    def __init__(self) -> None:
        self.orders: dict[str, OrderData] = {}
        self.trades: list[TradeData] = []
        self.holding = 0.0
        self.line: ManualGateway | None = None
        self.on_order: Callable[[Callable[[], str]], str] = lambda take: take()
        self.answers_with = Status.NOTTRADED

    def take(self, order: OrderData) -> str:
        order.orderid = str(len(self.orders) + 1)
        order.vt_orderid = f"{NAME}.{order.orderid}"
        order.status, order.datetime = self.answers_with, datetime.now(UTC)
        self.orders[order.orderid] = order
        self.tell(order)
        return str(order.vt_orderid)

    def cancel(self, orderid: str) -> None:
        self.orders[orderid].status = Status.CANCELLED
        self.tell(self.orders[orderid])

    def fill(self, orderid: str, volume: float) -> None:
        order = self.orders[orderid]
        order.traded += volume
        order.status = Status.ALLTRADED if order.traded == order.volume else Status.PARTTRADED
        trade = TradeData(
            NAME, SYMBOL, EXCHANGE, orderid, f"T{len(self.trades) + 1}", order.direction, order.offset, order.price,
            volume, datetime.now(UTC),
        )  # fmt: skip
        self.trades.append(trade)
        self.holding += volume if order.direction is Direction.LONG else -volume
        self.tell(order)
        self.tell(trade)
        self.tell_holding()

    def tell(self, data: OrderData | TradeData) -> None:
        if self.line is not None:
            told = copy(data)
            self.line.on_order(told) if isinstance(told, OrderData) else self.line.on_trade(told)

    def tell_holding(self) -> None:
        if self.line is not None:
            self.line.on_position(PositionData(NAME, SYMBOL, EXCHANGE, Direction.LONG, self.holding))

    def tell_all(self) -> None:
        """As after a connection: every order and trade there ever was."""
        for data in (*self.orders.values(), *self.trades):
            self.tell(data)
        self.tell_holding()

    def cut(self) -> None:
        """Lose the connection: nothing comes of either side any more."""
        line, self.line = self.line, None
        if line is not None:
            line.on_event(EVENT_CONNECTION_LOST, ConnectionLost(NAME, "the line is cut"))


class ManualGateway(BaseGateway):
    """Hands the reference back, and says when it has told everything."""

    default_name = NAME
    default_setting: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    exchanges: ClassVar[list[Exchange]] = [EXCHANGE]  # type: ignore[misc]
    venue: ClassVar[Venue]

    def __init__(self, event_engine: EventEngine, gateway_name: str) -> None:
        super().__init__(event_engine, gateway_name)
        self._venue = self.venue

    def connect(self, setting: dict[str, Any]) -> None:
        self._venue.line = self
        self.on_contract(ContractData(NAME, SYMBOL, EXCHANGE, SYMBOL, Product.FUTURES, 10, 1))
        self.on_account(AccountData(NAME, "A", 1e6))
        self._venue.tell_all()
        self.on_event(EVENT_VENUE_REPORTED, VenueReported(NAME, BEGAN))

    def close(self) -> None:
        if self._venue.line is self:
            self._venue.line = None

    def send_order(self, req: OrderRequest) -> str:
        if self._venue.line is not self:
            return ""
        return self._venue.on_order(lambda: self._venue.take(req.create_order_data("", NAME)))

    def cancel_order(self, req: CancelRequest) -> None:
        if self._venue.line is self and self._venue.orders[req.orderid].is_active():
            self._venue.cancel(req.orderid)

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...


def external_order(price: float, volume: float) -> OrderData:
    """Return an order that another program sends."""
    return OrderRequest(
        SYMBOL, EXCHANGE, Direction.LONG, OrderData.type, volume, price, Offset.OPEN, "another program"
    ).create_order_data("", NAME)
