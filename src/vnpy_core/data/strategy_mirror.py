"""StrategyMirror: the strategies table of a server, and a copy of it on disk to start from when the server is down."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from vnpy_core.config.json_file import replace_json
from vnpy_core.data.repositories import StrategyRecord, StrategyRepository
from vnpy_core.data.tables import SCHEMA_REVISION
from vnpy_core.errors import Unavailable
from vnpy_core.models import now_timestamp

_log = logging.getLogger(__name__)


class _Copy(msgspec.Struct, frozen=True):
    database: str
    schema_revision: str
    written: str
    strategies: list[StrategyRecord]


class StrategyMirror:
    """A ``StrategyRepository`` that can still list what it has listed or saved in an earlier run. Loop only.

    The copy is never older than the table as this process knows it: it is taken away before a change, and written
    again after it. A copy of another database, or of another revision of the schema, is none.
    """

    def __init__(self, repository: StrategyRepository, path: Path, display_url: str) -> None:
        self._repository = repository
        self._path = path
        self._display_url = display_url
        # Unknown until they were listed.
        self._strategies: dict[str, StrategyRecord] | None = None
        self._changing = asyncio.Lock()

    @property
    def is_kept(self) -> bool:
        """True if there is a copy to start from."""
        return self._read() is not None

    async def list(self) -> Sequence[StrategyRecord]:
        """Return all strategies, sorted by name: the table's, or if it cannot be reached the copy's.

        Raises:
            Unavailable: neither is there.
        """
        async with self._changing:
            try:
                found = await self._repository.list()
            except Unavailable:
                copy = self._read()
                if copy is None:
                    raise
                _log.warning("The strategies are those of %s, because their table cannot be read", copy.written)
                self._strategies = {record.strategy_name: record for record in copy.strategies}
                return copy.strategies
            self._strategies = {record.strategy_name: record for record in found}
            await self._write()
            return found

    async def save(self, record: StrategyRecord) -> StrategyRecord:
        """See ``StrategyRepository.save``."""
        async with self._change() as strategies:
            stored = await self._repository.save(record)
            strategies[stored.strategy_name] = stored
        return stored

    async def delete(self, strategy_name: str) -> None:
        """See ``StrategyRepository.delete``."""
        async with self._change() as strategies:
            await self._repository.delete(strategy_name)
            strategies.pop(strategy_name, None)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[dict[str, StrategyRecord]]:
        async with self._changing:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
            try:
                yield self._strategies if self._strategies is not None else {}
            finally:
                await self._write()

    async def _write(self) -> None:
        if self._strategies is None:
            return
        records = sorted(self._strategies.values(), key=lambda record: record.strategy_name)
        copy = _Copy(self._display_url, SCHEMA_REVISION, now_timestamp(), records)
        content: dict[str, Any] = msgspec.to_builtins(copy)
        try:
            await asyncio.to_thread(replace_json, self._path, content, durable=True)
        except OSError as error:
            _log.warning("%s was not written, so the next start needs the database: %s", self._path, error)
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _read(self) -> _Copy | None:
        try:
            copy = msgspec.json.decode(self._path.read_bytes(), type=_Copy)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("%s cannot be read: %s", self._path, error)
            return None
        return copy if (copy.database, copy.schema_revision) == (self._display_url, SCHEMA_REVISION) else None
