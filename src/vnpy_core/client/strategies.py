"""Strategies: their classes, and the strategies made of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from vnpy_core.client.connection import segment
from vnpy_core.client.mode import Mode, Resource, listing, operation
from vnpy_core.enums import StrategyState
from vnpy_core.models import Strategy
from vnpy_core.reports import PositionStanding, SavedState, StrategyError, StrategyPlan
from vnpy_core.routers.answers import ClassPage, Parameters, Removed, StrategyClass, StrategyPage, Variables
from vnpy_core.routers.strategy_answers import SavedStatePage, StrategyErrorPage
from vnpy_core.strategies.performance_reports import DailyPage, DailyRow, EquityPage, EquityPoint, Performance
from vnpy_core.strategy_files import ClassReload
from vnpy_core.strategy_log import LogLine, LogPage

_Rows = list  # in the class that is a method


class Strategies(Resource[Mode]):
    """``/strategies``."""

    @operation
    async def classes(self, *, engine: str | None = None) -> "list[StrategyClass]":
        return (await self._connection.get("/strategies/classes", ClassPage, engine=engine)).classes

    @operation
    async def strategy_class(self, class_name: str, *, engine: str | None = None) -> StrategyClass:
        path = f"/strategies/classes/{segment(class_name)}"
        return await self._connection.get(path, StrategyClass, engine=engine)

    @listing
    def variables_history(self, name: str) -> AsyncIterator["list[SavedState]"]:
        """Iterate over what a strategy's variables were saved as, the newest first."""
        return self._connection.pages(
            _path(name, "variables", "history"), SavedStatePage, lambda page: page.history, limit=1000
        )

    @listing
    def list(
        self, *, engine: str | None = None, state: StrategyState | None = None, vt_symbol: str | None = None
    ) -> AsyncIterator["list[Strategy]"]:
        """Iterate over the strategies that every filter given holds for."""
        filters = {"engine": engine, "state": state, "vt_symbol": vt_symbol}
        return self._connection.pages("/strategies", StrategyPage, lambda page: page.strategies, **filters)

    @operation
    async def get(self, name: str) -> Strategy:
        return await self._connection.get(_path(name), Strategy)

    @operation
    async def add(
        self,
        class_name: str,
        strategy_name: str,
        vt_symbols: str | Sequence[str],
        setting: Mapping[str, Any] | None = None,
        *,
        auto_start: bool = False,
        engine: str = "CtaStrategy",
    ) -> Strategy:
        """Add a strategy of one of vn.py's engines."""
        body = {
            "class_name": class_name, "strategy_name": strategy_name, "engine": engine,
            "vt_symbols": [vt_symbols] if isinstance(vt_symbols, str) else [*vt_symbols],
            "setting": setting or {}, "auto_start": auto_start,
        }  # fmt: skip
        return await self._connection.call("POST", "/strategies", Strategy, body=body)

    @operation
    async def remove(self, name: str) -> Removed:
        return await self._connection.call("DELETE", _path(name), Removed)

    @operation
    async def init(self, name: str) -> Strategy:
        """Initialise a strategy; ``Conflict`` with ``extra["traceback"]`` if it raised."""
        return await self._connection.call("POST", _path(name, "init"), Strategy)

    @operation
    async def start(self, name: str) -> Strategy:
        """Start a strategy; ``Conflict`` with ``extra["traceback"]`` if it raised."""
        return await self._connection.call("POST", _path(name, "start"), Strategy)

    @operation
    async def stop(self, name: str) -> Strategy:
        """Stop a strategy and cancel its orders."""
        return await self._connection.call("POST", _path(name, "stop"), Strategy)

    @operation
    async def reload(self, name: str) -> Strategy:
        """Go on with its file as it is now; ``Conflict`` with ``extra["traceback"]`` if that raised, and none of it was
        done."""
        return await self._connection.call("POST", _path(name, "reload"), Strategy)

    @operation
    async def reload_class(self, class_name: str) -> ClassReload:
        """Load a class's file as it is now, for all strategies of it."""
        path = f"/strategies/classes/{segment(class_name)}/reload"
        return await self._connection.call("POST", path, ClassReload)

    @operation
    async def pause(self, name: str) -> Strategy:
        """Let only those orders of a strategy pass that reduce its position."""
        return await self._connection.call("POST", _path(name, "pause"), Strategy)

    @operation
    async def resume(self, name: str) -> Strategy:
        """Let all orders of a paused strategy pass again."""
        return await self._connection.call("POST", _path(name, "resume"), Strategy)

    @operation
    async def reset(self, name: str, *, zero_pos: bool = False) -> Strategy:
        """Make a strategy anew with its setting; of its variables ``pos`` alone is kept, unless it is to be 0."""
        return await self._connection.call("POST", _path(name, "reset"), Strategy, body={"zero_pos": zero_pos})

    @operation
    async def clone(
        self,
        name: str,
        strategy_name: str,
        *,
        vt_symbols: Sequence[str] | None = None,
        setting: Mapping[str, Any] | None = None,
        auto_start: bool = False,
    ) -> Strategy:
        """Add another strategy of the same class, symbols and setting, but for what is given."""
        body = {
            "strategy_name": strategy_name, "vt_symbols": vt_symbols, "setting": setting or {}, "auto_start": auto_start
        }  # fmt: skip
        return await self._connection.call("POST", _path(name, "clone"), Strategy, body=body)

    @operation
    async def errors(self, name: str) -> Sequence[StrategyError]:
        """Return what went wrong with a strategy since the service was started, the newest first."""
        return (await self._connection.get(_path(name, "errors"), StrategyErrorPage)).errors

    @operation
    async def position(self, name: str) -> PositionStanding:
        """Compare a strategy's pos with its recorded trades."""
        return await self._connection.get(_path(name, "position"), PositionStanding)

    @operation
    async def accept_position(self, name: str, keep: Literal["pos", "trades"]) -> PositionStanding:
        """Say which is right, a strategy's pos or its recorded trades."""
        return await self._connection.call(
            "POST", _path(name, "position", "accept"), PositionStanding, body={"keep": keep}
        )

    @operation
    async def plan(self, name: str) -> StrategyPlan:
        """Return what it is brought to when the service starts, and who said so last."""
        return await self._connection.get(_path(name, "plan"), StrategyPlan)

    @operation
    async def change_plan(
        self, name: str, *, auto_start: bool | None = None, is_active: bool | None = None
    ) -> StrategyPlan:
        """Change what is given. One that is not active is kept, and not loaded; it must hold nothing."""
        given = {"auto_start": auto_start, "is_active": is_active}
        body = {field: value for field, value in given.items() if value is not None}
        return await self._connection.call("PATCH", _path(name, "plan"), StrategyPlan, body=body)

    @operation
    async def parameters(self, name: str) -> Mapping[str, Any]:
        return (await self._connection.get(_path(name, "parameters"), Parameters)).parameters

    @operation
    async def set_parameters(self, name: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change some parameters, and return all of them."""
        body = {"parameters": parameters}
        return (await self._connection.call("PUT", _path(name, "parameters"), Parameters, body=body)).parameters

    @operation
    async def variables(self, name: str) -> Mapping[str, Any]:
        return (await self._connection.get(_path(name, "variables"), Variables)).variables

    @listing
    def log(
        self, name: str, *, level: str | None = None, start: datetime | None = None, end: datetime | None = None
    ) -> AsyncIterator[_Rows[LogLine]]:
        """Iterate over the lines of a strategy's log, the newest first; ``level``: of it and above."""
        return self._connection.pages(
            _path(name, "log"), LogPage, lambda page: page.log,
            level=level, limit=1000, **{"from": start, "to": end},
        )  # fmt: skip

    @operation
    async def performance(
        self, name: str, *, start: date | None = None, end: date | None = None, capital: float | None = None
    ) -> Performance:
        """Return how a strategy does, from the trading day ``start`` to ``end``."""
        return await self._connection.get(_path(name, "performance"), Performance, **_span(start, end, capital))

    @operation
    async def portfolio_performance(
        self,
        names: Sequence[str] | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        capital: float | None = None,
    ) -> Performance:
        """Return how ``names``, by default all strategies, do as one portfolio."""
        span = _span(start, end, capital)
        return await self._connection.get("/strategies/performance", Performance, strategy=names, **span)

    @listing
    def daily(
        self,
        name: str | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        capital: float | None = None,
        names: Sequence[str] | None = None,
    ) -> AsyncIterator[_Rows[DailyRow]]:
        """Iterate over the trading days of a strategy, or without ``name`` of a portfolio of ``names``."""
        return self._connection.pages(
            _of(name, "performance", "daily"), DailyPage, lambda page: page.daily,
            strategy=names, **_span(start, end, capital),
        )  # fmt: skip

    @listing
    def equity(
        self,
        name: str | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        capital: float | None = None,
        names: Sequence[str] | None = None,
    ) -> AsyncIterator[_Rows[EquityPoint]]:
        """Iterate over the equity curve, as ``daily`` does over the days."""
        return self._connection.pages(
            _of(name, "performance", "equity"), EquityPage, lambda page: page.equity,
            strategy=names, **_span(start, end, capital),
        )  # fmt: skip


def _span(start: date | None, end: date | None, capital: float | None) -> dict[str, Any]:
    return {"from": start, "to": end, "capital": capital}


def _of(name: str | None, *below: str) -> str:
    return "/".join(("/strategies", *below)) if name is None else _path(name, *below)


def _path(name: str, *below: str) -> str:
    return "/".join(("/strategies", segment(name), *below))
