"""Stop orders of an earlier run: held until their strategy trades again, and then watched as before."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from logging import WARNING
from typing import Any

from vnpy.event import Event
from vnpy_ctastrategy import CtaTemplate, StopOrder
from vnpy_ctastrategy.base import EVENT_CTA_STOPORDER, STOPORDER_PREFIX, StopOrderStatus

from vnpy_core import models
from vnpy_core.engine.cta_orders import OrderRouting
from vnpy_core.engine.single_writer import on_event_thread
from vnpy_core.engine.vn_enums import to_vn


class HeldStopOrders(OrderRouting):
    """The part of the CTA engine that keeps stop orders over a restart; vn.py forgets them. On the event thread."""

    def __init__(self, *args: Any) -> None:
        self._held: defaultdict[str, list[StopOrder]] = defaultdict(list)
        super().__init__(*args)

    @on_event_thread
    def hold_stop_orders(self, known: Iterable[models.StopOrder]) -> None:
        """Take up those of an earlier run that wait, and give no new one the id of any that is ``known``."""
        for each in known:
            number = each.stop_orderid.rpartition(".")[2]
            if each.stop_orderid.startswith(STOPORDER_PREFIX) and number.isdecimal():
                self.stop_order_count = max(self.stop_order_count, int(number))
            if not each.is_final and each.direction is not None:
                self._held[each.strategy_name].append(
                    StopOrder(
                        vt_symbol=each.vt_symbol,
                        direction=to_vn(each.direction),
                        offset=to_vn(each.offset),
                        price=each.price or 0.0,
                        volume=each.volume,
                        stop_orderid=each.stop_orderid,
                        strategy_name=each.strategy_name,
                        datetime=datetime.fromisoformat(each.datetime or models.now_timestamp()),
                        lock=each.lock,
                        net=each.net,
                    )
                )

    @on_event_thread
    def end_stop_orders(self, strategy_name: str | None = None) -> dict[str, int]:
        """End those that are still held, of one strategy or of all, and return how many by strategy."""
        names = tuple(self._held) if strategy_name is None else (strategy_name,)
        ended = {name: orders for name in names if (orders := self._held.pop(name, []))}
        for name, orders in ended.items():
            self.write_log(f"{name}: {len(orders)} stop orders of the run before are ended", level=WARNING)
            for stop_order in orders:
                stop_order.status = StopOrderStatus.CANCELLED
                self.event_engine.put(Event(EVENT_CTA_STOPORDER, stop_order))
        return {name: len(orders) for name, orders in ended.items()}

    def _give_back_stop_orders(self, strategy: CtaTemplate) -> None:
        for stop_order in self._held.pop(strategy.strategy_name, ()):
            self.stop_orders[stop_order.stop_orderid] = stop_order
            self.strategy_orderid_map[strategy.strategy_name].add(stop_order.stop_orderid)
            self.write_log(
                f"Stop order {stop_order.stop_orderid} of the run before is watched again: {stop_order.direction.name} "
                f"{stop_order.volume:g} at {stop_order.price:g}",
                strategy,
            )

    def _forget(self, name: str) -> None:
        super()._forget(name)
        self.end_stop_orders(name)
