"""Hosts: the engines that strategies run in, by name, and how the loop has something done in one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from vnpy_core.errors import NotFound, OutcomeUnknown
from vnpy_core.strategies.host import StrategyHost
from vnpy_core.trading.event_thread import Call, EventThread, Unanswered

T = TypeVar("T")


class Hosts:
    """Loop only."""

    def __init__(self, hosts: Sequence[StrategyHost], call: Call, timeout_s: float) -> None:
        self._by_name = {host.engine_name: host for host in hosts}
        self._event_thread = EventThread(call, timeout_s)

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._by_name)

    def __iter__(self) -> Iterator[StrategyHost]:
        return iter(self._by_name.values())

    def __getitem__(self, engine: str) -> StrategyHost:
        """Raises: NotFound: there is no such engine here."""
        try:
            return self._by_name[engine]
        except KeyError:
            raise NotFound(
                f"There is no strategy engine {engine!r}: it must be one of {', '.join(self._by_name)}.",
                code="unknown_engine",
            ) from None

    async def run(self, fn: Callable[[], T], *, patient: bool = False) -> T:
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

    # -- classes, of all engines or of one

    def classes(self, engine: str | None = None) -> Sequence[Mapping[str, Any]]:
        return [
            described
            for host in ([self[engine]] if engine is not None else self)
            for described in host.describe_classes()
        ]

    def class_detail(self, class_name: str, engine: str | None = None) -> Mapping[str, Any]:
        """Return the class of one engine, or of the first that has one of that name.

        Raises:
            NotFound: there is no class of that name.
        """
        failure: NotFound | None = None
        for host in [self[engine]] if engine is not None else self:
            try:
                return host.describe_class(class_name)
            except NotFound as error:
                failure = failure or error
        raise failure or NotFound(f"There is no strategy class {class_name!r}.")

    def broken_files(self) -> Mapping[str, str]:
        return {file: shown for host in self for file, shown in host.broken_files.items()}
