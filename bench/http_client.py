"""The HTTP load client: N keep-alive connections that each send the next request when the last was answered.

For latencies of orders, and for reads where wrk is not installed. The arguments are one JSON object; the answer is one
JSON line. Requests are raw bytes over asyncio, because a full client would cost more than some of the servers.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from itertools import count
from typing import Any, cast

import uvloop

from bench.processes import CLIENT_CORES
from bench.servers import SYMBOLS
from bench.ws_client import at


class Connection(asyncio.Protocol):
    """One keep-alive connection. ``send`` returns a future of the status of the whole answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._head = b""
        self._status = 0
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass of asyncio's

    def send(self, request: bytes) -> asyncio.Future[int]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._head, self._missing = b"", -1
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            self._status = int(head[9:12])
            _, found, rest = head.partition(b"content-length:")
            if not found:
                raise ValueError("an answer without a length")
            self._missing = int(rest.partition(b"\r\n")[0]) - (len(self._head) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed by the server"))


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    numbers = count(spec.get("first", 0))
    latencies: list[int] = []
    statuses: Counter[int] = Counter()
    head = f"{spec['method']} {spec['path']} HTTP/1.1\r\nHost: 127.0.0.1:{spec['port']}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in spec["headers"].items())

    def request() -> bytes:
        number = next(numbers)
        body = spec["body"].replace("@SYMBOL@", SYMBOLS[number % len(SYMBOLS)])
        body = body.replace("@PRICE@", str(3000 + number % 500)).replace("@VOLUME@", str(1 + number // 500))
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def work(connection: Connection, until: float, measured: bool) -> None:
        while time.monotonic() < until:
            message = request()
            sent = time.monotonic_ns()
            status = await connection.send(message)
            if measured:
                latencies.append(time.monotonic_ns() - sent)
                statuses[status] += 1

    connections = [
        (await loop.create_connection(Connection, "127.0.0.1", spec["port"]))[1] for _ in range(spec["connections"])
    ]
    gc.disable()
    until = time.monotonic() + spec["warm_up_s"]
    await asyncio.gather(*(work(connection, until, False) for connection in connections))
    start = time.monotonic()
    await asyncio.gather(*(work(connection, start + spec["seconds"], True) for connection in connections))
    seconds = time.monotonic() - start
    latencies.sort()
    return {
        "count": len(latencies),
        "per_s": len(latencies) / seconds,
        "statuses": dict(statuses),
        "p50_ms": at(latencies, 0.5),
        "p99_ms": at(latencies, 0.99),
        "p999_ms": at(latencies, 0.999),
        "max_ms": at(latencies, 1.0),
    }


if __name__ == "__main__":
    os.sched_setaffinity(0, CLIENT_CORES)
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
