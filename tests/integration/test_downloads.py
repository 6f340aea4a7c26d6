"""Downloads: whom bars are asked of, what is stored, and what is said when there are none."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.datafeed import BaseDatafeed
from vnpy.trader.object import BarData, HistoryRequest

from tests.integration.engine_room import NOON, SYMBOL, WAIT_S, Room, engine_room
from vnpy_core import enums
from vnpy_core.engine.downloads import HistoryDownloads
from vnpy_core.errors import Conflict, CoreError, Invalid, NotFound, Unavailable

MINUTE = enums.Interval.MINUTE
DAILY = enums.Interval.DAILY


class Source(BaseDatafeed):
    """A datafeed, and what a gateway's history is made of: a bar every six hours, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[HistoryRequest] = []
        self.says: list[str] = []
        self.raises: BaseException | None = None
        self.knows_no_end = False
        self.first = NOON - timedelta(days=300)
        self.answers = threading.Event()
        self.answers.set()

    def query_bar_history(self, req: HistoryRequest, output: Callable[[str], Any] = print) -> list[BarData]:
        self.asked.append(req)
        assert self.answers.wait(WAIT_S)
        for line in self.says:
            output(line)
        if self.raises is not None:
            raise self.raises
        end = NOON if self.knows_no_end else req.end
        assert end is not None
        count = (NOON - self.first) // timedelta(hours=6) + 1
        moments = [self.first + n * timedelta(hours=6) for n in range(count)]
        return [
            BarData("SOURCE", req.symbol, req.exchange, moment, req.interval, close_price=3500)
            for moment in moments
            if req.start <= moment <= end
        ]


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path / "data", runtime_dir) as made:
        made.start()
        yield made


@pytest.fixture
def source() -> Source:
    return Source()


def gateway_of(room: Room, source: Source, *, history_data: bool = True) -> None:
    room.gateway.query_history = source.query_bar_history  # type: ignore[assignment]
    room.gateway.contract("rb2505", history_data=history_data)
    room.settle()


def downloads(room: Room, datafeed: BaseDatafeed | None = None, **options: Any) -> HistoryDownloads:
    return HistoryDownloads(room.main_engine, room.database, datafeed or BaseDatafeed(), **options)


def fetch(made: HistoryDownloads, start: datetime, end: datetime = NOON, **options: Any) -> Any:
    return made.begin(options.pop("vt_symbol", SYMBOL), MINUTE, start, end, **options).result(WAIT_S)


@pytest.mark.parametrize("knows_no_end", [False, True])
def test_bars_of_the_gateway_are_stored_a_part_at_a_time_each_once(
    room: Room, source: Source, knows_no_end: bool
) -> None:
    gateway_of(room, source)
    source.knows_no_end = knows_no_end
    done = fetch(downloads(room), NOON - timedelta(days=200))
    moments = [bar.datetime for bar in room.database.bars]
    assert moments == [NOON - timedelta(days=200) + n * timedelta(hours=6) for n in range(801)]
    assert (done.source, done.count, done.vt_symbol, done.interval) == ("PROBE", 801, SYMBOL, MINUTE)
    assert (done.start, done.end) == ("2025-06-19T04:00:00.000000+00:00", "2026-01-05T04:00:00.000000+00:00")
    assert len(source.asked) == (1 if knows_no_end else 3)
    assert {(req.vt_symbol, req.interval) for req in source.asked} == {(SYMBOL, Interval.MINUTE)}


def test_a_gap_of_some_parts_ends_nothing(room: Room, source: Source) -> None:
    gateway_of(room, source)
    source.first = NOON - timedelta(days=2)
    assert fetch(downloads(room), NOON - timedelta(days=400)).count == 9


def test_daily_bars_are_asked_for_at_once(room: Room, source: Source) -> None:
    gateway_of(room, source)
    done = downloads(room).begin(SYMBOL, DAILY, NOON - timedelta(days=1000), NOON).result(WAIT_S)
    assert (done.interval, len(source.asked)) == (DAILY, 1)


def test_nothing_is_asked_for_of_the_time_before_there_was_any(room: Room, source: Source) -> None:
    gateway_of(room, source)
    assert fetch(downloads(room), datetime(1, 1, 1, tzinfo=UTC)).count == 1201
    assert source.asked[0].start == datetime(1990, 1, 1, tzinfo=NOON.tzinfo)


def test_without_an_end_it_is_now(room: Room, source: Source) -> None:
    gateway_of(room, source)
    before = datetime.now(NOON.tzinfo)
    downloads(room).begin(SYMBOL, MINUTE, NOON - timedelta(days=1)).result(WAIT_S)
    assert source.asked[-1].end is not None
    assert source.asked[-1].end >= before


