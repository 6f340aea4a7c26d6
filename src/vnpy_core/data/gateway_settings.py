"""The SQL of gateway settings that were given over the API; what they say is encrypted before it comes here."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Delete, delete, insert, select

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import gateway_settings
from vnpy_core.models import Timestamp


class SettingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``setting`` is encrypted."""

    gateway_name: str
    setting: str
    updated: Timestamp


class GatewaySettingRepository:
    """Each method is a transaction, and raises Unavailable if the database is down."""

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    async def list(self) -> Sequence[SettingRecord]:
        async with self._database.session(read_only=True) as session:
            found = await session.execute(select(gateway_settings))
            return [SettingRecord(**row) for row in found.mappings()]

    async def save(self, record: SettingRecord) -> None:
        async with self._database.session() as session:
            await session.execute(_of(record.gateway_name))
            await session.execute(insert(gateway_settings), msgspec.to_builtins(record))

    async def remove(self, gateway_name: str) -> None:
        async with self._database.session() as session:
            await session.execute(_of(gateway_name))


def _of(gateway_name: str) -> Delete:
    return delete(gateway_settings).where(gateway_settings.c.gateway_name == gateway_name)
