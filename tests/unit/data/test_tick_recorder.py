"""HistoryRecorder and BarBuilder: live ticks and the bars built from them, in the history store."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import randbytes
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.config.data_settings import HistorySettings
from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.bar_builder import BarBuilder, MinuteBar, bar_series
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.history.series import to_micros
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.tick_recorder import HistoryRecorder
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import DataRejected, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Log, Tick, to_timestamp
from vnpy_core.ports import TICK_COLUMNS, Series

START = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)


class MoodyHistory(MemoryHistory):
    """A history store that can be down, or take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.attempts = 0
        self.may_save = threading.Event()
        self.may_save.set()

    def save(self, batch: Iterable[Series]) -> int:
        self.attempts += 1
        self.may_save.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().save(batch)


def tick(seconds: float, price: float | None = 100.0, volume: float | None = 0.0, **values: Any) -> Tick:
    symbol = values.pop("symbol", "rb2501")
    empty: dict[str, Any] = dict.fromkeys(TICK_COLUMNS)
    empty |= {"last_price": price, "volume": volume} | values
    return Tick(
        vt_symbol=f"{symbol}.SHFE",
        symbol=symbol,
        exchange=Exchange.SHFE,
        gateway_name="SIM",
        datetime=to_timestamp(START + timedelta(seconds=seconds)),
        localtime=to_timestamp(START + timedelta(seconds=seconds, microseconds=7)),
        name="螺纹钢2501",
        **empty,
    )


def events(*ticks: Tick) -> list[Event]:
    return [Event(one) for one in ticks]


def recorder(store: MoodyHistory, folder: Path, *, capacity: int = 50_000, **settings: Any) -> HistoryRecorder:
    return HistoryRecorder(store, HistorySettings(**{"flush_interval_ms": 10} | settings), folder, capacity=capacity)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


@pytest.fixture
def store() -> MoodyHistory:
    return MoodyHistory()


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def bars_of(store: MemoryHistory, symbol: str = "rb2501") -> list[tuple[float, ...]]:
    found = store.load(symbol, Exchange.SHFE, Interval.MINUTE)
    names = ("open_price", "high_price", "low_price", "close_price", "volume", "turnover", "open_interest")
    minutes = (found.columns["datetime"] - to_micros(START)) // 60_000_000
    return list(zip(minutes.tolist(), *(found.columns[name].tolist() for name in names), strict=True))


def ticks_in(store: MemoryHistory, symbol: str = "rb2501") -> int:
    return len(store.load(symbol, Exchange.SHFE, Interval.TICK))


async def test_nothing_is_recorded_unless_it_is_asked_for(store: MoodyHistory, tmp_path: Path) -> None:
    idle = recorder(store, tmp_path / "spool")
    await idle.start()
    idle.on_events(events(tick(0)))
    assert (idle.recording, idle.pending, idle.healthy) == (False, 0, True)
    await idle.stop()
    assert store.attempts == 0
    assert not (tmp_path / "spool").exists()


async def test_what_a_replay_shows_is_not_written_over_what_it_is_made_of(store: MoodyHistory, tmp_path: Path) -> None:
    settings = HistorySettings(flush_interval_ms=10, record_ticks=True, record_bars=True)
    recording = HistoryRecorder(store, settings, tmp_path, is_live=lambda gateway_name: gateway_name != "REPLAY")
    await recording.start()
    replayed = msgspec.structs.replace(tick(0, symbol="cu2501"), gateway_name="REPLAY")
    recording.on_events(events(replayed, tick(0), tick(61)))
    await recording.stop()
    assert (ticks_in(store), ticks_in(store, "cu2501"), bars_of(store, "cu2501")) == (2, 0, [])


async def test_ticks_are_stored_with_every_field(store: MoodyHistory, tmp_path: Path) -> None:
    values = {name: float(number) for number, name in enumerate(TICK_COLUMNS)}
    one = tick(0.5, values.pop("last_price"), values.pop("volume"), **values)
    other = tick(1, symbol="cu2501", limit_up=None)
    recording = recorder(store, tmp_path, record_ticks=True)
    await recording.start()
    recording.on_events([Event(Log(source="SIM", level="INFO", message="", datetime="")), *events(one, other)])
    await eventually(lambda: ticks_in(store) == 1 and ticks_in(store, "cu2501") == 1)
    await recording.stop()
    adapter = VnPyDataAdapter(store, LatestState(ReadModel()))
    (found,) = await adapter.ticks("rb2501.SHFE")
    await adapter.close()
    assert found.datetime == one.datetime
    assert {name: getattr(found, name) for name in TICK_COLUMNS} == {name: getattr(one, name) for name in TICK_COLUMNS}
    assert (found.name, found.localtime) == (one.name, one.localtime)
    assert bars_of(store) == []


