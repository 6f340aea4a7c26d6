"""Read model: latest states, stable pages, bounded finals."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts import account, gateway, log, order, position, strategy, tick, trade

from vnpy_core.data.read_model import ReadModel, Table
from vnpy_core.enums import OrderStatus, StrategyState
from vnpy_core.errors import Invalid
from vnpy_core.events import Event
from vnpy_core.models import Model, Order


def table_of(count: int, keep_final: int | None = None) -> Table:
    table = Table("orders", keep_final)
    for number in range(1, count + 1):
        table.put(Event(order(number)))
    return table


def keys(events: Sequence[Event]) -> list[str]:
    return [event.data.key for event in events]


def all_pages(table: Table, limit: int) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        events, after = table.page(None, after, limit)
        found += keys(events)
        if after is None:
            return found


def test_each_kind_has_its_table_and_logs_their_ring() -> None:
    model = ReadModel()
    told: list[Model] = [order(), trade(), position(), account(), strategy(), gateway(), tick(), log("a"), log("b")]
    model.apply([Event(data) for data in told])
    tables = (
        model.orders, model.trades, model.positions, model.accounts, model.strategies, model.gateways, model.ticks,
    )  # fmt: skip
    assert [keys(list(table.values())) for table in tables] == [[data.key] for data in told[:7]]
    assert [event.data for event in model.logs] == told[7:]


def test_the_latest_state_replaces_the_earlier_and_keeps_its_place() -> None:
    table = table_of(3)
    version = table.version
    later = Event(order(1, OrderStatus.PARTTRADED))
    table.put(later)
    assert table.get("SIM.1") is later
    assert keys(list(table.values())) == ["SIM.1", "SIM.2", "SIM.3"]
    assert table.version > version
    assert len(table) == 3
    assert table.get("SIM.4") is None


def test_the_log_ring_forgets_the_oldest() -> None:
    model = ReadModel()
    model.apply([Event(log(str(number))) for number in range(1500)])
    assert len(model.logs) == 1000
    assert msgspec.json.decode(model.logs[0].payload)["message"] == "500"


@given(count=st.integers(0, 30), limit=st.integers(1, 12))
def test_pages_make_up_the_table(count: int, limit: int) -> None:
    assert all_pages(table_of(count), limit) == [f"SIM.{number}" for number in range(1, count + 1)]


def test_a_filter_applies_before_the_limit() -> None:
    table = table_of(3000)
    wanted, cursor = table.page(lambda data: data.key.endswith("99"), None, 20)
    assert keys(wanted) == [f"SIM.{number}" for number in range(99, 2000, 100)]
    rest, end = table.page(lambda data: data.key.endswith("99"), cursor, 20)
    assert keys(rest) == [f"SIM.{number}" for number in range(2099, 3000, 100)]
    assert end is None


def test_a_last_page_that_is_just_full_has_no_cursor() -> None:
    events, cursor = table_of(4).page(None, None, 4)
    assert (len(events), cursor) == (4, None)


@given(
    limit=st.integers(1, 5),
    between=st.lists(
        st.lists(st.tuples(st.sampled_from(["add", "update", "finish"]), st.integers(0, 40)), max_size=6), max_size=6
    ),
)
def test_a_walk_sees_every_row_that_stays_exactly_once(limit: int, between: list[list[tuple[str, int]]]) -> None:
    table = table_of(12, keep_final=2)
    seen: list[str] = []
    after, first, added = None, True, 0
    changes = iter(between)
    while first or after is not None:
        events, after = table.page(None, after, limit)
        seen += keys(events)
        first = False
        for what, number in next(changes, []):
            known = table.get(f"SIM.{number}")
            if what == "add":
                added += 1
                table.put(Event(order(f"new{added}")))
            elif known is not None and isinstance(known.data, Order):
                status = OrderStatus.CANCELLED if what == "finish" else known.data.status
                table.put(Event(order(number, status, price=float(added))))
    stayed = [event.data.key for event in table.values() if not event.data.key.startswith("SIM.new")]
    assert len(set(seen)) == len(seen)
    assert set(stayed) <= set(seen)


@pytest.mark.parametrize("cursor", ["", "orders", "orders-", "orders-xyz", "trades-1", "orders-1 ", "ORDERS-1", "-1"])
def test_a_cursor_of_something_else_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="next_cursor"):
        table_of(2).page(None, cursor, 1)


def test_the_finals_that_changed_longest_ago_are_evicted() -> None:
    model = ReadModel(keep_final=2)
    model.apply([Event(order(number)) for number in range(1, 7)])
    for number in (5, 3, 1, 3, 4):
        model.apply([Event(order(number, OrderStatus.CANCELLED, price=float(number)))])
        model.apply([Event(order(number, OrderStatus.CANCELLED))])
    assert keys(list(model.orders.values())) == ["SIM.2", "SIM.3", "SIM.4", "SIM.6"]
    assert model.orders.evicted == 2


def test_active_orders_are_never_evicted() -> None:
    model = ReadModel(keep_final=1)
    model.apply([Event(order(number)) for number in range(50)])
    model.apply([Event(trade(number)) for number in range(50)])
    assert len(model.orders) == 50
    assert keys(list(model.trades.values())) == ["SIM.T49@SIM.1"]


def test_eviction_keeps_pages_right_and_memory_bounded() -> None:
    table = Table("orders", keep_final=10)
    for number in range(5000):
        table.put(Event(order(number, OrderStatus.CANCELLED)))
    assert all_pages(table, 3) == [f"SIM.{number}" for number in range(4990, 5000)]
    assert table.evicted == 4990
    events, cursor = table.page(None, "orders-1386", 2)  # the cursor of a row that is long gone
    assert (keys(events), cursor) == (["SIM.4998", "SIM.4999"], None)


def test_a_key_that_lives_again_is_a_new_row() -> None:
    model = ReadModel()
    model.apply([Event(order(1, OrderStatus.CANCELLED)), Event(order(2)), Event(order(1))])
    assert keys(list(model.orders.values())) == ["SIM.2", "SIM.1"]


def test_a_removed_strategy_goes() -> None:
    model = ReadModel()
    model.apply([Event(strategy("a")), Event(strategy("b")), Event(strategy("a", StrategyState.REMOVED))])
    assert keys(list(model.strategies.values())) == ["b"]
    model.apply([Event(strategy("a"))])
    assert keys(list(model.strategies.values())) == ["b", "a"]


def test_an_unfiltered_page_far_down_a_large_table_looks_at_its_rows_alone() -> None:
    table = table_of(20_000)
    looked_at = 0

    class Counting(list[Event | None]):
        def __getitem__(self, index: object) -> object:  # type: ignore[override]
            nonlocal looked_at
            found = super().__getitem__(index)  # type: ignore[call-overload]
            looked_at += len(found) if isinstance(found, list) else 1
            return found

    table._events = Counting(table._events)
    events, _ = table.page(None, f"orders-{15_000:x}", 100)
    assert keys(events[:1]) == ["SIM.15001"]
    assert looked_at <= 202
