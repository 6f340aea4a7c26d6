"""What holds for the logs of strategies in every SQL database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from vnpy_core.data import strategy_logs
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.strategy_logs import StrategyLogs
from vnpy_core.data.tables import metadata
from vnpy_core.events import Event
from vnpy_core.models import Log, to_timestamp

NOW = datetime.now(UTC)


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
    yield manager
    await manager.close()


def line(text: str, name: str | None = "demo", level: str = "INFO", age_s: float = 0.0) -> Event:
    moment = to_timestamp(NOW - timedelta(seconds=age_s))
    return Event(Log(source="CtaStrategy", level=level, message=text, datetime=moment, strategy_name=name))


@asynccontextmanager
async def running(database: DatabaseManager, keep_days: float = 1.0) -> AsyncIterator[StrategyLogs]:
    logs = StrategyLogs(database, keep_days)
    task = asyncio.create_task(logs.run())
    try:
        yield logs
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def texts(logs: StrategyLogs, name: str = "demo", **which: Any) -> list[str]:
    return [found.message for found in await logs.page(name, **which)]


async def test_lines_are_shown_at_once_and_are_there_after_a_restart(database: DatabaseManager) -> None:
    async with running(database) as logs:
        logs.on_events([line("one"), line("nobody's", None), line("other's", "other"), line("two", level="ERROR")])
        assert await texts(logs) == ["two", "one"]
        await logs.close()
    async with running(database) as logs:
        logs.on_events([line("三\u2028\U0001f600"), line("old", age_s=60)])
        assert await texts(logs) == ["old", "三\u2028\U0001f600", "two", "one"]
        assert await texts(logs, "other") == ["other's"]
        await logs.close()
        assert await texts(logs) == ["old", "三\u2028\U0001f600", "two", "one"]
        assert await texts(logs, levels=["ERROR"]) == ["two"]
        assert await texts(logs, end=to_timestamp(NOW - timedelta(seconds=30))) == ["old"]
        newest = (await logs.page("demo", limit=1))[0]
        assert await texts(logs, before=newest.log_id, limit=2) == ["三\u2028\U0001f600", "two"]


async def test_what_the_database_refuses_is_said_in_its_place(database: DatabaseManager) -> None:
    async with running(database) as logs:
        logs.on_events([line("before"), line("a\0b"), line("after")])
        await logs.close()
        found = await texts(logs)
        assert (found[0], found[2]) == ("after", "before")
        assert found[1] == "a\0b" or ("refused" in found[1] and "a\\x00b" in found[1])


async def test_while_the_database_is_down_lines_wait_and_too_many_are_counted(
    database: DatabaseManager
) -> None:
    async with running(database) as logs:
        await database.close()
        logs.on_events([line(str(number)) for number in range(strategy_logs.CAPACITY + 3)])
        await logs.close()
        await database.open()
        await logs.close()
        found = await texts(logs, limit=2)
        assert found == ["3 lines before this one were not kept: too many waited to be stored.", "20002"]


async def test_old_lines_go(database: DatabaseManager) -> None:
    async with running(database) as logs:
        logs.on_events([line("old", age_s=3 * 86400), line("new")])
        await logs.close()
    async with running(database) as logs, asyncio.timeout(10):
        while await texts(logs) != ["new"]:  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.02)
