"""The contract of ``ports.StateCache``, over every adapter, and what Redis can do to it beyond that."""

import asyncio
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis import Redis as Client
from tests.servers import Redis

from vnpy_core.config.data_settings import CacheSettings
from vnpy_core.data.cache.adapters import open_state_cache
from vnpy_core.data.cache.memory import Entries, MemoryStateCache
from vnpy_core.data.cache.redis import WRITE_SCRIPT, RedisStateCache
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.errors import ConfigError, Unavailable
from vnpy_core.ports import StateCache

TTL_S = 100
TIMEOUT_S = 1.5


class Place(ABC):
    """Where caches are kept, and what may happen to it."""

    def __init__(self) -> None:
        self.made: list[StateCache] = []

    def cache(self, writer: str = "w", ttl_s: int = TTL_S) -> StateCache:
        made = self._make(writer, ttl_s)
        self.made.append(made)
        return made

    @abstractmethod
    def _make(self, writer: str, ttl_s: int) -> StateCache: ...

    @abstractmethod
    def content(self) -> dict[str, bytes]: ...

    @abstractmethod
    def become(self, content: dict[str, bytes]) -> None: ...


class Memory(Place):
    def __init__(self) -> None:
        super().__init__()
        self.entries: Entries = {}

    def _make(self, writer: str, ttl_s: int) -> StateCache:
        return MemoryStateCache(writer, ttl_s=ttl_s, entries=self.entries)

    def content(self) -> dict[str, bytes]:
        return {key: value for key, (value, _) in self.entries.items()}

    def become(self, content: dict[str, bytes]) -> None:
        self.entries.clear()
        self.entries.update({key: (value, float("inf")) for key, value in content.items()})


class OnRedis(Place):
    def __init__(self, server: Redis) -> None:
        super().__init__()
        self.url = SecretStr(server.url)
        self.client = Client.from_url(server.url)
        self.client.flushall()

    def _make(self, writer: str, ttl_s: int) -> StateCache:
        return RedisStateCache(RedisServer(self.url, "cache.url", timeout_s=TIMEOUT_S), writer, ttl_s=ttl_s)

    def content(self) -> dict[str, bytes]:
        return {key.decode(): self.client.get(key) for key in self.client.scan_iter()}  # type: ignore[union-attr, misc]

    def become(self, content: dict[str, bytes]) -> None:
        self.client.flushall()
        for key, value in content.items():
            self.client.set(key, value)


