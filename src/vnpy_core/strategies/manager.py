"""RedFireStrategyManager: which strategies there are, what each is to do, and that it does so again after a restart."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, CoreError, Invalid, NotFound, OutcomeUnknown, StrategyFailed, Unavailable
from vnpy_core.models import Strategy
from vnpy_core.strategies.board import StrategyBoard
from vnpy_core.strategies.host import ENGINE_NAME, CtaHost, Known, Publisher, StrategyStore
from vnpy_core.strategies.recovery import earlier_orders, gone, records_of, settings_of
from vnpy_core.trading.event_thread import Call, EventThread, Unanswered

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A strategy of one of these names could not be addressed by URL.
_RESERVED = ("classes", ".", "..")


class RedFireStrategyManager:
    """Loop only. The SQL table is the truth about what is to run, the engine about what does.

    A command saves what is wanted before it has it done, except ``stop``, which stops first; so a crash in between
    leaves a strategy that is brought to the wanted state at the next start. If the event thread does not even begin
    with it, what was wanted before is saved again. Answers show what is on disk.

    What a strategy is brought to at the start is its ``desired_state``: ``start`` and ``stop`` set it, and ``init``
    does, to TRADING for one with ``auto_start``. A failure does not change it.
    """

    def __init__(
        self,
        cta: CtaHost,
        call: Call,
        repository: StrategyStore,
        pipeline: Publisher,
        read_model: Known,
        *,
        timeout_s: float = 5.0,
    ) -> None:
        self._cta = cta
        self._event_thread = EventThread(call, timeout_s)
        self._repository = repository
        self._pipeline = pipeline
        self._read_model = read_model
        self._board = StrategyBoard(pipeline, timeout_s)
        self._records: dict[str, StrategyRecord] = {}
        self._unloaded: dict[str, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loaded = False

    # -- what there is

    def classes(self) -> Sequence[Mapping[str, Any]]:
        return self._cta.describe_classes()

    def class_detail(self, class_name: str) -> Mapping[str, Any]:
        """Raises:
        NotFound: there is no class of that name.
        """
        return self._cta.describe_class(class_name)

    def broken_files(self) -> Mapping[str, str]:
        """Return the strategy files that could not be loaded, by path, each with its traceback."""
        return self._cta.broken_files

    def list(self) -> Sequence[Strategy]:
        """Return all strategies by name, also those that could not be loaded."""
        return self._board.all_of(self._records)

    def get(self, name: str) -> Strategy:
        """Raises:
        NotFound: there is none of that name.
        """
        self._record(name)
        return self._board.get(name)

    def parameters(self, name: str) -> Mapping[str, Any]:
        return self.get(name).parameters

    def variables(self, name: str) -> Mapping[str, Any]:
        return self.get(name).variables

    # -- commands

    async def add(
        self, class_name: str, strategy_name: str, vt_symbol: str, setting: Mapping[str, Any], auto_start: bool = False
    ) -> Strategy:
        """Add a strategy; one with ``auto_start`` trades from the next start of the service on.

        Raises:
            Conflict, NotFound, Invalid, StrategyFailed, Unavailable: it was not added.
        """
        if strategy_name in _RESERVED:
            errors = [{"field": "strategy_name", "message": "is reserved"}]
            raise Invalid(f"No strategy can be called {strategy_name!r}.", errors=errors)
        async with self._lock(strategy_name):
            if strategy_name in self._records:
                raise Conflict(f"There is a strategy {strategy_name!r} already.", code="duplicate_strategy")
            desired_state = StrategyState.TRADING if auto_start else StrategyState.ADDED

            def add() -> StrategyRecord:
                self._cta.add_strategy(class_name, strategy_name, vt_symbol, setting)
                self._cta.set_plan(strategy_name, auto_start, desired_state)
                return StrategyRecord(
                    strategy_name=strategy_name,
                    class_name=class_name,
                    engine=ENGINE_NAME,
                    vt_symbol=self._cta.get_state(strategy_name)["vt_symbol"],
                    setting=self._cta.merged_setting(strategy_name, {}),
                    auto_start=auto_start,
                    desired_state=desired_state,
                )

            record = await self._engine(add, patient=True)
            try:
                self._records[strategy_name] = await self._repository.save(record)
            except BaseException:
                await self._engine(lambda: self._cta.remove_strategy(strategy_name))
                raise
        return await self._told(strategy_name)

    async def remove(self, name: str) -> None:
        """Raises:
        Conflict: it trades, or is being initialised.
        """
        async with self._lock(name):
            record = self._record(name)
            if name not in self._unloaded:
                await self._engine(lambda: self._cta.require_removable(name))
            await self._repository.delete(name)
            del self._records[name]
            if self._unloaded.pop(name, None) is None:
                try:
                    await self._engine(lambda: self._cta.remove_strategy(name))
                except Unavailable:
                    self._records[name] = await self._repository.save(msgspec.structs.replace(record, version=0))
                    raise
            else:
                self._board.put_removed(record)
                await self._engine(lambda: self._cta.replace_settings(settings_of(self._records)))
        await self._board.until_gone(name)

    async def init(self, name: str) -> Strategy:
        """Return when ``on_init`` is done, however long that takes. One that could not be loaded is loaded first.

        Raises:
            Conflict: it is initialised, or is being initialised.
            StrategyFailed: ``on_init`` raised.
        """
        async with self._lock(name):
            record = self._record(name)
            if name in self._unloaded:
                await self._load(record)
            await self._engine(lambda: self._cta.require_initialisable(name))
            async with self._or_as_before(name):
                await self._want(name, StrategyState.TRADING if record.auto_start else StrategyState.INITED)
            outcome = self._cta.init_strategy(name)
        return await self._initialised(name, outcome)

    async def start(self, name: str) -> Strategy:
        """Raises:
        Conflict: it trades already, or is not initialised.
        StrategyFailed: ``on_start`` raised.
        """
        async with self._lock(name):
            self._require_loaded(name)
            await self._engine(lambda: self._cta.require_startable(name))
            async with self._or_as_before(name):
                await self._want(name, StrategyState.TRADING)
                return await self._start(name)

    async def stop(self, name: str) -> Strategy:
        """Stop it and cancel its orders, at once; it stays stopped after a restart. A second stop is no error.

        Raises:
            StrategyFailed: ``on_stop`` raised; it is stopped nevertheless.
        """
        self._record(name)
        failure = await self._stop(name)
        async with self._lock(name):
            # Once more: a start that was under way has been done meanwhile.
            failure = await self._stop(name) or failure
            if self._record(name).desired_state is StrategyState.TRADING:
                await self._want(name, StrategyState.INITED)
        told = await self._told(name)
        if failure is not None:
            raise failure
        return told

    async def set_parameters(self, name: str, partial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the parameters that ``partial`` names, leave the others, and return them all.

        Raises:
            Invalid: ``errors`` says what is wrong with which one; none was changed.
        """
        async with self._lock(name):
            record = self._record(name)
            if name in self._unloaded:
                await self._load(msgspec.structs.replace(record, setting={**record.setting, **partial}))
                await self._save_setting(name, {})
            else:
                async with self._or_as_before(name):
                    await self._save_setting(name, partial)
                    await self._engine(lambda: self._cta.edit_strategy(name, partial))
        return (await self._told(name)).parameters

    # -- the table

    async def load_strategies_from_db(self) -> None:
        """Add every strategy of the table to the engine, and give it back the orders of the run before.

        An empty table is filled from vn.py's own setting file first. One that cannot be added is shown as FAILED and
        holds up no other. To be done before the gateways connect: they tell fills again.
        """
        records = [record for record in await self._repository.list() if record.engine == ENGINE_NAME]
        if not records:
            for record in records_of(await self._engine(self._cta.saved_settings)):
                records.append(await self._repository.save(record))
                logger.info("Strategy %s was taken over from %s", record.strategy_name, record.updated_by)
        self._records = {record.strategy_name: record for record in records}
        for strategy in gone(self._read_model, self._records):
            self._pipeline.emit(strategy)
        await self._engine(lambda: self._cta.replace_settings(settings_of(self._records)))
        for record in records:
            try:
                await self._load(record)
            except CoreError as error:
                logger.error("Strategy %s cannot be loaded: %s", record.strategy_name, error.detail)
        earlier = earlier_orders(self._read_model)
        await self._engine(lambda: self._cta.adopt_orders(earlier.owners, earlier.working, earlier.fills))
        self._loaded = True
        await self._board.until_all(self._records)

    async def save_strategy_to_db(self, name: str) -> None:
        """Write the strategy's setting as it is now to the table."""
        async with self._lock(name):
            self._require_loaded(name)
            await self._save_setting(name, {})

    # -- start and stop of the service

    async def restore(self) -> None:
        """Begin to bring each strategy to its desired state, side by side; ``settled`` waits for the end of that."""
        if not self._loaded:
            await self.load_strategies_from_db()
        for name, record in self._records.items():
            if name not in self._unloaded and record.desired_state in (StrategyState.INITED, StrategyState.TRADING):
                self._spawn(self._bring_up(name))

    async def settled(self) -> None:
        """Wait until every strategy that ``restore`` has begun with is in its desired state or has failed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Bring up no more strategies."""
        for task in self._tasks:
            task.cancel()
        await self.settled()

    # -- inside

    async def _bring_up(self, name: str) -> None:
        try:
            async with self._lock(name):
                outcome = self._cta.init_strategy(name)
            await self._initialised(name, outcome)
            async with self._lock(name):
                record = self._records.get(name)
                if record is not None and record.desired_state is StrategyState.TRADING:  # still so
                    await self._start(name)
        except CoreError as error:
            logger.error("Strategy %s was not brought to its desired state: %s", name, error.detail)
        except Exception:  # nobody waits for this task
            logger.exception("Strategy %s was not brought to its desired state", name)

    async def _initialised(self, name: str, outcome: Future[None]) -> Strategy:
        return await self._told_after(name, asyncio.wrap_future(outcome))

    async def _start(self, name: str) -> Strategy:
        return await self._told_after(name, self._engine(lambda: self._cta.start_strategy(name)))

    async def _told_after(self, name: str, work: Awaitable[None]) -> Strategy:
        try:
            await work
        except StrategyFailed:
            await self._told(name)
            raise
        return await self._told(name)

    async def _stop(self, name: str) -> StrategyFailed | None:
        try:
            if name not in self._unloaded:
                await self._engine(lambda: self._cta.stop_strategy(name))
        except StrategyFailed as error:
            return error
        return None

    async def _load(self, record: StrategyRecord) -> None:
        """Add a strategy to the engine, or show why that cannot be."""
        name = record.strategy_name

        def add() -> None:
            self._cta.add_strategy(record.class_name, name, record.vt_symbol, record.setting, saved=True)
            self._cta.set_plan(name, record.auto_start, record.desired_state)

        try:
            await self._engine(add, patient=True)
        except CoreError as error:
            self._unloaded[name] = str(error.extra.get("traceback") or error.detail)
            self._board.put_unloaded(self._record(name), self._unloaded[name])
            raise
        self._unloaded.pop(name, None)

    @contextlib.asynccontextmanager
    async def _or_as_before(self, name: str) -> AsyncIterator[None]:
        """Save again what was wanted before, if the event thread has not begun with what is wanted now."""
        before = self._record(name)
        try:
            yield
        except Unavailable:
            version = self._record(name).version
            if version != before.version:
                with contextlib.suppress(Unavailable):  # the answer is the first failure's
                    await self._save(msgspec.structs.replace(before, version=version))
            raise

    async def _want(self, name: str, desired_state: StrategyState) -> None:
        record = self._record(name)
        if record.desired_state is not desired_state:
            await self._save(msgspec.structs.replace(record, desired_state=desired_state))

    async def _save_setting(self, name: str, partial: Mapping[str, Any]) -> None:
        setting = await self._engine(lambda: self._cta.merged_setting(name, partial))
        await self._save(msgspec.structs.replace(self._record(name), setting=setting))

    async def _save(self, record: StrategyRecord) -> None:
        """Write the record, and let what is told of the strategy have its plan."""
        name = record.strategy_name
        stored = self._records[name] = await self._repository.save(record)
        if name in self._unloaded:
            self._board.put_unloaded(stored, self._unloaded[name])
        else:
            await self._engine(lambda: self._cta.set_plan(name, stored.auto_start, stored.desired_state))

    async def _told(self, name: str) -> Strategy:
        """Return the strategy once all that has happened to it so far is on disk and published."""
        if name in self._unloaded:
            return self._board.get(name)
        try:
            state = await self._engine(lambda: self._cta.get_state(name))
        except Unavailable as error:
            detail = f"The command on strategy {name!r} was carried out; the event thread is too busy to say more."
            raise OutcomeUnknown(detail) from error
        return await self._board.until_told(name, state["revision"], f"Strategy {name!r} is {state['state']}")

    async def _engine(self, fn: Callable[[], T], *, patient: bool = False) -> T:
        """Run ``fn`` on the event thread. ``patient``: wait however long it takes (a constructor may load a model)."""
        try:
            return await self._event_thread.run(fn)
        except Unanswered as error:
            if patient:
                return cast("T", await error.future)
            raise OutcomeUnknown(
                f"The strategy's code did not come back within {self._event_thread.timeout_s:g} s, and goes on. "
                "See its state before you repeat the command."
            ) from error

    def _lock(self, name: str) -> asyncio.Lock:
        """Return what commands on one strategy take in turn; it lives as long as anyone has it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def _record(self, name: str) -> StrategyRecord:
        try:
            return self._records[name]
        except KeyError:
            raise NotFound(f"There is no strategy {name!r}.") from None

    def _require_loaded(self, name: str) -> None:
        self._record(name)
        if name in self._unloaded:
            raise Conflict(
                f"Strategy {name!r} could not be loaded: correct what its error says, and init it.", code="not_loaded"
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
