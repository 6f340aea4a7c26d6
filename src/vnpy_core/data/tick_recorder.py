"""HistoryRecorder: the sink that stores live ticks, and the one-minute bars built from them, by way of a spool."""

import asyncio
import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vnpy_core.config.data_settings import HistorySettings
from vnpy_core.data.spool.spool import Spool
from vnpy_core.data.tick_drain import TickDrain
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import Tick, now_timestamp
from vnpy_core.ports import HistoryStore
from vnpy_core.reports import HistoryStatus

_log = logging.getLogger(__name__)

# How long a tick waits for company before it is written to the spool: what a kill -9 can cost.
_LINGER_S = 0.05
_FRAME_TICKS = 250
_RETRY_MAX_S = 30.0
_SPOOL_RETRY_MAX_S = 2.0


class HistoryRecorder:
    """Spool what ``settings`` says is to be recorded, and bring it to the store each ``flush_interval_ms``.

    Two threads of its own: one writes to the spool in ``folder`` within some 50 ms, the other from there to the store.
    While the store fails, ticks wait in the spool, within its limits, also over a restart; each further attempt comes
    after a longer pause. While the spool cannot be written, ``capacity`` ticks wait in memory; then the oldest are
    dropped and counted.

    ``is_live`` tells of a gateway whether its market is one. A replay's is not: its ticks are made of what the store
    has, and would be written over it.
    """

    def __init__(
        self,
        store: HistoryStore,
        settings: HistorySettings,
        folder: Path,
        *,
        capacity: int = 50_000,
        is_live: Callable[[str], bool] = lambda gateway_name: True,
    ) -> None:
        self._settings = settings
        self._capacity = capacity
        self._is_live = is_live
        self._spool = Spool(
            folder,
            max_bytes=settings.spool_mb << 20,
            max_age_s=settings.spool_age_h * 3600,
            segment_bytes=settings.spool_segment_mb << 20,
        )
        self._drain = TickDrain(store, self._spool, ticks=settings.record_ticks, bars=settings.record_bars)
        self._arrived: deque[bytes] = deque()
        self._has_arrived = threading.Event()
        self._run: _Run | None = None
        self._overflowed = self._in_write = 0
        self._details: dict[str, str] = {}
        self._since = now_timestamp()

    @property
    def recording(self) -> bool:
        return self._settings.record_ticks or self._settings.record_bars

    @property
    def healthy(self) -> bool:
        return self.detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy: what the last attempts failed of, and what lies in quarantine."""
        return " ".join(self._details.copy().values()) or None

    @property
    def pending(self) -> int:
        """How many ticks wait to be stored, in memory and in the spool."""
        return self._in_memory() + self._spool.waiting + self._spool.handed

    @property
    def dropped(self) -> int:
        """How many ticks were never stored, because too many waited or for too long."""
        return self._overflowed + self._spool.dropped

    @property
    def refused(self) -> int:
        """How many ticks and bars the store refused for their content; they lie in quarantine."""
        return self._drain.refused

    def status(self) -> HistoryStatus:
        spool, drain = self._spool, self._drain
        moment = spool.oldest
        return HistoryStatus(
            recording=self.recording,
            healthy=self.healthy,
            detail=self.detail,
            since=self._since,
            pending=self.pending,
            in_memory=self._in_memory(),
            spooled=spool.written,
            spool_bytes=spool.bytes,
            spool_segments=spool.segments,
            oldest_age_s=round(max(0.0, time.time() - moment / 1e6), 3) if moment else None,
            stored=drain.stored,
            dropped=self.dropped,
            refused=drain.refused,
            torn=spool.torn,
            damaged=spool.damaged,
        )

    def _in_memory(self) -> int:
        return len(self._arrived) + self._in_write

    def on_events(self, events: Sequence[Event]) -> None:
        """Take note of the ticks among ``events``. On the loop."""
        if self._run is None:
            return
        live: dict[str, bool] = {}
        payloads = []
        for event in events:
            data = event.data
            if isinstance(data, Tick):
                name = data.gateway_name
                if name not in live:
                    live[name] = self._is_live(name)
                if live[name]:
                    payloads.append(event.payload)
        if not payloads:
            return
        arrived = self._arrived
        arrived.extend(payloads)
        with suppress(IndexError):  # the writing thread may have taken them meanwhile
            while len(arrived) > self._capacity:
                arrived.popleft()
                self._overflowed += 1
        if not self._has_arrived.is_set():
            self._has_arrived.set()

    async def start(self) -> None:
        """Begin to record, if anything is to be recorded, and to store what the last run has left."""
        if self._run is None and self.recording:
            self._has_arrived.set()
            self._run = _Run(self._write_for, self._drain_for)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Store what waits, also the bars of the running minute, if that is done in time and at the first attempt.

        What could not be stored waits in the spool for the next start.
        """
        run, self._run = self._run, None
        if run is None:
            return
        run.halt.set()
        self._has_arrived.set()
        await asyncio.to_thread(run.join, timeout_s)
        run.is_abandoned = True
        if self._arrived:
            _log.error("Stopped with %d ticks that are lost: %s", len(self._arrived), self.detail)
        elif self.pending:
            _log.warning("Stopped with %d ticks that wait in %s: %s", self.pending, self._spool.folder, self.detail)

    # -- the thread that writes to the spool

    def _write_for(self, run: "_Run") -> None:
        failures = 0
        while True:
            self._has_arrived.wait()
            run.halt.wait(min(_SPOOL_RETRY_MAX_S, _LINGER_S * 2**failures))
            is_last = run.halt.is_set()
            self._has_arrived.clear()
            try:
                if not run.is_open:
                    self._spool.open(self._drain.read_checkpoint())
                    run.is_open = True
                self._write_arrived()
            except Exception as error:  # noqa: BLE001  the edge of a background thread: the ticks stay, and come again
                failures = min(failures + 1, 16)
                self._tell("spool", _explained(error, self._spool.folder, self._capacity))
                self._has_arrived.set()
            else:
                failures = 0
                self._tell("spool", None)
            if is_last:
                self._spool.close()
                return

    def _write_arrived(self) -> None:
        arrived = self._arrived
        while arrived:
            self._in_write = min(len(arrived), _FRAME_TICKS)
            records: list[bytes] = []
            with suppress(IndexError):  # the loop may have dropped some meanwhile
                while len(records) < self._in_write:
                    records.append(arrived.popleft())
            try:
                if records:
                    self._spool.append(records)
            except BaseException:
                arrived.extendleft(reversed(records))
                raise
            finally:
                self._in_write = 0

    # -- the thread that writes to the store

    def _drain_for(self, run: "_Run") -> None:
        interval_s = self._settings.flush_interval_ms / 1000
        failures = 0
        pause_s = 0.0
        while not run.is_abandoned:
            is_last = run.halt.wait(pause_s)
            if is_last:
                run.writer.join()
            has_more = self._drain_once(run, last=is_last) if run.is_open else False
            failures = min(failures + 1, 16) if has_more is None else 0
            pause_s = 0.0 if has_more else min(interval_s * 2**failures, max(_RETRY_MAX_S, interval_s))
            if is_last and not has_more:
                return

    def _drain_once(self, run: "_Run", *, last: bool) -> bool | None:
        """Bring the next batch to the store, and tell whether there may be more; ``None`` if that failed."""
        detail, has_more = None, False
        try:
            has_more = self._drain.drain(lambda: run.is_abandoned, last=last)
        except CoreError as error:
            detail = error.detail
        except OSError as error:
            detail = f"The spool {self._spool.folder} cannot be read: {error}."
        except Exception as error:  # noqa: BLE001  the edge of a background thread: it must outlive what it is given
            detail = f"{type(error).__name__}: {error}"
            if detail != self._details.get("store"):
                _log.exception("Ticks and bars are not stored, and wait")
        if detail is not None:
            self._spool.expire()
        self._tell("store", detail)
        found = self._spool.quarantine.segments()
        self._tell("damage", _damage(found, self._spool.damaged) if found else None)
        return None if detail is not None else has_more

    # -- either thread

    def _tell(self, part: str, detail: str | None) -> None:
        """Remember what is wrong with a part, or that nothing is."""
        before, was_healthy = self._details.get(part), self.healthy
        if detail == before:
            return
        if detail is None:
            del self._details[part]
            _log.info("History: well again: %s; %d ticks wait", before, self.pending)
        else:
            self._details[part] = detail
            _log.warning("History: %s", detail)
        if was_healthy != self.healthy:
            self._since = now_timestamp()


class _Run:
    """The threads from a start to a stop. ``is_open``: the spool is; ``is_abandoned``: the stop did not wait longer."""

    def __init__(self, write: Callable[["_Run"], None], drain: Callable[["_Run"], None]) -> None:
        self.halt = threading.Event()
        self.is_open = self.is_abandoned = False
        self.writer = threading.Thread(target=write, args=(self,), name="tick-spooler", daemon=True)
        self.drainer = threading.Thread(target=drain, args=(self,), name="tick-drainer", daemon=True)
        self.writer.start()
        self.drainer.start()

    def join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self.writer.join(timeout_s)
        self.drainer.join(max(0.0, deadline - time.monotonic()))


def _explained(error: Exception, folder: Path, capacity: int) -> str:
    wait = f"Ticks wait in memory, {capacity:,} at most."
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk of the spool {folder} is full: free some space. {wait}"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The spool {folder} cannot be written: give this process's user write access to it. {wait}"
    return f"The spool {folder} cannot be written ({error!r}). {wait}"


def _damage(segments: Sequence[Path], records: int) -> str:
    where = f"{len(segments)} damaged files of the spool lie in {segments[0].parent}"
    return f"{where}; {records:,} ticks could not be read since the start. Look at them, and remove them."
