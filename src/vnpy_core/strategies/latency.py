"""LatencySketch: quantiles of durations, in memory that does not grow with their number; sketches can be added up.

The buckets grow by 2 %, so that a quantile is at most 1 % off (as in DDSketch, Masson et al., VLDB 2019).
"""

import math
from collections.abc import Iterable

_GROWTH = math.log(1.02)
_LEAST_S = 1e-6


class LatencySketch:
    """Durations in seconds; less than a microsecond, or negative, counts as none at all."""

    __slots__ = ("_buckets", "count", "longest_s", "total_s")

    def __init__(self) -> None:
        self._buckets: dict[int | None, int] = {}
        self.count = 0
        self.total_s = 0.0
        self.longest_s = 0.0

    def add(self, duration_s: float) -> None:
        bucket = math.ceil(math.log(duration_s) / _GROWTH) if duration_s > _LEAST_S else None
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total_s += max(0.0, duration_s)
        self.longest_s = max(self.longest_s, duration_s)

    def merge(self, other: "LatencySketch") -> None:
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.total_s += other.total_s
        self.longest_s = max(self.longest_s, other.longest_s)

    def quantile_s(self, share: float) -> float:
        """Return the duration that ``share`` of them do not exceed; there must be one."""
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for bucket in sorted(self._buckets, key=lambda each: -math.inf if each is None else each):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return 0.0 if bucket is None else 2 * math.exp(bucket * _GROWTH) / (1 + math.exp(_GROWTH))
        raise ValueError("an empty sketch has no quantiles")

    @classmethod
    def sum_of(cls, sketches: Iterable["LatencySketch"]) -> "LatencySketch":
        total = cls()
        for sketch in sketches:
            total.merge(sketch)
        return total
