"""The random walk, its schedule, and the past that is made up for it."""

from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.sim.market import MORNING, ZONE
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.object import BarData, HistoryRequest, TickData

from vnpy_core.engine.sim.contracts import list_contracts
from vnpy_core.engine.sim.feed import RandomFeed
from vnpy_core.engine.sim.history import MinuteRecorder, PastBars
from vnpy_core.engine.sim.session import parse_session
from vnpy_core.engine.sim.walk import BLOCK, RandomWalk, WalkState

INSTRUMENTS = list_contracts()
ALWAYS = parse_session("always")


def walk(vt_symbol: str = "rb2605.SHFE", seed: int = 1, state: WalkState | None = None) -> RandomWalk:
    return RandomWalk("SIM", INSTRUMENTS[vt_symbol], seed, state)


def ticks_of(walk: RandomWalk, count: int, start: datetime = MORNING) -> list[TickData]:
    return [walk.next(start + timedelta(seconds=number / 2)) for number in range(count)]


def test_the_same_seed_makes_the_same_ticks() -> None:
    assert ticks_of(walk(), 300) == ticks_of(walk(), 300)
    assert ticks_of(walk(), 300) != ticks_of(walk(seed=2), 300)


@pytest.mark.parametrize("drawn", [1, 100, BLOCK, BLOCK + 7])
def test_a_walk_goes_on_after_a_restart_as_if_there_had_been_none(drawn: int) -> None:
    whole, first = walk(), walk()
    ticks_of(whole, drawn)
    ticks_of(first, drawn)
    stored = msgspec.json.decode(msgspec.json.encode(first.state), type=WalkState)
    later = MORNING + timedelta(hours=1)
    assert ticks_of(walk(state=stored), 50, later) == ticks_of(whole, 50, later)


@pytest.mark.parametrize("vt_symbol", list(INSTRUMENTS))
def test_every_tick_is_a_sound_quote(vt_symbol: str) -> None:
    instrument = INSTRUMENTS[vt_symbol]
    previous: TickData | None = None
    for tick in ticks_of(walk(vt_symbol), 3000):
        bids = [getattr(tick, f"bid_price_{level}") for level in range(1, 6)]
        asks = [getattr(tick, f"ask_price_{level}") for level in range(1, 6)]
        prices = [*reversed(bids), *asks]
        assert all(low < high for low, high in pairwise(prices))
        assert all(instrument.is_on_tick(price) for price in (*prices, tick.last_price))
        assert tick.last_price in (bids[0], asks[0])
        if tick.limit_up:
            assert tick.limit_down < prices[0] < prices[-1] < tick.limit_up
        volumes = [getattr(tick, f"{side}_volume_{level}") for side in ("bid", "ask") for level in range(1, 6)]
        assert all(volume > 0 and instrument.lots_of(volume) for volume in volumes)
        assert tick.low_price <= tick.last_price <= tick.high_price
        if previous is not None:
            assert tick.volume == pytest.approx(previous.volume + tick.last_volume)
            assert tick.turnover >= previous.turnover
        previous = tick
    assert previous is not None
    assert len({tick.last_price for tick in ticks_of(walk(vt_symbol), 3000)}) > 10


def test_a_new_trading_day_starts_its_own_statistics() -> None:
    market = walk()
    last = ticks_of(market, 100)[-1]
    first = market.next(MORNING + timedelta(hours=12))
    assert first.volume == first.last_volume
    assert (first.pre_close, first.open_price) == (last.last_price, first.last_price)


def feed(interval_s: float = 0.5, rate: float = 0, session: str = "always") -> RandomFeed:
    walks = {name: walk(name) for name in ("rb2605.SHFE", "i2605.DCE", "BTCUSDT.GLOBAL")}
    made = RandomFeed(walks, parse_session(session), ZONE, interval_s=interval_s, ticks_per_second=rate)
    made.start(100.0)
    return made


def run(feed: RandomFeed, until: float, now: float = 100.0) -> list[tuple[float, str]]:
    sent = []
    while (now := max(now, feed.due(now))) < until:
        tick = feed.pop(now)
        if tick is not None:
            sent.append((now, tick.vt_symbol))
    return sent


def test_each_contract_ticks_once_an_interval_and_not_all_at_once() -> None:
    sent = run(feed(), 102.0)
    assert len(sent) == 12
    assert len({moment for moment, _ in sent}) == 12


def test_the_order_of_other_contracts_does_not_change_a_contracts_ticks() -> None:
    alone, among = walk("i2605.DCE"), feed()
    among.subscribe("rb2605.SHFE", 100.0)
    prices = []
    for _ in range(90):
        tick = among.pop(among.due(0))
        if tick is not None and tick.vt_symbol == "i2605.DCE":
            prices.append((tick.last_price, tick.bid_volume_3))
    expected = [(tick.last_price, tick.bid_volume_3) for tick in ticks_of(alone, len(prices))]
    assert prices == expected
    assert len(prices) == 30


