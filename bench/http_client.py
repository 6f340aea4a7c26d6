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
from collections import Counter, deque
from collections.abc import Sequence
from itertools import count
from typing import Any, cast

import uvloop

from bench.processes import CLIENT_CORES
from bench.servers import SYMBOLS
from bench.ws_client import at

MADE_PER_S = 6000  # requests that are made beforehand


class Load:
    """What the connections share: the requests, when to stop, and what came of it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        head = f"{spec['method']} {spec['path']} HTTP/1.1\r\nHost: 127.0.0.1:{spec['port']}\r\n"
        self._head = head + "".join(f"{name}: {value}\r\n" for name, value in spec["headers"].items())
        self._body: str = spec["body"]
        self._numbers = count(spec.get("first", 0))
        # Made before the clock runs, as far as they last: it is the servers that are measured.
        self._made = deque(self._request() for _ in range(int(MADE_PER_S * spec["seconds"])))
        self.until_ns = 0
        self.latencies: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.error: Exception | None = None

    def next_request(self) -> bytes:
        return self._made.popleft() if self._made else self._request()

    def _request(self) -> bytes:
        number = next(self._numbers)
        body = self._body.replace("@SYMBOL@", SYMBOLS[number % len(SYMBOLS)])
        body = body.replace("@PRICE@", str(3000 + number % 500)).replace("@VOLUME@", str(1 + number // 500))
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def run(self, connections: Sequence["Connection"], seconds: float) -> float:
        """Have each connection send one request after the other, and return how long that took."""
        self.latencies.clear()
        self.statuses.clear()
        began = time.monotonic_ns()
        self.until_ns = began + int(seconds * 1e9)
        await asyncio.gather(*(connection.begin() for connection in connections))
        if self.error is not None:
            raise self.error
        return (time.monotonic_ns() - began) / 1e9


class Connection(asyncio.Protocol):
    """One keep-alive connection, which sends the next request when the last one is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] | None = None
        self._head = b""
        self._status = 0
        self._missing = -1
        self._sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass of asyncio's

    def begin(self) -> asyncio.Future[None]:
        """Send until the load's time is over; the future is then done."""
        self._ended = asyncio.get_running_loop().create_future()
        self._send(time.monotonic_ns())
        return self._ended

    def _send(self, now_ns: int) -> None:
        assert self._transport is not None
        assert self._ended is not None
        if now_ns >= self._load.until_ns:
            self._ended.set_result(None)
            return
        self._head, self._missing = b"", -1
        request = self._load.next_request()
        self._sent_ns = time.monotonic_ns()
        self._transport.write(request)

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
        if self._missing <= 0:
            now_ns = time.monotonic_ns()
            self._load.latencies.append(now_ns - self._sent_ns)
            self._load.statuses[self._status] += 1
            self._send(now_ns)

    def connection_lost(self, error: Exception | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._load.error = error or ConnectionResetError("closed by the server")
            self._ended.set_result(None)


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    load = Load(spec)
    connections = [
        (await loop.create_connection(lambda: Connection(load), "127.0.0.1", spec["port"]))[1]
        for _ in range(spec["connections"])
    ]
    gc.disable()
    await load.run(connections, spec["warm_up_s"])
    cpu_began = time.process_time()
    seconds = await load.run(connections, spec["seconds"])
    cpu_s = time.process_time() - cpu_began
    latencies = sorted(load.latencies)
    return {
        "count": len(latencies),
        "per_s": len(latencies) / seconds,
        "statuses": dict(load.statuses),
        "p50_ms": at(latencies, 0.5),
        "p99_ms": at(latencies, 0.99),
        "max_ms": at(latencies, 1.0),
        "client_cpu": 100 * cpu_s / seconds,
    }


if __name__ == "__main__":
    os.sched_setaffinity(0, CLIENT_CORES)
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
