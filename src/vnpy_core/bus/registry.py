"""ServiceRegistry: this service's place in the list of running services, and what is known of the others."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

import msgspec

from vnpy_core.enums import ServiceStatus
from vnpy_core.errors import CoreError, Unavailable
from vnpy_core.models import ServiceInstance, now_timestamp
from vnpy_core.ports import RegistryBackend

_log = logging.getLogger(__name__)


class Discovery(msgspec.Struct, frozen=True):
    """What the registry listed at ``as_of``. ``stale``: it has been asked since, and has not answered."""

    instances: list[ServiceInstance]
    as_of: str | None
    stale: bool


class ServiceRegistry:
    """Say every ``heartbeat_s``, and at once when it changes, how this service is. Loop only.

    Each time the whole entry is written, so that a registry that has lost it has it again. While the registry is down
    the last list that came from it is what is known, and nobody waits for it longer than ``wait_s``.

    Args:
        instance: this service; its status and last heartbeat are set here.
        status: tells the status; asked every ``poll_s``.
        view_age_s: for so long the list is taken to be current.
    """

    def __init__(
        self,
        backend: RegistryBackend,
        instance: ServiceInstance,
        status: Callable[[], ServiceStatus],
        *,
        heartbeat_s: float = 10.0,
        ttl_s: float = 30.0,
        poll_s: float = 1.0,
        wait_s: float = 0.25,
        view_age_s: float = 2.0,
        retry_min_s: float = 0.25,
    ) -> None:
        self._backend = backend
        self._instance = instance
        self._status = status
        self._heartbeat_s = heartbeat_s
        self._ttl_s = ttl_s
        self._poll_s = min(poll_s, heartbeat_s)
        self._wait_s = wait_s
        self._view_age_s = view_age_s
        self._retry_min_s = retry_min_s
        self._view: list[ServiceInstance] = []
        self._as_of: str | None = None
        self._asked_at = self._answered_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._detail: str | None = None
        self._since = now_timestamp()

    @property
    def healthy(self) -> bool:
        return self._detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy: what the last attempt to say that this service is there failed of."""
        return self._detail

    @property
    def since(self) -> str:
        """When it became healthy, or stopped being so."""
        return self._since

    async def start(self) -> None:
        """Begin to be listed; the registry may be down."""
        self._stopping = False
        self._task = asyncio.create_task(self._stay_listed(), name="service registry")

    def notify(self) -> None:
        """Say that the status may have changed."""
        self._wake.set()

    async def stop(self) -> None:
        """Leave the list. If the registry does not answer, the entry ends by itself after ``ttl_s``."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        self._wake.set()
        # A heartbeat that is under way ends in time; one that came after the removal would undo it.
        await asyncio.wait({task})
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        try:
            await self._backend.remove(self._instance)
        except Unavailable as error:
            _log.warning("The registry lists this service for another %g s: %s", self._ttl_s, error.detail)
        await self._backend.close()

    async def discover(self, name: str) -> Discovery:
        """Return the instances of ``name`` that are alive, whatever their status, as far as is known."""
        found = await self.services()
        return msgspec.structs.replace(found, instances=[each for each in found.instances if each.name == name])

    async def services(self) -> Discovery:
        """Return the instances of all names."""
        if self.healthy and not self._stopping:
            await self._look()
        stale = not self.healthy or self._answered_at < self._asked_at
        if self._as_of is None:
            return Discovery([self._current()], None, stale)
        return Discovery(self._view, self._as_of, stale)

    async def _look(self) -> None:
        """See to it that the list is current, if that is soon done."""
        if self._looking is None and time.monotonic() - self._asked_at >= self._view_age_s:
            self._asked_at = time.monotonic()
            self._looking = asyncio.create_task(self._fetch(), name="service discovery")
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=self._wait_s)

    async def _fetch(self) -> None:
        try:
            self._view = await self._backend.instances()
            self._as_of = now_timestamp()
            self._answered_at = time.monotonic()
        except Exception as error:  # noqa: BLE001  the edge of a background task: what is known stays
            expected = isinstance(error, Unavailable)
            _log.warning("The registry has not been read: %s", error, exc_info=None if expected else error)
        finally:
            self._looking = None

    async def _stay_listed(self) -> None:
        failures = 0
        told: ServiceStatus | None = None
        due = 0.0
        while not self._stopping:
            self._wake.clear()
            try:
                current = self._current()
                if current.status is not told or time.monotonic() >= due:
                    due = time.monotonic() + self._heartbeat_s
                    await self._backend.put(current, self._ttl_s)
                    told = current.status
            except Exception as error:  # noqa: BLE001  the edge of a background task: it must outlive its errors
                failures += 1
                self._fail(error)
                longest = min(self._heartbeat_s, self._retry_min_s * 2 ** min(failures - 1, 16))
                pause_s = longest * random.uniform(0.5, 1)  # noqa: S311  no secret
                due = 0.0
            else:
                failures = 0
                self._recover()
                pause_s = min(self._poll_s, due - time.monotonic())
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _current(self) -> ServiceInstance:
        return msgspec.structs.replace(self._instance, status=self._status(), last_heartbeat=now_timestamp())

    def _fail(self, error: Exception) -> None:
        detail = error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        if self._detail is None:
            self._since = now_timestamp()
        if detail != self._detail:
            expected = isinstance(error, Unavailable)
            _log.warning("The registry was not told: %s", detail, exc_info=None if expected else error)
        self._detail = detail

    def _recover(self) -> None:
        if self._detail is not None:
            _log.info("The registry lists this service again")
            self._detail = None
            self._since = now_timestamp()