async def test_stopping_stores_what_waits(store: MoodyHistory, tmp_path: Path) -> None:
    recording = recorder(store, tmp_path, flush_interval_ms=60_000, record_ticks=True, record_bars=True)
    await recording.start()
    recording.on_events(events(tick(0), tick(1), tick(61)))
    await recording.stop()
    assert (recording.pending, ticks_in(store), len(bars_of(store))) == (0, 3, 2)


async def test_ticks_are_on_disk_long_before_they_are_stored(store: MoodyHistory, tmp_path: Path) -> None:
    recording = recorder(store, tmp_path, flush_interval_ms=60_000, record_ticks=True)
    await recording.start()
    recording.on_events(events(tick(0), tick(1)))
    await eventually(lambda: b"rb2501" in b"".join(path.read_bytes() for path in segments(tmp_path)))
    await eventually(lambda: recording.status().in_memory == 0)
    status = recording.status()
    assert (status.pending, status.spool_segments, status.stored) == (2, 1, 0)
    assert status.spool_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert status.oldest_age_s is not None
    await recording.stop()
    assert (ticks_in(store), recording.status().stored, recording.status().oldest_age_s) == (2, 2, None)


async def test_while_the_store_is_down_ticks_wait_and_it_says_so(store: MoodyHistory, tmp_path: Path) -> None:
    store.failure = Unavailable("the disk is full")
    recording = recorder(store, tmp_path, record_ticks=True)
    well = recording.status().since
    await recording.start()
    recording.on_events(events(tick(0), tick(1)))
    await eventually(lambda: not recording.healthy)
    assert recording.detail == "the disk is full"
    assert recording.status().since > well
    recording.on_events(events(tick(2)))
    await eventually(lambda: store.attempts >= 2)
    assert recording.pending == 3
    store.failure = None
    await eventually(lambda: recording.healthy)
    await eventually(lambda: recording.pending == 0)
    assert (ticks_in(store), recording.dropped) == (3, 0)
    await recording.stop()


async def test_what_is_not_stored_at_the_stop_is_stored_after_the_next_start(
    store: MoodyHistory, tmp_path: Path
) -> None:
    store.failure = Unavailable("down")
    first = recorder(store, tmp_path, record_ticks=True)
    await first.start()
    first.on_events(events(*(tick(second) for second in range(1000))))
    await first.stop()
    assert (ticks_in(store), first.pending, first.detail) == (0, 1000, "down")
    store.failure = None
    second = recorder(store, tmp_path, record_ticks=True)
    await second.start()
    await eventually(lambda: ticks_in(store) == 1000)
    await second.stop()
    assert (second.pending, second.dropped) == (0, 0)


