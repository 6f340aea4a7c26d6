"""Reconnector and its pauses, with a clock and a sleep that are made up."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest
from tests.facts import gateway

from vnpy_core.enums import GatewayState
from vnpy_core.errors import Conflict
from vnpy_core.events import Event
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.reconnect import Backoff, Reconnector


def test_pauses_double_to_the_longest_and_vary_by_half() -> None:
    longest = Backoff(10.0, chance=lambda: 1.0)
    assert [longest.pause_s() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    shortest = Backoff(10.0, chance=lambda: 0.0)
    assert [shortest.pause_s() for _ in range(3)] == [0.5, 1.0, 2.0]


def test_only_a_connection_that_has_held_begins_the_pauses_anew() -> None:
    backoff = Backoff(10.0, chance=lambda: 1.0)
    backoff.pause_s()
    backoff.pause_s()
    backoff.held(9.0)
    assert backoff.pause_s() == 4.0
    backoff.held(10.0)
    assert backoff.pause_s() == 1.0


class Site:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.connected: list[str] = []
        self.go_on = asyncio.Event()
        self.refuses = False
        self.callback: Callable[[Sequence[Event]], None] = lambda events: None
        self.reconnector = Reconnector({"SIM": 8.0}, self, self, clock=lambda: self.now, sleep=self.sleep)

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self.callback = callback

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        await self.go_on.wait()

    async def connect(self, name: str) -> GatewayStatus:
        self.connected.append(name)
        if self.refuses:
            raise Conflict("it is connected")
        return gateway()

    async def tell(self, state: GatewayState, recovery: str | None = None) -> None:
        self.callback([Event(msgspec.structs.replace(gateway("SIM", state), recovery=recovery))])
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def site() -> Site:
    return Site()


async def test_what_is_lost_is_connected_again_after_a_pause(site: Site) -> None:
    await site.tell(GatewayState.CONNECTED)
    await site.tell(GatewayState.DISCONNECTED, "SERVICE")
    await site.tell(GatewayState.DISCONNECTED, "SERVICE")
    assert len(site.pauses) == 1
    assert site.connected == []
    site.go_on.set()
    await site.tell(GatewayState.CONNECTING)
    assert site.connected == ["SIM"]
    await site.tell(GatewayState.FAILED, "SERVICE")
    assert site.connected == ["SIM", "SIM"]
    assert 1.0 <= site.pauses[1] <= 2.0
    await site.reconnector.close()


@pytest.mark.parametrize("recovery", [None, "GATEWAY"])
async def test_what_comes_back_by_itself_or_was_disconnected_is_left_alone(site: Site, recovery: str | None) -> None:
    await site.tell(GatewayState.CONNECTED)
    await site.tell(GatewayState.DISCONNECTED, recovery)
    await site.tell(GatewayState.FAILED, recovery)
    assert site.pauses == []


async def test_one_that_comes_back_during_the_pause_is_not_connected(site: Site) -> None:
    await site.tell(GatewayState.DISCONNECTED, "SERVICE")
    await site.tell(GatewayState.CONNECTED)
    site.go_on.set()
    await site.tell(GatewayState.CONNECTED)
    assert site.connected == []


async def test_a_refusal_ends_nothing(site: Site) -> None:
    site.refuses = True
    site.go_on.set()
    await site.tell(GatewayState.DISCONNECTED, "SERVICE")
    await site.tell(GatewayState.DISCONNECTED, "SERVICE")
    assert site.connected == ["SIM", "SIM"]
    await site.reconnector.close()
