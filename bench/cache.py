"""The state cache in a real Redis: entries a second, cost to the loop, and how soon after an event they are there.

``python -m bench.cache [rounds]``. The server is that of the tests: a private one. Everything of ours runs on one
uvloop, as in the service; "there" is when Redis has acknowledged it.
"""

import asyncio
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from time import perf_counter, process_time
from typing import Any

import uvloop
from pydantic import SecretStr
from tests import facts
from tests.servers import Redis

from vnpy_core.config.data_settings import CacheSettings
from vnpy_core.data.cache.redis import RedisStateCache
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.events import Event

FLUSH_INTERVAL_MS = CacheSettings().flush_interval_ms
SYMBOLS = 1_000
ROUNDS = 3


class Lateness:
    """How late the loop runs what is due; a collection of garbage counts, too."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def watch(self) -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(0.001)
            self.worst_ms = max(self.worst_ms, (perf_counter() - began) * 1000 - 1)


@asynccontextmanager
async def writing(server: Redis, read_model: ReadModel) -> Any:
    cache = RedisStateCache(RedisServer(SecretStr(server.url), "cache.url", timeout_s=1.0), "bench", ttl_s=3600)
    writer = CacheWriter(cache, read_model, ttl_s=3600, flush_interval_ms=FLUSH_INTERVAL_MS)
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    await writer.start()
    try:
        yield writer, lateness
    finally:
        await writer.stop()
        watching.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  it may be any condition
        await asyncio.sleep(0.0005)


async def rebuild(server: Redis, count: int = 100_000) -> dict[str, float]:
    """Write a whole state."""
    read_model = ReadModel(keep_final=count)
    read_model.apply([Event(facts.order(number)) for number in range(count)])
    gc.collect()
    began, cpu = perf_counter(), process_time()
    async with writing(server, read_model) as (writer, lateness):
        await until(lambda: writer.is_complete)
        took_s = perf_counter() - began
        return {
            "rebuild_entries_s": count / took_s,
            "rebuild_cpu_us": (process_time() - cpu) / count * 1e6,
            "rebuild_loop_late_ms": lateness.worst_ms,
        }


async def feed(server: Redis, rate: int = 10_000, seconds: float = 2.0, *, frozen: bool = False) -> dict[str, float]:
    """Ticks of ``SYMBOLS`` symbols in bursts of 1 ms."""
    read_model = ReadModel()
    ticks = [Event(facts.tick(f"s{number}")) for number in range(SYMBOLS)]
    read_model.apply(ticks)
    async with writing(server, read_model) as (writer, lateness):
        await until(lambda: writer.is_complete)
        if frozen:
            server.freeze()
        written, told, handed_s, sent = writer.written, 0, 0.0, 0
        lateness.worst_ms = 0.0
        began, cpu = perf_counter(), process_time()
        while (now := perf_counter() - began) < seconds:
            burst = [ticks[(sent + place) % SYMBOLS] for place in range(int(now * rate) - sent)]
            sent += len(burst)
            started = perf_counter()
            writer.on_events(burst)
            handed_s += perf_counter() - started
            told += len(burst)
            await asyncio.sleep(0.001)
        used_s = process_time() - cpu
        worst_ms = lateness.worst_ms
        if frozen:
            server.thaw()
        name = "frozen" if frozen else "feed"
        return {
            f"{name}_ticks_s": told / seconds,
            f"{name}_writes_s": (writer.written - written) / seconds,
            f"{name}_hand_over_us": handed_s / told * 1e6,
            f"{name}_cpu_percent": used_s / seconds * 100,
            f"{name}_loop_late_ms": worst_ms,
        }


async def latency(server: Redis, pauses_s: Iterable[float], name: str) -> dict[str, float]:
    """Orders, one after each pause."""
    read_model = ReadModel()
    took_ms: list[float] = []
    async with writing(server, read_model) as (writer, _):
        await until(lambda: writer.is_complete)
        waiting: list[tuple[int, float]] = []
        for number, pause_s in enumerate(pauses_s, 1):
            event = Event(facts.order(number))
            event.seq = number
            waiting.append((number, perf_counter()))
            writer.on_events([event])
            deadline = perf_counter() + pause_s
            while perf_counter() < deadline or (waiting and number % 1000 == 0 and writer.position < number):
                while waiting and waiting[0][0] <= writer.position:
                    took_ms.append((perf_counter() - waiting.pop(0)[1]) * 1000)
                await asyncio.sleep(0)
    took_ms.sort()
    return {
        f"{name}_p50_ms": statistics.median(took_ms),
        f"{name}_p99_ms": took_ms[int(len(took_ms) * 0.99)],
    }


async def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    with Redis("--appendonly", "no") as server:
        for _ in range(rounds):
            sample = await rebuild(server)
            sample |= await feed(server)
            sample |= await feed(server, frozen=True)
            sample |= await latency(server, [0.06] * 50, "lone_order")
            sample |= await latency(server, [0.001] * 2000, "steady_orders")
            for name, value in sample.items():
                found.setdefault(name, {"product": [], "peer": []})["product"].append(value)
    return found


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, list[float]]]:
    return uvloop.run(_measure(rounds))


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
