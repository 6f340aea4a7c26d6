"""What is known, compared with what the venue reports: intents, orders, positions, funds. It sends nothing.

An order is final only if the venue said so: one that it does not report stays as it is, and is listed. An order whose
sending is in doubt is known again by the marker it carries, or, where the venue does not hand that back, by what it is
and when it came; if that fits more than one, it stays in doubt.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec

from vnpy_core.enums import Direction, Offset
from vnpy_core.events import Event
from vnpy_core.models import Account, GatewayName, Order, OrderIntent, Position, Timestamp, Trade, VtSymbol

M = TypeVar("M", Order, Trade, Position, Account)

# An intent is journaled before the order goes out; clocks of venue and service may differ by this much.
BEFORE_S, AFTER_S = 5.0, 60.0
_EPSILON = 1e-9


class Resolution(StrEnum):
    """What became of a difference. The first four settle it; the others are for a person."""

    UPDATED = "UPDATED"  # the venue's state is taken over
    SENT = "SENT"  # an intent in doubt, whose order the venue has
    NOT_SENT = "NOT_SENT"  # an intent in doubt, and the venue, which forgets nothing, has never had it
    EXTERNAL = "EXTERNAL"  # the venue has it, and it is not of this service: taken in
    EARLIER_DAY = "EARLIER_DAY"  # of a trading day that the venue does not report any more: stays as it is
    UNKNOWN = "UNKNOWN"  # an intent that fits no order, or several: stays in doubt
    MISSING = "MISSING"  # believed to be working, and the venue does not report it: stays as it is
    DIFFERENT = "DIFFERENT"  # not what the recorded trades make it
    ACCEPTED = "ACCEPTED"  # an admin has seen it, and lets trading go on


HOLDING = frozenset({Resolution.UNKNOWN, Resolution.MISSING, Resolution.DIFFERENT})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of which what was known and what the venue reports do not agree; null: there is none of it."""

    kind: Annotated[Literal["intent", "order", "position", "account"], msgspec.Meta(examples=["order"])]
    key: Annotated[str, msgspec.Meta(description="intent_id, vt_orderid, vt_positionid or vt_accountid")]
    vt_symbol: VtSymbol | None = None
    known: str | None = None
    venue: str | None = None
    difference: Annotated[float | None, msgspec.Meta(description="Venue less known")] = None
    resolution: Resolution = Resolution.DIFFERENT
    vt_orderids: Annotated[list[str], msgspec.Meta(description="Orders that an intent may have become")] = (
        msgspec.field(default_factory=list)
    )
    detail: str | None = None

    @property
    def holds(self) -> bool:
        """Whether no order is taken until an admin has seen it."""
        return self.resolution in HOLDING


State = Literal["WAITING", "RUNNING", "PASSED", "DIFFERENT", "ACCEPTED", "OFF"]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """How far the comparison of one gateway with what is known has come, and what it has found.

    ``WAITING``: for the gateway to be connected; ``RUNNING``: the venue is still telling; ``DIFFERENT``: an admin must
    look at it. ``holds``: whether orders are refused (503 ``reconciling``).
    """

    gateway_name: GatewayName
    state: Annotated[State, msgspec.Meta(examples=["PASSED"])]
    holds: bool
    started: Timestamp | None = None
    finished: Timestamp | None = None
    detail: str | None = None
    compared: Annotated[Mapping[str, int], msgspec.Meta(description="How many of each kind were looked at")] = (
        msgspec.field(default_factory=dict)
    )
    differences: list[Difference] = msgspec.field(default_factory=list)


class Reported(Protocol):
    """What the venue has told since the connection began; engine/venue_reports.py."""

    gateway_name: GatewayName
    began: Timestamp
    orders: dict[str, Order]
    markers: dict[str, str]
    trades: dict[str, Trade]
    positions: dict[str, Position]
    accounts: dict[str, Account]
    is_complete: bool
    complete_since: Timestamp | None
    quiet_s: float
    version: int


class Rows(Protocol):
    def values(self) -> Iterable[Event]: ...