@pytest.mark.parametrize("contract", ["none", "without history", "replayed", "offline"])
def test_the_datafeed_is_asked_when_no_gateway_can_be(room: Room, source: Source, contract: str) -> None:
    if contract != "none":
        gateway_of(room, source, history_data=contract != "without history")
    if contract == "offline":
        room.main_engine.set_online("PROBE", "is DISCONNECTED")
    feed = Source()
    made = downloads(room, feed, replays=lambda name: contract == "replayed")
    done = fetch(made, NOON - timedelta(days=1))
    assert (done.source, done.count) == ("datafeed", 5)
    assert source.asked == []


@pytest.mark.parametrize(
    ("contract", "error", "code", "words"),
    [
        ("none", NotFound, "unknown_contract", "no gateway has told of.*datafeed.name"),
        ("without history", Conflict, "no_datafeed", "gives no history.*datafeed.name.*data import"),
        ("replayed", Conflict, "gateway_replays", "PROBE replays"),
        ("offline", Unavailable, "gateway_not_connected", "PROBE is DISCONNECTED: connect it"),
    ],
)
def test_without_a_datafeed_it_is_said_what_to_do(
    room: Room, source: Source, contract: str, error: type[CoreError], code: str, words: str
) -> None:
    if contract != "none":
        gateway_of(room, source, history_data=contract != "without history")
    if contract == "offline":
        room.main_engine.set_online("PROBE", "is DISCONNECTED")
    made = downloads(room, replays=lambda name: contract == "replayed")
    with pytest.raises(error, match=words) as caught:
        fetch(made, NOON - timedelta(days=1))
    assert caught.value.error_code == code


def test_a_source_that_has_nothing_or_fails_says_so(room: Room, source: Source) -> None:
    gateway_of(room, source)
    made = downloads(room)
    source.first = NOON + timedelta(days=1)
    with pytest.raises(NotFound, match=r"PROBE has no MINUTE bars of rb2505\.SHFE from 2026-01-04") as caught:
        fetch(made, NOON - timedelta(days=1))
    assert caught.value.error_code == "no_data"
    source.raises = ZeroDivisionError("of the line")
    with pytest.raises(Unavailable, match="PROBE raised ZeroDivisionError"):
        fetch(made, NOON - timedelta(days=1))
    assert room.database.bars == []

    feed = Source()
    feed.first, feed.says = NOON + timedelta(days=1), ["the password is wrong"]
    with pytest.raises(Unavailable, match="datafeed has given nothing: the password is wrong"):
        fetch(downloads(room, feed), NOON - timedelta(days=1), vt_symbol="IF2606.CFFEX")
    feed.first = NOON
    assert fetch(downloads(room, feed), NOON - timedelta(days=1), vt_symbol="IF2606.CFFEX").notes == feed.says


@pytest.mark.parametrize(
    ("error", "options"),
    [(NotFound, {"gateway_name": "NOBODY"}), (Invalid, {"start": NOON}), (Invalid, {"start": NOON.replace(year=9999)})],
)
def test_a_wrong_question_is_refused(
    room: Room, source: Source, error: type[CoreError], options: dict[str, Any]
) -> None:
    gateway_of(room, source)
    with pytest.raises(error):
        fetch(downloads(room), **{"start": NOON - timedelta(days=1)} | options)
    assert source.asked == []


def test_two_run_at_a_time_and_none_twice(room: Room, source: Source) -> None:
    feed = Source()
    feed.answers.clear()
    made = downloads(room, feed)
    start = NOON - timedelta(days=1)
    running = [made.begin(name, MINUTE, start, NOON) for name in ("a.SHFE", "b.SHFE")]
    for name, code in (("a.SHFE", "download_running"), ("c.SHFE", "downloads_busy")):
        with pytest.raises(Conflict) as caught:
            made.begin(name, MINUTE, start, NOON)
        assert caught.value.error_code == code
    feed.answers.set()
    assert [each.result(WAIT_S).count for each in running] == [5, 5]
    assert fetch(made, start, vt_symbol="c.SHFE").count == 5


def test_closing_ends_them_between_two_parts(room: Room) -> None:
    feed = Source()
    feed.answers.clear()
    made = downloads(room, feed)
    running = made.begin("a.SHFE", MINUTE, NOON - timedelta(days=300), NOON)
    made.close(timeout_s=0)
    feed.answers.set()
    with pytest.raises(Unavailable, match="stopping"):
        running.result(WAIT_S)
    assert len(feed.asked) == 1
    with pytest.raises(Unavailable, match="stopping"):
        made.begin("a.SHFE", MINUTE, NOON - timedelta(days=1), NOON)


def test_what_another_symbol_has_is_left_out(room: Room, source: Source) -> None:
    gateway_of(room, source)
    room.gateway.query_history = lambda req: [  # type: ignore[assignment,method-assign]
        BarData("PROBE", symbol, Exchange.SHFE, NOON.replace(tzinfo=None), Interval.MINUTE)
        for symbol in ("rb2505", "other")
    ]
    assert fetch(downloads(room), NOON - timedelta(days=1)).count == 1
    assert [bar.datetime for bar in room.database.bars] == [NOON]
