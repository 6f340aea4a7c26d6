"""What a run of daily results amounts to: return, risk and drawdown, of the money that it began with.

Two conventions, see docs/performance-of-strategies.md: ``summarise`` by simple daily returns, as empyrical-reloaded
has it, in fractions; ``vnpy_statistics`` by vn.py's ``BacktestingEngine.calculate_statistics``, by its names and in its
units (percent, logarithmic returns). A number that is not defined is ``None``.
"""

import math
from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.strategies.ledger import DayResult
from vnpy_core.strategies.performance_reports import EquityPoint, Summary, VnpyStatistics

Floats = NDArray[np.float64]


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """``risk_free`` is a year's, as a fraction; ``half_life`` of the weighted Sharpe ratio, in days."""

    capital: float
    annual_days: int = 240
    risk_free: float = 0.0
    half_life: int = 120


def balances(days: Sequence[DayResult], capital: float) -> Floats:
    return capital + np.cumsum(np.array([day.net_pnl for day in days], dtype=np.float64))


def equity_curve(days: Sequence[DayResult], capital: float) -> list[EquityPoint]:
    """Return a point a day; the highest balance so far may be the capital itself."""
    points: list[EquityPoint] = []
    highest = before = capital
    for day, balance in zip(days, balances(days, capital).tolist(), strict=True):
        highest = max(highest, balance)
        points.append(
            EquityPoint(
                date=day.date,
                balance=balance,
                net_pnl=day.net_pnl,
                daily_return=balance / before - 1 if before > 0 else None,
                drawdown=balance - highest,
                drawdown_percent=(balance / highest - 1) * 100 if highest > 0 else None,
            )
        )
        before = balance
    return points


def summarise(days: Sequence[DayResult], basis: Basis) -> Summary:
    """Return what the curve amounts to; once the balance has been 0 or less, nothing is defined but the money."""
    if not days:
        return Summary()
    curve = np.concatenate(([basis.capital], balances(days, basis.capital)))
    highest = np.maximum.accumulate(curve)
    money = float(np.min(curve - highest))
    if np.any(curve <= 0):
        return Summary(max_drawdown_money=money)
    returns = curve[1:] / curve[:-1] - 1
    year = basis.annual_days
    total = float(curve[-1] / curve[0])
    annual_return = total ** (year / len(returns)) - 1 if len(returns) else math.nan
    excess = returns - basis.risk_free / year
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else math.nan
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2))) * math.sqrt(year)
    drawdown = float(np.min(curve / highest - 1))
    return Summary(
        total_return=total - 1,
        annual_return=_finite(annual_return),
        annual_volatility=_finite(deviation * math.sqrt(year)),
        sharpe_ratio=_ratio(float(np.mean(excess)) * math.sqrt(year), deviation),
        sortino_ratio=_ratio(float(np.mean(excess)) * year, downside),
        calmar_ratio=_ratio(annual_return, -drawdown),
        max_drawdown=drawdown,
        max_drawdown_money=money,
    )


def vnpy_statistics(days: Sequence[DayResult], basis: Basis) -> VnpyStatistics | None:
    """Return what ``calculate_statistics`` computes; ``None`` where it refuses to: no days, or a balance of 0."""
    if not days:
        return None
    capital, year, count = basis.capital, basis.annual_days, len(days)
    balance = balances(days, capital)
    if not np.all(balance > 0):
        return None
    returns = np.log(balance / np.concatenate(([capital], balance[:-1])))
    highest = np.maximum.accumulate(balance)
    drawdown = balance - highest
    max_ddpercent = float(np.min(drawdown / highest * 100))
    deepest = int(np.argmin(drawdown))
    peak = int(np.argmax(balance[: deepest + 1]))
    net_pnl, commission, slippage, turnover, trades = (
        sum(getattr(day, name) for day in days)
        for name in ("net_pnl", "commission", "slippage", "turnover", "trade_count")
    )
    total_return = float(balance[-1] / capital - 1) * 100
    daily_return = float(np.mean(returns)) * 100
    return_std = float(np.std(returns, ddof=1)) * 100 if count > 1 else math.nan
    # vn.py takes its risk-free rate in percent, and divides it by the root of the days.
    risk_free = basis.risk_free * 100 / math.sqrt(year)
    sharpe, ewm_sharpe = 0.0, 0.0
    if return_std and count > 1:
        sharpe = (daily_return - risk_free) / return_std * math.sqrt(year)
        ewm_sharpe = _weighted_sharpe(returns, basis.half_life, risk_free) * math.sqrt(year)
    elif count == 1:  # pandas' standard deviation of one value is NaN, and NaN is true
        sharpe = ewm_sharpe = math.nan
    return VnpyStatistics(
        start_date=days[0].date,
        end_date=days[-1].date,
        total_days=count,
        profit_days=sum(day.net_pnl > 0 for day in days),
        loss_days=sum(day.net_pnl < 0 for day in days),
        capital=capital,
        end_balance=float(balance[-1]),
        max_drawdown=float(drawdown[deepest]),
        max_ddpercent=max_ddpercent,
        max_drawdown_duration=(date.fromisoformat(days[deepest].date) - date.fromisoformat(days[peak].date)).days,
        total_net_pnl=net_pnl,
        daily_net_pnl=net_pnl / count,
        total_commission=commission,
        daily_commission=commission / count,
        total_slippage=slippage,
        daily_slippage=slippage / count,
        total_turnover=turnover,
        daily_turnover=turnover / count,
        total_trade_count=trades,
        daily_trade_count=trades / count,
        total_return=total_return,
        annual_return=total_return / count * year,
        daily_return=daily_return,
        return_std=_finite(return_std),
        sharpe_ratio=_finite(sharpe) or 0.0,
        ewm_sharpe=_finite(ewm_sharpe),
        return_drawdown_ratio=-total_return / max_ddpercent if max_ddpercent else 0.0,
    )


def _weighted_sharpe(returns: Floats, half_life: int, risk_free: float) -> float:
    """Return the last of pandas' ``ewm(halflife)``: mean over deviation, both weighted, the deviation unbiased."""
    weights = 0.5 ** (np.arange(len(returns))[::-1] / half_life)
    total = float(weights.sum())
    mean = float((weights * returns).sum()) / total
    variance = float((weights * (returns - mean) ** 2).sum()) / total
    correction = total**2 / (total**2 - float((weights**2).sum()))
    deviation = math.sqrt(variance * correction) * 100
    return (mean * 100 - risk_free) / deviation if deviation else math.nan


def _ratio(above: float, below: float) -> float | None:
    # A spread that is only what rounding has left is none.
    return _finite(above / below) if math.isfinite(below) and abs(below) > 1e-15 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
