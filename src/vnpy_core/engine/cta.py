"""CoreCtaEngine: vn.py's CTA engine with one writer, commands that say what came of them, and isolated strategies."""

import copy
import traceback
from collections.abc import Mapping, Sequence
from logging import WARNING
from typing import Any

from vnpy.trader import utility
from vnpy_ctastrategy import CtaStrategyApp, CtaTemplate

from vnpy_core.engine.class_info import parameter_defaults
from vnpy_core.engine.cta_init import Initialisation, failed
from vnpy_core.engine.cta_saving import saveable_variables
from vnpy_core.engine.parameter_ranges import ranges_of
from vnpy_core.engine.setting_check import checked
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.strategy_checks import check_name, only_symbol
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict


class CoreCtaEngine(Initialisation):
    """Takes vn.py's commands and a few more. Whoever calls one, it runs on the event thread.

    What vn.py only logs is raised: ``NotFound`` for an unknown strategy, ``Conflict``, ``Invalid``, and
    ``StrategyFailed`` with the traceback when the strategy's own code raised. vn.py's two files are written as ever,
    but strategies are not loaded from ``cta_strategy_setting.json``: the SQL table says which there are.
    """

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
        vt_symbol: str | Sequence[str],
        setting: Mapping[str, Any],
        *,
        saved: bool = False,
    ) -> None:
        """Add a strategy of a symbol. Of a ``saved`` setting the parameters that the class no longer has are left out.

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
        vt_symbol = only_symbol(vt_symbol)
        defaults = parameter_defaults(kind)
        if saved and (unknown := setting.keys() - defaults.keys()):
            self.write_log(f"{strategy_name}: {class_name} has no parameter {sorted(unknown)} any more", level=WARNING)
            setting = {name: value for name, value in setting.items() if name in defaults}
        own = checked(setting, defaults, of=f"strategy {strategy_name!r}", ranges=ranges_of(kind, setting))
        try:
            strategy = kind(self, strategy_name, vt_symbol, copy.deepcopy(own))
        except BaseException as error:
            raise failed(strategy_name, "its constructor", traceback.format_exc()) from error
        refused = saveable_variables(strategy)[1]
        if refused:
            listed = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
            raise Conflict(f"{class_name} has variables that cannot be saved: {listed}", code="unusable_class")
        self.strategies[strategy_name] = strategy
        self.symbol_strategy_map[vt_symbol].append(strategy)
        # One of an earlier run comes before the gateways connect: that its contract is missing then says nothing.
        if not saved and self.main_engine.get_contract(vt_symbol) is None:
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
        self._give_back_stop_orders(strategy)
        self._announce(strategy)

    @on_event_thread
    def require_startable(self, strategy_name: str) -> CtaTemplate:
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
        last = self.state_of(strategy) | {"state": StrategyState.REMOVED, "error": None}
        del self.strategies[strategy_name]
        self.symbol_strategy_map[strategy.vt_symbol].remove(strategy)
        self.strategy_orderid_map.pop(strategy_name, None)
        for vt_orderid in [key for key, owner in self.orderid_strategy_map.items() if owner is strategy]:
            del self.orderid_strategy_map[vt_orderid]
        self._put_state(last)
        self._forget(strategy_name)
        self._fills.pop(strategy_name, None)
        self._tell_variables(strategy_name, {}, removed=True)
        self.strategy_setting.pop(strategy_name, None)
        self.strategy_data.pop(strategy_name, None)
        self._save_settings()
        self._write_variables()
        return True

    @on_event_thread
    def require_removable(self, strategy_name: str) -> CtaTemplate:
        strategy = self.strategy_of(strategy_name)
        if strategy.trading:
            raise Conflict(f"Strategy {strategy_name!r} trades: stop it first.", code="trading")
        if strategy_name in self._initing:
            raise Conflict(f"Strategy {strategy_name!r} is being initialised: wait for it.", code="initialising")
        return strategy

    @on_event_thread
    def reset_strategy(self, strategy_name: str, *, zero_pos: bool = False) -> None:
        """Make it anew with its setting, as if it had just been added: of its variables only ``pos`` is kept.

        Raises:
            Conflict: it trades, is being initialised, or has working orders.
            StrategyFailed: the constructor raised; nothing was changed.
        """
        strategy = self.require_removable(strategy_name)
        if self.strategy_orderid_map.get(strategy_name):
            raise Conflict(f"Strategy {strategy_name!r} has working orders: cancel them first.", code="orders_working")
        setting = copy.deepcopy(self.strategy_setting[strategy_name]["setting"])
        try:
            made = type(strategy)(self, strategy_name, strategy.vt_symbol, setting)
        except BaseException as error:
            raise failed(strategy_name, "its constructor", traceback.format_exc()) from error
        made.pos = 0 if zero_pos else self.pos_of(strategy_name)
        self.strategies[strategy_name] = made
        of_symbol = self.symbol_strategy_map[strategy.vt_symbol]
        of_symbol[of_symbol.index(strategy)] = made
        for vt_orderid in [key for key, owner in self.orderid_strategy_map.items() if owner is strategy]:
            self.orderid_strategy_map[vt_orderid] = made
        self.failures.pop(strategy_name, None)
        self._restored.discard(strategy_name)
        self.end_stop_orders(strategy_name)
        self._save_variables(strategy_name, {"pos": made.pos})
        self._announce(made)

    @on_event_thread
    def pos_of(self, strategy_name: str) -> float:
        """Return its position; until it is initialised, the one that it will begin with."""
        strategy = self.strategy_of(strategy_name)
        if self._has_own_variables(strategy):
            return float(strategy.pos)
        return float(self.strategy_data.get(strategy_name, {}).get("pos", strategy.pos))

    @on_event_thread
    def set_pos(self, strategy_name: str, pos: float) -> None:
        """Correct the position of a strategy that does not trade, and is not being initialised.

        Raises:
            Conflict: it does, or is.
        """
        strategy = self.require_removable(strategy_name)
        strategy.pos = pos
        if self._has_own_variables(strategy):
            self.sync_strategy_data(strategy)
        else:
            self._save_variables(strategy_name, {**self.strategy_data.get(strategy_name, {}), "pos": pos})
        self._announce(strategy)

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

    def _keep_setting(self, strategy: CtaTemplate, setting: dict[str, Any]) -> None:
        self.strategy_setting[strategy.strategy_name] = {
            "class_name": type(strategy).__name__,
            "vt_symbol": strategy.vt_symbol,
            "setting": setting,
        }
        self._save_settings()

    def _save_settings(self) -> None:
        self._try(utility.save_json, self.setting_filename, self.strategy_setting)


class CoreCtaApp(CtaStrategyApp):
    """vn.py's app with our engine."""

    engine_class = CoreCtaEngine
