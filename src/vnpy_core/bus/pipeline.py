"""The pipeline: facts are journaled and then shown, in the order of their numbers; market data is shown at once."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from itertools import islice
from typing import Any, Protocol

import msgspec

from vnpy_core.bus.news import Echo, news
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event
from vnpy_core.instruments import SLOW_S, Histogram
from vnpy_core.models import Model

_BATCH = 2000  # facts a commit
_BACKOFF_S = (0.1, 5.0)
# So long a fact that nobody waits for waits for others that are waited for, to go to disk with them.
_COMPANY_WAIT_S = 0.02

Subscriber = Callable[[Sequence[Event]], None]
Watcher = Callable[[Model], None]

logger = logging.getLogger(__name__)


class FactLog(Protocol):
    """The journal, as far as the pipeline needs it."""

    async def append(self, events: Sequence[Event]) -> None: ...
    async def check(self) -> None: ...


class StateTable(Protocol):
    def get(self, key: str) -> Event | None: ...


class State(Protocol):
    """The read model, as far as the pipeline needs it."""

    def apply(self, events: Sequence[Event]) -> None: ...
    def table_of(self, kind: type[Model]) -> StateTable | None: ...


class PipelineStats(msgspec.Struct, frozen=True, kw_only=True):
    """``duplicates`` and ``stale``: facts that were no news; ``pending``: not on disk yet, and so shown to nobody."""

    pending: int
    committed: int
    published: int
    duplicates: int
    stale: int
    subscriber_errors: int
    healthy: bool
    detail: str | None


class _Pending:
    """A fact on its way to the journal. ``owned``: only a ``commit`` has told it, so that it can be withdrawn.

    ``number`` grows along the queue.
    """

    __slots__ = ("event", "number", "owned", "waiters")

    def __init__(self, event: Event, number: int, owned: bool) -> None:
        self.event = event
        self.number = number
        self.owned = owned
        self.waiters: list[asyncio.Future[Any]] = []


class Pipeline:
    """Loop only. Facts wait in memory without bound while the journal fails: none is dropped and none is shown.

    Those that gather while a commit is under way make the next one. Subscribers are called with published events in
    order; one that raises is logged and counted, and the others are called all the same.
    """

    def __init__(
        self, journal: FactLog, read_model: State, *, backoff_s: tuple[float, float] = _BACKOFF_S
    ) -> None:
        self.healthy = True
        self.detail: str | None = None
        self.on_health: Callable[[str | None], None] = lambda detail: None
        """Called with what is wrong when the journal begins to fail, and with None when it is written again."""
        self.on_written: Callable[[], None] = lambda: None
        """Called when there are new facts in the journal, also such as are shown to nobody."""
        self._journal = journal
        self._read_model = read_model
        self._backoff_s = backoff_s
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Watcher] = []
        self._queue: deque[_Pending] = deque()
        self._latest: dict[tuple[str, str], _Pending] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._company_over: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self._queued = self._committed = self._published = self._subscriber_errors = 0
        self.commit_seconds = Histogram(SLOW_S)
        self.published_by_kind: Counter[type[Model]] = Counter()
        self._echoes = dict.fromkeys(Echo, 0)

    @property
    def pending(self) -> int:
        """Facts that are not on disk yet."""
        return len(self._queue)

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with all that is published from now on. It must not block."""
        self._subscribers.append(callback)

    def watch(self, callback: Watcher) -> None:
        """Call ``callback`` with each fact of the bridge's that is news, as it is queued.

        It is not on disk yet, and must be shown to nobody; what ``callback`` commits goes to disk with it.
        """
        self._watchers.append(callback)

    def accept(self, events: Iterable[Event]) -> None:
        """Take events from the bridge: publish the market data now, and the facts that are news once committed."""
        passing = []
        for event in events:
            if event.is_fact:
                admitted = self._admit(event)
                if isinstance(admitted, _Pending):
                    for watcher in self._watchers:
                        watcher(admitted.event.data)
            else:
                passing.append(event)
        if passing:
            self._publish(passing)
        if self._queue:
            self._ensure_flusher()

    def emit(self, model: Model) -> None:
        """Take one thing that this process itself has to tell."""
        self.accept((Event(model),))

    def emit_in_company(self, model: Model) -> None:
        """``emit`` something that nobody waits for, with the next commit, or in a moment if there is none."""
        self._admit(Event(model))
        if self._flusher is None and self._company_over is None:
            self._company_over = asyncio.get_running_loop().call_later(_COMPANY_WAIT_S, self._flush_rest)

    async def commit(self, model: Model) -> Event:
        """Journal and publish a fact, and return its event; one that is no news returns the latest one.

        Raises:
            Unavailable: it is not on disk. It will not be either, unless somebody else has told the same.
        """
        return await self.begin_commit(model)

    def begin_commit(self, model: Model) -> "asyncio.Future[Event]":
        """Queue ``model`` now, and return what ``commit`` waits for. Raises what ``commit`` raises at once."""
        self.require_writable()
        pending = self._admit(Event(model), owned=True)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        if isinstance(pending, Event):
            future.set_result(pending)
        else:
            pending.waiters.append(future)
            self._ensure_flusher()
        return future

    def require_writable(self) -> None:
        """Raises:
        Unavailable: nothing can be committed now.
        """
        if self._closing.is_set():
            raise Unavailable("The service is being stopped.")
        if not self.healthy:  # the flusher tries again and again; no caller waits for it
            raise Unavailable(self.detail or "The journal cannot be written.")

    async def commit_all(self, models: Sequence[Model]) -> None:
        """Journal and publish ``models`` in their order, in one commit if they are not very many.

        Raises:
            Unavailable: as for ``commit``; the last of them is not on disk, and neither may be those before it.
        """
        await self.begin_commit_all(models)

    def begin_commit_all(self, models: Sequence[Model]) -> "asyncio.Future[Event | None]":
        """Queue ``models`` now, and return what ``commit_all`` waits for. Raises what ``commit`` raises at once."""
        self.require_writable()
        last: _Pending | None = None
        for model in models:
            pending = self._admit(Event(model), owned=True)
            if isinstance(pending, _Pending) and (last is None or pending.number > last.number):
                last = pending  # they go to disk in this order, so that the others are there when it is
        future: asyncio.Future[Event | None] = asyncio.get_running_loop().create_future()
        if last is None:
            future.set_result(None)
        else:
            last.waiters.append(future)
            self._ensure_flusher()
        return future

    async def drain(self) -> None:
        """Wait until every fact taken so far is on disk and published; while the journal fails, that is long."""
        self._flush_rest()
        while self._flusher is not None:
            await asyncio.shield(self._flusher)

    async def close(self) -> None:
        """Write what waits, and end. If the journal refuses even then, say how many facts are lost unseen."""
        self._closing.set()
        self._flush_rest()
        if self._flusher is not None:
            await self._flusher
        if self._queue:
            logger.critical("%d facts could not be journaled: %s", len(self._queue), self.detail)

    def stats(self) -> PipelineStats:
        return PipelineStats(
            pending=self.pending,
            committed=self._committed,
            published=self._published,
            duplicates=self._echoes[Echo.DUPLICATE],
            stale=self._echoes[Echo.STALE],
            subscriber_errors=self._subscriber_errors,
            healthy=self.healthy,
            detail=self.detail,
        )

    # -- what is news

    def _admit(self, event: Event, *, owned: bool = False) -> _Pending | Event:
        """Queue ``event`` if it is news; otherwise return what it repeats: on its way, or published."""
        data = event.data
        place = (data.topic, data.key)
        ahead = self._latest.get(place)
        known = ahead.event if ahead is not None else self._known(data)
        told = news(known.data if known is not None else None, data)
        if isinstance(told, Echo) and known is not None:
            self._echoes[told] += 1
            if ahead is not None:
                ahead.owned &= owned
            return ahead if ahead is not None else known
        if told is not data and isinstance(told, Model):
            event = Event(told, ts=event.ts)
        self._queued += 1
        pending = _Pending(event, self._queued, owned)
        self._queue.append(pending)
        self._latest[place] = pending
        return pending

    def _known(self, data: Model) -> Event | None:
        table = self._read_model.table_of(type(data))
        return table.get(data.key) if table is not None else None

    # -- to disk

    def _ensure_flusher(self) -> None:
        if self._flusher is None:
            # In a context of its own: it writes for everybody, not for the request that happened to be the first.
            self._flusher = asyncio.get_running_loop().create_task(
                self._flush(), name="pipeline-flush", context=Context()
            )

    def _flush_rest(self) -> None:
        if self._company_over is not None:
            self._company_over.cancel()
            self._company_over = None
        if self._queue:
            self._ensure_flusher()

    async def _flush(self) -> None:
        delay, longest = self._backoff_s
        try:
            while self._queue or not self.healthy:
                # It leaves the queue once it is on disk: whatever ends this task in between, nothing is forgotten.
                batch = list(islice(self._queue, _BATCH))
                try:
                    await self._write(batch)
                except Exception as error:  # noqa: BLE001 -- the facts stay, and it is tried again
                    self._failed(error)
                    if self._closing.is_set():
                        return
                    await self._pause(delay)
                    delay = min(2 * delay, longest)
                else:
                    self._written(batch)
                    delay = self._backoff_s[0]
        finally:
            self._flusher = None

    async def _write(self, batch: list[_Pending]) -> None:
        if batch:
            began = time.perf_counter()
            await self._journal.append([pending.event for pending in batch])
            self.commit_seconds.observe(time.perf_counter() - began)
        else:
            await self._journal.check()

    def _written(self, batch: list[_Pending]) -> None:
        for pending in batch:
            self._queue.popleft()
            data = pending.event.data
            if self._latest[data.topic, data.key] is pending:
                del self._latest[data.topic, data.key]
        if not self.healthy:
            self.healthy, self.detail = True, None
            logger.info("The journal can be written again; %d facts waited", len(batch) + len(self._queue))
            self.on_health(None)
        self._committed += len(batch)
        self.on_written()
        if shown := [pending.event for pending in batch if not pending.event.is_internal]:
            self._publish(shown)
        for pending in batch:
            for waiter in pending.waiters:
                if not waiter.done():
                    waiter.set_result(pending.event)

    def _failed(self, error: Exception) -> None:
        detail = error.detail if isinstance(error, Unavailable) else f"The journal failed: {error!r}"
        fails_anew, self.healthy, self.detail = self.healthy, False, detail
        for pending in self._queue:
            for waiter in pending.waiters:
                if not waiter.done():
                    waiter.set_exception(Unavailable(detail))
            pending.waiters.clear()
        self._queue = deque(pending for pending in self._queue if not pending.owned)
        self._latest = {(pending.event.data.topic, pending.event.data.key): pending for pending in self._queue}
        if fails_anew:
            logger.error("%s Facts wait in memory; nothing of them is shown.", detail, exc_info=error)
            self.on_health(detail)

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._closing.wait()
        except TimeoutError:
            pass

    # -- to everyone

    def _publish(self, events: Sequence[Event]) -> None:
        self._read_model.apply(events)
        self._published += len(events)
        self.published_by_kind.update([type(event.data) for event in events])
        for callback in self._subscribers:
            try:
                callback(events)
            except Exception:  # one subscriber's fault is not the others'
                self._subscriber_errors += 1
                logger.exception("A subscriber raised on %d events", len(events))
