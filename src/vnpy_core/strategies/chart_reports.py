"""What is told of a chart."""

from typing import Annotated

import msgspec

from vnpy_core.data.chart_bars import ChartInterval
from vnpy_core.data.indicators import Indicator, IndicatorValues
from vnpy_core.enums import Direction, Offset
from vnpy_core.models import Order, Timestamp, VtSymbol


class ChartBar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``datetime`` is its start; of a day: midnight, in the zone of trading, of the trading day."""

    datetime: Timestamp
    open_price: float | None
    high_price: float | None
    low_price: float | None
    close_price: float | None
    volume: float | None
    turnover: float | None
    open_interest: float | None


class ChartTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fill of the strategy."""

    datetime: Timestamp
    vt_tradeid: str
    vt_orderid: str
    direction: Direction | None
    offset: Offset
    price: float | None
    volume: float


class ChartGap(msgspec.Struct, frozen=True, kw_only=True):
    """From the end of what is stored to the first live bar: nothing is known of it."""

    start: Timestamp
    end: Timestamp


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars, the oldest first; indicators have a value for each."""

    vt_symbol: VtSymbol
    interval: ChartInterval
    bars: list[ChartBar]
    forming: Annotated[bool, msgspec.Meta(description="The last bar goes on with the next tick")]
    gap: Annotated[
        ChartGap | None, msgspec.Meta(description="Minutes that are missing before the live ones; download them")
    ]
    indicators: list[IndicatorValues]
    trades: Annotated[list[ChartTrade], msgspec.Meta(description="The strategy's, in the time of the bars")]
    orders: Annotated[list[Order], msgspec.Meta(description="The strategy's")]
    next_cursor: Annotated[
        Timestamp | None, msgspec.Meta(description="Ask again with it for the bars that follow; null: no more")
    ]


class IndicatorPage(msgspec.Struct, frozen=True, kw_only=True):
    indicators: list[Indicator]
    next_cursor: Annotated[str | None, msgspec.Meta(description="null: no more")]
