"""A report that grows is compared piece by piece: that must find what a comparison of the whole finds."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.facts import account, intent, order, position, trade
from vnpy.event import Event as VnEvent
from vnpy.trader import constant
from vnpy.trader.object import AccountData, OrderData, PositionData, TradeData

from vnpy_core.data.read_model import ReadModel
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.venue_reports import VenueReport, VenueReports
from vnpy_core.enums import Direction, Offset, OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model, OrderIntent
from vnpy_core.trading.comparison import Comparison
from vnpy_core.trading.reconciliation import Difference, Known, Resolution, take_known

CREATED = datetime.fromisoformat("2026-01-05T01:30:00+00:00")
SYMBOLS = ("rb2501", "hc2501")
NUMBERS = st.integers(1, 6)
DOUBTFUL = [
    msgspec.structs.replace(
        intent(number, "UNKNOWN"), intent_id=f"{number:032x}", direction=Direction.LONG, offset=Offset.OPEN,
        created="2026-01-05T01:30:00.000000+00:00",
    )
    for number in (1, 2, 3)
]  # fmt: skip


def orders() -> st.SearchStrategy[OrderData]:
    """A mark stays with its order, once the venue has handed it back."""
    marks = st.sampled_from(["", "desk~{:032x}", "CtaStrategy_demo"])
    return st.builds(
        lambda number, status, price, volume, mark: OrderData(
            "SIM", "rb2501", constant.Exchange.SHFE, str(number), constant.OrderType.LIMIT, constant.Direction.LONG,
            constant.Offset.OPEN, price, volume, 0, status, CREATED, mark.format(number),
        ),
        NUMBERS, st.sampled_from([constant.Status.NOTTRADED, constant.Status.CANCELLED]),
        st.sampled_from([3500.0, 3501.0]), st.sampled_from([1.0, 2.0]), marks,
    )  # fmt: skip


def trades() -> st.SearchStrategy[TradeData]:
    sides, offsets = st.sampled_from(list(constant.Direction)[:2]), st.sampled_from(list(constant.Offset))
    return st.builds(
        lambda number, symbol, side, offset, volume: TradeData(
            "SIM", symbol, constant.Exchange.SHFE, "1", f"T{number}", side, offset, 3500.0, volume, CREATED
        ),
        NUMBERS, st.sampled_from(SYMBOLS), sides, offsets, st.sampled_from([1.0, 2.0]),
    )  # fmt: skip


def positions() -> st.SearchStrategy[PositionData]:
    return st.builds(
        lambda symbol, direction, volume: PositionData("SIM", symbol, constant.Exchange.SHFE, direction, volume),
        st.sampled_from(SYMBOLS), st.sampled_from(list(constant.Direction)), st.sampled_from([0.0, 1.0, 3.0]),
    )  # fmt: skip


TOLD = st.one_of(orders(), trades(), positions(), st.just(AccountData("SIM", "SIM", 1e6)))
LOOK = st.lists(st.sampled_from(DOUBTFUL), unique_by=lambda each: each.intent_id, max_size=3)
KNOWN = st.lists(
    st.sampled_from([
        order(1), order(2, OrderStatus.CANCELLED), order(3), trade(1), trade(2, volume=2.0), position(volume=1.0),
        position("hc2501", volume=3.0), account(9e5),
    ]),
    unique_by=lambda fact: fact.key,
)  # fmt: skip


class Taps:
    """Hands to each tap what is told, as the event engine does."""

    def __init__(self) -> None:
        self._taps: dict[str, Callable[[VnEvent], None]] = {}
        self.reports = VenueReports(cast(CoreEventEngine, self))

    def tap(self, type: str, handler: Callable[[VnEvent], None]) -> None:
        self._taps[type] = handler

    def tell(self, data: Any) -> None:
        kinds = {OrderData: "eOrder.", TradeData: "eTrade.", PositionData: "ePosition.", AccountData: "eAccount."}
        self._taps[kinds[type(data)]](VnEvent(kinds[type(data)], data))

    def since(self, comparison: Comparison) -> VenueReport:
        found = self.reports.since("SIM", comparison.began, comparison.version)
        assert found is not None
        return found


def known_of(facts: Sequence[Model]) -> Known:
    tables = ReadModel()
    for seq, fact in enumerate(facts, 1):
        event = Event(fact)
        event.seq = seq
        tables.apply([event])
    return take_known(tables, "SIM")


def found_by(comparison: Comparison, doubtful: Sequence[OrderIntent]) -> dict[tuple[str, str], Difference]:
    found = comparison.look(doubtful) + comparison.settled()
    return {
        (each.kind, each.key): msgspec.structs.replace(each, vt_orderids=sorted(each.vt_orderids)) for each in found
    }


@settings(max_examples=200, deadline=None, derandomize=True)
@given(facts=KNOWN, steps=st.lists(TOLD | LOOK, max_size=30), anew=st.integers(0, 60))
def test_piece_by_piece_finds_what_the_whole_finds(facts: list[Model], steps: list[Any], anew: int) -> None:
    known, taps = known_of(facts), Taps()
    taps.reports.begin_threadsafe("SIM")
    piecewise, became = Comparison(known), set[tuple[str, str]]()
    for number, step in enumerate([*steps, DOUBTFUL]):
        if number == anew:  # the connection was lost, and there is another one
            taps.reports.begin_threadsafe("SIM")
            became.clear()
        if not isinstance(step, list):
            taps.tell(step)
            continue
        piecewise.hear(taps.since(piecewise))
        whole = Comparison(known)
        whole.hear(taps.since(whole))
        found, expected = found_by(piecewise, step), found_by(whole, step)
        became |= {("order", each.vt_orderids[0]) for each in found.values() if each.resolution is Resolution.SENT}
        for key in became:  # an order that an intent has become is nobody else's, also when that is long settled
            if key in expected and expected[key].resolution is Resolution.EXTERNAL:
                del expected[key]
        assert found == expected
        assert piecewise.counts() == whole.counts()


def test_what_is_not_new_is_not_looked_at_again() -> None:
    """Of ten thousand orders told before, one that changes is all that a look costs."""
    taps = Taps()
    taps.reports.begin_threadsafe("SIM")
    for number in range(10_000):
        taps.tell(OrderData("SIM", "rb2501", constant.Exchange.SHFE, str(number), volume=1.0))
    comparison = Comparison(known_of([account()]))
    comparison.hear(taps.since(comparison))
    taps.tell(OrderData("SIM", "rb2501", constant.Exchange.SHFE, "77", volume=1.0, status=constant.Status.CANCELLED))
    taps.tell(OrderData("SIM", "rb2501", constant.Exchange.SHFE, "78", volume=1.0))
    news = taps.since(comparison)
    assert list(news.orders) == ["SIM.77"]
    assert (news.trades, news.positions) == ({}, {})
    comparison.hear(news)
    assert taps.since(comparison).orders == {}
    assert comparison.counts()["orders"] == 10_000
    assert comparison.look([]) == []
    assert len(comparison.settled()) == 10_001
