"""MemoryRegistry: the registry in a dict of this process."""

import time
from collections.abc import Callable

from vnpy_core.models import ServiceInstance


class MemoryRegistry:
    """``clock`` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[ServiceInstance, float]] = {}

    async def put(self, instance: ServiceInstance, ttl_s: float) -> None:
        self._entries[instance.key] = (instance, self._clock() + ttl_s)

    async def remove(self, instance: ServiceInstance) -> None:
        self._entries.pop(instance.key, None)

    async def instances(self) -> list[ServiceInstance]:
        now = self._clock()
        self._entries = {key: entry for key, entry in self._entries.items() if entry[1] > now}
        return sorted((each for each, _ in self._entries.values()), key=lambda each: (each.name, each.host, each.port))

    async def close(self) -> None:
        """Nothing is held open."""