@pytest.fixture(params=["memory", "redis"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = Memory() if request.param == "memory" else OnRedis(request.getfixturevalue("redis"))
    yield made
    for cache in made.made:
        await cache.close()
    if isinstance(made, OnRedis):
        made.client.close()


async def test_what_is_written_is_read(place: Place) -> None:
    cache = place.cache()
    await cache.begin()
    assert await cache.write({"order:1": b'{"a":1}', "order:2": b"\x00\xff"})
    assert await cache.write({"order:1": b'{"a":2}'})
    assert [await cache.read(f"order:{number}") for number in (1, 2, 3)] == [b'{"a":2}', b"\x00\xff", None]


async def test_what_one_writes_another_reads(place: Place) -> None:
    cache, other = place.cache("one"), place.cache("two")
    await cache.begin()
    await other.begin()
    assert await cache.write({"a": b"1"})
    assert await other.write({"b": b"2"})
    assert await cache.write({"c": b"3"})
    assert [await other.read(key) for key in "abc"] == [b"1", b"2", b"3"]


async def test_a_thousand_at_a_time(place: Place) -> None:
    cache = place.cache()
    await cache.begin()
    values = {f"tick:{number}": b"%d" % number * 100 for number in range(1000)}
    assert await cache.write(values)
    assert {key: await cache.read(key) for key in list(values)[::100]} == dict(list(values.items())[::100])
    assert await cache.renew(values) == []


async def test_nothing_is_written_without_a_run(place: Place) -> None:
    cache = place.cache()
    assert not await cache.write({"a": b"1"})
    assert await cache.read("a") is None


async def test_a_flush_ends_the_run_and_a_new_one_can_begin(place: Place) -> None:
    cache = place.cache()
    await cache.begin()
    assert await cache.write({"a": b"1"})
    place.become({})
    assert not await cache.write({"b": b"2"})
    assert not await cache.write({})
    assert place.content() == {}
    await cache.begin()
    assert await cache.write({"b": b"2"})
    assert [await cache.read(key) for key in "ab"] == [None, b"2"]


async def test_with_no_values_a_write_asks_whether_the_run_goes_on(place: Place) -> None:
    cache = place.cache()
    await cache.begin()
    assert await cache.write({})
    assert await cache.write({})
    place.become({})
    assert not await cache.write({})


async def test_another_run_of_the_same_writer_ends_the_one_before(place: Place) -> None:
    cache, successor = place.cache(), place.cache()
    await cache.begin()
    await cache.write({"a": b"old"})
    await successor.begin()
    assert not await cache.write({"a": b"late"})
    assert await successor.read("a") == b"old"
    assert await successor.write({"a": b"new"})


async def test_what_is_renewed_stays_and_what_is_gone_is_named(place: Place) -> None:
    cache = place.cache()
    await cache.begin()
    await cache.write({"a": b"1", "b": b"2"})
    content = place.content()
    del content["b"]
    place.become(content)
    assert await cache.renew(["a", "b", "c"]) == ["b", "c"]
    assert await cache.renew([]) == []
    assert await cache.read("a") == b"1"


async def test_entries_are_forgotten_unless_they_are_renewed(place: Place) -> None:
    cache = place.cache(ttl_s=1)
    await cache.begin()
    await cache.write({"a": b"1", "b": b"2"})
    async with asyncio.timeout(10):
        while await cache.read("b") is not None:
            assert await cache.renew(["a"]) == []
            await asyncio.sleep(0.02)
    assert await cache.read("a") == b"1"
    assert "b" not in place.content() or isinstance(place, Memory)


# Redis


@pytest.fixture
async def cache(own_redis: Redis) -> AsyncIterator[RedisStateCache]:
    server = RedisServer(SecretStr(own_redis.url), "cache.url", timeout_s=TIMEOUT_S)
    made = RedisStateCache(server, "w", ttl_s=TTL_S)
    yield made
    await made.close()


async def test_a_state_older_than_what_was_written_ends_the_run(redis: Redis) -> None:
    place = OnRedis(redis)
    cache = place.cache()
    await cache.begin()
    await cache.write({"a": b"1"})
    older = place.content()
    await cache.write({"a": b"2"})
    place.become(older)
    assert not await cache.write({"b": b"3"})
    await cache.close()
    place.client.close()


async def test_a_write_that_arrives_behind_a_later_one_is_not_done(redis: Redis) -> None:
    place = OnRedis(redis)
    cache = place.cache()
    await cache.begin()
    marker = "vnpy_core:writer:w"
    run = place.content()[marker].rpartition(b":")[0]
    for number in (1, 2, 3):
        await cache.write({"a": b"%d" % number})
    for acknowledged, number in ((0, 1), (1, 2), (2, 3)):
        late = place.client.eval(WRITE_SCRIPT, 2, marker, "a", 100, run, acknowledged, number, b"late")  # type: ignore[arg-type]
        assert late == 0
    assert await cache.write({"b": b"4"})
    assert await cache.read("a") == b"3"
    await cache.close()
    place.client.close()


async def test_every_entry_has_its_time_to_live(redis: Redis) -> None:
    place = OnRedis(redis)
    cache = place.cache()
    await cache.begin()
    await cache.write({"a": b"1"})
    times = {key.decode(): place.client.ttl(key) for key in place.client.scan_iter()}  # type: ignore[union-attr]
    assert set(times) == {"a", "vnpy_core:writer:w"}
    assert all(TTL_S - 5 < seconds <= TTL_S for seconds in times.values())  # type: ignore[operator]
    await cache.close()
    place.client.close()


async def test_a_restart_that_kept_everything_does_not_end_the_run(cache: RedisStateCache, own_redis: Redis) -> None:
    await cache.begin()
    await cache.write({"a": b"1"})
    own_redis.kill()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await cache.write({"a": b"2"})
    await asyncio.to_thread(own_redis.start)
    assert await cache.write({"a": b"2"})
    assert await cache.read("a") == b"2"


async def test_a_write_that_is_done_late_changes_nothing(cache: RedisStateCache, own_redis: Redis) -> None:
    await cache.begin()
    for number in range(8):
        await cache.write({"a": b"first %d" % number})
        own_redis.freeze()
        with pytest.raises(Unavailable, match="did not answer within"):
            await cache.write({"a": b"late %d" % number})
        own_redis.thaw()
        assert await cache.write({"a": b"last %d" % number})
        assert await cache.write({})
        assert await cache.read("a") == b"last %d" % number


async def test_a_frozen_server_holds_nobody_up(cache: RedisStateCache, own_redis: Redis) -> None:
    await cache.begin()
    own_redis.freeze()
    for call in (cache.begin(), cache.write({"a": b"1" * 10_000_000}), cache.renew(["a"]), cache.read("a")):
        async with asyncio.timeout(TIMEOUT_S * 3):
            with pytest.raises(Unavailable, match="did not answer within"):
                await call
    async with asyncio.timeout(TIMEOUT_S * 3):
        await cache.close()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("CONFIG", "SET", "requirepass", "x"), "does not accept the credentials of cache.url"),
        (("CONFIG", "SET", "maxmemory", "1"), "raise its maxmemory"),
        (("REPLICAOF", "127.0.0.1", "1"), "name the primary in cache.url"),
        (("ACL", "SETUSER", "default", "-@scripting"), "does not let the user of cache.url"),
    ],
)
async def test_what_the_server_refuses_is_explained(own_redis: Redis, command: tuple[str, ...], told: str) -> None:
    with Client.from_url(own_redis.url) as client:
        client.execute_command(*command)
    server = RedisServer(SecretStr(own_redis.url), "cache.url", timeout_s=TIMEOUT_S)
    cache = RedisStateCache(server, "w", ttl_s=TTL_S)

    async def use() -> None:
        await cache.write({"a": b"1"})
        await cache.begin()

    with pytest.raises(Unavailable, match=told):
        await use()
    await cache.close()


