"""WebSocketHub: the sessions, what their clients say, and what these are shown before they are sent what happens.

Getting what is published to them is the groups' work.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from vnpy_core.bus.encoding import JSON, Encoding
from vnpy_core.bus.groups import Groups
from vnpy_core.bus.messages import Ack, CloseCode, Command, Gap, Ping, Pong, Refused, Subscribe, Unsubscribe
from vnpy_core.bus.session import Session
from vnpy_core.bus.subscription import Subscription, topic_fault
from vnpy_core.config.bus_settings import WebSocketSettings
from vnpy_core.errors import NotFound
from vnpy_core.events import INTERNAL_TOPICS, Event
from vnpy_core.instruments import SLOW_S, Histogram
from vnpy_core.models import now_timestamp
from vnpy_core.reports import SessionStatus, SessionTotals

logger = logging.getLogger(__name__)

MAX_TOPICS = 5_000
# Events of a snapshot or of a replay that go into one frame.
PAGE = 500
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


class WebSocketHub:
    """All sessions. Loop only. ``journal`` lets clients resume; without it ``since`` is refused."""

    def __init__(
        self, read_model: CurrentState, settings: WebSocketSettings, journal: FactHistory | None = None
    ) -> None:
        self._state = read_model
        self._settings = settings
        self._journal = journal
        self._sessions: dict[str, Session] = {}
        self._groups = Groups(settings.batch_interval_ms, self._too_slow)
        self.send_seconds = Histogram(SLOW_S)
        self._gone = SessionTotals()
        self._too_slow_count = 0
        self._left = asyncio.Event()
        self._ids = itertools.count(1)
        # The last fact that sessions have been given: what is in the journal up to here will not be published again.
        self._published = journal.last_seq if journal is not None else 0

    def publish(self, events: Sequence[Event]) -> None:
        """Give ``events`` to whom they concern."""
        for event in reversed(events):
            if event.seq is not None:
                self._published = max(self._published, event.seq)
                break
        self._groups.publish(events)

    def open(
        self,
        client: str | None,
        encoding: Encoding = JSON,
        missing: Callable[[str], str | None] = lambda topic: None,
    ) -> Session | None:
        """Return a new session, or ``None`` if there are ``max_sessions`` already.

        ``missing`` names what the client lacks to see a topic, if anything.
        """
        if len(self._sessions) >= self._settings.max_sessions:
            return None
        session = Session(
            f"ws-{next(self._ids)}", client, self._settings.queue_facts, encoding, missing, self.send_seconds
        )
        self._sessions[session.session_id] = session
        return session

    def discard(self, session: Session) -> None:
        """Forget a session whose connection is gone or about to be."""
        self._groups.leave(session)
        if self._sessions.pop(session.session_id, None) is not None:
            self._gone = self._gone.with_one(session.status())
        self._left.set()

    async def handle(self, session: Session, data: str | bytes) -> None:
        """Do what a client's frame says and queue the answer."""
        try:
            await self._obey(session, session.encoding.decode(data))
        except Refused as error:
            session.answer(error.failure)
        await session.outbox.below(UNREAD_ANSWERS)

    def end(self, session_id: str) -> None:
        """End a session; its client may come again, and resume.

        Raises:
            NotFound: there is none of this id.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id!r}.")
        session.end(CloseCode.ENDED, "ended by an operator")
        self.discard(session)

    def statuses(self) -> list[SessionStatus]:
        return [session.status() for session in self._sessions.values()]

    def totals(self) -> SessionTotals:
        """Return what was sent and left out since the start, also to sessions that have ended."""
        totals = self._gone
        for session in self._sessions.values():
            totals = totals.with_one(session.status())
        return totals

    @property
    def ended_as_too_slow(self) -> int:
        """Sessions that were ended because too many facts waited for them."""
        return self._too_slow_count

    async def close(self, timeout_s: float = 2.0) -> None:
        """End every session, and wait until their connections have let go, but not long."""
        self._groups.close()
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
                session.answer(Pong(command.id, now_timestamp(), self._published))
            case Unsubscribe():
                self._groups.settle(session)
                self._move(session, {t: None for t in session.topics if t not in command.topics}, session.throttle_ms)
                session.answer(self._ack(command, session.topics, session.throttle_ms))
            case Subscribe():
                await self._subscribe(session, command)

    async def _subscribe(self, session: Session, command: Subscribe) -> None:
        for topic in command.topics:
            if fault := topic_fault(topic):
                raise Refused("unknown_topic", fault, command.id)
            if (scope := session.missing(topic)) is not None:
                raise Refused("missing_scope", f"{topic!r} takes the scope {scope}.", command.id)
        topics = session.topics | dict.fromkeys(command.topics)
        if len(topics) > MAX_TOPICS:
            raise Refused("too_many_topics", f"A session has at most {MAX_TOPICS} topics.", command.id)
        throttle_ms = session.throttle_ms if command.throttle_ms is None else command.throttle_ms
        ack = self._ack(command, topics, throttle_ms)
        wanted = Subscription(frozenset(command.topics))
        if command.since is not None:
            await self._resume(session, command, command.since, wanted, ack)
        else:
            # From here to the end nothing waits: what the snapshot shows and what is published after it meet exactly.
            self._groups.settle(session)
            session.answer(ack)
            if command.snapshot:
                self._send_snapshot(session, wanted)
        self._move(session, topics, throttle_ms)

    def _ack(self, command: Subscribe | Unsubscribe, topics: Iterable[str], throttle_ms: int) -> Ack:
        return Ack(command.id, list(topics), self._published, throttle_ms)

    async def _resume(self, session: Session, command: Subscribe, since: int, wanted: Subscription, ack: Ack) -> None:
        """Send the facts after ``since``. When this returns, nothing has been published that was not among them."""
        journal = self._journal
        if journal is None:
            raise Refused("resume_unavailable", "There is no journal to resume from.", command.id)
        session.answer(ack)
        gone = since > self._published or (since < self._published and since + 1 < (journal.first_seq or 0))
        while since < self._published and not gone:
            records = [record for record in await journal.read(since, PAGE) if record.seq <= self._published]
            # Their numbers leave none out, unless some have been removed since it was looked whether they are there.
            gone = not records or records[-1].seq != since + len(records)
            if gone:
                break
            since = records[-1].seq
            encode = session.encoding.fact
            encoded = [
                encode(record.seq, record.topic, record.ts, record.payload)
                for record in records
                if record.topic not in INTERNAL_TOPICS and wanted.matches(record.topic)
            ]
            if encoded:
                session.show(session.encoding.array(encoded), len(encoded))
            await session.outbox.below(UNREAD_ANSWERS)
        self._groups.settle(session)
        if gone:
            session.answer(Gap(command.id, since, journal.first_seq, self._published))
        if gone or command.snapshot:
            self._send_snapshot(session, wanted, facts=gone)

    def _send_snapshot(self, session: Session, wanted: Subscription, *, facts: bool = True) -> None:
        events = [event for event in self._current() if wanted.matches(event.topic) and (facts or event.seq is None)]
        for start in range(0, len(events), PAGE):
            page = events[start : start + PAGE]
            session.show(session.encoding.batch(page), len(page))

    def _current(self) -> Iterator[Event]:
        state = self._state
        for table in (
            state.gateways, state.accounts, state.positions, state.orders, state.trades, state.stop_orders,
            state.strategies, state.algos, state.risk_rules, state.alerts, state.ticks,
        ):  # fmt: skip
            yield from table.values()

    def _move(self, session: Session, topics: dict[str, None], throttle_ms: int) -> None:
        if session.session_id in self._sessions:  # it may have been ended while it was sent a replay
            session.topics, session.throttle_ms = topics, throttle_ms
            self._groups.move(session)

    def _too_slow(self, session: Session) -> None:
        logger.warning("Session %s is ended: too slow for its facts", session.session_id)
        self._too_slow_count += 1
        session.end(CloseCode.TOO_SLOW, f"more than {self._settings.queue_facts} facts wait; resume with since")
        self.discard(session)