def test_a_total_rate_is_shared_by_the_subscribed_contracts() -> None:
    market = feed(rate=1000)
    for name in ("rb2605.SHFE", "i2605.DCE"):
        market.subscribe(name, 100.0)
    sent = [name for _, name in run(market, 101.0)]
    assert [sent.count(name) for name in ("rb2605.SHFE", "i2605.DCE")] == pytest.approx([500, 500], abs=1)
    assert sent.count("BTCUSDT.GLOBAL") == 2
    market.unsubscribe("i2605.DCE", 101.0)
    assert [name for _, name in run(market, 102.0, 101.0)].count("rb2605.SHFE") == pytest.approx(1000, abs=1)


def test_a_feed_that_was_held_up_does_not_send_all_it_has_missed() -> None:
    market = feed()
    run(market, 101.0)
    assert len(run(market, 202.0, 200.0)) < 20


def test_nothing_is_drawn_while_the_market_is_closed() -> None:
    market = feed(session="closed")
    assert run(market, 110.0) == []
    assert all(each.state.drawn == 0 for each in market.walks.values())


# The past


def query(market: RandomWalk, recorded: MinuteRecorder, now: datetime, **request: object) -> list[BarData]:
    fields = {"start": now - timedelta(days=2), "end": now, "interval": Interval.MINUTE} | request
    rows = [bar for _, bar in recorded.take_finished(now)]
    return PastBars("SIM", ALWAYS, ZONE).query(HistoryRequest("rb2605", Exchange.SHFE, **fields), market, rows, now)  # type: ignore[arg-type]


def test_the_past_joins_the_present_without_a_jump_or_a_gap() -> None:
    market, recorder = walk(), MinuteRecorder()
    for tick in ticks_of(market, 600):  # five minutes
        recorder.add(tick)
    bars = query(market, recorder, MORNING + timedelta(minutes=5))
    assert len(bars) == 2 * 1440
    assert bars[-1].datetime == MORNING + timedelta(minutes=4)
    for before, after in pairwise(bars):
        assert after.datetime - before.datetime == timedelta(minutes=1)
        assert abs(after.open_price - before.close_price) <= 2
        assert before.low_price <= min(before.open_price, before.close_price)
        assert before.high_price >= max(before.open_price, before.close_price)
        assert before.volume > 0


def test_recorded_minutes_are_those_of_the_ticks() -> None:
    market, recorder = walk(), MinuteRecorder()
    ticks = ticks_of(market, 360)
    for tick in ticks:
        recorder.add(tick)
    bars = query(market, recorder, MORNING + timedelta(minutes=3), start=MORNING)
    first = ticks[:120]
    assert [bar.datetime for bar in bars] == [MORNING + timedelta(minutes=number) for number in range(3)]
    assert bars[0].open_price == first[0].last_price
    assert bars[0].close_price == first[-1].last_price
    assert bars[0].high_price == max(tick.last_price for tick in first)
    assert bars[0].low_price == min(tick.last_price for tick in first)
    assert bars[0].volume == sum(tick.last_volume for tick in first)
    assert bars[1].volume == sum(tick.last_volume for tick in ticks[120:240])


def test_the_past_is_the_same_whenever_and_however_far_back_it_is_asked() -> None:
    market = walk()
    ticks_of(market, 10)
    now = MORNING + timedelta(seconds=30)
    whole = query(market, MinuteRecorder(), now, start=now - timedelta(days=10))
    part = query(market, MinuteRecorder(), now, start=now - timedelta(hours=3), end=now - timedelta(hours=1))
    assert part == [bar for bar in whole if part[0].datetime <= bar.datetime <= part[-1].datetime]
    assert len(part) == 120


@pytest.mark.parametrize(
    ("interval", "length"),
    [(Interval.HOUR, timedelta(hours=1)), (Interval.DAILY, timedelta(days=1)), (Interval.WEEKLY, timedelta(weeks=1))],
)
def test_longer_bars_are_made_of_the_minutes(interval: Interval, length: timedelta) -> None:
    market = walk()
    ticks_of(market, 10)
    now = MORNING + timedelta(seconds=30)
    minutes = query(market, MinuteRecorder(), now, start=now - timedelta(days=15))
    longer = query(market, MinuteRecorder(), now, start=now - timedelta(days=15), interval=interval)
    assert sum(bar.volume for bar in longer) == pytest.approx(sum(bar.volume for bar in minutes))
    for bar in longer:
        inside = [each for each in minutes if bar.datetime <= each.datetime < bar.datetime + length]
        assert bar.interval is interval
        assert (bar.open_price, bar.close_price) == (inside[0].open_price, inside[-1].close_price)
        assert bar.high_price == max(each.high_price for each in inside)
        assert bar.low_price == min(each.low_price for each in inside)


def test_ticks_of_the_past_are_not_made_up() -> None:
    assert query(walk(), MinuteRecorder(), MORNING, interval=Interval.TICK) == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(list(INSTRUMENTS)), st.integers(1, 5000))
def test_the_past_ends_at_the_first_price_for_any_seed(seed: int, vt_symbol: str, count: int) -> None:
    market = walk(vt_symbol, seed)
    minutes = market.past_minutes(count)
    assert minutes.shape == (5, count)
    assert market.instrument.price_at(int(minutes[3, -1])) == market.instrument.spec.price
    assert (minutes[2] > 0).all()
    assert (minutes[0, 1:] == minutes[3, :-1]).all()
