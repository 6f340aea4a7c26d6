"""The ledger's laws: what holds whatever the fills are."""

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.enums import Offset
from vnpy_core.strategies.ledger import DayResult, Fill, Ledger, Terms, day_results, merged

OPEN, CLOSE, NONE = Offset.OPEN, Offset.CLOSE, Offset.NONE
DAYS = [(date(2026, 1, 5) + timedelta(days=number)).isoformat() for number in range(5)]
TERMS = Terms(size=10, commission_rate=0.0001, commission_per_lot=2.0, slippage=1.0)

prices = st.integers(3000, 4000).map(float)
volumes = st.integers(1, 9).map(float)
fills = st.lists(
    st.builds(
        Fill, day=st.sampled_from(DAYS), is_buy=st.booleans(), offset=st.sampled_from([OPEN, CLOSE, NONE]),
        price=prices, volume=volumes,
    ),
    min_size=1, max_size=30,
).map(lambda made: sorted(made, key=lambda fill: fill.day))  # fmt: skip
closes = st.fixed_dictionaries(dict.fromkeys(DAYS, prices))


def ledger_of(given_fills: list[Fill], terms: Terms = TERMS) -> Ledger:
    ledger = Ledger(terms)
    for fill in given_fills:
        ledger.add(fill)
    return ledger


def total(rows: list[DayResult], name: str) -> float:
    return sum(getattr(row, name) for row in rows)


def fill(is_buy: bool, price: float, volume: float = 1.0, offset: Offset = NONE, day: str = DAYS[0]) -> Fill:
    return Fill(day=day, is_buy=is_buy, offset=offset, price=price, volume=volume)


@given(fills, closes)
def test_profit_is_cash_and_what_the_position_is_worth(made: list[Fill], at: dict[str, float]) -> None:
    ledger = ledger_of(made)
    rows = day_results(ledger, at)
    cash = sum(each.price * each.volume * (-1 if each.is_buy else 1) for each in made)
    worth = ledger.position * at[rows[-1].date]
    assert total(rows, "total_pnl") == pytest.approx((cash + worth) * TERMS.size)


@given(fills, closes)
def test_profit_is_what_is_realised_and_what_is_not(made: list[Fill], at: dict[str, float]) -> None:
    ledger = ledger_of(made)
    rows = day_results(ledger, at)
    unrealised = ledger.unrealised(at[rows[-1].date])
    assert total(rows, "total_pnl") == pytest.approx(total(rows, "realised_pnl") + unrealised, abs=1e-6)


@given(fills, closes)
def test_flat_has_realised_only(made: list[Fill], at: dict[str, float]) -> None:
    ledger = ledger_of(made)
    last = DAYS[-1]
    if ledger.long.volume:
        ledger.add(fill(False, 3500.0, ledger.long.volume, CLOSE, last))
    if ledger.short.volume:
        ledger.add(fill(True, 3500.0, ledger.short.volume, CLOSE, last))
    assert ledger.position == 0
    assert ledger.unrealised(1.0) == pytest.approx(0, abs=1e-6)
    rows = day_results(ledger, at)
    assert total(rows, "total_pnl") == pytest.approx(total(rows, "realised_pnl"), abs=1e-6)
    # Every round trip has ended, so that what was won and lost is all there is, after costs.
    assert total(rows, "won") - total(rows, "lost") == pytest.approx(total(rows, "net_pnl"), abs=1e-6)


@given(fills, closes, st.randoms(use_true_random=False))
def test_the_order_within_a_day_does_not_matter(made: list[Fill], at: dict[str, float], random: Random) -> None:
    shuffled = sorted(made, key=lambda each: (each.day, random.random()))
    one, other = day_results(ledger_of(made), at), day_results(ledger_of(shuffled), at)
    for name in ("net_pnl", "turnover", "commission", "slippage", "net_exposure"):
        assert [getattr(row, name) for row in one] == pytest.approx([getattr(row, name) for row in other], abs=1e-6)


@given(fills, closes, st.integers(1, 4))
def test_a_fill_in_parts_is_the_same_as_whole(made: list[Fill], at: dict[str, float], parts: int) -> None:
    split = [
        Fill(day=each.day, is_buy=each.is_buy, offset=each.offset, price=each.price, volume=each.volume / parts)
        for each in made
        for _ in range(parts)
    ]
    one, other = day_results(ledger_of(made), at), day_results(ledger_of(split), at)
    for name in DayResult.SUMMED:
        if name != "trade_count":
            assert [getattr(row, name) for row in one] == pytest.approx(
                [getattr(row, name) for row in other], abs=1e-5
            ), name


