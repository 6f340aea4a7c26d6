"""The ports: what an adapter promises. Each has one contract suite in tests/contracts, run over every adapter."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.enums import Exchange, Interval
from vnpy_core.models import HistoryOverview, ServiceInstance

Columns = Mapping[str, NDArray[np.generic]]

BAR_COLUMNS: tuple[str, ...] = (
    "open_price", "high_price", "low_price", "close_price", "volume", "turnover", "open_interest",
)  # fmt: skip

TICK_COLUMNS: tuple[str, ...] = (
    "volume", "turnover", "open_interest", "last_price", "last_volume", "limit_up", "limit_down",
    "open_price", "high_price", "low_price", "pre_close",
    *(f"{side}_{what}_{level}" for what in ("price", "volume") for side in ("bid", "ask") for level in range(1, 6)),
)  # fmt: skip


class Series(msgspec.Struct, frozen=True):
    """A run of bars or, with ``interval`` TICK, of ticks, of one symbol.

    ``columns``: ``datetime``, int64 microseconds since the epoch, UTC; then ``BAR_COLUMNS`` or ``TICK_COLUMNS`` as
    float64 (NaN: not known). All of one length. Ticks also carry ``localtime`` (int64 microseconds, or the smallest
    int64 when not known). Rows are ascending in time when loaded; in any order when saved. ``name`` is the
    instrument's; it belongs to the series, not to a row: the last one that is not empty is kept.
    """

    symbol: str
    exchange: Exchange
    interval: Interval
    columns: Columns
    name: str = ""

    def __len__(self) -> int:
        return len(self.columns["datetime"])


class HistoryStore(Protocol):
    """Bars and ticks, for ever. Every method blocks, and may be called from any thread.

    A row is identified by symbol, exchange, interval and datetime; saving one again replaces it. Within one ``save``
    the last row of the same identity wins.

    Raises:
        Unavailable: the store cannot be reached, or is full; nothing was half-written.
    """

    def save(self, batch: Iterable[Series]) -> int:
        """Write all rows of all series, or none, and return how many rows were given. Never changes ``batch``.

        ``batch`` may be a generator that gives a large series in parts; no more than a few parts are held in memory,
        and if it raises, nothing is written.
        """
        ...

    def load(
        self,
        symbol: str,
        exchange: Exchange,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> Series:
        """Return the rows with ``start <= datetime <= end`` (aware, any zone), ascending.

        ``limit`` keeps the first rows of the range, or with ``newest`` the last ones.
        """
        ...

    def bars_from_ticks(
        self,
        symbol: str,
        exchange: Exchange,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> Series:
        """Return bars of one minute or hour, made of the stored ticks with ``start <= datetime <= end``, ascending.

        They follow the rules of ``data.bar_builder``, going on from the last tick before the range. ``limit`` keeps
        the first bars, or with ``newest`` the last ones. Nothing is stored.

        Raises:
            Invalid: another interval.
        """
        ...

    def delete(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        """Delete the series and return how many rows it had."""
        ...

    def overview(self) -> list[HistoryOverview]:
        """Return what is stored, sorted by vt_symbol and interval."""
        ...

    def close(self) -> None: ...


class StateCache(Protocol):
    """The latest value of each key, outside the process, for whoever wants it; forgotten ``ttl_s`` after its write.

    A cache has one writer at a time for each ``writer`` name, and may lose everything at any moment: it is flushed,
    restarted, or taken back to an older state. ``begin`` opens a new run of the writer, and ``write`` goes on with it
    only while the cache holds all that the run has written. Loop only.

    Raises:
        Unavailable: the cache cannot be reached, does not take it, or has not answered in time. Every method ends in
            time. A write that raised may have been done all the same; one that is done late, after a later write of
            the same writer, changes nothing.
    """

    async def begin(self) -> None:
        """Open a new run. What earlier ones have written stays until it is forgotten or written again."""
        ...

    async def write(self, values: Mapping[str, bytes]) -> bool:
        """Store all of ``values``, or none and return ``False``: then the run is over, and all must be written again.

        With no values it only asks whether the run goes on. After a write that raised, the next one goes on whether
        that one was done or not; so it must bring its values again.
        """
        ...

    async def renew(self, keys: Collection[str]) -> list[str]:
        """Keep ``keys`` for another ``ttl_s``, and return those that are not there."""
        ...

    async def read(self, key: str) -> bytes | None: ...

    async def close(self) -> None: ...


class RegistryBackend(Protocol):
    """Where services list themselves, and find each other. Loop only.

    An instance is identified by name, host and port. It is listed until ``ttl_s`` after its last ``put``, or until it
    is removed.

    Raises:
        Unavailable: the registry cannot be reached, or has not answered in time. Every method ends in time. What
            raised may have been done all the same.
    """

    async def put(self, instance: ServiceInstance, ttl_s: float) -> None:
        """List ``instance``, or replace what is listed of it."""
        ...

    async def remove(self, instance: ServiceInstance) -> None:
        """Take ``instance`` off the list, if it is on it."""
        ...

    async def instances(self) -> list[ServiceInstance]:
        """Return all that are listed, of any name, sorted by name, host and port.

        Others write entries too: what is missing in one is given its default, and what makes no sense is left out.
        """
        ...

    async def close(self) -> None: ...


class BusFact(msgspec.Struct, frozen=True, gc=False):
    """A fact for the bus: ``body`` is its event as ``/ws`` sends it.

    ``id`` is ``<source>-<seq>-<checksum of body>``, where ``source`` names the journal.
    """

    id: str
    seq: int
    topic: str
    body: bytes


class BusMessage(msgspec.Struct, frozen=True, gc=False):
    """Market data or a line of the log for the bus: ``body`` is its event as ``/ws`` sends it."""

    topic: str
    body: bytes


class BusCommand(msgspec.Struct, frozen=True):
    """What another service asks for. ``topic`` begins with ``command.``; ``token`` is the transport's own."""

    topic: str
    body: bytes
    signature: str
    reply_to: str
    token: Any = None


