"""Charts: bars with indicators and a strategy's marks."""

from collections.abc import Sequence
from datetime import datetime

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, operation
from vnpy_core.data.chart_bars import ChartInterval
from vnpy_core.data.indicators import Indicator
from vnpy_core.strategies.chart_reports import Chart, IndicatorPage


class Charts(Resource[Mode]):
    """``/charts``. Times need a time zone."""

    @operation
    async def indicators(self) -> list[Indicator]:
        return (await self._connection.get("/charts/indicators", IndicatorPage)).indicators

    @operation
    async def get(
        self,
        vt_symbol: str,
        interval: ChartInterval | str = ChartInterval.MINUTE,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 500,
        strategy: str | None = None,
        indicators: Sequence[str] = (),
    ) -> Chart:
        """Return the newest ``limit`` bars, or the first from ``start`` on; from ``next_cursor`` on there are more."""
        return await self._connection.get(
            f"/charts/{segment(vt_symbol)}", Chart, interval=str(interval), limit=limit, strategy=strategy,
            indicator=list(indicators), **{"from": start, "to": end},
        )  # fmt: skip
