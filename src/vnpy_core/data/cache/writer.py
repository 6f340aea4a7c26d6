"""CacheWriter: the sink that keeps the state cache equal to the read model, and so knows when it may be asked."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

from vnpy_core.data.cache.state import PREFIXES, is_alive
from vnpy_core.data.read_model import ReadModel
from vnpy_core.errors import CoreError, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import now_timestamp, to_timestamp
from vnpy_core.ports import StateCache

_log = logging.getLogger(__name__)


class CacheWriter:
    """Write what changes to ``cache``, the latest of each key, in batches. Loop only.

    What comes after a pause is written at once; what follows within ``flush_interval_ms``, together. While the cache
    is down changes wait, one a key and ``capacity`` of them; beyond that they are forgotten, and the whole state is
    written when it is back, as it is at the start and whenever the cache has lost what it had.

    Args:
        ttl_s: what the cache forgets after; a third of it is how often what is alive is renewed.
        last_seq: of the newest fact in the read model.
        check_s: how often an idle cache is asked whether it still has everything.
    """

    def __init__(
        self,
        cache: StateCache,
        read_model: ReadModel,
        *,
        ttl_s: float,
        flush_interval_ms: float,
        last_seq: int = 0,
        batch_size: int = 500,
        capacity: int = 50_000,
        check_s: float = 1.0,
        retry_min_s: float = 0.1,
        retry_max_s: float = 5.0,
    ) -> None:
        self._cache = cache
        self._read_model = read_model
        self._ttl_s = ttl_s
        self._flush_interval_s = flush_interval_ms / 1000
        self._batch_size = batch_size
        self._capacity = capacity
        self._check_s = check_s
        self._retry_min_s = retry_min_s
        self._retry_max_s = retry_max_s
        self._waiting: dict[str, Event] = {}
        self._under_way: dict[str, Event] = {}
        self._complete = False
        self._overflowed = False
        self._renew_at = 0.0
        self._seen = self._position = last_seq
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._detail: str | None = None
        self._since = now_timestamp()
        self.written = 0
        self.rebuilds = 0
        self.dead_letters = 0  # a cache takes any bytes

    @property
    def healthy(self) -> bool:
        return self._detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy: what the last attempt failed of."""
        return self._detail

    @property
    def since(self) -> str:
        """When it became healthy, or stopped being so."""
        return self._since

    @property
    def position(self) -> int:
        """The journal's number up to which the cache shows what the facts amount to."""
        return self._position

    @property
    def lag(self) -> int:
        """How many keys wait to be written."""
        return len(self._waiting) + len(self._under_way)

    @property
    def is_complete(self) -> bool:
        """The cache has all of the state, but for what waits."""
        return self._complete and self._detail is None and self._task is not None

    async def read(self, key: str) -> bytes | None:
        """Return what the cache has under ``key``; ``None`` also if that may be older than what the read model has.

        Raises:
            Unavailable: the cache has not answered.
        """
        if not self.is_complete or key in self._waiting or key in self._under_way:
            return None
        return await self._cache.read(key)

    def on_events(self, events: Sequence[Event]) -> None:
        """Take note of what changed. On the loop."""
        if self._task is None:
            return
        waiting = self._waiting
        for event in events:
            prefix = PREFIXES.get(type(event.data))
            if prefix is not None:
                waiting[prefix + event.data.key] = event
            if event.seq is not None:
                self._seen = event.seq
        if len(waiting) > self._capacity:
            waiting.clear()
            self._complete, self._overflowed = False, True
        self._wake.set()

    async def start(self) -> None:
        """Begin; the cache may be down."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._keep_up(), name="cache writer")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Write what waits, if that is done in time and at the first attempt, and close the cache."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping.set()
        self._wake.set()
        _, late = await asyncio.wait({task}, timeout=timeout_s)
        if late:
            task.cancel()
            await asyncio.wait({task})
        await self._cache.close()

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            last = self._stopping.is_set()
            self._wake.clear()
            try:
                await self._catch_up()
            except Exception as error:  # noqa: BLE001  the edge of a background task: it must outlive its errors
                failures += 1
                self._fail(error)
                if not last:
                    longest = min(self._retry_max_s, self._retry_min_s * 2 ** min(failures - 1, 16))
                    await self._pause(longest * random.uniform(0.5, 1))  # noqa: S311  no secret
            else:
                failures = 0
                self._recover()
                if not last:
                    await self._next(began)
            if last:
                return

    async def _next(self, began: float) -> None:
        """Wait for changes, and for company if the last batch was only just written."""
        try:
            async with asyncio.timeout(self._check_s):
                await self._wake.wait()
        except TimeoutError:
            return
        await self._pause(began + self._flush_interval_s - time.monotonic())

    async def _pause(self, pause_s: float) -> None:
        if pause_s > 0:
            try:
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _catch_up(self) -> None:
        """Write what waits, or everything if the cache does not have the rest."""
        if self._complete and not await self._flush():
            _log.warning("The state cache has lost what was in it")
            self._complete = False
        if not self._complete:
            await self._rebuild()
        elif time.monotonic() >= self._renew_at:
            await self._renew()

    async def _flush(self) -> bool:
        """Write what waits, and tell whether the cache still has the rest."""
        seen = self._seen
        changed, self._waiting = self._waiting, {}
        self._under_way = changed
        try:
            keys = list(changed)
            for start in range(0, max(len(keys), 1), self._batch_size):
                batch = {key: changed[key].payload for key in keys[start : start + self._batch_size]}
                if not await self._cache.write(batch):
                    return False
                self.written += len(batch)
                for key in batch:
                    del changed[key]
        finally:
            self._waiting = changed | self._waiting
            self._under_way = {}
        self._position = seen
        return True

    async def _rebuild(self) -> None:
        """Write all that the read model has and that would not have been forgotten."""
        self.rebuilds += 1
        self._overflowed = False
        # It is in the read model too.
        self._waiting.clear()
        seen = self._seen
        since = to_timestamp(datetime.now(UTC) - timedelta(seconds=self._ttl_s))
        await self._cache.begin()
        count = 0
        async for batch in self._pages(lambda event: event.ts >= since or is_alive(event.data)):
            if not await self._cache.write({key: event.payload for key, event in batch.items()}):
                raise Unavailable("The state cache lost what it was given before it had everything.")
            count += len(batch)
        self.written += count
        self._renew_at = time.monotonic() + self._ttl_s / 3
        self._position = seen
        self._complete = not self._overflowed
        _log.info("Wrote the whole state, %d entries, to the state cache", count)

    async def _renew(self) -> None:
        """Keep what is alive, and write again what is gone of it: a full server evicts."""
        async for batch in self._pages(lambda event: is_alive(event.data)):
            for key in await self._cache.renew(batch):
                self._waiting.setdefault(key, batch[key])
        self._renew_at = time.monotonic() + self._ttl_s / 3
        if self._waiting:
            self._wake.set()

    async def _pages(self, is_meant: Callable[[Event], bool]) -> AsyncIterator[dict[str, Event]]:
        """Give the read model's rows that are meant, by their keys in the cache, each as it is at that moment."""
        for kind, prefix in PREFIXES.items():
            table = self._read_model.table_of(kind)
            cursor: str | None = None
            while table is not None:
                events, cursor = table.page(None, cursor, self._batch_size)
                batch = {prefix + event.data.key: event for event in events if is_meant(event)}
                if batch:
                    yield batch
                if cursor is None:
                    break
                await asyncio.sleep(0)

    def _fail(self, error: Exception) -> None:
        detail = error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        if self._detail is None:
            self._since = now_timestamp()
        if detail != self._detail:
            expected = isinstance(error, Unavailable)
            _log.warning("The state cache is not up to date: %s", detail, exc_info=None if expected else error)
        self._detail = detail

    def _recover(self) -> None:
        if self._detail is not None:
            _log.info("The state cache is up to date again")
            self._detail = None
            self._since = now_timestamp()
