"""Uploaded strategy files in memory: in place of the database, of the check's process, and of the engines."""

import ast
import sys
from collections.abc import Mapping, Sequence

import msgspec

from vnpy_core.engine.class_check import CheckReport
from vnpy_core.errors import Conflict, Invalid, NotFound, StrategyFailed, Unavailable
from vnpy_core.strategy_files import FileSource, FileVersion


class MemoryStrategyFiles:
    """Does what ``StrategyFileRepository`` does; ``down`` makes it unavailable."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], FileSource] = {}
        self.down = False

    async def files(self, after: str = "", limit: int = sys.maxsize) -> Sequence[FileVersion]:
        return [_without_source(one) for one in self._last() if one.file_name > after][:limit]

    async def sources(self) -> Sequence[FileSource]:
        return self._last()

    async def versions(self, file_name: str, before: int | None, limit: int) -> Sequence[FileVersion]:
        found = [one for (name, number), one in self._rows() if name == file_name and number < (before or sys.maxsize)]
        return [_without_source(one) for one in reversed(found)][:limit]

    async def latest(self, file_name: str) -> FileSource | None:
        return next((one for (name, _), one in reversed(self._rows()) if name == file_name), None)

    async def get(self, file_name: str, version: int) -> FileSource:
        found = dict(self._rows()).get((file_name, version))
        if found is None:
            raise NotFound(f"There is no version {version} of {file_name!r}.", code="unknown_version")
        return found

    async def add(self, version: FileSource) -> None:
        key = version.file_name, version.version
        if key in dict(self._rows()):
            raise Conflict("somebody was faster", code="changed_meanwhile")
        self.rows[key] = version

    def _rows(self) -> list[tuple[tuple[str, int], FileSource]]:
        if self.down:
            raise Unavailable("The database is down.")
        return sorted(self.rows.items(), key=lambda item: item[0])

    def _last(self) -> list[FileSource]:
        last = {name: one for (name, _), one in self._rows()}
        return [one for one in last.values() if not one.deleted]


class TextCheck:
    """Takes every class of a source for a strategy, and runs nothing."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    async def __call__(self, file_name: str, source: str) -> CheckReport:
        self.checked.append(file_name)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Invalid(str(error), code="syntax_error", errors=[{"field": "source", "message": "wrong"}]) from error
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        return CheckReport(classes=[{"class_name": name} for name in names], python="3.11", seconds=0.1)


class LoadedFiles:
    """Notes what is loaded; ``broken`` cannot be."""

    def __init__(self, others: Mapping[str, str]) -> None:
        self.others = others
        self.files: list[str] = []
        self.broken: set[str] = set()

    def modules_by_class(self) -> Mapping[str, str]:
        return self.others

    def broken_uploads(self) -> Mapping[str, str]:
        return dict.fromkeys(self.broken, "It could not be loaded at the start.")

    def load(self, file_name: str) -> None:
        if file_name in self.broken:
            raise StrategyFailed("It raised.", traceback="Traceback …")
        self.files.append(file_name)

    def forget(self, file_name: str) -> None:
        self.files.remove(file_name)


def _without_source(one: FileSource) -> FileVersion:
    values = msgspec.structs.asdict(one)
    del values["source"]
    return FileVersion(**values)
