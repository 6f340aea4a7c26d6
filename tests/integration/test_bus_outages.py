"""Facts flow to real servers that are killed, frozen, restarted, or lose what they had: a consumer misses none."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.bus_outside import NatsOutside, Outside, RedisOutside, once
from tests.integration.busy_bus import burst
from tests.servers import Nats, Redis, Server
from tests.servers.fixtures import running
from vnpy_core.bus.memory import Delivery
from vnpy_core.bus.message_bus import MessageBus
from vnpy_core.data.journal import Journal
from vnpy_core.events import INTERNAL_TOPICS, Event, frame_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["nats", "redis"])
def own(request: pytest.FixtureRequest) -> Outside:
    server: Nats | Redis = request.getfixturevalue(f"own_{request.param}")
    return {"nats": NatsOutside, "redis": RedisOutside}[request.param](server)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    await made.open()
    yield made
    await made.close()


class Flow:
    """Facts, all the time, from a journal through a bus."""

    def __init__(self, journal: Journal, outside: Outside) -> None:
        self.journal = journal
        self.bus = MessageBus(journal, outside.settings(timeout_s=1.0))
        assert self.bus.sink is not None
        self.sink = self.bus.sink
        self._on = True

    async def run(self) -> None:
        number = 0
        while self._on:
            number += 1
            events = [Event(model) for model in burst(number)]
            await self.journal.append(events)
            self.bus.on_events(events)
            await asyncio.sleep(0.002)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        await self.bus.start()
        task = asyncio.create_task(self.run())
        try:
            yield
            self._on = False
            await task
            await self.caught_up()
        finally:
            self._on = False
            await asyncio.wait({task})
            await self.bus.stop()

    async def more(self, facts: int) -> None:
        """Wait until the journal has so many more."""
        target = self.journal.last_seq + facts
        while self.journal.last_seq < target:  # noqa: ASYNC110  the journal calls nobody
            await asyncio.sleep(0.005)

    async def caught_up(self) -> None:
        async with asyncio.timeout(30):
            while self.sink.lag or not self.sink.healthy:  # noqa: ASYNC110  a sink calls nobody
                await asyncio.sleep(0.005)

    async def published(self) -> None:
        """Wait until the bus has what the journal has now."""
        target = self.journal.last_seq
        async with asyncio.timeout(30):
            while self.sink.position < target:  # noqa: ASYNC110  a sink calls nobody
                await asyncio.sleep(0.005)


async def public(journal: Journal) -> list[tuple[str, bytes]]:
    """Return topic and event of every fact that others may see."""
    return [
        (record.topic, frame_of(record.seq, record.topic, record.ts, record.payload))
        for record in await journal.read(0, 10_000_000)
        if record.topic not in INTERNAL_TOPICS
    ]


def seen(deliveries: list[Delivery]) -> list[tuple[str, bytes]]:
    return [(one.topic, one.body) for one in once(deliveries)]


def by_topic(found: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    topics: dict[str, list[bytes]] = {}
    for topic, body in found:
        topics.setdefault(topic, []).append(body)
    return topics


async def killed(server: Server, flow: Flow) -> None:
    await asyncio.to_thread(server.kill)
    await flow.more(500)
    await asyncio.to_thread(server.start)


async def frozen(server: Server, flow: Flow) -> None:
    server.freeze()
    while flow.sink.healthy:  # noqa: ASYNC110  a sink calls nobody
        await asyncio.sleep(0.005)
    await flow.more(500)
    server.thaw()


async def frozen_for_a_moment(server: Server, flow: Flow) -> None:
    server.freeze()
    await flow.more(200)
    server.thaw()


async def restarted(server: Server, flow: Flow) -> None:
    await asyncio.to_thread(server.restart)


Outage = Callable[[Server, Flow], Awaitable[None]]


@pytest.mark.parametrize("outage", [killed, frozen, frozen_for_a_moment, restarted])
async def test_a_consumer_sees_each_fact_once_and_in_order(own: Outside, journal: Journal, outage: Outage) -> None:
    assert own.server is not None
    flow = Flow(journal, own)
    async with own.follow() as inbox:
        async with flow.flowing():
            for _ in range(2):
                await flow.more(300)
                await outage(own.server, flow)
                await flow.published()
        expected = await public(journal)
        await inbox.until(lambda found: len({one.id for one in found}) >= len(expected), 30)
    if isinstance(own, NatsOutside):
        assert seen(inbox.seen) == expected
    else:
        # A stream for each topic: each of them is in order.
        assert by_topic(seen(inbox.seen)) == by_topic(expected)
    assert seen(await own.kept()) == expected


async def test_what_a_server_lost_is_published_again(own: Outside, journal: Journal) -> None:
    server = own.server
    assert server is not None
    flow = Flow(journal, own)
    async with flow.flowing():
        await flow.more(300)
        await flow.published()
        await asyncio.to_thread(server.kill)
        for part in server.folder.iterdir():
            if part.is_dir():
                shutil.rmtree(part)
        await flow.more(100)
        await asyncio.to_thread(server.start)
    assert seen(await own.kept()) == await public(journal)


async def test_a_redis_that_saves_nothing_gets_it_all_again(journal: Journal) -> None:
    with running(Redis, "--appendonly", "no") as server:
        own = RedisOutside(server)
        flow = Flow(journal, own)
        async with flow.flowing():
            await flow.more(300)
            await flow.published()
            await killed(server, flow)
        assert seen(await own.kept()) == await public(journal)


async def test_a_server_that_comes_late_gets_it_all(own: Outside, journal: Journal) -> None:
    assert own.server is not None
    await asyncio.to_thread(own.server.kill)
    flow = Flow(journal, own)
    async with flow.flowing():
        await flow.more(500)
        assert not flow.sink.healthy
        await asyncio.to_thread(own.server.start)
    assert seen(await own.kept()) == await public(journal)


async def test_the_death_of_the_service_loses_nothing_and_repeats_nothing_under_another_id(
    own: Outside, tmp_path: Path
) -> None:
    assert own.server is not None
    for round_ in (1, 2, 3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.busy_bus", str(tmp_path), own.server.url, own.prefix,
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            while True:
                line = (await process.stdout.readline()).split()
                assert line, "the writer ended by itself"
                if int(line[1]) > 700 * round_:
                    break
        finally:
            process.kill()
            await process.communicate()
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    flow = Flow(journal, own)
    await flow.bus.start()
    await flow.caught_up()
    await flow.bus.stop()
    assert seen(await own.kept()) == await public(journal)
    await journal.close()
