"""RedFireStrategyManager: which strategies there are, what each is to do, and that it does so again after a restart."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, StrategyFailed, Unavailable
from vnpy_core.models import Strategy
from vnpy_core.reports import StrategyPlan
from vnpy_core.strategies.board import StrategyBoard
from vnpy_core.strategies.bring_up import BringUp
from vnpy_core.strategies.host import ENGINE_NAME, Known, Publisher, StrategyHost, StrategyStore
from vnpy_core.strategies.hosts import Hosts
from vnpy_core.strategies.plans import change_plan, plan_of
from vnpy_core.strategies.table import StrategyTable
from vnpy_core.trading.event_thread import Call

# A strategy of one of these names could not be addressed by URL.
_RESERVED = ("classes", "performance", ".", "..")


class RedFireStrategyManager:
    """Loop only. The SQL table is the truth about what is to run, the engines about what does.

    A command saves what is wanted before it has it done, except ``stop``, which stops first; so a crash in between
    leaves a strategy that is brought to the wanted state at the next start. If the event thread does not even begin
    with it, what was wanted before is saved again. Answers show what is on disk.

    What a strategy is brought to at the start is its ``desired_state``: ``start`` and ``stop`` set it, and ``init``
    does, to TRADING for one with ``auto_start``. A failure does not change it.
    """

    def __init__(
        self,
        hosts: Sequence[StrategyHost],
        call: Call,
        repository: StrategyStore,
        pipeline: Publisher,
        read_model: Known,
        *,
        timeout_s: float = 5.0,
    ) -> None:
        self._hosts = Hosts(hosts, call, timeout_s)
        self._board = StrategyBoard(pipeline, timeout_s, self._hosts.names)
        self._table = StrategyTable(self._hosts, repository, pipeline, self._board)
        self._bring_up = BringUp(self._table)
        self.require_sound: Callable[[str], Awaitable[None]] = _nothing
        """Raises ``Conflict`` for a strategy that must not begin as it is; asked before each initialisation."""
        self.on_removed: Callable[[str], Awaitable[None]] = _nothing
        self._read_model = read_model
        self._loaded = False

    @property
    def table(self) -> StrategyTable:
        """For what else is done with strategies; their locks are there."""
        return self._table

    # -- what there is

    @property
    def engines(self) -> Sequence[str]:
        """The names of the engines that strategies can be added to."""
        return self._hosts.names

    def classes(self, engine: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Raises: NotFound: there is no such engine."""
        return self._hosts.classes(engine)

    def class_detail(self, class_name: str, engine: str | None = None) -> Mapping[str, Any]:
        """Raises: NotFound: there is no class of that name."""
        return self._hosts.class_detail(class_name, engine)

    def broken_files(self) -> Mapping[str, str]:
        """Return the strategy files that could not be loaded, by path, each with its traceback."""
        return self._hosts.broken_files()

    def list(self) -> Sequence[Strategy]:
        """Return all strategies by name, also those that could not be loaded."""
        return self._board.all_of(self._table.records)

    def get(self, name: str) -> Strategy:
        """Raises: NotFound: there is none of that name."""
        self._table.record(name)
        return self._board.get(name)

    def plan(self, name: str) -> StrategyPlan:
        """Raises: NotFound: there is none of that name."""
        return plan_of(self._table.record(name))

    def parameters(self, name: str) -> Mapping[str, Any]:
        return self.get(name).parameters

    def variables(self, name: str) -> Mapping[str, Any]:
        return self.get(name).variables

    # -- commands

    async def add(
        self,
        class_name: str,
        strategy_name: str,
        vt_symbols: str | Sequence[str],
        setting: Mapping[str, Any],
        auto_start: bool = False,
        *,
        engine: str = ENGINE_NAME,
    ) -> Strategy:
        """Add a strategy; one with ``auto_start`` trades from the next start of the service on.

        Raises:
            Conflict, NotFound, Invalid, StrategyFailed, Unavailable: it was not added.
        """
        if strategy_name in _RESERVED:
            errors = [{"field": "strategy_name", "message": "is reserved"}]
            raise Invalid(f"No strategy can be called {strategy_name!r}.", errors=errors)
        host = self._hosts[engine]
        symbols = [vt_symbols] if isinstance(vt_symbols, str) else list(vt_symbols)
        async with self._table.lock(strategy_name):
            if strategy_name in self._table.records:
                raise Conflict(f"There is a strategy {strategy_name!r} already.", code="duplicate_strategy")
            desired_state = StrategyState.TRADING if auto_start else StrategyState.ADDED

            def add() -> StrategyRecord:
                host.add_strategy(class_name, strategy_name, symbols, setting)
                host.set_plan(strategy_name, auto_start, desired_state)
                state = host.get_state(strategy_name)
                return StrategyRecord(
                    strategy_name=strategy_name,
                    class_name=class_name,
                    engine=engine,
                    vt_symbol=state["vt_symbol"],
                    vt_symbols=list(state["vt_symbols"]),
                    setting=host.merged_setting(strategy_name, {}),
                    auto_start=auto_start,
                    desired_state=desired_state,
                )

            record = await self._hosts.run(add, patient=True)
            try:
                await self._table.insert(record)
            except BaseException:
                await self._hosts.run(lambda: host.remove_strategy(strategy_name))
                raise
        return await self._table.told(strategy_name)

    async def remove(self, name: str) -> None:
        """Raises:
        Conflict: it trades, or is being initialised.
        """
        table = self._table
        async with table.lock(name):
            record = table.record(name)
            if name in table.unloaded:
                await table.delete(name)
                del table.unloaded[name]
                self._board.put_removed(record)
                if record.engine in self._hosts.names:
                    host = self._hosts[record.engine]
                    await self._hosts.run(lambda: host.forget_strategy(name))
            else:
                host = table.host(name)
                await self._hosts.run(lambda: host.require_removable(name))
                await table.delete(name)
                try:
                    await self._hosts.run(lambda: host.remove_strategy(name))
                except Unavailable:
                    await table.insert(record)
                    raise
        await self._board.until_gone(name)
        await self.on_removed(name)

    async def init(self, name: str) -> Strategy:
        """Return when ``on_init`` is done, however long that takes. One that could not be loaded is loaded first.

        Raises:
            Conflict: it is initialised, or is being initialised.
            StrategyFailed: ``on_init`` raised.
        """
        table = self._table
        async with table.lock(name):
            record = table.record(name)
            table.require_active(name)
            if name in table.unloaded:
                await table.load(record)
            host = table.host(name)
            await self._hosts.run(lambda: host.require_initialisable(name))
            await self.require_sound(name)
            async with table.or_as_before(name):
                await table.want(name, StrategyState.TRADING if record.auto_start else StrategyState.INITED)
            outcome = self._bring_up.init(name)
        return await self._bring_up.initialised(name, outcome)

    async def start(self, name: str) -> Strategy:
        """Raises:
        Conflict: it trades already, or is not initialised.
        StrategyFailed: ``on_start`` raised.
        """
        table = self._table
        async with table.lock(name):
            table.require_loaded(name)
            host = table.host(name)
            await self._hosts.run(lambda: host.require_startable(name))
            async with table.or_as_before(name):
                await table.want(name, StrategyState.TRADING)
                return await self._bring_up.start(name)

    async def stop(self, name: str) -> Strategy:
        """Stop it and cancel its orders, at once; it stays stopped after a restart. A second stop is no error.

        Raises:
            StrategyFailed: ``on_stop`` raised; it is stopped nevertheless.
        """
        self._table.record(name)
        failure = await self._stop(name)
        async with self._table.lock(name):
            # Once more: a start that was under way has been done meanwhile.
            failure = await self._stop(name) or failure
            if self._table.record(name).desired_state is StrategyState.TRADING:
                await self._table.want(name, StrategyState.INITED)
        told = await self._table.told(name)
        if failure is not None:
            raise failure
        return told

    async def set_parameters(self, name: str, partial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the parameters that ``partial`` names, leave the others, and return them all.

        Raises:
            Invalid: ``errors`` says what is wrong with which one; none was changed.
        """
        table = self._table
        async with table.lock(name):
            record = table.record(name)
            table.require_active(name)
            if name in table.unloaded:
                await table.load(msgspec.structs.replace(record, setting={**record.setting, **partial}))
                await table.save_setting(name, {})
            else:
                host = table.host(name)
                async with table.or_as_before(name):
                    await table.save_setting(name, partial)
                    await self._hosts.run(lambda: host.edit_strategy(name, partial))
        return (await table.told(name)).parameters

    async def change_plan(
        self, name: str, *, auto_start: bool | None = None, is_active: bool | None = None
    ) -> StrategyPlan:
        """Change what is to become of it at the next start; None leaves it. An inactive one is let go of at once.

        With ``auto_start`` it is to trade from the next start on; without, it is brought to what it is now.

        Raises:
            Conflict: an inactive one must hold nothing, and neither trade nor be initialised just now.
        """
        return await change_plan(self._table, name, auto_start, is_active)

    async def _stop(self, name: str) -> StrategyFailed | None:
        try:
            if name not in self._table.unloaded:
                host = self._table.host(name)
                await self._hosts.run(lambda: host.stop_strategy(name))
        except StrategyFailed as error:
            return error
        return None

    # -- the table

    async def load_strategies_from_db(self) -> None:
        """Add every strategy of the table to its engine. To be done before the gateways connect: they tell fills
        again."""
        await self._table.load_all(self._read_model)
        self._loaded = True

    async def save_strategy_to_db(self, name: str) -> None:
        """Write the strategy's setting as it is now to the table."""
        async with self._table.lock(name):
            self._table.require_loaded(name)
            await self._table.save_setting(name, {})

    # -- start and stop of the service

    async def restore(self) -> None:
        """Begin to bring each strategy to its desired state, side by side; ``settled`` waits for the end of that."""
        if not self._loaded:
            await self.load_strategies_from_db()
        self._bring_up.begin(self.require_sound)

    def bring_up_again(self, name: str) -> None:
        """Begin to bring one strategy to its desired state that was held back; ``settled`` waits for that too."""
        self._bring_up.begin(self.require_sound, name)

    async def settled(self) -> None:
        """Wait until every strategy that ``restore`` has begun with is in its desired state or has failed."""
        await self._bring_up.settled()

    async def close(self) -> None:
        """Bring up no more strategies."""
        await self._bring_up.close()


async def _nothing(name: str) -> None: ...
