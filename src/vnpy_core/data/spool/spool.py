"""Spool: a queue of records in files, written by one thread and read by another, that outlives the process.

What ``append`` has returned for survives a ``kill -9``, not a power cut. Records come out in the order they went in,
each at least once: after a crash again those whose batch was not reported as ``done``, or whose position was not kept.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import msgspec

from vnpy_core.data.spool.frames import SEGMENT_HEAD, frames_in, pack, scan, segment_head
from vnpy_core.data.spool.quarantine import Quarantine

_log = logging.getLogger(__name__)

_SUFFIX = ".segment"
_READ_BYTES = 4 << 20
# While so many segments wait, nobody reads what is written in a long time: it may cost something to make it small.
_PACK_FROM = 2
# An open segment that few records go into is ended all the same, so that its age can be told.
_AGE_PARTS = 10


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the spool: a segment's number, and the offset of a frame in it."""

    segment: int = 0
    offset: int = 0


class Batch(msgspec.Struct, frozen=True):
    """Records in their order; ``parts`` are some each, with a line break between them. ``end`` is where they end.

    ``run`` names the run of the program that wrote them, and ``moment`` when it wrote the last, in microseconds.
    """

    parts: list[bytes]
    count: int
    run: int
    moment: int
    end: Position


class _Segment(msgspec.Struct, eq=False):
    number: int
    path: Path
    run: int | None
    size: int
    records: int
    first: int
    last: int
    taken: int = 0
    is_damaged: bool = False


