"""The cache's writer and reader over a cache in memory that can be down, stuck and emptied."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests import facts

from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.cache.memory import Entries, MemoryStateCache
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Account, Model, Order, Position, Tick, to_timestamp

TTL_S = 3600
ORDER, POSITION, TICK = "vnpy_core:order:SIM.1", "vnpy_core:position:SIM.rb2501.SHFE.LONG", "vnpy_core:tick:rb2501.SHFE"


class MoodyCache(MemoryStateCache):
    """Refuses while ``failure`` is set, and does not answer while ``go_on`` is not."""

    def __init__(self, entries: Entries, clock: Callable[[], float]) -> None:
        super().__init__("w", ttl_s=TTL_S, entries=entries, clock=clock)
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.batches: list[dict[str, bytes]] = []
        self.attempts = 0

    async def _mood(self) -> None:
        self.attempts += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure

    async def begin(self) -> None:
        await self._mood()
        await super().begin()

    async def write(self, values: Mapping[str, bytes]) -> bool:
        await self._mood()
        if values:
            self.batches.append(dict(values))
        return await super().write(values)

    async def read(self, key: str) -> bytes | None:
        if self.failure is not None and not key.startswith("vnpy_core:writer"):
            self.attempts += 1
            raise self.failure
        return await super().read(key)


class Room:
    """A read model, a cache, and the writer between them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.entries: Entries = {}
        self.cache = MoodyCache(self.entries, lambda: self.now)
        self.read_model = ReadModel()
        self.writer = self.make_writer()
        self.latest = LatestState(self.read_model, self.writer)
        self.seq = 0

    def make_writer(self, **changes: Any) -> CacheWriter:
        settings = {"ttl_s": TTL_S, "flush_interval_ms": 1, "check_s": 0.01, "retry_min_s": 0.001, "retry_max_s": 0.01}
        return CacheWriter(self.cache, self.read_model, **settings | changes)

    def tell(self, *models: Model, ts: str = "") -> None:
        events = [Event(model, ts=ts) for model in models]
        for event in events:
            if event.is_fact:
                self.seq += 1
                event.seq = self.seq
        self.read_model.apply(events)
        self.writer.on_events(events)

    async def settled(self) -> None:
        await eventually(lambda: self.writer.lag == 0 and self.writer.is_complete)

    def holds(self) -> dict[str, Any]:
        return {
            key: msgspec.json.decode(value)
            for key, (value, until) in self.entries.items()
            if until > self.now and not key.startswith("vnpy_core:writer")
        }


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    yield made
    made.cache.failure = None
    made.cache.go_on.set()
    await made.writer.stop()


async def test_the_latest_of_each_kind_is_cached_under_its_key_as_it_was_published(room: Room) -> None:
    await room.writer.start()
    told = [facts.order(1), facts.position(), facts.account(), facts.tick(), facts.trade(), facts.log()]
    room.tell(*told)
    await room.settled()
    keys = [ORDER, POSITION, "vnpy_core:account:SIM.SIM", TICK]
    assert room.holds() == dict(zip(keys, map(msgspec.to_builtins, told), strict=False))
    assert room.entries[ORDER][0] == Event(facts.order(1)).payload
    assert room.writer.position == 4


async def test_what_the_read_model_has_is_written_at_the_start(room: Room) -> None:
    room.tell(facts.order(1), facts.tick())
    await room.writer.start()
    await room.settled()
    assert set(room.holds()) == {ORDER, TICK}


async def test_the_past_is_not_written_unless_it_is_alive(room: Room) -> None:
    long_ago = to_timestamp(datetime.now(UTC) - timedelta(seconds=TTL_S + 5))
    lately = to_timestamp(datetime.now(UTC) - timedelta(seconds=TTL_S - 60))
    filled = OrderStatus.ALLTRADED
    room.tell(facts.order(1), facts.order(2, filled), facts.order(3, OrderStatus.UNKNOWN), ts=long_ago)
    room.tell(facts.position("a"), facts.position("b", volume=0.0), facts.account(), facts.tick(), ts=long_ago)
    room.tell(facts.order(4, filled), facts.position("c", volume=0.0), facts.tick("d"), ts=lately)
    await room.writer.start()
    await room.settled()
    assert {key.removeprefix("vnpy_core:") for key in room.holds()} == {
        "order:SIM.1", "order:SIM.3", "position:SIM.a.SHFE.LONG", "account:SIM.SIM",
        "order:SIM.4", "position:SIM.c.SHFE.LONG", "tick:d.SHFE",
    }  # fmt: skip


