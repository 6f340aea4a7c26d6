"""LatestState: the latest order, position, account and tick, read through the state cache."""

import time
from typing import TypeVar

import msgspec

from vnpy_core.data.cache.state import PREFIXES
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.read_model import ReadModel
from vnpy_core.errors import Unavailable
from vnpy_core.models import Model

_M = TypeVar("_M", bound=Model)

_AVOID_S = 1.0


class LatestState:
    """The cache answers while it is up to date, also of what other services keep in it; otherwise the read model does.

    Without a ``writer`` there is no cache.
    """

    def __init__(self, read_model: ReadModel, writer: CacheWriter | None = None) -> None:
        self._read_model = read_model
        self._writer = writer
        self._avoid_until = 0.0

    async def get(self, kind: type[_M], key: str) -> _M | None:
        """Return the latest of a kind (Order, Position, Account or Tick), or ``None``: there is none."""
        found = await self._cached(kind, key)
        if found is None:
            table = self._read_model.table_of(kind)
            event = table.get(key) if table is not None else None
            found = event.data if event is not None and isinstance(event.data, kind) else None
        return found

    async def _cached(self, kind: type[_M], key: str) -> _M | None:
        if self._writer is None or time.monotonic() < self._avoid_until:
            return None
        try:
            value = await self._writer.read(PREFIXES[kind] + key)
            return None if value is None else msgspec.json.decode(value, type=kind)
        except Unavailable:
            # Whoever asked has waited for it; others need not, until the writer has seen it too.
            self._avoid_until = time.monotonic() + _AVOID_S
        except msgspec.DecodeError:
            # Somebody else's, under a name of ours.
            pass
        return None
