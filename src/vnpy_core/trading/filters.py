"""Which orders and trades are meant: by their fields, in memory and in SQL."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from vnpy_core.data.fact_queries import Conditions
from vnpy_core.enums import ACTIVE_STATUSES, Direction, Exchange, OrderStatus
from vnpy_core.models import Model, Order, Trade

_ORDER_FIELDS = (
    "vt_symbol", "symbol", "exchange", "gateway_name", "status", "direction", "reference", "client_order_id",
)  # fmt: skip
_STATUSES = {
    True: frozenset(ACTIVE_STATUSES),
    False: frozenset(OrderStatus) - frozenset(ACTIVE_STATUSES),
}


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders are meant; a field left out restricts nothing. ``since`` is a wire timestamp."""

    vt_symbol: str | None = None
    symbol: str | None = None
    exchange: Exchange | None = None
    gateway_name: str | None = None
    status: OrderStatus | None = None
    direction: Direction | None = None
    reference: str | None = None
    client_order_id: str | None = None
    strategy: str | None = None
    active: bool | None = None
    since: str | None = None

    def predicate(self) -> Callable[[Model], bool] | None:
        """Return what tells whether an order is meant, or ``None`` when every one is."""
        checks: list[Callable[[Order], bool]] = []
        for name, value in self._equal().items():
            checks.append(lambda order, name=name, value=value: getattr(order, name) == value)  # type: ignore[misc]
        if (active := self.active) is not None:
            checks.append(lambda order: (order.status in ACTIVE_STATUSES) is active)
        if (strategy := self.strategy) is not None:
            checks.append(lambda order: strategy_of(order.reference) == strategy)
        if (since := self.since) is not None:
            checks.append(lambda order: order.datetime is not None and order.datetime >= since)
        return all_of(checks)

    def conditions(self) -> Conditions:
        """Return what holds for every order that is meant, and perhaps for some others."""
        return Conditions(
            equal=self._equal(),
            among={} if self.active is None else {"status": _STATUSES[self.active]},
            ends={} if self.strategy is None else {"reference": f"_{self.strategy}"},
            since=self.since,
        )

    def _equal(self) -> dict[str, str]:
        return {name: value for name in _ORDER_FIELDS if (value := getattr(self, name)) is not None}


class TradeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which trades are meant; a field left out restricts nothing. ``since`` is a wire timestamp."""

    vt_symbol: str | None = None
    symbol: str | None = None
    exchange: Exchange | None = None
    gateway_name: str | None = None
    direction: Direction | None = None
    vt_orderid: str | None = None
    since: str | None = None

    def predicate(self) -> Callable[[Model], bool] | None:
        """Return what tells whether a trade is meant, or ``None`` when every one is."""
        checks: list[Callable[[Trade], bool]] = []
        for name, value in self._equal().items():
            checks.append(lambda trade, name=name, value=value: getattr(trade, name) == value)  # type: ignore[misc]
        if (since := self.since) is not None:
            checks.append(lambda trade: trade.datetime is not None and trade.datetime >= since)
        return all_of(checks)

    def conditions(self) -> Conditions:
        """Return what holds for every trade that is meant, and perhaps for some others."""
        return Conditions(equal=self._equal(), since=self.since)

    def _equal(self) -> dict[str, str]:
        return {
            name: value
            for name in self.__struct_fields__
            if name != "since" and (value := getattr(self, name)) is not None
        }


def all_of(checks: Sequence[Callable[[Any], bool]]) -> Callable[[Model], bool] | None:
    """Return what tells whether all ``checks`` hold, or ``None`` when there are none."""
    if len(checks) <= 1:  # the usual case, and over all rows of a table
        return checks[0] if checks else None
    return lambda model: all(check(model) for check in checks)


def strategy_of(reference: str) -> str | None:
    """Return the strategy that an order's ``reference`` names: vn.py's engines write ``<engine>_<strategy>``."""
    engine, _, name = reference.partition("_")
    return name if engine and name else None
