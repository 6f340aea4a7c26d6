"""The copy of the strategies table: what can be started from when the database is down."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.repositories import StrategyRecord, StrategyRepository
from vnpy_core.data.strategy_mirror import StrategyMirror
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, NotFound, Unavailable

URL = "mysql://core:***@db/facts"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(f"sqlite:///{tmp_path / 'facts.db'}")
    await manager.open()
    yield manager
    await manager.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "strategies.json"


@pytest.fixture
def mirror(database: DatabaseManager, path: Path) -> StrategyMirror:
    return StrategyMirror(StrategyRepository(database), path, URL)


def strategy(name: str = "demo") -> StrategyRecord:
    return StrategyRecord(
        strategy_name=name, class_name="DoubleMaStrategy", engine="CtaStrategy", vt_symbol="rb2501.SHFE",
        setting={"fast_window": 10, "comment": "均线"}, desired_state=StrategyState.TRADING,
    )  # fmt: skip


async def test_what_was_listed_can_be_listed_without_the_database(
    mirror: StrategyMirror, database: DatabaseManager, path: Path
) -> None:
    await StrategyRepository(database).save(strategy())
    assert not mirror.is_kept
    listed = await mirror.list()
    assert mirror.is_kept
    await database.close()
    later = StrategyMirror(StrategyRepository(database), path, URL)
    assert await later.list() == listed
    # Again after a restart that had only the copy.
    assert await StrategyMirror(StrategyRepository(database), path, URL).list() == listed


async def test_no_strategies_are_something_to_start_from_too(mirror: StrategyMirror, database: DatabaseManager) -> None:
    assert await mirror.list() == []
    await database.close()
    assert mirror.is_kept
    assert await mirror.list() == []


async def test_the_copy_has_every_change(mirror: StrategyMirror, database: DatabaseManager, path: Path) -> None:
    await mirror.list()
    first = await mirror.save(strategy("b"))
    second = await mirror.save(strategy("a"))
    changed = await mirror.save(msgspec.structs.replace(first, desired_state=StrategyState.INITED))
    gone = await mirror.save(strategy("c"))
    await mirror.delete(gone.strategy_name)
    await database.close()
    assert await StrategyMirror(StrategyRepository(database), path, URL).list() == [second, changed]


async def test_changes_at_once_are_all_in_the_copy(
    mirror: StrategyMirror, database: DatabaseManager, path: Path
) -> None:
    await mirror.list()
    await asyncio.gather(*(mirror.save(strategy(f"s{number}")) for number in range(8)))
    await database.close()
    assert len(await StrategyMirror(StrategyRepository(database), path, URL).list()) == 8


async def test_a_change_that_fails_leaves_the_copy_as_it_was(
    mirror: StrategyMirror, database: DatabaseManager
) -> None:
    await mirror.list()
    saved = await mirror.save(strategy())
    with pytest.raises(Conflict):
        await mirror.save(strategy())
    with pytest.raises(NotFound):
        await mirror.delete("other")
    await database.close()
    with pytest.raises(Unavailable):
        await mirror.save(saved)
    with pytest.raises(Unavailable):
        await mirror.delete("demo")
    assert await mirror.list() == [saved]


async def test_a_change_goes_on_from_the_copys_version_when_the_database_is_back(
    mirror: StrategyMirror, database: DatabaseManager, path: Path
) -> None:
    await mirror.list()
    await mirror.save(strategy())
    await database.close()
    later = StrategyMirror(StrategyRepository(database), path, URL)
    [known] = await later.list()
    await database.open()
    assert (await later.save(known)).version == 2


OUTDATED = b'{"database": "mysql://core:***@db/facts", "schema_revision": "0000", "written": "", "strategies": []}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", OUTDATED])
async def test_a_copy_that_is_none(
    mirror: StrategyMirror, database: DatabaseManager, path: Path, content: bytes
) -> None:
    path.write_bytes(content)  # noqa: ASYNC240  nobody else is on this loop
    await database.close()
    assert not mirror.is_kept
    with pytest.raises(Unavailable):
        await mirror.list()


async def test_a_change_before_the_first_list_makes_no_copy_of_that_alone(mirror: StrategyMirror) -> None:
    await mirror.save(strategy())
    assert not mirror.is_kept


async def test_a_copy_of_another_database_is_none(
    mirror: StrategyMirror, database: DatabaseManager, path: Path
) -> None:
    await mirror.list()
    assert not StrategyMirror(StrategyRepository(database), path, URL.replace("db", "other")).is_kept


async def test_a_copy_that_cannot_be_written_is_not_left_as_it_was(
    mirror: StrategyMirror, database: DatabaseManager, path: Path
) -> None:
    await mirror.list()
    saved = await mirror.save(strategy())
    assert mirror.is_kept
    # Where the new one is written first.
    path.with_name("strategies.json.tmp").mkdir()
    await mirror.save(msgspec.structs.replace(saved, desired_state=StrategyState.INITED))
    assert not mirror.is_kept
