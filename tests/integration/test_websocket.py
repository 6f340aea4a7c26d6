"""WebSocket sessions over real sockets: a client that stops reading is nobody else's trouble."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.live_server import LiveServer
from tests.unit.routers.memory_service import AUTHORIZATION, MemoryService
from vnpy_core.bus.messages import CloseCode
from vnpy_core.reports import SessionStatus
from vnpy_core.routers import examples

SUBSCRIBE = {"type": "subscribe", "id": 1, "topics": ["order", "tick"]}


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with LiveServer() as live:
        yield live


@contextmanager
def subscribed(server: LiveServer, **options: Any) -> Iterator[ClientConnection]:
    url = server.url.replace("http", "ws", 1) + "/ws"
    with connect(url, max_size=None, additional_headers=AUTHORIZATION) as client:
        client.send(json.dumps(SUBSCRIBE | options))
        assert json.loads(client.recv(10))["type"] == "ack"
        yield client


def events_until(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += json.loads(client.recv(10))
    return found


async def tell_orders(service: MemoryService, first: int, count: int) -> None:
    await service.tell(
        *(msgspec.structs.replace(examples.ORDER, vt_orderid=f"SIM.{n}") for n in range(first, first + count))
    )


async def statuses(service: MemoryService) -> list[SessionStatus]:
    return service.hub.statuses()


def stalled_socket(server: LiveServer) -> socket.socket:
    """Return a socket that has subscribed and never reads, with a small buffer."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: {AUTHORIZATION['Authorization']}\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    while b"\r\n\r\n" not in raw.recv(4096, socket.MSG_PEEK):
        pass
    text = json.dumps(SUBSCRIBE).encode()
    mask = os.urandom(4)
    raw.sendall(
        bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
    )
    return raw


def test_a_client_that_never_reads_is_ended_and_the_others_get_everything(server: LiveServer) -> None:
    stalled = stalled_socket(server)
    with subscribed(server) as client:
        total = 0
        # The kernel's and the server's buffers take some; then facts wait, and at the limit the session is ended.
        while len(server.run(statuses)) == 2:
            server.run(lambda service, first=total: tell_orders(service, first, 1000))
            total += 1000
            assert total <= 100_000
        found = events_until(client, total)
        assert [event["data"]["vt_orderid"] for event in found] == [f"SIM.{n}" for n in range(total)]
        assert sorted(event["seq"] for event in found) == [event["seq"] for event in found]
        (status,) = server.run(statuses)
        assert (status.conflated, status.dropped, status.queued_facts) == (0, 0, 0)
    stalled.close()


async def test_fifty_clients_get_every_fact_beside_one_that_has_stalled(server: LiveServer) -> None:
    stalled = stalled_socket(server)
    host, port = stalled.getsockname()
    async with AsyncExitStack() as stack:
        url = server.url.replace("http", "ws", 1) + "/ws"
        connecting = [connect_async(url, max_size=None, additional_headers=AUTHORIZATION) for _ in range(50)]
        clients = [await stack.enter_async_context(one) for one in connecting]
        for client in clients:
            await client.send(json.dumps(SUBSCRIBE))
            await client.recv()
        reading = [asyncio.create_task(orders_of(client, 4_000)) for client in clients]
        for first in range(0, 4_000, 500):
            await asyncio.to_thread(server.run, lambda service, first=first: tell_orders(service, first, 500))
            await asyncio.to_thread(server.run, lambda service: service.tell(*[examples.TICK] * 500))
        wanted = [f"SIM.{number}" for number in range(4_000)]
        assert all(found == wanted for found in await asyncio.gather(*reading))
        left = await asyncio.to_thread(server.run, statuses)
        healthy = [status for status in left if status.client != f"{host}:{port}"]
        assert len(healthy) == 50
        assert {(status.dropped, status.queued_facts) for status in healthy} == {(0, 0)}
    stalled.close()


async def orders_of(client: AsyncConnection, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        events = json.loads(await client.recv())
        found += [event["data"]["vt_orderid"] for event in events if event["topic"] == "order.updated"]
    return found


def test_a_client_that_reads_again_is_told_why_and_resumes_without_a_hole(server: LiveServer) -> None:
    seen: list[int] = []
    total = 0
    with subscribed(server) as slow:
        while server.run(statuses):
            server.run(lambda service, first=total: tell_orders(service, first, 1000))
            total += 1000
            assert total <= 100_000
        with suppress(ConnectionClosed):
            while True:
                seen += [event["seq"] for event in json.loads(slow.recv(10))]
        assert slow.close_code == CloseCode.TOO_SLOW
    with subscribed(server, since=seen[-1]) as again:
        missing = server.run(_last_seq) - seen[-1]
        assert missing > 0
        seen += [event["seq"] for event in events_until(again, missing)]
    assert seen == list(range(seen[0], seen[0] + total))


@pytest.mark.parametrize(
    ("path", "offered", "compressed"),
    [("/ws", True, False), ("/ws?compression=deflate", True, True), ("/ws?compression=deflate", False, False)],
)
def test_frames_are_compressed_for_whom_asks_for_it(
    server: LiveServer, path: str, offered: bool, compressed: bool
) -> None:
    url = server.url.replace("http", "ws", 1) + path
    compression = "deflate" if offered else None
    with connect(url, compression=compression, additional_headers=AUTHORIZATION) as client:
        names = [extension.name for extension in client.protocol.extensions]
        assert names == (["permessage-deflate"] if compressed else [])
        client.send(json.dumps(SUBSCRIBE))
        assert json.loads(client.recv(10))["type"] == "ack"
        server.run(lambda service: tell_orders(service, 0, 100))
        assert len(events_until(client, 100)) == 100


async def _last_seq(service: MemoryService) -> int:
    return service.journal.last_seq


def test_a_stranger_is_told_why_and_fills_no_log(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    url = server.url.replace("http", "ws", 1) + "/ws"
    with pytest.raises(InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["code"] == "unauthorized"
    assert server.run(statuses) == []
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
