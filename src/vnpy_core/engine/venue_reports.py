"""What each gateway reports of orders, trades, positions and accounts from the beginning of a connection on.

vn.py has no way to ask a venue and wait: a gateway pushes its state when it has connected, in its own time. Written by
the event thread alone.
"""

import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec
from vnpy.event import Event
from vnpy.trader.event import EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_ORDER, EVENT_POSITION, EVENT_TRADE

from vnpy_core.engine import translate
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateway_events import EVENT_VENUE_REPORTED, VenueReported
from vnpy_core.engine.markers import split_reference
from vnpy_core.models import Account, Model, Order, Position, Timestamp, Trade, now_timestamp, to_timestamp

M = TypeVar("M", bound=Model)
Kind = Literal["orders", "trades", "positions"]


class VenueReport(msgspec.Struct, kw_only=True):
    """The latest of each thing that was told since ``began``. ``markers``: intent ids, by vt_orderid.

    ``is_complete``: the gateway has said that this is all; ``complete_since``: of what came then or later, nothing is
    missing. ``quiet_s``: how long it has told nothing new; that it repeats its funds every few seconds, as many do, is
    nothing new. ``version`` grows with what is.
    """

    gateway_name: str
    began: Timestamp
    orders: dict[str, Order] = msgspec.field(default_factory=dict)
    markers: dict[str, str] = msgspec.field(default_factory=dict)
    trades: dict[str, Trade] = msgspec.field(default_factory=dict)
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    accounts: dict[str, Account] = msgspec.field(default_factory=dict)
    is_complete: bool = False
    complete_since: Timestamp | None = None
    quiet_s: float = 0.0
    version: int = 0


class _Kept:
    """A report, with the version at which each row of it changed; the one that changed longest ago comes first."""

    def __init__(self, gateway_name: str) -> None:
        self.report = VenueReport(gateway_name=gateway_name, began=now_timestamp())
        self.heard = time.monotonic()
        self._changed: dict[tuple[Kind, str], int] = {}

    def hear(self) -> None:
        """Take note that something new was told."""
        self.heard = time.monotonic()
        self.report.version += 1

    def put(self, kind: Kind, table: dict[str, M], model: M, *, is_news: bool) -> None:
        key = model.key
        table[key] = model
        if is_news:
            self.hear()
            self._changed.pop((kind, key), None)
            self._changed[kind, key] = self.report.version

    def since(self, version: int) -> VenueReport:
        """Return what has changed after ``version``, and every account. Looks at nothing else, unless it is all."""
        report, quiet_s = self.report, time.monotonic() - self.heard
        accounts = dict(report.accounts)
        if version == 0:
            return msgspec.structs.replace(
                report, orders=dict(report.orders), markers=dict(report.markers), trades=dict(report.trades),
                positions=dict(report.positions), accounts=accounts, quiet_s=quiet_s,
            )  # fmt: skip
        rows: list[tuple[Kind, str]] = []
        for row, changed in reversed(self._changed.items()):
            if changed <= version:
                break
            rows.append(row)
        rows.reverse()
        orders = {key: report.orders[key] for kind, key in rows if kind == "orders"}
        return msgspec.structs.replace(
            report,
            orders=orders,
            markers={key: report.markers[key] for key in orders if key in report.markers},
            trades={key: report.trades[key] for kind, key in rows if kind == "trades"},
            positions={key: report.positions[key] for kind, key in rows if kind == "positions"},
            accounts=accounts,
            quiet_s=quiet_s,
        )


class VenueReports:
    """A report is kept from ``begin`` to ``end``; otherwise an event costs one look into a dict."""

    def __init__(self, event_engine: CoreEventEngine) -> None:
        self._open: dict[str, _Kept] = {}
        takes: dict[str, Callable[[_Kept, Any], None]] = {
            EVENT_CONTRACT: _take_contract,
            EVENT_ORDER: _take_order,
            EVENT_TRADE: _take_trade,
            EVENT_POSITION: _take_position,
            EVENT_ACCOUNT: _take_account,
            EVENT_VENUE_REPORTED: _take_end,
        }
        for event_type, take in takes.items():
            event_engine.tap(event_type, self._handler(take))

    def begin_threadsafe(self, gateway_name: str) -> None:
        """Begin a report, or begin it anew."""
        self._open[gateway_name] = _Kept(gateway_name)

    def end(self, gateway_name: str, began: str) -> bool:
        """End the report that began then, if it is still the latest, and tell whether it was. On the event thread."""
        if not self.is_latest(gateway_name, began):
            return False
        del self._open[gateway_name]
        return True

    def is_latest(self, gateway_name: str, began: str) -> bool:
        """Tell whether the report that began then goes on."""
        kept = self._open.get(gateway_name)
        return kept is not None and kept.report.began == began

    def has_position(self, gateway_name: str, vt_positionid: str) -> bool:
        kept = self._open.get(gateway_name)
        return kept is not None and vt_positionid in kept.report.positions

    def since(self, gateway_name: str, began: str | None, version: int) -> VenueReport | None:
        """Return what was told after ``version`` of the report that began then, of another one everything; ``None``:
        none has begun. On the event thread."""
        kept = self._open.get(gateway_name)
        if kept is None:
            return None
        return kept.since(version if kept.report.began == began else 0)

    def _handler(self, take: Callable[[_Kept, Any], None]) -> Callable[[Event], None]:
        def on_event(event: Event) -> None:
            if self._open and (kept := self._open.get(event.data.gateway_name)) is not None:
                take(kept, event.data)

        return on_event


def _take_contract(kept: _Kept, data: Any) -> None:
    """It tells nothing to compare; but a gateway that still sends them has not told all."""
    kept.hear()


def _take_order(kept: _Kept, data: Any) -> None:
    order = translate.order(data)
    _, marker = split_reference(data.reference or "")
    orders, markers = kept.report.orders, kept.report.markers
    is_news = orders.get(order.key) != order
    if marker and markers.get(order.key) != marker:
        markers[order.key] = marker
        is_news = True
    kept.put("orders", orders, order, is_news=is_news)


def _take_trade(kept: _Kept, data: Any) -> None:
    trade, trades = translate.trade(data), kept.report.trades
    kept.put("trades", trades, trade, is_news=trades.get(trade.key) != trade)


def _take_position(kept: _Kept, data: Any) -> None:
    position, positions = translate.position(data), kept.report.positions
    before = positions.get(position.key)
    kept.put("positions", positions, position, is_news=before is None or before.volume != position.volume)


def _take_account(kept: _Kept, data: Any) -> None:
    account = translate.account(data)
    if account.key not in kept.report.accounts:
        kept.hear()
    kept.report.accounts[account.key] = account


def _take_end(kept: _Kept, data: VenueReported) -> None:
    kept.report.is_complete = True
    kept.report.complete_since = to_timestamp(data.since) if data.since is not None else None
    kept.hear()
