"""Examples of what is answered of strategies' performance: two days of one strategy."""

from vnpy_core.strategies.ledger import DayResult
from vnpy_core.strategies.performance_reports import (
    Contribution,
    DailyPage,
    DailyRow,
    EquityPage,
    HeldPosition,
    LatencyStatistics,
    Performance,
    TripStatistics,
)
from vnpy_core.strategies.statistics import Basis, equity_curve, summarise, vnpy_statistics

_BASIS = Basis(capital=1_000_000.0)
_DAYS = [
    DayResult(
        date="2026-01-05", trade_count=2, turnover=70_100.0, commission=7.0, trading_pnl=100.0, total_pnl=100.0,
        net_pnl=93.0, realised_pnl=100.0, winners=1, won=93.0,
    ),
    DayResult(
        date="2026-01-06", trade_count=1, turnover=35_000.0, commission=3.5, trading_pnl=-20.0, total_pnl=-20.0,
        net_pnl=-23.5, exposure=34_980.0, net_exposure=34_980.0,
    ),
]  # fmt: skip
_POINTS = equity_curve(_DAYS, _BASIS.capital)

PERFORMANCE = Performance(
    strategies=["demo"], as_of="2026-01-06T06:30:00.000000+00:00", start="2026-01-05", end="2026-01-06", days=2,
    capital=_BASIS.capital, balance=1_000_069.5, net_pnl=69.5, realised_pnl=100.0, unrealised_pnl=-20.0,
    commission=10.5, slippage=0.0, turnover=105_100.0, trade_count=3, exposure=34_980.0, net_exposure=34_980.0,
    leverage=0.03498, days_exposed=1, summary=summarise(_DAYS, _BASIS),
    trips=TripStatistics(
        closed=1, winners=1, losers=0, win_rate=1.0, profit_factor=None, average_win=93.0, average_loss=None
    ),
    latency=LatencyStatistics(fills=3, mean_ms=41.0, p50_ms=38.0, p90_ms=52.0, p99_ms=52.0, max_ms=52.4),
    vnpy=vnpy_statistics(_DAYS, _BASIS),
    positions=[
        HeldPosition(
            strategy_name="demo", vt_symbol="rb2501.SHFE", long_volume=1.0, long_price=3500.0, short_volume=0.0,
            short_price=None, last_price=3498.0, unrealised_pnl=-20.0, exposure=34_980.0, size=10.0,
        )
    ],
    contributions=[
        Contribution(
            strategy_name="demo", net_pnl=69.5, realised_pnl=100.0, unrealised_pnl=-20.0, turnover=105_100.0,
            trade_count=3, exposure=34_980.0,
        )
    ],
    notes=[],
)  # fmt: skip
DAILY = DailyPage(
    capital=_BASIS.capital,
    daily=[
        DailyRow(
            date=day.date, trade_count=day.trade_count, turnover=day.turnover, commission=day.commission,
            slippage=day.slippage, trading_pnl=day.trading_pnl, holding_pnl=day.holding_pnl, total_pnl=day.total_pnl,
            net_pnl=day.net_pnl, realised_pnl=day.realised_pnl, exposure=day.exposure, net_exposure=day.net_exposure,
            closed_trips=day.winners, balance=point.balance, drawdown=point.drawdown,
            drawdown_percent=point.drawdown_percent,
        )
        for day, point in zip(_DAYS, _POINTS, strict=True)
    ],
    next_cursor=None,
)  # fmt: skip
EQUITY = EquityPage(capital=_BASIS.capital, equity=_POINTS, next_cursor=None)
