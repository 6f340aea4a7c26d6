"""StrategyBoard: what has been told of each strategy. Only what is on disk gets there."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import NotFound, OutcomeUnknown
from vnpy_core.events import Event
from vnpy_core.models import Strategy
from vnpy_core.strategies.host import Publisher

INACTIVE = "It is not active: it is not loaded, and gets no ticks."


class StrategyBoard:
    """Loop only. Filled by the pipeline with what the engine tells, and by ``put_unloaded``."""

    def __init__(self, pipeline: Publisher, timeout_s: float, engines: Collection[str]) -> None:
        self._pipeline = pipeline
        self._timeout_s = timeout_s
        self._engines = frozenset(engines)
        self._told: dict[str, Strategy] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        pipeline.subscribe(self._on_events)

    def get(self, name: str) -> Strategy:
        """Raises:
        NotFound: nothing has been told of it yet.
        """
        try:
            return self._told[name]
        except KeyError:
            raise NotFound(f"Strategy {name!r} has told nothing yet.") from None

    def all_of(self, names: Collection[str]) -> Sequence[Strategy]:
        """Return what has been told of these, by name."""
        return [self._told[name] for name in sorted(names) if name in self._told]

    def put_unloaded(self, record: StrategyRecord, error: str) -> None:
        """Tell of a strategy that the engine does not have, because of ``error``."""
        told = self._told[record.strategy_name] = _without_engine(record, StrategyState.FAILED, error)
        self._pipeline.emit(told)

    def put_inactive(self, record: StrategyRecord) -> None:
        """Tell of a strategy that is not to be loaded: it held nothing when that was said of it."""
        told = self._told[record.strategy_name] = _without_engine(record, StrategyState.ADDED, INACTIVE)
        self._pipeline.emit(told)

    def put_removed(self, record: StrategyRecord) -> None:
        """Tell that a strategy that the engine does not have is gone."""
        self._pipeline.emit(_without_engine(record, StrategyState.REMOVED, None))

    async def until_told(self, name: str, revision: int, what: str) -> Strategy:
        """Return the strategy once ``revision``, or a later one, has been told of it. ``what`` is the case by then.

        Raises:
            OutcomeUnknown: it was not told in time.
        """
        await self._until(lambda: name in self._told and self._told[name].revision >= revision, what)
        return self._told[name]

    async def until_gone(self, name: str) -> None:
        await self._until(lambda: name not in self._told, f"Strategy {name!r} was removed")

    async def until_all(self, names: Collection[str]) -> None:
        await self._until(lambda: self._told.keys() >= set(names), "The strategies were loaded")

    async def _until(self, reached: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                while not reached():
                    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.add(future)
                    await future
        except TimeoutError as error:
            raise OutcomeUnknown(f"{what}, but the journal cannot record it now.", code="not_journaled") from error

    def _on_events(self, events: Sequence[Event]) -> None:
        found = [event.data for event in events if isinstance(event.data, Strategy)]
        for told in found:
            if told.state is StrategyState.REMOVED:
                self._told.pop(told.strategy_name, None)
            elif told.engine in self._engines:
                self._told[told.strategy_name] = told
        if found:
            waiting, self._waiting = self._waiting, set()
            for future in waiting:
                if not future.done():
                    future.set_result(None)


def _without_engine(record: StrategyRecord, state: StrategyState, error: str | None) -> Strategy:
    return Strategy(
        strategy_name=record.strategy_name,
        class_name=record.class_name,
        engine=record.engine,
        vt_symbol=record.vt_symbol,
        vt_symbols=list(record.symbols),
        author="",
        state=state,
        inited=False,
        trading=False,
        auto_start=record.auto_start,
        pos=0.0 if error is INACTIVE and len(record.symbols) == 1 else None,
        positions=dict.fromkeys(record.symbols, 0.0 if error is INACTIVE else None),
        parameters=record.setting,
        variables={},
        error=error,
        desired_state=record.desired_state,
        paused=record.paused,
    )
