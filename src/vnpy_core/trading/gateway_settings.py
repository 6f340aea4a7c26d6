"""GivenSettings: what was given over the API to connect gateways by, kept encrypted for the next start."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vnpy_core.config.json_file import replace_json
from vnpy_core.data.gateway_settings import SettingRecord
from vnpy_core.enums import GatewayState
from vnpy_core.errors import CoreError, NotFound, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Alert, GatewayStatus, Model, now_timestamp
from vnpy_core.trading.results import GivenSetting

logger = logging.getLogger(__name__)

RETRY_S = 5.0


class Store(Protocol):
    """``data.gateway_settings.GatewaySettingRepository`` is one."""

    async def list(self) -> Sequence[SettingRecord]: ...
    async def save(self, record: SettingRecord) -> None: ...
    async def remove(self, gateway_name: str) -> None: ...


class Cipher(Protocol):
    """``security.keys.KeyRing`` is one."""

    def encrypt(self, text: str) -> str: ...
    def decrypt(self, token: str) -> str: ...
    def is_of_newest(self, token: str) -> bool: ...


class Alerts(Protocol):
    """The read model's."""

    def get(self, key: str) -> Event | None: ...


class Published(Protocol):
    def emit(self, model: Model) -> None: ...
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class GivenSettings:
    """Loop only. A setting is kept once it has led to a connection; a mistake in it is forgotten.

    ``copy`` is a file with the same rows, as encrypted: to start from while a database server is down, and to have what
    that does not take.
    """

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        pipeline: Published,
        alerts: Alerts,
        copy: Path | None,
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._store = store
        self._cipher = cipher
        self._pipeline = pipeline
        self._alerts = alerts
        self._copy = copy
        self._retry_s = retry_s
        self._records: dict[str, SettingRecord] = {}
        self._plain: dict[str, dict[str, Any]] = {}
        self._tried: dict[str, dict[str, Any]] = {}
        self._unsaved: set[str] = set()
        self._saving: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        pipeline.subscribe(self._on_events)

    async def open(self) -> None:
        """Read what is kept, before any gateway is connected. What an older key has encrypted is encrypted anew."""
        self._records = {record.gateway_name: record for record in _read(self._copy)}
        try:
            stored = {record.gateway_name: record for record in await self._store.list()}
        except Unavailable as error:
            logger.warning("%s Gateways are connected by the copy of their settings", error.detail)
        else:
            for name, record in stored.items():
                if name not in self._records or record.updated >= self._records[name].updated:
                    self._records[name] = record
            self._unsaved |= {name for name, record in self._records.items() if stored.get(name) != record}
        for name, record in self._records.items():
            try:
                self._plain[name] = msgspec.json.decode(self._cipher.decrypt(record.setting), type=dict[str, Any])
            except (Unavailable, msgspec.DecodeError):
                logger.error("%s", self._why_unreadable(name))
                self._alert(name, self._why_unreadable(name))
                continue
            self._alert(name, None)
            if not self._cipher.is_of_newest(record.setting):
                self._encrypt(name)
        if self._records:
            await self._write_copy()
        self._save_soon()

    def over(self, name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what goes over the configured setting of a gateway: what is kept, and ``given`` over that.

        Raises:
            Unavailable: what is kept cannot be decrypted (``gateway_setting_unreadable``), and nothing else is given.
        """
        if self.problem(name) is not None and not given:
            raise Unavailable(self._why_unreadable(name), code="gateway_setting_unreadable")
        return self._plain.get(name, {}) | dict(given or {})

    def problem(self, name: str) -> str | None:
        """Return why the gateway cannot be connected by what is kept of it."""
        return self._why_unreadable(name) if name in self._records and name not in self._plain else None

    def trying(self, name: str, given: Mapping[str, Any] | None) -> None:
        """Take note of what an attempt to connect was given."""
        self._tried[name] = dict(given or {})

    def kept(self) -> Sequence[GivenSetting]:
        """Return what is kept, by gateway."""
        return [
            GivenSetting(
                gateway_name=name, names=sorted(self._plain.get(name, {})), updated=record.updated,
                readable=name in self._plain,
            )
            for name, record in sorted(self._records.items())
        ]  # fmt: skip

    async def forget(self, name: str) -> None:
        """Keep nothing of a gateway any more: it is connected next as it is configured.

        Raises:
            NotFound: nothing is kept of it (``no_given_setting``).
            Unavailable: it is still in the database.
        """
        if name not in self._records:
            raise NotFound(f"No setting of a gateway {name!r} was given over the API.", code="no_given_setting")
        async with self._writing:
            await self._store.remove(name)
            self._unsaved.discard(name)
            self._tried.pop(name, None)
            del self._records[name]
            self._plain.pop(name, None)
            await self._write_copy()
        self._alert(name, None)
        logger.warning("The setting of gateway %s that was given over the API was forgotten", name)

    async def close(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            status = event.data
            if not isinstance(status, GatewayStatus) or status.state is not GatewayState.CONNECTED:
                continue
            given, name = self._tried.pop(status.gateway_name, None), status.gateway_name
            if given and (name not in self._plain or self._plain[name] | given != self._plain[name]):
                self._plain[name] = self._plain.get(name, {}) | given
                self._encrypt(name)
                self._alert(name, None)
                self._save_soon()

    def _encrypt(self, name: str) -> None:
        token = self._cipher.encrypt(msgspec.json.encode(self._plain[name]).decode())
        self._records[name] = SettingRecord(gateway_name=name, setting=token, updated=now_timestamp())
        self._unsaved.add(name)

    def _save_soon(self) -> None:
        if self._unsaved and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().create_task(self._save(), name="save gateway settings")

    async def _save(self) -> None:
        """Write what is not written yet, to the copy at once, and to the database as soon as it is there."""
        warned = False
        while self._unsaved:
            try:
                async with self._writing:
                    await self._write_copy()
                    for name in list(self._unsaved):
                        record = self._records[name]
                        await self._store.save(record)
                        if self._records.get(name) is record:
                            self._unsaved.discard(name)
            except CoreError as error:
                if not warned:
                    logger.warning("Settings of gateways are not in the database yet: %s", error.detail)
                warned = True
                await asyncio.sleep(self._retry_s)

    async def _write_copy(self) -> None:
        if self._copy is None:
            return
        content = {name: msgspec.to_builtins(record) for name, record in self._records.items()}
        try:
            await asyncio.to_thread(replace_json, self._copy, content, durable=True)
        except OSError as error:
            logger.error("%s cannot be written: %s", self._copy, error)

    def _why_unreadable(self, name: str) -> str:
        return (
            f"What was given over the API to connect gateway {name} is encrypted with a key that is not among those of "
            "security.key. Add that key as a further line and start again; or give the setting anew "
            f"(POST /api/v1/trading/gateways/{name}/connect), or have it forgotten "
            f"(DELETE /api/v1/trading/gateway-settings/{name})."
        )

    def _alert(self, name: str, detail: str | None) -> None:
        alert_id = f"gateway_setting.{name}"
        known = self._alerts.get(alert_id)
        if detail is None and (known is None or not isinstance(known.data, Alert) or known.data.resolved):
            return
        summary = detail if detail is not None else f"What is kept to connect gateway {name} by can be used"
        self._pipeline.emit(
            Alert(
                alert_id=alert_id, severity="critical", summary=summary, datetime=now_timestamp(),
                resolved=detail is None,
            )
        )  # fmt: skip


def _read(copy: Path | None) -> Sequence[SettingRecord]:
    if copy is None or not copy.exists():
        return []
    try:
        return list(msgspec.json.decode(copy.read_bytes(), type=dict[str, SettingRecord]).values())
    except (OSError, msgspec.DecodeError) as error:
        logger.error("%s cannot be read: %s", copy, error)
        return []
