"""How much may be asked: token buckets for requests, and the lock of an account whose password is being guessed."""

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum

from vnpy_core.errors import TooManyRequests

# Accounts and addresses that are remembered; the oldest are forgotten first.
_REMEMBERED = 20_000
_BURST_S = 2.0


class LimitClass(IntEnum):
    """What is counted together."""

    READS = 0
    WRITES = 1
    ORDERS = 2
    # Cancels, halt and kill switch: whoever has sent too much must still be able to take it back.
    STOPS = 3


class Bucket:
    """Fills at ``rate`` a second up to ``size``; each request takes one."""

    __slots__ = ("_at", "_level", "rate", "size")

    def __init__(self, rate: float, size: float) -> None:
        self.rate = rate
        self.size = size
        self._level = size
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take one, and return 0; or return after how many seconds there will be one."""
        level = self._level + (now - self._at) * self.rate
        if level > self.size:
            level = self.size
        self._at = now
        if level < 1.0:
            self._level = level
            return (1.0 - level) / self.rate
        self._level = level - 1.0
        return 0.0

    def take_more(self, now: float, count: int) -> float:
        """Take ``count`` more for a request that has taken one, and return 0; or return how long to wait.

        A bucket that was full is enough for any number; what it did not hold is missing later.
        """
        level = min(self._level + (now - self._at) * self.rate, self.size)
        self._at = now
        self._level = level
        missing = min(count, self.size - 1.0) - level
        if missing > 0:
            return missing / self.rate
        self._level = level - count
        return 0.0


class Buckets:
    """The buckets of each key, made when they are needed."""

    def __init__(self, make: Callable[[], list[Bucket]]) -> None:
        self._make = make
        self._known: OrderedDict[str, list[Bucket]] = OrderedDict()

    def of(self, key: str) -> list[Bucket]:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make()
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found


def bucket(per_s: float) -> Bucket:
    """Return a bucket that lets through ``per_s`` for ever, and twice as many at once."""
    return Bucket(per_s, max(1.0, per_s * _BURST_S))


class Lockout:
    """Counts wrong passwords in a row by account, whether it exists or not. Loop only.

    ``attempts`` of them lock the account for ``duration_s``; then one more is free, and locks it again.
    """

    def __init__(self, attempts: int, duration_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = attempts
        self._duration_s = duration_s
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def require_open(self, account: str) -> None:
        """Raises: TooManyRequests while the account is locked."""
        failures, last = self._failures.get(account, (0, 0.0))
        left_s = last + self._duration_s - self._clock()
        if failures >= self._attempts and left_s > 0:
            raise TooManyRequests(
                "Too many wrong passwords; the account is locked for a while.",
                retry_after_s=left_s,
                code="account_locked",
            )

    def failed(self, account: str) -> None:
        now = self._clock()
        failures, last = self._failures.pop(account, (0, now))
        if failures < self._attempts and now - last > self._duration_s:
            failures = 0
        self._failures[account] = failures + 1, now
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, account: str) -> None:
        self._failures.pop(account, None)
