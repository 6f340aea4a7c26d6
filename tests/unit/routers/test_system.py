"""Health, status, and what every answer has in common: problem documents, request ids, pages that are kept."""

import httpx
import msgspec
import pytest
from starlette.types import Receive, Scope, Send
from tests.unit.routers.memory_service import AUTHORIZATION, Api, MemoryService

from vnpy_core.app import create_app
from vnpy_core.bus.messages import CloseCode
from vnpy_core.enums import ServiceStatus
from vnpy_core.errors import Unavailable
from vnpy_core.reports import Liveness, SystemStatus
from vnpy_core.routers import examples
from vnpy_core.routers.answers import ServicePage, SessionPage
from vnpy_core.routers.problems import RequestContext


async def test_health_is_told_by_status_and_body(api: Api) -> None:
    assert (await api.get("http://core/health/live"))["alive"] is True
    assert (await api.get("http://core/health/ready"))["ready"] is True
    api.service.live = Liveness(alive=False, event_thread=False, detail="The event thread is dead.")
    api.service.ready = examples.NOT_READY
    assert (await api.get("http://core/health/live", expect=503))["detail"] == "The event thread is dead."
    not_ready = await api.get("http://core/health/ready", expect=503)
    assert not_ready["dependencies"][0]["detail"] == "The disk is full."


async def test_the_status_is_told(api: Api) -> None:
    told = msgspec.convert(await api.get("/system/status"), SystemStatus)
    assert told == msgspec.structs.replace(examples.SYSTEM, sessions=[])
    api.service.status_error = Unavailable("The journal is not open.")
    assert (await api.get("/system/status", expect=503))["detail"] == "The journal is not open."


async def test_the_running_services_are_told_all_or_of_a_name(api: Api) -> None:
    other = msgspec.structs.replace(examples.SERVICE, name="risk-desk", status=ServiceStatus.UNHEALTHY)
    for each in (examples.SERVICE, other):
        await api.service.backend.put(each, 60)
    both = msgspec.convert(await api.get("/system/services"), ServicePage)
    assert both.services == [other, examples.SERVICE]
    assert (both.stale, both.next_cursor) == (False, None)
    assert msgspec.convert(await api.get("/system/services", name="risk-desk"), ServicePage).services == [other]
    assert (await api.get("/system/services", name="nobody"))["services"] == []
    await api.get("/system/services", expect=422, status="HEALTHY")


async def test_sessions_are_told_and_can_be_ended(api: Api) -> None:
    session = api.service.hub.open("127.0.0.1:50412")
    assert session is not None
    told = msgspec.convert(await api.get("/system/sessions"), SessionPage)
    assert told.sessions == [session.status()]
    await api.get("/system/sessions", expect=422, limit=1)
    ended = await api.send("DELETE", f"/system/sessions/{session.session_id}")
    assert ended == {"session_id": session.session_id, "ended": True}
    assert session.ended.result()[0] == CloseCode.ENDED
    assert (await api.get("/system/sessions"))["sessions"] == []
    await api.send("DELETE", f"/system/sessions/{session.session_id}", expect=404)


async def test_errors_are_problem_documents(api: Api) -> None:
    response = await api.http.get("/nowhere")
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "urn:vnpy-core:problem:not_found"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert {"title", "status", "detail", "code"} <= problem.keys()


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/trading/orders", "GET, POST"),
        ("PUT", "/trading/orders/SIM.1", "DELETE, GET, PATCH"),
        ("PUT", "/trading/orders/cancel-all", "POST"),
        ("POST", "/strategies/classes", "GET"),
        ("HEAD", "/data/bars", "GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(api: Api, method: str, path: str, allow: str) -> None:
    response = await api.http.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b""])
async def test_a_body_that_is_no_json_is_refused(api: Api, content: bytes) -> None:
    response = await api.http.post("/trading/orders", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid"


async def test_a_body_without_its_type_is_refused(api: Api) -> None:
    response = await api.http.post("/trading/orders", content=b"{}")
    assert response.status_code == 422


async def test_a_body_too_large_is_refused(api: Api) -> None:
    response = await api.http.post(
        "/trading/orders", content=b" " * 2_000_000, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


async def test_a_sane_request_id_is_kept_and_another_is_made(api: Api) -> None:
    async def id_of(sent: str | None) -> str:
        headers = {} if sent is None else {"x-request-id": sent}
        return str((await api.http.get("/trading/orders", headers=headers)).headers["x-request-id"])

    assert await id_of("desk-1:42") == "desk-1:42"
    made = [await id_of(sent) for sent in (None, None, "a b", "x" * 200)]
    assert len(set(made)) == 4
    assert not set(made) & {"a b", "x" * 200}


async def test_what_nobody_foresaw_is_told_without_internals(api: Api) -> None:
    async def broken(*args: object) -> None:
        raise ZeroDivisionError("secret")

    api.service.data.overview = broken  # type: ignore[assignment]
    response = await api.http.get("/data/overview")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["request_id"] in response.json()["detail"]


async def test_an_answer_that_breaks_off_is_not_answered_twice() -> None:
    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await RequestContext(breaks_off, 1)({"type": "http", "headers": []}, None, send)  # type: ignore[arg-type]
    assert len(sent) == 1


async def test_a_repeated_list_is_the_same_until_something_changes(service: MemoryService) -> None:
    app = create_app(service)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://core/api/v1/trading", headers=AUTHORIZATION
    ) as http:
        first = await http.get("/orders")
        again = await http.get("/orders")
        assert again.content == first.content
        assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        await service.tell(msgspec.structs.replace(examples.ORDER, vt_orderid="SIM.2"))
        assert len((await http.get("/orders")).json()["orders"]) == 2
        assert len((await http.get("/orders?limit=1")).json()["orders"]) == 1
        assert len((await http.get("/orders")).json()["orders"]) == 2
        assert (await http.get("/orders?limit=x")).status_code == 422
        assert (await http.post("/orders")).status_code == 422


async def test_the_metrics_are_told_to_whoever_may_read_the_system(api: Api) -> None:
    await api.service.tell(examples.STRATEGY)
    response = await api.http.get("http://core/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert 'vnpy_core_sink_lag_facts{sink="sql"} 0.0' in lines
    assert f'vnpy_core_strategies{{state="{examples.STRATEGY.state}"}} 1.0' in lines
    stranger = await api.http.get("http://core/metrics", headers={"Authorization": "Bearer nobody's"})
    assert stranger.status_code == 401


async def test_the_other_metrics_are_told_while_one_source_fails(api: Api) -> None:
    await api.service.tell(examples.STRATEGY)
    api.service.status_error = Unavailable("The journal is not open.")
    response = await api.http.get("http://core/metrics")
    assert response.status_code == 200
    lines = response.text.splitlines()
    assert 'vnpy_core_metrics_source_errors_total{source="status"} 1.0' in lines
    assert f'vnpy_core_strategies{{state="{examples.STRATEGY.state}"}} 1.0' in lines
    assert "vnpy_core_ready 1.0" not in lines


async def test_whoever_comes_to_the_root_is_led_to_the_documentation(api: Api) -> None:
    browser = {"Authorization": "", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    led = await api.http.get("http://core/", headers=browser)
    assert (led.status_code, led.headers["location"]) == (307, "/docs")
    assert (await api.http.get("http://core/docs", headers=browser)).status_code == 200
    told = await api.http.get("http://core/", headers={"Authorization": ""})
    assert (told.status_code, told.json()["documentation"]) == (200, "/docs")
