"""A history store in memory that notes what is asked of it."""

from datetime import datetime

from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.database import BarOverview, BaseDatabase, TickOverview
from vnpy.trader.object import BarData, TickData


class Recording(BaseDatabase):
    def __init__(self, bars: list[BarData] | None = None, ticks: list[TickData] | None = None) -> None:
        self.bars = bars or []
        self.ticks = ticks or []
        self.loads: list[tuple[datetime, datetime, int]] = []

    def load_bar_data(
        self, symbol: str, exchange: Exchange, interval: Interval, start: datetime, end: datetime
    ) -> list[BarData]:
        rows = [
            bar
            for bar in self.bars
            if (bar.symbol, bar.exchange, bar.interval) == (symbol, exchange, interval) and start <= bar.datetime <= end
        ]
        self.loads.append((start, end, len(rows)))
        return rows

    def load_tick_data(self, symbol: str, exchange: Exchange, start: datetime, end: datetime) -> list[TickData]:
        rows = [tick for tick in self.ticks if (tick.symbol, tick.exchange) == (symbol, exchange)]
        rows = [tick for tick in rows if start <= tick.datetime <= end]
        self.loads.append((start, end, len(rows)))
        return rows

    def get_bar_overview(self) -> list[BarOverview]:
        found: dict[tuple[str, Exchange, Interval | None], list[datetime]] = {}
        for bar in self.bars:
            found.setdefault((bar.symbol, bar.exchange, bar.interval), []).append(bar.datetime)
        return [BarOverview(*key, count=len(times), start=min(times), end=max(times)) for key, times in found.items()]

    def get_tick_overview(self) -> list[TickOverview]:
        found: dict[tuple[str, Exchange], list[datetime]] = {}
        for tick in self.ticks:
            found.setdefault((tick.symbol, tick.exchange), []).append(tick.datetime)
        return [TickOverview(*key, count=len(times), start=min(times), end=max(times)) for key, times in found.items()]

    def save_bar_data(self, bars: list[BarData], stream: bool = False) -> bool:
        self.bars += bars
        return True

    def save_tick_data(self, ticks: list[TickData], stream: bool = False) -> bool:
        self.ticks += ticks
        return True

    def delete_bar_data(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        raise AssertionError("nothing deletes here")

    def delete_tick_data(self, symbol: str, exchange: Exchange) -> int:
        raise AssertionError("nothing deletes here")


def bar(moment: datetime, open_: float, high: float, low: float, close: float, **fields: object) -> BarData:
    symbol, exchange = str(fields.pop("vt_symbol", "rb2605.SHFE")).split(".")
    fields = {"interval": Interval.MINUTE, "volume": 400.0} | fields
    return BarData(
        "DB", symbol, Exchange(exchange), moment, open_price=open_, high_price=high, low_price=low, close_price=close,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def quote(moment: datetime, bid: float = 0, ask: float = 0, **fields: object) -> TickData:
    symbol, exchange = str(fields.pop("vt_symbol", "USDJPY.IDEALPRO")).split(".")
    return TickData("DB", symbol, Exchange(exchange), moment, bid_price_1=bid, ask_price_1=ask, **fields)  # type: ignore[arg-type]
