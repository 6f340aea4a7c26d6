"""The statistics beside those of empyrical-reloaded and of vn.py's back-tester, on the same days."""

import math
from datetime import date, timedelta
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vnpy_ctastrategy.backtesting import BacktestingEngine

from vnpy_core.strategies.ledger import DayResult
from vnpy_core.strategies.statistics import Basis, balances, equity_curve, summarise, vnpy_statistics

CAPITAL = 1_000_000.0
FIRST = date(2026, 1, 5)


def days_of(pnl: list[float], costs: float = 3.0) -> list[DayResult]:
    return [
        DayResult(
            date=(FIRST + timedelta(days=number)).isoformat(), trade_count=number % 4, turnover=1000.0 * number,
            commission=costs, slippage=2 * costs, net_pnl=each, total_pnl=each + 3 * costs,
        )
        for number, each in enumerate(pnl)
    ]  # fmt: skip


def vnpy_of(days: list[DayResult], basis: Basis) -> dict[str, Any]:
    """What vn.py itself says of these days."""
    engine = BacktestingEngine()
    engine.output = lambda msg: None
    engine.capital = basis.capital
    engine.annual_days = basis.annual_days
    engine.risk_free = basis.risk_free * 100
    engine.half_life = basis.half_life
    names = ("trade_count", "turnover", "commission", "slippage", "net_pnl")
    frame = pd.DataFrame(
        {name: [getattr(day, name) for day in days] for name in names},
        index=pd.Index([date.fromisoformat(day.date) for day in days], name="date"),
    )
    with np.errstate(all="ignore"):
        statistics: dict[str, Any] = engine.calculate_statistics(frame, output=False)
    return statistics


# Losses together stay below the capital, so that every number is defined.
curves = st.lists(st.floats(-20_000, 30_000).map(lambda value: round(value, 2)), min_size=3, max_size=40)
bases = st.builds(
    Basis, capital=st.just(CAPITAL), annual_days=st.sampled_from([240, 252, 365]),
    risk_free=st.sampled_from([0.0, 0.02]), half_life=st.sampled_from([20, 120]),
)  # fmt: skip


def same(ours: float | None, theirs: float) -> None:
    if ours is None:
        assert not math.isfinite(theirs) or abs(theirs) > 1e12, theirs
    else:
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(curves, bases)
def test_the_summary_is_that_of_empyrical(pnl: list[float], basis: Basis) -> None:
    days = days_of(pnl)
    ours = summarise(days, basis)
    curve = np.concatenate(([basis.capital], balances(days, basis.capital)))
    returns = pd.Series(curve[1:] / curve[:-1] - 1)
    year, daily = basis.annual_days, basis.risk_free / basis.annual_days
    same(ours.total_return, empyrical.cum_returns_final(returns))
    same(ours.annual_return, empyrical.annual_return(returns, annualization=year))
    same(ours.max_drawdown, empyrical.max_drawdown(returns))
    same(ours.annual_volatility, empyrical.annual_volatility(returns, annualization=year))
    if np.std(returns) > 1e-12:  # of a constant run all ratios are noise
        same(ours.sharpe_ratio, empyrical.sharpe_ratio(returns, risk_free=daily, annualization=year))
        if (returns < daily).any():
            same(ours.sortino_ratio, empyrical.sortino_ratio(returns, required_return=daily, annualization=year))
    if ours.max_drawdown is not None and ours.max_drawdown < -1e-9:
        same(ours.calmar_ratio, empyrical.calmar_ratio(returns, annualization=year))


@given(curves, bases)
def test_the_statistics_are_those_of_vnpy(pnl: list[float], basis: Basis) -> None:
    days = days_of(pnl)
    ours = vnpy_statistics(days, basis)
    theirs = vnpy_of(days, basis)
    assert ours is not None
    assert (ours.start_date, ours.end_date) == (theirs["start_date"].isoformat(), theirs["end_date"].isoformat())
    constant = (theirs["return_std"] or 0) < 1e-10
    for name in ours.__struct_fields__:
        if name in ("start_date", "end_date") or (constant and name in ("sharpe_ratio", "ewm_sharpe")):
            continue
        value = getattr(ours, name)
        if value is None:
            assert not math.isfinite(theirs[name]), name
        else:
            assert value == pytest.approx(theirs[name], rel=1e-6, abs=1e-8), name


def test_one_day_and_no_day_are_borne() -> None:
    assert summarise([], Basis(capital=CAPITAL)).total_return is None
    assert vnpy_statistics([], Basis(capital=CAPITAL)) is None
    one = days_of([100.0])
    assert summarise(one, Basis(capital=CAPITAL)).sharpe_ratio is None
    statistics = vnpy_statistics(one, Basis(capital=CAPITAL))
    assert statistics is not None
    assert (statistics.total_days, statistics.return_std, statistics.ewm_sharpe) == (1, None, None)


def test_ruin_leaves_the_money_alone() -> None:
    days, basis = days_of([-600_000.0, -600_000.0, 900_000.0]), Basis(capital=CAPITAL)
    assert vnpy_statistics(days, basis) is None
    summary = summarise(days, basis)
    assert (summary.sharpe_ratio, summary.max_drawdown, summary.max_drawdown_money) == (None, None, -1_200_000)


def test_the_curve_is_measured_from_its_highest_balance_or_the_capital() -> None:
    points = equity_curve(days_of([-100.0, 300.0, -50.0]), 1000.0)
    assert [(point.balance, point.drawdown) for point in points] == [(900, -100), (1200, 0), (1150, -50)]
    assert points[1].daily_return == pytest.approx(1 / 3)
