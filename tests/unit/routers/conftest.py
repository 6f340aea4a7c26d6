"""Fixtures of the routers' tests: a service in memory, the application over it, and a client of that."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.unit.routers.memory_service import AUTHORIZATION, Api, MemoryService, contract

from vnpy_core.app import create_app
from vnpy_core.routers import examples


@pytest.fixture
async def service() -> AsyncIterator[MemoryService]:
    """A service that has one gateway, SIM, with two contracts, and knows one of everything."""
    made = MemoryService()
    await made.tell(
        examples.GATEWAY, contract("rb2501.SHFE"), contract("IF2501.CFFEX", name="沪深300"), examples.ORDER,
        examples.TRADE, examples.POSITION, examples.ACCOUNT, examples.TICK,
    )  # fmt: skip
    yield made
    await made.orders.close()
    await made.pipeline.close()
    await made.hub.close()


@pytest.fixture
async def api(service: MemoryService) -> AsyncIterator[Api]:
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1", headers=AUTHORIZATION) as http:
        yield Api(service, http)
