"""Commands of the bus: who may command, what is done, and that a repeated one is answered and not done again."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from tests.unit.routers.memory_service import MemoryService

from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.data.journal_file import JournalRecord, Latest
from vnpy_core.errors import OutcomeUnknown, Unavailable
from vnpy_core.models import CommandRecord, to_timestamp
from vnpy_core.ports import BusCommand
from vnpy_core.routers.commands import CommandDesk, sign

SECRET = "a secret of the desk"
SETTINGS = BusSettings(commands="on", secret=SecretStr(SECRET), command_max_age_s=30)
SUBMIT = "command.order.submit"
ORDER = {
    "gateway_name": "SIM", "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN",
    "type": "LIMIT", "price": 3500.0, "volume": 1.0,
}  # fmt: skip


class Records:
    """The journal's memory of commands, of what a memory service has journaled."""

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    async def latest(self, kind: str, newest: int) -> list[Latest]:
        events = [event for event in self._service.journal.events if event.topic == kind]
        return [
            Latest(event.seq or 0, JournalRecord(event.seq or 0, event.topic, event.ts, event.payload))
            for event in events
        ]


class Sender:
    """Another service that knows the secret."""

    def __init__(self, desk: CommandDesk) -> None:
        self.desk = desk

    async def send(
        self, topic: str, data: Any, command_id: str = "c-1", *, age_s: float = 0.0, secret: str = SECRET
    ) -> dict[str, Any]:
        ts = to_timestamp(datetime.now(UTC) - timedelta(seconds=age_s))
        return await self.send_raw(topic, {"command_id": command_id, "ts": ts, "data": data}, secret=secret)

    async def send_raw(self, topic: str, body: Any, *, secret: str = SECRET) -> dict[str, Any]:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        signature = sign(secret.encode(), f"vnpy_core.{topic}", raw)
        return await self.send_signed(topic, raw, signature)

    async def send_signed(self, topic: str, raw: bytes, signature: str) -> dict[str, Any]:
        return msgspec.json.decode(await self.desk(BusCommand(topic, raw, signature, "")))


@pytest.fixture
def desk(service: MemoryService) -> CommandDesk:
    return CommandDesk(service, service.pipeline, SETTINGS)


@pytest.fixture
def sender(desk: CommandDesk) -> Sender:
    return Sender(desk)


def sent(service: MemoryService) -> int:
    return service.engine.count


async def test_an_order_is_sent_and_answered_as_by_rest(service: MemoryService, sender: Sender) -> None:
    answer = await sender.send(SUBMIT, ORDER)
    assert (answer["command_id"], answer["status"]) == ("c-1", 201)
    assert answer["data"]["vt_orderid"] == "SIM.1"
    assert answer["data"]["order"]["status"] == "NOTTRADED"
    # Without one of its own the order has the command's id.
    assert answer["data"]["client_order_id"] == "c-1"
    assert "problem" not in answer


async def test_enums_are_read_as_by_rest_and_the_gateway_may_be_left_out(sender: Sender) -> None:
    order = ORDER | {"direction": "多", "offset": "开", "client_order_id": "mine"}
    del order["gateway_name"]
    answer = await sender.send(SUBMIT, order)
    assert (answer["status"], answer["data"]["client_order_id"]) == (201, "mine")


async def test_an_order_is_cancelled_by_either_name(service: MemoryService, sender: Sender) -> None:
    for number, name in (1, {"order_id": "SIM.1"}), (2, {"order_id": "2", "gateway_name": "SIM"}):
        await sender.send(SUBMIT, ORDER, f"s-{number}")
        answer = await sender.send("command.order.cancel", name, f"c-{number}")
        assert (answer["status"], answer["data"]["accepted"]) == (200, True)
        await service.pipeline.drain()
        event = service.read_model.orders.get(f"SIM.{number}")
        assert event is not None
        assert event.data.status == "CANCELLED"  # type: ignore[attr-defined]


