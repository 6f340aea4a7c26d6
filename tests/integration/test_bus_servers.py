"""What is particular to NATS and to Redis: streams and their limits, consumer groups, credentials, others who write."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import nats.errors
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests import facts
from tests.bus_outside import NatsOutside, Outside, RedisOutside
from tests.servers import Nats, Redis
from tests.servers.fixtures import running
from tests.unit.routers.memory_service import MemoryService, contract
from tests.unit.routers.test_commands import ORDER, Records
from vnpy_core.bus.memory import Delivery
from vnpy_core.bus.message_bus import MessageBus
from vnpy_core.bus.nats_link import explain
from vnpy_core.errors import DataRejected, Unavailable
from vnpy_core.events import PUBLIC_FACT_TOPICS, Event
from vnpy_core.models import to_timestamp
from vnpy_core.ports import BusFact, BusMessage, BusTransport
from vnpy_core.routers import examples
from vnpy_core.routers.commands import CommandDesk, sign

SOURCE = "5eed"
SECRET = "a secret of the desk"


def fact(seq: int, **changes: Any) -> BusFact:
    event = Event(facts.order(seq, **changes), ts=facts.WHEN)
    event.seq = seq
    return BusFact(f"{SOURCE}-{seq}-0", seq, event.topic, event.frame)


def delivered(*published: BusFact) -> list[Delivery]:
    return [Delivery(one.topic, one.body, one.id) for one in published]


async def publish(transport: BusTransport, *published: BusFact) -> None:
    await transport.stored(SOURCE)
    await transport.store(SOURCE, published)


# -- NATS


@pytest.fixture
def on_nats(nats: Nats) -> NatsOutside:
    return NatsOutside(nats)


async def test_the_stream_has_the_facts_alone_and_the_limits_that_are_configured(on_nats: NatsOutside) -> None:
    name = f"{on_nats.prefix}_facts"
    first = on_nats.transport(max_age_h=1.0, max_len=5)
    await publish(first, *(fact(seq) for seq in range(1, 9)))
    await first.close()
    assert await on_nats.kept() == delivered(*(fact(seq) for seq in range(4, 9)))
    async with on_nats.client() as client:
        config = (await client.jsm().stream_info(name)).config
        assert set(config.subjects or []) == {f"{on_nats.prefix}.{topic}" for topic in PUBLIC_FACT_TOPICS}
        assert (config.max_age, config.max_msgs_per_subject) == (3600.0, 5)
        # What else an operator sets stays as it is.
        await client.jsm().update_stream(config.evolve(max_bytes=123_456_789))
        second = on_nats.transport(max_age_h=2.0, max_len=7)
        await second.stored(SOURCE)
        await second.close()
        config = (await client.jsm().stream_info(name)).config
        assert (config.max_age, config.max_msgs_per_subject, config.max_bytes) == (7200.0, 7, 123_456_789)


async def test_a_fact_that_is_larger_than_nats_takes_is_rejected_and_nothing_is_stored(on_nats: NatsOutside) -> None:
    transport = on_nats.transport()
    await transport.stored(SOURCE)
    with pytest.raises(DataRejected, match="max_payload"):
        await transport.store(SOURCE, [fact(1), fact(2, rejected_reason="x" * 1_100_000)])
    assert await on_nats.kept() == []
    await transport.store(SOURCE, [fact(1), fact(3)])
    assert await on_nats.kept() == delivered(fact(1), fact(3))
    await transport.close()


async def test_facts_of_many_megabytes_come_in_order(on_nats: NatsOutside) -> None:
    transport = on_nats.transport()
    published = [fact(seq, rejected_reason="x" * 200_000) for seq in range(1, 61)]
    await publish(transport, *published)
    assert await on_nats.kept() == delivered(*published)
    await transport.close()


async def test_another_who_writes_into_the_stream_disturbs_no_order(on_nats: NatsOutside) -> None:
    transport = on_nats.transport()
    await publish(transport, fact(1), fact(2))
    subject = f"{on_nats.prefix}.order.updated"
    async with on_nats.client() as client:
        await client.request(subject, b"{}", timeout=5)
        await transport.store(SOURCE, [fact(3), fact(4)])
        await client.request(subject, b"{}", timeout=5)
        # The stream's last message is not ours, so it cannot say how far we are.
        assert await transport.stored(SOURCE) is None
        await transport.store(SOURCE, [fact(3), fact(4), fact(5)])
        await transport.store(SOURCE, [fact(6)])
    ours = [one for one in await on_nats.kept() if one.id]
    assert ours == delivered(*(fact(seq) for seq in range(1, 7)))
    await transport.close()


async def test_a_purged_stream_cannot_say(on_nats: NatsOutside) -> None:
    transport = on_nats.transport()
    await publish(transport, fact(1))
    async with on_nats.client() as client:
        await client.jsm().purge_stream(f"{on_nats.prefix}_facts")
    assert await transport.stored(SOURCE) is None
    await transport.store(SOURCE, [fact(2)])
    assert await on_nats.kept() == delivered(fact(2))
    await transport.close()


async def test_subjects_that_another_stream_has_are_told(on_nats: NatsOutside) -> None:
    async with on_nats.client() as client:
        await client.jetstream().add_stream(name=f"{on_nats.prefix}_all", subjects=[f"{on_nats.prefix}.>"])
    transport = on_nats.transport()
    with pytest.raises(Unavailable, match="overlap"):
        await transport.stored(SOURCE)
    await transport.close()


async def test_consumers_of_a_group_share_the_facts_on_nats(on_nats: NatsOutside) -> None:
    transport = on_nats.transport()
    await publish(transport, *(fact(seq) for seq in range(1, 101)))
    stream, filters = f"{on_nats.prefix}_facts", f"{on_nats.prefix}.order.>"
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    got: dict[int, list[str]] = {0: [], 1: []}
    async with on_nats.client() as one, on_nats.client() as other:
        members = [
            await client.jetstream().pull_subscribe(filters, durable="desk", stream=stream, config=config)
            for client in (one, other)
        ]
        for turn in range(10):
            for message in await members[turn % 2].fetch(10, timeout=5):
                got[turn % 2].append((message.headers or {})["Nats-Msg-Id"])
                await message.ack()
    assert len(got[0]) == len(got[1]) == 50
    assert sorted((*got[0], *got[1])) == sorted(fact(seq).id for seq in range(1, 101))
    await transport.close()


async def test_wrong_credentials_are_told_without_the_password() -> None:
    with running(Nats, "--user", "core", "--pass", "s3cret") as server:
        own = NatsOutside(server)
        where = server.url.removeprefix("nats://")
        right = own.transport(url=f"nats://core:s3cret@{where}")
        assert await right.stored(SOURCE) == ""
        await right.close()
        for url in (f"nats://core:wr0ng@{where}", server.url):
            wrong = own.transport(url=url, timeout_s=2.0)
            with pytest.raises(Unavailable, match="credentials") as caught:
                await wrong.stored(SOURCE)
            assert "wr0ng" not in caught.value.detail
            assert "s3cret" not in caught.value.detail
            await wrong.close()


def test_a_server_without_jetstream_is_told() -> None:
    assert "--jetstream" in explain(nats.errors.NoRespondersError())


# -- Redis


@pytest.fixture
def on_redis(redis: Redis) -> RedisOutside:
    return RedisOutside(redis)


async def test_members_of_a_consumer_group_share_the_facts_on_redis(on_redis: RedisOutside) -> None:
    transport = on_redis.transport()
    await publish(transport, *(fact(seq) for seq in range(1, 101)))
    stream = f"{on_redis.prefix}.order.updated"
    got: dict[str, list[bytes]] = {"one": [], "other": []}
    async with on_redis.client() as client:
        await client.xgroup_create(stream, "desk", "0")
        for turn in range(10):
            member = ("one", "other")[turn % 2]
            ((_, entries),) = await client.xreadgroup("desk", member, {stream: ">"}, count=10)
            got[member] += [fields[b"id"] for _, fields in entries]
            await client.xack(stream, "desk", *(entry_id for entry_id, _ in entries))
        assert (await client.xpending(stream, "desk"))["pending"] == 0
    assert len(got["one"]) == len(got["other"]) == 50
    assert sorted((*got["one"], *got["other"])) == sorted(fact(seq).id.encode() for seq in range(1, 101))
    await transport.close()


async def test_streams_are_trimmed_to_what_is_configured(on_redis: RedisOutside) -> None:
    transport = on_redis.transport(max_len=100, tick_max_len=50)
    await publish(transport, *(fact(seq) for seq in range(1, 1001)))
    tick = Event(facts.tick())
    await transport.send([BusMessage(tick.topic, tick.frame)] * 500)
    async with on_redis.client() as client:
        # Redis trims whole nodes of a hundred entries.
        assert 100 <= await client.xlen(f"{on_redis.prefix}.order.updated") <= 200
        assert 50 <= await client.xlen(f"{on_redis.prefix}.{tick.topic}") <= 150
        newest = (await client.xrevrange(f"{on_redis.prefix}.order.updated", count=1))[0][1]
        assert newest[b"id"].decode() == fact(1000).id
    await transport.close()


async def test_what_is_too_old_is_trimmed(on_redis: RedisOutside) -> None:
    stream = f"{on_redis.prefix}.order.updated"
    async with on_redis.client() as client:
        old_ms = round((datetime.now(UTC).timestamp() - 7200) * 1000)
        for number in range(300):
            await client.xadd(stream, {"id": "old", "event": "{}"}, id=f"{old_ms}-{number}")
        transport = on_redis.transport(max_age_h=1.0)
        await publish(transport, fact(1))
        assert await client.xlen(stream) < 150
        await transport.send([BusMessage("tick.rb2501.SHFE", b"{}")])
    await transport.close()


async def test_a_redis_that_was_flushed_is_noticed(own_redis: Redis) -> None:
    own = RedisOutside(own_redis)
    transport = own.transport()
    await publish(transport, fact(1), fact(2))
    async with own.client() as client:
        await client.flushall()
    with pytest.raises(Unavailable, match="less than it had acknowledged"):
        await transport.store(SOURCE, [fact(3)])
    assert await transport.stored(SOURCE) == ""
    await transport.store(SOURCE, [fact(1), fact(2), fact(3)])
    assert await own.kept() == delivered(fact(1), fact(2), fact(3))
    await transport.close()


async def test_what_a_slow_server_did_late_is_not_done_twice(on_redis: RedisOutside) -> None:
    slow, quick = on_redis.transport(), on_redis.transport()
    await publish(slow, fact(1))
    assert await quick.stored(SOURCE) == fact(1).id
    await quick.store(SOURCE, [fact(2), fact(3)])
    # What had been given up comes through after it was sent again.
    await slow.store(SOURCE, [fact(2), fact(3), fact(4)])
    await quick.store(SOURCE, [fact(4), fact(5)])
    assert await on_redis.kept() == delivered(*(fact(seq) for seq in range(1, 6)))
    for transport in (slow, quick):
        await transport.close()


async def test_a_command_that_a_dead_process_had_taken_is_done_by_the_next(on_redis: RedisOutside) -> None:
    first = on_redis.transport()
    request = asyncio.create_task(on_redis.request("command.order.submit", b"1"))
    commands = await first.listen()
    assert (await anext(commands)).body == b"1"
    await commands.aclose()
    await first.close()
    second = on_redis.transport()
    async with contextlib.aclosing(await second.listen()) as commands:
        command = await anext(commands)
        await second.answer(command, b"done: " + command.body)
        assert await request == b"done: 1"
    async with on_redis.client() as client:
        assert await client.xlen(f"{on_redis.prefix}.command.order.submit") == 0
    await second.close()


# -- commands from end to end


@pytest.fixture(params=["nats", "redis"])
def outside(request: pytest.FixtureRequest) -> Outside:
    return {"nats": NatsOutside, "redis": RedisOutside}[request.param](request.getfixturevalue(request.param))


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(service: MemoryService, outside: Outside) -> AsyncIterator[MessageBus]:
    settings = outside.settings(commands="on", secret=SECRET)
    journal: Any = service.journal
    bus = MessageBus(journal, settings)
    desk = CommandDesk(service, service.pipeline, settings)
    await desk.restore(Records(service))
    await bus.serve(desk)
    await eventually(lambda: bus.status().takes_commands)
    try:
        yield bus
    finally:
        await bus.stop_serving()
        await bus.transport.close()


async def command(outside: Outside, topic: str, data: Any, command_id: str, secret: str = SECRET) -> dict[str, Any]:
    body = msgspec.json.encode({"command_id": command_id, "ts": to_timestamp(datetime.now(UTC)), "data": data})
    return await send(outside, topic, body, secret)


async def send(outside: Outside, topic: str, body: bytes, secret: str = SECRET) -> dict[str, Any]:
    signature = sign(secret.encode(), f"{outside.prefix}.{topic}", body)
    answer = await outside.request(topic, body, signature)
    assert answer is not None
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    return decoded


async def test_an_order_is_sent_once_however_often_it_is_asked_for(outside: Outside) -> None:
    service = MemoryService()
    await service.tell(examples.GATEWAY, contract("rb2501.SHFE"))
    body = msgspec.json.encode({"command_id": "c-1", "ts": to_timestamp(datetime.now(UTC)), "data": ORDER})
    async with serving(service, outside):
        first = await send(outside, "command.order.submit", body)
        assert (first["status"], first["data"]["vt_orderid"]) == (201, "SIM.1")
        assert await send(outside, "command.order.submit", body) == first
        forged = await send(outside, "command.order.submit", body, "another secret!!")
        assert (forged["status"], forged["problem"]["code"]) == (401, "unauthorized")
    async with serving(service, outside):  # after a restart
        assert await send(outside, "command.order.submit", body) == first
        cancelled = await command(outside, "command.order.cancel", {"order_id": "SIM.1"}, "c-2")
        assert cancelled["data"]["accepted"] is True
        refused = await command(outside, "command.strategy.start", {"strategy_name": "none"}, "c-3")
        assert (refused["status"], refused["problem"]["code"]) == (404, "not_found")
    assert service.engine.count == 1
    await service.orders.close()
    await service.pipeline.close()


async def test_commands_are_taken_again_when_the_server_is_back(own_nats: Nats, own_redis: Redis) -> None:
    for outside in (NatsOutside(own_nats), RedisOutside(own_redis)):
        service = MemoryService()
        await service.tell(examples.GATEWAY, contract("rb2501.SHFE"))
        assert outside.server is not None
        async with serving(service, outside) as bus:
            assert (await command(outside, "command.order.submit", ORDER, "c-1"))["status"] == 201
            await asyncio.to_thread(outside.server.kill)
            await eventually(lambda: not bus.status().takes_commands)
            assert not bus.healthy
            await asyncio.to_thread(outside.server.start)
            await eventually(lambda: bus.status().takes_commands)
            assert bus.healthy
            assert (await command(outside, "command.order.submit", ORDER, "c-2"))["status"] == 201
        assert service.engine.count == 2
        await service.orders.close()
        await service.pipeline.close()
