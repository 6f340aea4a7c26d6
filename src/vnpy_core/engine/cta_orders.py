"""What the CTA engine's orders are to its strategies: the fills in ``pos``, and stop orders."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from vnpy.trader.constant import Direction
from vnpy.trader.object import TickData, TradeData
from vnpy_ctastrategy import CtaEngine, CtaTemplate, StopOrder
from vnpy_ctastrategy.base import StopOrderStatus

from vnpy_core.engine.strategy_orders import OrderOwners, rounded


class OrderRouting(OrderOwners, CtaEngine):
    """The part of the CTA engine that order events and ticks reach."""

    def _symbols_of(self, strategy: CtaTemplate) -> list[str]:
        return [strategy.vt_symbol]

    def _working_of(self, strategy: CtaTemplate) -> set[str]:
        working: set[str] = self.strategy_orderid_map[strategy.strategy_name]
        return working

    def _count(self, strategy: CtaTemplate, trade: TradeData, change: float) -> None:
        strategy.pos = rounded(strategy.pos + change)
        self.call_strategy_func(strategy, strategy.on_trade, trade)

    def _counted(
        self, strategy: CtaTemplate, trade: TradeData, change: float, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        strategy.pos = rounded(saved.get("pos", 0) + change)
        return {"pos": strategy.pos}

    def cancel_server_order(self, strategy: CtaTemplate, vt_orderid: str) -> None:
        """Cancel an order, or if it was sent a moment ago and its first event is still queued, cancel it then."""
        if not self._is_too_early(vt_orderid):
            super().cancel_server_order(strategy, vt_orderid)

    def check_stop_order(self, tick: TickData) -> None:
        for stop_order in tuple(self.stop_orders.values()):
            # An earlier one's callback may have cancelled this one.
            if _is_triggered(stop_order, tick) and stop_order.stop_orderid in self.stop_orders:
                strategy = self.strategies[stop_order.strategy_name]
                self.call_strategy_func(strategy, functools.partial(self._trigger, strategy, stop_order, tick))

    def _trigger(self, strategy: CtaTemplate, stop_order: StopOrder, tick: TickData) -> None:
        """Send the order that a stop order stands for, at a price that is sure to trade."""
        contract = self.main_engine.get_contract(stop_order.vt_symbol)
        if contract is None:
            return
        if stop_order.direction == Direction.LONG:
            prices = (tick.limit_up, tick.ask_price_5, tick.ask_price_1, tick.last_price)
        else:
            prices = (tick.limit_down, tick.bid_price_5, tick.bid_price_1, tick.last_price)
        vt_orderids: list[str] = self.send_limit_order(
            strategy,
            contract,
            stop_order.direction,
            stop_order.offset,
            _first_price(prices),
            stop_order.volume,
            stop_order.lock,
            stop_order.net,
        )
        if not vt_orderids:  # refused, and tried again at the next tick, as vn.py does
            return
        self.stop_orders.pop(stop_order.stop_orderid)
        self.strategy_orderid_map[strategy.strategy_name].discard(stop_order.stop_orderid)
        stop_order.status = StopOrderStatus.TRIGGERED
        stop_order.vt_orderids = vt_orderids
        self.call_strategy_func(strategy, strategy.on_stop_order, stop_order)
        self.put_stop_order_event(stop_order)


def _is_triggered(stop_order: StopOrder, tick: TickData) -> bool:
    if stop_order.vt_symbol != tick.vt_symbol:
        return False
    if stop_order.direction == Direction.LONG:
        return bool(tick.last_price >= stop_order.price)
    return bool(tick.last_price <= stop_order.price)


def _first_price(prices: Iterable[float]) -> float:
    """Return the first that is a price: gateways give 0 or NaN for what they do not know."""
    return next((price for price in prices if price > 0 and math.isfinite(price)), 0.0)