class Spool:
    """``append`` and ``close`` on one thread, ``take``, ``done`` and ``expire`` on another; the numbers on any.

    ``written``: records since it was made. ``bytes``, ``segments``: what lies on the disk. ``waiting``: records that
    were not yet taken; ``handed``: those that were, and are not done. ``oldest``: when the first of both was written,
    in microseconds. ``dropped``: those that went because of the limits. ``torn``: those of a write that a crash cut
    off. ``damaged``: those, as far as it is known how many, that could not be read. A record that moves on is counted
    in the new place before it is not in the old one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        segment_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.quarantine = Quarantine(folder / "quarantine", max_bytes)
        self.written = self.bytes = self.segments = self.waiting = self.handed = 0
        self.dropped = self.torn = self.damaged = 0
        self.oldest = 0
        self._max_bytes = max_bytes
        self._max_age = int(max_age_s * 1e6)
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._clock = clock
        self._lock = Lock()
        self._segments: deque[_Segment] = deque()
        self._active: _Segment | None = None
        self._file = -1
        self._run = self._next_number = 1
        self._position = Position()

    def open(self, position: Position) -> None:
        """Find what is there and go on after ``position``; what a crash cut off is cut off whole, and counted.

        Raises:
            OSError: the folder cannot be made, read or written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = sorted(int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        found = [self._found(number, position) for number in numbers if number >= position.segment]
        for number in numbers:
            if number < position.segment:
                self._path(number).unlink(missing_ok=True)
        with self._lock:
            self._segments = deque(segment for segment in found if segment is not None)
            self._run = self._next_number = max([position.segment, *numbers]) + 1
            is_known = any(segment.number == position.segment and segment.taken for segment in self._segments)
            self._position = position if is_known else Position(position.segment)
            self.handed = self.oldest = 0
            self.waiting = sum(segment.records - segment.taken for segment in self._segments)
            self._measure()

    def append(self, records: Sequence[bytes]) -> None:
        """Write ``records``, all or none; at least one, and none with a line break in it.

        If that is beyond the limit, the oldest segments are dropped.

        Raises:
            OSError: they could not be written.
        """
        now = int(self._clock() * 1e6)
        head, body = pack(records, now, packed=self.segments > _PACK_FROM)
        size = len(head) + len(body)
        segment = self._segment_for(size, now)
        try:
            _write_whole(self._file, head, body)
        except OSError:
            self._take_back(segment)
            raise
        with self._lock:
            segment.size += size
            segment.records += len(records)
            segment.first = segment.first or now
            segment.last = now
            self.bytes += size
            self.written += len(records)
            self.oldest = self.oldest if self.waiting or self.handed else now
            self.waiting += len(records)

    def take(self, limit: int) -> Batch | None:
        """Return the next records, of one segment and some ``limit``, or ``None`` if there are none.

        Raises:
            OSError: they cannot be read now.
        """
        while (segment := self._reached()) is not None:
            with self._lock:
                end, is_active = segment.size, segment is self._active
            if self._position.offset < end:
                batch = self._read(segment, end, limit)
                if batch is not None:
                    return batch
            elif is_active:
                return None
            else:
                self._remove(segment)
        return None

    def done(self, batch: Batch) -> None:
        """Remove the segments before the end of ``batch``, which was the last that was taken."""
        with self._lock:
            self.handed = 0
            self.oldest = max(self.oldest, batch.moment) if self.waiting else 0
        while (segment := self._first()) is not None and segment.number < batch.end.segment:
            self._remove(segment)

    def expire(self) -> None:
        """Drop the segments that are older than the limit. To be called while they cannot be delivered."""
        self._drop(0, int(self._clock() * 1e6) - self._max_age)

    def close(self) -> None:
        with self._lock:
            self._end_active()

    # -- the writing thread

    def _segment_for(self, size: int, now: int) -> _Segment:
        """Return the segment to write to, a new one if the present one is full or old."""
        self._drop(size, 0)
        with self._lock:
            active = self._active
            if active is not None and not active.is_damaged:
                is_full = active.records > 0 and active.size + size > self._segment_bytes
                if not is_full and now - (active.first or now) <= self._max_age // _AGE_PARTS:
                    return active
            self._end_active()
        return self._begin()

    def _begin(self) -> _Segment:
        number = self._next_number
        path = self._path(number)
        head = segment_head(self._run)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_whole(file, head)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        segment = _Segment(number, path, self._run, len(head), 0, 0, 0)
        with self._lock:
            self._file, self._active, self._next_number = file, segment, number + 1
            self._segments.append(segment)
            self._measure()
        return segment

    def _take_back(self, segment: _Segment) -> None:
        """Cut off what was written of a frame before the writing failed."""
        try:
            os.ftruncate(self._file, segment.size)
        except OSError:
            with self._lock:
                self._end_active()

    def _end_active(self) -> None:
        if self._active is not None:
            os.close(self._file)
            self._active, self._file = None, -1

    # -- the reading thread

    def _first(self) -> _Segment | None:
        with self._lock:
            return self._segments[0] if self._segments else None

    def _reached(self) -> _Segment | None:
        """Return the segment that is read now, and go to its begin if it is another one than before."""
        with self._lock:
            while self._segments and self._segments[0].number < self._position.segment:
                self._forget(self._segments[0])
            if not self._segments:
                return None
            segment = self._segments[0]
            if self._position < (begin := Position(segment.number, SEGMENT_HEAD.size)):
                self._position = begin
            return segment

    def _read(self, segment: _Segment, end: int, limit: int) -> Batch | None:
        """Return what follows, or ``None`` after something that was damaged."""
        start = self._position.offset
        try:
            content = b"" if segment.run is None else _read_part(segment.path, start, end)
        except FileNotFoundError:
            content = b""
        parts: list[bytes] = []
        count, moment, lost, offset = 0, 0, 0, start
        for frame, body in frames_in(content, start):
            offset, moment = frame.end, frame.moment
            if body is None:
                lost += frame.count
                continue
            parts.append(body)
            count += frame.count
            if count >= limit:
                break
        with self._lock:
            if segment not in self._segments:
                return None  # dropped meanwhile, and counted
            if offset == start:  # no head: the rest cannot be told apart
                lost, offset = segment.records - segment.taken, end
                segment.is_damaged = True
            segment.is_damaged |= lost > 0
            segment.taken += count + lost
            self.handed = count
            self.waiting -= count + lost
            self.damaged += lost
            self._position = Position(segment.number, offset)
        if not parts:
            return None
        return Batch(parts, count, segment.run or 0, moment, self._position)

    def _remove(self, segment: _Segment) -> None:
        """Remove a segment that was read to its end; one that was damaged is put aside instead."""
        with self._lock:
            if segment not in self._segments:
                return
            self._forget(segment)
            self._position = max(self._position, Position(segment.number + 1, 0))
        if segment.is_damaged:
            _log.error("The segment %s is damaged and was put aside", segment.path)
            self.quarantine.move(segment.path)
        else:
            _unlink(segment.path)

    # -- either thread

    def _drop(self, size: int, oldest: int) -> None:
        """Drop the first segments until there is room for ``size``, and the first one is not from before ``oldest``."""
        while True:
            with self._lock:
                if not self._segments or self._segments[0] is self._active:
                    return
                segment = self._segments[0]
                is_old = segment.last < oldest
                if self.bytes + size <= self._max_bytes and not is_old:
                    return
                left = segment.records - segment.taken
                self._forget(segment)
                self.dropped += left
            _unlink(segment.path)
            if left:
                why = "is too old" if is_old else "was the oldest when the spool was full"
                _log.warning("%s %s: %d records of it are dropped", segment.path, why, left)

    def _forget(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        self.waiting -= segment.records - segment.taken
        self._measure()

    def _measure(self) -> None:
        self.bytes = sum(segment.size for segment in self._segments)
        self.segments = len(self._segments)
        has_any = self.waiting or self.handed
        self.oldest = max(self.oldest, self._segments[0].first) if has_any and self._segments else 0

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012}{_SUFFIX}"

    def _found(self, number: int, position: Position) -> _Segment | None:
        path = self._path(number)
        found = scan(path)
        if found.is_cut:
            os.truncate(path, found.size)
            self.torn += found.torn
            _log.warning("%s was cut off in the middle of a write: %d records are lost", path, found.torn)
        if found.size <= SEGMENT_HEAD.size:
            path.unlink()  # nothing in it, or the crash came before the first record
            return None
        frames = found.frames
        first, last = (frames[0].moment, frames[-1].moment) if frames else (0, int(path.stat().st_mtime * 1e6))
        taken = 0
        if number == position.segment and any(frame.end == position.offset for frame in frames):
            taken = sum(frame.count for frame in frames if frame.end <= position.offset)
        return _Segment(number, path, found.run, found.size, sum(frame.count for frame in frames), first, last, taken)


def _write_whole(file: int, *parts: bytes) -> None:
    written = os.writev(file, parts)
    if written < sum(map(len, parts)):
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(file, rest) :]


def _read_part(path: Path, start: int, end: int) -> bytes:
    """Return what is in the file from ``start`` on: a good part, but at least one frame if there is one."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(min(end - start, _READ_BYTES))
        if len(content) < end - start and next(frames_in(content, start), None) is None:
            content += file.read(end - start - len(content))
        return content


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s could not be removed: %s", path, error)
