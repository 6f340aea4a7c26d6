"""The strategies' callbacks and states, those of each kept from those of the others."""

import math
import time
import traceback
from collections.abc import Callable, Iterable
from logging import ERROR
from typing import Any, ClassVar

from vnpy.event import EVENT_TIMER, Event

from vnpy_core.engine.plain import jsonable
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_classes import ClassCatalogue
from vnpy_core.enums import StrategyState
from vnpy_core.errors import NotFound

# A strategy may show its variables at every tick, and each showing is a fact for the journal.
SHOWN_EVERY_S = 0.1
FLAGS = ("inited", "trading")


class StrategyStates(ClassCatalogue):
    """The part of a strategy engine that knows how strategies fare. All of it runs on the event thread.

    A callback that raises (SystemExit too) stops its strategy by vn.py's rule: it is neither inited nor trading any
    more. Its working orders are cancelled, unless they are to be left (``cancels_on_failure``), and ``failures`` keeps
    the traceback until it is initialised again.
    """

    strategy_event: ClassVar[str]

    def __init__(self, *args: Any) -> None:
        self.failures: dict[str, str] = {}
        self.cancels_on_failure = True
        self._paused: set[str] = set()
        self._initing: set[str] = set()
        self._without_contract: set[str] = set()
        self._restored: set[str] = set()
        self._plans: dict[str, tuple[bool, StrategyState]] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self._shown_at: dict[str, float] = {}
        self._show_due: set[str] = set()
        self._revision = int(time.time() * 1000)  # above that of any earlier run
        super().__init__(*args)

    def register_event(self) -> None:
        super().register_event()
        self.event_engine.register(EVENT_TIMER, self._on_timer)

    # -- callbacks

    def call_strategy_func(self, strategy: AnyStrategy, func: Callable[..., Any], params: Any = None) -> None:
        try:
            if params is None:
                func()
            else:
                func(params)
        except BaseException:  # noqa: BLE001 - the edge to the user's code, kept in failures
            self._fail(strategy, traceback.format_exc())

    def fail_owner(self, event_type: str, handler: object, error: BaseException) -> None:
        """Stop the strategy that ``handler`` is a method of, if it is one's: one that it registered by itself."""
        owner: Any = getattr(getattr(handler, "func", handler), "__self__", None)
        if isinstance(owner, self.templates[0]) and self._is_registered(owner):
            self._fail(owner, "".join(traceback.format_exception(error)))

    def _fail(self, strategy: AnyStrategy, shown: str) -> None:
        name = strategy.strategy_name
        strategy.trading = strategy.inited = False
        self.write_log(f"Stopped, because its code raised:\n{shown}", strategy, ERROR)
        if name not in self.failures and self._is_registered(strategy):
            self.failures[name] = shown
            if self.cancels_on_failure:
                self._cancel_working(strategy)
            self._announce(strategy)

    def _cancel_working(self, strategy: AnyStrategy) -> None:
        """Cancel each working order and stop order of a strategy, though the gateway may refuse some."""
        for vt_orderid in tuple(self._working_of(strategy)):
            self._try(self.cancel_order, strategy, vt_orderid)

    # -- what each engine has in a way of its own

    def _symbols_of(self, strategy: AnyStrategy) -> list[str]:
        """Return the symbols that it trades."""
        raise NotImplementedError

    def _working_of(self, strategy: AnyStrategy) -> set[str]:
        """Return the live set of its orders that may work."""
        raise NotImplementedError

    def _positions_of(self, strategy: AnyStrategy) -> dict[str, Any] | None:
        """Return what it holds of each symbol; None: its variable ``pos`` says so, of the only one."""
        return None

    # -- what is shown

    def state_of(self, strategy: AnyStrategy) -> dict[str, Any]:
        """Return what ``translate.strategy`` takes, but for the revision. Shares nothing, and does not raise."""
        name = strategy.strategy_name
        auto_start, desired_state = self._plans.get(name, (False, StrategyState.ADDED))
        symbols, positions = self._symbols_of(strategy), self._positions_of(strategy)
        return {
            "strategy_name": name,
            "class_name": type(strategy).__name__,
            "engine": self.engine_name,
            "vt_symbol": symbols[0] if symbols else "",
            "vt_symbols": symbols,
            **({} if positions is None else {"positions": positions}),
            "author": jsonable(strategy.author),
            "state": self._state(strategy),
            "auto_start": auto_start,
            "desired_state": desired_state,
            "paused": name in self._paused,
            "parameters": _values(strategy, strategy.parameters),
            "variables": self._shown_variables(strategy),
            "error": self.failures.get(name) or self._what_is_missing(strategy),
        }

    def _what_is_missing(self, strategy: AnyStrategy) -> str | None:
        """Return what a user should know of a strategy that is well and gets nothing."""
        if strategy.strategy_name not in self._without_contract:
            return None
        missing = ", ".join(self._missing_contracts(strategy))
        return f"No gateway has told of the contract {missing}: no ticks arrive." if missing else None

    def _missing_contracts(self, strategy: AnyStrategy) -> list[str]:
        symbols = self._symbols_of(strategy)
        return [vt_symbol for vt_symbol in symbols if self.main_engine.get_contract(vt_symbol) is None]

    def _shown_variables(self, strategy: AnyStrategy) -> dict[str, Any]:
        """Return the variables; until it is initialised, those in the file: what it will hold is not zero."""
        shown = _values(strategy, strategy.variables)
        if not self._has_own_variables(strategy):
            saved = self.strategy_data.get(strategy.strategy_name, {})
            shown |= {name: jsonable(saved[name]) for name in shown.keys() & saved.keys() - set(FLAGS)}
        return shown

    def put_strategy_event(self, strategy: AnyStrategy) -> None:
        """Show a strategy's variables, now or, if that was done a moment ago, at the next timer event."""
        if time.monotonic() - self._shown_at.get(strategy.strategy_name, -math.inf) < SHOWN_EVERY_S:
            self._show_due.add(strategy.strategy_name)
        else:
            self._announce(strategy)

    def _announce(self, strategy: AnyStrategy) -> None:
        """Put an event with the strategy's state, under a new revision, unless the last one said the same."""
        name = strategy.strategy_name
        if not self._is_registered(strategy):
            return
        self._shown_at[name] = time.monotonic()
        self._show_due.discard(name)
        state = self.state_of(strategy)
        shown = self._shown.get(name, {})
        if state != {key: value for key, value in shown.items() if key != "revision"}:
            self._put_state(state)

    def _put_state(self, state: dict[str, Any]) -> None:
        self._revision += 1
        shown = self._shown[state["strategy_name"]] = {**state, "revision": self._revision}
        self.event_engine.put(Event(self.strategy_event, shown))

    def _forget(self, name: str) -> None:
        kept: tuple[dict[str, Any], ...] = (self.failures, self._plans, self._shown, self._shown_at)
        for by_name in kept:
            by_name.pop(name, None)
        self._show_due.discard(name)
        self._restored.discard(name)
        self._without_contract.discard(name)
        self._paused.discard(name)

    def _on_timer(self, event: Event) -> None:
        for name in tuple(self._show_due):
            self._announce(self.strategies[name])

    def strategy_of(self, name: str) -> AnyStrategy:
        """Raises:
        NotFound: there is none of that name.
        """
        strategy: AnyStrategy | None = self.strategies.get(name)
        if strategy is None:
            raise NotFound(f"There is no strategy {name!r}.")
        return strategy

    def _state(self, strategy: AnyStrategy) -> StrategyState:
        name = strategy.strategy_name
        if name in self.failures:
            return StrategyState.FAILED
        if name in self._initing:
            return StrategyState.INITING
        if strategy.trading:
            return StrategyState.TRADING
        return StrategyState.INITED if strategy.inited else StrategyState.ADDED

    def _has_own_variables(self, strategy: AnyStrategy) -> bool:
        """Tell whether its variables are its own; until it is initialised, those in the file are."""
        return self._is_registered(strategy) and strategy.strategy_name in self._restored

    def _is_registered(self, strategy: AnyStrategy) -> bool:
        return self.strategies.get(strategy.strategy_name) is strategy

    def _try(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call what must not keep the rest from being done: a gateway, the disk."""
        try:
            fn(*args)
        except Exception:  # noqa: BLE001 - the edge to the gateways and the disk
            self.write_log(f"{getattr(fn, '__name__', fn)} failed:\n{traceback.format_exc()}", level=ERROR)


def _values(strategy: AnyStrategy, names: Iterable[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in names:
        try:
            shown[str(name)] = jsonable(getattr(strategy, name))
        except Exception as error:  # noqa: BLE001 - a property is the user's code
            shown[str(name)] = f"{type(error).__name__}: {error}"
    return shown
