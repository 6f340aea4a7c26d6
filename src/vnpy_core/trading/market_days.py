"""MarketDays: which trading day it is for each gateway, by the market that its exchanges belong to."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from vnpy_core.enums import Exchange
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.calendar import ALWAYS_OPEN, TradingCalendar
from vnpy_core.trading.trading_day import DAILY

# Where neither a calendar nor a clock is known: after the night of one's own time zone.
_BEGINS = timedelta(hours=5)


class Gateways(Protocol):
    def statuses(self) -> Sequence[GatewayStatus]: ...


class MarketDays:
    """From any thread. A gateway with a Chinese exchange is at the Chinese trading day: the night session belongs to
    the next day, and weekends and holidays to the one after them. One of round-the-clock markets alone is at the day of
    UTC, any other at the day of ``zone`` from five in the morning on."""

    def __init__(
        self,
        calendar: TradingCalendar,
        gateways: Gateways,
        zone: ZoneInfo,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calendar = calendar
        self._gateways = gateways
        self._zone = zone
        self._now = now
        self._exchanges: dict[str, frozenset[Exchange]] = {}

    def of(self, gateway_name: str) -> str:
        """Return the trading day of now of a gateway."""
        if not self._exchanges.get(gateway_name):
            self._look()
        return self._day(self._exchanges.get(gateway_name, frozenset()))

    def of_all(self) -> str:
        """Return that of all gateways together, by which what is counted for all of them begins anew."""
        if not all(self._exchanges.values()) or not self._exchanges:
            self._look()
        return self._day(frozenset().union(*self._exchanges.values()))

    def _look(self) -> None:
        """A gateway's exchanges are known once its class is loaded."""
        self._exchanges = {status.gateway_name: frozenset(status.exchanges) for status in self._gateways.statuses()}

    def _day(self, exchanges: frozenset[Exchange]) -> str:
        now = self._now()
        if exchanges & DAILY:
            return self._calendar.trading_day(now).isoformat()
        if exchanges and exchanges <= ALWAYS_OPEN:
            return now.astimezone(UTC).date().isoformat()
        return (now.astimezone(self._zone) - _BEGINS).date().isoformat()
