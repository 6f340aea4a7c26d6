"""The AsyncAPI document: what travels on ``/ws`` and on the bus, made of the models' own schemas."""

from typing import Any

import msgspec
from pydantic import BaseModel

from vnpy_core import __version__
from vnpy_core.bus import messages
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.enums import Exchange, Interval
from vnpy_core.events import LOG_TOPICS, PUBLIC_FACT_TOPICS
from vnpy_core.models import FACTS, Alert, Bar, Log, Model, Strategy, Tick
from vnpy_core.routers.commands import CancelCommand, CommandAnswer, StrategyCommand
from vnpy_core.routers.order_requests import OrderBody
from vnpy_core.trading.results import CancelResult, SubmitResult

_REF = "#/components/schemas/{name}"
_ON_THE_BUS = [{"$ref": "#/servers/nats"}, {"$ref": "#/servers/redis"}]

# Where each kind of event goes; braces are tokens that differ.
TOPICS: dict[str, type[Model]] = {
    **{kind.topic: kind for kind in FACTS if kind.topic in PUBLIC_FACT_TOPICS},
    "alert.resolved": Alert,
    **dict.fromkeys(LOG_TOPICS, Log),
    "strategy.log.{strategy_name}": Log,
    "tick.{symbol}.{exchange}": Tick,
    "bar.{interval}.{symbol}.{exchange}": Bar,
}
COMMANDS: dict[str, tuple[type[BaseModel], type[msgspec.Struct], str]] = {
    "command.order.submit": (OrderBody, SubmitResult, "Send an order, as `POST /api/v1/trading/orders`"),
    "command.order.cancel": (CancelCommand, CancelResult, "Cancel an order"),
    "command.strategy.start": (StrategyCommand, Strategy, "Start a strategy"),
    "command.strategy.stop": (StrategyCommand, Strategy, "Stop a strategy and cancel its orders"),
}
_FROM_CLIENTS = (messages.Subscribe, messages.Unsubscribe, messages.Ping)
_TO_CLIENTS = (messages.Ack, messages.Pong, messages.Gap, messages.Failure)

DESCRIPTION = """
What VnPy Core sends as it happens, on the WebSocket `/ws` and on the message bus, and the commands that it takes there.

* An event is `{"seq", "topic", "ts", "data"}`. Facts have a `seq`; market data and log lines have `null`. `/ws` sends
  arrays of events; on the bus each is a message of its own, with the same bytes.
* `/ws` speaks JSON in text frames, or by the subprotocol `vnpy-core.msgpack.v1` MessagePack in binary ones. A client
  that offers permessage-deflate and asks for it by `?compression=deflate` has its frames compressed.
* A fact is on the bus at least once, and each time with the same id: the header `Nats-Msg-Id`, or the field `id` of the
  entry in a Redis stream. Pass over ids you have seen. The facts of a topic come in the order of `seq`; on NATS, where
  one JetStream stream (`<prefix>_facts`) has all of them, those of all topics do: read it with an ordered consumer,
  since one that acknowledges gets what was under way when its connection broke behind what follows.
* On NATS market data is not kept: subscribe to it. On Redis each topic is a stream; the event is in the field `event`.
* A command is signed: HMAC-SHA256 with the shared secret over the subject (with its prefix), a line feed and the body,
  in hexadecimal. On NATS it is a request with the signature in the header `VnPy-Signature`; on Redis an entry with the
  fields `body`, `signature` and `reply_to`, which names a stream `<prefix>.reply.…` for the answer (field `answer`).
"""


def asyncapi_document() -> dict[str, Any]:
    """Return the document, AsyncAPI 3.0."""
    channels: dict[str, Any] = {"ws": _websocket()}
    operations: dict[str, Any] = {
        "ws_receive": _operation("receive", "ws", [kind.__name__ for kind in _FROM_CLIENTS], "What clients say"),
        "ws_send": _operation(
            "send", "ws", [*(kind.__name__ for kind in _TO_CLIENTS), "events"], "Answers to clients, and events"
        ),
    }
    known: dict[str, Any] = {}
    for topic, kind in TOPICS.items():
        name = _name(topic)
        known[f"{name}_event"] = _event_message(topic, kind)
        channels[name] = _channel(topic, f"{name}_event")
        operations[f"send_{name}"] = _operation("send", name, [f"{name}_event"], f"{kind.__name__} on the bus")
    for topic, (body, result, summary) in COMMANDS.items():
        name = _name(topic)
        answer = f"{name}_answer"
        known[name] = _command_message(topic, body)
        known[answer] = _answer_message(topic, result)
        channels[name] = _channel(topic, name)
        channels[answer] = {
            "address": None,
            "description": "Where the sender of the command wants the answer",
            "servers": _ON_THE_BUS,
            "messages": {answer: {"$ref": f"#/components/messages/{answer}"}},
        }
        operations[name] = _operation("receive", name, [name], summary) | {
            "reply": {
                "address": {"location": "$message.header#/reply_to"},
                "channel": {"$ref": f"#/channels/{answer}"},
                "messages": [{"$ref": f"#/channels/{answer}/messages/{answer}"}],
            }
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "VnPy Core", "version": __version__, "description": DESCRIPTION, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": {
            "api": {"host": "127.0.0.1:8006", "protocol": "ws", "description": "The service itself"},
            "nats": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "bus.url = nats://…"},
            "redis": {"host": "127.0.0.1:6379", "protocol": "redis", "description": "bus.url = redis://…"},
        },
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _schemas(), "messages": known},
    }


