"""Bars made of stored ticks, over every history store: the bars that are built live, page by page."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.history_stores import ADAPTERS

from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.bar_builder import BarBuilder, bar_series
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.history.series import NO_TIME, to_micros, to_moment
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Invalid
from vnpy_core.models import Bar, Tick
from vnpy_core.ports import TICK_COLUMNS, HistoryStore, Series

SHFE, MINUTE, TICK = Exchange.SHFE, Interval.MINUTE, Interval.TICK
START = datetime(2024, 1, 2, 1, 0, tzinfo=UTC)
REST = [name for name in TICK_COLUMNS if name not in ("last_price", "volume", "turnover", "open_interest")]


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest) -> Iterator[HistoryStore]:
    with ADAPTERS[request.param](request) as made:
        yield made


def ticks(columns: dict[str, Any], symbol: str = "rb2501", name: str = "") -> Series:
    rows = len(columns["datetime"])
    values = {column: np.zeros(rows) for column in TICK_COLUMNS} | {"localtime": np.full(rows, NO_TIME)} | columns
    return Series(symbol, SHFE, TICK, values, name)


@st.composite
def tick_days(draw: st.DrawFn) -> list[tuple[int, float, float, float]]:
    """Seconds, price (0: none), volume and turnover of ticks whose totals begin anew: from high, at any moment; else
    with a minute."""
    rows = []
    second, volume, turnover = 0, 10_000.0, 90_000.0
    for _ in range(draw(st.integers(1, 25))):
        second += draw(st.integers(1, 50))
        if draw(st.integers(0, 9)) == 0:
            if volume < 10_000 or draw(st.booleans()):
                second += 60 - second % 60 if draw(st.booleans()) else 61
            volume, turnover = 0.0, 0.0
        volume += draw(st.integers(0, 5))
        turnover += draw(st.integers(0, 900))
        rows.append((second, float(draw(st.sampled_from([0, 10, 11, 12, 13, -2]))), volume, turnover))
    return rows


def built(rows: list[tuple[int, float, float, float]]) -> Series | None:
    """Return the bars that the service itself builds of the same ticks."""
    builder, done = BarBuilder(), []
    for second, price, volume, turnover in rows:
        micros = to_micros(START) + second * 1_000_000
        tick = Tick(
            vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=SHFE, gateway_name="SIM",
            datetime=to_moment(micros).isoformat(), last_price=price, volume=volume, turnover=turnover,
            open_interest=volume * 3, localtime=None, name="", **dict.fromkeys(REST),
        )  # fmt: skip
        done.append(builder.update(tick, micros, 0.0))
    series = bar_series([bar for bar in [*done, *builder.finish(0.0, everything=True)] if bar is not None])
    return series[0] if series else None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tick_days())
def test_bars_from_ticks_are_those_that_are_built_live(
    store: HistoryStore, rows: list[tuple[int, float, float, float]]
) -> None:
    store.delete("rb2501", SHFE, TICK)
    seconds, prices, volumes, turnovers = (np.array(values) for values in zip(*rows, strict=True))
    columns = {
        "datetime": to_micros(START) + seconds * 1_000_000, "last_price": prices, "volume": volumes,
        "turnover": turnovers, "open_interest": volumes * 3,
    }  # fmt: skip
    store.save([ticks(columns)])
    expected = built(rows)
    found = store.bars_from_ticks("rb2501", SHFE, MINUTE)
    assert len(found) == (0 if expected is None else len(expected))
    if expected is None:
        return
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(found.columns[name], values, err_msg=name)
    # A range goes on from the tick before it.
    middle = to_moment(int(found.columns["datetime"][len(found) // 2]))
    part = store.bars_from_ticks("rb2501", SHFE, MINUTE, middle, middle + timedelta(seconds=59))
    assert len(part) == 1
    for name, values in expected.columns.items():
        assert part.columns[name][0] == values[len(found) // 2], name


def test_bars_of_an_hour_and_of_nothing(store: HistoryStore) -> None:
    assert len(store.bars_from_ticks("rb2501", SHFE, Interval.HOUR)) == 0
    times = to_micros(START) + np.arange(0, 7200, 600) * 1_000_000
    numbers = np.arange(12.0)
    store.save([ticks({"datetime": times, "last_price": numbers + 1, "volume": numbers * 10})])
    found = store.bars_from_ticks("rb2501", SHFE, Interval.HOUR)
    assert found.interval is Interval.HOUR
    assert found.columns["open_price"].tolist() == [1, 7]
    assert found.columns["close_price"].tolist() == [6, 12]
    assert found.columns["volume"].tolist() == [50, 60]
    later = store.bars_from_ticks("rb2501", SHFE, Interval.HOUR, START + timedelta(hours=5), START + timedelta(hours=6))
    assert len(later) == 0


def test_bars_of_a_day_are_not_made_by_the_clock(store: HistoryStore) -> None:
    with pytest.raises(Invalid, match="DAILY"):
        store.bars_from_ticks("rb2501", SHFE, Interval.DAILY)


def every_20_seconds(count: int) -> Series:
    """Return ticks that trade one lot each, with two minutes in which nothing has a price."""
    numbers = np.arange(float(count))
    prices = np.where((numbers >= 9) & (numbers < 15), 0.0, 100 + numbers)
    times = to_micros(START) + np.arange(count) * 20_000_000
    return ticks({"datetime": times, "last_price": prices, "volume": numbers, "turnover": numbers * 10})


def test_a_limit_keeps_the_first_bars_or_the_last_ones(store: HistoryStore) -> None:
    store.save([every_20_seconds(31)])
    whole = store.bars_from_ticks("rb2501", SHFE, MINUTE)
    assert [moment // 60_000_000 % 60 for moment in whole.columns["datetime"].tolist()] == [0, 1, 2, 5, 6, 7, 8, 9, 10]
    # Nothing is lost with the minutes that have no bar: what was traded in them counts for the next.
    assert whole.columns["volume"].tolist() == [2, 3, 3, 9, 3, 3, 3, 3, 1]
    for limit in (0, 1, 4, 9, 50):
        first = store.bars_from_ticks("rb2501", SHFE, MINUTE, limit=limit)
        last = store.bars_from_ticks("rb2501", SHFE, MINUTE, limit=limit, newest=True)
        for name, values in whole.columns.items():
            assert first.columns[name].tolist() == values.tolist()[:limit], name
            assert last.columns[name].tolist() == (values.tolist()[-limit:] if limit else []), name


def test_a_range_without_ticks_or_a_price_has_no_bars(store: HistoryStore) -> None:
    store.save([every_20_seconds(31)])
    for first, last in ((-60, -1), (200, 250), (3600, 7200), (60, 30)):
        start, end = START + timedelta(seconds=first), START + timedelta(seconds=last)
        for limit in (None, 5):
            assert len(store.bars_from_ticks("rb2501", SHFE, MINUTE, start, end, limit=limit)) == 0
    assert len(store.bars_from_ticks("cu2501", SHFE, MINUTE)) == 0


@pytest.mark.parametrize("limit", [1, 2, 8, 9, 10])
@pytest.mark.parametrize("offset", [0, 1, 59])
async def test_pages_of_whole_bars_joined_are_all_bars(store: HistoryStore, limit: int, offset: int) -> None:
    store.save([every_20_seconds(31)])
    adapter = VnPyDataAdapter(store, LatestState(ReadModel()))
    try:
        start, end = START + timedelta(seconds=offset), START + timedelta(minutes=9, seconds=30)
        whole = await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, start, end, 100)
        # A bar of which the range has only a part is there whole, or not at all.
        assert [bar.volume for bar in whole] == [2, 3, 3, 9, 3, 3, 3, 3][bool(offset) :]
        assert whole == [bar for bar in await adapter.bars_from_ticks("rb2501.SHFE", MINUTE) if bar in whole]
        joined: list[Bar] = []
        while page := await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, start, end, limit):
            joined += page
            start = datetime.fromisoformat(page[-1].datetime) + timedelta(microseconds=1)
        assert joined == whole
        newest = await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, None, end, limit)
        assert newest == (await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, None, end, 100))[-limit:]
    finally:
        await adapter.close()


async def test_the_ends_of_time_are_no_error(store: HistoryStore) -> None:
    store.save([every_20_seconds(31)])
    adapter = VnPyDataAdapter(store, LatestState(ReadModel()))
    try:
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        assert len(await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, first, last)) == 9
        assert await adapter.bars_from_ticks("rb2501.SHFE", MINUTE, last, last) == []
        assert await adapter.bars_from_ticks("rb2501.SHFE", Interval.HOUR, first, first) == []
    finally:
        await adapter.close()