async def test_beyond_the_limit_of_the_spool_the_oldest_are_dropped_and_counted(
    store: MoodyHistory, tmp_path: Path
) -> None:
    store.failure = Unavailable("down")
    recording = recorder(store, tmp_path, record_ticks=True, spool_mb=16)
    await recording.start()
    number = 0
    while recording.dropped == 0:
        ticks = (msgspec.structs.replace(tick(number + place), name=randbytes(10_000).hex()) for place in range(100))
        recording.on_events(events(*ticks))
        number += 100
        await eventually(lambda: recording.status().in_memory == 0)
        assert number < 10_000
    store.failure = None
    await eventually(lambda: recording.healthy and recording.pending == 0)
    await recording.stop()
    times = store.load("rb2501", Exchange.SHFE, Interval.TICK).columns["datetime"]
    found = ((times - to_micros(START)) // 1_000_000).tolist()
    # Those that were in hand when their segment was dropped are not lost with it.
    missing = [place for place in range(number) if place not in found]
    assert missing == list(range(missing[0], missing[0] + recording.dropped))
    assert recording.status().spool_bytes <= 16 << 20


async def test_old_ticks_are_dropped_while_the_store_is_down_and_stored_if_it_is_not(
    store: MoodyHistory, tmp_path: Path
) -> None:
    store.failure = Unavailable("down")
    limits: dict[str, Any] = {"record_ticks": True, "spool_age_h": 1e-6}
    first = recorder(store, tmp_path / "one", **limits)
    await first.start()
    first.on_events(events(tick(0)))
    await eventually(lambda: first.status().spooled == 1)
    await asyncio.sleep(0.01)  # longer than the limit
    first.on_events(events(tick(1)))
    # Each is in a file of its own; the one that is written to stays.
    await eventually(lambda: first.status().spooled == 2)
    await asyncio.sleep(0.01)
    first.on_events(events(tick(2)))
    await eventually(lambda: first.dropped >= 1)
    await first.stop()
    other = recorder(store, tmp_path / "other", record_ticks=True)
    await other.start()
    other.on_events(events(tick(3), tick(4)))
    await other.stop()
    store.failure = None
    again = recorder(store, tmp_path / "other", **limits)
    await again.start()
    await eventually(lambda: ticks_in(store) == 2)
    await again.stop()
    assert again.dropped == 0


async def test_a_slow_store_holds_up_no_one(store: MoodyHistory, tmp_path: Path) -> None:
    store.may_save.clear()
    recording = recorder(store, tmp_path, capacity=100, record_ticks=True)
    await recording.start()
    recording.on_events(events(tick(0)))
    await eventually(lambda: store.attempts == 1)
    recording.on_events(events(*(tick(second) for second in range(1, 100))))
    await eventually(lambda: recording.status().in_memory == 0)
    assert recording.pending == 100
    store.may_save.set()
    await recording.stop()
    assert (ticks_in(store), recording.dropped) == (100, 0)


async def test_while_the_spool_cannot_be_written_ticks_wait_in_memory_and_the_oldest_are_dropped(
    store: MoodyHistory, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("no folder")
    recording = recorder(store, folder, capacity=5, record_ticks=True)
    await recording.start()
    await eventually(lambda: not recording.healthy)
    assert f"The spool {folder} cannot be written" in str(recording.detail)
    for second in range(12):
        recording.on_events(events(tick(second)))
    assert (recording.dropped, recording.status().in_memory) == (7, 5)
    folder.unlink()
    await eventually(lambda: recording.healthy)
    await recording.stop()
    found = store.load("rb2501", Exchange.SHFE, Interval.TICK).columns["datetime"]
    assert ((found - to_micros(START)) // 1_000_000).tolist() == [7, 8, 9, 10, 11]
    assert recording.dropped == 7


class Picky(MoodyHistory):
    """A store that refuses what one of its rows holds."""

    def save(self, batch: Iterable[Series]) -> int:
        batch = list(batch)
        if any((series.columns.get("limit_up", np.zeros(1)) == 13).any() for series in batch):
            raise DataRejected("13 is not stored")
        if any(series.symbol == "odd" for series in batch):
            raise ValueError("an odd symbol")
        return super().save(batch)


async def test_what_the_store_refuses_for_its_content_is_put_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = Picky()
    recording = recorder(store, tmp_path, record_ticks=True, record_bars=True)
    await recording.start()
    ticks = [tick(second, limit_up=13.0 if second in (7, 500) else 1.0) for second in range(1000)]
    recording.on_events(events(*ticks, tick(1000, symbol="odd"), tick(1001)))
    await eventually(lambda: ticks_in(store) == 999)
    recording.on_events([Event(tick(0), payload=b'{"symbol": 7}'), *events(tick(1002))])
    await eventually(lambda: ticks_in(store) == 1000)
    await eventually(lambda: recording.pending == 0)
    assert (recording.healthy, recording.refused, recording.dropped) == (True, 4, 0)
    await recording.stop()
    assert len(bars_of(store)) == 17
    lines = (tmp_path / "quarantine" / "refused.jsonl").read_text(encoding="utf-8").splitlines()
    refused = [json.loads(line) for line in lines]
    reasons = [line["reason"].partition(":")[0] for line in refused]
    assert sorted(reasons) == ["13 is not stored"] * 2 + ["It is no tick", "ValueError", "ValueError"]
    assert json.loads(refused[0]["record"])["vt_symbol"] == "rb2501.SHFE"


async def test_a_damaged_segment_is_reported_until_it_is_looked_after(store: MoodyHistory, tmp_path: Path) -> None:
    store.failure = Unavailable("down")
    first = recorder(store, tmp_path, record_ticks=True)
    await first.start()
    first.on_events(events(tick(0), tick(1)))
    await first.stop()
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    store.failure = None
    second = recorder(store, tmp_path, record_ticks=True)
    await second.start()
    second.on_events(events(tick(2)))
    await eventually(lambda: ticks_in(store) == 1)
    await eventually(lambda: not second.healthy)
    assert "damaged" in str(second.detail)
    assert str(tmp_path / "quarantine") in str(second.detail)
    assert second.status().damaged == 2
    (tmp_path / "quarantine" / segment.name).unlink()
    await eventually(lambda: second.healthy)
    await second.stop()


async def test_what_a_crash_cut_off_is_counted(store: MoodyHistory, tmp_path: Path) -> None:
    store.failure = Unavailable("down")
    first = recorder(store, tmp_path, record_ticks=True)
    await first.start()
    first.on_events(events(tick(0), tick(1), tick(2)))
    await first.stop()
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-1])
    second = recorder(store, tmp_path, record_ticks=True)
    await second.start()
    await eventually(lambda: second.status().torn == 3)
    await second.stop()


async def test_a_restart_amid_a_minute_goes_on_with_its_bar(store: MoodyHistory, tmp_path: Path) -> None:
    first = recorder(store, tmp_path, record_bars=True)
    await first.start()
    first.on_events(events(tick(5, 100, 10), tick(20, 104, 15)))
    await first.stop()
    assert bars_of(store) == [(0, 100, 104, 100, 104, 5, 0, 0)]
    second = recorder(store, tmp_path, record_bars=True)
    await second.start()
    second.on_events(events(tick(40, 99, 30), tick(50, 101, 37), tick(61, 103, 40)))
    await eventually(lambda: bars_of(store) == [(0, 100, 104, 99, 101, 27, 0, 0)])
    await second.stop()
    assert bars_of(store)[1:] == [(1, 103, 103, 103, 103, 3, 0, 0)]
    assert ticks_in(store) == 0


async def test_without_the_spool_of_before_a_bar_goes_on_from_what_is_stored(
    store: MoodyHistory, tmp_path: Path
) -> None:
    runs = {"one": [tick(5, 100, 10), tick(20, 104, 15)], "other": [tick(40, 99, 30), tick(50, 101, 37)]}
    for folder, ticks in runs.items():
        recording = recorder(store, tmp_path / folder, record_bars=True)
        await recording.start()
        recording.on_events(events(*ticks))
        await recording.stop()
    assert bars_of(store) == [(0, 100, 104, 99, 101, 12, 0, 0)]


async def test_what_was_traded_in_a_long_pause_belongs_to_no_bar(store: MoodyHistory, tmp_path: Path) -> None:
    for ticks in ([tick(5, 100, 10), tick(20, 104, 15)], [tick(400, 99, 1000), tick(401, 101, 1007)]):
        recording = recorder(store, tmp_path, record_bars=True)
        await recording.start()
        recording.on_events(events(*ticks))
        await recording.stop()
    assert bars_of(store) == [(0, 100, 104, 100, 104, 5, 0, 0), (6, 99, 101, 99, 101, 7, 0, 0)]


@pytest.mark.parametrize("stops", [(), (3,), (1, 2, 3, 4, 5, 6, 7)])
async def test_bars_are_the_same_after_outages_and_restarts(stops: tuple[int, ...], tmp_path: Path) -> None:
    """Each part of the ticks is recorded by a run of its own, with the store down for some of them."""
    ticks = [tick(second * 7, 100 + second % 13, second * 3.0) for second in range(80)]
    store = MoodyHistory()
    for number, first in enumerate(range(0, 80, 10)):
        store.failure = Unavailable("down") if number in stops else None
        recording = recorder(store, tmp_path, record_bars=True, record_ticks=True)
        await recording.start()
        recording.on_events(events(*ticks[first : first + 10]))
        await recording.stop()
    store.failure = None
    last = recorder(store, tmp_path, record_bars=True, record_ticks=True)
    await last.start()
    await eventually(lambda: last.pending == 0)
    await last.stop()
    wanted = MemoryHistory()
    builder = BarBuilder()
    made = [builder.update(one, to_micros(datetime.fromisoformat(one.datetime)), 0.0) for one in ticks]
    wanted.save(bar_series([bar for bar in [*made, *builder.finish(0.0, everything=True)] if bar is not None]))
    assert bars_of(store) == bars_of(wanted)
    assert ticks_in(store) == 80


async def test_starting_and_stopping_twice_is_no_error(store: MoodyHistory, tmp_path: Path) -> None:
    recording = recorder(store, tmp_path, record_ticks=True)
    await recording.stop()
    await recording.start()
    await recording.start()
    await recording.stop()
    await recording.stop()
    await recording.start()
    recording.on_events(events(tick(0)))
    await recording.stop()
    assert ticks_in(store) == 1


def built(*ticks: Tick, builder: BarBuilder | None = None) -> list[tuple[float, ...]]:
    builder = builder or BarBuilder()
    bars = [builder.update(one, to_micros(datetime.fromisoformat(one.datetime)), 0.0) for one in ticks]
    done = [bar for bar in bars if bar is not None] + builder.finish(0.0, everything=True)
    return [
        (
            (bar.time - to_micros(START)) // 60_000_000,
            bar.open_price,
            bar.high_price,
            bar.low_price,
            bar.close_price,
            bar.volume,
        )
        for bar in done
    ]


def test_a_bar_has_the_last_prices_of_its_minute_and_what_the_volume_grew_by() -> None:
    ticks = [tick(3, 100, 50), tick(10, 105, 52), tick(59.999999, 98, 60), tick(60, 99, 61), tick(130, 97, 65)]
    assert built(*ticks) == [(0, 100, 105, 98, 98, 10), (1, 99, 99, 99, 99, 1), (2, 97, 97, 97, 97, 4)]


def test_a_total_that_falls_has_begun_anew() -> None:
    assert built(tick(0, 100, 5000), tick(60, 100, 7), tick(61, 100, 9)) == [
        (0, 100, 100, 100, 100, 0),
        (1, 100, 100, 100, 100, 9),
    ]


def test_ticks_without_a_price_and_late_ones_count_for_nothing() -> None:
    builder = BarBuilder()
    ticks = [tick(0, None), tick(1, 0.0), tick(65, 100, 10), tick(30, 50, 9), tick(66, 101, None)]
    assert built(*ticks, builder=builder) == [(1, 100, 101, 100, 101, 0)]
    assert builder.late == 1


def test_a_quiet_bar_is_given_and_given_again_when_more_comes() -> None:
    builder = BarBuilder(quiet_s=60)
    assert builder.update(tick(0, 100, 1), to_micros(START), 0.0) is None
    assert builder.finish(59.0) == []
    assert [bar.close_price for bar in builder.finish(60.0)] == [100]
    assert builder.finish(200.0) == []
    assert builder.update(tick(1, 90, 5), to_micros(START) + 1_000_000, 200.0) is None
    assert [(bar.open_price, bar.close_price, bar.volume) for bar in builder.finish(260.0)] == [(100, 90, 4)]
    assert builder.update(tick(60, 80, 6), to_micros(START) + 60_000_000, 261.0) is None


def test_a_given_bar_does_not_change_afterwards() -> None:
    builder = BarBuilder()
    builder.update(tick(0, 100, 1), to_micros(START), 0.0)
    (bar,) = builder.finish(0.0, everything=True)
    builder.update(tick(1, 90, 5), to_micros(START) + 1_000_000, 0.0)
    assert (bar.close_price, bar.volume) == (100, 0)


def test_the_stored_bar_is_asked_for_once_a_symbol() -> None:
    asked: list[tuple[str, int]] = []

    def resume(symbol: str, exchange: Exchange, time: int) -> MinuteBar | None:
        asked.append((symbol, time))
        return None

    built(tick(0), tick(1), tick(60), tick(61, symbol="cu2501"), builder=BarBuilder(resume))
    assert asked == [("rb2501", to_micros(START)), ("cu2501", to_micros(START) + 60_000_000)]


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(1, 1e6), st.floats(0, 1e6)), min_size=1, max_size=60))
def test_bars_hold_together_whatever_the_ticks(rows: list[tuple[float, float, float]]) -> None:
    ordered = sorted(rows)
    total, ticks = 0.0, []
    for seconds, price, volume in ordered:
        total += volume
        ticks.append(tick(seconds, price, total))
    bars = built(*ticks)
    minutes = [bar[0] for bar in bars]
    assert minutes == sorted(set(minutes))
    assert all(low <= min(start, close) and max(start, close) <= high for _, start, high, low, close, _ in bars)
    assert (bars[0][1], bars[-1][4]) == (ordered[0][1], ordered[-1][1])
    assert sum(bar[5] for bar in bars) == pytest.approx(total - ordered[0][2], abs=1e-3)
