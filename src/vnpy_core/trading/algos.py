"""AlgoService: execution algorithms, started and stopped by clients. Loop only.

An algo lives in the engine's memory alone: one that ran when the service ended is STOPPED at the next start, and its
orders, if any still work, are the account's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from vnpy_core.errors import Conflict, NotFound, OutcomeUnknown
from vnpy_core.events import Event
from vnpy_core.models import Algo, AlgoSpec, Model
from vnpy_core.trading.event_thread import EventThread, Unanswered

T = TypeVar("T")


class Table(Protocol):
    def get(self, key: str) -> Event | None: ...
    def values(self) -> Iterable[Event]: ...


class Commits(Protocol):
    async def commit(self, model: Model) -> Event: ...


class Engine(Protocol):
    """vn.py's algo engine; all of it is for the event thread, but for ``templates``."""

    def templates(self) -> Sequence[Mapping[str, Any]]: ...
    def reserve_names(self, algo_names: Iterable[str]) -> None: ...
    def start(self, spec: AlgoSpec) -> Algo: ...
    def pause(self, algo_name: str) -> Algo: ...
    def resume(self, algo_name: str) -> Algo: ...
    def stop(self, algo_name: str) -> Algo: ...
    def stop_running(self) -> list[Algo]: ...


class AlgoService:
    """``open`` once: it gives no name again that an algo had before."""

    def __init__(self, engine: Engine, event_thread: EventThread, pipeline: Commits, algos: Table) -> None:
        self._engine = engine
        self._event_thread = event_thread
        self._pipeline = pipeline
        self._algos = algos

    async def open(self) -> None:
        used = [event.data.key for event in self._algos.values()]
        await self._event_thread.run(lambda: self._engine.reserve_names(used))

    def templates(self) -> Sequence[Mapping[str, Any]]:
        return self._engine.templates()

    def get(self, name: str) -> Algo:
        """Raises:
        NotFound: there was never such an algo, or it is long gone.
        """
        known = self._algos.get(name)
        if known is None or not isinstance(known.data, Algo):
            raise NotFound(f"There is no algo {name!r}.", code="unknown_algo")
        return known.data

    async def start(self, spec: AlgoSpec) -> Algo:
        """Start an algo, and return it as it is on disk.

        Raises:
            NotFound: no such template or contract. Invalid: ``errors`` says which field, and why.
            Conflict: it raised, or ended, while it was started.
            OutcomeUnknown: the engine has begun it, and does not answer.
        """
        return await self._told(lambda: self._engine.start(spec))

    async def pause(self, name: str) -> Algo:
        """Raises:
        NotFound: no such algo. Conflict: it has ended, or raised.
        """
        self._require_running(name)
        return await self._told(lambda: self._engine.pause(name))

    async def resume(self, name: str) -> Algo:
        """Raises:
        NotFound: no such algo. Conflict: it has ended, or raised.
        """
        self._require_running(name)
        return await self._told(lambda: self._engine.resume(name))

    async def stop(self, name: str) -> Algo:
        """Stop an algo and cancel its orders; one that has ended is returned as it is.

        Raises:
            NotFound: no such algo. Conflict: it raised.
        """
        known = self.get(name)
        return known if known.is_final else await self._told(lambda: self._engine.stop(name))

    async def stop_all(self) -> list[str]:
        """Stop every algo that runs or is paused, and return their names."""
        stopped = await self._run(self._engine.stop_running)
        for algo in stopped:
            await self._pipeline.commit(algo)
        return [algo.algo_name for algo in stopped]

    async def _told(self, command: Callable[[], Algo]) -> Algo:
        event = await self._pipeline.commit(await self._run(command))
        return event.data if isinstance(event.data, Algo) else msgspec.convert(event.data, Algo)

    async def _run(self, fn: Callable[[], T]) -> T:
        try:
            return await self._event_thread.run(fn)
        except Unanswered:
            raise OutcomeUnknown("The event thread has begun it and does not end: look at the algos.") from None

    def _require_running(self, name: str) -> None:
        if self.get(name).is_final:
            raise Conflict(f"{name} has ended.", code="algo_ended")
