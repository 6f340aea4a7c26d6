"""VnPyDataAdapter: what the API is given of the history store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.models import Bar, Tick
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, Series

START = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)


@pytest.fixture
async def adapter() -> AsyncIterator[VnPyDataAdapter]:
    store = MemoryHistory()
    times = to_micros(START) + np.arange(10, dtype=np.int64) * 60_000_000
    bars = {"datetime": times, **{name: place + np.arange(10.0) for place, name in enumerate(BAR_COLUMNS)}}
    bars["turnover"] = np.full(10, np.nan)
    ticks = {"datetime": times, "localtime": times + 5, **{name: np.arange(10.0) for name in TICK_COLUMNS}}
    ticks["localtime"][0] = NO_TIME
    ticks["limit_up"] = np.full(10, np.inf)
    store.save(
        [
            Series("rb2501", Exchange.SHFE, Interval.MINUTE, bars),
            Series("rb2501", Exchange.SHFE, Interval.TICK, ticks, "螺纹钢2501"),
            Series("6E.H4", Exchange.CME, Interval.HOUR, bars),
        ]
    )
    made = VnPyDataAdapter(store, LatestState(ReadModel()))
    yield made
    await made.close()


async def test_bars_carry_the_models_fields(adapter: VnPyDataAdapter) -> None:
    found = await adapter.bars("rb2501.SHFE", Interval.MINUTE)
    assert len(found) == 10
    assert found[1] == Bar(
        vt_symbol="rb2501.SHFE",
        symbol="rb2501",
        exchange=Exchange.SHFE,
        gateway_name="DB",
        datetime="2024-01-01T01:01:00.000000+00:00",
        interval=Interval.MINUTE,
        open_price=1.0,
        high_price=2.0,
        low_price=3.0,
        close_price=4.0,
        volume=5.0,
        turnover=None,
        open_interest=7.0,
    )
    assert msgspec.json.decode(msgspec.json.encode(found[1]), type=Bar) == found[1]


async def test_ticks_carry_the_models_fields(adapter: VnPyDataAdapter) -> None:
    first, second, *_ = await adapter.ticks("rb2501.SHFE")
    assert isinstance(first, Tick)
    assert (first.localtime, second.localtime) == (None, "2024-01-01T01:01:00.000005+00:00")
    assert (second.name, second.bid_price_5, second.limit_up) == ("螺纹钢2501", 1.0, None)


async def test_without_a_start_the_newest_are_returned(adapter: VnPyDataAdapter) -> None:
    newest = await adapter.bars("rb2501.SHFE", Interval.MINUTE, limit=2)
    assert [bar.open_price for bar in newest] == [8, 9]
    until = await adapter.bars("rb2501.SHFE", Interval.MINUTE, end=START + timedelta(minutes=5), limit=2)
    assert [bar.open_price for bar in until] == [4, 5]


async def test_with_a_start_the_first_from_there_are_returned(adapter: VnPyDataAdapter) -> None:
    start = (START + timedelta(minutes=3)).astimezone(ZoneInfo("Asia/Shanghai"))
    found = await adapter.bars("rb2501.SHFE", Interval.MINUTE, start, limit=2)
    assert [bar.open_price for bar in found] == [3, 4]


async def test_a_symbol_may_have_dots(adapter: VnPyDataAdapter) -> None:
    found = await adapter.bars("6E.H4.CME", Interval.HOUR)
    assert {bar.symbol for bar in found} == {"6E.H4"}


async def test_what_is_not_stored_is_empty(adapter: VnPyDataAdapter) -> None:
    assert await adapter.bars("rb2505.SHFE", Interval.MINUTE) == []
    assert await adapter.ticks("6E.H4.CME") == []


@pytest.mark.parametrize("vt_symbol", ["rb2501", ".SHFE", "rb2501.", "rb2501.NOWHERE"])
async def test_what_is_no_vt_symbol_is_refused(adapter: VnPyDataAdapter, vt_symbol: str) -> None:
    with pytest.raises(Invalid):
        await adapter.bars(vt_symbol, Interval.MINUTE)


async def test_a_time_without_offset_is_refused(adapter: VnPyDataAdapter) -> None:
    with pytest.raises(Invalid, match="offset"):
        await adapter.ticks("rb2501.SHFE", end=START.replace(tzinfo=None))


async def test_bars_of_ticks_are_refused(adapter: VnPyDataAdapter) -> None:
    with pytest.raises(Invalid, match="Ticks"):
        await adapter.bars("rb2501.SHFE", Interval.TICK)


async def test_overview_and_delete(adapter: VnPyDataAdapter) -> None:
    assert [item.vt_symbol for item in await adapter.overview()] == ["6E.H4.CME", "rb2501.SHFE", "rb2501.SHFE"]
    assert await adapter.delete("rb2501.SHFE", Interval.TICK) == 10
    assert [item.interval for item in await adapter.overview()] == [Interval.HOUR, Interval.MINUTE]


async def test_a_closed_adapter_is_unavailable(adapter: VnPyDataAdapter) -> None:
    await adapter.close()
    with pytest.raises(Unavailable):
        await adapter.overview()
