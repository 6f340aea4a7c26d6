"""Fifty clients that read and one that has stopped, beside the same fifty alone; ticks and facts mixed.

Both runs of a side begin with a server of its own, since what a side is behind after one would spoil the other.
"""

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from urllib.parse import urlsplit

from bench.live import PEER, Better, Plan, Sample, load_client, rounds
from bench.report import Row, Target
from bench.servers import Server

CLIENTS = 50
# Of these each arrival is timed; of the others everything is counted.
TIMED = 10
EVENTS_PER_S = 5_000
SECTION = f"{CLIENTS} WebSocket clients that read, beside one that has stopped"
TOPICS = ["tick", "order"]


def stall(plan: Plan) -> list[Row]:
    alone = rounds(plan, lambda server: run(server, plan, stalled=False))
    beside = rounds(plan, lambda server: run(server, plan, stalled=True))
    rows: list[Row] = []

    def row(what: str, unit: str, key: str, better: Better = "lower", target: Target | None = None) -> None:
        for name, samples in (("alone", alone), ("beside one that has stopped", beside)):
            ours, theirs = samples["product"].get(key, []), samples["peer"].get(key, [])
            rows.append(Row(SECTION, f"{what}, {name}", unit, better, ours, theirs, PEER, target))

    row("facts that the worst-off client got", "%", "facts", "higher", Target(at_least=100))
    row("ticks that the worst-off client got", "%", "ticks", "higher")
    row("latency p50", "ms", "p50_ms")
    row("latency p99", "ms", "p99_ms")
    row("memory that was taken during the run", "MB", "grown_mb")
    row("CPU of the server", "% of a core", "cpu")
    ratios: dict[str, list[float]] = {}
    for side in ("product", "peer"):
        pairs = zip(beside[side]["p99_ms"], alone[side]["p99_ms"], strict=False)
        ratios[side] = [with_it / without for with_it, without in pairs]
    what = "latency p99 beside it, in times of that alone"
    rows.append(Row(SECTION, what, "", "lower", ratios["product"], ratios["peer"], PEER, Target(at_most=1.5)))
    return rows


def run(server: Server, plan: Plan, *, stalled: bool) -> Sample:
    hello = None if server.ws_hello is None else json.dumps({"type": "subscribe", "id": 1, "topics": TOPICS})
    with (
        stopped_client(server, hello) if stalled else nullcontext(),
        load_client(server, hello, clients=CLIENTS, timed=TIMED) as ask,
    ):
        for seconds in (1.0, plan.stall_s):
            ask({"do": "begin"}, 10)
            memory_mb, cpu_s = server.memory_mb(), server.cpu_s()
            fed = server.feed(EVENTS_PER_S, int(EVENTS_PER_S * seconds), "mixed")
            cpu_s, memory_mb = server.cpu_s() - cpu_s, server.memory_mb() - memory_mb
            command = {"do": "finish", "sent": fed["sent"], "first_ns": fed["first_ns"], "drain_s": plan.drain_s}
            got = ask(command, plan.drain_s + 120)
    facts = fed["facts"]
    sample = {
        "facts": 100 * min(1.0, got["least_facts"] / facts),
        "ticks": 100 * min(1.0, got["least_ticks"] / (fed["sent"] - facts)),
        "grown_mb": memory_mb,
        "cpu": 100 * cpu_s / fed["seconds"],
        "client_cpu": 100 * got["client_cpu_s"] / fed["seconds"],
    }
    return sample | {key: got[key] for key in ("p50_ms", "p99_ms") if got[key] is not None}


@contextmanager
def stopped_client(server: Server, hello: str | None) -> Iterator[None]:
    """Have a client that subscribes, and takes nothing more from then on."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        address = urlsplit(server.ws_url)
        path = f"{address.path}?{address.query}" if address.query else address.path
        headers = "".join(f"{name}: {value}\r\n" for name, value in server.ws_headers.items())
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
        )
        while b"\r\n\r\n" not in connection.recv(4096, socket.MSG_PEEK):
            pass
        if hello is not None:
            text, mask = hello.encode(), os.urandom(4)
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
            connection.sendall(bytes((0x81, 0x80 | len(text))) + mask + masked)
        yield
