"""What tells of strategies, put together: their performance, their logs, and charts."""

from zoneinfo import ZoneInfo

import msgspec

from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.live_bars import LiveBars
from vnpy_core.data.past import PastFacts
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.strategy_logs import StrategyLogs
from vnpy_core.ports import HistoryStore
from vnpy_core.stages import Stages
from vnpy_core.strategies.charts import ChartService
from vnpy_core.strategies.performance import StrategyPerformance
from vnpy_core.strategies.performance_feed import open_performance


class Reports(msgspec.Struct, frozen=True):
    performance: StrategyPerformance
    logs: StrategyLogs
    charts: ChartService


def open_reports(
    config: VnPyCoreConfig,
    stages: Stages,
    database: DatabaseManager,
    journal: Journal,
    read_model: ReadModel,
    pipeline: Pipeline,
    history: HistoryStore,
    data: VnPyDataAdapter,
    past: PastFacts,
) -> Reports:
    """Begin to take what is published, and to fill in what is recorded; ended with ``stages``."""
    logs = StrategyLogs(database, config.strategies.log_days)
    pipeline.subscribe(logs.on_events)
    stages.at_stop("logs of strategies", logs.close)
    stages.own_task(logs.run(), "logs of strategies")
    performance, feed = open_performance(config, database, read_model, journal, pipeline)
    stages.at_stop("performance", feed.close)
    stages.own_task(feed.run(), "performance")
    live_bars = LiveBars(pipeline.accept)
    pipeline.subscribe(live_bars.on_events)
    stages.own_task(live_bars.run(), "live bars")
    zone = ZoneInfo(config.timezone)
    charts = ChartService(history, data, live_bars, past, feed.fills, performance.books.days, zone)
    return Reports(performance, logs, charts)
