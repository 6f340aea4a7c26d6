"""TickDrain: takes ticks out of the spool and brings them, and the bars built from them, into the history store."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from vnpy_core.data.bar_builder import BarBuilder, MinuteBar, SymbolState, bar_series, minute_bar
from vnpy_core.data.history.series import to_moment
from vnpy_core.data.spool.spool import Batch, Position, Spool
from vnpy_core.data.tick_series import TimedTick, tick_series
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import CoreError, DataRejected
from vnpy_core.models import Tick
from vnpy_core.ports import HistoryStore

_log = logging.getLogger(__name__)

_BATCH_TICKS = 10_000
_Row = TimedTick | MinuteBar


class Checkpoint(msgspec.Struct):
    """How far the spool is drained, and what the builder of bars knew there: a new run goes on from it."""

    segment: int = 0
    offset: int = 0
    run: int = 0
    bars: list[SymbolState] = []

    @property
    def position(self) -> Position:
        return Position(self.segment, self.offset)


class TickDrain:
    """One thread. What was taken and could not be stored stays in hand and is tried again, before anything else.

    ``stored``, ``refused``: ticks and bars that the store took, and refused for their content, since the start.
    """

    def __init__(self, store: HistoryStore, spool: Spool, *, ticks: bool, bars: bool) -> None:
        self.stored = self.refused = 0
        self._store = store
        self._spool = spool
        self._keeps_ticks = ticks
        self._keeps_bars = bars
        self._builder: BarBuilder | None = None
        self._path = spool.folder / "drained.json"
        self._decoder = msgspec.json.Decoder(Tick)
        self._rows: list[list[_Row]] = []
        self._batch: Batch | None = None
        self._checkpoint = Checkpoint()
        self._written = b""

    def read_checkpoint(self) -> Position:
        """Return where the last run ended, and be as it was there. Nothing may be drained meanwhile."""
        self._rows, self._batch = [], None
        self._checkpoint = Checkpoint()
        try:
            self._checkpoint = msgspec.json.decode(self._path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("%s cannot be read, all that is in the spool is stored again: %s", self._path, error)
        if self._keeps_bars:
            self._builder = BarBuilder(self._stored_bar)
            self._builder.restore(self._checkpoint.bars, time.monotonic())
        return self._checkpoint.position

    def drain(self, is_abandoned: Callable[[], bool], *, last: bool = False) -> bool:
        """Store the next batch and tell whether there may be more; or else the bars that are due, with ``last`` all.

        Raises:
            CoreError: the store does not take it now.
            OSError: the spool cannot be read now.
        """
        if self._rows or self._take():
            self._save_rows(is_abandoned)
            return not is_abandoned()
        if self._builder is not None and (due := self._builder.finish(time.monotonic(), everything=last)):
            self._rows = [list(due)]
            self._save_rows(is_abandoned)
        return False

    def _take(self) -> bool:
        """Put the next ticks and the bars that they complete in hand, if there are any."""
        batch = self._spool.take(_BATCH_TICKS)
        if batch is None:
            return False
        if self._builder is not None and batch.run != self._checkpoint.run:
            self._builder.pause()
        self._batch = batch
        rows: list[_Row] = []
        now = time.monotonic()
        for part in batch.parts:
            for tick in self._ticks_of(part):
                if self._keeps_ticks:
                    rows.append(tick)
                if self._builder is not None and (bar := self._builder.update(tick.tick, tick.time, now)) is not None:
                    rows.append(bar)
        self._rows = [rows]
        return True

    def _ticks_of(self, part: bytes) -> Iterable[TimedTick]:
        for record in part.split(b"\n"):
            try:
                yield TimedTick.of(self._decoder.decode(record))
            except ValueError as error:  # also msgspec's
                self._refuse(record, f"It is no tick: {error}")

    def _save_rows(self, is_abandoned: Callable[[], bool]) -> None:
        """Store what is in hand; of what is refused for its content, halves, until the cause is alone."""
        while self._rows:
            rows = self._rows.pop()
            try:
                self._save(rows)
                self.stored += len(rows)
            except Exception as error:
                if isinstance(error, CoreError) and not isinstance(error, DataRejected):
                    self._rows.append(rows)
                    raise
                if is_abandoned():
                    return
                if len(rows) > 1:
                    middle = len(rows) // 2
                    self._rows += [rows[middle:], rows[:middle]]
                    continue
                self._refuse(msgspec.json.encode(_plain(rows[0])), _text(error))
        if not is_abandoned():
            self._keep_checkpoint()

    def _save(self, rows: Sequence[_Row]) -> None:
        ticks = [row for row in rows if isinstance(row, TimedTick)]
        bars = [row for row in rows if isinstance(row, MinuteBar)]
        if rows:
            self._store.save([*tick_series(ticks), *bar_series(bars)])

    def _refuse(self, record: bytes, reason: str) -> None:
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # the first, the second, the fourth …
            _log.error("%d ticks or bars were refused so far; the last one because of: %s", self.refused, reason)
        self._spool.quarantine.refuse(record, reason)

    def _keep_checkpoint(self) -> None:
        """Say how far it is. If the disk is full, the segments that are done go first, and make room."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._checkpoint.segment, self._checkpoint.offset = batch.end.segment, batch.end.offset
            self._checkpoint.run = batch.run
        if self._builder is not None:
            self._checkpoint.bars = self._builder.state()
        content = msgspec.json.encode(self._checkpoint)
        if content != self._written:
            is_written = _replace(self._path, content)
            if not is_written and batch is not None:
                self._spool.done(batch)
                is_written = _replace(self._path, content)
            self._written = content if is_written else b""
        if batch is not None:
            self._spool.done(batch)

    def _stored_bar(self, symbol: str, exchange: Exchange, minute: int) -> MinuteBar | None:
        moment = to_moment(minute)
        end = moment + timedelta(seconds=59)
        try:
            return minute_bar(self._store.load(symbol, exchange, Interval.MINUTE, moment, end, limit=1))
        except CoreError as error:
            _log.warning("The bar of %s at %s may be incomplete: %s", symbol, moment, error)
            return None


def _plain(row: _Row) -> Tick | MinuteBar:
    return row.tick if isinstance(row, TimedTick) else row


def _text(error: Exception) -> str:
    return error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"


def _replace(path: Path, content: bytes) -> bool:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        return False
    return True
