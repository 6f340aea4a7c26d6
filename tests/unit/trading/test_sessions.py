"""The sessions of Chinese contracts. On which days, and the hours of them: test_calendar.py."""

from datetime import time

import pytest

from vnpy_core.enums import Exchange
from vnpy_core.trading.sessions import night_end


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
