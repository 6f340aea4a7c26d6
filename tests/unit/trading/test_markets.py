"""Markets: a gateway that has its own hours is believed, for others the calendar is."""

from datetime import datetime

import msgspec
import pytest
from tests.unit.trading.test_checks import FUTURES

from vnpy_core.enums import Exchange
from vnpy_core.trading.calendar import TradingCalendar, Weekdays
from vnpy_core.trading.gateway_life import Markets
from vnpy_core.trading.trading_day import CHINA

DAY, AUCTION, NIGHT = (datetime(2026, 1, 5, *clock, tzinfo=CHINA) for clock in ((10, 0), (20, 56), (23, 0)))


class Host:
    def __init__(self, own: bool | None) -> None:
        self.own = own

    def market_is_open(self, name: str) -> bool | None:
        return self.own if name == "SIM" else None


@pytest.mark.parametrize("own", [True, False])
def test_a_market_of_its_own_knows_best(own: bool) -> None:
    markets = Markets(Host(own), TradingCalendar(Weekdays()))
    for moment in (DAY, NIGHT):
        assert markets.trades("SIM", "rb2501", Exchange.SHFE, moment) is own
        assert markets.is_open(FUTURES, moment) is own


def test_for_others_the_calendar_is_asked_and_orders_are_taken_in_the_auction() -> None:
    markets, contract = Markets(Host(True), TradingCalendar(Weekdays())), msgspec.structs.replace(
        FUTURES, gateway_name="CTP"
    )
    assert [markets.trades("CTP", "rb2501", Exchange.SHFE, each) for each in (DAY, AUCTION, NIGHT)] == [
        True, False, False,
    ]  # fmt: skip
    assert [markets.is_open(contract, each) for each in (DAY, AUCTION, NIGHT)] == [True, True, False]
