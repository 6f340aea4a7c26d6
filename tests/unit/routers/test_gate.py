"""The gate: every endpoint without a token, with one that is expired, forged, revoked or too narrow; hosts, origins."""

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr
from tests.unit.routers.memory_service import ADMIN_KEY, AUTHORIZATION, KEY, Api, MemoryService

from vnpy_core.app import create_app
from vnpy_core.config.access_settings import SecuritySettings
from vnpy_core.enums import Role, Scope
from vnpy_core.routers.rules import Rules
from vnpy_core.security.keys import KeyRing
from vnpy_core.security.scopes import SCOPES_OF_ROLE

PASSWORD = "correct horse battery"
BASE = "http://core"


def endpoints(*, guarded: bool = True) -> Iterator[tuple[str, str]]:
    """Every route with its parameters filled in."""
    rules = Rules()
    for route in iter_route_contexts(create_app(MemoryService()).routes):
        for method in sorted(route.methods or ()):
            path = re.sub(r"\{[^}]+\}", "x", route.path or "")
            rule = rules.of(method, path)
            if rule is not None and rule.open != guarded:
                yield method, path


GUARDED = list(endpoints())


@pytest.fixture
async def bare(service: MemoryService) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows nothing by itself."""
    await service.access.administration.ensure_admin()
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        yield http


async def login(service: MemoryService, role: Role = Role.ADMIN, name: str = "desk") -> Any:
    await service.access.administration.add_user(name, role, PASSWORD)
    return await service.access.logins.login(name, PASSWORD, None, "127.0.0.1", "test")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def refused(http: httpx.AsyncClient, headers: dict[str, str], status: int, *codes: str) -> None:
    """Every guarded endpoint answers ``status``, before it has looked at anything else."""
    for method, path in GUARDED:
        response = await http.request(method, path, headers=headers, content=b"{")
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        problem = response.json()
        assert problem["code"] in codes, f"{method} {path}: {problem}"
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.headers.get("www-authenticate") == "Bearer") == (status == 401)


async def test_every_endpoint_without_a_token(bare: httpx.AsyncClient) -> None:
    assert len(GUARDED) > 45
    await refused(bare, {}, 401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", f"Token {ADMIN_KEY}", "Bearer null", "Bearer é", ADMIN_KEY,
     "Bearer " + "a" * 5000, "Bearer vck_x.y", "Bearer vck_.", "Bearer a.b.c", f"Bearer {ADMIN_KEY}x",
     f"Bearer {ADMIN_KEY[:-1]}"],
)  # fmt: skip
async def test_what_is_no_credential(bare: httpx.AsyncClient, header: str) -> None:
    response = await bare.get("/api/v1/trading/orders", headers=[(b"authorization", header.encode())])
    assert response.status_code == 401, response.text


async def test_every_endpoint_with_an_expired_token(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service)
    claims = jwt.decode(grant.access_token, options={"verify_signature": False})
    old = jwt.encode(claims | {"exp": int(time.time()) - 1}, KeyRing([KEY]).signing_keys[0], algorithm="HS256")
    await refused(bare, bearer(old), 401, "token_expired")


async def test_every_endpoint_with_a_forged_token(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service)
    claims = jwt.decode(grant.access_token, options={"verify_signature": False})
    head, body, seal = grant.access_token.split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    other = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "admin"}).encode()).decode().rstrip("=")
    key = KeyRing([KEY]).signing_keys[0]
    for forged in (
        f"{unsigned}.{body}.", f"{unsigned}.{body}.{seal}", f"{head}.{other}.{seal}", f"{head}.{body}.",
        jwt.encode(claims, "a key that is of somebody else, but long", algorithm="HS256"),
        jwt.encode(claims, key + key, algorithm="HS512"),
        jwt.encode(claims | {"iss": "another"}, key, algorithm="HS256"),
        jwt.encode({name: value for name, value in claims.items() if name != "exp"}, key, algorithm="HS256"),
    ):  # fmt: skip
        response = await bare.get("/api/v1/auth/me", headers=bearer(forged))
        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    await refused(bare, bearer(f"{unsigned}.{body}."), 401, "invalid_token")


async def test_every_endpoint_with_a_revoked_token(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service)
    assert (await bare.get("/api/v1/auth/me", headers=bearer(grant.access_token))).status_code == 200
    key, record = await service.access.administration.add_api_key("admin", "k", within=frozenset(Scope))
    assert (await bare.get("/api/v1/auth/me", headers=bearer(key))).status_code == 200
    await service.access.logins.end(grant.session_id)
    await service.access.administration.revoke_api_key(record.key_id)
    await refused(bare, bearer(grant.access_token), 401, "token_revoked")
    await refused(bare, bearer(key), 401, "token_revoked")


async def test_every_endpoint_of_somebody_who_was_disabled(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service)
    key, _ = await service.access.administration.add_api_key("desk", "k", within=frozenset(Scope))
    assert (await bare.get("/api/v1/auth/me", headers=bearer(key))).status_code == 200
    await service.access.administration.change_user("desk", disabled=True)
    await refused(bare, bearer(grant.access_token), 401, "token_revoked")
    await refused(bare, bearer(key), 401, "token_revoked")


@pytest.mark.parametrize("scope", list(Scope))
async def test_every_endpoint_with_a_key_for_something_else(
    service: MemoryService, bare: httpx.AsyncClient, scope: Scope
) -> None:
    key, _ = await service.access.administration.add_api_key("admin", "k", within=frozenset(Scope), scopes=[scope])
    rules, passed = Rules(), 0
    for method, path in GUARDED:
        rule = rules.of(method, path)
        assert rule is not None
        response = await bare.request(method, path, headers=bearer(key), content=b"{")
        if rule.scopes and scope not in rule.scopes:
            assert (response.status_code, response.json()["code"]) == (403, "missing_scope"), (method, path)
        else:
            passed += 1
            assert response.status_code != 401, (method, path)
    assert passed < len(GUARDED)


async def test_a_viewer_changes_nothing(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service, Role.VIEWER)
    for method, path in GUARDED:
        if method == "GET" or "/auth/" in path:
            continue
        response = await bare.request(method, path, headers=bearer(grant.access_token), json={})
        assert response.status_code == 403, (method, path)
    me = (await bare.get("/api/v1/auth/me", headers=bearer(grant.access_token))).json()
    assert me["scopes"] == sorted(SCOPES_OF_ROLE[Role.VIEWER])


async def test_an_answer_that_is_kept_is_not_for_everybody(service: MemoryService, bare: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await bare.get("/api/v1/trading/orders", headers=AUTHORIZATION)).status_code == 200
    assert (await bare.get("/api/v1/trading/orders")).status_code == 401
    key, _ = await service.access.administration.add_api_key(
        "admin", "k", within=frozenset(Scope), scopes=[Scope.DATA_READ]
    )
    assert (await bare.get("/api/v1/trading/orders", headers=bearer(key))).status_code == 403


async def test_two_headers_are_none(bare: httpx.AsyncClient) -> None:
    headers = [("Authorization", AUTHORIZATION["Authorization"]), ("Authorization", "Bearer x")]
    for given in (headers, headers[::-1], [headers[0], headers[0]]):
        assert (await bare.get("/api/v1/auth/me", headers=given)).status_code == 401


async def test_settings_of_a_gateway_take_an_admin(service: MemoryService, bare: httpx.AsyncClient) -> None:
    grant = await login(service, Role.TRADER)
    path, secret = "/api/v1/trading/gateways/SIM/connect", {"password": "hush-hush-hush"}
    assert (await bare.post(path, headers=bearer(grant.access_token), json=secret)).status_code == 403
    assert (await bare.post(path, headers=bearer(grant.access_token))).status_code == 200
    assert (await bare.post(path, headers=AUTHORIZATION, json=secret)).status_code == 200
    await service.pipeline.drain()
    assert not [event for event in service.journal.events if b"hush" in event.payload]


async def test_health_says_little_to_strangers(api: Api, bare: httpx.AsyncClient) -> None:
    assert (await bare.get("/health/ready")).json() == {"ready": True, "dependencies": []}
    assert (await bare.get("/health/ready", headers=bearer("stale"))).json()["dependencies"] == []
    assert (await api.get(f"{BASE}/health/ready"))["dependencies"]


async def test_a_name_that_is_not_ours_is_refused(bare: httpx.AsyncClient) -> None:
    path = "/api/v1/trading/orders"
    for host in ("localhost", "localhost:8006", "127.0.0.1:8006", "[::1]:8006", "192.168.1.7", "core", "CORE:80"):
        response = await bare.get(path, headers=AUTHORIZATION | {"Host": host})
        assert response.status_code == 200, host
    foreign = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.org", "core.evil", "", "é", "[::1", "a@b")
    for host in foreign:
        for known in (AUTHORIZATION, {}):
            response = await bare.get(path, headers=[*known.items(), (b"host", host.encode())])  # type: ignore[list-item]
            assert (response.status_code, response.json()["code"]) == (403, "unknown_host"), host
    assert (await bare.get("/health/live", headers={"Host": "a-pod.somewhere"})).status_code == 200


async def test_a_page_of_another_site_is_refused(bare: httpx.AsyncClient) -> None:
    requests = (("GET", "/api/v1/trading/orders"), ("POST", "/api/v1/auth/login"), ("OPTIONS", "/api/v1/auth/me"))
    for origin in ("https://evil.example", "null", "http://core.evil", "https://core", "http://core:81", "http://localhost"):
        for method, path in requests:
            response = await bare.request(method, path, headers=AUTHORIZATION | {"Origin": origin})
            assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed"), (origin, method)
            assert "access-control-allow-origin" not in response.headers
    ours = await bare.get("/api/v1/trading/orders", headers=AUTHORIZATION | {"Origin": BASE})
    assert ours.status_code == 200


async def test_a_page_of_a_listed_site_may_read() -> None:
    site = "https://desk.example.com"
    settings = SecuritySettings(admin_key=SecretStr(ADMIN_KEY), allowed_hosts=("core",), cors_origins=(site,))
    service = MemoryService(security=settings)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Origin": site}) as http:
        flight = await http.options("/api/v1/trading/orders", headers={"Access-Control-Request-Method": "POST"})
        assert flight.status_code == 204
        assert "Authorization" in flight.headers["access-control-allow-headers"]
        for headers, status in ((AUTHORIZATION, 200), ({}, 401)):
            response = await http.get("/api/v1/trading/orders", headers=headers)
            assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, site)
            assert "access-control-allow-credentials" not in response.headers
        assert (await http.get("/docs", headers={"Origin": "https://desk.example.com.evil"})).status_code == 403
    await service.hub.close()


async def test_every_answer_tells_the_browser_to_be_careful(bare: httpx.AsyncClient) -> None:
    for path, headers in (("/api/v1/trading/orders", AUTHORIZATION), ("/api/v1/trading/orders", {}), ("/docs", {})):
        told = (await bare.get(path, headers=headers)).headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["x-frame-options"] == "DENY"
        assert told["cache-control"] == "no-store"
        assert "strict-transport-security" not in told
    for page in ("/docs", "/login"):
        response = await bare.get(page)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


async def test_limits_are_per_user_and_kind() -> None:
    settings = SecuritySettings(
        admin_key=SecretStr(ADMIN_KEY), allowed_hosts=("core",),
        writes_per_s=0.001, reads_per_s=0.001, orders_per_s=0.001,
    )  # fmt: skip
    service = MemoryService(security=settings)
    transport = httpx.ASGITransport(create_app(service))
    await service.access.administration.ensure_admin()
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=AUTHORIZATION) as http:
        assert (await http.get("/api/v1/auth/me")).status_code == 200
        refused = await http.get("/api/v1/auth/me")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) > 900
        assert (await http.post("/api/v1/trading/orders", json={})).status_code == 422
        assert (await http.post("/api/v1/trading/orders", json={})).status_code == 429
        # Whoever has sent too much can still take it back.
        assert (await http.post("/api/v1/trading/orders/cancel-all")).status_code == 200
        key, _ = await service.access.administration.add_api_key("admin", "k", within=frozenset(Scope))
        assert (await http.get("/api/v1/auth/me", headers=bearer(key))).status_code == 200
    await service.orders.close()
    await service.pipeline.close()
    await service.hub.close()


async def test_a_batch_counts_as_its_number_of_orders() -> None:
    settings = SecuritySettings(admin_key=SecretStr(ADMIN_KEY), allowed_hosts=("core",), orders_per_s=5.0)
    service = MemoryService(security=settings)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=AUTHORIZATION) as http:

        async def post(count: int) -> httpx.Response:
            order = {
                "symbol": "xx", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN", "type": "LIMIT",
                "price": 1.0, "volume": 1.0,
            }  # fmt: skip
            body = {"orders": [order | {"client_order_id": f"{count}-{number}"} for number in range(count)]}
            return await http.post("/api/v1/trading/orders/batch", json=body)

        answered = await post(8)
        assert (answered.status_code, len(answered.json()["results"])) == (200, 8)
        refused = await post(8)  # two are left
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) >= 1
    await service.orders.close()
    await service.pipeline.close()
    await service.hub.close()


async def test_a_key_is_good_where_it_may_be_used(service: MemoryService) -> None:
    add = service.access.administration.add_api_key
    await service.access.administration.ensure_admin()
    key, _ = await add("admin", "k", within=frozenset(Scope), networks=["10.0.0.0/24", "::1"])
    app = create_app(service)
    for address, status in (("10.0.0.7", 200), ("::ffff:10.0.0.7", 200), ("::1", 200), ("10.0.1.7", 403), ("x", 403)):
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=bearer(key)) as http:
            assert (await http.get("/api/v1/auth/me")).status_code == status, address


async def test_off_asks_nobody() -> None:
    service = MemoryService(security=SecuritySettings(authentication="off"))
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for headers in ({}, bearer("anything")):
            assert (await http.get("/api/v1/auth/users", headers=headers)).status_code == 200
        assert (await http.get("/docs", headers={"Host": "evil.example"})).status_code == 403
        assert (await http.post("/api/v1/auth/logout")).json()["code"] == "authentication_off"
    await service.hub.close()
