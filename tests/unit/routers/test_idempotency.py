"""Idempotency-Key: the first answer again, never a second order, also across restarts and crashes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from tests.unit.routers.memory_service import AUTHORIZATION, Api, MemoryJournal, MemoryService, contract
from tests.unit.routers.test_trading import ORDER

from vnpy_core.app import create_app
from vnpy_core.errors import OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.models import KeyUse
from vnpy_core.routers import examples
from vnpy_core.trading import idempotency
from vnpy_core.trading.idempotency import IdempotencyKeys

PATH = "/trading/orders"


async def post(api: Api, key: str, values: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    return await api.http.post(PATH, json=ORDER | (values or {}), headers={"Idempotency-Key": key} | headers)


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


@asynccontextmanager
async def restarted(api: Api, keep: Callable[[Any], bool] = lambda model: True) -> AsyncIterator[Api]:
    """Another service, on as much of the journal as a crash has left; its engine has sent nothing yet."""
    await api.service.pipeline.drain()
    journal = MemoryJournal()
    journal.events = [event for event in api.service.journal.events if keep(event.data)]
    service = MemoryService(journal=journal)
    await service.restore()
    await service.tell(examples.GATEWAY, contract("rb2501.SHFE"))
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1", headers=AUTHORIZATION) as http:
        yield Api(service, http)
    await service.orders.close()
    await service.pipeline.close()
    await service.hub.close()


async def test_a_repeated_key_is_answered_the_same_and_nothing_is_sent_again(api: Api) -> None:
    first = await post(api, "k-1")
    again = [await post(api, "k-1") for _ in range(3)]
    assert (first.status_code, replayed(first)) == (201, False)
    assert [(a.status_code, a.content, replayed(a)) for a in again] == [(201, first.content, True)] * 3
    assert api.service.engine.count == 1
    assert (await post(api, "k-2")).json()["vt_orderid"] == "SIM.2"


async def test_the_same_request_in_other_words_is_the_same(api: Api) -> None:
    await post(api, "k-1")
    assert replayed(await post(api, "k-1", {"direction": "多", "offset": "Open", "price": 3500.0}))


@pytest.mark.parametrize(
    "change", [{"volume": 3}, {"price": 3501}, {"client_order_id": "mine"}, {"gateway_name": None}]
)
async def test_the_key_with_another_request_is_refused(api: Api, change: dict[str, Any]) -> None:
    await post(api, "k-1")
    other = await post(api, "k-1", change)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert api.service.engine.count == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 129, "schlüssel".encode("latin-1")])
async def test_a_key_that_is_none_is_refused(api: Api, key: str | bytes) -> None:
    answer = await api.http.post(PATH, json=ORDER, headers={b"Idempotency-Key": key})  # type: ignore[dict-item]
    assert answer.status_code == 422
    assert api.service.engine.count == 0


async def test_of_many_at_the_same_moment_one_is_sent_and_all_are_answered(api: Api) -> None:
    answers = await asyncio.gather(*(post(api, "k-1") for _ in range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum(not replayed(answer) for answer in answers) == 1
    assert api.service.engine.count == 1


async def test_a_refusal_is_repeated_even_when_it_would_be_taken_now(api: Api) -> None:
    refused = [await post(api, "k-1", {"price": 3500.5}), await post(api, "k-1", {"price": 3500.5})]
    assert [(a.status_code, a.json()["code"], replayed(a)) for a in refused] == [
        (409, "price_tick", False), (409, "price_tick", True)
    ]  # fmt: skip
    api.service.engine.failure = OrderRefused("Not enough funds.", code="gateway_refused")
    first = await post(api, "k-2")
    api.service.engine.failure = None
    again = await post(api, "k-2")
    assert (again.status_code, again.content) == (409, first.content)
    async with restarted(api) as after:
        assert (await post(after, "k-2")).content == first.content
        assert (await post(after, "k-1", {"price": 3500.5})).content == refused[0].content
        assert after.service.engine.count == 0


async def test_what_was_not_sent_does_not_use_up_the_key(api: Api) -> None:
    api.service.engine.failure = Unavailable("SIM is not connected.", code="gateway_not_connected")
    assert (await post(api, "k-1")).status_code == 503
    api.service.journal.full = True
    assert (await post(api, "k-1")).status_code == 503
    api.service.journal.full = False
    await api.service.pipeline.drain()
    async with restarted(api) as after:
        sent = await post(after, "k-1", {"volume": 5})
        assert (sent.status_code, replayed(sent)) == (201, False)
        assert after.service.engine.count == 1
    api.service.engine.failure = None
    assert (await post(api, "k-1")).status_code == 201


async def test_an_unknown_outcome_stays_unknown_and_is_not_sent_again(api: Api) -> None:
    api.service.engine.failure = OutcomeUnknown("The line broke.")
    first = await post(api, "k-1")
    assert first.status_code == 504
    api.service.engine.failure = None
    again = await post(api, "k-1")
    assert (again.status_code, again.content, replayed(again)) == (504, first.content, True)
    async with restarted(api) as after:
        unknown = await post(after, "k-1")
        assert (unknown.status_code, unknown.json()["intent_id"]) == (504, first.json()["intent_id"])
        assert len((await after.get("/trading/intents"))["intents"]) == 1
        assert after.service.engine.count == 0
    assert api.service.engine.count == 0


async def test_an_unknown_outcome_that_becomes_known_is_answered_from_then_on(api: Api) -> None:
    api.service.engine.failure = OutcomeUnknown("The line broke.")
    assert (await post(api, "k-1")).status_code == 504
    (unknown,) = api.service.orders.unknown
    found = msgspec.structs.replace(unknown, outcome="SENT", vt_orderid=examples.ORDER.vt_orderid, reason=None)
    api.service.orders.book.put(found)
    now = await post(api, "k-1")
    assert (now.status_code, replayed(now)) == (201, True)
    assert now.json()["order"] == msgspec.to_builtins(examples.ORDER)
    assert (await post(api, "k-1")).content == now.content
    async with restarted(api) as after:
        assert (await post(after, "k-1")).content == now.content
    assert api.service.engine.count == 0


async def test_after_a_restart_the_first_answer_is_given_again(api: Api) -> None:
    first = await post(api, "k-1")
    async with restarted(api) as after:
        again = await post(after, "k-1")
        assert (again.status_code, again.content, replayed(again)) == (201, first.content, True)
        assert (await post(after, "k-1", {"volume": 3})).status_code == 409
        assert after.service.engine.count == 0
        assert (await post(after, "k-2")).status_code == 201


async def test_a_crash_before_the_answer_was_recorded_sends_nothing_again(api: Api) -> None:
    """The key and the intent with its outcome are on disk, and what was answered is not."""
    first = await post(api, "k-1")
    async with restarted(api, lambda data: not isinstance(data, KeyUse) or not data.is_final) as after:
        again = await post(after, "k-1")
        assert (again.status_code, again.json(), replayed(again)) == (201, first.json(), True)
        assert after.service.engine.count == 0


async def test_a_crash_between_intent_and_outcome_leaves_the_outcome_unknown(api: Api) -> None:
    await post(api, "k-1")

    def before_the_outcome(data: Any) -> bool:
        return not data.is_final if isinstance(data, KeyUse) else getattr(data, "outcome", None) is None

    async with restarted(api, before_the_outcome) as after:
        assert (await post(after, "k-1")).status_code == 504
        assert after.service.engine.count == 0


async def test_a_crash_between_key_and_intent_leaves_the_key_free(api: Api) -> None:
    await post(api, "k-1")
    async with restarted(api, lambda data: isinstance(data, KeyUse) and not data.is_final) as after:
        assert (await post(after, "k-1")).status_code == 201
        assert after.service.engine.count == 1


async def test_a_client_that_goes_away_finds_the_answer_later(api: Api) -> None:
    request = asyncio.create_task(post(api, "k-1"))
    await api.service.engine.sent.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    again = await post(api, "k-1")
    assert (again.status_code, replayed(again)) == (201, True)
    assert api.service.engine.count == 1


async def test_keys_are_forgotten_after_their_time(service: MemoryService) -> None:
    now = [datetime.now(UTC)]
    keys = IdempotencyKeys(
        service.pipeline, service.journal, service.orders.book, keep=timedelta(hours=1), clock=lambda: now[0]
    )

    async def do(use: KeyUse) -> idempotency.Answer:
        return idempotency.Answer(201, b"{}")

    def again(intents: Any) -> idempotency.Answer:
        raise AssertionError("nothing is unresolved")

    assert not (await keys.run("", "k-1", 1, do, again)).replayed
    assert (await keys.run("", "k-1", 1, do, again)).replayed
    assert not (await keys.run("other", "k-1", 1, do, again)).replayed
    now[0] += timedelta(hours=2)
    assert not (await keys.run("", "k-1", 1, do, again)).replayed
    assert len(keys) == 1


async def test_bodies_beyond_the_newest_are_read_from_the_journal(api: Api) -> None:
    api.service.idempotency = IdempotencyKeys(
        api.service.pipeline, api.service.journal, api.service.orders.book, bodies_kept=2
    )
    first = [await post(api, f"k-{number}") for number in range(5)]
    await api.service.pipeline.drain()
    again = [await post(api, f"k-{number}") for number in range(5)]
    assert [a.content for a in again] == [a.content for a in first]
    assert all(replayed(a) for a in again)


async def test_a_dry_run_uses_up_nothing(api: Api) -> None:
    answer = await api.http.post(
        PATH, params={"dry_run": "true"}, json=ORDER | {"client_order_id": "mine"}, headers={"Idempotency-Key": "k-1"}
    )
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert answer.json()["order"].items() >= {"symbol": "rb2501", "price": 3500.0, "volume": 2.0}.items()
    assert api.service.engine.count == 0
    assert not [event for event in api.service.journal.events if event.topic in ("intent", "key")]
    assert (await post(api, "k-1", {"client_order_id": "mine"})).status_code == 201
    used = await api.http.post(PATH, params={"dry_run": "true"}, json=ORDER | {"client_order_id": "mine"})
    assert (used.status_code, used.json()["code"]) == (409, "duplicate_client_order_id")
    refused = await api.http.post(PATH, params={"dry_run": "true"}, json=ORDER | {"price": 0.5})
    assert (refused.status_code, refused.json()["code"]) == (409, "price_tick")
