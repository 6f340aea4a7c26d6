"""What is told of the performance of a strategy, or of several as one portfolio."""

from typing import Annotated

import msgspec

from vnpy_core.models import Timestamp, VtSymbol
from vnpy_core.trading.calendar_day import Day

StrategyName = Annotated[str, msgspec.Meta(examples=["demo"])]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Of simple daily returns; fractions, 0.1 is 10 %."""

    total_return: float | None = None
    annual_return: float | None = None
    annual_volatility: float | None = None
    sharpe_ratio: float | None = None
    sortino_ratio: float | None = None
    calmar_ratio: float | None = None
    max_drawdown: Annotated[float | None, msgspec.Meta(description="From the highest balance; negative")] = None
    max_drawdown_money: float | None = None


class VnpyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What vn.py's back-tester would say of these days, by its names, in percent where it has percent."""

    start_date: Day
    end_date: Day
    total_days: int
    profit_days: int
    loss_days: int
    capital: float
    end_balance: float
    max_drawdown: float
    max_ddpercent: float
    max_drawdown_duration: int
    total_net_pnl: float
    daily_net_pnl: float
    total_commission: float
    daily_commission: float
    total_slippage: float
    daily_slippage: float
    total_turnover: float
    daily_turnover: float
    total_trade_count: int
    daily_trade_count: float
    total_return: float
    annual_return: float
    daily_return: float
    return_std: float | None
    sharpe_ratio: float
    ewm_sharpe: float | None
    return_drawdown_ratio: float


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The balance at the end of a trading day. ``drawdown`` is money, from the highest balance so far; 0 or less."""

    date: Day
    balance: float
    net_pnl: float
    daily_return: Annotated[float | None, msgspec.Meta(description="Simple; null: there was nothing left")]
    drawdown: float
    drawdown_percent: float | None


class HeldPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorded fills of one strategy in one symbol leave open, by legs."""

    strategy_name: StrategyName
    vt_symbol: VtSymbol
    long_volume: float
    long_price: Annotated[float | None, msgspec.Meta(description="Average price of the long leg")]
    short_volume: float
    short_price: float | None
    last_price: Annotated[float | None, msgspec.Meta(description="It is valued at; null: no tick has come")]
    unrealised_pnl: float
    exposure: Annotated[float, msgspec.Meta(description="Value of the net position; negative: short")]
    size: Annotated[float, msgspec.Meta(description="Of the contract")]


class TripStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips, from flat to flat on one side of one symbol, after commission and slippage."""

    closed: int
    winners: int
    losers: int
    win_rate: Annotated[float | None, msgspec.Meta(description="Winners by closed; null: none is closed")]
    profit_factor: Annotated[float | None, msgspec.Meta(description="Money won by money lost; null: none was lost")]
    average_win: float | None
    average_loss: Annotated[float | None, msgspec.Meta(description="Negative")]


class LatencyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """From an order to each of its fills, by the times that the venue gives both; quantiles are 1 % off at most."""

    fills: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's part in a portfolio."""

    strategy_name: StrategyName
    net_pnl: float
    realised_pnl: float
    unrealised_pnl: float
    turnover: float
    trade_count: int
    exposure: float


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """``net_pnl`` is what was realised, and by how much what was not has grown, less commission and slippage.

    What concerns days is of those from ``start`` to ``end``; positions are as they are now.
    """

    strategies: Annotated[list[StrategyName], msgspec.Meta(description="Of these, as one")]
    as_of: Annotated[Timestamp, msgspec.Meta(description="When this was computed")]
    start: Annotated[Day | None, msgspec.Meta(description="First trading day of it; null: there has been no fill")]
    end: Day | None
    days: int
    capital: Annotated[float, msgspec.Meta(description="What it is measured by: the balance before `start`")]
    balance: float
    net_pnl: float
    realised_pnl: Annotated[float, msgspec.Meta(description="By the average price of what was closed, before costs")]
    unrealised_pnl: Annotated[float, msgspec.Meta(description="Of what was open at `end`")]
    commission: float
    slippage: float
    turnover: float
    trade_count: Annotated[int, msgspec.Meta(description="Fills")]
    exposure: Annotated[float, msgspec.Meta(description="Value of what was held at `end`, shorts counted as longs")]
    net_exposure: float
    leverage: Annotated[float | None, msgspec.Meta(description="`exposure` by `balance`")]
    days_exposed: Annotated[int, msgspec.Meta(description="Days that ended with something held")]
    summary: Summary
    trips: TripStatistics
    latency: LatencyStatistics
    vnpy: Annotated[
        VnpyStatistics | None, msgspec.Meta(description="vn.py's own statistics of these days; null: it has none")
    ]
    positions: list[HeldPosition]
    contributions: Annotated[list[Contribution], msgspec.Meta(description="Of each strategy")]
    notes: Annotated[list[str], msgspec.Meta(description="What these numbers lack")]


class DailyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trading day; the profit of a day is split as vn.py splits it."""

    date: Day
    trade_count: int
    turnover: float
    commission: float
    slippage: float
    trading_pnl: Annotated[float, msgspec.Meta(description="Of the day's fills, from their price to the close")]
    holding_pnl: Annotated[float, msgspec.Meta(description="Of what was held, from the close before to this one")]
    total_pnl: float
    net_pnl: float
    realised_pnl: float
    exposure: float
    net_exposure: float
    closed_trips: int
    balance: float
    drawdown: float
    drawdown_percent: float | None


class DailyPage(msgspec.Struct, frozen=True, kw_only=True):
    capital: float
    daily: list[DailyRow]
    next_cursor: Annotated[str | None, msgspec.Meta(description="Ask again with it for the next page; null: no more")]


class EquityPage(msgspec.Struct, frozen=True, kw_only=True):
    """The last point is of the present day, at the last prices."""

    capital: float
    equity: list[EquityPoint]
    next_cursor: Annotated[str | None, msgspec.Meta(description="Ask again with it for the next page; null: no more")]
