"""The service registry over a list in memory that can be down, stuck and emptied."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from tests import facts

from vnpy_core.bus.registry import ServiceRegistry
from vnpy_core.bus.registry_memory import MemoryRegistry
from vnpy_core.enums import ServiceStatus
from vnpy_core.errors import Unavailable
from vnpy_core.models import ServiceInstance


class MoodyRegistry(MemoryRegistry):
    """Refuses while ``failure`` is set, and does not answer while ``go_on`` is not."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.told: list[ServiceStatus] = []
        self.looks = 0
        self.closed = False

    async def _mood(self) -> None:
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure

    async def put(self, instance: ServiceInstance, ttl_s: float) -> None:
        await self._mood()
        self.told.append(instance.status)
        await super().put(instance, ttl_s)

    async def remove(self, instance: ServiceInstance) -> None:
        await self._mood()
        await super().remove(instance)

    async def instances(self) -> list[ServiceInstance]:
        self.looks += 1
        await self._mood()
        return await super().instances()

    async def close(self) -> None:
        self.closed = True


OTHER = ServiceInstance(name="risk-desk", host="h", port=9000, version="2", status=ServiceStatus.HEALTHY)
OURS = ServiceInstance(
    name="vnpy-core", host="127.0.0.1", port=8006, version="1", status=ServiceStatus.STARTING, register_time=facts.WHEN
)


class Room:
    def __init__(self) -> None:
        self.backend = MoodyRegistry()
        self.status = ServiceStatus.STARTING
        self.registry = self.make()

    def make(self, **changes: Any) -> ServiceRegistry:
        settings = {
            "heartbeat_s": 0.02, "ttl_s": 60.0, "poll_s": 0.005, "wait_s": 0.02, "view_age_s": 0.0,
            "retry_min_s": 0.001,
        }  # fmt: skip
        return ServiceRegistry(self.backend, OURS, lambda: self.status, **settings | changes)

    def listed(self) -> list[ServiceInstance]:
        return [each for each, _ in self.backend._entries.values()]

    def forget(self) -> None:
        self.backend._entries.clear()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    yield made
    made.backend.failure = None
    made.backend.go_on.set()
    await made.registry.stop()


async def test_a_service_is_listed_and_its_heartbeat_goes_on(room: Room) -> None:
    await room.registry.start()
    await eventually(lambda: len(room.backend.told) > 3)
    (listed,) = room.listed()
    assert listed.last_heartbeat is not None
    assert msgspec.structs.replace(listed, last_heartbeat=None) == OURS
    before = listed.last_heartbeat
    await eventually(lambda: (room.listed()[0].last_heartbeat or "") > before)


async def test_a_change_of_status_is_told_without_waiting_for_the_heartbeat(room: Room) -> None:
    room.registry = room.make(heartbeat_s=60.0, poll_s=0.005)
    await room.registry.start()
    for status in (ServiceStatus.HEALTHY, ServiceStatus.UNHEALTHY, ServiceStatus.STOPPING):
        room.status = status
        await eventually(lambda status=status: room.backend.told[-1:] == [status])
    room.registry = room.make(heartbeat_s=60.0, poll_s=60.0)
    room.backend.told.clear()
    await room.registry.start()
    await eventually(lambda: len(room.backend.told) == 1)
    room.status = ServiceStatus.HEALTHY
    room.registry.notify()
    await eventually(lambda: room.backend.told == [ServiceStatus.STOPPING, ServiceStatus.HEALTHY])


async def test_a_registry_that_has_forgotten_the_service_is_told_again(room: Room) -> None:
    await room.registry.start()
    await eventually(lambda: len(room.listed()) == 1)
    room.forget()
    await eventually(lambda: len(room.listed()) == 1)


