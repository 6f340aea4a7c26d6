"""What the client does when something goes wrong on the way: nothing twice, and it says what it does not know."""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest

from vnpy_core.client import (
    ApiError,
    AsyncVnPyCoreClient,
    NewOrder,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
)
from vnpy_core.client.errors import BrokenOff
from vnpy_core.enums import Direction, Exchange
from vnpy_core.routers import examples

ACCOUNTS = {"accounts": [], "next_cursor": None}
ORDERS = {"orders": [], "next_cursor": None}
INTENTS: dict[str, Any] = {"intents": [], "next_cursor": None}
Answer = Callable[[httpx.Request], httpx.Response]


def as_json(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=msgspec.json.encode(body))


def problem(status: int, code: str) -> httpx.Response:
    return as_json({"title": "", "status": status, "detail": "No.", "code": code, "request_id": "r-1"}, status)


class Wire(httpx.AsyncBaseTransport):
    """Answers by method and path; keeps what was asked. An exception is raised, a list is gone through."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[f"{request.method} {request.url.path.removeprefix('/api/v1')}"]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        found = answer(request) if callable(answer) else answer
        assert isinstance(found, httpx.Response)
        return httpx.Response(found.status_code, content=found.content)

    def asked_for(self, what: str) -> list[httpx.Request]:
        return [each for each in self.asked if f"{each.method} {each.url.path.removeprefix('/api/v1')}" == what]


Open = Callable[..., AsyncVnPyCoreClient]


@pytest.fixture
async def client() -> AsyncIterator[Open]:
    made: list[AsyncVnPyCoreClient] = []

    def open_one(wire: Wire, **options: Any) -> AsyncVnPyCoreClient:
        made.append(AsyncVnPyCoreClient("http://core", transport=wire, **options))
        return made[-1]

    yield open_one
    for each in made:
        await each.close()


async def send(core: AsyncVnPyCoreClient, **options: Any) -> Any:
    return await core.trading.send_order(
        "rb2501", Exchange.SHFE, Direction.LONG, 1, 3500, outcome_wait_s=0.3, **options
    )


async def test_an_order_that_was_not_sent_is_said_to_be_so(client: Open) -> None:
    wire = Wire({"POST /trading/orders": httpx.ConnectError("refused")})
    with pytest.raises(Unreachable):
        await send(client(wire))
    assert len(wire.asked) == 1


@pytest.mark.parametrize("lost", [httpx.ReadError("cut"), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut")])
async def test_an_order_whose_answer_was_lost_is_asked_for_and_not_sent_again(client: Open, lost: Exception) -> None:
    def looked_for(request: httpx.Request) -> httpx.Response:
        order = msgspec.structs.replace(examples.ORDER, client_order_id=request.url.params["client_order_id"])
        return as_json({"orders": [order], "next_cursor": None})

    wire = Wire({
        "POST /trading/orders": lost, "GET /trading/intents": as_json(INTENTS),
        "GET /trading/orders": [as_json(ORDERS), httpx.ReadError("cut again"), looked_for],
    })  # fmt: skip
    result = await send(client(wire), client_order_id="a-1")
    assert (result.vt_orderid, result.client_order_id) == (examples.ORDER.vt_orderid, "a-1")
    (sent,) = wire.asked_for("POST /trading/orders")
    assert sent.headers["Idempotency-Key"] == "a-1"
    assert msgspec.json.decode(sent.content)["client_order_id"] == "a-1"


@pytest.mark.parametrize("known", [[], [examples.INTENT], httpx.ConnectError("down")])
async def test_an_outcome_that_nobody_knows_is_said_to_be_unknown(client: Open, known: Any) -> None:
    intents = known if isinstance(known, Exception) else as_json({"intents": known, "next_cursor": None})
    wire = Wire({
        "POST /trading/orders": httpx.ReadError("cut"), "GET /trading/orders": as_json(ORDERS),
        "GET /trading/intents": intents,
    })  # fmt: skip
    with pytest.raises(OutcomeUnknown) as unknown:
        await send(client(wire), client_order_id=examples.INTENT.client_order_id, idempotency_key="k-1")
    assert unknown.value.extra["client_order_id"] == examples.INTENT.client_order_id
    assert len(wire.asked_for("POST /trading/orders")) == 1
    assert wire.asked[0].headers["Idempotency-Key"] == "k-1"


async def test_a_batch_whose_answer_was_lost_is_told_with_all_its_ids(client: Open) -> None:
    wire = Wire({"POST /trading/orders/batch": httpx.ReadError("cut")})
    one = NewOrder(symbol="rb2501", exchange=Exchange.SHFE, direction=Direction.LONG, volume=1, price=3500)
    two = msgspec.structs.replace(one, client_order_id="b-2")
    with pytest.raises(OutcomeUnknown) as unknown:
        await client(wire).trading.send_orders([one, two], idempotency_key="k-1")
    (sent,) = wire.asked
    ids = [order["client_order_id"] for order in msgspec.json.decode(sent.content)["orders"]]
    assert unknown.value.extra["client_order_ids"] == ids
    assert ids[0]
    assert (ids[1], sent.headers["Idempotency-Key"]) == ("b-2", "k-1")


async def test_what_the_service_does_not_know_is_told_with_its_id(client: Open) -> None:
    wire = Wire({"POST /trading/orders": problem(504, "outcome_unknown")})
    with pytest.raises(OutcomeUnknown) as unknown:
        await send(client(wire))
    assert unknown.value.extra["client_order_id"] == msgspec.json.decode(wire.asked[0].content)["client_order_id"]
    assert len(wire.asked) == 1


async def test_a_read_is_tried_again_and_a_command_is_not(client: Open) -> None:
    wire = Wire({
        "GET /trading/accounts": [httpx.ReadError("cut"), httpx.ConnectError("down"), as_json(ACCOUNTS)],
        "DELETE /trading/orders/SIM.1": httpx.ReadError("cut"),
    })  # fmt: skip
    core = client(wire)
    assert [each async for each in core.trading.accounts()] == []
    with pytest.raises(BrokenOff):
        await core.trading.cancel_order("SIM.1")
    assert len(wire.asked) == 4


async def test_a_read_that_goes_on_failing_is_unreachable(client: Open) -> None:
    wire = Wire({"GET /system/status": httpx.ReadError("cut")})
    with pytest.raises(Unreachable, match="cut"):
        await client(wire).system.status()
    assert len(wire.asked) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (problem(401, "unauthorized"), Unauthorized, "unauthorized"),
        (problem(429, "rate_limited"), RateLimited, "rate_limited"),
        (problem(418, "teapot"), ApiError, "teapot"),
        (httpx.Response(502, content=b"<html>bad gateway"), ServerError, ""),
    ],
)
async def test_errors_are_exceptions(
    client: Open, answer: httpx.Response, kind: type[ApiError], code: str
) -> None:
    with pytest.raises(kind) as error:
        await client(Wire({"GET /system/status": answer})).system.status()
    assert type(error.value) is kind
    assert (error.value.status, error.value.code) == (answer.status_code, code)
    assert error.value.detail in ("No.", "<html>bad gateway")


async def test_a_token_is_shown_and_a_bad_one_is_said_to_be(client: Open) -> None:
    wire = Wire({"GET /system/status": problem(401, "unauthorized")})
    with pytest.raises(Unauthorized):
        await client(wire, token="vck_1.secret").system.status()
    assert [each.headers["Authorization"] for each in wire.asked] == ["Bearer vck_1.secret"]


def tokens(number: int) -> httpx.Response:
    return as_json({"access_token": f"a{number}", "refresh_token": f"r{number}", "expires_in": 900})


async def test_it_logs_in_when_needed_and_renews_what_has_run_out(client: Open) -> None:
    good = {"Bearer a1"}

    def status(request: httpx.Request) -> httpx.Response:
        is_good = request.headers["Authorization"] in good
        return as_json(examples.SYSTEM) if is_good else problem(401, "unauthorized")

    wire = Wire({
        "POST /auth/login": [tokens(1), tokens(3)], "POST /auth/refresh": [tokens(2), problem(401, "unauthorized")],
        "GET /system/status": status,
    })  # fmt: skip
    core = client(wire, username="desk", password="secret", totp=lambda: "123456")
    await core.system.status()
    good = {"Bearer a2"}
    await core.system.status()
    good = {"Bearer a3"}
    await core.system.status()
    logins = [msgspec.json.decode(each.content) for each in wire.asked_for("POST /auth/login")]
    assert logins == 2 * [{"username": "desk", "password": "secret", "totp": "123456"}]
    refreshed = [msgspec.json.decode(each.content) for each in wire.asked_for("POST /auth/refresh")]
    assert refreshed == [{"refresh_token": "r1"}, {"refresh_token": "r2"}]
    assert all("Authorization" not in each.headers for each in wire.asked_for("POST /auth/login"))


async def test_a_login_that_is_refused_is_not_tried_again(client: Open) -> None:
    wire = Wire({"POST /auth/login": problem(401, "unauthorized")})
    with pytest.raises(Unauthorized):
        await client(wire, username="desk", password="wrong").system.status()
    assert len(wire.asked) == 1


def test_what_is_called_tells_what_it_is() -> None:
    from vnpy_core.client.trading import Trading

    assert "client_order_id" in inspect.signature(Trading.send_order).parameters
    assert (Trading.send_order.__doc__ or "").startswith("Send an order, once")