class Tables(Protocol):
    """The read model, as far as it is compared."""

    @property
    def orders(self) -> Rows: ...
    @property
    def trades(self) -> Rows: ...
    @property
    def positions(self) -> Rows: ...
    @property
    def accounts(self) -> Rows: ...


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of one gateway before its venue told anything. Positions come with the number of their fact."""

    orders: Mapping[str, Order]
    trades: Mapping[str, tuple[int, Trade]]
    positions: Mapping[str, tuple[int, Position]]
    accounts: Mapping[str, Account]

    @property
    def is_nothing(self) -> bool:
        """Whether this gateway was never heard before."""
        return not (self.orders or self.positions or self.accounts)


def take_known(tables: Tables, gateway_name: str) -> Known:
    """Return what the read model has of a gateway."""

    def rows(table: Rows, kind: type[M]) -> Iterator[tuple[int, M]]:
        for event in table.values():
            if isinstance(event.data, kind) and event.data.gateway_name == gateway_name:
                yield event.seq or 0, event.data

    return Known(
        orders={order.key: order for _, order in rows(tables.orders, Order)},
        trades={trade.key: (seq, trade) for seq, trade in rows(tables.trades, Trade)},
        positions={position.key: (seq, position) for seq, position in rows(tables.positions, Position)},
        accounts={account.key: account for _, account in rows(tables.accounts, Account)},
    )


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation looks at. ``doubtful``: intents whose outcome is unknown, and of which no command is on
    its way any more. ``is_current``: whether the venue still reports orders of that moment. ``is_ours``: whether a
    reference names something of this service."""

    known: Known
    report: Reported
    doubtful: Sequence[OrderIntent]
    is_current: Callable[[Order], bool] = lambda order: True
    is_ours: Callable[[Order], bool] = lambda order: False


def compare(question: Question) -> list[Difference]:
    """Return every difference, those of intents first, then orders, positions and funds."""
    intents = list(_intents(question))
    resolved = {each.vt_orderids[0] for each in intents if each.resolution is Resolution.SENT}
    return [*intents, *_orders(question, resolved), *_positions(question), *_accounts(question)]


def _intents(question: Question) -> Iterator[Difference]:
    report = question.report
    by_marker = {marker: vt_orderid for vt_orderid, marker in report.markers.items()}
    candidates = {intent.intent_id: _candidates(intent, question) for intent in question.doubtful}
    for intent in question.doubtful:
        base = Difference(
            kind="intent",
            key=intent.intent_id,
            vt_symbol=f"{intent.symbol}.{intent.exchange}",
            known=f"{intent.direction} {intent.volume:g} @ {intent.price:g}, asked for at {intent.created}",
        )
        vt_orderid, sure = by_marker.get(intent.intent_id), True
        fitting = candidates[intent.intent_id]
        if vt_orderid is None and len(fitting) == 1:
            sure = not any(fitting[0] in others for key, others in candidates.items() if key != intent.intent_id)
            vt_orderid = fitting[0] if sure else None
        if vt_orderid is not None:
            order = report.orders[vt_orderid]
            yield msgspec.structs.replace(
                base, resolution=Resolution.SENT, vt_orderids=[vt_orderid], venue=_state(order),
                detail="It carries this intent's mark." if vt_orderid in report.markers else "No other order fits.",
            )  # fmt: skip
        elif fitting:
            yield msgspec.structs.replace(
                base, resolution=Resolution.UNKNOWN, vt_orderids=fitting, detail="It may be any of these orders."
            )
        elif report.complete_since is not None and intent.created >= report.complete_since:
            yield msgspec.structs.replace(
                base, resolution=Resolution.NOT_SENT, detail="The venue, which forgets nothing, has never had it."
            )
        else:
            yield msgspec.structs.replace(
                base, resolution=Resolution.UNKNOWN, detail="The venue reports no order that it could be."
            )


def _candidates(intent: OrderIntent, question: Question) -> list[str]:
    """Return the orders that the intent may be: the same in every field, of its time, and of no other intent."""
    report, known = question.report, question.known.orders
    return [
        vt_orderid
        for vt_orderid, order in report.orders.items()
        if vt_orderid not in report.markers and vt_orderid not in known and _fits(intent, order)
    ]


