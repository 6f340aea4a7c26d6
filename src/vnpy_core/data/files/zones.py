"""Wall times of a zone to UTC, by column: what its clocks showed, and which of it is no single moment."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from vnpy_core.data.history.series import Int64s

_DAY_S = 86_400
_SECOND = 1_000_000


class Shift(msgspec.Struct, frozen=True):
    """A change of a zone's UTC offset: microseconds since the epoch, and the offsets before and after."""

    at: int
    before: int
    after: int

    @property
    def doubtful(self) -> tuple[int, int]:
        """The wall times, as if they were UTC, from the one up to the other, that were never or twice."""
        return self.at + min(self.before, self.after), self.at + max(self.before, self.after)

    @property
    def skipped(self) -> bool:
        return self.after > self.before


class WallClock:
    """A zone's clocks between two wall times, given in microseconds as if they were UTC."""

    def __init__(self, zone: ZoneInfo, first: int, last: int) -> None:
        self._zone = zone
        start, end = first // _SECOND - 2 * _DAY_S, last // _SECOND + 2 * _DAY_S
        self._begin = self._offset(start)
        self.shifts: list[Shift] = []
        before = self._begin
        # A zone changes its offset at most once a day.
        for day in range(start, end, _DAY_S):
            after = self._offset(day + _DAY_S)
            if after != before:
                self.shifts.append(Shift(self._change(day, day + _DAY_S) * _SECOND, before, after))
                before = after

    def to_utc(self, wall: Int64s) -> Int64s:
        """Return UTC microseconds; a wall time that was twice is taken as the first of both."""
        edges = np.array([shift.at + max(shift.before, shift.after) for shift in self.shifts], np.int64)
        offsets = np.array([self._begin, *(shift.after for shift in self.shifts)], np.int64)
        converted: Int64s = wall - offsets[np.searchsorted(edges, wall, side="right")]
        return converted

    def _change(self, low: int, high: int) -> int:
        before = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == before else (low, middle)
        return high

    def _offset(self, second: int) -> int:
        offset = datetime.fromtimestamp(second, self._zone).utcoffset()
        return 0 if offset is None else round(offset.total_seconds()) * _SECOND
