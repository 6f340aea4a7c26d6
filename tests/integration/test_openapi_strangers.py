"""Whoever shows no credential gets nowhere, whatever is sent: schemathesis on a live server."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import settings

from tests.integration.live_server import LiveServer
from tests.integration.openapi_schema import SETTINGS, schema
from vnpy_core.routers.rules import Rules


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer() as live:
        yield live


@schema.parametrize()
@settings(SETTINGS, max_examples=8)
def test_schemathesis_gets_nowhere_without_credentials(case: schemathesis.Case, server: LiveServer) -> None:
    response = case.call(base_url=server.url)
    rule = Rules().of(case.method.upper(), case.operation.path)
    if rule is not None and rule.open:
        assert response.status_code in (200, 401, 405, 422, 429, 503), response.text
    else:
        assert response.status_code == 401, response.text
