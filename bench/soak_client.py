"""The WebSocket clients of the soak: one process, N connections, some of them cut or stalled while it runs.

Each client counts what it is given and asks again from the last fact it has seen. Commands come as JSON lines on
standard input, each is answered by one line: ``report`` (counts, and the delays since the last report), ``cut`` and
``stall`` (of some clients), ``settle`` (until every client has the fact of a ``seq``).
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import picows
import uvloop

from bench.processes import CLIENT_CORES
from bench.ws_client import answer, at

FACT = re.compile(rb'\{"seq":(\d+),"topic":"')
TICK, MADE = b'"seq":null,"topic":"tick.', re.compile(rb'"datetime":"([^"]+)"')
RETRY_S = 0.2


class Client(picows.WSListener):  # type: ignore[misc]
    """``after``: the fact that it begins behind. ``disorder``: facts that were no later than the one before."""

    def __init__(self, hello: dict[str, Any], timed: bool) -> None:
        self._hello = hello
        self._timed = timed
        self._transport: picows.WSTransport | None = None
        self.after: int | None = None
        self.last = self.facts = self.disorder = self.ticks = self.connections = self.gaps = 0
        self.delays_ns: list[int] = []
        self.closed = asyncio.Event()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        self.closed.clear()
        self.connections += 1
        since = {} if self.after is None else {"since": self.last}
        transport.send(picows.WSMsgType.TEXT, json.dumps(self._hello | since).encode())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.closed.set()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = time.time_ns()
        if frame.msg_type == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        payload = frame.get_payload_as_bytes()
        if not payload.startswith(b"["):
            self._told(payload)
            return
        for seq in map(int, FACT.findall(payload)):
            self.facts += 1
            self.disorder += seq <= self.last
            self.last = seq
        ticks = payload.count(TICK)
        self.ticks += ticks
        if self._timed and ticks:
            made = MADE.search(payload, payload.find(TICK))
            if made is not None:
                self.delays_ns.append(now - int(datetime.fromisoformat(made[1].decode()).timestamp() * 1e6) * 1000)

    def _told(self, payload: bytes) -> None:
        message = json.loads(payload)
        if message.get("type") == "ack" and self.after is None:
            self.after = self.last = message["seq"]
        elif message.get("type") == "gap":
            self.gaps += 1

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()

    async def stall(self, seconds: float) -> None:
        """Take nothing for a while."""
        if self._transport is None:
            return
        stalled = self._transport.underlying_transport
        stalled.pause_reading()
        await asyncio.sleep(seconds)
        if not stalled.is_closing():
            stalled.resume_reading()


async def stay(client: Client, url: str, headers: dict[str, str]) -> None:
    """Connect, and connect again whenever the connection has ended."""
    while True:
        try:
            await picows.ws_connect(
                lambda: client, url, enable_auto_pong=False, max_frame_size=64 * 2**20, extra_headers=headers
            )
            await client.closed.wait()
        except (TimeoutError, OSError, picows.WSError):
            pass
        await asyncio.sleep(RETRY_S)


async def run(spec: dict[str, Any]) -> None:
    hello = {"type": "subscribe", "id": 1, "topics": spec["topics"], "snapshot": False}
    clients = [Client(hello, number < spec["timed"]) for number in range(spec["clients"])]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(stay(client, spec["url"], spec["headers"])) for client in clients]
        while any(client.after is None for client in clients):  # noqa: ASYNC110  a load client may look
            await asyncio.sleep(0.02)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        answer({"ready": True})
        while line := await reader.readline():
            command = json.loads(line)
            some = [clients[number] for number in command.get("clients", ())]
            if command["do"] == "report":
                answer(report(clients))
            elif command["do"] == "settle":
                answer({"settled": await settled(clients, command["seq"], command["timeout_s"])})
            elif command["do"] == "cut":
                for client in some:
                    client.cut()
                answer({"cut": len(some)})
            else:
                for client in some:
                    tasks.append(group.create_task(client.stall(command["seconds"])))
                answer({"stalled": len(some)})
        for task in tasks:
            task.cancel()


async def settled(clients: list[Client], seq: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(client.last < seq for client in clients):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def report(clients: list[Client]) -> dict[str, Any]:
    delays = sorted(delay for client in clients for delay in client.delays_ns)
    for client in clients:
        client.delays_ns.clear()
    return {
        "clients": [
            {"after": client.after, "last": client.last, "facts": client.facts, "disorder": client.disorder}
            for client in clients
        ],
        "ticks": sum(client.ticks for client in clients),
        "connections": sum(client.connections for client in clients),
        "gaps": sum(client.gaps for client in clients),
        "p50_ms": at(delays, 0.5),
        "p99_ms": at(delays, 0.99),
        "max_ms": at(delays, 1.0),
    }


def main(arguments: Iterable[str]) -> None:
    os.sched_setaffinity(0, CLIENT_CORES)
    uvloop.run(run(json.loads(next(iter(arguments)))))


if __name__ == "__main__":
    main(sys.argv[1:])
