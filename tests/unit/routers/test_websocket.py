"""The /ws endpoint: what it does with a connection, seen from the ASGI side."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from starlette.types import Message
from tests.unit.routers.memory_service import AUTHORIZATION, MemoryService

from vnpy_core.app import create_app
from vnpy_core.bus.messages import CloseCode
from vnpy_core.enums import Scope
from vnpy_core.routers import examples

HEADERS = [(name.lower().encode(), value.encode()) for name, value in AUTHORIZATION.items()]


class Connection:
    """A client's side of an ASGI WebSocket. Takes what is sent while ``reading`` is set."""

    def __init__(
        self,
        service: MemoryService,
        *subprotocols: str,
        query: str = "",
        headers: list[tuple[bytes, bytes]] = HEADERS,
    ) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = False
        scope = {
            "type": "websocket", "path": "/ws", "raw_path": b"/ws", "query_string": query.encode(), "headers": headers,
            "client": ("127.0.0.1", 50412), "subprotocols": list(subprotocols), "scheme": "ws", "root_path": "",
        }  # fmt: skip
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(create_app(service)(scope, self._to_app.get, self._send))

    async def _send(self, message: Message) -> None:
        await self.reading.wait()
        if self.gone:
            raise OSError("gone")
        self._from_app.put_nowait(message)

    def say(self, message: Any) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(message).decode()})

    def say_bytes(self, data: bytes) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    def leave(self) -> None:
        self.gone = True
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def message(self) -> Message:
        return await asyncio.wait_for(self._from_app.get(), 5)

    async def text(self) -> Any:
        message = await self.message()
        assert message["type"] == "websocket.send"
        return msgspec.json.decode(message["text"].encode())

    async def accepted(self, subprotocol: str | None = None) -> "Connection":
        assert await self.message() == {"type": "websocket.accept", "subprotocol": subprotocol}
        return self


@pytest.fixture
async def connection(service: MemoryService) -> AsyncIterator[Connection]:
    made = await Connection(service).accepted()
    yield made
    made.leave()
    await asyncio.wait_for(made.task, 5)
    assert service.hub.statuses() == []


async def test_a_snapshot_and_then_what_happens(service: MemoryService, connection: Connection) -> None:
    connection.say({"type": "subscribe", "id": 1, "topics": ["order", "tick.rb2501"], "snapshot": True})
    assert await connection.text() == {
        "type": "ack", "id": 1, "topics": ["order", "tick.rb2501"], "seq": service.journal.last_seq,
    }  # fmt: skip
    order, tick = await connection.text()
    assert (order["topic"], order["data"]) == ("order.updated", msgspec.to_builtins(examples.ORDER))
    assert (tick["topic"], tick["seq"]) == ("tick.rb2501.SHFE", None)
    await service.tell(msgspec.structs.replace(examples.ORDER, traded=2.0))
    ((event),) = await connection.text()
    assert event["seq"] > order["seq"]
    assert event["data"]["traded"] == 2.0


async def test_a_binary_frame_is_answered_by_an_error(connection: Connection) -> None:
    connection.say_bytes(b'{"type": "ping"}')
    assert (await connection.text())["code"] == "binary"
    connection.say({"type": "ping", "id": 2})
    assert (await connection.text())["type"] == "pong"


@pytest.mark.parametrize(
    ("offered", "chosen", "encoding"),
    [
        ([], None, "json"),
        (["chat"], None, "json"),
        (["vnpy-core.json.v1"], "vnpy-core.json.v1", "json"),
        (["chat", "vnpy-core.msgpack.v1", "vnpy-core.json.v1"], "vnpy-core.msgpack.v1", "msgpack"),
    ],
)
async def test_the_client_chooses_the_encoding(
    service: MemoryService, offered: list[str], chosen: str | None, encoding: str
) -> None:
    connection = await Connection(service, *offered).accepted(chosen)
    (status,) = service.hub.statuses()
    assert status.encoding == encoding
    if encoding == "msgpack":
        connection.say_bytes(msgspec.msgpack.encode({"type": "subscribe", "topics": ["order"], "snapshot": True}))
        sent = [msgspec.msgpack.decode((await connection.message())["bytes"]) for _ in range(2)]
        assert sent[0]["type"] == "ack"
        assert sent[1][0]["data"] == msgspec.to_builtins(examples.ORDER)
    connection.leave()
    await asyncio.wait_for(connection.task, 5)