def _fits(intent: OrderIntent, order: Order) -> bool:
    if order.client_order_id is not None:
        return False
    asked = (intent.symbol, intent.exchange, intent.direction, intent.offset, intent.type, intent.volume)
    if asked != (order.symbol, order.exchange, order.direction, order.offset, order.type, order.volume):
        return False
    if order.price is not None and abs(order.price - intent.price) > _EPSILON:
        return False
    if order.datetime is None:
        return True
    created, came = datetime.fromisoformat(intent.created), datetime.fromisoformat(order.datetime)
    return created - timedelta(seconds=BEFORE_S) <= came <= created + timedelta(seconds=AFTER_S)


def _orders(question: Question, resolved: set[str]) -> Iterator[Difference]:
    known, report = question.known.orders, question.report
    for vt_orderid, order in known.items():
        told = report.orders.get(vt_orderid)
        if told is None:
            if not order.is_final:
                current = question.is_current(order)
                yield _order(
                    vt_orderid, order, None, Resolution.MISSING if current else Resolution.EARLIER_DAY,
                    "The venue does not report it; what became of it is not known."
                    if current else "The venue reports its own day alone; what became of it is not known.",
                )  # fmt: skip
        elif not order.is_final and (told.status, told.traded) != (order.status, order.traded):
            yield _order(vt_orderid, order, told, Resolution.UPDATED, "The venue's state is taken over.")
    for vt_orderid, told in report.orders.items():
        if vt_orderid not in known and vt_orderid not in resolved and not question.is_ours(told):
            yield _order(vt_orderid, None, told, Resolution.EXTERNAL, "As far as is known, another program sent it.")


def _order(
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


def _positions(question: Question) -> Iterator[Difference]:
    """A position is expected to be the last one known with all trades since. Nothing is expected of a new gateway."""
    known, report = question.known, question.report
    if known.is_nothing:
        return
    expected = {key: position.volume for key, (_, position) in known.positions.items()}
    seqs = {key: seq for key, (seq, _) in known.positions.items()}
    symbols = {key: position.vt_symbol for key, (_, position) in known.positions.items()}
    new = [(1 << 62, trade) for key, trade in report.trades.items() if key not in known.trades]
    told_of = [*report.positions.values(), *(position for _, position in known.positions.values())]
    two_sided = {position.vt_symbol for position in told_of if position.direction is not Direction.NET}
    net = {position.vt_symbol for position in told_of} - two_sided
    for seq, trade in (*known.trades.values(), *new):
        without_sides = trade.offset is Offset.NONE and trade.vt_symbol not in two_sided
        key, change = effect_of(trade, net=trade.vt_symbol in net or without_sides)
        if seq > seqs.get(key, 0):
            expected[key] = expected.get(key, 0.0) + change
            symbols[key] = trade.vt_symbol
    for key in sorted(expected.keys() | report.positions.keys()):
        told = report.positions.get(key)
        was, now = expected.get(key, 0.0), told.volume if told is not None else 0.0
        if abs(was - now) > _EPSILON:
            yield Difference(
                kind="position",
                key=key,
                vt_symbol=told.vt_symbol if told is not None else symbols[key],
                known=f"{was:g}",
                venue=f"{now:g}" if told is not None else None,
                difference=now - was,
                detail="It is not what the position before and the trades since make it.",
            )


def effect_of(trade: Trade, *, net: bool = False) -> tuple[str, float]:
    """Return the key of the position that a trade changes, and by how much."""
    buys = trade.direction is Direction.LONG
    base = f"{trade.gateway_name}.{trade.vt_symbol}"
    if net:
        return f"{base}.{Direction.NET}", trade.volume if buys else -trade.volume
    opens = trade.offset in (Offset.OPEN, Offset.NONE)
    long = buys == opens
    return f"{base}.{Direction.LONG if long else Direction.SHORT}", trade.volume if opens else -trade.volume


def _accounts(question: Question) -> Iterator[Difference]:
    """Funds move with prices and fees, so a difference is shown and holds up nothing."""
    for key, account in question.known.accounts.items():
        told = question.report.accounts.get(key)
        before, now = account.balance, told.balance if told is not None else None
        if told is None or before is None or now is None or abs(before - now) > _EPSILON:
            yield Difference(
                kind="account",
                key=key,
                known=None if before is None else f"{before:.2f}",
                venue=None if now is None else f"{now:.2f}",
                difference=now - before if now is not None and before is not None else None,
                resolution=Resolution.UPDATED,
                detail=None if told is not None else "The venue has not reported this account.",
            )
