"""The contract of ``ports.RegistryBackend``, over every adapter, and what is in Redis for RedFire's other services."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis import Redis as Client
from tests import facts
from tests.servers import Redis

from vnpy_core.bus.registry_memory import MemoryRegistry
from vnpy_core.bus.registry_redis import RedisRegistry
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.enums import ServiceStatus
from vnpy_core.errors import Unavailable
from vnpy_core.models import ServiceInstance
from vnpy_core.ports import RegistryBackend

TIMEOUT_S = 1.5
KEY = "redfire:services:vnpy-core:10.0.0.12:8006"
HEARTBEAT = "redfire:heartbeat:vnpy-core:10.0.0.12:8006"


def instance(name: str = "vnpy-core", host: str = "10.0.0.12", port: int = 8006, **changes: Any) -> ServiceInstance:
    made = ServiceInstance(
        name=name, host=host, port=port, version="0.1.0", status=ServiceStatus.HEALTHY,
        metadata={"api": "/api/v1", "数": [1, 2.5, None]}, tags=["trading", "行情"], weight=50,
        health_check_url=f"http://{host}:{port}/health/ready", register_time=facts.WHEN, last_heartbeat=facts.WHEN,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def client(redis: Redis) -> Any:
    with Client.from_url(redis.url, decode_responses=True) as made:
        made.flushall()
        yield made


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[RegistryBackend]:
    made: RegistryBackend = MemoryRegistry()
    if request.param == "redis":
        request.getfixturevalue("client")
        made = on_redis(request.getfixturevalue("redis"))
    yield made
    await made.close()


def on_redis(server: Redis) -> RedisRegistry:
    return RedisRegistry(RedisServer(SecretStr(server.url), "registry.url", timeout_s=TIMEOUT_S))


async def test_what_is_put_is_listed_with_every_field(backend: RegistryBackend) -> None:
    assert await backend.instances() == []
    bare = ServiceInstance(name="bare", host="::1", port=1, version="", status=ServiceStatus.STARTING)
    await backend.put(instance(), 60)
    await backend.put(bare, 60)
    assert await backend.instances() == [bare, instance()]


async def test_putting_again_replaces(backend: RegistryBackend) -> None:
    await backend.put(instance(tags=["a"], health_check_url=None), 60)
    changed = instance(status=ServiceStatus.STOPPING, metadata={}, tags=[], weight=0)
    await backend.put(changed, 60)
    assert await backend.instances() == [changed]


async def test_instances_are_sorted_by_name_host_and_port(backend: RegistryBackend) -> None:
    made = [instance("a", "h", 9), instance("a", "h", 10), instance("a", "i", 1), instance("b", "a", 1)]
    for each in reversed(made):
        await backend.put(each, 60)
    assert await backend.instances() == made


async def test_what_is_removed_is_not_listed(backend: RegistryBackend) -> None:
    await backend.put(instance(), 60)
    await backend.put(instance(port=8007), 60)
    await backend.remove(instance())
    await backend.remove(instance())
    await backend.remove(instance("never"))
    assert await backend.instances() == [instance(port=8007)]


async def test_an_instance_that_is_silent_is_not_listed_any_more(backend: RegistryBackend) -> None:
    await backend.put(instance("silent"), 0.3)
    await backend.put(instance("alive"), 0.3)
    async with asyncio.timeout(10):
        while len(await backend.instances()) == 2:
            await asyncio.sleep(0.02)
            await backend.put(instance("alive"), 0.3)
    assert [each.name for each in await backend.instances()] == ["alive"]


async def test_many(backend: RegistryBackend) -> None:
    made = [instance(port=port) for port in range(1, 1501)]
    await asyncio.gather(*(backend.put(each, 60) for each in made[:50]))
    for each in made[50:]:
        await backend.put(each, 60)
    assert await backend.instances() == made


async def test_any_instance_comes_back_as_it_was(backend: RegistryBackend) -> None:
    examples: list[ServiceInstance] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(facts.of(ServiceInstance), st.integers(0, 65_535))
    def collect(example: ServiceInstance, port: int) -> None:
        examples.append(
            msgspec.structs.replace(
                example, name=f"n{len(examples)}", host=example.host or "h", port=port, register_time=facts.WHEN,
                last_heartbeat=None, health_check_url=example.health_check_url or None,
            )
        )  # fmt: skip

    collect()
    for each in examples:
        await backend.put(each, 60)
    found = {each.name: each for each in await backend.instances()}
    assert found == {each.name: each for each in examples}


# Redis


async def test_the_keys_are_those_that_redfire_reads(client: Any, redis: Redis) -> None:
    registry = on_redis(redis)
    await registry.put(instance(), 30)
    assert set(client.scan_iter()) == {KEY, HEARTBEAT}
    assert client.hgetall(KEY) == {
        "name": "vnpy-core", "host": "10.0.0.12", "port": "8006", "version": "0.1.0", "status": "HEALTHY",
        "metadata": '{"api":"/api/v1","数":[1,2.5,null]}', "tags": '["trading","行情"]',
        "health_check_url": "http://10.0.0.12:8006/health/ready", "weight": "50",
        "register_time": facts.WHEN, "last_heartbeat": facts.WHEN,
    }  # fmt: skip
    assert client.get(HEARTBEAT) == facts.WHEN
    assert 29_000 < client.pttl(HEARTBEAT) <= 30_000
    # What a dead instance leaves behind is not kept for ever.
    assert 86_000 < client.ttl(KEY) <= 86_400
    await registry.remove(instance())
    assert client.dbsize() == 0
    await registry.close()


async def test_entries_of_others_are_read_as_far_as_they_make_sense(client: Any, redis: Redis) -> None:
    registry = on_redis(redis)

    def put(name: str, **fields: Any) -> None:
        client.hset(f"redfire:services:{name}:h:1", mapping={"name": name, "host": "h", "port": 1, **fields})
        client.set(f"redfire:heartbeat:{name}:h:1", "1", ex=30)

    put("a", status="healthy", register_time="1767576600.5", last_heartbeat="2026-01-05T09:30:00+08:00")
    put("b", status="on fire", metadata="{", tags='{"no":"list"}', weight="-1", register_time="2026-01-05T09:30:00")
    put("c", port="70000")
    put("d", port="http")
    put("e", host="")
    put("f", port="9" * 5000, register_time="inf")
    client.set("redfire:services:g:h:1", "no hash")
    client.set("redfire:heartbeat:g:h:1", "1")
    client.hset("redfire:services:dead:h:1", mapping={"name": "dead", "host": "h", "port": 1})
    client.set("redfire:services", "another key")
    assert await registry.instances() == [
        ServiceInstance(
            name="a", host="h", port=1, version="", status=ServiceStatus.HEALTHY,
            register_time="2026-01-05T01:30:00.500000+00:00", last_heartbeat="2026-01-05T01:30:00.000000+00:00",
        ),
        ServiceInstance(name="b", host="h", port=1, version="", status=ServiceStatus.UNHEALTHY),
    ]  # fmt: skip
    await registry.close()


@given(fields=st.dictionaries(st.sampled_from(ServiceInstance.__struct_fields__), st.text(max_size=30)))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_entry_of_another_breaks_the_list(client: Any, redis: Redis, fields: dict[str, str]) -> None:
    async def read() -> list[ServiceInstance]:
        registry = on_redis(redis)
        try:
            return await registry.instances()
        finally:
            await registry.close()

    client.flushall()
    fields = {name: value.encode(errors="replace").decode() for name, value in fields.items()}
    client.hset("redfire:services:x:h:1", mapping={"name": "x", "host": "h", "port": "1"} | fields)
    client.set("redfire:heartbeat:x:h:1", "1")
    for each in asyncio.run(read()):
        assert msgspec.json.decode(msgspec.json.encode(each), type=ServiceInstance) == each


async def test_a_server_that_is_frozen_or_gone_is_unavailable_in_time(own_redis: Redis) -> None:
    registry = on_redis(own_redis)
    await registry.put(instance(), 30)
    own_redis.freeze()
    for call in (registry.put(instance(), 30), registry.instances(), registry.remove(instance())):
        async with asyncio.timeout(TIMEOUT_S * 3):
            with pytest.raises(Unavailable, match="did not answer"):
                await call
    own_redis.kill()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await registry.instances()
    await asyncio.to_thread(own_redis.start)
    assert [each.name for each in await registry.instances()] == ["vnpy-core"]
    await registry.close()