async def test_a_registry_that_is_down_at_the_start_is_told_when_it_is_back(room: Room) -> None:
    room.backend.failure = Unavailable("It is out.")
    since = room.registry.since
    await room.registry.start()
    await eventually(lambda: not room.registry.healthy)
    assert (room.registry.detail, room.registry.since > since) == ("It is out.", True)
    room.backend.failure = ZeroDivisionError("oops")
    await eventually(lambda: room.registry.detail == "ZeroDivisionError: oops")
    room.backend.failure = None
    await eventually(lambda: room.registry.healthy and len(room.listed()) == 1)


async def test_the_stop_removes_the_service_after_its_last_heartbeat(room: Room) -> None:
    await room.registry.start()
    await eventually(lambda: len(room.listed()) == 1)
    room.backend.go_on.clear()
    await asyncio.sleep(0.03)  # a heartbeat is under way
    stopping = asyncio.create_task(room.registry.stop())
    room.backend.go_on.set()
    await stopping
    assert room.listed() == []
    assert room.backend.closed


async def test_the_stop_does_not_fail_when_the_registry_does(room: Room) -> None:
    await room.registry.start()
    await eventually(lambda: len(room.listed()) == 1)
    room.backend.failure = Unavailable("It is out.")
    await room.registry.stop()
    assert room.backend.closed
    await room.registry.stop()


# Discovery


async def test_others_are_discovered_by_name(room: Room) -> None:
    await room.backend.put(OTHER, 60)
    await room.registry.start()
    await eventually(lambda: len(room.listed()) == 2)
    found = await room.registry.discover("risk-desk")
    assert (found.instances, found.stale) == ([OTHER], False)
    assert found.as_of is not None
    assert (await room.registry.discover("nobody")).instances == []
    assert [each.name for each in (await room.registry.services()).instances] == ["risk-desk", "vnpy-core"]


async def test_a_list_that_is_new_is_not_asked_for_again(room: Room) -> None:
    room.registry = room.make(view_age_s=60.0)
    await room.registry.start()
    await eventually(lambda: room.registry.healthy)
    for _ in range(5):
        await room.registry.services()
    await asyncio.gather(*(room.registry.discover("risk-desk") for _ in range(5)))
    assert room.backend.looks == 1


async def test_the_last_list_outlives_the_registry_and_is_said_to_be_old(room: Room) -> None:
    await room.backend.put(OTHER, 60)
    await room.registry.start()
    known = await room.registry.discover("risk-desk")
    room.backend.failure = Unavailable("It is out.")
    for _ in range(3):
        found = await room.registry.discover("risk-desk")
        assert (found.instances, found.as_of, found.stale) == ([OTHER], known.as_of, True)
    await eventually(lambda: not room.registry.healthy)
    looks = room.backend.looks
    assert (await room.registry.discover("risk-desk")).stale
    assert room.backend.looks == looks
    room.backend.failure = None
    await eventually(lambda: room.registry.healthy)
    found = await room.registry.discover("risk-desk")
    assert (found.instances, found.stale) == ([OTHER], False)


async def test_nobody_waits_for_a_registry_that_does_not_answer(room: Room) -> None:
    room.registry = room.make(heartbeat_s=60.0, poll_s=60.0)
    await room.backend.put(OTHER, 60)
    await room.registry.start()
    await eventually(lambda: len(room.listed()) == 2)
    await room.registry.services()
    room.backend.go_on.clear()
    began = time.monotonic()
    founds = await asyncio.gather(*(room.registry.discover("risk-desk") for _ in range(20)))
    assert time.monotonic() - began < 1
    assert [(found.instances, found.stale) for found in founds] == [([OTHER], True)] * 20
    assert room.backend.looks == 2


async def test_without_any_list_a_service_knows_itself(room: Room) -> None:
    room.backend.failure = Unavailable("It is out.")
    room.status = ServiceStatus.HEALTHY
    await room.registry.start()
    found = await room.registry.services()
    assert [(each.name, each.status) for each in found.instances] == [("vnpy-core", ServiceStatus.HEALTHY)]
    assert (found.as_of, found.stale) == (None, True)
