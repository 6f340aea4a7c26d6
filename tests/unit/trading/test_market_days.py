"""Which trading day a moment counts for, at the Chinese exchanges, round the clock, and elsewhere."""

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.facts import gateway

from vnpy_core.enums import Exchange
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.market_days import MarketDays

CHINA = ZoneInfo("Asia/Shanghai")


class Holiday(frozenset[date]):
    def is_estimated(self, year: int) -> bool:
        return False


class Gateways:
    def __init__(self, **exchanges: list[Exchange]) -> None:
        self.exchanges = exchanges

    def statuses(self) -> Sequence[GatewayStatus]:
        return [msgspec.structs.replace(gateway(name), exchanges=each) for name, each in self.exchanges.items()]


def days(moment: str, gateways: Gateways) -> MarketDays:
    calendar = TradingCalendar(Holiday([date(2026, 10, day) for day in range(1, 8)]))
    when = datetime.fromisoformat(moment).replace(tzinfo=CHINA)
    return MarketDays(calendar, gateways, CHINA, now=lambda: when)


@pytest.mark.parametrize(
    ("moment", "china", "crypto", "elsewhere"),
    [
        ("2026-01-05 10:00", "2026-01-05", "2026-01-05", "2026-01-05"),
        ("2026-01-05 17:59", "2026-01-05", "2026-01-05", "2026-01-05"),
        ("2026-01-05 21:00", "2026-01-06", "2026-01-05", "2026-01-05"),  # the night session
        ("2026-01-06 02:29", "2026-01-06", "2026-01-05", "2026-01-05"),
        ("2026-01-06 07:59", "2026-01-06", "2026-01-05", "2026-01-06"),
        ("2026-01-06 08:00", "2026-01-06", "2026-01-06", "2026-01-06"),
        ("2026-01-09 21:30", "2026-01-12", "2026-01-09", "2026-01-09"),  # Friday's night is Monday's
        ("2026-01-10 01:00", "2026-01-12", "2026-01-09", "2026-01-09"),
        ("2026-10-03 12:00", "2026-10-08", "2026-10-03", "2026-10-03"),  # a holiday
    ],
)
def test_a_moment_counts_for_the_day_of_its_market(moment: str, china: str, crypto: str, elsewhere: str) -> None:
    told = days(
        moment, Gateways(CTP=[Exchange.SHFE, Exchange.GLOBAL], BINANCE=[Exchange.GLOBAL], IB=[Exchange.NASDAQ], NEW=[])
    )
    assert [told.of(name) for name in ("CTP", "BINANCE", "IB", "NEW", "UNKNOWN")] == [
        china, crypto, elsewhere, elsewhere, elsewhere
    ]  # fmt: skip
    assert told.of_all() == china
    assert days(moment, Gateways(BINANCE=[Exchange.GLOBAL])).of_all() == crypto
    assert days(moment, Gateways()).of_all() == elsewhere


def test_a_gateway_that_is_loaded_later_is_known_then() -> None:
    gateways = Gateways(CTP=[])
    told = days("2026-01-05 21:00", gateways)
    assert (told.of("CTP"), told.of_all()) == ("2026-01-05", "2026-01-05")
    gateways.exchanges["CTP"] = [Exchange.SHFE]
    assert (told.of("CTP"), told.of_all()) == ("2026-01-06", "2026-01-06")
