"""The recorder beside a journal made by hand and a database that fails when told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from tests import facts

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import JournalRecord
from vnpy_core.data.recorder import Recorder
from vnpy_core.data.tables import dead_letters, orders
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Unavailable
from vnpy_core.models import Model


class HandJournal:
    """What the recorder needs of a journal; ``passed`` says what its cursor was set to."""

    def __init__(self, identity: int = 1) -> None:
        self.identity = identity
        self.records: list[JournalRecord] = []
        self.cursors: dict[str, int] = {}
        self.first_seq = 1
        self.reads = 0
        self.failure: Exception | None = None
        self._moved = asyncio.Condition()

    @property
    def last_seq(self) -> int:
        return self.records[-1].seq if self.records else self.first_seq - 1

    def add(self, *models: Model | bytes) -> None:
        for model in models:
            payload = model if isinstance(model, bytes) else msgspec.json.encode(model)
            self.records.append(JournalRecord(self.last_seq + 1, "order.updated", facts.WHEN, payload))

    async def read(self, after: int, limit: int) -> list[JournalRecord]:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return [record for record in self.records if record.seq > after][:limit]

    async def cursor(self, name: str) -> int:
        return self.cursors.setdefault(name, 0)

    async def set_cursor(self, name: str, seq: int) -> None:
        self.cursors[name] = seq
        async with self._moved:
            self._moved.notify_all()

    async def passed(self, seq: int) -> None:
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(lambda: self.cursors.get("sql", 0) >= seq)


class MoodyDatabase(DatabaseManager):
    """A database that refuses while ``failure`` is set, and does not answer while ``frozen`` is."""

    failure: Exception | None = None
    frozen = False
    transactions = 0
    refused = 0

    def session(self, *, read_only: bool = False) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._moody(read_only)

    @asynccontextmanager
    async def _moody(self, read_only: bool) -> AsyncIterator[AsyncConnection]:
        if self.frozen:
            await asyncio.Event().wait()
        if self.failure is not None:
            self.refused += 1
            raise self.failure
        async with super().session(read_only=read_only) as session:
            yield session
        self.transactions += not read_only


@pytest.fixture
def journal() -> HandJournal:
    return HandJournal()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[MoodyDatabase]:
    manager = MoodyDatabase(f"sqlite:///{tmp_path / 'facts.db'}")
    await manager.open()
    yield manager
    await manager.close()


@pytest.fixture
async def recorder(journal: HandJournal, database: MoodyDatabase) -> AsyncIterator[Recorder]:
    made: Any = Recorder(journal, database, retry_min_s=0.005, retry_max_s=0.02, linger_s=0.001)
    yield made
    await made.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


async def recorded(database: DatabaseManager) -> list[str]:
    async with database.session(read_only=True) as session:
        found = await session.execute(select(orders.c.orderid).order_by(orders.c.seq))
        return list(found.scalars())


async def test_what_was_there_at_start_is_recorded(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.add(facts.order(1), facts.order(2))
    await recorder.start()
    await journal.passed(2)
    assert await recorded(database) == ["1", "2"]
    assert (recorder.position, recorder.lag, recorder.healthy, recorder.detail) == (2, 0, True, None)


async def test_what_comes_later_is_recorded_when_told(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    await recorder.start()
    for number in (1, 2, 3):
        journal.add(facts.order(number))
        assert recorder.lag == 1
        recorder.notify()
        await journal.passed(number)
    assert await recorded(database) == ["1", "2", "3"]


async def test_a_fact_that_comes_while_others_are_written_is_not_forgotten(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    await recorder.start()
    for number in range(1, 201):
        journal.add(facts.order(number))
        recorder.notify()
        await asyncio.sleep(0)
    await journal.passed(200)
    assert len(await recorded(database)) == 200


async def test_a_burst_takes_few_transactions(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    await recorder.start()
    await eventually(lambda: journal.reads == 1)
    before = database.transactions
    for number in range(1, 3001):
        journal.add(facts.order(number))
        recorder.notify()
    await journal.passed(3000)
    assert database.transactions - before == 3


async def test_an_idle_recorder_does_nothing(recorder: Recorder, journal: HandJournal) -> None:
    await recorder.start()
    await eventually(lambda: journal.reads == 1)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert journal.reads == 1


async def test_nothing_is_written_while_the_guard_raises(journal: HandJournal, database: MoodyDatabase) -> None:
    obstacles: list[str] = []
    asked = 0

    def guard() -> None:
        nonlocal asked
        asked += 1
        if obstacles:
            raise Unavailable(obstacles[0])

    recorder: Any = Recorder(journal, database, guard=guard, retry_min_s=0.005, retry_max_s=0.02, linger_s=0.001)
    await recorder.start()
    try:
        await eventually(lambda: journal.reads == 1)
        transactions = database.transactions
        obstacles.append("Another service works with it.")
        journal.add(facts.order(1), b"not a fact")
        recorder.notify()
        before = asked
        await eventually(lambda: asked >= before + 3)
        assert database.transactions == transactions
        assert recorder.detail == "Another service works with it."

        obstacles.clear()
        await journal.passed(2)
        assert await recorded(database) == ["1"]
        assert recorder.healthy
    finally:
        await recorder.stop()


async def test_facts_wait_while_the_database_is_down(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    await recorder.start()
    await eventually(lambda: journal.reads == 1)
    before = recorder.since
    database.failure = Unavailable("The database is not available: gone fishing.")
    journal.add(facts.order(1), facts.order(2))
    recorder.notify()
    await eventually(lambda: database.refused >= 3)
    assert (recorder.healthy, recorder.lag) == (False, 2)
    assert recorder.detail == "The database is not available: gone fishing."
    down = recorder.since
    assert down > before
    assert journal.cursors["sql"] == 0

    database.failure = None
    await journal.passed(2)
    await eventually(lambda: recorder.healthy)
    assert (recorder.detail, recorder.lag) == (None, 0)
    assert recorder.since > down
    assert await recorded(database) == ["1", "2"]


async def test_a_database_that_is_down_at_start_is_waited_for(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.add(facts.order(1))
    await database.close()
    database.failure = Unavailable("not yet")
    await recorder.start()
    await eventually(lambda: not recorder.healthy)
    database.failure = None
    await journal.passed(1)
    assert await recorded(database) == ["1"]


@pytest.mark.parametrize("failure", [Unavailable("the disk"), RuntimeError("a defect")])
async def test_a_journal_that_cannot_be_read_is_tried_again(
    recorder: Recorder, journal: HandJournal, failure: Exception
) -> None:
    journal.failure = failure
    await recorder.start()
    journal.add(facts.order(1))
    recorder.notify()
    await eventually(lambda: not recorder.healthy)
    assert str(failure) in str(recorder.detail)
    journal.failure = None
    await journal.passed(1)


async def test_rejected_records_are_put_aside_and_the_rest_goes_on(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    poison = {3: b"{", 4: b"[]", 250: msgspec.json.encode(facts.order(250, datetime="soon")), 400: b"null"}
    for number in range(1, 401):
        journal.add(poison.get(number, facts.order(number)))
    await recorder.start()
    await journal.passed(400)
    assert await recorded(database) == [str(number) for number in range(1, 401) if number not in poison]
    async with database.session(read_only=True) as session:
        letters = (await session.execute(select(dead_letters).order_by(dead_letters.c.seq))).all()
    assert {letter.seq: letter.payload for letter in letters} == poison
    assert all(letter.reason for letter in letters)
    assert (recorder.dead_letters, recorder.healthy, recorder.lag) == (4, True, 0)


async def test_facts_seen_twice_change_nothing(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.add(facts.order(1), facts.order(1, OrderStatus.ALLTRADED, traded=5.0))
    await recorder.start()
    await journal.passed(2)
    await recorder.stop()
    journal.cursors.clear()
    await recorder.start()
    await journal.passed(2)
    async with database.session(read_only=True) as session:
        [row] = (await session.execute(select(orders))).all()
    assert (row.status, row.seq) == ("ALLTRADED", 2)


async def test_an_empty_database_is_filled_again_whatever_the_cursor_says(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.add(facts.order(1), facts.order(2))
    journal.cursors["sql"] = 2
    await recorder.start()
    await eventually(lambda: recorder.lag == 0)
    await journal.passed(2)
    await recorder.stop()
    assert await recorded(database) == ["1", "2"]


async def test_a_new_journal_beside_an_old_database_is_followed(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.add(facts.order(1), facts.order(2))
    await recorder.start()
    await journal.passed(2)
    await recorder.stop()

    fresh: Any = HandJournal(identity=2)
    fresh.add(facts.order(1, OrderStatus.CANCELLED))
    successor = Recorder(fresh, database)
    await successor.start()
    await fresh.passed(1)
    await successor.stop()
    async with database.session(read_only=True) as session:
        found = (await session.execute(select(orders.c.orderid, orders.c.status).order_by(orders.c.orderid))).all()
    assert [tuple(row) for row in found] == [("1", "CANCELLED"), ("2", "NOTTRADED")]


async def test_a_journal_that_was_pruned_past_the_database_is_followed_from_where_it_begins(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    journal.first_seq = 500
    journal.add(facts.order(1))
    assert journal.last_seq == 500
    await recorder.start()
    await journal.passed(500)
    assert await recorded(database) == ["1"]


async def test_stop_writes_what_is_left(recorder: Recorder, journal: HandJournal, database: MoodyDatabase) -> None:
    await recorder.start()
    journal.add(*(facts.order(number) for number in range(2500)))
    await recorder.stop()
    assert len(await recorded(database)) == 2500
    assert recorder.lag == 0


async def test_stop_does_not_wait_for_a_database_that_is_down(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    patient: Any = Recorder(journal, database, retry_min_s=600, retry_max_s=600)
    database.failure = Unavailable("gone")
    journal.add(facts.order(1))
    await patient.start()
    await eventually(lambda: not patient.healthy)
    async with asyncio.timeout(5):
        await patient.stop(timeout_s=60)
    assert patient.lag == 1


async def test_stop_gives_up_a_database_that_does_not_answer(
    recorder: Recorder, journal: HandJournal, database: MoodyDatabase
) -> None:
    database.frozen = True
    journal.add(facts.order(1))
    await recorder.start()
    async with asyncio.timeout(5):
        await recorder.stop(timeout_s=0.05)
    assert recorder.lag == 1
    await recorder.stop()
