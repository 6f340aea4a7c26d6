"""What is given over the API to connect a gateway by: kept encrypted, once it has proved right."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.facts import gateway

from vnpy_core.data.gateway_settings import SettingRecord
from vnpy_core.data.read_model import ReadModel
from vnpy_core.enums import GatewayState
from vnpy_core.errors import NotFound, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Alert, Model
from vnpy_core.security.keys import KeyRing
from vnpy_core.trading.gateway_settings import GivenSettings

OLD, NEW = "the-old-key-of-forty-characters-or-so...", "the-new-key-of-forty-characters-or-so..."
PASSWORD = {"password": "open sesame"}


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.001)


class Database:
    def __init__(self) -> None:
        self.rows: dict[str, SettingRecord] = {}
        self.is_down = False

    def _require(self) -> None:
        if self.is_down:
            raise Unavailable("The database is down.")

    async def list(self) -> Sequence[SettingRecord]:
        self._require()
        return list(self.rows.values())

    async def save(self, record: SettingRecord) -> None:
        self._require()
        self.rows[record.gateway_name] = record

    async def remove(self, gateway_name: str) -> None:
        self._require()
        self.rows.pop(gateway_name, None)


class Pipeline:
    def __init__(self) -> None:
        self.state = ReadModel()
        self._callbacks: list[Callable[[Sequence[Event]], None]] = []

    def emit(self, model: Model) -> None:
        events = [Event(model)]
        self.state.apply(events)
        for callback in self._callbacks:
            callback(events)

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self._callbacks.append(callback)

    def raised(self) -> list[str]:
        alerts = [event.data for event in self.state.alerts.values()]
        return [alert.key for alert in alerts if isinstance(alert, Alert) and not alert.resolved]


class Starts:
    """A service that starts again and again on the same database and folder."""

    def __init__(self, folder: Path) -> None:
        self.database = Database()
        self.pipeline = Pipeline()
        self.copy = folder / "gateway_settings.json"

    async def start(self, *keys: str) -> GivenSettings:
        made = GivenSettings(
            self.database, KeyRing(keys or [OLD]), self.pipeline, self.pipeline.state.alerts, self.copy, retry_s=0.01
        )
        await made.open()
        return made

    async def connected(self, given: GivenSettings, **setting: object) -> None:
        given.trying("SIM", setting)
        self.pipeline.emit(gateway("SIM", GatewayState.CONNECTING))
        self.pipeline.emit(gateway("SIM"))

    async def saved(self) -> None:
        await eventually(lambda: "SIM" in self.database.rows)


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    return Starts(tmp_path)


async def test_what_has_led_to_a_connection_is_there_after_a_restart_and_nowhere_to_be_read(starts: Starts) -> None:
    given = await starts.start()
    await starts.connected(given, **PASSWORD, speed=2)
    await starts.saved()
    assert given.over("SIM", {"speed": 3}) == {**PASSWORD, "speed": 3}
    (told,) = given.kept()
    assert (told.names, told.readable) == (["password", "speed"], True)
    await given.close()

    again = await starts.start()
    assert again.over("SIM", None) == {**PASSWORD, "speed": 2}
    assert again.over("OTHER", None) == {}
    kept = starts.copy.read_text() + starts.database.rows["SIM"].setting
    assert "sesame" not in kept
    assert "password" not in kept
    await again.close()


async def test_a_setting_that_led_to_no_connection_is_forgotten(starts: Starts) -> None:
    given = await starts.start()
    given.trying("SIM", {"password": "wrong"})
    starts.pipeline.emit(gateway("SIM", GatewayState.FAILED))
    given.trying("SIM", None)
    starts.pipeline.emit(gateway("SIM"))
    assert given.over("SIM", None) == {}
    assert given.kept() == []
    await given.close()


async def test_without_its_key_nothing_is_made_up(starts: Starts) -> None:
    given = await starts.start(OLD)
    await starts.connected(given, **PASSWORD)
    await starts.saved()
    await given.close()

    other = await starts.start(NEW)
    with pytest.raises(Unavailable) as refused:
        other.over("SIM", None)
    assert refused.value.error_code == "gateway_setting_unreadable"
    assert "security.key" in refused.value.detail
    assert [(told.names, told.readable) for told in other.kept()] == [([], False)]
    assert starts.pipeline.raised() == ["gateway_setting.SIM"]
    assert other.over("SIM", {"password": "given anew"}) == {"password": "given anew"}
    await other.close()

    right = await starts.start(OLD)
    assert right.over("SIM", None) == PASSWORD
    assert starts.pipeline.raised() == []
    await right.close()


async def test_what_is_given_anew_takes_the_place_of_what_cannot_be_read(starts: Starts) -> None:
    given = await starts.start(OLD)
    await starts.connected(given, **PASSWORD)
    await starts.saved()
    await given.close()
    other = await starts.start(NEW)
    await starts.connected(other, password="given anew")
    assert other.over("SIM", None) == {"password": "given anew"}
    assert starts.pipeline.raised() == []
    await other.close()


async def test_a_key_can_be_rotated_and_the_old_one_dropped(starts: Starts) -> None:
    given = await starts.start(OLD)
    await starts.connected(given, **PASSWORD)
    await starts.saved()
    await given.close()
    of_old = starts.database.rows["SIM"]
    both = await starts.start(NEW, OLD)
    await eventually(lambda: starts.database.rows["SIM"] != of_old)
    await both.close()
    assert (await starts.start(NEW)).over("SIM", None) == PASSWORD


async def test_a_database_that_is_down_loses_nothing(starts: Starts) -> None:
    given = await starts.start()
    starts.database.is_down = True
    await starts.connected(given, **PASSWORD)
    await eventually(starts.copy.exists)
    await given.close()
    again = await starts.start()
    assert again.over("SIM", None) == PASSWORD
    starts.database.is_down = False
    await again.close()
    third = await starts.start()
    await starts.saved()
    assert third.over("SIM", None) == PASSWORD
    await third.close()


async def test_what_is_forgotten_stays_forgotten(starts: Starts) -> None:
    given = await starts.start()
    await starts.connected(given, **PASSWORD)
    await starts.saved()
    starts.database.is_down = True
    with pytest.raises(Unavailable):
        await given.forget("SIM")
    assert given.over("SIM", None) == PASSWORD
    starts.database.is_down = False
    await given.forget("SIM")
    assert given.over("SIM", None) == {}
    with pytest.raises(NotFound):
        await given.forget("SIM")
    await given.close()
    assert (await starts.start()).kept() == []
    assert json.loads(starts.copy.read_text()) == {}