async def test_only_the_latest_of_a_key_is_written_and_batches_are_bounded(room: Room) -> None:
    room.writer = room.make_writer(batch_size=10, check_s=60.0)
    await room.writer.start()
    await room.settled()
    room.cache.go_on.clear()
    attempts = room.cache.attempts
    room.tell(facts.tick("first"))
    await eventually(lambda: room.cache.attempts > attempts)
    for price in range(50):
        room.tell(*(facts.tick(f"s{number}", float(price)) for number in range(25)))
    assert room.writer.lag == 26
    room.cache.go_on.set()
    await room.settled()
    assert [len(batch) for batch in room.cache.batches] == [1, 10, 10, 5]
    assert {value["last_price"] for key, value in room.holds().items() if "first" not in key} == {49.0}


@pytest.mark.parametrize("lose", ["all", "marker"])
async def test_what_was_lost_is_written_again_also_if_nothing_happens(room: Room, lose: str) -> None:
    await room.writer.start()
    room.tell(facts.order(1), facts.tick())
    await room.settled()
    for name in list(room.entries):
        if lose == "all" or "writer" in name:
            del room.entries[name]
    await eventually(lambda: room.writer.rebuilds == 2)
    await room.settled()
    assert set(room.holds()) == {ORDER, TICK}


async def test_changes_wait_while_the_cache_is_down_and_it_says_why(room: Room) -> None:
    await room.writer.start()
    room.tell(facts.order(1))
    await room.settled()
    since = room.writer.since
    room.cache.failure = Unavailable("It is out.")
    await eventually(lambda: not room.writer.healthy)
    assert (room.writer.detail, room.writer.since > since) == ("It is out.", True)
    room.tell(facts.order(1, OrderStatus.ALLTRADED), facts.order(2))
    attempts = room.cache.attempts
    await eventually(lambda: room.cache.attempts > attempts + 3)
    assert room.writer.lag == 2
    assert room.writer.position == 1
    room.cache.failure = None
    await room.settled()
    assert room.writer.healthy
    assert room.writer.rebuilds == 1
    assert room.holds()[ORDER]["status"] == "ALLTRADED"
    assert room.writer.position == 3


async def test_an_error_nobody_thought_of_is_survived(room: Room) -> None:
    room.cache.failure = ZeroDivisionError("oops")
    await room.writer.start()
    await eventually(lambda: room.writer.detail == "ZeroDivisionError: oops")
    room.tell(facts.order(1))
    room.cache.failure = None
    await room.settled()
    assert set(room.holds()) == {ORDER}


async def test_too_many_changes_are_forgotten_and_everything_is_written(room: Room) -> None:
    room.writer = room.make_writer(capacity=5)
    await room.writer.start()
    await room.settled()
    room.cache.failure = Unavailable("It is out.")
    await eventually(lambda: not room.writer.healthy)
    for number in range(20):
        room.tell(facts.order(number))
        assert room.writer.lag <= 5
    room.cache.failure = None
    await room.settled()
    assert room.writer.rebuilds == 2
    assert set(room.holds()) == {f"vnpy_core:order:SIM.{number}" for number in range(20)}


async def test_what_happens_during_a_rebuild_is_not_lost(room: Room) -> None:
    for number in range(30):
        room.tell(facts.order(number))
    room.writer = room.make_writer(batch_size=10, capacity=25)
    room.cache.go_on.clear()
    await room.writer.start()
    await eventually(lambda: room.cache.attempts == 1)
    room.tell(*(facts.order(number, OrderStatus.ALLTRADED) for number in range(10)))
    room.tell(*(facts.order(number) for number in range(30, 60)))  # more than may wait
    room.cache.go_on.set()
    await room.settled()
    assert len(room.holds()) == 60
    assert [room.holds()[f"vnpy_core:order:SIM.{number}"]["status"] for number in (0, 9, 10)] == [
        "ALLTRADED", "ALLTRADED", "NOTTRADED",
    ]  # fmt: skip


async def test_a_cache_that_loses_everything_at_once_is_not_written_to_without_end(room: Room) -> None:
    class Sieve(MoodyCache):
        async def write(self, values: Mapping[str, bytes]) -> bool:
            self.entries_of_another()
            return await super().write(values)

        def entries_of_another(self) -> None:
            room.entries.clear()

    room.cache = Sieve(room.entries, lambda: room.now)
    room.writer = room.make_writer(retry_max_s=60.0, retry_min_s=60.0)
    room.tell(facts.order(1))
    await room.writer.start()
    await eventually(lambda: not room.writer.healthy)
    assert "lost what it was given" in str(room.writer.detail)
    assert room.writer.rebuilds == 1