@given(fills, fills, closes)
def test_the_whole_is_the_sum_of_its_parts(one: list[Fill], other: list[Fill], at: dict[str, float]) -> None:
    tables = [day_results(ledger_of(one), at), day_results(ledger_of(other), at)]
    before = [[row.net_pnl for row in table] for table in tables]
    whole = merged(tables)
    for name in ("net_pnl", "trade_count", "exposure", "realised_pnl"):
        assert total(whole, name) == pytest.approx(sum(total(table, name) for table in tables), abs=1e-6)
    assert [[row.net_pnl for row in table] for table in tables] == before
    assert [row.date for row in whole] == sorted({row.date for table in tables for row in table})


@given(fills, closes)
def test_without_offsets_a_position_is_never_on_both_sides(made: list[Fill], at: dict[str, float]) -> None:
    ledger = ledger_of(made, Terms(net=True))
    assert not (ledger.long.volume and ledger.short.volume)
    assert total(day_results(ledger, at), "total_pnl") == pytest.approx(
        total(day_results(ledger_of(made, Terms()), at), "total_pnl"), abs=1e-6
    )


def test_a_round_trip_by_hand() -> None:
    ledger = ledger_of([fill(True, 3500, 2, OPEN), fill(False, 3510, 1, CLOSE), fill(False, 3490, 1, CLOSE, DAYS[1])])
    first, second = day_results(ledger, {DAYS[0]: 3505.0, DAYS[1]: 3480.0})
    assert (first.trade_count, first.turnover) == (2, (7000 + 3510) * 10)
    assert first.commission == pytest.approx((7000 + 3510) * 10 * 0.0001 + 3 * 2)
    assert first.slippage == 3 * 10 * 1
    assert first.trading_pnl == (2 * 5 + 5) * 10  # two bought at 3500 and one sold at 3510, at 3505
    assert (second.holding_pnl, second.trading_pnl) == (-25 * 10, 10 * 10)
    assert (first.realised_pnl, second.realised_pnl) == (100, -100)
    costs = first.commission + first.slippage + second.commission + second.slippage
    assert (second.winners, second.losers, second.lost) == (0, 1, pytest.approx(costs))  # its costs


def test_locked_legs_are_held_apart_and_offsets_of_a_net_venue_mean_nothing() -> None:
    both = [fill(True, 3500, 1, OPEN), fill(False, 3510, 1, OPEN)]
    locked, net = ledger_of(both), ledger_of(both, Terms(size=10, net=True))
    assert (locked.long.volume, locked.short.volume, locked.position) == (1, 1, 0)
    assert locked.unrealised(9999.0) == 100
    assert (net.long.volume, net.short.volume, net.unrealised(9999.0)) == (0, 0, 0)


def test_closing_what_was_never_opened_is_said() -> None:
    ledger = ledger_of([fill(False, 3500, 2, CLOSE)])
    assert (ledger.unopened, ledger.position) == (2, -2)


def test_rounding_leaves_no_position() -> None:
    ledger = ledger_of([fill(True, 1.0, 0.1), fill(True, 1.0, 0.2), fill(False, 2.0, 0.3)], Terms())
    assert (ledger.position, ledger.long.volume, ledger.unrealised(5.0)) == (0, 0, 0)


def test_days_without_fills_hold_and_days_without_a_close_keep_the_last_one() -> None:
    ledger = ledger_of([fill(True, 100, 1, day=DAYS[0]), fill(False, 130, 1, day=DAYS[3])], Terms())
    rows = day_results(ledger, {DAYS[0]: 110.0, DAYS[2]: 125.0}, lambda first, last: DAYS)
    assert [(row.date, row.total_pnl) for row in rows] == list(zip(DAYS, [10, 0, 15, 5, 0], strict=True))


def test_a_late_fill_of_an_earlier_day_is_counted_there() -> None:
    ledger = ledger_of([fill(True, 100, 1, day=DAYS[1])], Terms())
    ledger.add(fill(True, 90, 1, day=DAYS[0]))
    assert (ledger.count, ledger.late) == (2, 1)
    rows = day_results(ledger, {DAYS[0]: 95.0, DAYS[1]: 105.0})
    assert [row.total_pnl for row in rows] == [5, 15]
