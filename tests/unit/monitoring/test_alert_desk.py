"""The desk keeps alerts on disk, tells everybody and the channels of them, and goes on after a restart."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.routers.memory_service import MemoryJournal

from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.config.alert_settings import AlertSettings, ChannelSettings
from vnpy_core.data.read_model import ReadModel
from vnpy_core.errors import Conflict, Invalid, NotFound, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Alert, AlertRule, Incident, Silence, now_timestamp
from vnpy_core.monitoring.alerts.administration import AlertAdministration
from vnpy_core.monitoring.alerts.channel import DeliveryFailed
from vnpy_core.monitoring.alerts.desk import AlertDesk
from vnpy_core.monitoring.alerts.evaluator import Readings
from vnpy_core.monitoring.alerts.message_gate import MessageGate
from vnpy_core.monitoring.alerts.texts import Message

QUICK = {"for_s": 0.0, "resolve_s": 0.0}
SETTINGS: dict[str, Any] = {
    "group_s": 0.0,
    "rules": dict.fromkeys(("gateway_down", "feed_mute", "disk_low", "journal", "risk_state"), QUICK),
    "channels": {
        "ops": {"url": "json://ops", "rate_per_min": 600, "retry_s": 0.01},
        "boss": {"url": "json://boss", "rate_per_min": 600, "min_severity": "critical", "rules": ["gateway_*"]},
    },
}
DOWN: Readings = {("vnpy_core_gateway_missing", (("gateway", "SIM"),)): 1.0}
FINE: Readings = {("vnpy_core_gateway_missing", (("gateway", "SIM"),)): 0.0}


async def eventually(found: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not found():  # noqa: ASYNC110 -- what is waited for happens on other threads
            await asyncio.sleep(0.005)


class Room:
    """A desk over a journal in memory; ``restart`` makes the next one of the same journal."""

    def __init__(self, **settings: Any) -> None:
        self.settings = AlertSettings.model_validate(SETTINGS | settings)
        self.journal = MemoryJournal()
        self.sent: list[tuple[str, Message]] = []
        self.accepts = threading.Event()
        self.accepts.set()
        self.public: list[Event] = []

    async def open(self) -> "Room":
        self.read_model = ReadModel()
        await self.read_model.restore(self.journal)
        self.pipeline = Pipeline(self.journal, self.read_model, backoff_s=(0.001, 0.01))
        self.pipeline.subscribe(self.public.extend)
        self.desk = AlertDesk(
            self.settings, self.pipeline, self.read_model.alerts, gateways=["SIM", "SIM.2"], make_sender=self.sender
        )
        await self.desk.open(self.journal)
        self.admin = AlertAdministration(self.desk)
        return self

    def sender(self, settings: ChannelSettings) -> Callable[[Message], None]:
        name = settings.url.get_secret_value().removeprefix("json://")

        def send(message: Message) -> None:
            if not self.accepts.is_set():
                raise DeliveryFailed("it was not taken")
            self.sent.append((name, message))

        return send

    async def close(self) -> None:
        await self.desk.close()
        await self.pipeline.close()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    async def settled(self, count: int) -> list[str]:
        """Return the titles that were sent, once there are ``count`` and the journal says so."""
        await eventually(lambda: len(self.sent) >= count and not self.outstanding())
        await self.pipeline.drain()
        return [f"{name} {message.title}" for name, message in self.sent]

    def outstanding(self) -> list[str]:
        return [each for incident in self.desk.book.incidents() for each in incident.outstanding]

    def told(self) -> list[tuple[str, str]]:
        return [(event.topic, event.data.key) for event in self.public if isinstance(event.data, Alert)]

    def states(self) -> list[str]:
        return [f"{each.alert_id} {each.state}" for each in self.admin.page()[0]]


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = await Room().open()
    yield made
    await made.close()


def raised(alert_id: str, *, resolved: bool = False, severity: str = "critical") -> Alert:
    return Alert(
        alert_id=alert_id, severity=severity, summary=f"{alert_id} says so", datetime=now_timestamp(), resolved=resolved
    )


async def test_it_is_told_once_to_whom_it_concerns_and_kept(room: Room) -> None:
    for readings in (FINE, DOWN, DOWN):
        room.desk.look(readings)
    titles = await room.settled(2)
    assert sorted(titles) == [
        "boss [CRITICAL] Gateway SIM is not connected", "ops [CRITICAL] Gateway SIM is not connected",
    ]  # fmt: skip
    for readings in (FINE, FINE):
        room.desk.look(readings)
    assert sorted((await room.settled(4))[2:]) == [
        "boss [RESOLVED] Gateway SIM is not connected", "ops [RESOLVED] Gateway SIM is not connected",
    ]  # fmt: skip
    assert room.told() == [("alert.raised", "gateway_down.SIM"), ("alert.resolved", "gateway_down.SIM")]
    (incident,) = room.admin.page()[0]
    assert set(incident.delivered) == {f"{name} {what}" for name in ("ops", "boss") for what in ("raised", "resolved")}
    kept = [event.data for event in room.journal.events if isinstance(event.data, Incident)]
    assert kept[-1] == incident
    assert incident.is_final


async def test_a_restart_repeats_nothing_that_was_delivered_and_forgets_nothing_that_was_not(room: Room) -> None:
    room.desk.look(DOWN)
    await room.settled(2)
    room.accepts.clear()
    room.pipeline.emit(raised("risk_state.SIM"))
    await eventually(lambda: room.desk.channels["ops"].status().healthy is False)
    await room.restart()
    assert room.states() == ["risk_state.SIM FIRING", "gateway_down.SIM FIRING"]
    room.accepts.set()
    assert (await room.settled(3))[2:] == ["ops [CRITICAL] risk_state.SIM says so"]
    room.desk.look(DOWN)
    room.pipeline.emit(raised("risk_state.SIM"))  # told again by who finds it, as after each start
    await room.restart()
    room.desk.look(FINE)  # the gateway may only not have been looked at yet
    assert room.states() == ["risk_state.SIM FIRING", "gateway_down.SIM FIRING"]
    room.pipeline.emit(raised("risk_state.SIM", resolved=True))
    assert (await room.settled(4))[3:] == ["ops [RESOLVED] risk_state.SIM says so"]
    assert room.told()[:3] == [
        ("alert.raised", "gateway_down.SIM"), ("alert.raised", "risk_state.SIM"), ("alert.raised", "risk_state.SIM"),
    ]  # fmt: skip


async def test_what_a_restart_has_ended_is_resolved_in_time() -> None:
    room = await Room(restart_s=0.0).open()
    room.pipeline.emit(raised("event_queue_depth"))
    await room.settled(1)
    await room.restart()
    room.desk.look({})
    await room.settled(2)
    assert room.told() == [("alert.raised", "event_queue_depth"), ("alert.resolved", "event_queue_depth")]
    await room.close()


async def test_that_the_disk_is_full_is_told_while_nothing_can_be_written(room: Room) -> None:
    room.journal.full = True
    room.pipeline.emit(raised("journal"))
    await eventually(lambda: room.sent)
    assert room.sent[0][1].title == "[CRITICAL] journal says so"
    assert room.public == []
    with pytest.raises(Unavailable):
        await room.admin.add_silence({}, None, 60, "x", "desk")
    assert room.admin.silences() == []
    room.journal.full = False
    room.pipeline.emit(raised("journal", resolved=True))
    await room.settled(2)
    assert room.told() == [("alert.raised", "journal"), ("alert.resolved", "journal")]


async def test_alerts_of_other_parts_have_rules_labels_and_severities(room: Room) -> None:
    for alert_id in ("drift.SIM.2.rb2605.SHFE", "reconciliation.SIM", "risk_state.*", "strange", "strategy.failed.a.b"):
        room.pipeline.emit(raised(alert_id, severity="warning"))
    found = {each.alert_id: (each.rule, each.labels) for each in room.admin.page()[0]}
    assert found == {
        "drift.SIM.2.rb2605.SHFE": ("drift", {"gateway": "SIM.2", "vt_symbol": "rb2605.SHFE"}),
        "reconciliation.SIM": ("reconciliation", {"gateway": "SIM"}),
        "risk_state.*": ("risk_state", {"gateway": "*"}),
        "strange": ("strange", {}),
        "strategy.failed.a.b": ("strategy_failed", {"strategy": "a.b"}),
    }
    severities = {each.rule: each.severity for each in room.admin.page()[0]}
    assert severities["risk_state"] == "critical"  # the configuration has said something of the rule
    assert severities["drift"] == "warning"
    await room.admin.set_rule("drift", {"enabled": False}, "desk")
    room.pipeline.emit(raised("drift.SIM.au2606.SHFE"))
    assert "drift.SIM.au2606.SHFE" not in {each.alert_id for each in room.admin.page()[0]}


async def test_rules_are_set_over_the_api_and_stay(room: Room) -> None:
    with pytest.raises(NotFound):
        room.admin.rule("mine")
    with pytest.raises(Invalid):
        await room.admin.set_rule("mine", {"kind": "threshold", "metric": "m"}, "desk")
    made = await room.admin.set_rule("mine", {"kind": "threshold", "metric": "m", "title": "M is {value}"}, "desk")
    assert (made.source, made.updated_by) == ("api", "desk")
    await room.admin.set_rule("gateway_down", {"enabled": False}, "desk")
    await room.restart()
    room.desk.look({**DOWN, ("m", ()): 7.0})
    assert room.states() == ["mine FIRING"]
    assert await room.settled(1) == ["ops [WARNING] M is 7"]
    await room.admin.remove_rule("mine", "desk")
    assert (await room.settled(2))[1:] == ["ops [RESOLVED] M is 7"]
    with pytest.raises(NotFound):
        room.admin.rule("mine")
    await room.admin.remove_rule("gateway_down", "desk")
    assert room.admin.rule("gateway_down").source == "configuration"
    with pytest.raises(Conflict):
        await room.admin.remove_rule("gateway_down", "desk")
    assert [event.data.removed for event in room.journal.events if isinstance(event.data, AlertRule)] == [
        False, False, True, True,
    ]  # fmt: skip


async def test_a_silence_holds_over_a_restart_until_it_is_ended(room: Room) -> None:
    silence = await room.admin.add_silence({"gateway": "SIM"}, None, 3600, "maintenance", "desk")
    await room.restart()
    assert room.admin.silences() == [silence]
    room.desk.look(DOWN)
    assert room.states() == ["gateway_down.SIM SILENCED"]
    (incident,) = room.admin.page()[0]
    assert incident.silenced_by == silence.silence_id
    ended = await room.admin.end_silence(silence.silence_id)
    assert ended.over
    assert len(await room.settled(2)) == 2
    with pytest.raises(NotFound):
        await room.admin.end_silence(silence.silence_id)
    await room.admin.silence_alert(incident.incident_id, 0.001, "x", "desk")
    await eventually(lambda: room.desk.look(DOWN) is None and not room.admin.silences())  # its time passes
    await room.pipeline.drain()
    silences = [event.data for event in room.journal.events if isinstance(event.data, Silence)]
    assert [each.over for each in silences] == [False, True, False, True]


async def test_messages_of_strategies_are_delivered_once_at_a_rate() -> None:
    room = await Room(messages_per_min=2).open()
    for number in range(1000):
        room.desk.messages.offer_threadsafe("demo", f"text {number}")
    room.desk.messages.offer_threadsafe("other", "text")
    await eventually(lambda: len(room.admin.page()[0]) == 3 and not room.outstanding())
    await room.pipeline.drain()
    text = "\n".join(f"{message.title}\n{message.body}" for name, message in room.sent if name == "ops")
    assert [text.count(each) for each in ("text 0", "text 1", "text 2", "other")] == [1, 1, 0, 2]
    await room.restart()
    await room.close()
    assert sum("text 0" in message.body for _, message in room.sent) == 2  # one for each of the channels


def test_what_a_rate_leaves_out_is_counted() -> None:
    now, passed = [0.0], []
    gate = MessageGate(lambda sender, text: passed.append((sender, text)), 2, clock=lambda: now[0])
    for number in range(5):
        gate.offer_threadsafe("demo", f"{number}")
    gate.flush()
    now[0] = 31.0
    gate.flush()
    now[0] = 62.0
    gate.offer_threadsafe("demo", "5")
    assert passed == [("demo", "0"), ("demo", "1"), ("demo", "(+3)"), ("demo", "5")]
    for number in range(2000):
        gate.offer_threadsafe(f"sender {number}", "x")
    assert len({sender for sender, _ in passed}) < 600


async def test_a_failing_reading_ends_nothing(room: Room) -> None:
    readings = [FINE, DOWN]

    def read() -> Readings:
        if not readings:
            raise ValueError("x")
        return readings.pop(0)

    room.desk._settings = room.settings.model_copy(update={"evaluate_s": 0.001})
    running = asyncio.create_task(room.desk.run(read))
    await eventually(lambda: room.desk._failures > 3)
    assert room.states() == ["gateway_down.SIM FIRING"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_pages_are_newest_first_and_filtered(room: Room) -> None:
    for number in range(5):
        room.pipeline.emit(raised(f"strange.{number}", severity="warning" if number % 2 else "critical"))
    room.pipeline.emit(raised("strange.4", resolved=True))
    first, cursor = room.admin.page(limit=2)
    assert [each.alert_id for each in first] == ["strange.4", "strange.3"]
    second, cursor = room.admin.page(limit=3, cursor=cursor)
    assert ([each.alert_id for each in second], cursor) == (["strange.2", "strange.1", "strange.0"], None)
    assert len(room.admin.page(active=True)[0]) == 4
    assert len(room.admin.page(severity="warning")[0]) == 2
    with pytest.raises(Invalid):
        room.admin.page(cursor="orders-1")
    noted = room.admin.acknowledge(first[1].incident_id, "on it", "desk")
    assert (noted.state, noted.note) == ("ACKNOWLEDGED", "on it")
    with pytest.raises(Conflict):
        room.admin.acknowledge(first[0].incident_id, "", "desk")
    with pytest.raises(NotFound):
        room.admin.get("0" * 16)


async def test_without_alerts_nothing_is_left_open() -> None:
    room = await Room().open()
    room.pipeline.emit(raised("journal"))
    await room.settled(1)
    room.settings = AlertSettings(enabled=False)
    await room.restart()
    await room.pipeline.drain()
    assert room.told()[-1] == ("alert.resolved", "journal")
    await room.close()