async def test_a_strategy_is_started_and_stopped(service: MemoryService, sender: Sender) -> None:
    await service.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE", {}, False)
    name = {"strategy_name": "demo"}
    refused = await sender.send("command.strategy.start", name, "1")
    assert (refused["status"], refused["problem"]["code"]) == (409, "not_initialised")
    await service.strategies.init("demo")
    assert (await sender.send("command.strategy.start", name, "2"))["data"]["trading"] is True
    assert (await sender.send("command.strategy.stop", name, "3"))["data"]["trading"] is False


async def test_a_failing_strategy_tells_its_traceback(service: MemoryService, sender: Sender) -> None:
    await service.strategies.add("Broken", "broken", "rb2501.SHFE", {}, False)
    problem = (await sender.send("command.strategy.start", {"strategy_name": "broken"}))["problem"]
    assert (problem["code"], problem["request_id"]) == ("strategy_failed", "c-1")
    assert "ValueError" in problem["traceback"]


@pytest.mark.parametrize(
    ("topic", "data", "field"),
    [
        (SUBMIT, ORDER | {"volume": 0}, "data.volume"),
        (SUBMIT, ORDER | {"volume": "1"}, "data.volume"),
        (SUBMIT, ORDER | {"direction": "NET"}, "data.direction"),
        (SUBMIT, ORDER | {"colour": "red"}, "data.colour"),
        (SUBMIT, {}, "data.symbol"),
        (SUBMIT, [], "data"),
        (SUBMIT, None, "data"),
        ("command.order.cancel", {}, "data.order_id"),
        ("command.order.cancel", {"order_id": ""}, "data.order_id"),
        ("command.strategy.start", {"strategy_name": "../x"}, "data.strategy_name"),
        ("command.strategy.stop", {"strategy_name": "demo", "now": True}, "data.now"),
    ],
)
async def test_what_is_malformed_is_told_by_field(
    service: MemoryService, sender: Sender, topic: str, data: Any, field: str
) -> None:
    answer = await sender.send(topic, data)
    assert (answer["status"], answer["problem"]["code"]) == (422, "invalid")
    assert field in [error["field"] for error in answer["problem"]["errors"]]
    assert sent(service) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b"[]", b"null", {"ts": "2026-01-05T01:30:00+00:00", "data": {}},
        {"command_id": "a b", "ts": "2026-01-05T01:30:00+00:00", "data": {}},
        {"command_id": "", "ts": "2026-01-05T01:30:00+00:00", "data": {}},
        {"command_id": "a", "ts": 5, "data": {}}, {"command_id": "a", "ts": "soon", "data": {}},
        {"command_id": "a", "ts": "2026-01-05T01:30:00", "data": {}},
        {"command_id": "a", "ts": "2026-01-05T01:30:00+00:00"},
        {"command_id": "a", "ts": "2026-01-05T01:30:00+00:00", "data": {}, "more": 1},
    ],
)  # fmt: skip
async def test_what_is_no_command_is_refused(service: MemoryService, sender: Sender, body: Any) -> None:
    answer = await sender.send_raw(SUBMIT, body)
    assert (answer["status"], answer["problem"]["code"]) == (422, "invalid")
    assert sent(service) == 0


async def test_an_unknown_command_is_refused(sender: Sender) -> None:
    answer = await sender.send("command.order.destroy", {})
    assert (answer["status"], answer["problem"]["code"]) == (404, "unknown_command")


async def test_a_refusal_of_the_engine_is_told(sender: Sender) -> None:
    answer = await sender.send(SUBMIT, ORDER | {"symbol": "none"})
    assert (answer["status"], answer["problem"]["code"]) == (404, "unknown_contract")


