"""vn.py's database contract over the history store, and that what vn.py's own drivers get wrong is right."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.history_stores import ADAPTERS
from vnpy.trader import database
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.database import DB_TZ, BarOverview, TickOverview
from vnpy.trader.object import BarData, TickData
from vnpy.trader.utility import BarGenerator
from vnpy_ctastrategy.backtesting import load_bar_data
from vnpy_datamanager.engine import ManagerEngine

from vnpy_core.engine import history_database
from vnpy_core.engine.history_database import HistoryDatabase
from vnpy_core.errors import Invalid
from vnpy_core.ports import HistoryStore

Row = TypeVar("Row", BarData, TickData)
SHFE = Exchange.SHFE
MINUTE = Interval.MINUTE
START = datetime(2024, 1, 2, 9, 0, tzinfo=DB_TZ)
WIDE = (datetime(1970, 1, 1), datetime(2110, 1, 1))  # noqa: DTZ001 (vn.py's callers leave the zone out)


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest) -> Iterator[HistoryStore]:
    with ADAPTERS[request.param](request) as made:
        yield made


@pytest.fixture
def db(store: HistoryStore) -> HistoryDatabase:
    return HistoryDatabase(store)


def bar(minute: int, symbol: str = "rb2501", *, at: datetime = START, interval: Interval | None = MINUTE) -> BarData:
    price = 3500.25 + minute
    return BarData(
        gateway_name="CTP",
        symbol=symbol,
        exchange=SHFE,
        datetime=at + timedelta(minutes=minute),
        interval=interval,
        volume=10 + minute,
        turnover=1e6 + minute,
        open_interest=5e5 + minute,
        open_price=price,
        high_price=price + 2,
        low_price=price - 2,
        close_price=price + 1,
    )


def tick(place: int, symbol: str = "rb2501") -> TickData:
    kinds = ("bid_price", "ask_price", "bid_volume", "ask_volume")
    names = [f"{kind}_{level}" for kind in kinds for level in range(1, 6)]
    values = {name: 1000.5 * place + 10 * number for number, name in enumerate(names)}
    return TickData(
        gateway_name="CTP",
        symbol=symbol,
        exchange=SHFE,
        datetime=START + timedelta(microseconds=500_123 * place),
        name="螺纹钢2501",
        volume=1 + place,
        turnover=2 + place,
        open_interest=3 + place,
        last_price=4 + place,
        last_volume=5 + place,
        limit_up=6 + place,
        limit_down=7 + place,
        open_price=8 + place,
        high_price=9 + place,
        low_price=10 + place,
        pre_close=11 + place,
        localtime=START + timedelta(microseconds=500_999 * place),
        **values,
    )


def from_db(row: Row) -> Row:
    row = copy(row)
    row.gateway_name = "DB"
    return row


def load(db: HistoryDatabase, symbol: str = "rb2501", interval: Interval = MINUTE) -> list[BarData]:
    return db.load_bar_data(symbol, SHFE, interval, *WIDE)


def test_bars_are_loaded_as_vn_py_would_have_made_them(db: HistoryDatabase) -> None:
    bars = [bar(minute) for minute in range(5)]
    assert db.save_bar_data(bars)
    loaded = load(db)
    assert loaded == [from_db(one) for one in bars]
    assert [one.__dict__ for one in loaded] == [from_db(one).__dict__ for one in bars]
    assert {type(one.exchange) for one in loaded} == {Exchange}
    assert loaded[0].extra is None
    assert asdict(loaded[0]) == asdict(from_db(bars[0]))


def test_ticks_are_loaded_with_every_field(db: HistoryDatabase) -> None:
    ticks = [tick(place) for place in range(5)]
    ticks[2].localtime = None
    assert db.save_tick_data(ticks)
    loaded = db.load_tick_data("rb2501", SHFE, *WIDE)
    assert loaded == [from_db(one) for one in ticks]
    assert [one.__dict__ for one in loaded] == [from_db(one).__dict__ for one in ticks]


def test_saving_changes_nothing_of_the_caller(db: HistoryDatabase) -> None:
    bars, ticks = [bar(1), bar(0)], [tick(1), tick(0)]
    before = deepcopy((bars, ticks))
    fields = [set(one.__dict__) for one in [*bars, *ticks]]
    db.save_bar_data(bars)
    db.save_tick_data(ticks)
    assert (bars, ticks) == before
    assert [set(one.__dict__) for one in [*bars, *ticks]] == fields


def test_an_empty_list_is_no_error(db: HistoryDatabase) -> None:
    assert db.save_bar_data([])
    assert db.save_tick_data([])
    assert (db.get_bar_overview(), db.get_tick_overview()) == ([], [])
    assert load(db) == []
    assert db.load_tick_data("rb2501", SHFE, *WIDE) == []


def test_a_mixed_list_in_any_order_is_sorted_out(db: HistoryDatabase) -> None:
    hour = [bar(60 * place, interval=Interval.HOUR) for place in range(2)]
    mixed = [bar(2), bar(5, "rb2505"), hour[1], bar(0), bar(3, "rb2505"), bar(1), hour[0]]
    db.save_bar_data(mixed)
    assert [one.open_price - 3500.25 for one in load(db)] == [0, 1, 2]
    assert [one.open_price - 3500.25 for one in load(db, "rb2505")] == [3, 5]
    assert load(db, interval=Interval.HOUR) == [from_db(one) for one in hour]
    found = [(item.symbol, item.interval, item.count, item.start, item.end) for item in db.get_bar_overview()]
    assert found == [
        ("rb2501", Interval.HOUR, 2, START, START + timedelta(hours=1)),
        ("rb2501", MINUTE, 3, START, START + timedelta(minutes=2)),
        ("rb2505", MINUTE, 2, START + timedelta(minutes=3), START + timedelta(minutes=5)),
    ]
    db.save_tick_data([tick(1), tick(4, "rb2505"), tick(0)])
    assert [item.count for item in db.get_tick_overview()] == [2, 1]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "+05:30"])
def test_a_range_in_any_zone_has_exactly_its_bars(db: HistoryDatabase, zone: str) -> None:
    asked = timezone(timedelta(hours=5.5)) if zone == "+05:30" else ZoneInfo(zone)
    db.save_bar_data([bar(minute) for minute in range(5)])
    start, end = START.astimezone(asked), (START + timedelta(minutes=4)).astimezone(asked)
    found = db.load_bar_data("rb2501", SHFE, MINUTE, start, end)
    assert [one.datetime for one in found] == [START + timedelta(minutes=minute) for minute in range(5)]
    inside = db.load_bar_data("rb2501", SHFE, MINUTE, start + timedelta(seconds=1), end - timedelta(seconds=1))
    assert len(inside) == 3


def test_a_bound_without_zone_is_a_wall_time_in_vn_pys_zone(db: HistoryDatabase) -> None:
    db.save_bar_data([bar(minute) for minute in range(5)])
    wall = START.replace(tzinfo=None)
    assert len(db.load_bar_data("rb2501", SHFE, MINUTE, wall, wall + timedelta(minutes=4))) == 5
    assert len(db.load_bar_data("rb2501", SHFE, MINUTE, wall + timedelta(minutes=1), wall + timedelta(minutes=2))) == 2


def test_a_row_without_zone_is_taken_in_vn_pys_zone(db: HistoryDatabase) -> None:
    naive = bar(0, at=START.replace(tzinfo=None))
    aware = bar(1, at=START.astimezone(UTC))
    db.save_bar_data([naive, aware])
    assert [one.datetime for one in load(db)] == [START, START + timedelta(minutes=1)]
    one = tick(0)
    one.datetime, one.localtime = START.replace(tzinfo=None), START.replace(tzinfo=None)
    db.save_tick_data([one])
    loaded = db.load_tick_data("rb2501", SHFE, *WIDE)[0]
    assert (loaded.datetime, loaded.localtime) == (START, START)


def test_every_loaded_time_is_in_vn_pys_zone(db: HistoryDatabase) -> None:
    db.save_bar_data([bar(minute, at=START.astimezone(ZoneInfo("America/New_York"))) for minute in range(3)])
    db.save_tick_data([tick(0)])
    loaded = [*load(db), *db.load_tick_data("rb2501", SHFE, *WIDE)]
    assert {one.datetime.tzinfo for one in loaded} == {DB_TZ}
    assert loaded[0].datetime.time() == START.time()
    overviews = [*db.get_bar_overview(), *db.get_tick_overview()]
    assert {moment.tzinfo for item in overviews for moment in (item.start, item.end) if moment} == {DB_TZ}


def test_saving_again_replaces_and_stream_counts_once(db: HistoryDatabase) -> None:
    db.save_bar_data([bar(minute) for minute in range(3)])
    changed = bar(2)
    changed.close_price = 1.0
    db.save_bar_data([changed, bar(3)], stream=True)
    db.save_bar_data([changed, bar(3)], stream=True)
    assert [one.close_price for one in load(db)] == [3501.25, 3502.25, 1.0, 3504.25]
    assert db.get_bar_overview()[0].count == 4


def test_overviews_are_vn_pys_own(db: HistoryDatabase) -> None:
    db.save_bar_data([bar(0)])
    db.save_tick_data([tick(0)])
    assert db.get_bar_overview() == [BarOverview("rb2501", SHFE, MINUTE, 1, START, START)]
    assert db.get_tick_overview() == [TickOverview("rb2501", SHFE, 1, START, START)]
    assert asdict(db.get_bar_overview()[0])["count"] == 1


def test_deleting_tells_how_many(db: HistoryDatabase) -> None:
    db.save_bar_data([bar(0), bar(1), bar(0, "rb2505")])
    db.save_tick_data([tick(0)])
    assert db.delete_bar_data("rb2501", SHFE, MINUTE) == 2
    assert db.delete_bar_data("rb2501", SHFE, MINUTE) == 0
    assert db.delete_tick_data("rb2501", SHFE) == 1
    assert [item.symbol for item in db.get_bar_overview()] == ["rb2505"]


def test_a_bar_without_interval_is_refused_and_nothing_is_saved(db: HistoryDatabase) -> None:
    with pytest.raises(Invalid, match="no interval"):
        db.save_bar_data([bar(0), bar(1, interval=None)])
    assert db.get_bar_overview() == []


def test_what_is_not_known_is_vn_pys_zero_but_not_a_price_of_a_bar(db: HistoryDatabase) -> None:
    unknown, half = bar(0), tick(0)
    unknown.turnover = unknown.open_interest = unknown.close_price = float("nan")
    half.bid_price_2 = None  # type: ignore[assignment]  # as gateways with one level leave it
    half.limit_up = float("nan")
    db.save_bar_data([unknown])
    db.save_tick_data([half])
    loaded_bar, loaded_tick = load(db)[0], db.load_tick_data("rb2501", SHFE, *WIDE)[0]
    assert (loaded_bar.turnover, loaded_bar.open_interest) == (0, 0)
    assert loaded_bar.close_price != loaded_bar.close_price
    assert (loaded_tick.bid_price_2, loaded_tick.limit_up, loaded_tick.limit_down) == (0, 0, 7)


def test_threads_come_and_go(db: HistoryDatabase) -> None:
    def work(number: int) -> int:
        db.save_bar_data([bar(minute, f"s{number}") for minute in range(10)])
        return len(load(db, f"s{number}"))

    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(6))) == [10] * 6
    assert len(db.get_bar_overview()) == 6


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(
        st.datetimes(datetime(1971, 1, 1), datetime(2105, 1, 1)),  # noqa: DTZ001 (hypothesis wants them so)
        min_size=1,
        max_size=20,
        unique=True,
    ),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe"]),
)
def test_any_moment_comes_back_to_the_microsecond(store: HistoryStore, moments: list[datetime], zone: str) -> None:
    db = HistoryDatabase(store, ZoneInfo(zone))
    db.delete_tick_data("rb2501", SHFE)
    ticks = [tick(0) for _ in moments]
    for one, moment in zip(ticks, moments, strict=True):
        one.datetime = one.localtime = moment.replace(tzinfo=UTC)
    db.save_tick_data(ticks)
    loaded = db.load_tick_data("rb2501", SHFE, *WIDE)
    expected = [moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for moment in sorted(moments)]
    assert [one.datetime.astimezone(UTC) for one in loaded] == [moment.astimezone(UTC) for moment in expected]
    assert [(one.datetime.isoformat(), one.datetime.fold) for one in loaded] == [
        (moment.isoformat(), moment.fold) for moment in expected
    ]
    assert [one.localtime for one in loaded] == [one.datetime for one in loaded]


@pytest.fixture
def installed(store: HistoryStore) -> Iterator[HistoryDatabase]:
    before = database.database
    yield history_database.install(store)
    database.database = before


def test_vn_py_returns_what_was_installed(installed: HistoryDatabase) -> None:
    assert database.get_database() is installed


def test_vn_pys_data_manager_works_on_it(installed: HistoryDatabase, tmp_path: Path) -> None:
    manager = ManagerEngine(None, None)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [f"2024-01-02 09:0{minute}:00,{minute + 1},{minute + 3},{minute},{minute + 2},7,8,9" for minute in range(4)]
    source.write_text("\n".join(["t,o,h,l,c,v,a,i", *lines]))
    heads = ("t", "o", "h", "l", "c", "v", "a", "i", "%Y-%m-%d %H:%M:%S")
    manager.import_data_from_csv(str(source), "rb2501", SHFE, MINUTE, "Asia/Shanghai", *heads)
    overview = manager.get_bar_overview()
    assert [(item.symbol, item.count, item.start) for item in overview] == [("rb2501", 4, START)]
    assert manager.output_data_to_csv(str(target), "rb2501", SHFE, MINUTE, *WIDE)
    assert len(target.read_text().split()) > 4
    assert manager.delete_bar_data("rb2501", SHFE, MINUTE) == 4


def test_vn_pys_back_tester_loads_from_it(installed: HistoryDatabase) -> None:
    installed.save_bar_data([bar(minute) for minute in range(6)])
    wall = START.replace(tzinfo=None)
    load_bar_data.cache_clear()
    found = load_bar_data("rb2501", SHFE, MINUTE, wall, wall + timedelta(minutes=5))
    assert len(found) == 6
    windows: list[BarData] = []
    generator = BarGenerator(lambda one: None, 3, windows.append)
    for one in found:
        generator.update_bar(one)
    assert [one.volume for one in windows] == [33, 42]
