"""Paused strategies: they go on, and only those of their orders pass that reduce their position."""

from logging import WARNING
from typing import Any

from vnpy.event import Event
from vnpy.trader.constant import Direction, Offset, OrderType
from vnpy.trader.object import ContractData, TickData
from vnpy_ctastrategy import CtaTemplate, StopOrder

from vnpy_core.engine.cta_stops import HeldStopOrders
from vnpy_core.engine.single_writer import on_event_thread

_DIGITS = 9


class Pausing(HeldStopOrders):
    """The part of the CTA engine that pauses. On the event thread.

    An order reduces if it is on the other side than ``pos`` and not larger, together with the strategy's working orders
    of that side that it has not asked to cancel; and if it is not sent to open, unless the contract has one net
    position. To the strategy a refused order is one that was not sent, as vn.py does it.
    """

    def __init__(self, *args: Any) -> None:
        self._cancelling: set[str] = set()
        super().__init__(*args)

    @on_event_thread
    def set_paused(self, strategy_name: str, paused: bool) -> None:
        """Pause it, and cancel what it has working that would open; or let all its orders pass again."""
        strategy = self.strategy_of(strategy_name)
        if not paused:
            self._paused.discard(strategy_name)
        elif strategy_name not in self._paused:
            self._paused.add(strategy_name)
            self._cancel_opening(strategy)
        self._announce(strategy)

    def send_server_order(
        self,
        strategy: CtaTemplate,
        contract: ContractData,
        direction: Direction,
        offset: Offset,
        price: float,
        volume: float,
        type: OrderType,
        lock: bool,
        net: bool,
    ) -> list[str]:
        if self._is_refused(strategy, contract, direction, offset, volume, lock=lock):
            return []
        sent: list[str] = super().send_server_order(
            strategy, contract, direction, offset, price, volume, type, lock, net
        )
        return sent

    def send_local_stop_order(
        self,
        strategy: CtaTemplate,
        direction: Direction,
        offset: Offset,
        price: float,
        volume: float,
        lock: bool,
        net: bool,
    ) -> list[str]:
        # It may be meant instead of what works: what counts of that is what is left when it triggers.
        contract = self.main_engine.get_contract(strategy.vt_symbol)
        if contract is not None and self._is_refused(
            strategy, contract, direction, offset, volume, lock=lock, beside_working=False
        ):
            return []
        sent: list[str] = super().send_local_stop_order(strategy, direction, offset, price, volume, lock, net)
        return sent

    def cancel_server_order(self, strategy: CtaTemplate, vt_orderid: str) -> None:
        self._cancelling.add(vt_orderid)
        super().cancel_server_order(strategy, vt_orderid)

    def process_order_event(self, event: Event) -> None:
        super().process_order_event(event)
        if not event.data.is_active():
            self._cancelling.discard(event.data.vt_orderid)

    def _trigger(self, strategy: CtaTemplate, stop_order: StopOrder, tick: TickData) -> None:
        contract = self.main_engine.get_contract(stop_order.vt_symbol)
        if contract is not None and self._is_refused(
            strategy, contract, stop_order.direction, stop_order.offset, stop_order.volume, lock=stop_order.lock
        ):
            self.cancel_local_stop_order(strategy, stop_order.stop_orderid)
        else:
            super()._trigger(strategy, stop_order, tick)

    def _is_refused(
        self,
        strategy: CtaTemplate,
        contract: ContractData,
        direction: Direction,
        offset: Offset,
        volume: float,
        *,
        lock: bool,
        beside_working: bool = True,
    ) -> bool:
        if strategy.strategy_name not in self._paused:
            return False
        room = (-strategy.pos if direction == Direction.LONG else strategy.pos) - volume
        if beside_working:
            room -= self._working(strategy, direction)
        opens = lock or (offset == Offset.OPEN and not contract.net_position)
        if not opens and round(room, _DIGITS) >= 0:
            return False
        self.write_log(
            f"Paused, so not sent: {direction.name} {offset.name} {volume:g} at a position of {strategy.pos:g}",
            strategy,
            WARNING,
        )
        return True

    def _working(self, strategy: CtaTemplate, direction: Direction) -> float:
        total = 0.0
        for vt_orderid in self.strategy_orderid_map.get(strategy.strategy_name, ()):
            order = self.main_engine.get_order(vt_orderid)
            if (
                order is not None
                and order.is_active()
                and order.direction == direction
                and vt_orderid not in self._cancelling
            ):
                total += order.volume - order.traded
        return total

    def _cancel_opening(self, strategy: CtaTemplate) -> None:
        for vt_orderid in tuple(self.strategy_orderid_map.get(strategy.strategy_name, ())):
            stop_order = self.stop_orders.get(vt_orderid)
            working = stop_order or self.main_engine.get_order(vt_orderid)
            # None: sent a moment ago, and its first event is still queued.
            if working is None or working.offset == Offset.OPEN or not _is_opposite(working.direction, strategy.pos):
                self._try(self.cancel_order, strategy, vt_orderid)


def _is_opposite(direction: Direction | None, pos: float) -> bool:
    return pos < 0 if direction == Direction.LONG else pos > 0
