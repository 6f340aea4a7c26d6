"""Every route of the application has a rule, made for it; and a request without one gets nowhere."""

from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.types import Message
from tests.unit.routers.memory_service import AUTHORIZATION, MemoryService

from vnpy_core.app import create_app
from vnpy_core.enums import Scope
from vnpy_core.routers.rules import ADMIN_READ, AREAS, KNOWN, LOGIN, OPEN, Rules

OPEN_PATHS = {
    "/", "/health/live", "/health/ready", "/docs", "/login", "/openapi.json", "/asyncapi.json", "/api/v1/auth/login",
    "/api/v1/auth/login-link", "/api/v1/auth/refresh",
}  # fmt: skip
# What is about whoever asks, and so takes no scope.
OWN = (
    "/api/v1/auth/me", "/api/v1/auth/logout", "/api/v1/auth/password", "/api/v1/auth/totp", "/api/v1/auth/sessions",
    "/api/v1/auth/api-keys", "/api/v1/auth/ws-ticket",
)  # fmt: skip


def routes() -> list[tuple[str, str]]:
    found = []
    for route in iter_route_contexts(create_app(MemoryService()).routes):
        if route.path is not None and route.methods:
            found += [(method, route.path) for method in sorted(route.methods)]
    return found


def test_every_route_has_a_rule() -> None:
    every = routes()
    assert len(every) > 50
    for method, path in every:
        rule = Rules().of(method, path)
        assert rule is not None, f"{method} {path} has no rule in routers/rules.py"
        assert rule.open == (path in OPEN_PATHS), path
        if not rule.open and not path.startswith(OWN):
            assert rule.scopes, path
        if path.startswith("/api/v1/"):
            writes = method not in ("GET", "HEAD")
            assert rule.audited == (writes and not path.endswith("/ws-ticket")), path
            if rule.scopes and writes:
                assert not any(scope.endswith(":read") for scope in rule.scopes), path


def test_no_rule_is_left_over_for_what_is_open() -> None:
    assert {area for area, rules in AREAS.items() if OPEN in rules or LOGIN in rules} == {
        "/health", "/vendor", *OPEN_PATHS - {"/health/live", "/health/ready"}
    }  # fmt: skip


def test_the_longest_area_wins_and_ends_at_a_slash() -> None:
    rules = Rules()
    assert rules.of("GET", "/api/v1/auth/users/desk") == ADMIN_READ
    assert rules.of("GET", "/ws") == KNOWN
    halt, resume = rules.of("POST", "/api/v1/risk/halt"), rules.of("POST", "/api/v1/risk/resume")
    assert halt is not None
    assert resume is not None
    assert (halt.scopes, resume.scopes) == ({Scope.TRADING_WRITE, Scope.RISK_WRITE}, {Scope.RISK_WRITE})
    assert rules.of("POST", "/api/v1/risk/kill-switch") == halt
    assert rules.of("GET", "/api/v1/risk/kill-switch") == rules.of("GET", "/api/v1/risk/state")
    for path in ("/api/v1/tradings", "/api/v1", "//", "", "/healthy", "//docs", "/api/v1/../docs", "/API/V1/auth/me"):
        assert rules.of("GET", path) is None, path
    assert rules.of("POST", "/health/live") is None
    assert (rules.of("GET", "/"), rules.of("POST", "/")) == (OPEN, None)


async def test_a_route_that_nobody_made_a_rule_for_is_refused_to_everybody() -> None:
    service = MemoryService()
    app = create_app(service)
    reached = False

    @app.get("/forgotten")
    async def forgotten() -> None:
        nonlocal reached
        reached = True

    app.allowed.add("/forgotten", {"GET"})  # as create_app would have found it
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(name.lower().encode(), value.encode()) for name, value in AUTHORIZATION.items()]
    scope = {
        "type": "http", "method": "GET", "path": "/forgotten", "query_string": b"", "headers": headers, "scheme": "http"
    }  # fmt: skip
    await app(scope, receive, send)
    assert (sent[0]["status"], reached) == (403, False)
    await service.hub.close()
