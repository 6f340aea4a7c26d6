"""Requests that follow from each other's answers: schemathesis finds nothing in sequences of them on a live server."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import settings

from tests.integration.live_server import LiveServer
from tests.integration.openapi_schema import SETTINGS, schema
from tests.unit.routers.memory_service import AUTHORIZATION


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer() as live:
        yield live


def test_schemathesis_finds_nothing_in_sequences(server: LiveServer) -> None:
    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            # Into the case itself: of what is only sent with it the checks know nothing, and hold one that was made
            # without a credential, and got one on its way, for one that had to be refused.
            case.headers["Authorization"] = AUTHORIZATION["Authorization"]

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"base_url": server.url}

    Machine.run(settings=settings(SETTINGS, stateful_step_count=6))
