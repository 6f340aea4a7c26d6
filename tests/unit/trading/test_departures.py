"""Departures: who is alone goes at once, who comes together goes together, and nobody waits for long."""

import asyncio
from collections.abc import Callable

import pytest

from vnpy_core.trading.departures import RETURN_S, Departures


class Station:
    """Notes what departs, by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.groups: list[list[str]] = []
        self.gone = asyncio.Event()
        self.departures: Departures[str] = Departures(self._depart, lambda: self.now)

    def add(self, *requests: str) -> None:
        for request in requests:
            self.departures.add(request, 1)

    def arrive(self, orders: int) -> None:
        for _ in range(orders):
            self.departures.arrived()

    def _depart(self, group: list[str]) -> None:
        self.groups.append(group)
        self.gone.set()


@pytest.fixture
async def station() -> Station:
    return Station()


async def test_one_client_never_waits(station: Station) -> None:
    for number in range(3):
        station.add(f"a{number}")
        assert station.groups[-1] == [f"a{number}"]
        station.arrive(1)


async def test_those_that_meet_go_together_from_then_on(station: Station) -> None:
    station.add("a1", "b1", "c1")
    assert station.groups == [["a1"]]
    station.arrive(1)
    station.add("a2")
    assert station.groups[1:] == [["b1", "c1", "a2"]]
    station.arrive(3)
    station.add("a3", "c2", "b2")
    assert station.groups[2:] == [["a3", "c2", "b2"]]


async def test_a_batch_is_under_way_until_its_last_order_is_answered(station: Station) -> None:
    station.departures.add("batch", 2)
    station.add("a")
    station.arrive(1)
    assert station.groups == [["batch"]]
    station.arrive(1)
    station.add("batch again")
    assert station.groups == [["batch"], ["a", "batch again"]]


async def depart_late(station: Station, leave: Callable[[], None]) -> list[str]:
    station.gone.clear()
    leave()
    assert not station.gone.is_set()
    await asyncio.wait_for(station.gone.wait(), 5)
    return station.groups[-1]


async def test_nobody_waits_long_for_those_under_way_or_for_those_that_do_not_return(station: Station) -> None:
    station.add("stuck")
    assert await depart_late(station, lambda: station.add("b", "c")) == ["b", "c"]
    station.arrive(3)
    assert await depart_late(station, lambda: station.add("d")) == ["d"]
    station.arrive(1)
    station.add("d again")
    assert station.groups[-1] == ["d again"]


async def test_after_a_while_nobody_is_expected_to_return(station: Station) -> None:
    station.add("a", "b", "c")
    station.arrive(1)
    station.add("a")
    station.arrive(3)
    station.now += 2 * RETURN_S
    station.add("d")
    assert station.groups[-1] == ["d"]
