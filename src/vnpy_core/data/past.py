"""PastFacts: orders and trades of any day, from SQL, and from the read model what SQL has not yet."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from vnpy_core.data.fact_queries import KEYS, Conditions, Place, StoredFact, place_of
from vnpy_core.data.read_model import ReadModel, Table
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model, Order, Trade, to_timestamp

_encoder = msgspec.json.Encoder()

_BATCH = 1000
_ORIGIN = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_MICROS = (datetime.max.replace(tzinfo=UTC) - _ORIGIN) // _MICROSECOND


class Which(Protocol):
    """Which facts are meant. ``predicate`` decides; ``conditions`` hold for all of them, and for few others."""

    def predicate(self) -> Callable[[Model], bool] | None: ...
    def conditions(self) -> Conditions: ...


class Snapshot(Protocol):
    """The SQL tables, as ``fact_queries.FactSnapshot`` reads them."""

    async def position(self, journal: int) -> int: ...
    async def refused(self, journal: int, kind: type[Model]) -> set[int]: ...
    async def rows(
        self,
        kind: type[Model],
        conditions: Conditions,
        *,
        start: str | None = None,
        end: str | None = None,
        after: Place | None = None,
        limit: int,
    ) -> list[StoredFact]: ...
    async def get(self, kind: type[Model], *ids: str) -> Model | None: ...


class Facts(Protocol):
    def reading(self) -> AbstractAsyncContextManager[Snapshot]: ...


class JournalEnd(Protocol):
    @property
    def identity(self) -> int: ...


class PastPage(msgspec.Struct, frozen=True):
    """The JSON of each row, as it was when the fact was shown, and the cursor to go on with; ``None``: no more."""

    payloads: list[bytes]
    next_cursor: str | None


class PastFacts:
    """Answers are complete as of now. An order or a trade stands at its own time, or if its gateway gave none, at the
    one when its latest state came; of equal times the smaller id comes first.

    A page's cursor is a place, so rows that are added or changed meanwhile move no others. Loop only.

    Raises:
        Unavailable: the database is down, or is so far behind that some rows are neither in it nor in memory.
    """

    def __init__(self, facts: Facts, read_model: ReadModel, journal: JournalEnd) -> None:
        self._facts = facts
        self._read_model = read_model
        self._journal = journal

    async def orders(
        self, which: Which, start: str | None, end: str | None, cursor: str | None, limit: int
    ) -> PastPage:
        """Return up to ``limit`` orders behind ``cursor`` with ``start <= time <= end``, oldest first.

        Raises:
            Invalid: ``cursor`` is none of these lists.
        """
        return await self._page(Order, self._read_model.orders, which, start, end, cursor, limit)

    async def trades(
        self, which: Which, start: str | None, end: str | None, cursor: str | None, limit: int
    ) -> PastPage:
        """Return trades, see ``orders``."""
        return await self._page(Trade, self._read_model.trades, which, start, end, cursor, limit)

    async def order(self, vt_orderid: str) -> bytes | None:
        """Return the JSON of an order that the read model has no longer, or ``None``: there has never been one."""
        async with self._facts.reading() as snapshot:
            position = await snapshot.position(self._journal.identity)
            found = await snapshot.get(Order, vt_orderid)
            if found is None:
                require_complete(self._read_model.orders, position)
        return None if found is None else _encoder.encode(found)

    async def _page(
        self,
        kind: type[Model],
        table: Table,
        which: Which,
        start: str | None,
        end: str | None,
        cursor: str | None,
        limit: int,
    ) -> PastPage:
        reached = after = None if cursor is None else decode_cursor(table.name, kind, cursor)
        is_meant = which.predicate() or (lambda data: True)
        conditions = which.conditions()
        found: dict[str, tuple[Place, Model | bytes]] = {}
        async with self._facts.reading() as snapshot:
            position = await snapshot.position(self._journal.identity)
            refused = await snapshot.refused(self._journal.identity, kind)
            newer: set[str] | None = None
            while True:
                size = min(limit + 1, _BATCH)
                rows = await snapshot.rows(
                    kind, conditions, start=start, end=end, after=reached, limit=size
                )
                if newer is None:
                    # Only now: the rows cannot be newer than it, but for what is newer than the position too.
                    require_complete(table, position)
                    newer = set()
                    for event in not_in_sql(table, position, refused):
                        newer.add(event.data.key)
                        place = place_of(event.data, event.ts)
                        if _is_within(place, start, end, after) and is_meant(event.data):
                            found[event.data.key] = (place, event.payload)
                for row in rows:
                    if row.data.key not in newer and is_meant(row.data):
                        found[row.data.key] = (row.place, row.data)
                if len(rows) < size:
                    reached = None
                    break
                reached = rows[-1].place
                if sum(place <= reached for place, _ in found.values()) > limit:
                    break
        # Beyond what was read of SQL there may be rows between those of the read model.
        known = sorted((item for item in found.values() if reached is None or item[0] <= reached), key=lambda i: i[0])
        page = known[:limit]
        payloads = [row if isinstance(row, bytes) else _encoder.encode(row) for _, row in page]
        return PastPage(payloads, encode_cursor(table.name, page[-1][0]) if len(known) > limit else None)


def encode_cursor(name: str, place: Place) -> str:
    micros = (datetime.fromisoformat(place.moment) - _ORIGIN) // _MICROSECOND
    return f"{name}-{micros:x}-{chr(0).join(place.ids).encode().hex()}"


def decode_cursor(name: str, kind: type[Model], cursor: str) -> Place:
    """Return the place that a cursor names; one of the live list is before all that have ids.

    Raises:
        Invalid: it is no cursor of this list.
    """
    found = re.fullmatch(rf"{name}-([0-9a-f]{{1,16}})(?:-((?:[0-9a-f]{{2}})+))?", cursor)
    if found is None:
        raise Invalid(f"{cursor!r} is no cursor of this list: take next_cursor of the page before.")
    moment = to_timestamp(_ORIGIN + min(int(found[1], 16), _LAST_MICROS) * _MICROSECOND)
    count = len(KEYS[kind])
    ids = bytes.fromhex(found[2] or "").decode(errors="replace").split("\0", count - 1)
    # No id has a NUL: PostgreSQL takes none.
    return Place(moment, tuple(part.replace("\0", "") for part in (*ids, *[""] * count)[:count]))


def require_complete(table: Table, position: int) -> None:
    """Raises:
    Unavailable: SQL, which is at ``position``, lacks facts that the table has no longer.
    """
    if table.evicted_seq > position:
        raise Unavailable(
            f"The database has the facts up to {position}, and those up to {table.evicted_seq} are no longer in memory:"
            " it is catching up. Try again in a moment.",
            code="database_behind",
        )


def not_in_sql(table: Table, position: int, refused: set[int]) -> list[Event]:
    """Return what the table has and SQL, at ``position``, has not."""
    events = table.changed_since(position)
    if refused:
        events += [event for event in table.values() if event.seq in refused and event.seq <= position]
    return events


def _is_within(place: Place, start: str | None, end: str | None, after: Place | None) -> bool:
    return (
        (start is None or place.moment >= start)
        and (end is None or place.moment <= end)
        and (after is None or place > after)
    )
