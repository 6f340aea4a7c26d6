"""Logging in, refreshing, links, second factors, tickets, keys and users, as they are seen over HTTP."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pyotp
import pytest
from pydantic import SecretStr
from tests.unit.routers.memory_service import ADMIN_KEY, AUTHORIZATION, Api, MemoryService

from vnpy_core.app import create_app
from vnpy_core.config.access_settings import SecuritySettings
from vnpy_core.enums import Role

PASSWORD = "correct horse battery"
OTHER = "a better one than that"


@pytest.fixture
async def anybody(service: MemoryService) -> AsyncIterator[Api]:
    """A client that shows nothing by itself; there is an admin, and a trader with a password."""
    await service.access.administration.ensure_admin()
    await service.access.administration.add_user("desk", Role.TRADER, PASSWORD)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1/auth") as http:
        yield Api(service, http)


async def login(api: Api, expect: int = 200, **changes: Any) -> Any:
    return await api.send("POST", "/login", {"username": "desk", "password": PASSWORD} | changes, expect)


async def me(api: Api, token: str) -> int:
    return (await api.http.get("/me", headers={"Authorization": f"Bearer {token}"})).status_code


async def as_(api: Api, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
    return await api.http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})


async def test_a_login_gives_tokens_that_are_good(anybody: Api) -> None:
    tokens = await login(anybody)
    assert (tokens["token_type"], tokens["expires_in"], tokens["username"]) == ("Bearer", 900, "desk")
    assert await me(anybody, tokens["access_token"]) == 200
    assert await me(anybody, tokens["refresh_token"]) == 401


@pytest.mark.parametrize(
    "wrong", [{"password": "x"}, {"username": "nobody"}, {"username": "admin"}, {"password": PASSWORD.upper()}]
)
async def test_what_is_wrong_is_not_told(anybody: Api, wrong: dict[str, str]) -> None:
    problem = await login(anybody, 401, **wrong)
    assert (problem["code"], problem["detail"]) == ("bad_credentials", "The user name or the password is wrong.")


@pytest.mark.parametrize("username", ["desk", "nobody"])
async def test_an_account_is_locked_whether_it_exists_or_not(anybody: Api, username: str) -> None:
    for _ in range(10):
        assert (await login(anybody, 401, username=username, password="wrong"))["code"] == "bad_credentials"
    response = await anybody.http.post("/login", json={"username": username, "password": PASSWORD})
    assert (response.status_code, response.json()["code"]) == (429, "account_locked")
    assert 800 < int(response.headers["retry-after"]) <= 900


async def test_a_lock_leaves_who_is_in(anybody: Api) -> None:
    tokens = await login(anybody)
    for _ in range(12):
        await anybody.http.post("/login", json={"username": "desk", "password": "wrong"})
    assert await me(anybody, tokens["access_token"]) == 200
    assert (await anybody.send("POST", "/refresh", {"refresh_token": tokens["refresh_token"]}))["session_id"]


async def test_attempts_are_counted_by_address() -> None:
    service = MemoryService(security=SecuritySettings(allowed_hosts=("core",), logins_per_minute=3))
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1/auth") as http:
        bodies = [{"username": f"u{number}", "password": "wrong"} for number in range(5)]
        statuses = [(await http.post("/login", json=body)).status_code for body in bodies]
    assert statuses == [401, 401, 401, 429, 429]
    await service.pipeline.drain()
    written = [event for event in service.journal.events if event.topic == "audit"]
    assert len(written) == 3  # what is beyond the limit fills no disk
    await service.pipeline.close()
    await service.hub.close()


async def test_a_refresh_token_is_good_once(anybody: Api) -> None:
    first = await login(anybody)
    second = await anybody.send("POST", "/refresh", {"refresh_token": first["refresh_token"]})
    third = await anybody.send("POST", "/refresh", {"refresh_token": second["refresh_token"]})
    assert first["session_id"] == second["session_id"] == third["session_id"]
    assert await me(anybody, third["access_token"]) == 200
    reused = await anybody.send("POST", "/refresh", {"refresh_token": first["refresh_token"]}, 401)
    assert reused["code"] == "token_reused"
    for tokens in (first, second, third):
        assert await me(anybody, tokens["access_token"]) == 401
    assert (await anybody.send("POST", "/refresh", {"refresh_token": third["refresh_token"]}, 401))["code"] == (
        "invalid_token"
    )


async def test_a_made_up_refresh_token_ends_nobody_elses_session(anybody: Api) -> None:
    tokens = await login(anybody)
    made_up = f"vcr_{tokens['session_id']}.{'a' * 75}"
    for token in (made_up, made_up[:-1], f"vcr_{tokens['session_id']}.", "x", tokens["access_token"]):
        await anybody.send("POST", "/refresh", {"refresh_token": token}, 401)
    assert await me(anybody, tokens["access_token"]) == 200


async def test_a_logout_ends_the_session(anybody: Api) -> None:
    tokens, other = await login(anybody), await login(anybody)
    assert (await as_(anybody, tokens["access_token"], "POST", "/logout")).status_code == 200
    assert await me(anybody, tokens["access_token"]) == 401
    assert await me(anybody, other["access_token"]) == 200
    await anybody.send("POST", "/refresh", {"refresh_token": tokens["refresh_token"]}, 401)


async def test_a_login_link_is_good_once_and_sets_the_password(anybody: Api) -> None:
    logins = anybody.service.access.logins
    void, link = await logins.make_link("admin"), await logins.make_link("admin")
    await anybody.send("POST", "/login-link", {"token": void, "password": OTHER}, 401)
    await anybody.send("POST", "/login-link", {"token": link, "password": "aaaaaaaaaaaa"}, 422)
    tokens = await anybody.send("POST", "/login-link", {"token": link, "password": OTHER})
    assert await me(anybody, tokens["access_token"]) == 200
    await anybody.send("POST", "/login-link", {"token": link, "password": PASSWORD}, 401)
    await login(anybody, username="admin", password=OTHER)
    await login(anybody, 401, username="admin", password=PASSWORD)


async def test_a_new_password_ends_the_other_sessions(anybody: Api) -> None:
    mine, other = await login(anybody), await login(anybody)
    body = {"current_password": "wrong", "new_password": OTHER}
    assert (await as_(anybody, mine["access_token"], "POST", "/password", body)).status_code == 401
    body["current_password"] = PASSWORD
    assert (await as_(anybody, mine["access_token"], "POST", "/password", body)).status_code == 200
    assert (await me(anybody, mine["access_token"]), await me(anybody, other["access_token"])) == (200, 401)
    await login(anybody, 401)
    await login(anybody, password=OTHER)


async def test_a_second_factor(anybody: Api) -> None:
    token = (await login(anybody))["access_token"]
    assert (await as_(anybody, token, "POST", "/totp", {"password": "wrong"})).status_code == 401
    begun = (await as_(anybody, token, "POST", "/totp", {"password": PASSWORD})).json()
    assert begun["uri"].startswith("otpauth://totp/")
    await login(anybody)  # it does not count yet
    totp, now = pyotp.TOTP(begun["secret"]), time.time()
    code = totp.at(now)
    assert (await as_(anybody, token, "POST", "/totp/confirm", {"code": "000000"})).status_code in (401, 200)
    assert (await as_(anybody, token, "POST", "/totp/confirm", {"code": code})).status_code in (200, 409)
    assert (await login(anybody, 401))["code"] == "totp_required"
    assert (await login(anybody, 401, totp=code))["code"] == "bad_credentials"  # it was used
    assert (await login(anybody, 401, password="wrong", totp=totp.at(now + 30)))["code"] == "bad_credentials"
    await login(anybody, totp=totp.at(now + 30))
    stored = next(iter(anybody.service.access.directory.users[name] for name in ("desk",)))
    assert stored.totp_secret is not None
    assert begun["secret"] not in stored.totp_secret
    assert (await as_(anybody, token, "POST", "/totp/remove", {"password": PASSWORD})).status_code == 200
    await login(anybody)


async def test_a_key_has_no_more_than_who_made_it(anybody: Api) -> None:
    token = (await login(anybody))["access_token"]
    for body in ({"name": "k", "scopes": ["admin"]}, {"name": "k", "username": "admin"}):
        assert (await as_(anybody, token, "POST", "/api-keys", body)).status_code == 403
    made = await as_(anybody, token, "POST", "/api-keys", {"name": "k", "scopes": ["trading:read"]})
    key = made.json()
    assert (made.status_code, key["scopes"], key["username"]) == (201, ["trading:read"], "desk")
    assert await me(anybody, key["key"]) == 200
    # What is revoked must not live on in what it has made.
    for path, body in (("/api-keys", {"name": "k2"}), ("/password", {}), ("/totp", {}), ("/logout", None)):
        assert (await as_(anybody, key["key"], "POST", path, body)).status_code in (403, 422), path
    (listed,) = (await as_(anybody, token, "GET", "/api-keys")).json()["api_keys"]
    assert "key" not in listed
    assert listed["last_used"] is not None
    assert (await as_(anybody, ADMIN_KEY, "DELETE", f"/api-keys/{key['key_id']}")).json()["revoked"] is not None
    assert await me(anybody, key["key"]) == 401


async def test_nobody_sees_or_ends_what_is_anothers(anybody: Api) -> None:
    await anybody.service.access.administration.add_user("other", Role.TRADER, PASSWORD)
    mine, other = await login(anybody), await login(anybody, username="other")
    sessions = (await as_(anybody, mine["access_token"], "GET", "/sessions")).json()["sessions"]
    assert [each["username"] for each in sessions] == ["desk"]
    assert (await as_(anybody, mine["access_token"], "DELETE", f"/sessions/{other['session_id']}")).status_code == 404
    assert len((await as_(anybody, ADMIN_KEY, "GET", "/sessions")).json()["sessions"]) == 2
    assert (await as_(anybody, ADMIN_KEY, "DELETE", f"/sessions/{other['session_id']}")).status_code == 200
    assert await me(anybody, other["access_token"]) == 401


async def test_a_role_is_changed_at_once(anybody: Api) -> None:
    token = (await login(anybody))["access_token"]
    cancel_all = "http://core/api/v1/trading/orders/cancel-all"
    assert (await as_(anybody, token, "POST", cancel_all)).status_code == 200
    await as_(anybody, ADMIN_KEY, "PATCH", "/users/desk", {"role": "viewer"})
    assert (await as_(anybody, token, "POST", cancel_all)).status_code == 403


async def test_the_last_admin_stays(anybody: Api) -> None:
    for change in ({"disabled": True}, {"role": "viewer"}):
        refused = await as_(anybody, ADMIN_KEY, "PATCH", "/users/admin", change)
        assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    await as_(anybody, ADMIN_KEY, "PATCH", "/users/desk", {"role": "admin"})
    assert (await as_(anybody, ADMIN_KEY, "PATCH", "/users/admin", {"disabled": True})).status_code == 200


async def test_without_the_database_who_is_in_stays_in(anybody: Api) -> None:
    tokens = await login(anybody)
    anybody.service.access.directory.store.down = True  # type: ignore[attr-defined]
    assert await me(anybody, tokens["access_token"]) == 200
    assert await me(anybody, ADMIN_KEY) == 200
    assert await me(anybody, "vck_1.x") == 401
    assert (await login(anybody, 503))["code"] == "unavailable"


async def test_before_the_database_was_read_nobody_is_taken_for_unknown() -> None:
    settings = SecuritySettings(admin_key=SecretStr(ADMIN_KEY), allowed_hosts=("core",))
    service = MemoryService(security=settings)
    service.access.directory.store.down = True  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1/auth") as http:
        assert (await http.get("/me", headers={"Authorization": "Bearer vck_1.x"})).status_code == 503
        assert (await http.get("/me", headers=AUTHORIZATION)).status_code == 200
    await service.hub.close()


async def test_what_is_done_is_written_down_without_secrets(anybody: Api) -> None:
    await login(anybody, 401, password="a-wrong-password")
    tokens = await login(anybody)
    order = {
        "gateway_name": "SIM", "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG", "type": "LIMIT",
        "price": 3500.0, "volume": 1.0, "offset": "OPEN",
    }  # fmt: skip
    trading = "http://core/api/v1/trading"
    sent = await as_(anybody, tokens["access_token"], "POST", f"{trading}/orders", order)
    refused = await as_(anybody, tokens["access_token"], "POST", f"{trading}/orders", order | {"symbol": "nope"})
    forbidden = await as_(anybody, tokens["access_token"], "POST", "/users", {"username": "x", "role": "admin"})
    hidden = {"password": "hush-hush", "server": "hush-too"}
    await as_(anybody, ADMIN_KEY, "POST", f"{trading}/gateways/SIM/connect", hidden)
    assert (sent.status_code, refused.status_code, forbidden.status_code) == (201, 404, 403)
    await anybody.service.pipeline.drain()
    entries = [event.data for event in anybody.service.journal.events if event.topic == "audit"]
    told = [(e.actor, e.action.removeprefix("POST /api/v1"), e.status, e.code) for e in entries]  # type: ignore[attr-defined]
    assert told == [
        ("desk", "/auth/login", 401, "bad_credentials"),
        ("desk", "/auth/login", 200, None),
        ("desk", "/trading/orders", 201, None),
        ("desk", "/trading/orders", 404, "unknown_contract"),
        ("desk", "/auth/users", 403, "missing_scope"),
        ("admin-key", "/trading/gateways/SIM/connect", 200, None),
    ]
    everything = b"".join(event.payload for event in anybody.service.journal.events)
    for secret in (PASSWORD, "a-wrong-password", "hush", tokens["refresh_token"], tokens["access_token"]):
        assert secret.encode() not in everything
    assert '"symbol":"rb2501"' in entries[2].detail  # type: ignore[attr-defined]
    assert entries[2].credential == f"session:{tokens['session_id']}"  # type: ignore[attr-defined]
    assert entries[2].request_id == sent.headers["x-request-id"]  # type: ignore[attr-defined]
