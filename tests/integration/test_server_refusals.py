"""What Redis and NATS refuse: it is said with what to do about it, facts wait in the journal, and nothing is lost.

The same for the SQL servers is in ``test_sql_failures``, for InfluxDB in ``test_influx``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis as Client

from tests.bus_outside import NatsOutside, Outside, RedisOutside
from tests.integration.test_bus_outages import Flow, public, seen
from tests.servers import Nats, Redis, Server
from tests.servers.disks import fill_up, small_disk
from tests.servers.fixtures import running
from vnpy_core.data.journal import Journal

NATS_USERS = """
authorization {
  users = [
    { user: writer, password: s3cret }
    { user: reader, password: s3cret, permissions: { publish: ["_INBOX.>", "$JS.API.STREAM.>"] } }
  ]
}
"""


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    await made.open()
    yield made
    await made.close()


class As:
    """The outside of a server, with the service at another URL than the others."""

    def __init__(self, outside: Outside, url: str) -> None:
        self._outside = outside
        self._url = url

    def settings(self, **changes: Any) -> Any:
        return self._outside.settings(url=SecretStr(self._url), **changes)


async def refuses(journal: Journal, outside: Any, *words: str) -> None:
    """See that facts wait, and that it is said why."""
    flow = Flow(journal, outside)
    async with asyncio.timeout(60):
        await flow.bus.start()
        try:
            task = asyncio.create_task(flow.run())
            while not all(word in str(flow.bus.detail) for word in words):
                assert not task.done()
                await asyncio.sleep(0.01)
            await flow.more(200)
            assert flow.sink.lag >= 200
            assert "s3cret" not in str(flow.bus.detail)
            flow._on = False
            await task
        finally:
            await flow.bus.stop()


async def is_made_good(journal: Journal, outside: Outside, url: str) -> None:
    flow = Flow(journal, As(outside, url))  # type: ignore[arg-type]
    async with flow.flowing():
        await flow.more(100)
    assert flow.sink.dead_letters == 0


async def test_nats_refuses_credentials_and_publishing(journal: Journal, tmp_path: Path) -> None:
    with running(Nats) as server:
        users = tmp_path / "nats.conf"
        users.write_text(NATS_USERS)
        server.arguments = ("--config", str(users))
        server.restart()
        outside = NatsOutside(server)
        good = server.url.replace("nats://", "nats://writer:s3cret@")
        await is_made_good(journal, outside, good)
        for url in (server.url, good.replace("s3cret", "wrong")):
            await refuses(journal, As(outside, url), "does not accept the credentials of bus.url or bus.credentials")
        reader = As(outside, good.replace("writer", "reader"))
        await refuses(journal, reader, "does not let the user of bus.url or bus.credentials do this: permissions")
        await is_made_good(journal, outside, good)
        server.arguments = ()
        server.restart()
        assert seen(await outside.kept()) == await public(journal)


async def test_redis_refuses_credentials_and_writing(journal: Journal) -> None:
    with running(Redis) as server, running(Redis) as primary:
        outside = RedisOutside(server)
        with Client.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "writer", "on", ">s3cret", "~*", "+@all")
            client.execute_command("ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "+@all", "-@write", "-@scripting")
            good = server.url.replace("redis://", "redis://writer:s3cret@")
            await is_made_good(journal, outside, good)
            for url, said in (
                (good.replace("s3cret", "wrong"), "does not accept the credentials of bus.url"),
                (good.replace("writer", "reader"), "does not let the user of bus.url do this"),
            ):
                await refuses(journal, As(outside, url), said)
            client.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
            await refuses(journal, As(outside, good), "is a replica", "name the primary in bus.url")
            client.execute_command("REPLICAOF", "NO", "ONE")
        await is_made_good(journal, outside, good)
        assert seen(await outside.kept()) == await public(journal)


@pytest.mark.parametrize("outside_of", [NatsOutside, RedisOutside])
async def test_a_host_that_is_not_there_is_named(journal: Journal, outside_of: Callable[[], Outside]) -> None:
    outside = outside_of()
    scheme = {"nats": "nats", "redis": "redis"}[outside.kind]
    for host in ("no-such-host.invalid:4222", "127.0.0.1:1"):
        await refuses(journal, As(outside, f"{scheme}://{host}"), host, "cannot be reached", "correct bus.url")


@pytest.mark.parametrize("kind", [Nats, Redis])
async def test_facts_wait_while_the_disk_of_the_bus_is_full(journal: Journal, kind: type[Server]) -> None:
    # With the test server's own setting, always, a Redis ends itself.
    arguments = ("--appendfsync", "everysec") if kind is Redis else ()
    with small_disk(24) as disk, running(kind, *arguments, folder=disk) as server:
        outside = NatsOutside(server) if isinstance(server, Nats) else RedisOutside(server)
        await is_made_good(journal, outside, server.url)
        await asyncio.to_thread(fill_up, disk / "filler")
        await refuses(journal, outside, "disk", "free")
        (disk / "filler").unlink()
        if isinstance(server, Nats):
            # It keeps refusing until it is started again.
            await asyncio.to_thread(server.restart)
        await is_made_good(journal, outside, server.url)
        assert seen(await outside.kept()) == await public(journal)
