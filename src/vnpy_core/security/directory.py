"""Directory: the users, API keys and sessions in memory, as the database has them now.

Requests are judged by it alone. What this process changes is in it at once; what another one changes (the command
line, a second instance) within a second.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from vnpy_core.data.access import (
    AccessState,
    ApiKeyRecord,
    AuditFilter,
    Record,
    SessionRecord,
    StoredEntry,
    UserRecord,
)
from vnpy_core.errors import CoreError
from vnpy_core.models import AuditEntry, Timestamp, now_timestamp

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
# Not more often than this for credentials that nobody knows: whoever guesses must not keep the database busy.
_MISS_INTERVAL_S = 0.25
_NOTE_INTERVAL_S = 30.0


class AccessStore(Protocol):
    """``data.access.AccessRepository`` is one."""

    async def revision(self) -> int: ...
    async def load(self, now: Timestamp) -> AccessState: ...
    async def add(self, record: Record) -> None: ...
    async def change(
        self, kind: type[Record], key: str, changes: Mapping[str, Any], only_if: Mapping[str, Any] | None = None
    ) -> bool: ...
    async def note(self, kind: type[Record], changes: Mapping[str, Mapping[str, Any]]) -> None: ...
    async def append(self, entry: AuditEntry, ts: Timestamp) -> None: ...
    async def entries(self, which: AuditFilter, before: str | None, limit: int) -> Sequence[StoredEntry]: ...


class Directory:
    """Loop only. ``on_change`` is called after everything that may make a credential good or bad."""

    def __init__(self, store: AccessStore) -> None:
        self.store = store
        self.users: dict[str, UserRecord] = {}
        self.api_keys: dict[str, ApiKeyRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.on_change: list[Callable[[], None]] = []
        self.detail: str | None = "Users have not been read from the database yet."
        self._revision = -1
        self._reading = asyncio.Lock()
        self._asked_at = -_MISS_INTERVAL_S
        self._used: dict[str, Timestamp] = {}
        self._noted_at = time.monotonic()

    @property
    def is_known(self) -> bool:
        """The database has been read at least once."""
        return self._revision >= 0

    async def refresh(self) -> None:
        """Read what has changed.

        Raises:
            Unavailable: the database cannot be read; everything is as it was.
        """
        async with self._reading:
            try:
                if await self.store.revision() == self._revision:
                    self.detail = None
                    return
                state = await self.store.load(now_timestamp())
            except CoreError as error:
                self.detail = error.detail
                raise
            self.detail = None
            self._revision = state.revision
            self.users = {user.username: user for user in state.users}
            self.api_keys = {key.key_id: key for key in state.api_keys}
            self.sessions = {session.session_id: session for session in state.sessions}
        self._changed()

    async def refresh_for_a_miss(self) -> None:
        """Read what has changed because a credential is unknown that may have just been made; not too often."""
        if time.monotonic() - self._asked_at >= _MISS_INTERVAL_S:
            self._asked_at = time.monotonic()
            await self.refresh()

    async def add(self, record: Record) -> None:
        """Raises: Conflict if there is one of its name. Unavailable: it may not have been added."""
        await self.store.add(record)
        await self.refresh()

    async def change(
        self, kind: type[Record], key: str, changes: Mapping[str, Any], only_if: Mapping[str, Any] | None = None
    ) -> bool:
        """Change a record if it is as ``only_if`` says, and return whether it was; what depends on it knows at once.

        Raises:
            Unavailable: it may not have been changed.
        """
        done = await self.store.change(kind, key, changes, only_if)
        await self.refresh()
        return done

    def used(self, key_id: str) -> None:
        """Note that an API key has been used; the database is told of it by and by."""
        self._used[key_id] = now_timestamp()
        if (record := self.api_keys.get(key_id)) is not None:
            self.api_keys[key_id] = msgspec.structs.replace(record, last_used=self._used[key_id])

    async def watch(self) -> None:
        """Follow the changes that others make; never returns. A database that is down is asked again and again."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            told = self.detail
            try:
                await self.refresh()
                if time.monotonic() - self._noted_at >= _NOTE_INTERVAL_S:
                    await self.write_notes()
            except CoreError as error:
                if told is None:
                    logger.warning("Users are as they were last read: %s", error.detail)
            self._changed()  # what has expired meanwhile

    async def write_notes(self) -> None:
        """Tell the database when keys were last used."""
        self._noted_at = time.monotonic()
        used, self._used = self._used, {}
        if used:
            await self.store.note(ApiKeyRecord, {key_id: {"last_used": moment} for key_id, moment in used.items()})

    def _changed(self) -> None:
        for callback in self.on_change:
            callback()
