"""The sessions of Chinese contracts, on known days of the week."""

from datetime import datetime, time

import pytest

from vnpy_core.enums import Exchange
from vnpy_core.trading.sessions import is_open, night_end
from vnpy_core.trading.trading_day import CHINA


@pytest.mark.parametrize(
    ("symbol", "exchange", "end"),
    [
        ("rb2605", Exchange.SHFE, time(23)), ("cu2605", Exchange.SHFE, time(1)), ("au2606", Exchange.SHFE, time(2, 30)),
        ("wr2605", Exchange.SHFE, None), ("sc2605", Exchange.INE, time(2, 30)), ("bc2605", Exchange.INE, time(1)),
        ("ec2606", Exchange.INE, None), ("i2605", Exchange.DCE, time(23)), ("jd2605", Exchange.DCE, None),
        ("lh2605", Exchange.DCE, None), ("SA605", Exchange.CZCE, time(23)), ("AP605", Exchange.CZCE, None),
        ("si2605", Exchange.GFEX, None), ("IF2606", Exchange.CFFEX, None), ("au2606C500", Exchange.SHFE, time(2, 30)),
        ("600000", Exchange.SSE, None),
    ],
)  # fmt: skip
def test_how_long_the_night_is(symbol: str, exchange: Exchange, end: time | None) -> None:
    assert night_end(symbol, exchange) == end


@pytest.mark.parametrize(
    ("symbol", "exchange", "moment", "open_"),
    [
        ("rb2605", Exchange.SHFE, "2026-01-05T08:59:59", False),  # a Monday
        ("rb2605", Exchange.SHFE, "2026-01-05T09:00", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T10:15", False),
        ("rb2605", Exchange.SHFE, "2026-01-05T10:30", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T12:00", False),
        ("rb2605", Exchange.SHFE, "2026-01-05T14:59:59", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T21:00", True),
        ("rb2605", Exchange.SHFE, "2026-01-05T23:00", False),
        ("au2606", Exchange.SHFE, "2026-01-05T01:00", False),  # Sunday's night is not traded
        ("au2606", Exchange.SHFE, "2026-01-06T02:29", True),
        ("au2606", Exchange.SHFE, "2026-01-06T02:30", False),
        ("au2606", Exchange.SHFE, "2026-01-09T21:00", True),  # Friday's is, and ends on Saturday
        ("au2606", Exchange.SHFE, "2026-01-10T02:29", True),
        ("au2606", Exchange.SHFE, "2026-01-10T10:00", False),
        ("au2606", Exchange.SHFE, "2026-01-11T21:30", False),
        ("IF2606", Exchange.CFFEX, "2026-01-05T09:15", False),
        ("IF2606", Exchange.CFFEX, "2026-01-05T15:05", False),
        ("T2606", Exchange.CFFEX, "2026-01-05T15:05", True),
        ("600000", Exchange.SSE, "2026-01-05T11:30", False),
        ("BTCUSDT", Exchange.GLOBAL, "2026-01-11T12:00", None),
    ],
)
def test_whether_it_trades(symbol: str, exchange: Exchange, moment: str, open_: bool | None) -> None:
    assert is_open(symbol, exchange, datetime.fromisoformat(moment).replace(tzinfo=CHINA)) is open_
