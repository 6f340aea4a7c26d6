"""StrategyTable: what each strategy is to do, as it is stored, kept in step with the engine that has the strategy."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, CoreError, NotFound, OutcomeUnknown, Unavailable
from vnpy_core.models import Strategy
from vnpy_core.security.identity import acting
from vnpy_core.strategies.board import INACTIVE, StrategyBoard
from vnpy_core.strategies.host import Known, Pausable, Publisher, StrategyHost, StrategyStore
from vnpy_core.strategies.hosts import Hosts
from vnpy_core.strategies.recovery import earlier_orders, gone, records_of
from vnpy_core.strategies.setting_files import settings_of

logger = logging.getLogger(__name__)


class StrategyTable:
    """Loop only. ``unloaded`` are those that their engine could not take, each with the reason."""

    def __init__(self, hosts: Hosts, repository: StrategyStore, pipeline: Publisher, board: StrategyBoard) -> None:
        self.hosts = hosts
        self.board = board
        self.records: dict[str, StrategyRecord] = {}
        self.unloaded: dict[str, str] = {}
        self._repository = repository
        self._pipeline = pipeline
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # -- one strategy

    def lock(self, name: str) -> asyncio.Lock:
        """Return what commands on one strategy take in turn; it lives as long as anyone has it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def record(self, name: str) -> StrategyRecord:
        """Raises: NotFound: there is none of that name."""
        try:
            return self.records[name]
        except KeyError:
            raise NotFound(f"There is no strategy {name!r}.") from None

    def host(self, name: str) -> StrategyHost:
        """Return the engine of a strategy.

        Raises: NotFound: there is no such strategy, or no such engine here.
        """
        return self.hosts[self.record(name).engine]

    def require_loaded(self, name: str) -> None:
        """Raises: Conflict: the engine does not have it."""
        self.require_active(name)
        if name in self.unloaded:
            raise Conflict(
                f"Strategy {name!r} could not be loaded: correct what its error says, and init it.", code="not_loaded"
            )

    def require_active(self, name: str) -> None:
        """Raises: Conflict: the table says that it is not to be loaded."""
        if not self.record(name).is_active:
            raise Conflict(f"Strategy {name!r} is not active: make it so in its plan.", code="not_active")

    async def load(self, record: StrategyRecord) -> None:
        """Add a strategy to its engine, or show why that cannot be, and raise that."""
        name = record.strategy_name
        if not record.is_active:
            self.unloaded[name] = INACTIVE
            self.board.put_inactive(record)
            return

        def add() -> None:
            host = self.hosts[record.engine]
            host.add_strategy(record.class_name, name, record.symbols, record.setting, saved=True)
            host.set_plan(name, record.auto_start, record.desired_state)
            if record.paused and isinstance(host, Pausable):
                host.set_paused(name, True)

        try:
            await self.hosts.run(add, patient=True)
        except CoreError as error:
            self.unloaded[name] = str(error.extra.get("traceback") or error.detail)
            self.board.put_unloaded(self.record(name), self.unloaded[name])
            raise
        self.unloaded.pop(name, None)

    async def told(self, name: str) -> Strategy:
        """Return the strategy once all that has happened to it so far is on disk and published."""
        if name in self.unloaded:
            return self.board.get(name)
        host = self.host(name)
        try:
            state = await self.hosts.run(lambda: host.get_state(name))
        except Unavailable as error:
            detail = f"The command on strategy {name!r} was carried out; the event thread is too busy to say more."
            raise OutcomeUnknown(detail) from error
        return await self.board.until_told(name, state["revision"], f"Strategy {name!r} is {state['state']}")

    # -- what is wanted

    async def insert(self, record: StrategyRecord) -> None:
        """Write a record that the table does not have, or has no more."""
        stored = await self._repository.save(_by_whom(msgspec.structs.replace(record, version=0)))
        self.records[record.strategy_name] = stored

    async def delete(self, name: str) -> None:
        await self._repository.delete(name)
        del self.records[name]

    @contextlib.asynccontextmanager
    async def or_as_before(self, name: str) -> AsyncIterator[None]:
        """Save again what was wanted before, if the event thread has not begun with what is wanted now."""
        before = self.record(name)
        try:
            yield
        except Unavailable:
            version = self.record(name).version
            if version != before.version:
                with contextlib.suppress(Unavailable):  # the answer is the first failure's
                    await self.save(msgspec.structs.replace(before, version=version))
            raise

    async def want(self, name: str, desired_state: StrategyState) -> None:
        record = self.record(name)
        if record.desired_state is not desired_state:
            await self.save(msgspec.structs.replace(record, desired_state=desired_state))

    async def save_setting(self, name: str, partial: Mapping[str, Any]) -> None:
        host = self.host(name)
        setting = await self.hosts.run(lambda: host.merged_setting(name, partial))
        await self.save(msgspec.structs.replace(self.record(name), setting=setting))

    async def save(self, record: StrategyRecord) -> None:
        """Write the record, and let what is told of the strategy have its plan."""
        name = record.strategy_name
        stored = self.records[name] = await self._repository.save(_by_whom(record))
        if not stored.is_active:
            self.board.put_inactive(stored)
        elif self.unloaded.get(name) is INACTIVE:  # about to be loaded
            pass
        elif name in self.unloaded:
            self.board.put_unloaded(stored, self.unloaded[name])
        else:
            host = self.host(name)
            await self.hosts.run(lambda: host.set_plan(name, stored.auto_start, stored.desired_state))

    # -- all of them

    async def load_all(self, known: Known) -> None:
        """Add every strategy to its engine, and give the engines back the orders of the run before.

        An engine that has no strategy in the table is given those of vn.py's own setting file. One that cannot be
        added is shown as FAILED and holds up no other.
        """
        self.records = {record.strategy_name: record for record in await self._repository.list()}
        for host in self.hosts:
            if not any(record.engine == host.engine_name for record in self.records.values()):
                await self._take_over(host)
        for strategy in gone(known, self.records, self.hosts.names):
            self._pipeline.emit(strategy)
        await self.write_setting_files()
        for record in tuple(self.records.values()):
            try:
                await self.load(record)
            except CoreError as error:
                logger.error("Strategy %s cannot be loaded: %s", record.strategy_name, error.detail)
        for host in self.hosts:
            await self._give_back_orders(host, known)
        await self.board.until_all(self.records)

    async def write_setting_files(self, engine: str | None = None) -> None:
        """Make vn.py's setting files, or that of one engine, copies of the table."""
        for host in self.hosts:
            if engine in (None, host.engine_name):
                await self._write_setting_file(host)

    async def _write_setting_file(self, host: StrategyHost) -> None:
        settings = settings_of(self.records, host.engine_name)
        await self.hosts.run(lambda: host.replace_settings(settings))

    async def _take_over(self, host: StrategyHost) -> None:
        for record in records_of(host.engine_name, await self.hosts.run(host.saved_settings)):
            try:
                self.records[record.strategy_name] = await self._repository.save(record)
            except Conflict:
                logger.error("Strategy %s of %s: another has that name", record.strategy_name, record.updated_by)
            else:
                logger.info("Strategy %s was taken over from %s", record.strategy_name, record.updated_by)

    async def _give_back_orders(self, host: StrategyHost, known: Known) -> None:
        earlier = earlier_orders(known, host.engine_name)
        await self.hosts.run(lambda: host.adopt_orders(earlier.owners, earlier.working, earlier.fills))


def _by_whom(record: StrategyRecord) -> StrategyRecord:
    return msgspec.structs.replace(record, updated_by=acting.get())
