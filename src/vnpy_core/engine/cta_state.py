"""The strategies' callbacks, states and saved variables, those of each kept from those of the others."""

import json
import math
import time
import traceback
from collections.abc import Callable, Iterable
from logging import ERROR
from typing import Any

import numpy as np
from vnpy.event import EVENT_TIMER, Event
from vnpy.trader import utility
from vnpy_ctastrategy import APP_NAME, CtaTemplate
from vnpy_ctastrategy.base import EVENT_CTA_STRATEGY

from vnpy_core.engine.cta_classes import ClassCatalogue
from vnpy_core.engine.plain import jsonable
from vnpy_core.enums import StrategyState

# A strategy may show its variables at every tick, and each showing is a fact for the journal.
SHOWN_EVERY_S = 0.1
_FLAGS = ("inited", "trading")


class StrategyStates(ClassCatalogue):
    """The part of the CTA engine that knows how strategies fare. All of it runs on the event thread.

    A callback that raises (SystemExit too) stops its strategy by vn.py's rule: it is neither inited nor trading any
    more. Its working orders are cancelled, and ``failures`` keeps the traceback until it is initialised again.
    """

    def __init__(self, *args: Any) -> None:
        self.failures: dict[str, str] = {}
        self._initing: set[str] = set()
        self._without_contract: set[str] = set()
        self._restored: set[str] = set()
        self._plans: dict[str, tuple[bool, StrategyState]] = {}
        self._unsaveable: set[tuple[str, str]] = set()
        self._shown: dict[str, dict[str, Any]] = {}
        self._shown_at: dict[str, float] = {}
        self._show_due: set[str] = set()
        self._is_unwritten = False
        self._revision = int(time.time() * 1000)  # above that of any earlier run
        super().__init__(*args)

    def register_event(self) -> None:
        super().register_event()
        self.event_engine.register(EVENT_TIMER, self._on_timer)

    # -- callbacks

    def call_strategy_func(self, strategy: CtaTemplate, func: Callable[..., Any], params: Any = None) -> None:
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
        if isinstance(owner, CtaTemplate) and self._is_registered(owner):
            self._fail(owner, "".join(traceback.format_exception(error)))

    def _fail(self, strategy: CtaTemplate, shown: str) -> None:
        name = strategy.strategy_name
        strategy.trading = strategy.inited = False
        self.write_log(f"Stopped, because its code raised:\n{shown}", strategy, ERROR)
        if name not in self.failures and self._is_registered(strategy):
            self.failures[name] = shown
            self._cancel_working(strategy)
            self._announce(strategy)

    def _cancel_working(self, strategy: CtaTemplate) -> None:
        """Cancel each working order and stop order of a strategy, though the gateway may refuse some."""
        for vt_orderid in tuple(self.strategy_orderid_map.get(strategy.strategy_name, ())):
            self._try(self.cancel_order, strategy, vt_orderid)

    # -- variables

    def sync_strategy_data(self, strategy: CtaTemplate) -> None:
        """Write the variables to vn.py's file. One that JSON cannot carry is left out, and the log says so once."""
        if not self._is_registered(strategy):
            return
        saved, refused = saveable_variables(strategy)
        for name, reason in refused.items():
            if (strategy.strategy_name, name) not in self._unsaveable:
                self._unsaveable.add((strategy.strategy_name, name))
                self.write_log(f"The variable {name} cannot be saved: {reason}", strategy, ERROR)
        self._save_variables(strategy.strategy_name, saved)

    def _save_variables(self, name: str, saved: dict[str, Any]) -> None:
        self.strategy_data[name] = saved
        self._write_variables()

    def _write_variables(self) -> None:
        """Write the file, or do so as soon as that is possible: the fills that the journal knows must be in it."""
        try:
            utility.save_json(self.data_filename, self.strategy_data)
        except Exception as error:  # noqa: BLE001 - the edge to the disk
            if not self._is_unwritten:
                self.write_log(f"{self.data_filename} cannot be written, and will be later: {error}", level=ERROR)
            self._is_unwritten = True
        else:
            if self._is_unwritten:
                self.write_log(f"{self.data_filename} is written again")
            self._is_unwritten = False

    def state_of(self, strategy: CtaTemplate) -> dict[str, Any]:
        """Return what ``translate.strategy`` takes, but for the revision. Shares nothing, and does not raise."""
        name = strategy.strategy_name
        auto_start, desired_state = self._plans.get(name, (False, StrategyState.ADDED))
        return {
            "strategy_name": name,
            "class_name": type(strategy).__name__,
            "engine": APP_NAME,
            "vt_symbol": strategy.vt_symbol,
            "author": jsonable(strategy.author),
            "state": self._state(strategy),
            "auto_start": auto_start,
            "desired_state": desired_state,
            "parameters": _values(strategy, strategy.parameters),
            "variables": self._shown_variables(strategy),
            "error": self.failures.get(name) or self._what_is_missing(strategy),
        }

    def _what_is_missing(self, strategy: CtaTemplate) -> str | None:
        """Return what a user should know of a strategy that is well and gets nothing."""
        if strategy.strategy_name not in self._without_contract:
            return None
        return f"No gateway has told of the contract {strategy.vt_symbol}: no ticks arrive."

    def _shown_variables(self, strategy: CtaTemplate) -> dict[str, Any]:
        """Return the variables; until it is initialised, those in the file: what it will hold is not zero."""
        shown = _values(strategy, strategy.variables)
        if not self._has_own_variables(strategy):
            saved = self.strategy_data.get(strategy.strategy_name, {})
            shown |= {name: jsonable(saved[name]) for name in shown.keys() & saved.keys() - set(_FLAGS)}
        return shown

    def put_strategy_event(self, strategy: CtaTemplate) -> None:
        """Show a strategy's variables, now or, if that was done a moment ago, at the next timer event."""
        if time.monotonic() - self._shown_at.get(strategy.strategy_name, -math.inf) < SHOWN_EVERY_S:
            self._show_due.add(strategy.strategy_name)
        else:
            self._announce(strategy)

    def _announce(self, strategy: CtaTemplate) -> None:
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
        self.event_engine.put(Event(EVENT_CTA_STRATEGY, shown))

    def _forget(self, name: str) -> None:
        kept: tuple[dict[str, Any], ...] = (self.failures, self._plans, self._shown, self._shown_at)
        for by_name in kept:
            by_name.pop(name, None)
        self._show_due.discard(name)
        self._restored.discard(name)
        self._without_contract.discard(name)

    def _on_timer(self, event: Event) -> None:
        if self._is_unwritten:
            self._write_variables()
        for name in tuple(self._show_due):
            self._announce(self.strategies[name])

    def _state(self, strategy: CtaTemplate) -> StrategyState:
        name = strategy.strategy_name
        if name in self.failures:
            return StrategyState.FAILED
        if name in self._initing:
            return StrategyState.INITING
        if strategy.trading:
            return StrategyState.TRADING
        return StrategyState.INITED if strategy.inited else StrategyState.ADDED

    def _has_own_variables(self, strategy: CtaTemplate) -> bool:
        """Tell whether its variables are its own; until it is initialised, those in the file are."""
        return self._is_registered(strategy) and strategy.strategy_name in self._restored

    def _is_registered(self, strategy: CtaTemplate) -> bool:
        return self.strategies.get(strategy.strategy_name) is strategy

    def _try(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call what must not keep the rest from being done: a gateway, the disk."""
        try:
            fn(*args)
        except Exception:  # noqa: BLE001 - the edge to the gateways and the disk
            self.write_log(f"{getattr(fn, '__name__', fn)} failed:\n{traceback.format_exc()}", level=ERROR)


def saveable_variables(strategy: CtaTemplate) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a copy of the variables as JSON gives them back, and of those that it cannot carry the reason."""
    saved: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in strategy.variables:
        if name not in _FLAGS:
            try:
                saved[name] = json.loads(json.dumps(getattr(strategy, name), default=_numpy_value))
            except Exception as error:  # noqa: BLE001 - a property is the user's code, and so is what it returns
                refused[name] = f"{type(error).__name__}: {error}"
    return saved, refused


def _numpy_value(value: Any) -> Any:
    if isinstance(value, np.generic) and isinstance(plain := value.item(), bool | int | float | str):
        return plain
    raise TypeError(f"JSON cannot carry a {type(value).__name__}")


def _values(strategy: CtaTemplate, names: Iterable[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in names:
        try:
            shown[str(name)] = jsonable(getattr(strategy, name))
        except Exception as error:  # noqa: BLE001 - a property is the user's code
            shown[str(name)] = f"{type(error).__name__}: {error}"
    return shown
