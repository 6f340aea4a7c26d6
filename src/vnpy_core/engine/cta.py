"""CoreCtaEngine: vn.py's CTA engine with one writer, commands that say what came of them, and isolated strategies."""

import copy
import traceback
from collections.abc import Sequence
from typing import Any

from vnpy_ctastrategy import CtaStrategyApp, CtaTemplate, TargetPosTemplate
from vnpy_ctastrategy.base import EVENT_CTA_LOG, EVENT_CTA_STRATEGY

from vnpy_core.engine.cta_pause import Pausing
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.strategy_checks import only_symbol
from vnpy_core.engine.strategy_commands import StrategyCommands
from vnpy_core.engine.strategy_init import failed
from vnpy_core.errors import Conflict


class CoreCtaEngine(StrategyCommands, Pausing):
    """Strategies of one symbol each, with ``pos`` and stop orders."""

    templates = (CtaTemplate, TargetPosTemplate)
    examples_package = "vnpy_ctastrategy.strategies"
    log_event = EVENT_CTA_LOG
    strategy_event = EVENT_CTA_STRATEGY
    reloads = True

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

    def _checked_symbols(self, vt_symbols: str | Sequence[str]) -> list[str]:
        return [only_symbol(vt_symbols)]

    def _construct(
        self, kind: type[CtaTemplate], strategy_name: str, symbols: list[str], setting: dict[str, Any]
    ) -> CtaTemplate:
        return kind(self, strategy_name, symbols[0], setting)

    def _symbol_entry(self, strategy: CtaTemplate) -> dict[str, Any]:
        return {"vt_symbol": strategy.vt_symbol}

    def _after_start(self, strategy: CtaTemplate) -> None:
        self._give_back_stop_orders(strategy)

    def _forget(self, name: str) -> None:
        super()._forget(name)
        self.strategy_orderid_map.pop(name, None)


class CoreCtaApp(CtaStrategyApp):
    """vn.py's app with our engine."""

    engine_class = CoreCtaEngine
