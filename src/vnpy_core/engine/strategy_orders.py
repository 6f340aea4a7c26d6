"""Which strategy an order and a fill belong to, also after a restart; and cancels that come too early."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from vnpy.event import Event
from vnpy.trader import utility
from vnpy.trader.constant import Direction, Status
from vnpy.trader.object import OrderData, TradeData

from vnpy_core.data.strategy_variables import FILLS_KEY
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.strategy_base import AnyStrategy
from vnpy_core.engine.strategy_saving import VariableSaving
from vnpy_core.errors import ConfigError
from vnpy_core.models import StrategyVariables

_FILLS_KEPT = 64
# Finer than any market's volumes: what is left of 0.1 + 0.2 - 0.3 is no position.
_POS_DIGITS = 12


class OrderOwners(VariableSaving):
    """The part of a strategy engine that order events reach. A fill counts once in what its strategy holds."""

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
                    self._working_of(strategy).add(vt_orderid)

    def process_trade_event(self, event: Event) -> None:
        """As vn.py does, but by both ids: both sides of a self-trade have one trade id, and it comes again some day."""
        trade: TradeData = event.data
        fill = f"{trade.vt_tradeid}@{trade.vt_orderid}"
        strategy: AnyStrategy | None = self.orderid_strategy_map.get(trade.vt_orderid)
        if strategy is None or fill in self.vt_tradeids:
            return
        self.vt_tradeids.add(fill)
        if not self._is_registered(strategy):
            return
        name = strategy.strategy_name
        self._fills[name].append(fill)
        change = trade.volume if trade.direction == Direction.LONG else -trade.volume
        if self._has_own_variables(strategy):
            self._count(strategy, trade, change)
            self.sync_strategy_data(strategy)
        else:  # count it where the initialisation will find it
            saved = self.strategy_data.get(name, {})
            self._save_variables(name, {**saved, **self._counted(strategy, trade, change, saved)})
        self._announce(strategy)

    def _count(self, strategy: AnyStrategy, trade: TradeData, change: float) -> None:
        """Add a fill to what the strategy holds, and let it know."""
        raise NotImplementedError

    def _counted(
        self, strategy: AnyStrategy, trade: TradeData, change: float, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Add a fill to what the strategy held when its variables were ``saved``, and return what is different now."""
        raise NotImplementedError

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
            self._working_of(strategy).discard(order.vt_orderid)

    def _owner_of(self, order: OrderData) -> AnyStrategy | None:
        """Return the strategy that sent the order; of an earlier run's order its reference tells."""
        strategy: AnyStrategy | None = self.orderid_strategy_map.get(order.vt_orderid)
        prefix = f"{self.engine_name}_"
        if strategy is None and order.reference.startswith(prefix):
            strategy = self.strategies.get(order.reference.removeprefix(prefix))
            if strategy is not None:
                self.orderid_strategy_map[order.vt_orderid] = strategy
                if order.is_active():
                    self._working_of(strategy).add(order.vt_orderid)
        return strategy if strategy is not None and self._is_registered(strategy) else None

    def _is_too_early(self, vt_orderid: str) -> bool:
        """Tell whether an order was sent a moment ago and its first event is queued; if so, it is cancelled then."""
        if self.main_engine.get_order(vt_orderid) is not None or vt_orderid not in self.orderid_strategy_map:
            return False
        self._cancels_due.add(vt_orderid)
        return True


def rounded(volume: float) -> float:
    """Return a volume without what binary fractions leave of a sum."""
    return round(volume, _POS_DIGITS)
