"""The state cache and the registry while their Redis is killed, frozen, restarted, flushed; and what others notice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis as Client

from tests import facts
from tests.servers import Redis
from tests.servers.fixtures import running
from vnpy_core.bus.registry import ServiceRegistry
from vnpy_core.bus.registry_redis import RedisRegistry
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.cache.redis import RedisStateCache
from vnpy_core.data.cache.state import PREFIXES
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.enums import OrderStatus, ServiceStatus
from vnpy_core.events import Event
from vnpy_core.models import Order, ServiceInstance

TIMEOUT_S = 1.5
FROZEN_S = 3.0
SYMBOLS = 200
# Of 1,000 events a second; the machine does other things too.
HELD_UP_S = 0.25


class Trading:
    """Ticks and orders for ever, and how late the loop is meanwhile."""

    def __init__(self, url: str) -> None:
        self.read_model = ReadModel()
        cache = RedisStateCache(RedisServer(SecretStr(url), "cache.url", timeout_s=TIMEOUT_S), "w", ttl_s=3600)
        self.writer = CacheWriter(
            cache, self.read_model, ttl_s=3600, flush_interval_ms=20, check_s=0.1, retry_max_s=0.5
        )
        self.latest = LatestState(self.read_model, self.writer)
        self.number = 0
        self.held_up_s = 0.0
        self.slowest_read_s = 0.0

    async def go_on(self) -> None:
        while True:
            self.number += 1
            models = [facts.tick(f"s{(self.number * 10 + place) % SYMBOLS}", float(self.number)) for place in range(10)]
            states = [facts.order(self.number), facts.order(self.number, OrderStatus.ALLTRADED)]
            events = [Event(model) for model in [*models, *states, facts.position(volume=float(self.number))]]
            self.read_model.apply(events)
            self.writer.on_events(events)
            began = time.monotonic()
            await asyncio.sleep(0.01)
            self.held_up_s = max(self.held_up_s, time.monotonic() - began - 0.01)

    async def ask(self) -> None:
        """Read the latest order, for ever; it is never older than what was known when it was asked for."""
        while True:
            await asyncio.sleep(0.005)
            began = time.monotonic()
            found = await self.latest.get(Order, f"SIM.{self.number}")
            self.slowest_read_s = max(self.slowest_read_s, time.monotonic() - began)
            assert found is not None
            assert found.status is OrderStatus.ALLTRADED

    def expected(self) -> dict[str, bytes]:
        tables = [(prefix, self.read_model.table_of(kind)) for kind, prefix in PREFIXES.items()]
        return {prefix + e.data.key: e.payload for prefix, table in tables if table is not None for e in table.values()}


def content(server: Redis) -> dict[str, bytes]:
    with Client.from_url(server.url) as client:
        keys = [key for key in client.scan_iter("vnpy_core:*", count=10_000) if b"writer" not in key]
        values: Any = client.mget(keys) if keys else []
        return {key.decode(): value for key, value in zip(keys, values, strict=True)}


@asynccontextmanager
async def trading(server: Redis) -> AsyncIterator[Trading]:
    busy = Trading(server.url)
    await busy.writer.start()
    tasks = [asyncio.create_task(busy.go_on()), asyncio.create_task(busy.ask())]
    try:
        await eventually(lambda: busy.number > 50 and busy.writer.is_complete)
        yield busy
        ended = [task for task in tasks if task.done()]
        assert not ended, ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await busy.writer.stop()


async def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.005)


async def up_to_date(busy: Trading) -> None:
    position = busy.writer.written
    await eventually(lambda: busy.writer.healthy and busy.writer.is_complete and busy.writer.written > position)


async def kill(server: Redis, busy: Trading) -> None:
    server.kill()
    await eventually(lambda: not busy.writer.healthy)
    before = busy.number
    await eventually(lambda: busy.number > before + 50)
    await asyncio.to_thread(server.start)


async def freeze(server: Redis, busy: Trading) -> None:
    server.freeze()
    frozen = time.monotonic()
    await eventually(lambda: not busy.writer.healthy)
    assert time.monotonic() - frozen < TIMEOUT_S + 0.5
    await asyncio.sleep(FROZEN_S)
    server.thaw()


async def restart(server: Redis, busy: Trading) -> None:
    await asyncio.to_thread(server.restart)


async def flush(server: Redis, busy: Trading) -> None:
    rebuilds = busy.writer.rebuilds
    with Client.from_url(server.url) as client:
        client.flushall()
    await eventually(lambda: busy.writer.rebuilds > rebuilds)


@pytest.mark.parametrize("keeps", ["yes", "no"], ids=["keeps its data", "keeps nothing"])
@pytest.mark.parametrize("happens", [kill, freeze, restart, flush])
async def test_the_cache_is_the_read_model_again_whatever_happened(happens: Any, keeps: str) -> None:
    with running(Redis, "--appendonly", keeps) as server:
        async with trading(server) as busy:
            await happens(server, busy)
            await up_to_date(busy)
        assert content(server) == busy.expected()
        assert busy.held_up_s < HELD_UP_S
        # Until the writer has seen that it is out, one read waits for it.
        assert busy.slowest_read_s < TIMEOUT_S + HELD_UP_S
        if keeps == "no" and happens in (kill, restart):
            assert busy.writer.rebuilds == 2


async def test_the_stop_does_not_wait_for_a_frozen_cache(own_redis: Redis) -> None:
    async with trading(own_redis) as busy:
        own_redis.freeze()
        began = time.monotonic()
        await busy.writer.stop()
        assert time.monotonic() - began < 3 * TIMEOUT_S + HELD_UP_S


# The registry


def instance(port: int) -> ServiceInstance:
    return ServiceInstance(name="vnpy-core", host="127.0.0.1", port=port, version="1", status=ServiceStatus.STARTING)


@asynccontextmanager
async def registry(server: Redis, port: int) -> AsyncIterator[ServiceRegistry]:
    backend = RedisRegistry(RedisServer(SecretStr(server.url), "registry.url", timeout_s=TIMEOUT_S))
    made = ServiceRegistry(
        backend, instance(port), lambda: ServiceStatus.HEALTHY, heartbeat_s=0.1, ttl_s=30.0, view_age_s=0.05, wait_s=0.1
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def sees(who: ServiceRegistry, *ports: int) -> None:
    async with asyncio.timeout(30):
        while True:
            began = time.monotonic()
            found = await who.discover("vnpy-core")
            assert time.monotonic() - began < 0.1 + HELD_UP_S
            if not found.stale and [each.port for each in found.instances] == list(ports):
                return
            await asyncio.sleep(0.01)


async def test_services_find_each_other_again_whatever_happened_to_the_registry() -> None:
    with running(Redis, "--appendonly", "no") as server:
        async with registry(server, 1) as one, registry(server, 2) as other:
            await sees(one, 1, 2)
            await sees(other, 1, 2)

            with Client.from_url(server.url) as client:
                client.flushall()
            await sees(one, 1, 2)

            for outage in (server.kill, server.freeze):
                outage()
                await eventually(lambda: not one.healthy and not other.healthy)
                began = time.monotonic()
                for _ in range(100):
                    found = await one.discover("vnpy-core")
                    assert (found.stale, [each.port for each in found.instances]) == (True, [1, 2])
                assert time.monotonic() - began < HELD_UP_S
                if outage == server.kill:
                    await asyncio.to_thread(server.start)
                else:
                    server.thaw()
                await sees(one, 1, 2)
                await sees(other, 1, 2)

            await asyncio.to_thread(server.restart)
            await sees(one, 1, 2)
            await other.stop()
            await sees(one, 1)
        with Client.from_url(server.url) as client:
            assert client.dbsize() == 0


async def test_leaving_does_not_wait_for_a_frozen_registry(own_redis: Redis) -> None:
    async with registry(own_redis, 1) as one:
        await sees(one, 1)
        own_redis.freeze()
        began = time.monotonic()
        await one.stop()
        assert time.monotonic() - began < 4 * TIMEOUT_S
