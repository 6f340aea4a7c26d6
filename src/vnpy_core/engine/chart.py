"""CoreChartEngine: vn.py's chart app, as far as a service needs it: bars, wherever they are, in the caller's thread."""

from collections.abc import Callable
from datetime import datetime

from vnpy.trader.constant import Interval
from vnpy.trader.object import BarData, HistoryRequest
from vnpy.trader.utility import extract_vt_symbol
from vnpy_chartwizard import ChartWizardApp, ChartWizardEngine

from vnpy_core.errors import Invalid, Unavailable


class CoreChartEngine(ChartWizardEngine):
    """Answers the caller, where vn.py's starts a thread for each call and puts an event that names no request."""

    def query_history(  # type: ignore[override]  # vn.py's returns nothing
        self, vt_symbol: str, interval: Interval, start: datetime, end: datetime
    ) -> list[BarData]:
        """Return the bars of the first source that has any: the gateway, the datafeed, the database. Blocks.

        Raises:
            Invalid: ``vt_symbol`` is not a symbol.
            Unavailable: no source had any, and at least one raised.
        """
        try:
            symbol, exchange = extract_vt_symbol(vt_symbol)
        except ValueError as error:
            raise Invalid(f"{vt_symbol!r} is not a symbol: {error}") from error
        request = HistoryRequest(symbol=symbol, exchange=exchange, interval=interval, start=start, end=end)
        failures: list[str] = []
        sources: tuple[Callable[[], list[BarData]], ...] = (
            lambda: self._from_gateway(vt_symbol, request),
            # The datafeed that stands for none print()s so, if it is given no other way to say it.
            lambda: self.datafeed.query_bar_history(request, lambda line: None),
            lambda: self.database.load_bar_data(symbol, exchange, interval, start, end),
        )
        for source in sources:
            try:
                bars = source()
            except Exception as error:  # noqa: BLE001 - the edge to gateway, datafeed and database
                failures.append(repr(error))
                continue
            if bars:
                return bars
        if failures:
            raise Unavailable(f"No bars of {vt_symbol}: {'; '.join(failures)}")
        return []

    def _from_gateway(self, vt_symbol: str, request: HistoryRequest) -> list[BarData]:
        contract = self.main_engine.get_contract(vt_symbol)
        if contract is None or not contract.history_data:
            return []
        return self.main_engine.query_history(request, contract.gateway_name)


class CoreChartApp(ChartWizardApp):
    """vn.py's app with our engine."""

    engine_class = CoreChartEngine
