"""CorePortfolioEngine: vn.py's PortfolioStrategy engine behind the same commands as its CTA engine."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vnpy.event import Event
from vnpy.trader.object import OrderData, TradeData
from vnpy_portfoliostrategy import PortfolioStrategyApp, StrategyEngine, StrategyTemplate
from vnpy_portfoliostrategy.base import EVENT_PORTFOLIO_LOG, EVENT_PORTFOLIO_STRATEGY

from vnpy_core.engine.strategy_checks import several_symbols
from vnpy_core.engine.strategy_commands import StrategyCommands
from vnpy_core.engine.strategy_orders import rounded

_BY_SYMBOL = ("pos_data", "target_data")


class CorePortfolioEngine(StrategyCommands, StrategyEngine):  # type: ignore[misc]  # commands answer
    """Strategies of several symbols each, with a position and a target of each symbol.

    vn.py's own ``save_strategy_setting`` writes only the strategies that could be loaded, and so deletes the others
    from its file; here the file is a copy of the table. Its ``load_bars`` hands history to ``on_bars`` one slice after
    another and goes on when that raises; here the first failure ends the initialisation.
    """

    templates = (StrategyTemplate,)
    examples_package = "vnpy_portfoliostrategy.strategies"
    log_event = EVENT_PORTFOLIO_LOG
    strategy_event = EVENT_PORTFOLIO_STRATEGY
    reads_anew = False
    reloads = True

    def call_strategy_func(self, strategy: StrategyTemplate, func: Callable[..., Any], params: Any = None) -> None:
        if self.event_engine.in_event_thread:
            super().call_strategy_func(strategy, func, params)
        else:  # a slice of history, on the thread of the initialisation, which keeps the failure
            func(params)

    def cancel_order(self, strategy: StrategyTemplate, vt_orderid: str) -> None:
        """Cancel an order, or if it was sent a moment ago and its first event is still queued, cancel it then."""
        if not self._is_too_early(vt_orderid):
            super().cancel_order(strategy, vt_orderid)

    def process_order_event(self, event: Event) -> None:
        super().process_order_event(event)
        order: OrderData = event.data
        strategy = self._owner_of(order)
        if strategy is not None and not order.is_active():  # also if its own update_order has raised
            strategy.active_orderids.discard(order.vt_orderid)

    def save_strategy_setting(self) -> None:
        self._save_settings()

    # -- what is different from a strategy of one symbol

    def _symbols_of(self, strategy: StrategyTemplate) -> list[str]:
        return list(strategy.vt_symbols)

    def _working_of(self, strategy: StrategyTemplate) -> set[str]:
        return strategy.active_orderids

    def _positions_of(self, strategy: StrategyTemplate) -> dict[str, Any]:
        held: Mapping[str, Any] = strategy.pos_data
        if not self._has_own_variables(strategy):
            held = {**held, **_by_symbol(self.strategy_data.get(strategy.strategy_name, {}), "pos_data")}
        return {vt_symbol: held.get(vt_symbol, 0) for vt_symbol in strategy.vt_symbols}

    def _count(self, strategy: StrategyTemplate, trade: TradeData, change: float) -> None:
        held: dict[str, Any] = strategy.pos_data
        now = rounded(held.get(trade.vt_symbol, 0) + change)
        self.call_strategy_func(strategy, strategy.update_trade, trade)
        held[trade.vt_symbol] = now  # whatever became of its own method: what was traded is held

    def _counted(
        self, strategy: StrategyTemplate, trade: TradeData, change: float, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        held = _by_symbol(saved, "pos_data")
        return {"pos_data": {**held, trade.vt_symbol: rounded(held.get(trade.vt_symbol, 0) + change)}}

    def _restore_variable(self, strategy: StrategyTemplate, name: str, value: Any) -> None:
        if name in _BY_SYMBOL:  # they have a default for each symbol that is missing
            getattr(strategy, name).update(value)
        else:
            super()._restore_variable(strategy, name, value)

    def _checked_symbols(self, vt_symbols: Sequence[str]) -> list[str]:
        return several_symbols(vt_symbols)

    def _construct(
        self, kind: type[StrategyTemplate], strategy_name: str, symbols: list[str], setting: dict[str, Any]
    ) -> StrategyTemplate:
        return kind(self, strategy_name, copy.copy(symbols), setting)

    def _hand_over_orders(self, old: StrategyTemplate, made: StrategyTemplate) -> None:
        made.orders.update(old.orders)
        made.active_orderids.update(old.active_orderids)

    def _symbol_entry(self, strategy: StrategyTemplate) -> dict[str, Any]:
        return {"vt_symbols": list(strategy.vt_symbols)}


class CorePortfolioApp(PortfolioStrategyApp):
    """vn.py's app with our engine."""

    engine_class = CorePortfolioEngine


def _by_symbol(saved: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = saved.get(name)
    return dict(found) if isinstance(found, dict) else {}
