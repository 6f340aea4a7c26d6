"""Pipeline: nobody sees a fact before it is on disk, in order and once; a failing journal loses and shows nothing."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.facts import account, intent, log, order, position, tick, trade

from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Log, Model, Order, Tick

FULL = "The journal cannot be written: the disk is full."


class Disk:
    """A journal in memory, that can be held up and be full."""

    def __init__(self) -> None:
        self.written: list[Event] = []
        self.batches: list[int] = []
        self.checks = 0
        self.full = False
        self.failure: Exception | None = None
        self.asked = asyncio.Condition()
        self.free = asyncio.Event()
        self.free.set()

    async def append(self, events: Sequence[Event]) -> None:
        await self._turn()
        for seq, event in enumerate(events, len(self.written) + 1):
            event.seq = seq
        self.written += events
        self.batches.append(len(events))

    async def check(self) -> None:
        self.checks += 1
        await self._turn()

    async def _turn(self) -> None:
        async with self.asked:
            self.asked.notify_all()
        await self.free.wait()
        if self.failure is not None:
            raise self.failure
        if self.full:
            raise Unavailable(FULL)


class Desk:
    """A pipeline, its disk and read model, and what a subscriber was shown."""

    def __init__(self) -> None:
        self.disk, self.state = Disk(), ReadModel()
        self.pipeline = Pipeline(self.disk, self.state, backoff_s=(0.001, 0.004))
        self.shown: list[Event] = []
        self.pipeline.subscribe(self._on_events)

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.is_fact:
                assert event in self.disk.written, "shown before it was on disk"
        self.shown += events

    def accept(self, *models: Model) -> None:
        self.pipeline.accept([Event(model) for model in models])

    async def drained(self) -> list[Model]:
        async with asyncio.timeout(5):
            await self.pipeline.drain()
        return [event.data for event in self.shown]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_facts_are_shown_after_their_commit_with_their_numbers(desk: Desk) -> None:
    desk.disk.free.clear()
    desk.accept(order(1), trade(1))
    async with desk.disk.asked:
        await desk.disk.asked.wait()
    assert (desk.shown, desk.state.orders.get("SIM.1"), desk.pipeline.pending) == ([], None, 2)
    desk.disk.free.set()
    assert await desk.drained() == [order(1), trade(1)]
    assert [event.seq for event in desk.shown] == [1, 2]
    assert desk.state.orders.get("SIM.1") is desk.shown[0]
    assert desk.pipeline.pending == 0


async def test_market_data_and_logs_do_not_wait(desk: Desk) -> None:
    desk.disk.free.clear()
    desk.accept(tick(price=1.0), order(1), log(), tick(price=2.0))
    assert [type(event.data) for event in desk.shown] == [Tick, Log, Tick]
    assert desk.shown[0].seq is None
    assert desk.state.ticks.get("rb2501.SHFE") is desk.shown[2]
    desk.disk.free.set()
    await desk.drained()
    assert desk.disk.written == [desk.shown[3]]


async def test_what_gathers_during_a_commit_makes_the_next_one(desk: Desk) -> None:
    desk.disk.free.clear()
    desk.accept(order(1))
    async with desk.disk.asked:
        await desk.disk.asked.wait()
    for number in range(2, 100):
        desk.pipeline.emit(order(number))
    desk.disk.free.set()
    assert await desk.drained() == [order(number) for number in range(1, 100)]
    assert desk.disk.batches == [1, 98]


async def test_a_commit_returns_the_published_event(desk: Desk) -> None:
    event = await desk.pipeline.commit(order(1))
    assert (event.seq, event.data, desk.shown) == (1, order(1), [event])


async def test_a_commit_of_what_is_known_returns_the_known_event(desk: Desk) -> None:
    first = await desk.pipeline.commit(order(1))
    assert await desk.pipeline.commit(order(1)) is first
    both = await asyncio.gather(desk.pipeline.commit(order(2)), desk.pipeline.commit(order(2)))
    assert both[0] is both[1]
    assert len(desk.disk.written) == 2


async def test_intents_are_journaled_and_shown_to_nobody(desk: Desk) -> None:
    desk.accept(order(1))
    event = await desk.pipeline.commit(intent(1))
    desk.accept(order(2))
    assert await desk.drained() == [order(1), order(2)]
    assert (event.seq, [shown.seq for shown in desk.shown]) == (2, [1, 3])


async def test_echoes_are_dropped_and_counted(desk: Desk) -> None:
    desk.accept(order(1), order(1), trade(1), position())
    await desk.drained()
    desk.accept(order(1), trade(1), trade(2), position(), position(volume=2.0))
    desk.accept(order(1, OrderStatus.SUBMITTING))
    assert await desk.drained() == [order(1), trade(1), position(), trade(2), position(volume=2.0)]
    stats = desk.pipeline.stats()
    assert (stats.duplicates, stats.stale, stats.committed, stats.published) == (4, 1, 5, 5)


async def test_an_order_that_comes_back_without_its_client_id_keeps_it(desk: Desk) -> None:
    desk.accept(order(1, client_order_id="mine"), order(1, OrderStatus.PARTTRADED, traded=2.0))
    desk.accept(order(1, OrderStatus.CANCELLED))
    await desk.drained()
    last = desk.shown[-1]
    assert last.data == order(1, OrderStatus.CANCELLED, traded=2.0, client_order_id="mine")
    assert b'"client_order_id":"mine"' in last.payload


async def test_while_the_journal_fails_facts_wait_and_nothing_is_shown(desk: Desk) -> None:
    desk.disk.full = True
    desk.accept(order(1), tick())
    desk.accept(order(2))
    async with desk.disk.asked:
        await desk.disk.asked.wait_for(lambda: not desk.pipeline.healthy)
    assert [type(event.data) for event in desk.shown] == [Tick]
    assert (desk.pipeline.pending, desk.pipeline.detail, desk.pipeline.stats().healthy) == (2, FULL, False)
    desk.accept(order(1, OrderStatus.CANCELLED), order(1, OrderStatus.CANCELLED))
    desk.disk.full = False
    assert (await desk.drained())[1:] == [order(1), order(2), order(1, OrderStatus.CANCELLED)]
    assert (desk.pipeline.healthy, desk.pipeline.detail, desk.pipeline.pending) == (True, None, 0)
    assert [event.seq for event in desk.shown[1:]] == [1, 2, 3]


async def test_that_the_journal_fails_and_works_again_is_told_once(desk: Desk) -> None:
    told: list[str | None] = []
    desk.pipeline.on_health = told.append
    desk.disk.full = True
    desk.accept(order(1), order(2))
    async with asyncio.timeout(5), desk.disk.asked:
        for _ in range(3):
            await desk.disk.asked.wait()
    desk.accept(order(3))
    assert told == [FULL]
    desk.disk.full = False
    assert len(await desk.drained()) == 3
    assert told == [FULL, None]


async def test_a_refused_commit_is_told_and_never_written(desk: Desk) -> None:
    desk.disk.full = True
    with pytest.raises(Unavailable, match="disk is full"):
        await desk.pipeline.commit(intent(1))
    with pytest.raises(Unavailable, match="disk is full"):
        await desk.pipeline.commit(intent(2))
    assert desk.pipeline.pending == 0
    desk.disk.full = False
    assert await desk.drained() == []
    assert (desk.disk.written, desk.pipeline.healthy) == ([], True)
    assert desk.disk.checks > 0
    assert (await desk.pipeline.commit(intent(1))).seq == 1


async def test_a_refused_commit_that_somebody_else_told_too_is_written(desk: Desk) -> None:
    desk.disk.free.clear()
    desk.disk.full = True
    committing = asyncio.create_task(desk.pipeline.commit(order(1)))
    async with desk.disk.asked:
        await desk.disk.asked.wait()
    desk.accept(order(1))
    desk.disk.free.set()
    with pytest.raises(Unavailable):
        await committing
    desk.disk.full = False
    assert await desk.drained() == [order(1)]


async def test_an_outcome_that_was_refused_can_be_left_to_the_pipeline(desk: Desk) -> None:
    await desk.pipeline.commit(intent(1))
    desk.disk.full = True
    with pytest.raises(Unavailable):
        await desk.pipeline.commit(intent(1, "SENT"))
    desk.pipeline.emit(intent(1, "SENT"))
    desk.disk.full = False
    await desk.drained()
    assert [event.data for event in desk.disk.written] == [intent(1), intent(1, "SENT")]


async def test_a_journal_that_breaks_in_another_way_loses_nothing_either(desk: Desk) -> None:
    desk.disk.failure = ZeroDivisionError("surprise")
    with pytest.raises(Unavailable, match="surprise"):
        await desk.pipeline.commit(order(1))
    desk.accept(order(2))
    desk.disk.failure = None
    assert await desk.drained() == [order(2)]


async def test_a_subscriber_that_raises_harms_no_other(desk: Desk) -> None:
    def broken(events: Sequence[Event]) -> None:
        raise ZeroDivisionError

    seen: list[Event] = []
    desk.pipeline.subscribe(broken)
    desk.pipeline.subscribe(seen.extend)
    desk.accept(order(1), tick())
    await desk.drained()
    desk.accept(order(2))
    await desk.drained()
    assert seen == desk.shown
    assert desk.pipeline.stats().subscriber_errors == 3


async def test_a_subscriber_may_tell_more(desk: Desk) -> None:
    def answer(events: Sequence[Event]) -> None:
        if any(isinstance(event.data, Order) for event in events):
            desk.pipeline.emit(account())

    desk.pipeline.subscribe(answer)
    desk.accept(order(1))
    assert await desk.drained() == [order(1), account()]


async def test_what_nobody_waits_for_goes_with_what_is_waited_for(desk: Desk) -> None:
    desk.pipeline.emit_in_company(account())
    await asyncio.sleep(0)
    assert desk.disk.written == []
    await desk.pipeline.commit(order(1))
    assert [event.data for event in desk.disk.written] == [account(), order(1)]
    assert desk.disk.batches == [2]


async def test_what_nobody_waits_for_does_not_wait_for_ever(desk: Desk) -> None:
    for number in (1, 2):
        desk.pipeline.emit_in_company(order(number))
        async with asyncio.timeout(5):
            while len(desk.disk.written) < number:  # noqa: ASYNC110  it says nothing when it has been written
                await asyncio.sleep(0.001)
    assert [event.data for event in desk.shown] == [order(1), order(2)]


async def test_close_writes_what_nobody_waited_for(desk: Desk) -> None:
    desk.pipeline.emit_in_company(order(1))
    await desk.pipeline.close()
    assert [event.data for event in desk.disk.written] == [order(1)]


async def test_it_is_told_of_all_that_is_written_also_of_what_is_shown_to_nobody(desk: Desk) -> None:
    told: list[int] = []
    desk.pipeline.on_written = lambda: told.append(len(desk.disk.written))
    await desk.pipeline.commit(intent(1))
    await desk.pipeline.commit(order(1))
    desk.accept(tick())
    assert told == [1, 2]
    assert [event.data for event in desk.shown] == [order(1), tick()]


async def test_close_writes_what_waits(desk: Desk) -> None:
    desk.accept(*(order(number) for number in range(5000)))
    await desk.pipeline.close()
    assert len(desk.shown) == len(desk.disk.written) == 5000
    assert max(desk.disk.batches) == 2000
    with pytest.raises(Unavailable, match="being stopped"):
        await desk.pipeline.commit(order(9999))


async def test_close_gives_up_on_a_journal_that_is_still_full_and_shows_nothing(desk: Desk) -> None:
    desk.disk.full = True
    desk.accept(order(1))
    async with asyncio.timeout(5):
        await desk.pipeline.close()
    assert (desk.shown, desk.pipeline.pending) == ([], 1)


async def test_a_waiting_commit_that_is_given_up_is_written_all_the_same(desk: Desk) -> None:
    desk.disk.free.clear()
    committing = asyncio.create_task(desk.pipeline.commit(order(1)))
    async with desk.disk.asked:
        await desk.disk.asked.wait()
    committing.cancel()
    desk.disk.free.set()
    assert await desk.drained() == [order(1)]
    assert committing.cancelled()


ACTIONS = st.lists(
    st.one_of(
        st.builds(order, st.integers(1, 3), st.sampled_from(list(OrderStatus)), traded=st.integers(0, 5).map(float)),
        st.builds(trade, st.integers(1, 3)),
        st.builds(position, volume=st.integers(0, 2).map(float)),
        st.sampled_from(["full", "free", "pause", tick()]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS)
def test_whatever_happens_what_is_shown_is_what_is_on_disk_in_order_and_once(actions: list[Model | str]) -> None:
    async def run() -> None:
        desk = Desk()
        for action in actions:
            if isinstance(action, Model):
                desk.accept(action)
            elif action == "pause":
                await asyncio.sleep(0)
            else:
                desk.disk.full = action == "full"
        desk.disk.full = False
        await desk.drained()
        facts = [event for event in desk.shown if event.is_fact]
        assert facts == desk.disk.written
        assert [event.seq for event in facts] == list(range(1, len(facts) + 1))
        for earlier, later in itertools.pairwise(facts):
            assert earlier.data != later.data
        told = {action.key for action in actions if isinstance(action, Model) and action.topic}
        assert {event.data.key for event in facts} == told
        for event in facts:
            table = desk.state.table_of(type(event.data))
            assert table is not None
            assert table.get(event.data.key) is not None

    asyncio.run(run())
