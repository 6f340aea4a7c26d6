"""StrategyCommands: what a strategy engine can be told to do, and what comes of it."""

import copy
import traceback
from collections.abc import Mapping, Sequence
from logging import WARNING
from typing import Any

from vnpy.trader import utility

from vnpy_core.engine.class_info import parameter_defaults
from vnpy_core.engine.parameter_ranges import ranges_of
from vnpy_core.engine.setting_check import checked
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_checks import check_name
from vnpy_core.engine.strategy_init import failed
from vnpy_core.engine.strategy_reload import Reloading
from vnpy_core.engine.strategy_saving import saveable_variables
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict


class StrategyCommands(Reloading):
    """Takes vn.py's commands and a few more. Whoever calls one, it runs on the event thread.

    What vn.py only logs is raised: ``NotFound`` for an unknown strategy, ``Conflict``, ``Invalid``, and
    ``StrategyFailed`` with the traceback when the strategy's own code raised. vn.py's two files are written as ever,
    but strategies are not loaded from its setting file: the SQL table says which there are.
    """

    def __init__(self, *args: Any) -> None:
        self.strategy_setting: dict[str, Any] = {}
        super().__init__(*args)

    # -- the engine's own start and stop

    def init_engine(self) -> None:
        """Register first: whatever else fails here, the events of those strategies that do load must arrive."""
        self.register_event()
        self._try(self.init_datafeed)
        self.load_strategy_class()
        self.load_strategy_setting()
        self.load_strategy_data()

    def load_strategy_setting(self) -> None:
        """Read vn.py's setting file, and add nothing: see ``replace_settings``."""
        self.strategy_setting = utility.load_json(self.setting_filename)

    @on_event_thread
    def saved_settings(self) -> dict[str, Any]:
        """Return what vn.py's setting file holds."""
        return copy.deepcopy(self.strategy_setting)

    @on_event_thread
    def replace_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Make vn.py's setting file a copy of the table, also of strategies that cannot be loaded now."""
        self.strategy_setting = {name: dict(setting) for name, setting in settings.items()}
        self._save_settings()

    def close(self) -> None:
        """Stop every strategy, and initialise none any more."""
        self.stop_initialising()
        self.stop_all_strategies()

    @on_event_thread
    def stop_all_strategies(self) -> None:
        for name in tuple(self.strategies):
            self._try(self.stop_strategy, name)

    # -- commands

    @on_event_thread
    def add_strategy(
        self,
        class_name: str,
        strategy_name: str,
        vt_symbols: Sequence[str],
        setting: Mapping[str, Any],
        *,
        saved: bool = False,
    ) -> None:
        """Add a strategy. Of a ``saved`` setting the parameters that the class no longer has are left out.

        Raises:
            Conflict: there is one of that name, or one of its variables cannot be saved.
            NotFound: no such class.
            Invalid: the name, the symbol or the setting.
            StrategyFailed: the constructor raised.
        """
        if strategy_name in self.strategies:
            raise Conflict(f"There is a strategy {strategy_name!r} already.", code="duplicate_strategy")
        check_name(strategy_name)
        kind = self.strategy_class(class_name)
        symbols = self._checked_symbols(vt_symbols)
        defaults = parameter_defaults(kind)
        if saved and (unknown := setting.keys() - defaults.keys()):
            self.write_log(f"{strategy_name}: {class_name} has no parameter {sorted(unknown)} any more", level=WARNING)
            setting = {name: value for name, value in setting.items() if name in defaults}
        own = checked(setting, defaults, of=f"strategy {strategy_name!r}", ranges=ranges_of(kind, setting))
        try:
            strategy = self._construct(kind, strategy_name, symbols, copy.deepcopy(own))
        except BaseException as error:
            raise failed(strategy_name, "its constructor", traceback.format_exc()) from error
        refused = saveable_variables(strategy)[1]
        if refused:
            listed = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
            raise Conflict(f"{class_name} has variables that cannot be saved: {listed}", code="unusable_class")
        self.strategies[strategy_name] = strategy
        for vt_symbol in symbols:
            self.symbol_strategy_map[vt_symbol].append(strategy)
        # One of an earlier run comes before the gateways connect: that its contract is missing then says nothing.
        if not saved and self._missing_contracts(strategy):
            self._without_contract.add(strategy_name)
        self._keep_setting(strategy, own)
        self._announce(strategy)

    @on_event_thread
    def start_strategy(self, strategy_name: str) -> None:
        """Raises:
        Conflict: it trades already, or is not initialised.
        StrategyFailed: ``on_start`` raised.
        """
        strategy = self.require_startable(strategy_name)
        self.call_strategy_func(strategy, strategy.on_start)
        if strategy_name in self.failures:
            raise failed(strategy_name, "on_start", self.failures[strategy_name])
        strategy.trading = True
        self._after_start(strategy)
        self._announce(strategy)

    @on_event_thread
    def require_startable(self, strategy_name: str) -> AnyStrategy:
        strategy = self.strategy_of(strategy_name)
        if strategy.trading:
            raise Conflict(f"Strategy {strategy_name!r} trades already.", code="already_trading")
        if not strategy.inited:
            state = self._state(strategy)
            raise Conflict(f"Strategy {strategy_name!r} is {state}: init it first.", code="not_initialised")
        return strategy

    @on_event_thread
    def stop_strategy(self, strategy_name: str) -> None:
        """Stop it and cancel its orders; nothing happens if it does not trade.

        Raises:
            StrategyFailed: ``on_stop`` raised; it is stopped nevertheless.
        """
        strategy = self.strategy_of(strategy_name)
        if not strategy.trading:
            return
        self.call_strategy_func(strategy, strategy.on_stop)
        strategy.trading = False
        self._cancel_working(strategy)
        self.sync_strategy_data(strategy)
        self._announce(strategy)
        if strategy_name in self.failures:
            raise failed(strategy_name, "it is stopped, and its on_stop", self.failures[strategy_name])

    @on_event_thread
    def edit_strategy(self, strategy_name: str, setting: Mapping[str, Any]) -> None:
        """Change the parameters that ``setting`` names, and leave the others. Works while it trades.

        Raises:
            Invalid: ``errors`` says what is wrong with which parameter; none was changed.
            StrategyFailed: its ``update_setting`` raised.
        """
        whole = self.merged_setting(strategy_name, setting)
        strategy = self.strategy_of(strategy_name)
        try:
            strategy.update_setting({name: copy.deepcopy(whole[name]) for name in setting})
        except BaseException as error:
            raise failed(strategy_name, "its update_setting", traceback.format_exc()) from error
        self._keep_setting(strategy, whole)
        self._announce(strategy)

    @on_event_thread
    def remove_strategy(self, strategy_name: str) -> bool:
        """Remove it with its saved variables.

        Raises:
            Conflict: it trades, or is being initialised.
        """
        strategy = self.require_removable(strategy_name)
        self._cancel_working(strategy)
        self._put_state(self.state_of(strategy) | {"state": StrategyState.REMOVED, "error": None})
        self._take_out(strategy)
        self.forget_strategy(strategy_name)
        return True

    @on_event_thread
    def forget_strategy(self, strategy_name: str) -> None:
        """Delete the setting and the saved variables of one that is not loaded: none of its name is to have them."""
        self._fills.pop(strategy_name, None)
        self._tell_variables(strategy_name, {}, removed=True)
        self.strategy_setting.pop(strategy_name, None)
        self.strategy_data.pop(strategy_name, None)
        self._save_settings()
        self._write_variables()

    @on_event_thread
    def unload_strategy(self, strategy_name: str) -> None:
        """Let go of it, and keep its setting and its variables for the next time it is added.

        Raises:
            Conflict: it trades, is being initialised, has working orders, or holds something.
        """
        strategy = self.require_removable(strategy_name)
        state = self.state_of(strategy)
        held = state.get("positions") or {"": state["variables"].get("pos", 0)}
        if self._working_of(strategy):
            raise Conflict(f"Strategy {strategy_name!r} has working orders: cancel them first.", code="orders_working")
        if any(held.values()):
            raise Conflict(f"Strategy {strategy_name!r} holds a position: close it first.", code="holds_position")
        if self._has_own_variables(strategy):
            self.sync_strategy_data(strategy)
        self._take_out(strategy)

    def _take_out(self, strategy: AnyStrategy) -> None:
        name = strategy.strategy_name
        del self.strategies[name]
        for vt_symbol in self._symbols_of(strategy):
            self.symbol_strategy_map[vt_symbol].remove(strategy)
        for vt_orderid in [key for key, owner in self.orderid_strategy_map.items() if owner is strategy]:
            del self.orderid_strategy_map[vt_orderid]
        self._forget(name)

    @on_event_thread
    def require_removable(self, strategy_name: str) -> AnyStrategy:
        strategy = self.strategy_of(strategy_name)
        if strategy.trading:
            raise Conflict(f"Strategy {strategy_name!r} trades: stop it first.", code="trading")
        if strategy_name in self._initing:
            raise Conflict(f"Strategy {strategy_name!r} is being initialised: wait for it.", code="initialising")
        return strategy

    @on_event_thread
    def set_plan(self, strategy_name: str, auto_start: bool, desired_state: StrategyState) -> None:
        """Keep what the table says about a strategy, so that its events tell it."""
        self._plans[strategy_name] = (auto_start, desired_state)
        self._announce(self.strategy_of(strategy_name))

    @on_event_thread
    def get_state(self, strategy_name: str) -> dict[str, Any]:
        """Return what was last told of a strategy, after telling what has changed; ``translate.strategy`` takes it."""
        self._announce(self.strategy_of(strategy_name))
        return dict(self._shown[strategy_name])

    @on_event_thread
    def merged_setting(self, strategy_name: str, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that were set, with those of ``setting``; others have the class's defaults.

        Raises:
            Invalid: ``errors`` says what is wrong with which parameter.
        """
        kind = type(self.strategy_of(strategy_name))
        ranges = ranges_of(kind, setting)
        own = checked(setting, parameter_defaults(kind), of=f"strategy {strategy_name!r}", ranges=ranges)
        return {**copy.deepcopy(self.strategy_setting[strategy_name]["setting"]), **own}

    # -- vn.py's setting file

    def _keep_setting(self, strategy: AnyStrategy, setting: dict[str, Any]) -> None:
        entry = {"class_name": type(strategy).__name__, **self._symbol_entry(strategy), "setting": setting}
        self.strategy_setting[strategy.strategy_name] = entry
        self._save_settings()

    def _save_settings(self) -> None:
        self._try(utility.save_json, self.setting_filename, self.strategy_setting)

    # -- what each engine has in a way of its own

    def _checked_symbols(self, vt_symbols: Sequence[str]) -> list[str]:
        """Return the symbols as vn.py writes them.

        Raises:
            Invalid: one is none, or there are too few or too many.
        """
        raise NotImplementedError

    def _construct(
        self, kind: type[AnyStrategy], strategy_name: str, symbols: list[str], setting: dict[str, Any]
    ) -> AnyStrategy:
        raise NotImplementedError

    def _symbol_entry(self, strategy: AnyStrategy) -> dict[str, Any]:
        """Return what vn.py's setting file has of the strategy's symbols."""
        raise NotImplementedError

    def _after_start(self, strategy: AnyStrategy) -> None:
        """Do what is to be done once the strategy trades."""
