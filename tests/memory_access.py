"""Users, API keys and sessions in memory, in place of the database; ``down`` makes it unavailable."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from vnpy_core.data.access import AccessState, ApiKeyRecord, AuditFilter, Record, SessionRecord, StoredEntry, UserRecord
from vnpy_core.errors import Conflict, Unavailable
from vnpy_core.models import AuditEntry, Timestamp

_KEYS: Mapping[type[Record], str] = {UserRecord: "username", ApiKeyRecord: "key_id", SessionRecord: "session_id"}


class MemoryAccess:
    """An ``AccessStore``."""

    def __init__(self) -> None:
        self.records: dict[tuple[type[Record], str], Record] = {}
        self.log: list[StoredEntry] = []
        self.counted = 0
        self.down = False

    async def revision(self) -> int:
        self._require_up()
        return self.counted

    async def load(self, now: Timestamp) -> AccessState:
        self._require_up()
        sessions = [s for s in self._of(SessionRecord) if s.revoked is None and s.expires > now]
        return AccessState(self.counted, self._of(UserRecord), self._of(ApiKeyRecord), sessions)

    async def add(self, record: Record) -> None:
        self._require_up()
        place = type(record), getattr(record, _KEYS[type(record)])
        if place in self.records:
            raise Conflict(f"There is already {place[1]!r}.")
        self.records[place] = record
        self.counted += 1

    async def change(
        self, kind: type[Record], key: str, changes: Mapping[str, Any], only_if: Mapping[str, Any] | None = None
    ) -> bool:
        self._require_up()
        record = self.records.get((kind, key))
        if record is None or any(getattr(record, name) != value for name, value in (only_if or {}).items()):
            return False
        self.records[kind, key] = msgspec.structs.replace(record, **changes)
        self.counted += 1
        return True

    async def note(self, kind: type[Record], changes: Mapping[str, Mapping[str, Any]]) -> None:
        for key, values in changes.items():
            self.records[kind, key] = msgspec.structs.replace(self.records[kind, key], **values)

    async def append(self, entry: AuditEntry, ts: Timestamp) -> None:
        self.log.append(StoredEntry(**msgspec.structs.asdict(entry), ts=ts))

    async def entries(self, which: AuditFilter, before: str | None, limit: int) -> Sequence[StoredEntry]:
        found = [entry for entry in reversed(self.log) if before is None or entry.audit_id < before]
        return [entry for entry in found if which.actor in (None, entry.actor)][:limit]

    def _of(self, kind: type[Record]) -> list[Any]:
        return [record for (its, _), record in self.records.items() if its is kind]

    def _require_up(self) -> None:
        if self.down:
            raise Unavailable("The database is down.")
