"""Past orders and trades: SQL and memory make one list, page by page, whatever happens between two pages."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import facts
from tests.memory_facts import MemoryFacts

from vnpy_core.data.fact_queries import Place
from vnpy_core.data.past import PastFacts, PastPage, decode_cursor, encode_cursor
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model, Order, Trade
from vnpy_core.trading.filters import OrderFilter, TradeFilter

ALL = OrderFilter()


def at(second: int) -> str:
    return f"2026-01-05T01:{second // 60:02}:{second % 60:02}.000000+00:00"


class World:
    """A read model and the tables behind it; what was told to the one is recorded in the other later."""

    identity = 1

    def __init__(self, keep_final: int = 100) -> None:
        self.tables = MemoryFacts()
        self.read_model = ReadModel(keep_final)
        self.past = PastFacts(self.tables, self.read_model, self)
        self.told: list[Event] = []
        self.latest: dict[str, Event] = {}

    def tell(self, model: Model, ts: str = facts.WHEN) -> None:
        event = Event(model, ts=ts, seq=len(self.told) + 1)
        self.told.append(event)
        self.latest[model.key] = event
        self.read_model.apply([event])

    def record(self, count: int | None = None) -> None:
        """Write the next ``count`` facts."""
        seq = self.tables.seq
        self.tables.record(self.told[seq : None if count is None else seq + count])

    async def orders(self, limit: int = 1000, which: OrderFilter = ALL, **options: Any) -> list[dict[str, Any]]:
        """Return all pages joined."""
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.page(limit, cursor, which, **options)
            rows += ids(page)
            assert len(page.payloads) == limit or page.next_cursor is None
            if (cursor := page.next_cursor) is None:
                return rows

    async def page(
        self,
        limit: int,
        cursor: str | None = None,
        which: OrderFilter = ALL,
        start: str | None = None,
        end: str | None = None,
    ) -> PastPage:
        return await self.past.orders(which, start, end, cursor, limit)


def ids(page: PastPage) -> list[Any]:
    return [msgspec.json.decode(payload) for payload in page.payloads]


def numbers(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["orderid"] for row in rows]


DONE = OrderStatus.ALLTRADED


async def test_rows_are_byte_for_byte_those_that_were_shown() -> None:
    world = World()
    world.tell(facts.order(1, DONE, price=None, reference="均线", datetime=at(1)))
    world.record()
    world.tell(facts.order(2, datetime=at(2)))
    page = await world.page(10)
    assert page.payloads == [event.payload for event in world.told]


async def test_what_sql_has_not_yet_is_neither_missing_nor_stale() -> None:
    world = World()
    world.tell(facts.order(1, OrderStatus.NOTTRADED, datetime=at(5)))
    world.tell(facts.order(3, DONE, datetime=at(7)))
    world.record()
    world.tell(facts.order(1, DONE, traded=5.0, datetime=at(5)))
    world.tell(facts.order(2, datetime=at(6)))
    rows = await world.orders()
    assert [(row["orderid"], row["status"]) for row in rows] == [
        ("1", "ALLTRADED"), ("2", "NOTTRADED"), ("3", "ALLTRADED"),
    ]  # fmt: skip
    # An order that is no longer what was asked for must not come in its older state.
    assert await world.orders(which=OrderFilter(status=OrderStatus.NOTTRADED, vt_symbol="rb2501.SHFE")) == [rows[1]]
    assert await world.orders(which=OrderFilter(active=False)) == [rows[0], rows[2]]


async def test_an_order_without_a_time_stands_at_the_time_of_its_latest_state() -> None:
    world = World()
    world.tell(facts.order(1, datetime=None), ts=at(3))
    world.tell(facts.order(2, datetime=at(4)), ts=at(1))
    world.record()
    world.tell(facts.order(3, datetime=None), ts=at(2))
    assert numbers(await world.orders()) == ["3", "1", "2"]
    world.tell(facts.order(3, DONE, datetime=None), ts=at(9))
    assert numbers(await world.orders()) == ["1", "2", "3"]
    assert numbers(await world.orders(start=at(3), end=at(4))) == ["1", "2"]


async def test_a_range_has_both_its_ends_and_may_be_empty() -> None:
    world = World()
    for second in range(10):
        world.tell(facts.order(second, datetime=at(second)))
        if second == 6:
            world.record()
    assert numbers(await world.orders(start=at(3), end=at(8))) == ["3", "4", "5", "6", "7", "8"]
    assert await world.orders(start=at(8), end=at(3)) == []
    assert await world.orders(start=at(10)) == []


STEPS = st.lists(
    st.tuples(
        st.integers(0, 8),  # the order
        st.sampled_from([OrderStatus.NOTTRADED, DONE]),
        st.none() | st.integers(0, 3),  # its time: often equal ones
        st.integers(0, 3),  # how many facts the recorder writes then
    ),
    max_size=30,
)


@given(steps=STEPS, limit=st.integers(1, 5), end=st.none() | st.integers(0, 3))
async def test_pages_joined_equal_the_whole(steps: list[Any], limit: int, end: int | None) -> None:
    world = World()
    for when, (number, status, second, recorded) in enumerate(steps):
        order = facts.order(number, status, datetime=None if second is None else at(second))
        world.tell(order, ts=at(when))
        world.record(recorded)
    last = None if end is None else at(end)
    expected = sorted(
        (event.data.datetime or event.ts, event.data.vt_orderid)  # type: ignore[attr-defined]
        for event in world.latest.values()
    )
    whole = [key for moment, key in expected if last is None or moment <= last]
    assert [row["vt_orderid"] for row in await world.orders(limit, end=last)] == whole


@given(
    before=st.sets(st.integers(0, 40), max_size=20), between=st.lists(st.sets(st.integers(41, 99), max_size=4)),
    limit=st.integers(1, 4), lag=st.integers(0, 5),
)  # fmt: skip
async def test_rows_that_come_between_two_pages_move_no_others(
    before: set[int], between: list[set[int]], limit: int, lag: int
) -> None:
    world = World()
    for number in before:
        world.tell(facts.order(f"{number:03}", datetime=at(number // 7)))
    world.record(max(0, len(before) - lag))
    found: list[str] = []
    cursor = None
    while True:
        page = await world.page(limit, cursor)
        found += numbers(ids(page))
        if (cursor := page.next_cursor) is None:
            break
        for number in between.pop() if between else ():
            world.tell(facts.order(f"{number:03}", DONE, datetime=at(number // 7)))
        world.record(2)
    assert len(found) == len(set(found))
    assert {f"{number:03}" for number in before} <= set(found)
    assert found == sorted(found)


async def test_orders_that_memory_has_no_longer_come_from_sql() -> None:
    world = World(keep_final=3)
    for number in range(1, 11):
        world.tell(facts.order(number, DONE, datetime=at(number)))
        world.record()
    assert len(world.read_model.orders) == 3
    assert numbers(await world.orders(4)) == [str(number) for number in range(1, 11)]
    assert msgspec.json.decode(await world.past.order("SIM.2") or b"")["orderid"] == "2"
    assert await world.past.order("SIM.99") is None


async def test_what_is_neither_in_sql_nor_in_memory_is_not_left_out_in_silence() -> None:
    world = World(keep_final=3)
    for number in range(1, 7):
        world.tell(facts.order(number, DONE, datetime=at(number)))
    with pytest.raises(Unavailable, match="catching up"):
        await world.orders()
    with pytest.raises(Unavailable, match="catching up"):
        await world.past.order("SIM.1")
    world.record(2)
    with pytest.raises(Unavailable):
        await world.orders()
    world.record(1)
    assert numbers(await world.orders()) == ["1", "2", "3", "4", "5", "6"]


async def test_what_the_database_refused_is_answered_from_memory() -> None:
    world = World()
    world.tables.letters = {2, 3}
    world.tell(facts.order(1, datetime=at(1)))
    world.tell(facts.order(1, DONE, datetime=at(1), reference="refused"))
    world.tell(facts.order(2, DONE, datetime=at(2), reference="refused"))
    world.record()
    rows = await world.orders()
    assert [(row["orderid"], row["status"]) for row in rows] == [("1", "ALLTRADED"), ("2", "ALLTRADED")]


async def test_both_sides_of_a_self_trade_are_listed() -> None:
    world = World()
    for number in (2, 1):
        world.tell(facts.trade(1, vt_orderid=f"SIM.{number}"))
    world.record(1)
    first = await world.past.trades(TradeFilter(), None, None, None, 1)
    second = await world.past.trades(TradeFilter(), None, None, first.next_cursor, 1)
    assert [row["vt_orderid"] for row in ids(first) + ids(second)] == ["SIM.1", "SIM.2"]
    assert second.next_cursor is None
    only = await world.past.trades(TradeFilter(vt_orderid="SIM.2"), None, None, None, 5)
    assert [row["vt_orderid"] for row in ids(only)] == ["SIM.2"]


@given(st.datetimes(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_a_cursor_names_a_place(moment: Any, text: str) -> None:
    place = Place(moment.isoformat(timespec="microseconds") + "+00:00", (text, "SIM.1"))
    cursor = encode_cursor("trades", place)
    assert decode_cursor("trades", Trade, cursor) == place


@given(st.from_regex(r"orders-[0-9a-f]{1,16}(-([0-9a-f]{2})+)?", fullmatch=True))
def test_any_cursor_of_the_documented_form_is_a_place(cursor: str) -> None:
    place = decode_cursor("orders", Order, cursor)
    assert len(place.ids) == 1
    assert "\0" not in place.ids[0]


@pytest.mark.parametrize("cursor", ["", "trades-1", "orders-", "orders-1-2", "orders-xyz", "orders-1-00\n"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="no cursor of this list"):
        decode_cursor("orders", Order, cursor)
