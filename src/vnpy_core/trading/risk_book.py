"""RiskBook: positions, working orders and last prices as risk control counts them. For the event thread alone.

Where events are late it takes the worse case: a fill that reduces a position counts at once, one that adds to it when
the gateway tells the position; and what an order has filled is still to come until its trades have been told.
"""

from collections import defaultdict

import msgspec

from vnpy_core.enums import Direction
from vnpy_core.models import RiskOrder

_EPSILON = 1e-9
# Trades are told with their order's last state. Of an order of which they are not, the position has told by then.
_TRADES_WAIT_S = 5.0


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What of a contract matters here."""

    size: float
    is_net: bool


class Holding(msgspec.Struct, gc=False):
    """``is_net``: the gateway tells one signed position, ``net``, instead of two."""

    long: float = 0.0
    short: float = 0.0
    net: float = 0.0
    is_net: bool = False


class _Working(msgspec.Struct, gc=False):
    place: tuple[str, str]
    is_buy: bool
    closes: bool
    sender: str
    volume: float
    left: float
    active: bool
    filled: float = 0.0
    trades: set[str] = msgspec.field(default_factory=set)
    ended: float = 0.0


class _Pending(msgspec.Struct, gc=False):
    """The volume that works on one side of a contract."""

    all: float = 0.0
    closing: float = 0.0


class RiskBook:
    """``place`` is a gateway's name and a vt_symbol."""

    def __init__(self) -> None:
        self.terms: dict[tuple[str, str], Terms] = {}
        self.holdings: dict[tuple[str, str], Holding] = {}
        self.prices: dict[str, tuple[float, float]] = {}
        self.by_account: defaultdict[str, int] = defaultdict(int)
        self.by_symbol: defaultdict[str, int] = defaultdict(int)
        self.by_sender: defaultdict[str, int] = defaultdict(int)
        self._orders: dict[str, _Working] = {}
        self._pending: dict[tuple[tuple[str, str], bool], _Pending] = {}
        self._waiting: dict[str, _Working] = {}

    # -- questions

    def reduces(self, order: RiskOrder) -> bool:
        """Tell whether the order can only make its position smaller, whatever of the working ones is filled.

        Its volume, with all that already works on its side, must not exceed the opposite position.
        """
        place = (order.gateway_name, order.vt_symbol)
        holding = self.holdings.get(place)
        if holding is None or not order.volume > 0:
            return False
        pending = self._pending.get((place, order.is_buy))
        terms = self.terms.get(place)
        if holding.is_net or (terms is not None and terms.is_net):
            opposite = -holding.net if order.is_buy else holding.net
            works = pending.all if pending is not None else 0.0
        elif not order.closes:
            return False
        else:
            opposite = holding.short if order.is_buy else holding.long
            works = pending.closing if pending is not None else 0.0
        return order.volume + works <= opposite + _EPSILON

    def last_price(self, vt_symbol: str, after: float) -> float | None:
        """Return the last price, if it was told after the moment ``after``."""
        known = self.prices.get(vt_symbol)
        return known[0] if known is not None and known[1] >= after else None

    # -- what happens

    def sent(self, vt_orderid: str, order: RiskOrder) -> None:
        """Count an order from its sending on: its first event comes later than the next order may."""
        if vt_orderid not in self._orders:
            place = (order.gateway_name, order.vt_symbol)
            self._add(vt_orderid, place, order.is_buy, order.closes, order.sender, order.volume)

    def on_order(
        self, vt_orderid: str, order: RiskOrder, *, traded: float, is_active: bool, now: float
    ) -> None:
        """Take up an order's state, whoever has sent it."""
        entry = self._orders.get(vt_orderid)
        if entry is None:
            if not is_active:
                return  # of the past, or gone as soon as it came: its position tells
            place = (order.gateway_name, order.vt_symbol)
            entry = self._add(vt_orderid, place, order.is_buy, order.closes, order.sender, order.volume)
        if entry.active and not is_active:
            entry.active, entry.ended = False, now
            self._count(entry, -1)
            self._waiting[vt_orderid] = entry
        entry.volume = order.volume
        self._set_left(vt_orderid, entry, traded)

    def on_trade(self, vt_orderid: str, tradeid: str, volume: float) -> None:
        entry = self._orders.get(vt_orderid)
        if entry is None or tradeid in entry.trades:
            return
        entry.trades.add(tradeid)
        entry.filled += volume
        self._reduce(entry, volume)
        self._set_left(vt_orderid, entry, None)

    def on_position(self, place: tuple[str, str], direction: Direction, volume: float) -> None:
        holding = self.holdings.setdefault(place, Holding())
        if direction is Direction.NET:
            holding.net, holding.is_net = volume, True
        elif direction is Direction.LONG:
            holding.long = volume
        else:
            holding.short = volume

    def on_timer(self, now: float) -> None:
        """Wait no longer for the trades of orders that ended a while ago."""
        for vt_orderid, entry in tuple(self._waiting.items()):
            if now - entry.ended > _TRADES_WAIT_S:
                self._change(entry, -entry.left)
                del self._waiting[vt_orderid], self._orders[vt_orderid]

    # -- counting

    def _add(
        self, vt_orderid: str, place: tuple[str, str], is_buy: bool, closes: bool, sender: str, volume: float
    ) -> _Working:
        entry = _Working(place, is_buy, closes, sender, volume, 0.0, active=True)
        self._orders[vt_orderid] = entry
        self._count(entry, 1)
        self._change(entry, volume)
        return entry

    def _count(self, entry: _Working, change: int) -> None:
        for counts, key in (
            (self.by_account, entry.place[0]), (self.by_symbol, entry.place[1]), (self.by_sender, entry.sender)
        ):  # fmt: skip
            counts[key] += change
            if not counts[key]:
                del counts[key]

    def _set_left(self, vt_orderid: str, entry: _Working, traded: float | None) -> None:
        if not entry.active and traded is not None:
            entry.volume = traded  # no more of it will be filled
        left = max(entry.volume - entry.filled, 0.0)
        if left <= _EPSILON:
            left = 0.0
        self._change(entry, left - entry.left)
        if not left and not entry.active:
            self._waiting.pop(vt_orderid, None)
            self._orders.pop(vt_orderid, None)

    def _change(self, entry: _Working, change: float) -> None:
        entry.left += change
        key = (entry.place, entry.is_buy)
        pending = self._pending.setdefault(key, _Pending())
        pending.all += change
        if entry.closes:
            pending.closing += change
        if pending.all <= _EPSILON:
            del self._pending[key]  # floats add up to almost nothing

    def _reduce(self, entry: _Working, volume: float) -> None:
        holding = self.holdings.get(entry.place)
        if holding is None:
            return
        terms = self.terms.get(entry.place)
        if holding.is_net or (terms is not None and terms.is_net):
            if entry.is_buy and holding.net < 0:
                holding.net = min(holding.net + volume, 0.0)
            elif not entry.is_buy and holding.net > 0:
                holding.net = max(holding.net - volume, 0.0)
        elif entry.closes and entry.is_buy:
            holding.short = max(holding.short - volume, 0.0)
        elif entry.closes:
            holding.long = max(holding.long - volume, 0.0)
