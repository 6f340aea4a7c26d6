"""StrategyReload: a strategy, or all of a class, goes on with the code as it is in the file now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType
from typing import Any, Protocol
from weakref import WeakValueDictionary

from vnpy_core.errors import Conflict, CoreError, NotFound
from vnpy_core.models import Strategy
from vnpy_core.strategies.table import StrategyTable
from vnpy_core.strategy_files import ClassReload, ReloadFailure

_OWN_PACKAGE = "strategies."


class Made(Protocol):
    """``engine.reimport.Reimport``: a module imported anew, whose earlier version is still at hand."""

    module: ModuleType

    def undo(self) -> None: ...
    def keep(self) -> None: ...


class Code(Protocol):
    """``engine.strategy_code.StrategyCode``. ``load_new`` and ``import_anew`` block; ``take``: on the event thread."""

    def module_defining(self, class_name: str) -> str | None: ...
    def load_new(self) -> None: ...
    def import_anew(self, module_name: str) -> Made: ...
    def take(self, made: Any) -> None: ...


class StrategyReload:
    """Loop only. Each file is imported by one reload at a time; strategies of others are not held up."""

    def __init__(self, table: StrategyTable, code: Code) -> None:
        self._table = table
        self._code = code
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def strategy(self, name: str) -> Strategy:
        """Import the file of its class anew, and let the strategy go on with it; one that could not be loaded is now.

        Raises:
            NotFound: there is no such strategy, or no such class any more.
            Conflict: its class is an installed package's, or its engine cannot do this; it is being initialised or
                reloaded; it was changed meanwhile.
            Invalid: its setting does not fit the new version.
            StrategyFailed: the new version cannot be imported, or its constructor, ``on_init`` or ``on_start`` raised.
                With any of these the strategy is as it was, and trades on.
        """
        record = self._table.record(name)
        module_name = await self._module_of(record.class_name)
        async with self._lock(module_name):
            made = await asyncio.to_thread(self._code.import_anew, module_name)
            if name in self._table.unloaded:
                await self._take(made)
                await self._load(name)
            else:
                try:
                    await self._replace(name, made)
                except BaseException:
                    made.undo()
                    raise
                await self._take(made)
        return await self._table.told(name)

    async def of_class(self, class_name: str) -> ClassReload:
        """Import the file of a class anew, or for the first time, and let all strategies of the class go on with it.

        New strategies are made of it from then on, unless it failed for each strategy that there is.

        Raises:
            NotFound: no file defines it.
            Conflict: it is an installed package's.
            StrategyFailed: the file cannot be imported; everything is as it was.
        """
        module_name = await self._module_of(class_name)
        async with self._lock(module_name):
            made = await asyncio.to_thread(self._code.import_anew, module_name)
            names = self._users(class_name)
            loaded = [name for name in names if name not in self._table.unloaded]
            failures = await self._each(loaded, lambda name: self._replace(name, made))
            if loaded and len(failures) == len(loaded):
                made.undo()
            else:
                await self._take(made)
                failures += await self._each([name for name in names if name not in loaded], self._load)
        failed = {failure.strategy_name for failure in failures}
        reloaded = [name for name in names if name not in failed and name not in self._table.unloaded]
        for name in reloaded:
            await self._table.told(name)
        return ClassReload(class_name=class_name, module=module_name, reloaded=reloaded, failed=failures)

    def _users(self, class_name: str) -> Sequence[str]:
        return sorted(name for name, record in self._table.records.items() if record.class_name == class_name)

    async def _each(self, names: Sequence[str], do: Callable[[str], Awaitable[None]]) -> list[ReloadFailure]:
        """Do it for all, side by side, and return what failed."""
        results = await asyncio.gather(*(do(name) for name in names), return_exceptions=True)
        failures: list[ReloadFailure] = []
        for name, error in zip(names, results, strict=True):
            if isinstance(error, CoreError):
                traceback = error.extra.get("traceback")
                failures.append(
                    ReloadFailure(
                        strategy_name=name, code=error.error_code, detail=error.detail,
                        traceback=str(traceback) if traceback else None,
                    )
                )  # fmt: skip
            elif error is not None:
                raise error
        return failures

    async def _take(self, made: Made) -> None:
        """Let new strategies be made of it."""
        await self._table.hosts.run(lambda: self._code.take(made))
        made.keep()

    async def _load(self, name: str) -> None:
        """Add to its engine a strategy that could not be."""
        async with self._table.lock(name):
            if name in self._table.unloaded:
                await self._table.load(self._table.record(name))

    async def _replace(self, name: str, made: Made) -> None:
        host, class_name = self._table.host(name), self._table.record(name).class_name
        kind = host.classes_in(made.module).get(class_name)
        if kind is None:
            raise Conflict(f"The file no longer defines {class_name} for {host.engine_name}.", code="class_gone")
        await asyncio.wrap_future(host.replace_strategy(name, kind))

    async def _module_of(self, class_name: str) -> str:
        found = self._code.module_defining(class_name)
        if found is None:
            await asyncio.to_thread(self._code.load_new)
            found = self._code.module_defining(class_name)
        if found is None:
            raise NotFound(f"No strategy file defines the class {class_name!r}, or it cannot be imported.")
        if not found.startswith(_OWN_PACKAGE):
            raise Conflict(
                f"{class_name} is of an installed package ({found}): a restart takes a new version of it.",
                code="official_class",
            )
        return found

    def _lock(self, module_name: str) -> asyncio.Lock:
        return self._locks.setdefault(module_name, asyncio.Lock())
