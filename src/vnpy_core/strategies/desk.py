"""StrategyDesk: what is done with a strategy beside running it: pause, reset, clone, its saved states, its position."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Unavailable
from vnpy_core.models import Strategy
from vnpy_core.reports import PositionStanding, SavedState, StrategyError
from vnpy_core.strategies.alerts import StrategyAlerts
from vnpy_core.strategies.host import ENGINE_NAME, Pausable, Resettable
from vnpy_core.strategies.manager import RedFireStrategyManager
from vnpy_core.strategies.positions import PositionCheck, Recorder, Traded

logger = logging.getLogger(__name__)


class History(Protocol):
    """See ``data.strategy_variables.SavedVariables``."""

    async def history(
        self, strategy_name: str, cursor: str | None, limit: int
    ) -> tuple[list[SavedState], str | None]: ...


class CtaPositions(Resettable, Protocol):
    """The CTA engine, as far as positions are asked for and corrected. On the event thread."""

    def pos_of(self, strategy_name: str) -> float: ...
    def set_pos(self, strategy_name: str, pos: float) -> None: ...


class StrategyDesk:
    """Loop only. Raises what the manager's commands raise: ``NotFound``, ``Conflict``, ``Unavailable``."""

    def __init__(
        self,
        manager: RedFireStrategyManager,
        cta: CtaPositions,
        history: History,
        alerts: StrategyAlerts,
        traded: Traded,
        recorder: Recorder,
        *,
        check_positions: bool = True,
    ) -> None:
        self._manager = manager
        self._table = manager.table
        self._cta = cta
        self._history = history
        self._alerts = alerts
        self._check = PositionCheck(self._pos_of, traded, recorder, alerts)
        if check_positions:
            manager.require_sound = self._require_sound
        manager.on_removed = self._forget

    async def pause(self, name: str) -> Strategy:
        """Let only those of its orders pass that reduce its position, and cancel its working ones that open.

        It goes on otherwise, and stays paused over a restart. A second pause is no error.
        """
        async with self._table.lock(name):
            host = self._pausable(name)
            await self._table.hosts.run(lambda: host.set_paused(name, True))
            await self._save_paused(name, True)
        return await self._table.told(name)

    async def resume(self, name: str) -> Strategy:
        """Let all its orders pass again."""
        async with self._table.lock(name):
            host = self._pausable(name)
            await self._save_paused(name, False)
            await self._table.hosts.run(lambda: host.set_paused(name, False))
        return await self._table.told(name)

    async def reset(self, name: str, *, zero_pos: bool) -> Strategy:
        """Make it anew with its setting, ADDED; of its variables ``pos`` alone is kept, unless that is to be 0.

        Raises:
            Conflict: it trades, is being initialised, or has working orders.
        """
        async with self._table.lock(name):
            self._table.require_loaded(name)
            host = self._table.host(name)
            if not isinstance(host, Resettable):
                raise Conflict(f"A strategy of {host.engine_name} cannot be reset.", code="not_supported")
            await self._table.hosts.run(lambda: host.reset_strategy(name, zero_pos=zero_pos), patient=True)
            if zero_pos:
                await self._forget(name)
        return await self._table.told(name)

    async def clone(
        self,
        name: str,
        strategy_name: str,
        vt_symbols: Sequence[str] | None,
        setting: Mapping[str, Any],
        auto_start: bool,
    ) -> Strategy:
        """Add another of the same class and setting, but for what is given. It begins with pos 0."""
        record = self._table.record(name)
        return await self._manager.add(
            record.class_name,
            strategy_name,
            vt_symbols if vt_symbols is not None else record.symbols,
            {**record.setting, **setting},
            auto_start,
            engine=record.engine,
        )

    async def history(self, name: str, cursor: str | None, limit: int) -> tuple[list[SavedState], str | None]:
        """Return its saved states, the newest first."""
        self._table.record(name)
        return await self._history.history(name, cursor, limit)

    def errors(self, name: str) -> list[StrategyError]:
        self._table.record(name)
        return self._alerts.errors(name)

    async def position(self, name: str) -> PositionStanding:
        """Compare its pos with its recorded trades."""
        self._require_cta(name)
        return await self._check.look(name)

    async def accept_position(self, name: str, keep: Literal["pos", "trades"], *, by: str) -> PositionStanding:
        """Say which is right, its pos or its recorded trades; one that was held back because of it is brought up.

        Raises:
            Conflict: its pos is to be corrected, and it trades or is being initialised.
        """
        async with self._table.lock(name):
            self._require_cta(name)
            if keep == "trades":
                standing = await self._check.look(name)
                if standing.state == "UNCHECKED":
                    raise Unavailable(standing.detail or "The recorded trades cannot be read now.")
                pos = standing.pos - (standing.difference or 0.0)
                await self._table.hosts.run(lambda: self._cta.set_pos(name, pos))
            accepted = await self._check.accept(name, by=by)
        if self._manager.get(name).state is StrategyState.ADDED:
            self._manager.bring_up_again(name)
        return accepted

    # -- inside

    async def _require_sound(self, name: str) -> None:
        if self._table.record(name).engine == ENGINE_NAME:
            await self._check.require(name)

    async def _pos_of(self, name: str) -> float:
        return await self._table.hosts.run(lambda: self._cta.pos_of(name))

    async def _forget(self, name: str) -> None:
        try:
            await self._check.forget(name)
        except Unavailable as error:
            logger.warning("What strategy %s began with is not forgotten yet: %s", name, error.detail)

    async def _save_paused(self, name: str, paused: bool) -> None:
        record = self._table.record(name)
        if record.paused is not paused:
            await self._table.save(msgspec.structs.replace(record, paused=paused))

    def _require_cta(self, name: str) -> None:
        self._table.require_loaded(name)
        if (engine := self._table.record(name).engine) != ENGINE_NAME:
            raise Conflict(f"The positions of {engine} are not checked against trades.", code="not_supported")

    def _pausable(self, name: str) -> Pausable:
        self._table.require_loaded(name)
        host = self._table.host(name)
        if not isinstance(host, Pausable):
            raise Conflict(f"A strategy of {host.engine_name} cannot be paused.", code="not_supported")
        return host
