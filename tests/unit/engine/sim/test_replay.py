"""Recorded bars and quotes as a market, and the pace at which they come."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.engine.sim.market import LONG, MORNING, SHORT, ZONE, Market
from tests.unit.engine.sim.recording import Recording, bar, quote
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.database import BaseDatabase
from vnpy.trader.object import BarData, HistoryRequest, TickData
from vnpy.trader.utility import BarGenerator

from vnpy_core.engine.sim.contracts import list_contracts
from vnpy_core.engine.sim.history import replayed_bars
from vnpy_core.engine.sim.recorded import RecordedMarket, recorded_ticks
from vnpy_core.engine.sim.replay import ReplayFeed
from vnpy_core.errors import ConfigError

INSTRUMENTS = list_contracts()
MINUTE = timedelta(minutes=1)


def minutes(count: int, start: datetime = MORNING, **fields: Any) -> list[BarData]:
    """Return bars that go up and down in turn."""
    made = []
    for number in range(count):
        price = 3500 + number % 7
        close = price + (2 if number % 2 else -2)
        made.append(bar(start + number * MINUTE, price, price + 5, price - 5, close, **fields))
    return made


def play(
    database: BaseDatabase, vt_symbol: str = "rb2605.SHFE", interval: Interval = Interval.MINUTE
) -> list[TickData]:
    market = RecordedMarket("SIM", INSTRUMENTS[vt_symbol], ZONE)
    return list(recorded_ticks(database, market, interval, MORNING - timedelta(days=30), MORNING + timedelta(days=30)))


def test_a_bar_becomes_four_ticks_in_the_likelier_order() -> None:
    rising, falling = bar(MORNING, 3500, 3505, 3495, 3502), bar(MORNING + MINUTE, 3502, 3504, 3490, 3491)
    ticks = play(Recording([rising, falling]))
    assert [tick.last_price for tick in ticks] == [3500, 3495, 3505, 3502, 3502, 3504, 3490, 3491]
    assert [tick.datetime.second for tick in ticks] == [0, 20, 40, 59, 0, 20, 40, 59]
    assert {tick.datetime.minute for tick in ticks[:4]} == {30}
    assert {tick.gateway_name for tick in ticks} == {"SIM"}
    assert [tick.volume for tick in ticks[:4]] == [100, 200, 300, 400]


def test_vn_pys_bar_generator_makes_the_recorded_bars_again() -> None:
    recorded = minutes(30)
    made: list[BarData] = []
    generator = BarGenerator(made.append)
    for tick in play(Recording(recorded)):
        generator.update_tick(tick)
    assert len(made) == 29
    for ours, theirs in zip(recorded[1:], made[1:], strict=False):
        prices = ("datetime", "open_price", "high_price", "low_price", "close_price", "volume")
        assert [getattr(ours, name) for name in prices] == [getattr(theirs, name) for name in prices]


def test_orders_at_the_extremes_of_a_bar_are_reached() -> None:
    market = Market()
    recorded = [bar(MORNING, 3500, 3500, 3500, 3500), bar(MORNING + MINUTE, 3500, 3510, 3490, 3502)]
    first, *rest = play(Recording(recorded))
    market.exchange.on_tick(first)
    low, high = market.send(LONG, 5, 3490), market.send(SHORT, 5, 3510)
    beyond = market.send(LONG, 5, 3489)
    for tick in rest:
        market.exchange.on_tick(tick)
        market._collect()
    assert market.fills(low) == [(3490, 5)]
    assert market.fills(high) == [(3510, 5)]
    assert market.fills(beyond) == []


@pytest.mark.parametrize("volume", [0.0, math.nan])
def test_a_bar_without_volume_still_shows_a_market(volume: float) -> None:
    (tick, *_) = play(Recording([bar(MORNING, 3500, 3505, 3495, 3502, volume=volume)]))
    assert tick.volume == 0
    assert (tick.bid_volume_1, tick.ask_volume_5) == (60, 60)


def test_a_bar_without_prices_is_left_out() -> None:
    assert play(Recording([bar(MORNING, math.nan, 3505, 3495, 3502), bar(MORNING + MINUTE, 0, 0, 0, 0)])) == []


def test_a_quote_of_bid_and_ask_alone_is_completed() -> None:
    (tick,) = play(
        Recording(ticks=[quote(MORNING.astimezone(UTC), 86.655, 86.728, last_price=math.nan, volume=math.nan)]),
        "USDJPY.IDEALPRO", Interval.TICK,
    )  # fmt: skip
    assert tick.datetime == MORNING
    assert tick.datetime.tzinfo is ZONE
    assert tick.last_price in (86.691, 86.692)
    assert tick.volume == 0
    assert (tick.bid_price_1, tick.ask_price_1) == (86.655, 86.728)
    assert (tick.bid_volume_1, tick.ask_volume_1, tick.bid_volume_2) == (500_000, 500_000, 0)
    assert tick.name == "US dollar / yen"


@pytest.mark.parametrize(
    ("fields", "last"), [({"bid": 86.6}, 86.6), ({"ask": 86.7}, 86.7), ({"last_price": 86.5}, 86.5)]
)
def test_a_one_sided_quote_and_a_bare_trade_are_a_market_too(fields: dict[str, float], last: float) -> None:
    (tick,) = play(Recording(ticks=[quote(MORNING, **fields)]), "USDJPY.IDEALPRO", Interval.TICK)
    assert tick.last_price == last
    assert bool(tick.bid_price_1) is ("ask" not in fields)
    assert bool(tick.ask_price_1) is ("bid" not in fields)


def test_a_tick_without_any_price_is_left_out_and_the_recorded_object_stays_as_it_was() -> None:
    empty, recorded = quote(MORNING), quote(MORNING + MINUTE, 86.6, 86.7)
    (tick,) = play(Recording(ticks=[empty, recorded]), "USDJPY.IDEALPRO", Interval.TICK)
    assert tick.datetime == MORNING + MINUTE
    assert (recorded.gateway_name, recorded.last_price) == ("DB", 0)


def test_the_store_is_read_in_pieces() -> None:
    start = MORNING - timedelta(days=20)
    recording = Recording(minutes(20_000, start))
    market = RecordedMarket("SIM", INSTRUMENTS["rb2605.SHFE"], ZONE)
    ticks = list(recorded_ticks(recording, market, Interval.MINUTE, start, MORNING))
    assert len(ticks) == 80_000
    assert all(before.datetime < after.datetime for before, after in pairwise(ticks))
    assert max(count for _, _, count in recording.loads) < 3000
    assert sum(count for _, _, count in recording.loads) == 20_000


def test_a_long_gap_costs_few_questions() -> None:
    start = MORNING - timedelta(days=3000)
    recording = Recording([*minutes(5, start), *minutes(5)])
    market = RecordedMarket("SIM", INSTRUMENTS["rb2605.SHFE"], ZONE)
    assert len(list(recorded_ticks(recording, market, Interval.MINUTE, start, MORNING + 5 * MINUTE))) == 40
    assert len(recording.loads) < 20


# The pace


def feed(database: BaseDatabase, *names: str, **options: Any) -> ReplayFeed:
    fields: dict[str, Any] = {"start": None, "end": None, "speed": 1.0, "in_flight": 1, "waits": False} | options
    interval = fields.pop("interval", Interval.MINUTE)
    instruments = [INSTRUMENTS[name] for name in names or ("rb2605.SHFE",)]
    return ReplayFeed("SIM", database, instruments, interval, ZONE, **fields)


def schedule(feed: ReplayFeed, now: float = 100.0) -> list[tuple[float, TickData]]:
    sent = []
    while True:
        feed.fetch()
        due = feed.due(now)
        if due == math.inf:
            return sent
        now = max(now, due)
        tick = feed.pop(now)
        assert tick is not None
        sent.append((round(now, 6), tick))


@pytest.mark.parametrize(
    ("speed", "moments"), [(1.0, [100, 120, 140, 159]), (20.0, [100, 101, 102, 102.95]), (0, [100] * 4)]
)
def test_ticks_come_at_the_recorded_pace_faster_or_at_once(speed: float, moments: list[float]) -> None:
    assert [moment for moment, _ in schedule(feed(Recording(minutes(1)), speed=speed))] == moments


def test_markets_are_merged_by_time() -> None:
    recording = Recording([*minutes(10), *minutes(10, MORNING + timedelta(seconds=7), vt_symbol="i2605.DCE")])
    ticks = [tick for _, tick in schedule(feed(recording, "rb2605.SHFE", "i2605.DCE"))]
    assert len(ticks) == 80
    assert all(before.datetime <= after.datetime for before, after in pairwise(ticks))
    assert {tick.vt_symbol for tick in ticks[:2]} == {"rb2605.SHFE", "i2605.DCE"}


def test_progress_tells_where_it_stands_and_that_it_has_ended() -> None:
    replay = feed(Recording(minutes(10)), speed=0)
    assert (replay.progress.state, replay.progress.fraction) == ("RUNNING", 0)
    for _ in range(20):
        replay.fetch()
        replay.pop(0)
    assert replay.progress.clock == MORNING + 4 * MINUTE + timedelta(seconds=59)
    assert replay.progress.fraction == pytest.approx(0.5, abs=0.01)
    schedule(replay)
    assert (replay.progress.state, replay.progress.fraction, replay.progress.ticks) == ("FINISHED", 1, 40)


def test_a_replay_can_wait_for_the_first_subscription() -> None:
    replay = feed(Recording(minutes(1)), waits=True)
    assert schedule(replay) == []
    assert replay.progress.state == "WAITING"
    replay.subscribe("rb2605.SHFE", 500.0)
    assert [moment for moment, _ in schedule(replay, 500.0)] == [500, 520, 540, 559]


def test_a_pause_is_not_made_up_for() -> None:
    replay = feed(Recording(minutes(1)))
    replay.fetch()
    assert replay.due(100) == 100
    replay.pop(100)
    replay.pause()
    assert schedule(replay) == []
    replay.resume(speed=20)
    assert [moment for moment, _ in schedule(replay, 1000)] == [1000, 1001, 1001.95]


def test_bounds_cut_the_recording() -> None:
    recording = Recording(minutes(10))
    ticks = [tick for _, tick in schedule(feed(recording, start=MORNING + 2 * MINUTE, end=MORNING + 4 * MINUTE))]
    assert (ticks[0].datetime, ticks[-1].datetime, len(ticks)) == (MORNING + 2 * MINUTE, MORNING + 4 * MINUTE, 9)


def test_it_goes_on_after_the_last_tick_that_was_seen() -> None:
    whole = [tick.datetime for _, tick in schedule(feed(Recording(minutes(10)), speed=0))]
    for place in (0, 5, 17):
        rest = schedule(feed(Recording(minutes(10)), speed=0, resume_after=whole[place]))
        assert [tick.datetime for _, tick in rest] == whole[place + 1 :]


@pytest.mark.parametrize(
    "make",
    [
        lambda: feed(Recording()),
        lambda: feed(Recording(minutes(3)), interval=Interval.TICK),
        lambda: feed(Recording(minutes(3)), interval=Interval.HOUR),
        lambda: feed(Recording(minutes(3)), "rb2605.SHFE", "i2605.DCE"),
        lambda: feed(Recording(minutes(3)), start=MORNING + timedelta(days=1)),
    ],
)
def test_what_is_not_recorded_cannot_be_replayed(make: Callable[[], ReplayFeed]) -> None:
    with pytest.raises(ConfigError, match=r"recorded|history store"):
        make()


# History during a replay


def test_history_is_what_was_known_at_the_replays_clock() -> None:
    recording, now = Recording(minutes(100)), datetime(2030, 5, 5, 12, tzinfo=ZONE)
    clock = MORNING + 50 * MINUTE + timedelta(seconds=20)
    request = HistoryRequest("rb2605", Exchange.SHFE, now - 10 * MINUTE, now, Interval.MINUTE)
    bars = replayed_bars(recording, request, "SIM", now=now, clock=clock, zone=ZONE)
    # The tenth minute back from the clock until the last that is over.
    assert [each.datetime for each in bars] == [MORNING + number * MINUTE for number in range(41, 50)]
    assert {each.gateway_name for each in bars} == {"SIM"}


def test_history_of_a_span_that_ends_in_the_past_is_moved_as_a_whole() -> None:
    recording, now = Recording(minutes(100)), datetime(2030, 5, 5, 12, tzinfo=ZONE)
    request = HistoryRequest(
        "rb2605", Exchange.SHFE, (now - 20 * MINUTE).replace(tzinfo=None), (now - 10 * MINUTE).replace(tzinfo=None)
    )
    bars = replayed_bars(recording, request, "SIM", now=now, clock=MORNING + 50 * MINUTE, zone=ZONE)
    assert [bars[0].datetime, bars[-1].datetime] == [MORNING + 30 * MINUTE, MORNING + 40 * MINUTE]
