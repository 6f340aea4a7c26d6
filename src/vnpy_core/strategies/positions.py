"""PositionCheck: no strategy begins with a pos that its recorded trades do not explain, unless somebody accepts it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from vnpy_core.data.strategy_positions import Baseline, Recorded
from vnpy_core.errors import Conflict, Unavailable
from vnpy_core.reports import PositionStanding
from vnpy_core.strategies.alerts import StrategyAlerts

# Fills that the gateway tells at the start are in pos before they are in SQL, or the other way round.
_LOOKS = 4
_AGAIN_S = 0.5
_BEHIND_S = 5.0
_BEHIND_LOOKS = 200
_DIGITS = 9

logger = logging.getLogger(__name__)


class Traded(Protocol):
    """See ``data.strategy_positions.TradedPositions``."""

    async def recorded(self) -> Mapping[str, Recorded]: ...
    async def baselines(self) -> Mapping[str, Baseline]: ...
    async def set_baseline(self, strategy_name: str, beyond_trades: float, by: str) -> Baseline: ...
    async def forget(self, strategy_name: str) -> None: ...


class Recorder(Protocol):
    """How far the record is behind."""

    @property
    def position(self) -> int: ...
    @property
    def lag(self) -> int: ...
    @property
    def healthy(self) -> bool: ...


class PositionCheck:
    """Loop only. The first look at a strategy says what it began with: later ones are held against that."""

    def __init__(
        self,
        pos_of: Callable[[str], Awaitable[float]],
        traded: Traded,
        recorder: Recorder,
        alerts: StrategyAlerts,
        *,
        looks: int = _LOOKS,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._pos_of = pos_of
        self._traded = traded
        self._recorder = recorder
        self._alerts = alerts
        self._looks = looks
        self._again_s = again_s
        self._passed: set[str] = set()
        self._reading: asyncio.Task[_Record] | None = None

    async def look(self, name: str) -> PositionStanding:
        """Compare, more than once if it does not agree: fills are on their way. Changes nothing."""
        for _ in range(self._looks - 1):
            standing = await self._look(name)
            if standing.state != "DIFFERS":
                return standing
            await asyncio.sleep(self._again_s)
        return await self._look(name)

    async def _look(self, name: str) -> PositionStanding:
        try:
            await self._caught_up()
            recorded, baselines = await self._read()
        except Unavailable as error:
            return PositionStanding(
                strategy_name=name, state="UNCHECKED", pos=await self._pos_of(name), detail=error.detail
            )
        known, baseline = recorded.get(name, Recorded()), baselines.get(name)
        # What was saved and what was traded are of one moment; the engine's own pos is ahead of both.
        pos, sum_traded = known.pos if known.pos is not None else await self._pos_of(name), known.traded
        if baseline is None:
            return PositionStanding(
                strategy_name=name, state="AGREES", pos=pos, traded=sum_traded,
                detail="It was not looked at before: what it holds beyond its trades is what it begins with.",
            )  # fmt: skip
        difference = round(pos - sum_traded - baseline.beyond_trades, _DIGITS)
        return PositionStanding(
            strategy_name=name, state="DIFFERS" if difference else "AGREES", pos=pos, traded=sum_traded,
            beyond_trades=baseline.beyond_trades, difference=difference, set_by=baseline.set_by,
            set_at=baseline.set_at,
        )  # fmt: skip

    async def require(self, name: str) -> None:
        """Let a strategy begin that has agreed once in this run, or agrees now; one that cannot be checked, too.

        Raises:
            Conflict: its pos differs from its trades (``position_mismatch``), and an alert is raised.
        """
        if name in self._passed:
            return
        standing = await self.look(name)
        if standing.state == "UNCHECKED":
            logger.warning("The pos of strategy %s is not checked: %s", name, standing.detail)
            return
        if standing.state == "AGREES":
            if standing.beyond_trades is None:
                await self._set(name, standing, by="first start")
            self._pass(name, "its pos agrees with its trades")
            return
        summary = (
            f"Strategy {name!r} was not started: its pos is {standing.pos:g}, and by its recorded trades it should be "
            f"{standing.pos - (standing.difference or 0):g}"
        )
        logger.error("%s", summary)
        self._alerts.tell(_alert_id(name), "critical", summary)
        raise Conflict(
            f"{summary}. See which is right, and accept it: POST /api/v1/strategies/{name}/position/accept",
            code="position_mismatch",
        )

    async def accept(self, name: str, *, by: str) -> PositionStanding:
        """Take the pos as it is now for what the strategy holds.

        Raises:
            Unavailable: the recorded trades cannot be read.
        """
        standing = await self.look(name)
        if standing.state == "UNCHECKED":
            raise Unavailable(standing.detail or "The recorded trades cannot be read now.")
        logger.warning("%s has accepted a pos of %g of strategy %s", by, standing.pos, name)
        await self._set(name, standing, by=by)
        self._pass(name, f"{by} has accepted a pos of {standing.pos:g}")
        return await self.look(name)

    async def forget(self, name: str) -> None:
        """Forget what a strategy began with: it is gone, or begins anew."""
        self._passed.discard(name)
        self._alerts.resolve(_alert_id(name), f"Strategy {name!r} begins anew")
        await self._traded.forget(name)

    def _pass(self, name: str, why: str) -> None:
        self._passed.add(name)
        self._alerts.resolve(_alert_id(name), f"Strategy {name!r}: {why}")

    async def _set(self, name: str, standing: PositionStanding, *, by: str) -> None:
        await self._traded.set_baseline(name, standing.pos - (standing.traded or 0.0), by)

    async def _caught_up(self) -> None:
        """Raises:
        Unavailable: the recorded trades are too far behind.
        """
        last = self._recorder.position + self._recorder.lag
        for _ in range(_BEHIND_LOOKS):
            if self._recorder.position >= last:
                return
            if not self._recorder.healthy:
                break
            await asyncio.sleep(_BEHIND_S / _BEHIND_LOOKS)
        raise Unavailable(f"The recorded trades are {self._recorder.lag} facts behind.")

    async def _read(self) -> "_Record":
        """Read once for all that ask at the same time: at the start these are all strategies."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all(), name="recorded positions")
        return await asyncio.shield(self._reading)

    async def _read_all(self) -> "_Record":
        await asyncio.sleep(0)
        return await self._traded.recorded(), await self._traded.baselines()


_Record = tuple[Mapping[str, Recorded], Mapping[str, Baseline]]


def _alert_id(name: str) -> str:
    return f"strategy.position.{name}"
