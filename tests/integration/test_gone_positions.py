"""A position that was closed while nobody looked, and of which the venue tells no more: it is not held for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vnpy.trader.constant import Direction, Exchange, Offset
from vnpy.trader.object import OrderRequest

from tests.integration.manual_venue import NAME, SYMBOL, ManualGateway, Venue, external_order
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
from vnpy_core.service import VnPyCoreService

WAIT_S = 20.0


class Forgetful(Venue):
    """As many venues: of a position that is closed it tells nothing more."""

    def tell_holding(self) -> None:
        if self.holding:
            super().tell_holding()


@pytest.fixture
async def service(tmp_path: Path, runtime_dir: Path) -> AsyncIterator[VnPyCoreService]:
    ManualGateway.venue = Forgetful()
    config = VnPyCoreConfig.model_validate({
        "data_dir": tmp_path, "timezone": "Asia/Shanghai", "demo": False, "security": {"authentication": "off"},
        "gateways": {NAME: {
            "class": "tests.integration.manual_venue.ManualGateway", "auto_connect": True, "reconnect": False,
        }},
    })  # fmt: skip
    made = VnPyCoreService(config)
    await made.start()
    await made.settled()
    yield made
    await made.stop()
    runtime.prepare(VnPyCoreConfig(data_dir=runtime_dir, timezone="Asia/Shanghai"))


async def held(service: VnPyCoreService) -> list[float]:
    """Return what is shown, and what vn.py's own book has."""
    assert await asyncio.to_thread(service.host.event_engine.drain, WAIT_S)
    await asyncio.sleep(0)
    await service.pipeline.drain()
    shown = [event.data.volume for event in service.read_model.positions.values()]
    return [*shown, *(position.volume for position in service.host.main_engine.get_all_positions())]


async def cut(service: VnPyCoreService) -> None:
    ManualGateway.venue.cut()
    await held(service)


async def connected_again(service: VnPyCoreService) -> str:
    await service.gateways.connect(NAME)
    await service.life.settled()
    (result,) = service.life.reconciler.results()
    return result.state


async def test_a_position_that_was_closed_meanwhile_is_gone(service: VnPyCoreService) -> None:
    venue = ManualGateway.venue
    venue.fill(venue.take(external_order(3500.0, 2.0)).partition(".")[2], 2.0)
    assert await held(service) == [2.0, 2.0]
    await cut(service)
    closing = OrderRequest(
        SYMBOL, Exchange.SHFE, Direction.SHORT, external_order(1.0, 1.0).type, 2.0, 3500.0, Offset.CLOSE
    ).create_order_data("", NAME)
    venue.fill(venue.take(closing).partition(".")[2], 2.0)
    assert await held(service) == [2.0, 2.0]  # nobody has said anything
    assert await connected_again(service) == "PASSED"
    assert await held(service) == [0.0, 0.0]


async def test_a_position_that_nothing_explains_is_gone_once_that_is_accepted(service: VnPyCoreService) -> None:
    venue = ManualGateway.venue
    venue.fill(venue.take(external_order(3500.0, 2.0)).partition(".")[2], 2.0)
    assert await held(service) == [2.0, 2.0]
    await cut(service)
    venue.holding = 0.0
    assert await connected_again(service) == "DIFFERENT"
    assert await held(service) == [2.0, 2.0]
    assert (await service.life.reconciler.accept(NAME)).state == "ACCEPTED"
    assert await held(service) == [0.0, 0.0]
    venue.holding = 3.0  # and what it tells later counts
    venue.tell_holding()
    assert await held(service) == [3.0, 3.0]
