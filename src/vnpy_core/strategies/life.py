"""StrategyLife: what strategies take with them over a restart, and what is told of how they fare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from vnpy_core.config.strategy_settings import StrategySettings
from vnpy_core.enums import StrategyState
from vnpy_core.events import Event
from vnpy_core.models import StopOrder, StrategyVariables
from vnpy_core.strategies.alerts import StrategyAlerts
from vnpy_core.strategies.host import Publisher
from vnpy_core.trading.event_thread import EventThread


class KeepingHost(Protocol):
    """A strategy engine, as far as it keeps things over a restart. On the event thread."""

    @property
    def engine_name(self) -> str: ...
    def adopt_variables(self, saved: Mapping[str, StrategyVariables]) -> None: ...


class StopOrderHost(Protocol):
    """The CTA engine, the one that keeps stop orders. On the event thread."""

    def hold_stop_orders(self, known: Iterable[StopOrder]) -> None: ...
    def end_stop_orders(self, strategy_name: str | None = None) -> Mapping[str, int]: ...


class Saved(Protocol):
    async def latest(self) -> Mapping[str, StrategyVariables]: ...
    async def prune(self, keep: int) -> int: ...


class Rows(Protocol):
    def values(self) -> Iterable[Event]: ...


class Told(Protocol):
    """What a strategy's state is: ``Strategy``."""

    @property
    def strategy_name(self) -> str: ...
    @property
    def state(self) -> StrategyState: ...
    @property
    def error(self) -> str | None: ...


class Known(Protocol):
    """The read model, as the journal has filled it."""

    @property
    def stop_orders(self) -> Rows: ...


class StrategyLife:
    """Loop only."""

    def __init__(
        self,
        settings: StrategySettings,
        hosts: Sequence[KeepingHost],
        cta: StopOrderHost,
        event_thread: EventThread,
        saved: Saved,
        pipeline: Publisher,
        known: Known,
    ) -> None:
        self.alerts = StrategyAlerts(pipeline)
        self._settings = settings
        self._hosts = hosts
        self._cta = cta
        self._event_thread = event_thread
        self._saved = saved
        self._known = known

    async def give_back(self) -> None:
        """Give the engines variables and stop orders of the run before; to be done before strategies are loaded.

        The variables are those of the journal and the database: vn.py's file counts only for a strategy of which
        nothing is known there.
        """
        saved = await self._saved.latest()
        stop_orders = [event.data for event in self._known.stop_orders.values() if isinstance(event.data, StopOrder)]

        def give() -> None:
            for host in self._hosts:
                engine = host.engine_name
                host.adopt_variables({name: kept for name, kept in saved.items() if kept.engine == engine})
            self._cta.hold_stop_orders(stop_orders)

        await self._event_thread.run(give)
        if self._settings.stop_orders_at_restart == "end":
            await self._end(lambda name: "strategies.stop_orders_at_restart is end")

    async def end_rest(self, strategies: Iterable[Told]) -> None:
        """End the stop orders that were not taken up, because their strategies do not trade again, and tell so."""
        states = {told.strategy_name: told.state for told in strategies}
        await self._end(lambda name: f"it is {states[name]}" if name in states else "it is gone")

    async def prune(self) -> int:
        """Delete the oldest saved states of strategies that have more than are to be kept.

        Raises:
            Unavailable: the database cannot be reached.
        """
        return await self._saved.prune(self._settings.variables_kept)

    async def _end(self, why: "Why") -> None:
        ended = await self._event_thread.run(self._cta.end_stop_orders)
        self.alerts.stop_orders_ended(ended, {name: why(name) for name in ended})


class Why(Protocol):
    def __call__(self, name: str, /) -> str: ...
