"""The trading day of a moment, and whether an order is of an earlier one."""

from datetime import date, datetime

import pytest
from tests.facts import order

from vnpy_core.enums import Exchange
from vnpy_core.trading.trading_day import CHINA, is_of_today, trading_day


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-01-05T09:00", "2026-01-05"),  # a Monday
        ("2026-01-05T15:00", "2026-01-05"),
        ("2026-01-05T21:00", "2026-01-06"),
        ("2026-01-06T02:29", "2026-01-06"),
        ("2026-01-09T14:59", "2026-01-09"),
        ("2026-01-09T21:00", "2026-01-12"),  # Friday's night is Monday's
        ("2026-01-10T02:29", "2026-01-12"),
        ("2026-01-11T12:00", "2026-01-12"),
    ],
)
def test_the_night_counts_for_the_next_day(moment: str, day: str) -> None:
    assert trading_day(datetime.fromisoformat(moment).replace(tzinfo=CHINA)) == date.fromisoformat(day)


def test_an_order_of_an_earlier_day_is_reported_no_more() -> None:
    placed = order(1, datetime="2026-01-05T07:00:00.000000+00:00")
    assert is_of_today(placed, datetime(2026, 1, 5, 17, tzinfo=CHINA))
    assert not is_of_today(placed, datetime(2026, 1, 5, 18, tzinfo=CHINA))
    elsewhere = order(1, datetime="2026-01-05T07:00:00.000000+00:00", exchange=Exchange.GLOBAL)
    assert is_of_today(elsewhere, datetime(2026, 2, 5, tzinfo=CHINA))
    assert is_of_today(order(1, datetime=None), datetime(2026, 2, 5, tzinfo=CHINA))
