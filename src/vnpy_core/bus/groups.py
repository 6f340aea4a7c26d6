"""Groups: the sessions that are to be sent the same, and how what is published gets to them.

Sessions with the same topics and the same throttle form a group. A group collects what is published, and hands it as
one shared batch to each of its sessions: at once when there is a fact among it, else no sooner than the batch interval
after the last batch. Of a throttled group's ticks it holds the latest of each symbol until the throttle's time is over.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from vnpy_core.bus.outbox import Batch, Overflow
from vnpy_core.bus.session import Session
from vnpy_core.bus.subscription import Subscription
from vnpy_core.events import INTERNAL_TOPICS, Event

# The part of the batch interval that counts as a pause: a feed that ticks in the same rhythm must not just miss it.
_PAUSE = 0.8
# Sending market data to very many clients takes half of the loop's time at most: what comes meanwhile goes together.
# With 50 clients and 5,000 ticks/s, a frame for each millisecond took 94 % of a core.
_SHARE = 2


class _Group:
    """The sessions that have the same topics and throttle, and what they have not been given yet.

    ``held``: the latest tick by topic, until the throttle lets it go. ``shown``: what of it a session has seen already,
    because it came to the group, or was shown the present state, after that was published.
    """

    __slots__ = (
        "facts", "held", "key", "pending", "released_at", "sessions", "shown", "subscription", "throttle_s", "timer",
    )  # fmt: skip

    def __init__(self, topics: frozenset[str], throttle_ms: int) -> None:
        self.key = topics, throttle_ms
        self.subscription = Subscription(topics)
        self.throttle_s = throttle_ms / 1000
        self.sessions: set[Session] = set()
        self.pending: list[Event] = []
        self.facts = 0
        self.held: dict[str, Event] = {}
        self.shown: dict[Session, frozenset[Event]] = {}
        self.released_at = 0.0
        self.timer: asyncio.TimerHandle | None = None


class Groups:
    """All groups. Loop only. ``too_slow`` is called with a session that its facts have overflowed."""

    def __init__(self, batch_interval_ms: float, too_slow: Callable[[Session], None]) -> None:
        self._delay_s = batch_interval_ms / 1000
        self._too_slow = too_slow
        self._groups: dict[tuple[frozenset[str], int], _Group] = {}
        self._of: dict[Session, _Group] = {}
        # By topic: the groups that are given an event as it comes, and those for which it is held.
        self._routes: dict[str, tuple[tuple[_Group, ...], tuple[_Group, ...]]] = {}
        self._waiting: set[_Group] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._busy_s = 0.0

    def publish(self, events: Sequence[Event]) -> None:
        """Give ``events`` to whom they concern; facts at once, market data with what comes in the next moments."""
        urgent: set[_Group] = set()
        held: set[_Group] = set()
        routes = self._routes
        for event in events:
            at_once, throttled = routes.get(event.topic) or self._route(event.topic)
            if event.seq is None:
                for group in at_once:
                    group.pending.append(event)
                self._waiting.update(at_once)
                for group in throttled:
                    group.held[event.topic] = event
                    held.add(group)
            else:
                for group in at_once:
                    group.pending.append(event)
                    group.facts += 1
                urgent.update(at_once)
        for group in urgent:
            self._flush(group)
        for group in held:
            self._hold(group)
        if self._waiting and self._timer is None:
            # What comes after a pause goes out at once; only what follows closely is held back, for company. The clock
            # is not the loop's, which counts whole milliseconds.
            since_s = time.perf_counter() - self._flushed_at
            if since_s >= max(self._delay_s * _PAUSE, self._busy_s):
                self.flush()
            else:
                delay_s = max(self._delay_s, self._busy_s) - since_s
                self._timer = asyncio.get_running_loop().call_later(delay_s, self.flush)

    def flush(self) -> None:
        """Send what waits for company now. What is held by a throttle stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed_at = time.perf_counter()
        for group in list(self._waiting):
            self._flush(group)
        self._busy_s = _SHARE * (time.perf_counter() - self._flushed_at)

    def settle(self, session: Session) -> None:
        """Send ``session`` all that waits for it, so that what it is shown next is not older than what follows."""
        self.flush()
        group = self._of.get(session)
        if group is not None and group.held:
            shown = group.shown.get(session, frozenset())
            group.shown[session] = frozenset(group.held.values())
            if events := [event for event in group.held.values() if event not in shown]:
                self._deliver(session, Batch(events, 0))

    def move(self, session: Session) -> None:
        """Take ``session`` to the group of its topics and throttle; it must have been settled, in the same breath."""
        topics = frozenset(session.topics)
        group = self._groups.get((topics, session.throttle_ms))
        old = self._of.get(session)
        if topics and group is old and group is not None:
            return
        if old is not None:
            self._leave(session, old)
        if not topics:
            return
        if group is None:
            group = self._groups[topics, session.throttle_ms] = _Group(topics, session.throttle_ms)
            self._routes.clear()
        group.sessions.add(session)
        if group.held:
            group.shown[session] = frozenset(group.held.values())
        self._of[session] = group

    def leave(self, session: Session) -> None:
        """Send ``session`` nothing more."""
        if (group := self._of.get(session)) is not None:
            self._leave(session, group)

    def close(self) -> None:
        for timer in (self._timer, *(group.timer for group in self._groups.values())):
            if timer is not None:
                timer.cancel()

    def _leave(self, session: Session, group: _Group) -> None:
        del self._of[session]
        group.sessions.discard(session)
        group.shown.pop(session, None)
        if not group.sessions:
            del self._groups[group.key]
            self._waiting.discard(group)
            self._routes.clear()
            if group.timer is not None:
                group.timer.cancel()

    def _route(self, topic: str) -> tuple[tuple[_Group, ...], tuple[_Group, ...]]:
        groups: list[_Group] = []
        if topic not in INTERNAL_TOPICS:
            groups = [group for group in self._groups.values() if group.subscription.matches(topic)]
        is_tick = topic.startswith("tick.")
        route = (
            tuple(group for group in groups if not (is_tick and group.throttle_s)),
            tuple(group for group in groups if is_tick and group.throttle_s),
        )
        self._routes[topic] = route
        return route

    def _hold(self, group: _Group) -> None:
        if group.timer is None:
            left_s = group.released_at + group.throttle_s - time.perf_counter()
            if left_s > 0:
                group.timer = asyncio.get_running_loop().call_later(left_s, self._release, group)
            else:
                self._release(group)

    def _release(self, group: _Group) -> None:
        group.timer = None
        group.released_at = time.perf_counter()
        events, group.held = list(group.held.values()), {}
        shown, group.shown = group.shown, {}
        batch = Batch(events, 0)
        for session in tuple(group.sessions):
            if session not in shown:
                self._deliver(session, batch)
            elif news := [event for event in events if event not in shown[session]]:
                self._deliver(session, Batch(news, 0))

    def _flush(self, group: _Group) -> None:
        self._waiting.discard(group)
        batch = Batch(group.pending, group.facts)
        group.pending = []
        group.facts = 0
        for session in tuple(group.sessions):
            self._deliver(session, batch)

    def _deliver(self, session: Session, batch: Batch) -> None:
        try:
            session.deliver(batch)
        except Overflow:
            self._too_slow(session)
