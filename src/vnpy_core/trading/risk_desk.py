"""Risk control, algos and the kill switch, put together: they need each other."""

from collections.abc import Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.data.read_model import ReadModel
from vnpy_core.models import RiskRule
from vnpy_core.trading import algos, kill_switch, risk
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.closed_days import ClosedDays
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.market_days import Gateways, MarketDays


class Host(Protocol):
    """The engines, as far as they are needed."""

    @property
    def risk(self) -> risk.Engine: ...
    @property
    def algo_desk(self) -> algos.Engine: ...
    @property
    def gateways(self) -> Gateways: ...




async def open_risk(
    configured: RiskSettings,
    host: Host,
    event_thread: EventThread,
    pipeline: risk.Commits,
    known: ReadModel,
    orders: kill_switch.Orders,
    strategies: kill_switch.Strategies,
    closed_days: ClosedDays,
    zone: ZoneInfo,
    rules: Sequence[RiskRule],
) -> tuple[risk.RiskService, algos.AlgoService, kill_switch.KillSwitch]:
    """Make them and have them go on where the last process stopped; to be called before any gateway is connected."""
    of_algos = algos.AlgoService(host.algo_desk, event_thread, pipeline, known.algos)
    await of_algos.open()
    days = MarketDays(TradingCalendar(closed_days), host.gateways, zone)
    of_risk = risk.RiskService(configured, host.risk, event_thread, pipeline, known, days, rules)
    await of_risk.open()
    return of_risk, of_algos, kill_switch.KillSwitch(of_risk, orders, strategies, of_algos, pipeline, known)
