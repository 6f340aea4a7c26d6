"""The SQL of uploaded strategy files: their versions, which are only ever added."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Select, and_, func, insert, select
from sqlalchemy.exc import IntegrityError

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import strategy_files
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.strategy_files import FileSource, FileVersion

_V = TypeVar("_V", FileVersion, FileSource)
_FIELDS = [strategy_files.c[name] for name in FileVersion.__struct_fields__]


class StrategyFileRepository:
    """A file's versions are numbered without a gap; the last one counts."""

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    async def files(self, after: str = "", limit: int = 1 << 30) -> Sequence[FileVersion]:
        """Return the last version of each file that is not deleted, by name, of those after ``after``."""
        last = _last()
        statement = (
            select(*_FIELDS)
            .join(last, _is_last(last))
            .where(strategy_files.c.deleted.is_(False), strategy_files.c.file_name > after)
            .order_by(strategy_files.c.file_name)
            .limit(limit)
        )
        return await self._list(statement, FileVersion)

    async def sources(self) -> Sequence[FileSource]:
        """Return the last version of each file that is not deleted, with its source."""
        last = _last()
        statement = select(strategy_files).join(last, _is_last(last)).where(strategy_files.c.deleted.is_(False))
        return await self._list(statement, FileSource)

    async def versions(self, file_name: str, before: int | None, limit: int) -> Sequence[FileVersion]:
        """Return the versions of a file, newest first, of those before ``before``; also of one that is deleted."""
        statement = select(*_FIELDS).where(strategy_files.c.file_name == file_name)
        if before is not None:
            statement = statement.where(strategy_files.c.version < before)
        return await self._list(statement.order_by(strategy_files.c.version.desc()).limit(limit), FileVersion)

    async def latest(self, file_name: str) -> FileSource | None:
        """Return the last version, also if it says that the file was deleted; ``None`` if there was never any."""
        statement = select(strategy_files).where(strategy_files.c.file_name == file_name)
        found = await self._list(statement.order_by(strategy_files.c.version.desc()).limit(1), FileSource)
        return found[0] if found else None

    async def get(self, file_name: str, version: int) -> FileSource:
        """Raises:
        NotFound: there is no such version.
        """
        which = (strategy_files.c.file_name == file_name) & (strategy_files.c.version == version)
        found = await self._list(select(strategy_files).where(which), FileSource)
        if not found:
            raise NotFound(f"There is no version {version} of {file_name!r}.", code="unknown_version")
        return found[0]

    async def add(self, version: FileSource) -> None:
        """Raises:
        Conflict: there is one of that number.
        """
        async with self._database.session() as session:
            try:
                await session.execute(insert(strategy_files), msgspec.to_builtins(version))
            except IntegrityError as error:
                raise Conflict(
                    f"{version.file_name} has a version {version.version} already: somebody was faster.",
                    code="changed_meanwhile",
                ) from error

    async def _list(self, statement: Select[Any], kind: type[_V]) -> Sequence[_V]:
        async with self._database.session(read_only=True) as session:
            found = await session.execute(statement)
            names = kind.__struct_fields__
            return [msgspec.convert({name: row[name] for name in names}, kind) for row in found.mappings()]


def _last() -> Any:
    columns = strategy_files.c
    newest = func.max(columns.version).label("newest")
    return select(columns.file_name.label("name"), newest).group_by(columns.file_name).subquery()


def _is_last(last: Any) -> Any:
    return and_(strategy_files.c.file_name == last.c.name, strategy_files.c.version == last.c.newest)
