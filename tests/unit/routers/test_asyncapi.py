"""The AsyncAPI document says what travels: every topic, every message of ``/ws``, every command, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from tests import facts
from tests.unit.routers.memory_service import Api
from tests.unit.routers.test_commands import ORDER

from vnpy_core.bus import messages
from vnpy_core.bus.subscription import FAMILIES
from vnpy_core.enums import Interval
from vnpy_core.events import INTERNAL_TOPICS, LOG_TOPICS, PUBLIC_FACT_TOPICS, Event
from vnpy_core.models import FACTS, Alert, Bar, Model, to_timestamp
from vnpy_core.routers import examples
from vnpy_core.routers.asyncapi import asyncapi_document

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asyncapi_document()))


def resolve(reference: str) -> Any:
    assert reference.startswith("#/"), reference
    found: Any = DOCUMENT
    for part in reference[2:].split("/"):
        found = found[part]
    return found


def references(within: Any) -> Iterator[str]:
    if isinstance(within, dict):
        for key, value in within.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(within, list):
        for value in within:
            yield from references(value)


def validate(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


async def test_it_is_served_beside_the_other_document(api: Api) -> None:
    assert await api.get("http://core/asyncapi.json") == DOCUMENT


def test_it_is_version_3_and_every_reference_leads_somewhere() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"info", "servers", "channels", "operations", "components"} < DOCUMENT.keys()
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        resolve(reference)


def test_operations_are_on_messages_of_their_channels() -> None:
    used = set()
    for name, operation in DOCUMENT["operations"].items():
        assert operation["action"] in ("send", "receive"), name
        channel = operation["channel"]["$ref"]
        used.add(channel)
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/"), name
        if "reply" in operation:
            used.add(operation["reply"]["channel"]["$ref"])
    assert used == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


def addresses() -> set[str]:
    given = [channel["address"] for channel in DOCUMENT["channels"].values()]
    return {address.removeprefix("{prefix}.") for address in given if address is not None}


def test_every_topic_is_in_it_and_no_internal_one() -> None:
    events = {
        "tick.{symbol}.{exchange}", "bar.{interval}.{symbol}.{exchange}", "strategy.log.{strategy_name}",
        *PUBLIC_FACT_TOPICS, *LOG_TOPICS,
    }  # fmt: skip
    commands = {f"command.{name}" for name in ("order.submit", "order.cancel", "strategy.start", "strategy.stop")}
    assert addresses() == {"/ws", *events, *commands}
    assert {kind.topic for kind in FACTS} - INTERNAL_TOPICS <= events
    assert not INTERNAL_TOPICS & addresses()
    # What is announced for later, and not sent by anything yet.
    assert FAMILIES - {topic.partition(".")[0] for topic in events} == {"job", "system"}


ALERT = Alert(alert_id="a", severity="warning", summary="", datetime=facts.WHEN)
BAR = Bar(**dict.fromkeys(Bar.__struct_fields__) | {  # type: ignore[arg-type]
    "vt_symbol": "rb2501.SHFE", "symbol": "rb2501", "exchange": "SHFE", "gateway_name": "SIM", "datetime": facts.WHEN,
    "interval": Interval.MINUTE,
})  # fmt: skip


@pytest.mark.parametrize(
    ("model", "channel"),
    [
        (facts.order(), "order_updated"), (facts.trade(), "trade_executed"), (facts.position(), "position_updated"),
        (facts.account(), "account_updated"), (facts.strategy(), "strategy_updated"),
        (facts.gateway(), "gateway_status"), (ALERT, "alert_raised"), (facts.log(), "log"),
        (msgspec.structs.replace(ALERT, resolved=True), "alert_resolved"), (facts.tick(), "tick_symbol_exchange"),
        (BAR, "bar_interval_symbol_exchange"),
    ],
)  # fmt: skip
def test_events_are_as_it_says(model: Model, channel: str) -> None:
    event = Event(model)
    event.seq = 7 if event.is_fact else None
    (message,) = DOCUMENT["channels"][channel]["messages"].values()
    sent = msgspec.json.decode(event.frame)
    validate(resolve(message["$ref"])["payload"], sent)
    validate(DOCUMENT["channels"]["ws"]["messages"]["events"]["payload"], [sent, sent])
    with pytest.raises(jsonschema_rs.ValidationError):
        validate(resolve(message["$ref"])["payload"], sent | {"seq": None if event.is_fact else 7})


def test_messages_of_the_websocket_are_as_it_says() -> None:
    said = DOCUMENT["channels"]["ws"]["messages"]
    for message in (
        messages.Subscribe(["order"], 1, snapshot=True), messages.Unsubscribe(["order"]), messages.Ping(2),
        messages.Ack(1, ["order"], 7), messages.Pong(2, facts.WHEN, 7), messages.Gap(1, 2, 3, 4),
        messages.Failure(1, "a", "b"),
    ):  # fmt: skip
        validate(said[type(message).__name__]["payload"], msgspec.to_builtins(message))


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("command_order_submit", ORDER), ("command_order_cancel", {"order_id": "1", "gateway_name": "SIM"}),
        ("command_strategy_start", {"strategy_name": "demo"}), ("command_strategy_stop", {"strategy_name": "demo"}),
    ],
)  # fmt: skip
def test_commands_are_as_it_says(channel: str, data: Any) -> None:
    (message,) = DOCUMENT["channels"][channel]["messages"].values()
    schema = resolve(message["$ref"])["payload"]
    command = {"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": data}
    validate(schema, command)
    for wrong in (command | {"data": {}}, command | {"command_id": "a b"}, command | {"more": 1}):
        with pytest.raises(jsonschema_rs.ValidationError):
            validate(schema, wrong)


def test_answers_are_as_it_says() -> None:
    (message,) = DOCUMENT["channels"]["command_order_submit_answer"]["messages"].values()
    schema = resolve(message["$ref"])["payload"]
    validate(schema, {"command_id": "c-1", "status": 201, "data": msgspec.to_builtins(examples.SUBMITTED)})
    problem = {
        "type": "urn:vnpy-core:problem:order_refused", "title": "Order refused", "status": 409, "detail": "No.",
        "code": "order_refused", "request_id": "c-1",
    }  # fmt: skip
    validate(schema, {"command_id": "c-1", "status": 409, "problem": problem})
