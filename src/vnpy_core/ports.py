"""The ports: what an adapter promises. Each has one contract suite in tests/contracts, run over every adapter."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.enums import Exchange, Interval
from vnpy_core.models import HistoryOverview

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

    def delete(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        """Delete the series and return how many rows it had."""
        ...

    def overview(self) -> list[HistoryOverview]:
        """Return what is stored, sorted by vt_symbol and interval."""
        ...

    def close(self) -> None: ...
