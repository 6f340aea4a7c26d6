"""MessageGate: what strategies send by ``send_email`` and ``send_notification``, at a rate that harms nobody."""

import threading
import time
from collections.abc import Callable

_MOST_SENDERS = 500
_OTHERS = "…"
_MOST_LETTERS = 10_000


class _Bucket:
    __slots__ = ("at", "left_out", "tokens")

    def __init__(self, at: float, tokens: float) -> None:
        self.at = at
        self.tokens = tokens
        self.left_out = 0


class MessageGate:
    """``offer_threadsafe`` is called where the strategy runs, and costs it a few microseconds.

    ``pass_on`` is given sender and text of each message that may go; it is called on that same thread, and must not
    wait. What is beyond ``per_min`` of one sender is counted; the next message that may go says how many there were.
    """

    def __init__(
        self, pass_on: Callable[[str, str], None], per_min: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pass_on = pass_on
        self._per_min = per_min
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def offer_threadsafe(self, sender: str, text: str) -> None:
        with self._lock:
            sender = sender[:128]
            if sender not in self._buckets and len(self._buckets) >= _MOST_SENDERS:
                sender = _OTHERS
            bucket = self._buckets.setdefault(sender, _Bucket(self._clock(), self._per_min))
            may_go = self._take(bucket)
            left_out = bucket.left_out if may_go else 0
            bucket.left_out = 0 if may_go else bucket.left_out + 1
        if may_go:
            self._pass_on(sender, _with_count(text[:_MOST_LETTERS], left_out))

    def flush(self) -> None:
        """Tell of what was left out, where that may be told by now. To be called once in a while."""
        told = []
        with self._lock:
            for sender, bucket in self._buckets.items():
                if bucket.left_out and self._take(bucket):
                    told.append((sender, bucket.left_out))
                    bucket.left_out = 0
        for sender, left_out in told:
            self._pass_on(sender, _with_count("", left_out))

    def _take(self, bucket: _Bucket) -> bool:
        now = self._clock()
        bucket.tokens = min(float(self._per_min), bucket.tokens + (now - bucket.at) * self._per_min / 60.0)
        bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


def _with_count(text: str, left_out: int) -> str:
    return f"{text}\n(+{left_out})".lstrip() if left_out else text