@pytest.mark.parametrize("url", ["http://h:1", "redis://:s3cret@h:port/0", "s3cret", "redis://h?no_such=s3cret"])
def test_a_url_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"cache\.url is not a URL") as caught:
        open_state_cache(CacheSettings(url=SecretStr(url)), "w")
    assert "s3cret" not in str(caught.value)


def test_without_the_client_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match=r"cache\.url .* redis is not installed: make servers-clients"):
        open_state_cache(CacheSettings(url=SecretStr("redis://localhost")), "w")
    assert open_state_cache(CacheSettings(), "w") is None


def test_the_client_is_not_imported_until_it_is_used() -> None:
    program = "import sys, vnpy_core.installation; sys.exit('redis' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_url_says_which_adapter_it_is() -> None:
    assert open_state_cache(CacheSettings(), "w") is None
    assert open_state_cache(CacheSettings(url=SecretStr("")), "w") is None
    assert isinstance(open_state_cache(CacheSettings(url=SecretStr("memory://")), "w"), MemoryStateCache)
    for url in ("redis://localhost", "rediss://user:pw@[::1]:6380/3", "unix:///run/redis.sock"):
        assert isinstance(open_state_cache(CacheSettings(url=SecretStr(url)), "w"), RedisStateCache)


def test_what_is_shown_of_a_url_has_no_credentials() -> None:
    server = RedisServer(SecretStr("rediss://user:pw@[::1]:6380/3?ssl_cert_reqs=none"), "cache.url", timeout_s=1)
    assert server.display_url == "rediss://[::1]:6380/3"
