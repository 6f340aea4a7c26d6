"""The document and the application agree: examples are valid, and schemathesis finds nothing on a live server."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from tests.integration.live_server import LiveServer
from tests.integration.openapi_schema import DOCUMENT, SETTINGS, schema
from tests.unit.routers.memory_service import AUTHORIZATION


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer() as live:
        yield live


@schema.parametrize()
@SETTINGS
def test_schemathesis_finds_nothing(case: schemathesis.Case, server: LiveServer) -> None:
    case.call_and_validate(base_url=server.url, headers=AUTHORIZATION)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return DOCUMENT


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": document["components"]}, validate_formats=True
    )


def test_every_answer_has_a_schema_and_a_valid_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert len(successes) == (2 if name == "POST /api/v1/trading/orders" else 1), name  # 200 is of a dry run
        for status, response in operation["responses"].items():
            ((media_type, content),) = response["content"].items()
            is_document = status.startswith("2") or name.endswith(("/health/live", "/health/ready"))
            assert media_type == "application/json" or not is_document or status in ("422", "500"), name
            assert "$ref" in content["schema"], (name, status)
            validator(document, content["schema"]).validate(content["example"])


def test_every_request_body_has_valid_examples(document: dict[str, Any]) -> None:
    bodies = 0
    for name, operation in operations(document):
        if "requestBody" in operation:
            bodies += 1
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            found = list(_examples(document, schema))
            assert found, name
            for example in found:
                validator(document, schema).validate(example)
    assert bodies >= 7


def _examples(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[Any]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("examples", [])
    for option in schema.get("anyOf", []):
        yield from _examples(document, option)


def test_every_operation_is_named_and_told_in_both_languages(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for name, operation in operations(document):
        assert operation["tags"], name
        assert re.search("[a-z]", operation["summary"]), name
        assert re.search("[一-鿿]", operation["summary"]), name


def test_every_error_that_can_be_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert {"422", "500"} <= operation["responses"].keys(), name
        problem = operation["responses"]["422"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert ("413" in operation["responses"]) == ("requestBody" in operation), name


def test_enums_are_documented_by_name_and_times_with_their_format(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["Direction"]["enum"]) == {"LONG", "SHORT", "NET"}
    assert "SHFE" in schemas["Exchange"]["enum"]
    assert any(option.get("format") == "date-time" for option in schemas["Order"]["properties"]["datetime"]["anyOf"])
    assert {"HTTPValidationError", "ValidationError"}.isdisjoint(schemas)


def test_the_routes_are_those_of_the_brief(document: dict[str, Any]) -> None:
    routes = {name.replace("/api/v1", "") for name, _ in operations(document)}
    trading, strategies = "/trading", "/strategies"
    assert routes >= {
        f"GET {trading}/gateways", f"POST {trading}/gateways/{{name}}/connect",
        f"POST {trading}/gateways/{{name}}/disconnect", f"POST {trading}/subscriptions",
        f"DELETE {trading}/subscriptions", f"POST {trading}/orders", f"GET {trading}/orders/{{order_id}}",
        f"DELETE {trading}/orders/{{order_id}}", f"POST {trading}/orders/cancel-all", f"GET {trading}/orders",
        f"GET {trading}/trades", f"GET {trading}/positions", f"GET {trading}/accounts", f"GET {trading}/contracts",
        f"GET {trading}/ticks", f"GET {strategies}/classes", f"GET {strategies}/classes/{{class_name}}",
        f"GET {strategies}", f"POST {strategies}", f"GET {strategies}/{{name}}", f"DELETE {strategies}/{{name}}",
        f"POST {strategies}/{{name}}/init", f"POST {strategies}/{{name}}/start", f"POST {strategies}/{{name}}/stop",
        f"GET {strategies}/{{name}}/parameters", f"PUT {strategies}/{{name}}/parameters",
        f"GET {strategies}/{{name}}/variables", "GET /data/bars", "GET /data/ticks", "GET /data/overview",
        "GET /system/status", "GET /system/sessions", "DELETE /system/sessions/{session_id}",
        "GET /system/services", "GET /health/live", "GET /health/ready",
    }  # fmt: skip


def test_messages_of_the_websocket_are_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    subscribe = {"type": "subscribe", "id": 1, "topics": ["order"], "since": 1042, "snapshot": True}
    validator(document, schemas["Subscribe"]).validate(subscribe)
    assert msgspec.json.encode(schemas["Failure"])