class BusTransport(Protocol):
    """The way to other services: facts and market data out, commands in. Loop only.

    A message travels under the subject, or in the stream, ``<prefix>.<topic>``; a fact with its id beside it. To a
    consumer who passes over ids that he has seen, each fact comes once, and those of a topic in the order of ``seq``.

    Methods connect when they have to, and what failed is repeated by nobody but the caller.

    Raises:
        Unavailable: the server cannot be reached, refuses, or has not answered in time; every method ends in time.
            What raised may have been done all the same, also later, by a server that was frozen.
    """

    kind: str
    address: str

    async def stored(self, source: str) -> str | None:
        """Return the id of the last fact of ``source`` that the server has taken in, empty if it has never had one.

        ``None``: it cannot say; then what the caller remembers counts. To be asked before the first ``store``, and
        again after one that raised: a server may come back with less than it had acknowledged.
        """
        ...

    async def store(self, source: str, facts: Sequence[BusFact]) -> None:
        """Return when the server has all ``facts`` of ``source``, ascending by ``seq``, also for consumers to come.

        Raises:
            DataRejected: one of them is larger than the server takes; none was stored.
        """
        ...

    async def send(self, messages: Sequence[BusMessage]) -> None:
        """Hand over ``messages`` for whoever listens now, without waiting until the server has them.

        With none, see that the server is there.
        """
        ...

    async def listen(self) -> AsyncGenerator[BusCommand, None]:
        """Return what others send under ``command.…`` from now on; each to one of the processes that share the prefix.

        It ends by Unavailable when the connection is lost. What is sent while nobody listens, or was not answered by a
        process that died, may come later, or never.
        """
        ...

    async def answer(self, command: BusCommand, body: bytes) -> None:
        """Send ``body`` to where the command wants its answer, and be done with it.

        Nothing is sent if it wants none, or wants it where events or other programs' messages travel.
        """
        ...

    async def close(self) -> None:
        """Let go of the server, without waiting for one that does not answer."""
        ...
