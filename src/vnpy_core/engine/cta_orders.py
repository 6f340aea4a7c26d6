"""Which strategy an order and a fill belong to, also after a restart; cancels that come too early; stop orders."""

import functools
import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from vnpy.event import Event
from vnpy.trader import utility
from vnpy.trader.constant import Direction, Status
from vnpy.trader.object import OrderData, TickData, TradeData
from vnpy_ctastrategy import APP_NAME, CtaTemplate, StopOrder
from vnpy_ctastrategy.base import StopOrderStatus

from vnpy_core.engine.cta_saving import FILLS_KEY, VariableSaving
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.errors import ConfigError
from vnpy_core.models import StrategyVariables

REFERENCE_PREFIX = f"{APP_NAME}_"
_FILLS_KEPT = 64
# Finer than any market's volumes: what is left of 0.1 + 0.2 - 0.3 is no position.
_POS_DIGITS = 12


class OrderRouting(VariableSaving):
    """The part of the CTA engine that order events reach. A fill counts once in its strategy's ``pos``."""

    event_engine: CoreEventEngine

    def __init__(self, *args: Any) -> None:
        self._cancels_due: set[str] = set()
        self._fills: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_FILLS_KEPT))
        super().__init__(*args)

    def load_strategy_data(self) -> None:
        try:
            super().load_strategy_data()
        except ConfigError as error:
            raise ConfigError(f"{error.detail}. Without it strategies begin anew, with pos 0") from error
        for name, saved in self.strategy_data.items():
            if not isinstance(saved, dict):
                path = utility.get_file_path(self.data_filename)
                raise ConfigError(f"In {path} the entry of {name!r} must be a JSON object: correct it, or remove it")
            self._fills[name].extend(saved.get(FILLS_KEY, ()))
            self.vt_tradeids.update(self._fills[name])

    @on_event_thread
    def adopt_variables(self, saved: Mapping[str, StrategyVariables]) -> None:
        """Take up what was told of an earlier run, whatever vn.py's file says; what it alone has is told now.

        The file may be behind, or a moment ahead of what has reached the disk: the gateway tells such fills again.
        """
        for name, kept in saved.items():
            self.vt_tradeids.difference_update(self._fills.pop(name, ()))
            if kept.removed:
                self.strategy_data.pop(name, None)
                continue
            self._fills[name].extend(kept.fills)
            self.vt_tradeids.update(kept.fills)
            self.strategy_data[name] = self._with_fills(name, dict(kept.variables))
        for name in self.strategy_data.keys() - saved.keys():
            self._tell_variables(name, self.strategy_data[name])
        self._write_variables()

    @on_event_thread
    def adopt_orders(self, owners: Mapping[str, str], working: Collection[str], fills: Iterable[str]) -> None:
        """Take up the orders of an earlier run: ``owners`` maps a vt_orderid to its strategy's name.

        ``working`` are those that may still be so. ``fills`` are the keys of the trades that were counted then, should
        the gateway tell them again.
        """
        self.vt_tradeids.update(fills)
        for vt_orderid, name in owners.items():
            if (strategy := self.strategies.get(name)) is not None:
                self.orderid_strategy_map[vt_orderid] = strategy
                if vt_orderid in working:
                    self.strategy_orderid_map[name].add(vt_orderid)

    def process_trade_event(self, event: Event) -> None:
        """As vn.py does, but by both ids: both sides of a self-trade have one trade id, and it comes again some day."""
        trade: TradeData = event.data
        fill = f"{trade.vt_tradeid}@{trade.vt_orderid}"
        strategy: CtaTemplate | None = self.orderid_strategy_map.get(trade.vt_orderid)
        if strategy is None or fill in self.vt_tradeids:
            return
        self.vt_tradeids.add(fill)
        if not self._is_registered(strategy):
            return
        name = strategy.strategy_name
        self._fills[name].append(fill)
        change = trade.volume if trade.direction == Direction.LONG else -trade.volume
        if self._has_own_variables(strategy):
            strategy.pos = round(strategy.pos + change, _POS_DIGITS)
            self.call_strategy_func(strategy, strategy.on_trade, trade)
            self.sync_strategy_data(strategy)
        else:  # count it where the initialisation will find it
            saved = self.strategy_data.get(name, {})
            strategy.pos = round(saved.get("pos", 0) + change, _POS_DIGITS)
            self._save_variables(name, {**saved, "pos": strategy.pos})
        self._announce(strategy)

    def _save_variables(self, name: str, saved: dict[str, Any]) -> None:
        super()._save_variables(name, self._with_fills(name, saved))

    def _with_fills(self, name: str, saved: dict[str, Any]) -> dict[str, Any]:
        return {**saved, FILLS_KEY: list(self._fills[name])}

    def process_order_event(self, event: Event) -> None:
        order: OrderData = event.data
        if order.vt_orderid in self._cancels_due:
            # Once more when the exchange has it: some refuse the cancel of an order they do not know yet.
            if order.status != Status.SUBMITTING:
                self._cancels_due.discard(order.vt_orderid)
            if order.is_active():
                self._try(self.main_engine.cancel_order, order.create_cancel_request(), order.gateway_name)
        strategy = self._owner_of(order)
        if strategy is None:
            return
        if self._has_own_variables(strategy):
            super().process_order_event(event)
        elif not order.is_active():
            self.strategy_orderid_map[strategy.strategy_name].discard(order.vt_orderid)

    def _owner_of(self, order: OrderData) -> CtaTemplate | None:
        """Return the strategy that sent the order; of an earlier run's order its reference tells."""
        strategy: CtaTemplate | None = self.orderid_strategy_map.get(order.vt_orderid)
        if strategy is None and order.reference.startswith(REFERENCE_PREFIX):
            strategy = self.strategies.get(order.reference.removeprefix(REFERENCE_PREFIX))
            if strategy is not None:
                self.orderid_strategy_map[order.vt_orderid] = strategy
                if order.is_active():
                    self.strategy_orderid_map[strategy.strategy_name].add(order.vt_orderid)
        return strategy if strategy is not None and self._is_registered(strategy) else None

    def cancel_server_order(self, strategy: CtaTemplate, vt_orderid: str) -> None:
        """Cancel an order, or if it was sent a moment ago and its first event is still queued, cancel it then."""
        if self.main_engine.get_order(vt_orderid) is None and vt_orderid in self.orderid_strategy_map:
            self._cancels_due.add(vt_orderid)
        else:
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
