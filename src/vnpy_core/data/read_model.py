"""The read model: the latest state of everything, in memory, as REST answers it. Written and read by the loop alone."""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from vnpy_core import models
from vnpy_core.data.journal_file import Latest
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.events import Event, decode_fact
from vnpy_core.models import Model

_LOG_LINES = 1000
_CHUNK = 1024
KEEP_FINAL = 100_000


class Table:
    """The latest event of each key, in the order in which the keys first came.

    A row's number never changes and grows along the table; for facts it is the ``seq`` of the first one, so that a
    page's cursor holds when rows are added, changed or evicted, and across a restart. ``keep_final`` bounds the rows
    that are final: beyond it the one that changed longest ago is evicted, and counted in ``evicted``; ``evicted_seq``
    is the highest ``seq`` of one that is evicted, or was left out when the table was loaded.

    ``version`` grows with every change.
    """

    def __init__(self, name: str, keep_final: int | None = None) -> None:
        self.name = name
        self.version = 0
        self.evicted = 0
        self.evicted_seq = 0
        self._keep_final = keep_final
        self._places: dict[str, int] = {}
        self._events: list[Event | None] = []
        self._numbers: list[int] = []
        # Ordered sets: the one that changed longest ago first. Kept only if final rows are bounded.
        self._final: dict[str, None] = {}
        self._open: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> Event | None:
        place = self._places.get(key)
        return None if place is None else self._events[place]

    def values(self) -> Iterator[Event]:
        """Return the events in order; do not await between two of them."""
        return (event for event in self._events if event is not None)

    def changed_since(self, seq: int) -> list[Event]:
        """Return the events whose ``seq`` is greater, of a table with ``keep_final``. Looks at few others."""
        changed = []
        for keys in (self._final, self._open):
            for key in reversed(keys):
                event = self._events[self._places[key]]
                if event is None or (event.seq or 0) <= seq:
                    break
                changed.append(event)
        return changed

    def page(
        self, predicate: Callable[[Model], bool] | None, after: str | None, limit: int
    ) -> tuple[list[Event], str | None]:
        """Return up to ``limit`` rows after the cursor ``after``, and the cursor to go on with; ``None``: no more.

        Raises:
            Invalid: ``after`` is no cursor of this table.
        """
        place = self._place_after(after)
        found: list[Event] = []
        while place < len(self._events) and len(found) <= limit:
            chunk = self._events[place : place + (limit + 1 if predicate is None else _CHUNK)]
            place += len(chunk)
            if predicate is None:
                found += [event for event in chunk if event is not None]
            else:
                found += [event for event in chunk if event is not None and predicate(event.data)]
        if len(found) <= limit:
            return found, None
        del found[limit:]
        return found, f"{self.name}-{self._numbers[self._places[found[-1].data.key]]:x}"

    def put(self, event: Event, number: int | None = None) -> None:
        """Make ``event`` the latest of its key. A key that was final and is no longer begins a new row."""
        data = event.data
        key = data.key
        place = self._places.get(key)
        if place is not None and key in self._final and not data.is_final:
            self.remove(key)
            place = None
        if place is not None:
            self._events[place] = event
        else:
            if number is None:
                number = max(event.seq or 0, self._numbers[-1] + 1 if self._numbers else 1)
            self._places[key] = len(self._events)
            self._events.append(event)
            self._numbers.append(number)
        self.version += 1
        if self._keep_final is None:
            return
        self._open.pop(key, None)
        if not data.is_final:
            self._open[key] = None
            return
        self._final.pop(key, None)
        self._final[key] = None
        if len(self._final) > self._keep_final:
            oldest = next(iter(self._final))
            evicted = self.get(oldest)
            self.evicted_seq = max(self.evicted_seq, (evicted and evicted.seq) or 0)
            self.remove(oldest)
            self.evicted += 1

    def remove(self, key: str) -> None:
        """Forget ``key``, if it is there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._events[place] = None
        self._final.pop(key, None)
        self._open.pop(key, None)
        self.version += 1
        if len(self._events) > 2 * len(self._places) + 1000:
            self._compact()

    def load(self, rows: Iterable[tuple[int, Event]]) -> None:
        """Fill the empty table with numbers and events, in the order of the numbers."""
        for number, event in rows:
            self.put(event, number)
        self._final = self._by_change(self._final)
        self._open = self._by_change(self._open)
        if self._keep_final is not None and len(self._final) >= self._keep_final:
            # There may have been more than were asked for.
            oldest = self.get(next(iter(self._final)))
            self.evicted_seq = max(self.evicted_seq, ((oldest and oldest.seq) or 1) - 1)

    def _by_change(self, keys: Iterable[str]) -> dict[str, None]:
        changed = sorted((self.get(key) for key in keys), key=lambda event: (event and event.seq) or 0)
        return {event.data.key: None for event in changed if event is not None}

    def _place_after(self, cursor: str | None) -> int:
        if cursor is None:
            return 0
        found = re.fullmatch(rf"{self.name}-([0-9a-f]{{1,16}})", cursor)
        if found is None:
            raise Invalid(f"{cursor!r} is no cursor of this list: take next_cursor of the page before.")
        return bisect_right(self._numbers, int(found[1], 16))

    def _compact(self) -> None:
        kept = [(e, n) for e, n in zip(self._events, self._numbers, strict=True) if e is not None]
        self._events = [event for event, _ in kept]
        self._numbers = [number for _, number in kept]
        self._places = {event.data.key: place for place, (event, _) in enumerate(kept)}


class LatestFacts(Protocol):
    """The journal, as far as the read model needs it."""

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]: ...


class ReadModel:
    """One table a kind, and the last 1,000 lines of the log. At most ``keep_final`` final rows a table are kept: the
    others stay in SQL."""

    def __init__(self, keep_final: int = KEEP_FINAL) -> None:
        self._keep_final = keep_final
        self.orders = Table("orders", keep_final)
        self.trades = Table("trades", keep_final)
        self.positions = Table("positions")
        self.accounts = Table("accounts")
        self.contracts = Table("contracts")
        self.ticks = Table("ticks")
        self.strategies = Table("strategies")
        self.stop_orders = Table("stop_orders", keep_final)
        self.algos = Table("algos", keep_final)
        self.risk_rules = Table("risk_rules")
        self.risk_states = Table("risk_states")
        self.risk_limits = Table("risk_limits")
        self.risk_days = Table("risk_days")
        self.kill_switch = Table("kill_switch")
        self.gateways = Table("gateways")
        self.alerts = Table("alerts")
        self.logs: deque[Event] = deque(maxlen=_LOG_LINES)
        self._tables: dict[type[Model], Table] = {
            models.Order: self.orders,
            models.Trade: self.trades,
            models.Position: self.positions,
            models.Account: self.accounts,
            models.Contract: self.contracts,
            models.Tick: self.ticks,
            models.Strategy: self.strategies,
            models.StopOrder: self.stop_orders,
            models.Algo: self.algos,
            models.RiskRule: self.risk_rules,
            models.RiskState: self.risk_states,
            models.RiskLimits: self.risk_limits,
            models.RiskDay: self.risk_days,
            models.KillSwitchReport: self.kill_switch,
            models.GatewayStatus: self.gateways,
            models.Alert: self.alerts,
        }

    def table_of(self, kind: type[Model]) -> Table | None:
        """Return the table of a model's class; ``None``: nothing is kept of it (bars, logs, rejections, intents)."""
        return self._tables.get(kind)

    def apply(self, events: Sequence[Event]) -> None:
        """Take up ``events`` in their order. A removed strategy goes; what has no table is passed over."""
        for event in events:
            data = event.data
            table = self._tables.get(type(data))
            if table is not None:
                if _is_removed(data):
                    table.remove(data.key)
                else:
                    table.put(event)
            elif type(data) is models.Log:
                self.logs.append(event)

    async def restore(self, journal: LatestFacts) -> list[models.OrderIntent]:
        """Fill the empty model with what the journal holds, and return the order intents in it, oldest first.

        Raises:
            Unavailable: the journal cannot be read, or holds a fact that this version does not understand.
        """
        for kind, table in self._tables.items():
            if kind in models.FACTS:
                events = map(_event, await journal.latest(kind.topic, self._keep_final))
                table.load((number, event) for number, event in events if not _is_removed(event.data))
        intents = map(_event, await journal.latest(models.OrderIntent.topic, self._keep_final))
        return [event.data for _, event in intents if isinstance(event.data, models.OrderIntent)]


def _event(latest: Latest) -> tuple[int, Event]:
    record = latest.record
    try:
        data = decode_fact(record.topic, record.payload)
    except (msgspec.MsgspecError, KeyError) as error:
        raise Unavailable(
            f"Fact {record.seq} of the journal ({record.topic}) cannot be read by this version: {error}. Start the "
            "version that has written it, or move journal.db with its -wal and -shm away; what was recorded so far is "
            "also in the SQL database.",
            code="journal_unreadable",
        ) from error
    event = Event.restored(data, seq=record.seq, topic=record.topic, ts=record.ts, payload=record.payload)
    return latest.first_seq, event


def _is_removed(data: Model) -> bool:
    return isinstance(data, models.Strategy) and data.state is StrategyState.REMOVED
