"""What holds for users, API keys, sessions and the audit log in every SQL database, and for the store in memory."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete
from tests.memory_access import MemoryAccess

from vnpy_core.data.access import AccessRepository, ApiKeyRecord, AuditFilter, SessionRecord, UserRecord
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.gateway_settings import GatewaySettingRepository, SettingRecord
from vnpy_core.data.tables import metadata
from vnpy_core.enums import Role, Scope
from vnpy_core.errors import Conflict
from vnpy_core.models import AuditEntry
from vnpy_core.security.directory import AccessStore

NOW, LATER = "2026-01-05T01:30:00.000000+00:00", "2026-02-05T01:30:00.000000+00:00"
USER = UserRecord(username="desk", role=Role.TRADER, created=NOW)
KEY = ApiKeyRecord(
    key_id="k1", username="desk", name="of 期货", key_hash="a" * 64, scopes=[Scope.TRADING_READ], networks=["::1/128"],
    created=NOW,
)  # fmt: skip
SESSION = SessionRecord(
    session_id="s1", username="desk", refresh_hash="b" * 64, address="::1", client="x", created=NOW, expires=LATER,
    last_used=NOW,
)  # fmt: skip


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
    yield manager
    await manager.close()


@pytest.fixture(params=["sql", "memory"])
def store(request: pytest.FixtureRequest, database: DatabaseManager) -> AccessStore:
    return MemoryAccess() if request.param == "memory" else AccessRepository(database)


async def test_what_is_added_comes_back_as_it_was(store: AccessStore) -> None:
    for record in (USER, KEY, SESSION):
        await store.add(record)
    state = await store.load(NOW)
    assert (state.users, state.api_keys, state.sessions) == ([USER], [KEY], [SESSION])
    assert state.revision == await store.revision()


async def test_a_name_is_taken_once(store: AccessStore) -> None:
    await store.add(USER)
    before = await store.revision()
    with pytest.raises(Conflict):
        await store.add(USER)
    assert await store.revision() == before


async def test_each_change_counts_and_notes_do_not(store: AccessStore) -> None:
    await store.add(KEY)
    before = await store.revision()
    await store.note(ApiKeyRecord, {"k1": {"last_used": LATER}})
    assert await store.revision() == before
    assert await store.change(ApiKeyRecord, "k1", {"revoked": LATER}, {"revoked": None})
    assert await store.revision() > before
    assert (await store.load(NOW)).api_keys == [msgspec.structs.replace(KEY, last_used=LATER, revoked=LATER)]


@pytest.mark.parametrize(
    ("key", "only_if"), [("s2", {}), ("s1", {"refresh_hash": "c" * 64}), ("s1", {"revoked": NOW})]
)
async def test_what_is_otherwise_is_not_changed(store: AccessStore, key: str, only_if: dict[str, Any]) -> None:
    await store.add(SESSION)
    before = await store.revision()
    assert not await store.change(SessionRecord, key, {"refresh_hash": "d" * 64}, only_if)
    assert (await store.load(NOW)).sessions == [SESSION]
    assert await store.revision() == before


async def test_sessions_that_have_ended_are_not_read(store: AccessStore) -> None:
    await store.add(SESSION)
    assert (await store.load(LATER)).sessions == []
    await store.change(SessionRecord, "s1", {"revoked": NOW})
    assert (await store.load(NOW)).sessions == []


async def test_entries_are_found_newest_first_and_page_by_page(store: AccessStore) -> None:
    entries = [
        AuditEntry(
            audit_id=f"{number:04x}", actor="desk" if number % 2 else "admin", credential="cli", address="", action="a",
            status=200, request_id="",
        )
        for number in range(5)
    ]  # fmt: skip
    for entry in entries:
        await store.append(entry, NOW)
    everything = AuditFilter()
    assert [e.audit_id for e in await store.entries(everything, None, 3)] == ["0004", "0003", "0002"]
    assert [e.audit_id for e in await store.entries(everything, "0002", 3)] == ["0001", "0000"]
    found = await store.entries(AuditFilter(actor="desk"), None, 10)
    assert [(e.audit_id, e.ts) for e in found] == [("0003", NOW), ("0001", NOW)]


async def test_entries_are_found_by_each_filter(database: DatabaseManager) -> None:
    store = AccessRepository(database)
    for number, (action, request_id, ts) in enumerate((("POST /a_b", "r1", NOW), ("POST /axb", "r2", LATER))):
        entry = AuditEntry(
            audit_id=str(number), actor="desk", credential="cli", address="", action=action, status=200,
            request_id=request_id,
        )  # fmt: skip
        await store.append(entry, ts)
    for which, expected in (
        (AuditFilter(action="POST /a_b"), ["0"]), (AuditFilter(action="POST"), ["1", "0"]),
        (AuditFilter(request_id="r2"), ["1"]), (AuditFilter(since=LATER), ["1"]), (AuditFilter(until=LATER), ["0"]),
        (AuditFilter(actor="DESK"), []),
    ):  # fmt: skip
        assert [entry.audit_id for entry in await store.entries(which, None, 10)] == expected, which


async def test_a_gateways_setting_is_replaced_and_removed(database: DatabaseManager) -> None:
    settings = GatewaySettingRepository(database)
    for token in ("gAAAA-first", "gAAAA-second"):
        await settings.save(SettingRecord(gateway_name="CTP", setting=token, updated=NOW))
    await settings.save(SettingRecord(gateway_name="ctp", setting="another", updated=LATER))
    assert sorted((row.gateway_name, row.setting, row.updated) for row in await settings.list()) == [
        ("CTP", "gAAAA-second", NOW), ("ctp", "another", LATER)
    ]  # fmt: skip
    await settings.remove("CTP")
    await settings.remove("CTP")
    assert [row.gateway_name for row in await settings.list()] == ["ctp"]
