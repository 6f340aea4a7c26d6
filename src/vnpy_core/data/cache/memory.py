"""MemoryStateCache: the state cache in a dict of this process."""

import time
import uuid
from collections.abc import Callable, Collection, Mapping

Entries = dict[str, tuple[bytes, float]]


class MemoryStateCache:
    """Those with the same ``entries`` are one cache. ``clock`` counts seconds."""

    def __init__(
        self,
        writer: str = "",
        *,
        ttl_s: float = 3600.0,
        entries: Entries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marker = f"vnpy_core:writer:{writer}"
        self._ttl_s = ttl_s
        self._entries: Entries = {} if entries is None else entries
        self._clock = clock
        self._run = b""
        self._purge_at = clock() + ttl_s

    async def begin(self) -> None:
        self._run = uuid.uuid4().hex.encode()
        self._put({self._marker: self._run})

    async def write(self, values: Mapping[str, bytes]) -> bool:
        if not self._run or await self.read(self._marker) != self._run:
            return False
        self._put(values)
        self._put({self._marker: self._run})
        self._purge()
        return True

    async def renew(self, keys: Collection[str]) -> list[str]:
        found = {key: value for key in keys if (value := await self.read(key)) is not None}
        self._put(found)
        return [key for key in keys if key not in found]

    async def read(self, key: str) -> bytes | None:
        value, until = self._entries.get(key, (None, 0.0))
        return value if until > self._clock() else None

    async def close(self) -> None:
        """Nothing is held open."""

    def _put(self, values: Mapping[str, bytes]) -> None:
        until = self._clock() + self._ttl_s
        for key, value in values.items():
            self._entries[key] = (value, until)

    def _purge(self) -> None:
        """Free what is forgotten, once each ``ttl_s``."""
        now = self._clock()
        if now >= self._purge_at:
            self._purge_at = now + self._ttl_s
            for key in [key for key, (_, until) in self._entries.items() if until <= now]:
                del self._entries[key]