async def test_a_session_is_seen_while_it_lasts(service: MemoryService, connection: Connection) -> None:
    connection.say({"type": "subscribe", "id": 1, "topics": ["order"]})
    await connection.text()
    (status,) = service.hub.statuses()
    assert (status.client, status.topics) == ("127.0.0.1:50412", ["order"])


async def test_a_client_that_is_too_slow_is_closed_with_its_code(service: MemoryService) -> None:
    connection = await Connection(service).accepted()
    connection.say({"type": "subscribe", "id": 1, "topics": ["order"]})
    await connection.text()
    connection.reading.clear()
    await service.tell(msgspec.structs.replace(examples.ORDER, traded=2.0))  # this one is in hand, and waits for nobody
    await service.tell(
        *(msgspec.structs.replace(examples.ORDER, vt_orderid=f"SIM.{number}") for number in range(10_002))
    )
    assert service.hub.statuses() == []
    connection.reading.set()
    while (message := await connection.message())["type"] == "websocket.send":
        pass
    assert (message["type"], message["code"]) == ("websocket.close", CloseCode.TOO_SLOW)
    await asyncio.wait_for(connection.task, 5)


async def test_when_the_service_stops_clients_are_told(service: MemoryService) -> None:
    connection = await Connection(service).accepted()
    await service.hub.close()
    assert (await connection.message())["code"] == CloseCode.GOING_AWAY
    await asyncio.wait_for(connection.task, 5)


async def test_one_too_many_is_told_to_try_later(service: MemoryService) -> None:
    full = [service.hub.open(None) for _ in range(1000)]
    connection = await Connection(service).accepted()
    assert (await connection.message())["code"] == CloseCode.TRY_LATER
    await asyncio.wait_for(connection.task, 5)
    for session in full:
        assert session is not None
        service.hub.discard(session)


async def test_a_client_that_vanishes_leaves_nothing_behind(service: MemoryService) -> None:
    connection = await Connection(service).accepted()
    connection.say({"type": "subscribe", "id": 1, "topics": ["order"]})
    await connection.text()
    connection.gone = True
    await service.tell(msgspec.structs.replace(examples.ORDER, traded=2.0))
    await asyncio.wait_for(connection.task, 5)
    assert service.hub.statuses() == []


async def test_a_fault_of_ours_ends_the_session_with_its_code(service: MemoryService) -> None:
    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    service.hub.handle = broken  # type: ignore[method-assign]
    connection = await Connection(service).accepted()
    connection.say({"type": "ping"})
    assert (await connection.message())["code"] == CloseCode.INTERNAL
    await asyncio.wait_for(connection.task, 5)


async def test_a_ticket_opens_one_connection(service: MemoryService) -> None:
    await service.access.administration.ensure_admin()
    key, record = await service.access.administration.add_api_key(
        "admin", "k", within=frozenset(Scope), scopes=[Scope.DATA_READ]
    )
    authenticator = service.access.authenticator
    ticket = authenticator.issue_ticket(await authenticator.identify(f"Bearer {key}".encode()))
    connection = await Connection(service, query=f"ticket={ticket}", headers=[]).accepted()
    connection.say({"type": "subscribe", "id": 1, "topics": ["tick", "order"]})
    refused = await connection.text()
    assert (refused["code"], refused["id"]) == ("missing_scope", 1)
    connection.say({"type": "subscribe", "id": 2, "topics": ["*"]})
    assert (await connection.text())["code"] == "missing_scope"
    connection.say({"type": "subscribe", "id": 3, "topics": ["tick"]})
    assert (await connection.text())["type"] == "ack"
    again = Connection(service, query=f"ticket={ticket}", headers=[])
    assert await again.message() == {"type": "websocket.close", "code": 4401}
    await service.access.administration.revoke_api_key(record.key_id)
    closed = await connection.message()
    assert (closed["type"], closed["code"]) == ("websocket.close", CloseCode.REVOKED)
    for each in (connection, again):
        await asyncio.wait_for(each.task, 5)


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=x", "ticket=vct_1.x", "token=x", "ticket=a&ticket=b"])
async def test_nobody_is_let_in_without_a_ticket(service: MemoryService, query: str) -> None:
    connection = Connection(service, query=query, headers=[])
    assert await connection.message() == {"type": "websocket.close", "code": 4401}
    await asyncio.wait_for(connection.task, 5)


async def test_a_key_in_the_url_is_no_credential(service: MemoryService) -> None:
    connection = Connection(service, query=f"ticket={AUTHORIZATION['Authorization'][7:]}", headers=[])
    assert (await connection.message())["code"] == 4401
    await asyncio.wait_for(connection.task, 5)
