"""The WebSocket load client: one process, N picows connections, a latency for every tick that arrives.

It reads the creation time out of the raw frame and never decodes JSON. Commands come as JSON lines on standard input
(``begin``, then ``finish``), answers go to standard output.
"""

import asyncio
import gc
import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterable
from typing import Any

import picows
import uvloop

from bench.processes import CLIENT_CORES

STAMP = re.compile(rb'"(?:turnover|reference)": ?"?(\d+)')  # of a tick, of an order
FACT, TICK = b'"vt_orderid"', b'"turnover"'
STALL_S = 3.0


class Client(picows.WSListener):  # type: ignore[misc]
    """Keep, for each frame with ticks or orders, when it arrived and the stamps in it; or count only."""

    def __init__(self, hello: str | None, timed: bool) -> None:
        self._hello = hello
        self._timed = timed
        self.facts = 0
        self.frames: list[tuple[int, list[bytes]]] = []
        self.ticks = 0
        self.bytes = 0
        self.disconnected = False

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        if self._hello is not None:
            transport.send(picows.WSMsgType.TEXT, self._hello.encode())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.disconnected = True

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = time.monotonic_ns()
        if frame.msg_type == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        payload = frame.get_payload_as_bytes()
        facts = payload.count(FACT)
        self.facts += facts
        if not self._timed:
            self.ticks += payload.count(TICK) + facts
            return
        stamps = STAMP.findall(payload)
        if stamps:
            self.frames.append((now, stamps))
            self.ticks += len(stamps)
            self.bytes += frame.payload_size

    def clear(self) -> None:
        self.frames.clear()
        self.ticks = self.facts = self.bytes = 0


async def run(url: str, hello: str | None, headers: dict[str, str], count: int, timed: int) -> None:
    clients = [Client(hello, number < timed) for number in range(count)]
    for client in clients:
        await picows.ws_connect(
            lambda client=client: client, url, enable_auto_pong=False, max_frame_size=64 * 2**20, extra_headers=headers
        )
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answer({"ready": True})
    gc.disable()
    cpu = 0.0
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "begin":
            for client in clients:
                client.clear()
            gc.collect()
            cpu = cpu_s()
            answer({"begun": True})
        else:
            await until_all_arrived(clients, command["sent"], command["drain_s"])
            used = cpu_s() - cpu
            answer(summary(clients, command["first_ns"], command["sent"]) | {"client_cpu_s": used})


async def until_all_arrived(clients: list[Client], sent: int, drain_s: float) -> None:
    """Return when every client has ``sent`` ticks, when nothing has come for a while, or after ``drain_s``."""
    deadline = moved = time.monotonic()
    deadline += drain_s
    before = -1
    while any(client.ticks < sent and not client.disconnected for client in clients):
        now = time.monotonic()
        total = sum(client.ticks for client in clients)
        if total != before:
            before, moved = total, now
        if now > deadline or now - moved > STALL_S:
            return
        await asyncio.sleep(0.02)


def summary(clients: list[Client], first_ns: int, sent: int) -> dict[str, Any]:
    latencies: list[int] = []
    delivered = 0
    for client in clients:
        seen: set[int] = set()
        for arrived, stamps in client.frames:
            for stamp in map(int, stamps):
                if stamp >= first_ns and stamp not in seen:
                    seen.add(stamp)
                    latencies.append(arrived - stamp)
        delivered += len(seen)
    latencies.sort()
    return {
        "delivered": delivered,
        "expected": sent * len(clients),
        "least_facts": min(client.facts for client in clients),
        "least_ticks": min(client.ticks - client.facts for client in clients),
        "disconnected": sum(client.disconnected for client in clients),
        "frames": sum(len(client.frames) for client in clients),
        "bytes": sum(client.bytes for client in clients),
        **{name: at(latencies, share) for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))},
        "max_ms": at(latencies, 1.0),
    }


def at(ordered: list[int], share: float) -> float | None:
    """The nearest-rank percentile of ``ordered`` nanoseconds, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 if ordered else None


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def answer(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def main(arguments: Iterable[str]) -> None:
    spec = json.loads(next(iter(arguments)))
    os.sched_setaffinity(0, CLIENT_CORES)
    uvloop.run(run(spec["url"], spec["hello"], spec["headers"], spec["clients"], spec["timed"]))


if __name__ == "__main__":
    main(sys.argv[1:])
