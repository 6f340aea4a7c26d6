"""Instruments: histograms that cost an increment where something is measured, and are read when somebody asks."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

# Of what takes micro- to milliseconds inside the process, and of what crosses a disk, a network or a venue.
QUICK_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SLOW_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Reading(msgspec.Struct, frozen=True):
    """A histogram at one moment. ``cumulative``: how many were at most each of ``bounds``, and at last all of them."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        return self.cumulative[-1]

    def plus(self, other: "Reading") -> "Reading":
        """Return both together, of the same bounds."""
        cumulative = tuple(mine + its for mine, its in zip(self.cumulative, other.cumulative, strict=True))
        return Reading(self.bounds, cumulative, self.sum + other.sum)


class Histogram:
    """Values, mostly seconds, counted by bucket. One thread observes; any may read, and sees a moment of it."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float] = QUICK_S) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> Reading:
        total, cumulative = 0, []
        for count in self._counts[:]:
            total += count
            cumulative.append(total)
        return Reading(self._bounds, tuple(cumulative), self._sum)
