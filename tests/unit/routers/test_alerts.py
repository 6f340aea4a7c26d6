"""The alert routes: what they answer, what they refuse, and that no secret is among it."""

from typing import Any

import pytest
from tests.unit.routers.memory_service import Api, MemoryService

from vnpy_core.models import Alert

WHEN = "2026-01-05T01:30:00.000000+00:00"


@pytest.fixture(autouse=True)
async def opened(service: MemoryService) -> Any:
    await service.alert_desk.open(service.journal)
    for number in range(3):
        alert_id = f"drift.SIM.rb260{number}.SHFE"
        service.pipeline.emit(Alert(alert_id=alert_id, severity="critical", summary="so", datetime=WHEN))
    yield
    await service.alert_desk.close()


async def test_alerts_are_listed_read_acknowledged_and_silenced(api: Api) -> None:
    page = await api.get("/alerts", state="FIRING", rule="drift", limit=2)
    assert [each["labels"]["vt_symbol"] for each in page["alerts"]] == ["rb2602.SHFE", "rb2601.SHFE"]
    rest = await api.get("/alerts", cursor=page["next_cursor"])
    assert len(rest["alerts"]) == 1
    newest = page["alerts"][0]
    path = f"/alerts/{newest['incident_id']}"
    assert (await api.get(path))["alert_id"] == "drift.SIM.rb2602.SHFE"
    noted = await api.send("POST", f"{path}/acknowledge", {"note": "mine"})
    assert (noted["state"], noted["acknowledged_by"], noted["note"]) == ("ACKNOWLEDGED", "admin-key", "mine")
    assert (await api.send("POST", f"{path}/acknowledge"))["note"] == ""
    silence = await api.send("POST", f"{path}/silence", {"duration_s": 60}, 201)
    assert silence["matchers"] == {"alert_id": "drift.SIM.rb2602.SHFE"}
    assert (await api.get(path))["silenced_by"] == silence["silence_id"]
    assert (await api.get("/alerts", active=False))["alerts"] == []


async def test_silences_and_maintenance_windows(api: Api) -> None:
    body = {"starts": "2096-01-05T09:30:00+08:00", "duration_s": 3600, "reason": "maintenance"}
    planned = await api.send("POST", "/alerts/silences", body, 201)
    assert (planned["starts"], planned["ends"]) == (
        "2096-01-05T01:30:00.000000+00:00", "2096-01-05T02:30:00.000000+00:00",
    )  # fmt: skip
    assert planned["matchers"] == {}
    now = await api.send("POST", "/alerts/silences", {"matchers": {"gateway": "SIM"}, "duration_s": 60}, 201)
    assert [each["silence_id"] for each in (await api.get("/alerts/silences"))["silences"]] == [
        now["silence_id"], planned["silence_id"],
    ]  # fmt: skip
    assert {each["state"] for each in (await api.get("/alerts"))["alerts"]} == {"SILENCED"}
    ended = await api.send("DELETE", f"/alerts/silences/{now['silence_id']}")
    assert ended["over"] is True
    assert {each["state"] for each in (await api.get("/alerts"))["alerts"]} == {"FIRING"}
    refused = await api.send("DELETE", f"/alerts/silences/{now['silence_id']}", expect=404)
    assert refused["code"] == "unknown_silence"


async def test_rules_are_read_set_and_removed(api: Api) -> None:
    rules = {each["name"]: each for each in (await api.get("/alerts/rules"))["rules"]}
    assert rules["gateway_down"]["source"] == "default"
    changed = await api.send("PUT", "/alerts/rules/gateway_down", {"for_s": 60, "suppressed_by": ["drift"]})
    assert (changed["source"], changed["for_s"], changed["metric"], changed["suppressed_by"]) == (
        "api", 60.0, "vnpy_core_gateway_missing", ["drift"],
    )  # fmt: skip
    removed = await api.send("DELETE", "/alerts/rules/gateway_down")
    assert removed["rule"] == await api.get("/alerts/rules/gateway_down") == rules["gateway_down"]
    assert (await api.send("DELETE", "/alerts/rules/gateway_down", expect=409))["code"] == "not_set"
    mine = {"kind": "rate", "topic": "trade", "window_s": 60, "value": 1000, "title": "{value} trades a minute"}
    assert (await api.send("PUT", "/alerts/rules/mine", mine))["source"] == "api"
    assert (await api.send("DELETE", "/alerts/rules/mine"))["rule"] is None
    assert (await api.get("/alerts/rules/mine", 404))["code"] == "unknown_rule"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/alerts/rules/mine", {"kind": "threshold", "metric": "m"}, 422),
        ("PUT", "/alerts/rules/mine", {"kind": "threshold", "metric": "m", "title": "x", "colour": "red"}, 422),
        ("PUT", "/alerts/rules/Mine", {"kind": "threshold", "metric": "m", "title": "x"}, 422),
        ("PUT", "/alerts/rules/drift", {"kind": "threshold", "metric": "m"}, 422),
        ("PUT", "/alerts/rules/gateway_down", {"value": "1"}, 422),
        ("POST", "/alerts/silences", {"duration_s": 0}, 422),
        ("POST", "/alerts/silences", {"duration_s": 60, "starts": "2026-01-05T09:30:00"}, 422),
        ("POST", "/alerts/silences", {"duration_s": 60, "matchers": {"rule": ""}}, 422),
        ("POST", "/alerts/0123456789abcdef/acknowledge", {}, 404),
        ("POST", "/alerts/0123456789abcdef/silence", {"duration_s": 60}, 404),
        ("GET", "/alerts/0123456789abcdef", None, 404),
        ("GET", "/alerts/nonsense", None, 422),
        ("POST", "/alerts/channels/nowhere/test", None, 404),
    ],
)
async def test_what_is_refused(api: Api, method: str, path: str, body: Any, status: int) -> None:
    await api.send(method, path, body, status)


async def test_a_rule_or_silence_that_is_not_on_disk_does_not_hold(service: MemoryService, api: Api) -> None:
    service.journal.full = True
    await api.send("POST", "/alerts/silences", {"duration_s": 60}, 503)
    await api.send("PUT", "/alerts/rules/gateway_down", {"for_s": 60}, 503)
    assert (await api.get("/alerts/silences"))["silences"] == []
    assert (await api.get("/alerts/rules/gateway_down"))["source"] == "default"
    service.journal.full = False


async def test_channels_are_tested_and_their_addresses_shown_to_nobody(api: Api) -> None:
    tested = await api.send("POST", "/alerts/channels/ops/test")
    assert tested == {"name": "ops", "delivered": True, "detail": None}
    answer = await api.http.get("/alerts/channels")
    (channel,) = answer.json()["channels"]
    assert (channel["name"], channel["kind"], channel["healthy"]) == ("ops", "json", True)
    assert "nowhere" not in answer.text