def _websocket() -> dict[str, Any]:
    spoken = {
        kind.__name__: {"name": kind.__name__, "payload": {"$ref": _REF.format(name=kind.__name__)}}
        for kind in (*_FROM_CLIENTS, *_TO_CLIENTS)
    }
    any_event = [{"$ref": f"#/components/messages/{_name(topic)}_event/payload"} for topic in TOPICS]
    events = {
        "name": "events",
        "summary": "All that was ready at that moment",
        "payload": {"type": "array", "items": {"anyOf": any_event}},
    }
    return {
        "address": "/ws",
        "servers": [{"$ref": "#/servers/api"}],
        "messages": {**spoken, "events": events},
    }


def _channel(topic: str, message: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "prefix": {"default": BusSettings().prefix, "description": "The setting `bus.prefix`"}
    }
    if "{symbol}" in topic:
        parameters["symbol"] = {"description": "Dots, blanks and wildcards are percent-encoded", "examples": ["rb2501"]}
        parameters["exchange"] = {"enum": [*map(str, Exchange)], "examples": ["SHFE"]}
    if "{interval}" in topic:
        parameters["interval"] = {"enum": [*map(str, Interval)]}
    return {
        "address": f"{{prefix}}.{topic}",
        "servers": _ON_THE_BUS,
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, kinds: list[str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in kinds],
    }


def _event_message(topic: str, kind: type[Model]) -> dict[str, Any]:
    is_fact = topic in PUBLIC_FACT_TOPICS
    payload = {
        "type": "object",
        "required": ["seq", "topic", "ts", "data"],
        "properties": {
            "seq": {"type": "integer", "minimum": 1} if is_fact else {"type": "null"},
            "topic": {"type": "string"} if "{" in topic else {"const": topic},
            "ts": {"type": "string", "format": "date-time"},
            "data": {"$ref": _REF.format(name=kind.__name__)},
        },
    }
    message = {"name": f"{_name(topic)}_event", "title": topic, "payload": payload}
    if is_fact:
        of_nats = {"Nats-Msg-Id": {"type": "string", "description": "The event's id; on Redis the field `id`"}}
        message["headers"] = {"type": "object", "properties": of_nats}
    return message


def _command_message(topic: str, body: type[BaseModel]) -> dict[str, Any]:
    headers = {
        "VnPy-Signature": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "On Redis: `signature`"},
        "reply_to": {"type": "string", "description": "On NATS the reply subject of the request"},
    }
    payload = {
        "type": "object",
        "required": ["command_id", "ts", "data"],
        "additionalProperties": False,
        "properties": {
            "command_id": {
                "type": "string",
                "pattern": "^[A-Za-z0-9._:-]{1,64}$",
                "description": "Good for one command ever; a second one with it gets the first one's answer",
            },
            "ts": {"type": "string", "format": "date-time", "description": "When it was made; an old one is refused"},
            "data": {"$ref": _REF.format(name=body.__name__)},
        },
    }
    return {
        "name": _name(topic),
        "title": topic,
        "headers": {"type": "object", "properties": headers},
        "correlationId": {"location": "$message.payload#/command_id"},
        "payload": payload,
    }


def _answer_message(topic: str, result: type[msgspec.Struct]) -> dict[str, Any]:
    answer = {"$ref": _REF.format(name=CommandAnswer.__name__)}
    data = {"type": "object", "properties": {"data": {"$ref": _REF.format(name=result.__name__)}}}
    return {
        "name": f"{_name(topic)}_answer",
        "title": f"The answer to {topic}",
        "correlationId": {"location": "$message.payload#/command_id"},
        "payload": {"allOf": [answer, data]},
    }


def _schemas() -> dict[str, Any]:
    kinds = (
        *dict.fromkeys(TOPICS.values()), *_FROM_CLIENTS, *_TO_CLIENTS, CommandAnswer,
        *dict.fromkeys(result for _, result, _ in COMMANDS.values()),
    )  # fmt: skip
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    for body in dict.fromkeys(body for body, _, _ in COMMANDS.values()):
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        inner = schema.pop("$defs", {})
        schemas |= {name: value for name, value in inner.items() if name not in schemas}
        schemas[body.__name__] = schema
    return schemas


def _name(topic: str) -> str:
    return topic.replace(".", "_").replace("{", "").replace("}", "")
