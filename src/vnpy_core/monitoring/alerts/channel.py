"""Channel: one way out, on a thread of its own. Whatever becomes of it there, nobody else waits."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from zoneinfo import ZoneInfo

import msgspec

from vnpy_core.config.alert_settings import ChannelSettings, Language
from vnpy_core.models import now_timestamp
from vnpy_core.monitoring.alerts.texts import Message, Notice, message_of, test_message
from vnpy_core.reports import ChannelStatus

_LONGEST_PAUSE_S = 60.0
_HUNG_AFTER = 3.0  # times timeout_s

Sender = Callable[[Message], None]

logger = logging.getLogger(__name__)


class DeliveryFailed(Exception):
    """The message was not taken; the text says why, and names neither address nor secret."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of some notices. ``reason``: why they were given up."""

    channel: str
    notices: Sequence[Notice]
    reason: str | None = None


class _Waiting(msgspec.Struct):
    notice: Notice
    since: float


class Channel:
    """``offer``, ``test`` and ``status`` never wait, and may be called from any thread; ``on_outcome`` is called on the
    channel's own.

    What comes within ``group_s``, or while the rate is used up or the channel fails, shares a message. At most
    ``queue`` notices wait; of more the oldest is given up.
    """

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        make_sender: Callable[[ChannelSettings], Sender],
        on_outcome: Callable[[Outcome], None],
        *,
        language: Language = "en",
        source: str = "",
        zone: ZoneInfo | None = None,
        group_s: float = 0.0,
    ) -> None:
        self.name = name
        self.settings = settings
        self._make_sender = make_sender
        self._on_outcome = on_outcome
        self._language: Language = settings.language or language
        self._source = source
        self._zone = zone or ZoneInfo("UTC")
        self._group_s = group_s
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._tests: deque[Future[str | None]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True)
        self._not_before = 0.0
        self._pause_s = settings.retry_s
        self._busy_since: float | None = None
        self._failing_since: str | None = None
        self._reason: str | None = None
        self._sent = self._delivered = self._given_up = 0

    def open(self) -> None:
        self._thread.start()

    def offer(self, notice: Notice) -> None:
        """Have ``notice`` delivered, sooner or later."""
        dropped: Notice | None = None
        with self._condition:
            if len(self._queue) >= self.settings.queue:
                dropped = self._queue.popleft().notice
                self._given_up += 1
            self._queue.append(_Waiting(notice, time.monotonic()))
            self._condition.notify()
        if dropped is not None:
            self._on_outcome(Outcome(self.name, (dropped,), "too many waited"))

    def test(self) -> "Future[str | None]":
        """Send a test message, ahead of all that waits; the result is why it was not taken, or ``None``."""
        future: Future[str | None] = Future()
        with self._condition:
            self._tests.append(future)
            self._condition.notify()
        return future

    def status(self) -> ChannelStatus:
        busy_since = self._busy_since
        hangs = busy_since is not None and time.monotonic() - busy_since > _HUNG_AFTER * self.settings.timeout_s
        return ChannelStatus(
            name=self.name,
            kind=self.settings.url.get_secret_value().partition(":")[0][:32],
            min_severity=self.settings.min_severity,
            healthy=self._failing_since is None and not hangs,
            detail="It does not answer." if hangs else self._reason,
            since=self._failing_since,
            waiting=len(self._queue),
            messages=self._sent,
            delivered=self._delivered,
            given_up=self._given_up,
        )

    def close(self, timeout_s: float) -> None:
        """Try once more to deliver what waits, for at most ``timeout_s``; blocks. A thread that hangs is left."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        for future in self._tests:
            future.cancel()

    # -- on the thread

    def _run(self) -> None:
        send: Sender | None = None
        while (work := self._take()) is not None:
            began = self._busy_since = time.monotonic()
            try:
                send = send or self._make_sender(self.settings)
                send(self._message(work))
            except DeliveryFailed as error:
                self._failed(work, str(error))
            except Exception as error:  # noqa: BLE001 -- a message may carry the address, and so a secret
                self._failed(work, type(error).__name__)
            else:
                self._succeeded(work)
            self._busy_since = None
            logger.debug("Channel %s was busy for %.3f s", self.name, time.monotonic() - began)

    def _take(self) -> "list[_Waiting] | Future[str | None] | None":
        """Wait for something to do, and for its time; ``None`` at the end."""
        with self._condition:
            while True:
                if self._tests:
                    return self._tests.popleft()
                if self._closing and (not self._queue or self._failing_since is not None):
                    return None
                now = time.monotonic()
                due = max(self._queue[0].since + self._group_s, self._not_before) if self._queue else None
                if due is not None and (due <= now or self._closing):
                    return self._batch(now)
                self._condition.wait(None if due is None else due - now)

    def _batch(self, now: float) -> list[_Waiting]:
        """Take all that can share a message: alerts, or what strategies send."""
        is_message = self._queue[0].notice.what == "message"
        batch = []
        while self._queue and (self._queue[0].notice.what == "message") is is_message:
            batch.append(self._queue.popleft())
        self._not_before = now + 60.0 / self.settings.rate_per_min
        return batch

    def _message(self, work: "list[_Waiting] | Future[str | None]") -> Message:
        if isinstance(work, Future):
            return test_message(self.name, self._language, self._source)
        return message_of([each.notice for each in work], self._language, self._source, self._zone)

    def _succeeded(self, work: "list[_Waiting] | Future[str | None]") -> None:
        self._sent += 1
        if self._failing_since is not None:
            logger.info("Alerts get through to channel %s again", self.name)
        self._failing_since = self._reason = None
        self._pause_s = self.settings.retry_s
        if isinstance(work, Future):
            work.set_result(None)
        else:
            self._delivered += len(work)
            self._on_outcome(Outcome(self.name, [each.notice for each in work]))

    def _failed(self, work: "list[_Waiting] | Future[str | None]", reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = now_timestamp()
            logger.warning("Alerts do not get through to channel %s: %s", self.name, reason)
        self._reason = reason
        if isinstance(work, Future):
            work.set_result(reason)
            return
        now = time.monotonic()
        lost = [each.notice for each in work if now - each.since >= self.settings.retry_for_s]
        again = [each for each in work if now - each.since < self.settings.retry_for_s]
        with self._condition:
            self._given_up += len(lost)
            self._queue.extendleft(reversed(again))
            self._not_before = max(self._not_before, now + self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if lost:
            self._on_outcome(Outcome(self.name, lost, reason))
