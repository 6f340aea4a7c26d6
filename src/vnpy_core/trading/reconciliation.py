"""The words of reconciliation: what is known of a gateway, what its venue reports, and what does not agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec

from vnpy_core.events import Event
from vnpy_core.models import Account, GatewayName, Order, Position, Timestamp, Trade, VtSymbol

M = TypeVar("M", Order, Trade, Position, Account)


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


_KINDS = ("intent", "order", "position", "account")
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

    @property
    def mark(self) -> str:
        """What it is known again by, once somebody has accepted it."""
        return f"{self.kind} {self.key} {self.known} {self.venue}"


def by_kind(differences: Iterable[Difference]) -> list[Difference]:
    """Return them in the order in which they are shown."""
    return sorted(differences, key=lambda each: _KINDS.index(each.kind))


def told(differences: Sequence[Difference]) -> str:
    """Return the first few of them in a line."""
    first = [f"{each.kind} {each.key} {each.resolution}" for each in differences[:5]]
    return ", ".join(first + ([f"and {len(differences) - 5} more"] if len(differences) > 5 else []))


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
    """What the venue has told since the connection began, or what was new of it; engine/venue_reports.py."""

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
    def get(self, key: str) -> Event | None: ...
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
