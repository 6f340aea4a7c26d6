"""Stored bars and ticks."""

from collections.abc import AsyncIterator
from datetime import datetime

from vnpy_core.client.mode import Mode, Resource, listing, operation
from vnpy_core.enums import Interval
from vnpy_core.models import Bar, HistoryOverview, Tick
from vnpy_core.routers.answers import BarPage, OverviewPage, TickPage


class Data(Resource[Mode]):
    """``/data``. Times need a time zone."""

    @listing
    def bars(
        self,
        vt_symbol: str,
        interval: Interval = Interval.MINUTE,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> AsyncIterator[list[Bar]]:
        """Iterate over bars, oldest first: all from ``start`` on, fetched ``limit`` at a time; without ``start`` the
        newest ``limit``."""
        return self._connection.pages(
            "/data/bars", BarPage, lambda page: page.bars,
            vt_symbol=vt_symbol, interval=interval, start=start, end=end, limit=limit,
        )  # fmt: skip

    @listing
    def ticks(
        self, vt_symbol: str, *, start: datetime | None = None, end: datetime | None = None, limit: int = 1000
    ) -> AsyncIterator[list[Tick]]:
        """Iterate over ticks, as ``bars`` does."""
        return self._connection.pages(
            "/data/ticks", TickPage, lambda page: page.ticks, vt_symbol=vt_symbol, start=start, end=end, limit=limit
        )

    @listing
    def bars_of_ticks(
        self,
        vt_symbol: str,
        interval: Interval = Interval.MINUTE,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> AsyncIterator[list[Bar]]:
        """Iterate over minute or hour bars that are made of the stored ticks, as ``bars`` does."""
        return self._connection.pages(
            "/data/ticks/bars", BarPage, lambda page: page.bars,
            vt_symbol=vt_symbol, interval=interval, start=start, end=end, limit=limit,
        )  # fmt: skip

    @operation
    async def overview(self) -> list[HistoryOverview]:
        return (await self._connection.get("/data/overview", OverviewPage)).overview
