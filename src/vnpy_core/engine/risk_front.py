"""RiskFront: what stands before vn.py's own rules, told of vn.py's events and asked about each order.

What it asks is made elsewhere and knows nothing of vn.py; without any, every order passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from vnpy.event import EVENT_TIMER, Event
from vnpy.trader.constant import Direction as VnDirection
from vnpy.trader.event import (
    EVENT_ACCOUNT,
    EVENT_CONTRACT,
    EVENT_ORDER,
    EVENT_POSITION,
    EVENT_TICK,
    EVENT_TRADE,
)
from vnpy.trader.object import OrderData, OrderRequest

from vnpy_core.engine.event_engine import EVENT_CORE_ALERT, CoreEventEngine
from vnpy_core.enums import Direction, Offset, OrderType
from vnpy_core.models import Model, RiskOrder

_SENDERS = ("CtaStrategy_", "PortfolioStrategy_", "SpreadTrading_", "AlgoTrading_")


class Reason(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Guard(Protocol):
    """The account-level layer, as far as the engine needs it."""

    @property
    def lets_rules_pass(self) -> bool: ...
    def reduces(self, order: RiskOrder) -> bool: ...
    def refusal(self, order: RiskOrder) -> Reason | None: ...
    def attempt(self, order: RiskOrder) -> None: ...
    def sent(self, vt_orderid: str, order: RiskOrder) -> None: ...
    def on_trade(self, vt_orderid: str, tradeid: str, volume: float) -> None: ...
    def on_order(self, vt_orderid: str, order: RiskOrder, *, traded: float, is_active: bool) -> None: ...
    def on_position(self, gateway_name: str, vt_symbol: str, direction: Direction, volume: float) -> None: ...
    def on_contract(self, gateway_name: str, vt_symbol: str, size: float, is_net: bool) -> None: ...
    def on_price(self, vt_symbol: str, price: float) -> None: ...
    def on_balance(self, gateway_name: str, vt_accountid: str, balance: float) -> None: ...
    def on_timer(self) -> None: ...


class RiskFront:
    """For the event thread alone, except for ``tell``. ``last_code`` is that of the last order that was refused."""

    def __init__(self, event_engine: CoreEventEngine) -> None:
        self.guard: Guard | None = None
        self._event_engine = event_engine
        self._of_client = False

    def install(self, guard: Guard) -> None:
        """Ask ``guard`` from now on; to be called before any gateway is connected."""
        self.guard = guard
        for event_type, handler in (
            (EVENT_ORDER, self._on_order),
            (EVENT_TRADE, self._on_trade),
            (EVENT_POSITION, self._on_position),
            (EVENT_ACCOUNT, self._on_account),
            (EVENT_CONTRACT, self._on_contract),
            (EVENT_TICK, self._on_tick),
            (EVENT_TIMER, self._on_timer),
        ):
            self._event_engine.register(event_type, handler)

    def tell(self, fact: Model) -> None:
        """Show a fact of the guard's, after what is queued."""
        self._event_engine.put(Event(EVENT_CORE_ALERT, fact))

    @contextmanager
    def client_order(self) -> Iterator[None]:
        """What is sent meanwhile is a client's order, whatever its reference says."""
        self._of_client = True
        try:
            yield
        finally:
            self._of_client = False

    def asked(self, req: OrderRequest, gateway_name: str) -> RiskOrder:
        sender = "" if self._of_client else _sender(req.reference)
        return _asked(req, gateway_name, sender)

    # -- events

    def _on_order(self, event: Event) -> None:
        order: OrderData = event.data
        if self.guard is not None:
            asked = _asked(order, order.gateway_name, _sender(order.reference))
            self.guard.on_order(order.vt_orderid, asked, traded=order.traded, is_active=order.is_active())

    def _on_trade(self, event: Event) -> None:
        if self.guard is not None:
            trade = event.data
            self.guard.on_trade(trade.vt_orderid, trade.vt_tradeid, trade.volume)

    def _on_position(self, event: Event) -> None:
        if self.guard is not None:
            position = event.data
            direction = Direction(position.direction.name)
            self.guard.on_position(position.gateway_name, position.vt_symbol, direction, position.volume)

    def _on_account(self, event: Event) -> None:
        if self.guard is not None:
            account = event.data
            self.guard.on_balance(account.gateway_name, account.vt_accountid, account.balance)

    def _on_contract(self, event: Event) -> None:
        if self.guard is not None:
            contract = event.data
            self.guard.on_contract(contract.gateway_name, contract.vt_symbol, contract.size, contract.net_position)

    def _on_tick(self, event: Event) -> None:
        if self.guard is not None:
            self.guard.on_price(event.data.vt_symbol, event.data.last_price)

    def _on_timer(self, event: Event) -> None:
        if self.guard is not None:
            self.guard.on_timer()


def _sender(reference: str) -> str:
    """Return the strategy or algo that a reference of vn.py's names, or the reference of another app; of a client
    nothing is known."""
    for prefix in _SENDERS:
        if reference.startswith(prefix):
            return reference[len(prefix) :]
    return reference


def _asked(order: Any, gateway_name: str, sender: str) -> RiskOrder:
    return RiskOrder(
        gateway_name, order.vt_symbol, order.direction is VnDirection.LONG, Offset(order.offset.name),
        OrderType(order.type.name), order.volume, order.price, sender,
    )  # fmt: skip
