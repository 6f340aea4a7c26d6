"""The risk and algo routes: what they answer, what they refuse, and what is on disk by then."""

from typing import Any

import msgspec
import pytest
from tests.unit.routers.memory_service import Api, MemoryService, contract

from vnpy_core.models import KillSwitchReport, RiskLimits, RiskState
from vnpy_core.routers import examples, risk_examples


async def known(service: MemoryService) -> None:
    await service.tell(examples.GATEWAY, contract("rb2501.SHFE"), examples.ACCOUNT, risk_examples.RULE)
    await service.risk.open()


async def test_halt_and_resume_are_on_disk_when_they_are_answered(
    service: MemoryService, api: Api
) -> None:
    await known(service)

    halted = (await api.http.post("/risk/halt", json={"scope": "SIM", "reason": "odd"})).json()
    assert (halted["state"], halted["reason"], halted["source"]) == ("HALTED", "odd", "operator")
    assert isinstance(service.journal.events[-1].data, RiskState)
    overview = (await api.http.get("/risk/state")).json()
    assert overview["state"]["state"] == "ACTIVE"
    assert [(one["gateway_name"], one["effective_state"]) for one in overview["accounts"]] == [("SIM", "HALTED")]
    assert [event.data.resolved for event in service.read_model.alerts.values()] == [False]

    resumed = (await api.http.post("/risk/resume", json={"scope": "SIM"})).json()
    assert (resumed["state"], resumed["revision"]) == ("ACTIVE", 2)
    await service.pipeline.drain()
    assert [event.data.resolved for event in service.read_model.alerts.values()] == [True]


async def test_a_resume_that_is_not_on_disk_is_taken_back(service: MemoryService, api: Api) -> None:
    await known(service)
    await api.http.post("/risk/halt", json={"reason": "odd"})
    service.journal.full = True

    assert (await api.http.post("/risk/resume", json={})).status_code == 503

    guard = service.risk_engine.front.guard
    assert guard is not None
    state = guard.state_of("SIM")
    assert state is not None
    assert state.state == "HALTED"
    service.journal.full = False


async def test_states_and_limits_hold_over_a_restart(service: MemoryService, api: Api) -> None:
    await known(service)
    await api.http.post("/risk/halt", json={"state": "REDUCING", "reason": "late"})
    body = {"symbols": {"rb2501.SHFE": {"max_order_volume": 5}}, "symbol": {"price_collar_percent": 2}}
    assert (await api.http.put("/risk/limits", json=body)).status_code == 200

    after = MemoryService(journal=service.journal)
    await after.restore()
    await after.risk.open()

    guard = after.risk_engine.front.guard
    assert guard is not None
    state = guard.state_of("SIM")
    assert state is not None
    assert (state.state, state.reason) == ("REDUCING", "late")
    limits = guard.checks._symbol("rb2501.SHFE")
    assert (limits.max_order_volume, limits.price_collar_percent) == (5, 2)
    assert after.risk.limits().source == "api"
    await after.hub.close()
    await after.pipeline.close()


async def test_limits_of_the_configuration_are_shown_as_such(
    service: MemoryService, api: Api
) -> None:
    await known(service)
    answer = (await api.http.get("/risk/limits")).json()
    assert (answer["source"], answer["limits"]["duplicate_window_ms"]) == ("configuration", 0)
    assert isinstance(service.journal.events[-1].data, RiskLimits)


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": {"max_order_volume": 0}},
        {"accounts": {"SIM": {"max_working_orders": True}}},
        {"symbol": {"max_order_volum": 1}},
        {"account": {"breaker_state": "ACTIVE"}},
        {"price_max_age_s": -1},
        {"accounts": {"SIM": {"price_collar_percent": 1}}},
    ],
)
async def test_limits_that_mean_nothing_are_refused(api: Api, body: dict[str, Any]) -> None:
    assert (await api.http.put("/risk/limits", json=body)).status_code == 422


