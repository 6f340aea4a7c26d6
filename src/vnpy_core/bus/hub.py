"""WebSocketHub: who is subscribed to what, and getting each event to them, once encoded and never waiting.

Sessions with the same topics form a group. A group collects what is published, and hands it as one shared batch to
the outbox of each of its sessions: at once when there is a fact among it, else no sooner than ``batch_interval_ms``
after the last batch.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from vnpy_core.bus.messages import (
    Ack,
    CloseCode,
    Command,
    Failure,
    Gap,
    Ping,
    Pong,
    Refused,
    Subscribe,
    Unsubscribe,
    decode,
)
from vnpy_core.bus.outbox import Batch, Message, Overflow, array_of, message_of
from vnpy_core.bus.session import Session
from vnpy_core.bus.subscription import Subscription, topic_fault
from vnpy_core.config.settings import WebSocketSettings
from vnpy_core.events import INTERNAL_TOPICS, Event, frame_of
from vnpy_core.models import now_timestamp
from vnpy_core.reports import SessionStatus

logger = logging.getLogger(__name__)

MAX_TOPICS = 5_000
# Events of a snapshot or of a replay that go into one frame.
PAGE = 500
# The part of the batch interval that counts as a pause: a feed that ticks in the same rhythm must not just miss it.
_PAUSE = 0.8
# A client that does not take its answers, snapshots and replays is not read from either.
UNREAD_ANSWERS = 64


class StateTable(Protocol):
    def values(self) -> Iterable[Event]: ...


class CurrentState(Protocol):
    """The read model, as far as snapshots need it."""

    @property
    def orders(self) -> StateTable: ...
    @property
    def trades(self) -> StateTable: ...
    @property
    def positions(self) -> StateTable: ...
    @property
    def accounts(self) -> StateTable: ...
    @property
    def ticks(self) -> StateTable: ...
    @property
    def strategies(self) -> StateTable: ...
    @property
    def stop_orders(self) -> StateTable: ...
    @property
    def algos(self) -> StateTable: ...
    @property
    def risk_rules(self) -> StateTable: ...
    @property
    def gateways(self) -> StateTable: ...
    @property
    def alerts(self) -> StateTable: ...


class Record(Protocol):
    @property
    def seq(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def ts(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class FactHistory(Protocol):
    """The journal, as far as a resume needs it."""

    @property
    def first_seq(self) -> int | None: ...
    @property
    def last_seq(self) -> int: ...
    async def read(self, after: int, limit: int) -> Sequence[Record]: ...


class _Group:
    """The sessions that have the same topics, and what they have not been given yet."""

    __slots__ = ("facts", "pending", "sessions", "subscription")

    def __init__(self, topics: frozenset[str]) -> None:
        self.subscription = Subscription(topics)
        self.sessions: set[Session] = set()
        self.pending: list[Event] = []
        self.facts = 0


class WebSocketHub:
    """All sessions. Loop only. ``journal`` lets clients resume; without it ``since`` is refused."""

    def __init__(
        self, read_model: CurrentState, settings: WebSocketSettings, journal: FactHistory | None = None
    ) -> None:
        self._state = read_model
        self._settings = settings
        self._journal = journal
        self._delay_s = settings.batch_interval_ms / 1000
        self._sessions: dict[str, Session] = {}
        self._groups: dict[frozenset[str], _Group] = {}
        self._routes: dict[str, tuple[_Group, ...]] = {}
        self._waiting: set[_Group] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._left = asyncio.Event()
        self._ids = itertools.count(1)
        # The last fact that sessions have been given: what is in the journal up to here will not be published again.
        self._published = journal.last_seq if journal is not None else 0

    def publish(self, events: Sequence[Event]) -> None:
        """Give ``events`` to whom they concern; facts at once, market data with what comes in the next moments."""
        urgent: set[_Group] = set()
        routes = self._routes
        for event in events:
            groups = routes.get(event.topic)
            if groups is None:
                groups = self._route(event.topic)
            if event.seq is None:
                for group in groups:
                    group.pending.append(event)
                self._waiting.update(groups)
            else:
                self._published = max(self._published, event.seq)
                for group in groups:
                    group.pending.append(event)
                    group.facts += 1
                urgent.update(groups)
        for group in urgent:
            self._flush(group)
        if self._waiting and self._timer is None:
            # What comes after a pause goes out at once; only what follows closely is held back, for company. The clock
            # is not the loop's, which counts whole milliseconds.
            since_s = time.perf_counter() - self._flushed_at
            if since_s >= self._delay_s * _PAUSE:
                self._flush_waiting()
            else:
                self._timer = asyncio.get_running_loop().call_later(self._delay_s - since_s, self._flush_waiting)

    def open(self, client: str | None) -> Session | None:
        """Return a new session, or ``None`` if there are ``max_sessions`` already."""
        if len(self._sessions) >= self._settings.max_sessions:
            return None
        session = Session(f"ws-{next(self._ids)}", client, self._settings.queue_facts)
        self._sessions[session.session_id] = session
        return session

    def discard(self, session: Session) -> None:
        """Forget a session whose connection is gone or about to be."""
        self._set_topics(session, {})
        self._sessions.pop(session.session_id, None)
        self._left.set()

    async def handle(self, session: Session, text: str) -> None:
        """Do what a client's message says and queue the answer."""
        try:
            await self._obey(session, decode(text))
        except Refused as error:
            session.answer(message_of(error.failure))
        await session.outbox.below(UNREAD_ANSWERS)

    def refuse_binary(self, session: Session) -> None:
        session.answer(message_of(Failure(id=None, code="binary", detail="Messages are JSON in text frames.")))

    def statuses(self) -> list[SessionStatus]:
        return [session.status() for session in self._sessions.values()]

    async def close(self, timeout_s: float = 2.0) -> None:
        """End every session, and wait until their connections have let go, but not long."""
        if self._timer is not None:
            self._timer.cancel()
        for session in list(self._sessions.values()):
            session.end(CloseCode.GOING_AWAY, "the service stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._sessions:
                    self._left.clear()
                    await self._left.wait()

    async def _obey(self, session: Session, command: Command) -> None:
        match command:
            case Ping():
                session.answer(message_of(Pong(command.id, now_timestamp())))
            case Unsubscribe():
                self._flush_waiting()
                self._set_topics(session, {t: None for t in session.topics if t not in command.topics})
                session.answer(message_of(Ack(command.id, list(session.topics))))
            case Subscribe():
                await self._subscribe(session, command)

    async def _subscribe(self, session: Session, command: Subscribe) -> None:
        for topic in command.topics:
            if fault := topic_fault(topic):
                raise Refused("unknown_topic", fault, command.id)
        topics = session.topics | dict.fromkeys(command.topics)
        if len(topics) > MAX_TOPICS:
            raise Refused("too_many_topics", f"A session has at most {MAX_TOPICS} topics.", command.id)
        ack = message_of(Ack(command.id, list(topics)))
        wanted = Subscription(frozenset(command.topics))
        if command.since is not None:
            await self._resume(session, command, command.since, wanted, ack)
        else:
            # From here to the end nothing waits: what the snapshot shows and what is published after it meet exactly.
            self._flush_waiting()
            session.answer(ack)
            if command.snapshot:
                self._send_snapshot(session, wanted)
        self._set_topics(session, topics)

    async def _resume(
        self, session: Session, command: Subscribe, since: int, wanted: Subscription, ack: Message
    ) -> None:
        journal = self._journal
        if journal is None:
            raise Refused("resume_unavailable", "There is no journal to resume from.", command.id)
        first = journal.first_seq
        if since > self._published or (since < self._published and (first is None or since + 1 < first)):
            self._flush_waiting()
            session.answer(ack)
            session.answer(message_of(Gap(command.id, since, first)))
            self._send_snapshot(session, wanted)
            return
        session.answer(ack)
        while since < self._published:
            records = [r for r in await journal.read(since, PAGE) if r.seq <= self._published]
            if not records:
                break
            since = records[-1].seq
            frames = [
                frame_of(record.seq, record.topic, record.ts, record.payload)
                for record in records
                if record.topic not in INTERNAL_TOPICS and wanted.matches(record.topic)
            ]
            if frames:
                session.answer(Message(array_of(frames), len(frames)))
            await session.outbox.below(UNREAD_ANSWERS)
        self._flush_waiting()
        if command.snapshot:
            self._send_snapshot(session, wanted, facts=False)

    def _send_snapshot(self, session: Session, wanted: Subscription, *, facts: bool = True) -> None:
        frames = [
            event.frame
            for event in self._current()
            if wanted.matches(event.topic) and (facts or event.seq is None)
        ]
        for start in range(0, len(frames), PAGE):
            page = frames[start : start + PAGE]
            session.answer(Message(array_of(page), len(page)))

    def _current(self) -> Iterator[Event]:
        state = self._state
        for table in (
            state.gateways, state.accounts, state.positions, state.orders, state.trades, state.stop_orders,
            state.strategies, state.algos, state.risk_rules, state.alerts, state.ticks,
        ):  # fmt: skip
            yield from table.values()

    def _set_topics(self, session: Session, topics: dict[str, None]) -> None:
        """Move a session to the group of its topics. Pending events of its old group must have been flushed."""
        if session.session_id not in self._sessions:
            return
        old, new = frozenset(session.topics), frozenset(topics)
        session.topics = topics
        if old == new:
            return
        if (group := self._groups.get(old)) is not None:
            group.sessions.discard(session)
            if not group.sessions:
                del self._groups[old]
                self._waiting.discard(group)
                self._routes.clear()
        if new:
            group = self._groups.get(new)
            if group is None:
                group = self._groups[new] = _Group(new)
                self._routes.clear()
            group.sessions.add(session)

    def _route(self, topic: str) -> tuple[_Group, ...]:
        groups: tuple[_Group, ...] = ()
        if topic not in INTERNAL_TOPICS:
            groups = tuple(group for group in self._groups.values() if group.subscription.matches(topic))
        self._routes[topic] = groups
        return groups

    def _flush_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed_at = time.perf_counter()
        for group in list(self._waiting):
            self._flush(group)

    def _flush(self, group: _Group) -> None:
        self._waiting.discard(group)
        batch = Batch(group.pending, group.facts)
        group.pending = []
        group.facts = 0
        for session in tuple(group.sessions):
            try:
                session.deliver(batch)
            except Overflow:
                logger.warning("Session %s is ended: too slow for its facts", session.session_id)
                session.end(CloseCode.TOO_SLOW, f"more than {self._settings.queue_facts} facts wait; resume with since")
                self.discard(session)
