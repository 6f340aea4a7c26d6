"""What holds for the lease in every SQL database: one service has it, and nobody waits for longer than it lasts."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import delete, select, update

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.lease import DatabaseLease
from vnpy_core.data.tables import database_lease
from vnpy_core.errors import AlreadyRunning, Unavailable

LONG_S = 3600.0
PAST, FUTURE = "2001-01-01T00:00:00.000000+00:00", "2100-01-01T00:00:00.000000+00:00"

MakeLease = Callable[..., DatabaseLease]


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        await session.execute(delete(database_lease))
    yield manager
    await manager.close()


@pytest.fixture
async def lease(shared_database_url: str) -> AsyncIterator[MakeLease]:
    """Make the lease of a process: with connections of its own, as each has."""
    async with AsyncExitStack() as stack:

        def make(journal: int, data_dir: str = "/data", lease_s: float = LONG_S) -> DatabaseLease:
            manager = DatabaseManager(shared_database_url)
            stack.push_async_callback(manager.close)
            return DatabaseLease(manager, journal, data_dir, lease_s)

        yield make


async def take(lease: DatabaseLease) -> DatabaseLease:
    await lease._database.open()
    await lease.take()
    return lease


async def change(database: DatabaseManager, **values: object) -> None:
    async with database.session() as session:
        await session.execute(update(database_lease).values(values))


async def times(database: DatabaseManager) -> tuple[str, str, str]:
    async with database.session(read_only=True) as session:
        columns = database_lease.c.acquired, database_lease.c.renewed, database_lease.c.expires
        return tuple((await session.execute(select(*columns))).one())


@pytest.mark.usefixtures("database")
async def test_another_service_is_refused_and_told_who_holds_it(lease: MakeLease) -> None:
    first = await take(lease(1, "/srv/first"))
    with pytest.raises(AlreadyRunning) as caught:
        await take(lease(2, "/srv/second"))
    told = re.search(r"process (\d+) on \S+, data folder /srv/first, since .* wait (\d+) s", caught.value.detail)
    assert told is not None, caught.value.detail
    assert int(told[1]) == os.getpid()
    assert 0 < int(told[2]) <= LONG_S
    await first.take()
    first.require()


async def test_it_is_free_when_it_was_not_renewed_for_as_long_as_its_holder_said(
    database: DatabaseManager, lease: MakeLease
) -> None:
    first = await take(lease(1))
    await change(database, expires=PAST)
    second = await take(lease(2, lease_s=1))
    with pytest.raises(AlreadyRunning):
        await first.take()
    second.require()


async def test_a_renewal_counts_by_the_database_and_keeps_since_when_it_is_held(
    database: DatabaseManager, lease: MakeLease
) -> None:
    first = await take(lease(1))
    acquired, renewed, expires = await times(database)
    await first.take()
    again = await times(database)
    assert again[0] == acquired
    assert again[1] > renewed
    assert again[2] > expires


@pytest.mark.usefixtures("database")
async def test_a_released_one_is_free_at_once(lease: MakeLease) -> None:
    first = await take(lease(1))
    await first.release()
    second = await take(lease(2))
    await first.release()  # releases nothing of the second one's
    with pytest.raises(AlreadyRunning):
        await take(lease(3))
    second.require()


@pytest.mark.usefixtures("database")
async def test_the_same_journal_has_it_again_at_once_and_a_copy_that_still_runs_has_lost_it(lease: MakeLease) -> None:
    before = await take(lease(1))
    after = await take(lease(1))
    with pytest.raises(AlreadyRunning):
        await before.take()
    await after.take()


@pytest.mark.usefixtures("database")
async def test_of_two_at_once_one_has_it(lease: MakeLease) -> None:
    await (await take(lease(1))).release()
    ends = await asyncio.gather(*(take(lease(journal)) for journal in (2, 3, 4)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["AlreadyRunning", "AlreadyRunning", "DatabaseLease"]


async def test_who_finds_another_holder_later_says_so_until_it_is_free(
    database: DatabaseManager, lease: MakeLease
) -> None:
    said: asyncio.Queue[str | None] = asyncio.Queue()
    first = await take(lease(1, lease_s=1))
    first.on_obstacle = said.put_nowait
    keeping = asyncio.create_task(first.keep())
    try:
        await change(database, holder="another", journal=2, data_dir="/srv/other", expires=FUTURE)
        async with asyncio.timeout(30):
            obstacle = await said.get()
        assert obstacle is not None
        assert "/srv/other" in obstacle
        assert first.obstacle == obstacle
        with pytest.raises(Unavailable, match="/srv/other"):
            first.require()

        await change(database, expires=PAST)
        async with asyncio.timeout(30):
            assert await said.get() is None
        assert first.obstacle is None
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def test_a_service_that_began_without_the_database_takes_it_when_that_is_there(
    database: DatabaseManager, lease: MakeLease
) -> None:
    late = lease(1)
    with pytest.raises(Unavailable):
        await late.take()
    with pytest.raises(Unavailable, match="not known yet"):
        late.require()
    keeping = asyncio.create_task(late.keep())
    try:
        await late._database.open()
        await eventually(late)
        assert await is_held(database)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def eventually(lease: DatabaseLease) -> None:
    """Wait until it is held."""
    for _ in range(1500):
        try:
            return lease.require()
        except Unavailable:
            await asyncio.sleep(0.02)
    lease.require()


async def is_held(database: DatabaseManager) -> bool:
    async with database.session(read_only=True) as session:
        return await session.scalar(select(database_lease.c.holder)) is not None
