"""The SQL tables of orders and trades in memory, for tests of what reads them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from vnpy_core.data.fact_queries import KEYS, Conditions, Place, StoredFact, place_of
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import Model


class MemoryFacts:
    """SQL tables in memory, which have the facts that were recorded; ``error`` makes them unreachable."""

    def __init__(self) -> None:
        self.stored: dict[tuple[type[Model], str], StoredFact] = {}
        self.seq = 0
        self.letters: set[int] = set()
        self.error: CoreError | None = None

    def record(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event.data) in KEYS and event.seq not in self.letters:
                place = place_of(event.data, event.ts)
                self.stored[type(event.data), event.data.key] = StoredFact(place, event.data)
            self.seq = max(self.seq, event.seq or 0)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["MemoryFacts"]:
        if self.error is not None:
            raise self.error
        yield self

    async def position(self, journal: int) -> int:
        return self.seq

    async def refused(self, journal: int, kind: type[Model]) -> set[int]:
        return self.letters

    async def rows(
        self,
        kind: type[Model],
        conditions: Conditions,
        *,
        start: str | None = None,
        end: str | None = None,
        after: Place | None = None,
        limit: int,
    ) -> list[StoredFact]:
        # Conditions only narrow: whoever asks decides.
        behind = [
            fact
            for (of, _), fact in self.stored.items()
            if of is kind
            and (start or "") <= fact.place.moment <= (end or "9999")
            and (after is None or fact.place > after)
        ]
        return sorted(behind, key=lambda fact: fact.place)[:limit]

    async def get(self, kind: type[Model], *ids: str) -> Model | None:
        return next((fact.data for (of, _), fact in self.stored.items() if of is kind and fact.place.ids == ids), None)
