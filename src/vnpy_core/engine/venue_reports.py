"""What each gateway reports of orders, trades, positions and accounts from the beginning of a connection on.

vn.py has no way to ask a venue and wait: a gateway pushes its state when it has connected, in its own time. Written by
the event thread alone.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from vnpy.event import Event
from vnpy.trader.event import EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_ORDER, EVENT_POSITION, EVENT_TRADE

from vnpy_core.engine import translate
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateway_events import EVENT_VENUE_REPORTED, VenueReported
from vnpy_core.engine.markers import split_reference
from vnpy_core.models import Account, Model, Order, Position, Timestamp, Trade, now_timestamp, to_timestamp

M = TypeVar("M", bound=Model)


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


class VenueReports:
    """A report is kept from ``begin`` to ``end``; otherwise an event costs one look into a dict."""

    def __init__(self, event_engine: CoreEventEngine) -> None:
        self._open: dict[str, VenueReport] = {}
        self._heard: dict[str, float] = {}
        takes: dict[str, Callable[[VenueReport, Any], bool]] = {
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
        self._heard[gateway_name] = time.monotonic()
        self._open[gateway_name] = VenueReport(gateway_name=gateway_name, began=now_timestamp())

    def end(self, gateway_name: str, began: str) -> bool:
        """End the report that began then, if it is still the latest, and tell whether it was. On the event thread."""
        report = self._open.get(gateway_name)
        if report is None or report.began != began:
            return False
        del self._open[gateway_name]
        return True

    def copy(self, gateway_name: str) -> VenueReport | None:
        """Return the report as it is now; ``None``: none has begun. On the event thread."""
        report = self._open.get(gateway_name)
        if report is None:
            return None
        return msgspec.structs.replace(
            report,
            orders=dict(report.orders),
            markers=dict(report.markers),
            trades=dict(report.trades),
            positions=dict(report.positions),
            accounts=dict(report.accounts),
            quiet_s=time.monotonic() - self._heard[gateway_name],
        )

    def _handler(self, take: Callable[[VenueReport, Any], bool]) -> Callable[[Event], None]:
        def on_event(event: Event) -> None:
            if self._open and (report := self._open.get(event.data.gateway_name)) is not None and take(
                report, event.data
            ):
                self._heard[report.gateway_name] = time.monotonic()
                report.version += 1

        return on_event


def _take_contract(report: VenueReport, data: Any) -> bool:
    """It tells nothing to compare; but a gateway that still sends them has not told all."""
    return True


def _take_order(report: VenueReport, data: Any) -> bool:
    order = translate.order(data)
    _, marker = split_reference(data.reference or "")
    if marker:
        report.markers[order.key] = marker
    return _put(report.orders, order)


def _take_trade(report: VenueReport, data: Any) -> bool:
    return _put(report.trades, translate.trade(data))


def _take_position(report: VenueReport, data: Any) -> bool:
    position = translate.position(data)
    before = report.positions.get(position.key)
    report.positions[position.key] = position
    return before is None or before.volume != position.volume


def _take_account(report: VenueReport, data: Any) -> bool:
    account = translate.account(data)
    is_new = account.key not in report.accounts
    report.accounts[account.key] = account
    return is_new


def _take_end(report: VenueReport, data: VenueReported) -> bool:
    report.is_complete = True
    report.complete_since = to_timestamp(data.since) if data.since is not None else None
    return True


def _put(table: dict[str, M], model: M) -> bool:
    before = table.get(model.key)
    table[model.key] = model
    return before != model
