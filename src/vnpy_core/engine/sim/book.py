"""One contract's market: the current quote, what of it has been taken, and the client's own resting orders."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from vnpy.trader.constant import OrderType
from vnpy.trader.object import OrderData, TickData

from vnpy_core.engine.sim.account import Closes, Exposure
from vnpy_core.engine.sim.contracts import Instrument

IMMEDIATE = frozenset({OrderType.MARKET, OrderType.FAK, OrderType.FOK})


@dataclass(slots=True, eq=False)
class SimOrder:
    """An order as the exchange keeps it. ``data`` is its public state; what goes out is always a copy of it."""

    data: OrderData
    instrument: Instrument
    exposure: Exposure
    lots: int
    buy: bool
    closes: Closes | None
    traded: int = 0
    triggered: bool = False  # a stop order whose price was reached: works at any price
    held: int = 0  # the unfilled lots that hold money or position
    arrival: int = 0  # its turn among the orders of its price; a stop order's comes when it is triggered

    @property
    def left(self) -> int:
        return self.lots - self.traded

    @property
    def is_waiting_stop(self) -> bool:
        return self.data.type is OrderType.STOP and not self.triggered

    @property
    def limit(self) -> float | None:
        """The worst price it takes; None: any."""
        return None if self.data.type in (OrderType.STOP, OrderType.MARKET) else self.data.price

    @property
    def rank(self) -> tuple[float, int]:
        """Its place in its queue: better price first, then earlier arrival."""
        if self.is_waiting_stop:
            return (self.data.price if self.buy else -self.data.price, self.arrival)
        if self.limit is None:
            return (float("-inf"), self.arrival)
        return (-self.limit if self.buy else self.limit, self.arrival)


class _Queue:
    """Own orders in the order in which they are served."""

    __slots__ = ("_orders", "_ranks")

    def __init__(self) -> None:
        self._ranks: list[tuple[float, int]] = []
        self._orders: dict[int, SimOrder] = {}

    def __len__(self) -> int:
        return len(self._ranks)

    def add(self, order: SimOrder) -> None:
        insort(self._ranks, order.rank)
        self._orders[order.arrival] = order

    def remove(self, order: SimOrder) -> None:
        del self._ranks[bisect_left(self._ranks, order.rank)]
        del self._orders[order.arrival]

    def first(self) -> SimOrder:
        return self._orders[self._ranks[0][1]]


class Book:
    """The displayed market of one contract and the queues of own orders that wait for it."""

    __slots__ = ("_arrivals", "_levels", "_resting", "_stops", "instrument", "tick")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.tick: TickData | None = None
        self._arrivals = 0
        self._levels: dict[bool, list[list[float]]] = {}
        self._resting = {True: _Queue(), False: _Queue()}
        self._stops = {True: _Queue(), False: _Queue()}

    @property
    def is_idle(self) -> bool:
        return not any(len(queue) for queues in (self._resting, self._stops) for queue in queues.values())

    def quote(self, tick: TickData) -> None:
        """Replace the market: what was taken of the last one is forgotten."""
        self.tick = tick
        if self._levels:
            self._levels = {}

    def add(self, order: SimOrder) -> None:
        self._arrivals += 1
        order.arrival = self._arrivals
        self._queue(order).add(order)

    def remove(self, order: SimOrder) -> None:
        self._queue(order).remove(order)

    def _queue(self, order: SimOrder) -> _Queue:
        return (self._stops if order.is_waiting_stop else self._resting)[order.buy]

    def levels(self, buy: bool) -> list[list[float]]:
        """Return what a buyer (else a seller) finds: ``[price, lots left]``, best first."""
        levels = self._levels.get(buy)
        if levels is None:
            levels = self._levels[buy] = self._displayed(buy)
        return levels

    def _displayed(self, buy: bool) -> list[list[float]]:
        tick, lots_in = self.tick, self.instrument.whole_lots
        if tick is None:
            return []
        if buy:
            shown = (
                (tick.ask_price_1, tick.ask_volume_1),
                (tick.ask_price_2, tick.ask_volume_2),
                (tick.ask_price_3, tick.ask_volume_3),
                (tick.ask_price_4, tick.ask_volume_4),
                (tick.ask_price_5, tick.ask_volume_5),
            )
        else:
            shown = (
                (tick.bid_price_1, tick.bid_volume_1),
                (tick.bid_price_2, tick.bid_volume_2),
                (tick.bid_price_3, tick.bid_volume_3),
                (tick.bid_price_4, tick.bid_volume_4),
                (tick.bid_price_5, tick.bid_volume_5),
            )
        return [[price, lots_in(volume)] for price, volume in shown if price > 0]

    def within(self, order: SimOrder) -> int:
        """Return how many lots the order could take now."""
        return int(sum(lots for price, lots in self.levels(order.buy) if _acceptable(order, price)))

    def take(self, order: SimOrder) -> list[tuple[float, int]]:
        """Take what the order may have of the displayed volume, level by level: ``(price, lots)``."""
        left, taken = order.left, []
        for level in self.levels(order.buy):
            price, shown = level
            if not left or not _acceptable(order, price):
                break
            lots = min(left, int(shown))
            if lots:
                level[1] -= lots
                left -= lots
                taken.append((price, lots))
        return taken

    def triggered(self, last_price: float) -> Iterator[SimOrder]:
        """Withdraw and return the stop orders that ``last_price`` sets off, in the order in which it reaches them."""
        for buy, stops in self._stops.items():
            while len(stops):
                order = stops.first()
                if (last_price < order.data.price) if buy else (last_price > order.data.price):
                    break
                stops.remove(order)
                yield order

    def crossed(self) -> Iterator[SimOrder]:
        """Return the resting orders that the market reaches, best first. Fill each before asking for the next."""
        tick = self.tick
        if tick is None:
            return
        for buy, queue in self._resting.items():
            best = tick.ask_price_1 if buy else tick.bid_price_1
            while len(queue):
                order = queue.first()
                if not _acceptable(order, best) or not self.within(order):
                    break
                yield order


def _acceptable(order: SimOrder, price: float) -> bool:
    limit = order.limit
    return limit is None or (price <= limit if order.buy else price >= limit)