async def test_what_is_alive_is_renewed_and_written_again_if_it_is_gone(room: Room) -> None:
    room.writer = room.make_writer(ttl_s=0.3)
    await room.writer.start()
    room.tell(facts.order(1), facts.order(2, OrderStatus.ALLTRADED), facts.position(), facts.account())
    await room.settled()
    room.now = TTL_S - 1
    del room.entries[POSITION]
    await eventually(lambda: room.entries[ORDER][1] > TTL_S + 1 and POSITION in room.entries)
    room.now = TTL_S + 1
    assert set(room.holds()) == {ORDER, POSITION, "vnpy_core:account:SIM.SIM"}


async def test_the_stop_writes_what_waits(room: Room) -> None:
    await room.writer.start()
    await room.settled()
    room.tell(facts.order(1))
    await room.writer.stop()
    assert set(room.holds()) == {ORDER}
    room.tell(facts.order(2))
    await room.writer.stop()
    assert set(room.holds()) == {ORDER}


async def test_the_stop_does_not_wait_for_a_cache_that_does_not_answer(room: Room) -> None:
    room.cache.go_on.clear()
    await room.writer.start()
    await eventually(lambda: room.cache.attempts == 1)
    async with asyncio.timeout(2):
        await room.writer.stop(timeout_s=0.01)
    room.cache.go_on.set()
    room.cache.failure = Unavailable("It is out.")
    room.writer = room.make_writer(retry_min_s=60.0, retry_max_s=60.0)
    await room.writer.start()
    await eventually(lambda: not room.writer.healthy)
    async with asyncio.timeout(2):
        await room.writer.stop()


# Reading


async def test_the_cache_answers_while_it_is_up_to_date(room: Room) -> None:
    await room.writer.start()
    room.tell(facts.order(1), facts.position(), facts.account(), facts.tick())
    await room.settled()
    assert await room.latest.get(Order, "SIM.1") == facts.order(1)
    assert await room.latest.get(Position, "SIM.rb2501.SHFE.LONG") == facts.position()
    assert await room.latest.get(Account, "SIM.SIM") == facts.account()
    assert await room.latest.get(Tick, "rb2501.SHFE") == facts.tick()
    assert await room.latest.get(Order, "SIM.9") is None
    # Another service's, in the same Redis.
    room.entries["vnpy_core:order:CTP.7"] = (Event(facts.order(7)).payload, 1e9)
    assert await room.latest.get(Order, "CTP.7") == facts.order(7)


async def test_what_waits_to_be_written_comes_from_the_read_model(room: Room) -> None:
    await room.writer.start()
    room.tell(facts.order(1))
    await room.settled()
    room.cache.go_on.clear()
    room.tell(facts.order(1, OrderStatus.ALLTRADED))
    for _ in range(2):
        found = await room.latest.get(Order, "SIM.1")
        assert found is not None
        assert found.status is OrderStatus.ALLTRADED
        attempts = room.cache.attempts
        await eventually(lambda attempts=attempts: room.cache.attempts > attempts or room.writer.lag == 1)


async def test_the_read_model_answers_when_the_cache_cannot(room: Room) -> None:
    assert await LatestState(room.read_model).get(Order, "SIM.1") is None
    room.tell(facts.order(1), facts.tick())
    assert await LatestState(room.read_model).get(Order, "SIM.1") == facts.order(1)
    await room.writer.start()
    await room.settled()
    for value in (b"{", b"[1]", b"null"):
        room.entries[ORDER] = (value, 1e9)
        assert await room.latest.get(Order, "SIM.1") == facts.order(1)
    del room.entries[ORDER]
    assert await room.latest.get(Order, "SIM.1") == facts.order(1)


async def test_one_reader_waits_for_a_cache_that_is_out_and_not_the_next(room: Room) -> None:
    room.writer = room.make_writer(check_s=60.0)
    room.latest = LatestState(room.read_model, room.writer)
    await room.writer.start()
    room.tell(facts.order(1))
    await room.settled()
    room.cache.failure = Unavailable("It is out.")
    attempts = room.cache.attempts
    for _ in range(5):
        assert await room.latest.get(Order, "SIM.1") == facts.order(1)
    assert room.cache.attempts == attempts + 1
