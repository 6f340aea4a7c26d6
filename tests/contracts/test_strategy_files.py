"""What holds for uploaded strategy files in every SQL database."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import delete

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.strategy_files import StrategyFileRepository
from vnpy_core.data.tables import strategy_files
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.strategy_files import FileSource, FileVersion


@pytest.fixture
async def files(shared_database_url: str) -> AsyncIterator[StrategyFileRepository]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        await session.execute(delete(strategy_files))
    yield StrategyFileRepository(manager)
    await manager.close()


def version(file_name: str, number: int, source: str = "x = '双均线'\r\n", *, deleted: bool = False) -> FileSource:
    return FileSource(
        file_name=file_name, version=number, source=source, size=len(source.encode()), sha256="0f" * 32,
        classes=["A"], result={"python": "3.11"}, comment="说明", uploaded_by="admin",
        created="2026-01-05T01:30:00.123456+00:00", restores=None, deleted=deleted,
    )  # fmt: skip


def bare(made: FileSource) -> FileVersion:
    values = msgspec.structs.asdict(made)
    del values["source"]
    return FileVersion(**values)


async def test_a_version_comes_back_as_it_was(files: StrategyFileRepository) -> None:
    made = version("a.py", 1, "# 中文 \U0001f600\r\nx = 1\n" + "y = 2\n" * 20_000)
    await files.add(made)
    assert await files.get("a.py", 1) == made == await files.latest("a.py")
    assert await files.versions("a.py", None, 10) == [bare(made)]


async def test_the_last_version_counts_and_a_deleted_file_is_gone(files: StrategyFileRepository) -> None:
    rows = [
        version("a.py", 1, "1"), version("a.py", 2, "2"), version("b.py", 1, "1"), version("A.py", 1, "1"),
        version("b.py", 2, "", deleted=True), *(version("c.py", number, str(number)) for number in range(1, 13)),
    ]  # fmt: skip
    for row in rows:
        await files.add(row)
    assert [(one.file_name, one.version) for one in await files.files()] == [("A.py", 1), ("a.py", 2), ("c.py", 12)]
    assert [one.file_name for one in await files.files("A.py", 1)] == ["a.py"]
    assert {one.file_name: one.source for one in await files.sources()} == {"A.py": "1", "a.py": "2", "c.py": "12"}
    assert [one.version for one in await files.versions("c.py", 12, 2)] == [11, 10]
    latest = await files.latest("b.py")
    assert latest is not None
    assert latest.deleted
    assert await files.latest("d.py") is None


async def test_a_number_is_given_once(files: StrategyFileRepository) -> None:
    await files.add(version("a.py", 1, "mine"))
    with pytest.raises(Conflict) as refused:
        await files.add(version("a.py", 1, "theirs"))
    assert refused.value.error_code == "changed_meanwhile"
    assert (await files.get("a.py", 1)).source == "mine"
    with pytest.raises(NotFound):
        await files.get("a.py", 2)