def forged(raw: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Give commands that a secret's owner did not sign like this."""
    right = sign(SECRET.encode(), f"vnpy_core.{SUBMIT}", raw)
    yield SUBMIT, raw, ""
    yield SUBMIT, raw, right.upper()
    yield SUBMIT, raw, right[:-1]
    yield SUBMIT, raw, "é" + right
    yield SUBMIT, raw + b" ", right
    yield SUBMIT, raw, sign(b"another secret", f"vnpy_core.{SUBMIT}", raw)
    # Of another topic, or another service's.
    yield "command.strategy.stop", raw, right
    yield SUBMIT, raw, sign(SECRET.encode(), f"other.{SUBMIT}", raw)
    yield SUBMIT, raw, sign(SECRET.encode(), "", raw)


async def test_only_who_knows_the_secret_may_command(service: MemoryService, sender: Sender) -> None:
    ts = to_timestamp(datetime.now(UTC))
    raw = msgspec.json.encode({"command_id": "c-1", "ts": ts, "data": ORDER})
    for topic, body, signature in forged(raw):
        answer = await sender.send_signed(topic, body, signature)
        assert (answer["status"], answer["problem"]["code"], answer["command_id"]) == (401, "unauthorized", None)
    assert sent(service) == 0
    # None of them has used up the id.
    assert (await sender.send_raw(SUBMIT, raw))["status"] == 201


async def test_without_a_secret_the_server_says_who_may_command(service: MemoryService) -> None:
    desk = CommandDesk(service, service.pipeline, BusSettings(commands="on", authorization="server"))
    raw = msgspec.json.encode({"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER})
    assert (await Sender(desk).send_signed(SUBMIT, raw, ""))["status"] == 201


@pytest.mark.parametrize("age_s", [31, -31, 86_400])
async def test_an_old_command_is_refused_and_so_is_one_from_the_future(
    service: MemoryService, sender: Sender, age_s: float
) -> None:
    answer = await sender.send(SUBMIT, ORDER, age_s=age_s)
    assert (answer["status"], answer["problem"]["code"]) == (409, "command_expired")
    assert sent(service) == 0
    assert (await sender.send(SUBMIT, ORDER, age_s=29))["status"] == 201


async def test_a_repeated_command_is_answered_the_same_and_not_done_again(
    service: MemoryService, sender: Sender
) -> None:
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    first = await sender.send_raw(SUBMIT, body)
    await sender.send("command.order.cancel", {"order_id": "SIM.1"}, "c-2")
    assert await sender.send_raw(SUBMIT, body) == first
    assert sent(service) == 1


async def test_a_repeated_refusal_is_the_same_refusal(service: MemoryService, sender: Sender) -> None:
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": {"strategy_name": "late"}}
    first = await sender.send_raw("command.strategy.start", body)
    await service.strategies.add("DoubleMaStrategy", "late", "rb2501.SHFE", {}, False)
    assert await sender.send_raw("command.strategy.start", body) == first


async def test_a_command_that_comes_twice_at_once_is_done_once(service: MemoryService, sender: Sender) -> None:
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    answers = await asyncio.gather(*(sender.send_raw(SUBMIT, body) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert sent(service) == 1


async def test_an_id_is_good_for_one_command(service: MemoryService, sender: Sender) -> None:
    one, other = (
        sender.send(SUBMIT, ORDER, "c-1"),
        sender.send(SUBMIT, ORDER | {"price": 3501.0}, "c-1"),
    )
    answers = await asyncio.gather(one, other)
    assert sorted(answer["status"] for answer in answers) == [201, 409]
    again = await sender.send("command.strategy.stop", {"strategy_name": "demo"}, "c-1")
    assert again["problem"]["code"] == "command_id_reused"
    assert sent(service) == 1


async def test_answers_outlive_a_restart_and_so_does_their_age(service: MemoryService, sender: Sender) -> None:
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC) - timedelta(seconds=29)), "data": ORDER}
    first = await sender.send_raw(SUBMIT, body)
    late = CommandDesk(service, service.pipeline, SETTINGS.model_copy(update={"command_max_age_s": 1e-9}))
    await late.restore(Records(service))
    # Too old to be done, and answered nevertheless.
    assert await Sender(late).send_raw(SUBMIT, body) == first
    assert sent(service) == 1


async def test_an_order_whose_answer_was_lost_in_a_crash_is_not_sent_again(
    service: MemoryService, sender: Sender
) -> None:
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    first = await sender.send_raw(SUBMIT, body)
    forgetful = CommandDesk(service, service.pipeline, SETTINGS)
    assert (first["status"], await Sender(forgetful).send_raw(SUBMIT, body)) == (201, first)
    assert sent(service) == 1


async def test_an_unknown_outcome_stays_unknown(service: MemoryService, sender: Sender) -> None:
    service.engine.failure = RuntimeError("the line is cut")
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    first = await sender.send_raw(SUBMIT, body)
    assert (first["status"], first["problem"]["code"]) == (504, "outcome_unknown")
    service.engine.failure = None
    assert await sender.send_raw(SUBMIT, body) == first
    assert sent(service) == 0


async def test_what_was_not_done_for_want_of_something_may_be_tried_again(
    service: MemoryService, sender: Sender
) -> None:
    service.journal.full = True
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    assert (await sender.send_raw(SUBMIT, body))["status"] == 503
    service.journal.full = False
    await service.pipeline.drain()
    assert (await sender.send_raw(SUBMIT, body))["status"] == 201


async def test_a_defect_is_told_without_its_inside_and_not_tried_again(
    service: MemoryService, sender: Sender, desk: CommandDesk
) -> None:
    class Defective:
        calls = 0

        async def stop(self, name: str) -> Any:
            self.calls += 1
            raise KeyError("a password")

    service.strategies = Defective()  # type: ignore[assignment]
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": {"strategy_name": "demo"}}
    first = await sender.send_raw("command.strategy.stop", body)
    assert (first["status"], first["problem"]["code"]) == (500, "internal")
    assert "password" not in str(first)
    assert await sender.send_raw("command.strategy.stop", body) == first
    assert service.strategies.calls == 1  # type: ignore[attr-defined]


async def test_commands_are_journaled_and_shown_to_nobody(service: MemoryService, sender: Sender) -> None:
    shown: list[Any] = []
    service.pipeline.subscribe(shown.extend)
    await sender.send(SUBMIT, ORDER)
    await service.pipeline.drain()
    kept = [event.data for event in service.journal.events if isinstance(event.data, CommandRecord)]
    assert [record.command_id for record in kept] == ["c-1"]
    assert {event.topic for event in shown} == {"order.updated"}


async def test_an_answer_that_cannot_be_journaled_is_given_and_kept(service: MemoryService, sender: Sender) -> None:
    class FullOnce:
        """Takes facts of orders, and refuses the command's own record."""

        def __init__(self) -> None:
            self.emitted: list[Any] = []

        async def commit(self, model: Any) -> Any:
            raise Unavailable("The disk is full.")

        def emit(self, model: Any) -> None:
            self.emitted.append(model)

    pipeline = FullOnce()
    other = Sender(CommandDesk(service, pipeline, SETTINGS))
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER}
    first = await other.send_raw(SUBMIT, body)
    assert first["status"] == 201
    assert await other.send_raw(SUBMIT, body) == first
    assert [record.command_id for record in pipeline.emitted] == ["c-1"]


async def test_an_order_whose_outcome_was_unknown_is_answered_with_what_is_known_now(
    service: MemoryService, sender: Sender
) -> None:
    service.engine.failure = OutcomeUnknown("The line broke.")
    body = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC) - timedelta(seconds=29)), "data": ORDER}
    first = await sender.send_raw(SUBMIT, body)
    assert (first["status"], await sender.send_raw(SUBMIT, body)) == (504, first)
    (unknown,) = service.orders.unknown
    service.orders.book.put(msgspec.structs.replace(unknown, outcome="SENT", vt_orderid="SIM.7", reason=None))
    service.engine.failure = None
    now = await sender.send_raw(SUBMIT, body)
    assert (now["status"], now["data"]["vt_orderid"]) == (201, "SIM.7")
    assert await sender.send_raw(SUBMIT, body) == now
    assert service.engine.count == 0


async def test_orders_of_the_bus_pass_the_checks(service: MemoryService, sender: Sender) -> None:
    refused = await sender.send(SUBMIT, ORDER | {"price": 3500.5})
    assert (refused["status"], refused["problem"]["code"]) == (409, "price_tick")
    assert service.engine.count == 0
