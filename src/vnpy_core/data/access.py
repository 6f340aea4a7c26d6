"""The SQL of who may come in: users, API keys, sessions, and the audit log."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping, Table, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import access_revision, api_keys, audit_log, sessions, users
from vnpy_core.enums import Role, Scope
from vnpy_core.errors import Conflict
from vnpy_core.models import AuditEntry, Timestamp


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user. ``link_hash`` is that of the one login link that is good now; secrets are encrypted."""

    username: str
    role: Role
    disabled: bool = False
    password_hash: str | None = None
    totp_secret: str | None = None
    totp_confirmed: bool = False
    totp_step: int = 0
    link_hash: str | None = None
    link_expires: Timestamp | None = None
    created: Timestamp
    password_changed: Timestamp | None = None


class ApiKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of ``username``; the key itself is not kept. ``networks``: where it may be used; empty: anywhere."""

    key_id: str
    username: str
    name: str
    key_hash: str
    scopes: list[Scope]
    networks: list[str]
    created: Timestamp
    expires: Timestamp | None = None
    last_used: Timestamp | None = None
    revoked: Timestamp | None = None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A login: all that comes of it by refreshing. ``refresh_hash`` is that of the one token that is good now."""

    session_id: str
    username: str
    refresh_hash: str
    address: str
    client: str
    created: Timestamp
    expires: Timestamp
    last_used: Timestamp
    revoked: Timestamp | None = None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; each that is given must hold. ``action`` is what it begins with."""

    actor: str | None = None
    action: str | None = None
    request_id: str | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None


class StoredEntry(AuditEntry, frozen=True, kw_only=True, gc=False):
    """An entry, and when it was made."""

    ts: Timestamp


class AccessState(msgspec.Struct, frozen=True):
    """All that decides who may come in, as of ``revision``."""

    revision: int
    users: list[UserRecord]
    api_keys: list[ApiKeyRecord]
    sessions: list[SessionRecord]


Record = UserRecord | ApiKeyRecord | SessionRecord
R = TypeVar("R", UserRecord, ApiKeyRecord, SessionRecord)

_TABLES: Mapping[type[Record], Table] = {UserRecord: users, ApiKeyRecord: api_keys, SessionRecord: sessions}


class AccessRepository:
    """Each change counts up the revision, but what is only noted for people (``note``)."""

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    async def revision(self) -> int:
        async with self._database.session(read_only=True) as session:
            return await _revision(session)

    async def load(self, now: Timestamp) -> AccessState:
        """Return all users, and the API keys and sessions that are good at ``now`` or may be again."""
        async with self._database.session(read_only=True) as session:
            return AccessState(
                await _revision(session),
                await _all(session, UserRecord),
                await _all(session, ApiKeyRecord),
                await _all(session, SessionRecord, sessions.c.revoked.is_(None), sessions.c.expires > now),
            )

    async def add(self, record: Record) -> None:
        """Raises: Conflict if there is one of its name."""
        table = _TABLES[type(record)]
        async with self._database.session() as session:
            try:
                await session.execute(insert(table), msgspec.to_builtins(record))
            except IntegrityError as error:
                raise Conflict(f"There is already {_key(table, record)!r} in {table.name}.") from error
            await _count_up(session)

    async def change(
        self, kind: type[Record], key: str, changes: Mapping[str, Any], only_if: Mapping[str, Any] | None = None
    ) -> bool:
        """Change one record if its columns are as ``only_if`` says, and return whether it was."""
        async with self._database.session() as session:
            statement = _update(kind, key, changes)
            for name, value in (only_if or {}).items():
                statement = statement.where(_TABLES[kind].columns[name] == value)
            changed = await session.execute(statement)
            if changed.rowcount:
                await _count_up(session)
            return bool(changed.rowcount)

    async def note(self, kind: type[Record], changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Change some records in what decides nothing, such as when a key was last used."""
        async with self._database.session() as session:
            for key, values in changes.items():
                await session.execute(_update(kind, key, values))

    async def append(self, entry: AuditEntry, ts: Timestamp) -> None:
        """Add an entry that does not come by the journal."""
        async with self._database.session() as session:
            await session.execute(insert(audit_log), msgspec.to_builtins(entry) | {"seq": 0, "ts": ts})

    async def entries(self, which: AuditFilter, before: str | None, limit: int) -> Sequence[StoredEntry]:
        """Return at most ``limit`` entries, newest first, of those before the one named ``before``."""
        columns = audit_log.c
        statement = select(audit_log).order_by(columns.audit_id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(columns.audit_id < before)
        for column, wanted in ((columns.actor, which.actor), (columns.request_id, which.request_id)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if which.action is not None:
            statement = statement.where(columns.action.startswith(which.action, autoescape=True))
        if which.since is not None:
            statement = statement.where(columns.ts >= which.since)
        if which.until is not None:
            statement = statement.where(columns.ts < which.until)
        async with self._database.session(read_only=True) as session:
            found = await session.execute(statement)
            return [_record(row, StoredEntry) for row in found.mappings()]


def _update(kind: type[Record], key: str, changes: Mapping[str, Any]) -> Any:
    table = _TABLES[kind]
    (name,) = table.primary_key.columns.keys()
    return update(table).where(table.columns[name] == key).values(dict(changes))


def _key(table: Table, record: Record) -> str:
    (name,) = table.primary_key.columns.keys()
    return str(getattr(record, name))


async def _revision(session: AsyncConnection) -> int:
    return (await session.scalar(select(access_revision.c.revision))) or 0


async def _count_up(session: AsyncConnection) -> None:
    counted = await session.execute(update(access_revision).values(revision=access_revision.c.revision + 1))
    if counted.rowcount == 0:
        await session.execute(insert(access_revision), {"id": 1, "revision": 1})


async def _all(session: AsyncConnection, kind: type[R], *conditions: Any) -> list[R]:
    found = await session.execute(select(_TABLES[kind]).where(*conditions))
    return [_record(row, kind) for row in found.mappings()]


_S = TypeVar("_S", bound=msgspec.Struct)


def _record(row: RowMapping, kind: type[_S]) -> _S:
    return msgspec.convert({field: row[field] for field in kind.__struct_fields__}, kind)