async def test_unknown_scopes_and_rules_are_not_found(service: MemoryService, api: Api) -> None:
    await known(service)
    answer = await api.http.post("/risk/halt", json={"scope": "NOPE"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_gateway")
    answer = await api.http.patch("/risk/rules/NopeRule", json={"parameters": {}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_rule")
    assert (await api.http.get("/risk/kill-switch")).status_code == 404


async def test_rules_are_listed_and_changed(service: MemoryService, api: Api) -> None:
    await known(service)
    (rule,) = (await api.http.get("/risk/rules")).json()["rules"]
    assert rule["class_name"] == "OrderSizeRule"

    changed = await api.http.patch("/risk/rules/OrderSizeRule", json={"parameters": {"order_volume_limit": 7}})
    assert changed.json()["parameters"] == {**rule["parameters"], "order_volume_limit": 7}
    assert (await api.http.get("/risk/rules/OrderSizeRule")).json() == changed.json()
    wrong = await api.http.patch("/risk/rules/OrderSizeRule", json={"parameters": {"limit": 7}})
    assert [error["field"] for error in wrong.json()["errors"]] == ["limit"]


async def test_kill_switch_cancels_and_reports(service: MemoryService, api: Api) -> None:
    await known(service)
    await service.tell(examples.ORDER)
    await service.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE", {}, auto_start=True)
    await service.strategies.init("demo")
    await service.strategies.start("demo")

    report = (await api.http.post("/risk/kill-switch", json={"reason": "fire"})).json()

    assert report["complete"], report
    assert (report["strategies_stopped"], report["orders_left"]) == (["demo"], [])
    assert report["orders_cancelled"] == 1
    assert (await api.http.get("/risk/kill-switch")).json() == report
    assert isinstance(service.journal.events[-1].data, KillSwitchReport)
    assert (await api.http.get("/risk/state")).json()["state"]["source"] == "kill_switch"


async def test_kill_switch_cancels_the_others_when_one_is_refused(service: MemoryService, api: Api) -> None:
    await known(service)
    await service.tell(
        examples.ORDER, msgspec.structs.replace(examples.ORDER, vt_orderid="SIM.2", orderid="2", volume=7.0)
    )
    service.engine.stuck = {"SIM.2"}

    report = (await api.http.post("/risk/kill-switch", json={"timeout_s": 1})).json()

    assert not report["complete"]
    (left,) = report["orders_left"]
    assert (left["vt_orderid"], left["left"]) == ("SIM.2", 6.0)
    assert left["reason"] == "Its cancel was refused: the exchange is closed"
    assert report["orders_cancelled"] == 1
    assert (await api.http.get("/risk/kill-switch")).json() == report


async def test_kill_switch_says_what_it_could_not_close(service: MemoryService, api: Api) -> None:
    await known(service)
    await service.tell(msgspec.structs.replace(examples.POSITION, volume=4.0))

    body = {"flatten": True, "timeout_s": 1}
    report = (await api.http.post("/risk/kill-switch", json=body)).json()

    assert not report["complete"]
    assert report["orders_left"] == []  # those that close, too: nothing of it goes on working
    assert report["flatten_orders"]
    (left,) = report["positions_left"]
    assert (left["volume"], left["reason"]) == (4.0, "Its closing orders were not filled in time.")


async def test_algos_live_by_their_routes(service: MemoryService, api: Api) -> None:
    await known(service)
    (template,) = (await api.http.get("/algos/templates")).json()["templates"]
    assert [parameter["name"] for parameter in template["parameters"]] == ["time", "interval"]
    body = {
        "template": "TwapAlgo", "vt_symbol": "rb2501.SHFE", "direction": "多", "offset": "OPEN", "price": 3500.0,
        "volume": 3.0,
    }  # fmt: skip
    started = await api.http.post("/algos", json=body)
    assert (started.status_code, started.json()["direction"]) == (201, "LONG")
    name = started.json()["algo_name"]

    assert (await api.http.post(f"/algos/{name}/pause")).json()["status"] == "PAUSED"
    assert (await api.http.post(f"/algos/{name}/resume")).json()["status"] == "RUNNING"
    assert (await api.http.post(f"/algos/{name}/stop")).json()["status"] == "STOPPED"
    assert (await api.http.post(f"/algos/{name}/stop")).json()["status"] == "STOPPED"
    answer = await api.http.post(f"/algos/{name}/pause")
    assert (answer.status_code, answer.json()["code"]) == (409, "algo_ended")
    assert (await api.http.post("/algos/stop-all")).json() == {"stopped": []}
    assert [one["algo_name"] for one in (await api.http.get("/algos?active=false")).json()["algos"]] == [name]
    assert (await api.http.get("/algos?active=true")).json()["algos"] == []


@pytest.mark.parametrize("direction", ["NET", "long", "", 1])
async def test_an_algo_takes_no_direction_that_it_would_take_for_a_sale(
    api: Api, direction: Any
) -> None:
    body = {"template": "TwapAlgo", "vt_symbol": "rb2501.SHFE", "direction": direction, "price": 1.0, "volume": 1.0}
    assert (await api.http.post("/algos", json=body)).status_code == 422
