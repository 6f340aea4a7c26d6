"""Comparison: what is known beside what a venue has told so far: intents, orders, positions, funds. It sends nothing.

An order is final only if the venue said so: one that it does not report stays as it is, and is listed. An order whose
sending is in doubt is known again by the marker it carries, or, where the venue does not hand that back, by what it is
and when it came; if that fits more than one, it stays in doubt.

A venue may go on and on telling: each look costs what was told since the one before, not all that was ever told.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from vnpy_core.models import Account, Order, OrderIntent, Position, Timestamp
from vnpy_core.trading.expected_positions import EPSILON, ExpectedPositions
from vnpy_core.trading.reconciliation import Difference, Known, Reported, Resolution

# An intent is journaled before the order goes out; clocks of venue and service may differ by this much.
BEFORE_S, AFTER_S = 5.0, 60.0
_PART = 500  # rows heard before other work has its turn

Shape = tuple[object, ...]


class Comparison:
    """``is_current``: whether the venue still reports orders of that moment. ``is_ours``: whether an order that was not
    known is of this service all the same. Of one thread at a time."""

    def __init__(
        self,
        known: Known,
        *,
        is_current: Callable[[Order], bool] = lambda order: True,
        is_ours: Callable[[Order], bool] = lambda order: False,
    ) -> None:
        self._known = known
        self._is_current = is_current
        self._is_ours = is_ours
        self._begin(None)

    def _begin(self, began: Timestamp | None) -> None:
        self.began = began
        self.version = 0
        self._complete_since: Timestamp | None = None
        self._orders: dict[str, Order] = {}
        self._untold = {key: order for key, order in self._known.orders.items() if not order.is_final}
        self._updated: dict[str, Difference] = {}
        self._foreign: dict[str, None] = {}
        self._accounts: Mapping[str, Account] = {}
        self._trades: set[str] = set()
        self._positions = ExpectedPositions(self._known)
        # Of the intents in doubt: by their marks, and by what they look like.
        self._by_marker: dict[str, str] = {}
        self._markers: dict[str, str] = {}
        self._by_shape: dict[Shape, dict[str, None]] = {}
        self._doubtful: dict[str, OrderIntent] = {}
        self._asked: dict[Shape, dict[str, None]] = {}
        self._fitting: dict[str, dict[str, None]] = {}
        self._claims: Counter[str] = Counter()
        self._became: set[str] = set()

    @property
    def has_accounts(self) -> bool:
        return bool(self._accounts)

    def counts(self) -> dict[str, int]:
        """Return how many things of each kind were looked at."""
        return {
            "intents": len(self._doubtful), "orders": len(self._orders), "trades": len(self._trades),
            "positions": self._positions.told, "accounts": len(self._accounts),
        }  # fmt: skip

    def hear(self, news: Reported) -> None:
        """Take up what the venue has told since ``version`` of the report that ``began``, or all of another one."""
        for _ in self.hear_in_parts(news):
            pass

    def hear_in_parts(self, news: Reported) -> Iterator[None]:
        """``hear``, with a pause after each few hundred rows."""
        if news.began != self.began:
            self._begin(news.began)
        self.version, self._complete_since, self._accounts = news.version, news.complete_since, news.accounts
        heard = 0
        for vt_orderid, order in news.orders.items():
            self._hear_order(vt_orderid, order, news.markers.get(vt_orderid))
            heard += 1
            if heard % _PART == 0:
                yield
        for key, trade in news.trades.items():
            self._trades.add(key)
            self._positions.hear_trade(trade)
            heard += 1
            if heard % _PART == 0:
                yield
        for position in news.positions.values():
            self._positions.hear_position(position)

    def look(self, doubtful: Sequence[OrderIntent]) -> list[Difference]:
        """Return what may hold up trading: intents in doubt, with what became of them, working orders that are not
        reported, and positions. ``doubtful``: intents of whose outcome nothing is known, and no command is on its way
        any more."""
        self._take_doubtful(doubtful)
        intents = [self._intent(intent) for intent in doubtful]
        self._became.update(each.vt_orderids[0] for each in intents if each.resolution is Resolution.SENT)
        return [*intents, *self._missing(), *self._positions.differences()]

    def settled(self) -> list[Difference]:
        """Return what holds up nothing: orders of which the venue's state is taken over, those of other programs, and
        funds. It is as much as the venue has told."""
        return [*self._updated.values(), *self._external(), *self._funds()]

    def unreported_positions(self) -> list[Position]:
        """Return the positions that are known and that the venue has not told of."""
        return self._positions.untold()

    # -- what comes

    def _hear_order(self, vt_orderid: str, order: Order, marker: str | None) -> None:
        before = self._orders.get(vt_orderid)
        self._orders[vt_orderid] = order
        if marker is not None:
            self._by_marker.pop(self._markers.get(vt_orderid, marker), None)
            self._markers[vt_orderid] = marker
            self._by_marker[marker] = vt_orderid
        was = self._known.orders.get(vt_orderid)
        if was is None:
            if before is not None:
                self._withdraw(vt_orderid, before)
            if marker is None:
                self._offer(vt_orderid, order)
            self._foreign[vt_orderid] = None
            return
        self._untold.pop(vt_orderid, None)
        if not was.is_final and (order.status, order.traded) != (was.status, was.traded):
            self._updated[vt_orderid] = _order_difference(
                vt_orderid, was, order, Resolution.UPDATED, "The venue's state is taken over."
            )
        else:
            self._updated.pop(vt_orderid, None)

    def _offer(self, vt_orderid: str, order: Order) -> None:
        """Let the order be what an intent in doubt has become."""
        shape = _shape(order)
        self._by_shape.setdefault(shape, {})[vt_orderid] = None
        for intent_id in self._asked.get(shape, ()):
            if _fits(self._doubtful[intent_id], order):
                self._fitting[intent_id][vt_orderid] = None
                self._claims[vt_orderid] += 1

    def _withdraw(self, vt_orderid: str, order: Order) -> None:
        shape = _shape(order)
        self._by_shape.get(shape, {}).pop(vt_orderid, None)
        for intent_id in self._asked.get(shape, ()):
            if vt_orderid in self._fitting[intent_id]:
                del self._fitting[intent_id][vt_orderid]
                self._claims[vt_orderid] -= 1

    # -- intents in doubt

    def _take_doubtful(self, doubtful: Sequence[OrderIntent]) -> None:
        now = {intent.intent_id: intent for intent in doubtful}
        for intent_id in self._doubtful.keys() - now.keys():
            del self._asked[_shape(self._doubtful.pop(intent_id))][intent_id]
            self._claims.subtract(self._fitting.pop(intent_id).keys())
        for intent in doubtful:
            if intent.intent_id not in self._doubtful:
                shape = _shape(intent)
                self._doubtful[intent.intent_id] = intent
                self._asked.setdefault(shape, {})[intent.intent_id] = None
                fitting = (key for key in self._by_shape.get(shape, ()) if _fits(intent, self._orders[key]))
                self._fitting[intent.intent_id] = dict.fromkeys(fitting)
                self._claims.update(self._fitting[intent.intent_id].keys())

    def _intent(self, intent: OrderIntent) -> Difference:
        base = Difference(
            kind="intent",
            key=intent.intent_id,
            vt_symbol=f"{intent.symbol}.{intent.exchange}",
            known=f"{intent.direction} {intent.volume:g} @ {intent.price:g}, asked for at {intent.created}",
        )
        fitting = self._fitting[intent.intent_id]
        vt_orderid = self._by_marker.get(intent.intent_id)
        if vt_orderid is None and len(fitting) == 1 and self._claims[next(iter(fitting))] == 1:
            vt_orderid = next(iter(fitting))
        if vt_orderid is not None:
            return msgspec.structs.replace(
                base, resolution=Resolution.SENT, vt_orderids=[vt_orderid], venue=_state(self._orders[vt_orderid]),
                detail="It carries this intent's mark." if vt_orderid in self._markers else "No other order fits.",
            )  # fmt: skip
        if fitting:
            return msgspec.structs.replace(
                base, resolution=Resolution.UNKNOWN, vt_orderids=list(fitting), detail="It may be any of these orders."
            )
        if self._complete_since is not None and intent.created >= self._complete_since:
            return msgspec.structs.replace(
                base, resolution=Resolution.NOT_SENT, detail="The venue, which forgets nothing, has never had it."
            )
        return msgspec.structs.replace(
            base, resolution=Resolution.UNKNOWN, detail="The venue reports no order that it could be."
        )

    # -- orders and funds

    def _missing(self) -> Iterator[Difference]:
        for vt_orderid, order in self._untold.items():
            current = self._is_current(order)
            yield _order_difference(
                vt_orderid, order, None, Resolution.MISSING if current else Resolution.EARLIER_DAY,
                "The venue does not report it; what became of it is not known."
                if current else "The venue reports its own day alone; what became of it is not known.",
            )  # fmt: skip

    def _external(self) -> Iterator[Difference]:
        for vt_orderid in self._foreign:
            told = self._orders[vt_orderid]
            if vt_orderid not in self._became and not self._is_ours(told):
                yield _order_difference(
                    vt_orderid, None, told, Resolution.EXTERNAL, "As far as is known, another program sent it."
                )

    def _funds(self) -> Iterator[Difference]:
        """Funds move with prices and fees, so a difference is shown and holds up nothing."""
        for key, account in self._known.accounts.items():
            told = self._accounts.get(key)
            before, now = account.balance, told.balance if told is not None else None
            if told is None or before is None or now is None or abs(before - now) > EPSILON:
                yield Difference(
                    kind="account",
                    key=key,
                    known=None if before is None else f"{before:.2f}",
                    venue=None if now is None else f"{now:.2f}",
                    difference=now - before if now is not None and before is not None else None,
                    resolution=Resolution.UPDATED,
                    detail=None if told is not None else "The venue has not reported this account.",
                )


def _shape(asked: Order | OrderIntent) -> Shape:
    return asked.symbol, asked.exchange, asked.direction, asked.offset, asked.type, asked.volume


def _fits(intent: OrderIntent, order: Order) -> bool:
    """Tell whether the intent may have become this order of the same shape: of its price, and of its time."""
    if order.client_order_id is not None:
        return False
    if order.price is not None and abs(order.price - intent.price) > EPSILON:
        return False
    if order.datetime is None:
        return True
    created, came = datetime.fromisoformat(intent.created), datetime.fromisoformat(order.datetime)
    return created - timedelta(seconds=BEFORE_S) <= came <= created + timedelta(seconds=AFTER_S)


def _order_difference(
    vt_orderid: str, known: Order | None, told: Order | None, resolution: Resolution, detail: str
) -> Difference:
    either = told or known
    return Difference(
        kind="order",
        key=vt_orderid,
        vt_symbol=either.vt_symbol if either is not None else None,
        known=_state(known),
        venue=_state(told),
        resolution=resolution,
        detail=detail,
    )


def _state(order: Order | None) -> str | None:
    return None if order is None else f"{order.status}, {order.traded:g} of {order.volume:g} traded"
