"""The strategy routes."""

import msgspec
import pytest
from tests.unit.routers.memory_service import Api

from vnpy_core.routers import examples

DEMO = {"class_name": "DoubleMaStrategy", "strategy_name": "demo", "vt_symbol": "rb2501.SHFE"}


async def test_classes_are_listed_with_their_parameters(api: Api) -> None:
    described = msgspec.to_builtins(examples.STRATEGY_CLASS)
    listed = {"classes": [described], "broken_files": {}, "next_cursor": None}
    assert await api.get("/strategies/classes") == listed
    assert await api.get("/strategies/classes/DoubleMaStrategy") == described
    await api.get("/strategies/classes/Nobody", expect=404)


async def test_a_strategy_lives_from_add_to_remove(api: Api) -> None:
    added = await api.send("POST", "/strategies", DEMO | {"setting": {"fast_window": 5}, "auto_start": True}, 201)
    assert (added["state"], added["auto_start"], added["parameters"]["fast_window"]) == ("ADDED", True, 5)
    await api.service.pipeline.drain()
    assert [one["strategy_name"] for one in (await api.get("/strategies"))["strategies"]] == ["demo"]
    assert await api.get("/strategies/") == await api.get("/strategies")
    assert (await api.send("POST", "/strategies/demo/start", expect=409))["code"] == "not_initialised"
    assert (await api.send("POST", "/strategies/demo/init"))["inited"] is True
    assert (await api.send("POST", "/strategies/demo/start"))["trading"] is True
    assert (await api.get("/strategies/demo"))["state"] == "TRADING"
    assert (await api.send("DELETE", "/strategies/demo", expect=409))["code"] == "trading"
    assert (await api.send("POST", "/strategies/demo/stop"))["trading"] is False
    assert await api.send("DELETE", "/strategies/demo") == {"strategy_name": "demo", "removed": True}
    await api.get("/strategies/demo", expect=404)
    await api.service.pipeline.drain()
    assert (await api.get("/strategies"))["strategies"] == []


async def test_parameters_and_variables_are_read_and_parameters_changed(api: Api) -> None:
    await api.send("POST", "/strategies/", DEMO, 201)
    before = await api.get("/strategies/demo/parameters")
    assert before == {"strategy_name": "demo", "parameters": {"fast_window": 10, "slow_window": 20}}
    changed = await api.send("PUT", "/strategies/demo/parameters", {"parameters": {"fast_window": 12}})
    assert changed["parameters"] == {"fast_window": 12, "slow_window": 20}
    refused = await api.send("PUT", "/strategies/demo/parameters", {"parameters": {"fast": 12}}, 422)
    assert refused["errors"] == [{"field": "fast", "message": "unknown parameter"}]
    assert (await api.get("/strategies/demo/variables"))["variables"] == dict(examples.STRATEGY.variables)


async def test_a_strategy_that_raises_is_answered_with_its_traceback(api: Api) -> None:
    await api.send("POST", "/strategies", DEMO | {"class_name": "Broken"}, 201)
    failed = await api.send("POST", "/strategies/demo/start", expect=409)
    assert failed["code"] == "strategy_failed"
    assert "ValueError: broken" in failed["traceback"]


async def test_code_is_reloaded_for_one_and_for_all(api: Api) -> None:
    await api.send("POST", "/strategies", DEMO, 201)
    assert (await api.send("POST", "/strategies/demo/reload"))["strategy_name"] == "demo"
    assert (await api.send("POST", "/strategies/classes/DoubleMaStrategy/reload"))["reloaded"] == ["demo"]
    await api.send("POST", "/strategies", DEMO | {"strategy_name": "b", "class_name": "Broken"}, 201)
    failed = await api.send("POST", "/strategies/b/reload", expect=409)
    assert (failed["code"], "ValueError: broken" in failed["traceback"]) == ("strategy_failed", True)
    for path in ("/strategies/nobody/reload", "/strategies/classes/Nobody/reload"):
        await api.send("POST", path, expect=404)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"strategy_name": "classes"}, "strategy_name"),
        ({"strategy_name": ""}, "strategy_name"),
        ({"strategy_name": "a/b"}, "strategy_name"),
        ({"strategy_name": ".."}, "strategy_name"),
        ({"strategy_name": "x" * 65}, "strategy_name"),
        ({"vt_symbol": "rb2501"}, "vt_symbol"),
        ({"setting": []}, "setting"),
        ({"settings": {}}, "settings"),
    ],
)
async def test_a_malformed_strategy_is_refused_by_field(api: Api, values: dict[str, object], field: str) -> None:
    problem = await api.send("POST", "/strategies", DEMO | values, 422)
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\\ud800"', "[" * 5000 + "]" * 5000])
async def test_what_json_should_not_carry_is_refused(api: Api, value: str) -> None:
    await api.send("POST", "/strategies", DEMO, 201)
    response = await api.http.put(
        "/strategies/demo/parameters",
        content='{"parameters": {"fast_window": ' + value + "}}", headers={"content-type": "application/json"},
    )  # fmt: skip
    assert response.status_code == 422, response.text
    assert response.json()["code"] == "invalid"


async def test_names_in_any_script_are_good(api: Api) -> None:
    await api.send("POST", "/strategies", DEMO | {"strategy_name": "双均线-1"}, 201)
    assert (await api.get("/strategies/双均线-1"))["strategy_name"] == "双均线-1"


async def test_strategies_of_other_engines(api: Api) -> None:
    symbols = ["rb2501.SHFE", "hc2501.SHFE"]
    body = {"class_name": "DoubleMaStrategy", "strategy_name": "pair", "engine": "PortfolioStrategy"}
    added = await api.send("POST", "/strategies", {**body, "vt_symbols": symbols}, 201)
    assert (added["engine"], added["vt_symbols"], added["vt_symbol"]) == ("PortfolioStrategy", symbols, symbols[0])
    await api.send("POST", "/strategies", DEMO, 201)
    await api.service.pipeline.drain()
    for query, names in (
        ({"engine": "PortfolioStrategy"}, ["pair"]),
        ({"engine": "CtaStrategy", "state": "ADDED"}, ["demo"]),
        ({"vt_symbol": "hc2501.SHFE"}, ["pair"]),
        ({"vt_symbol": "rb2501.SHFE"}, ["demo", "pair"]),
        ({"state": "TRADING"}, []),
    ):
        found = (await api.get("/strategies", **query))["strategies"]
        assert sorted(strategy["strategy_name"] for strategy in found) == names
    for wrong, status in (
        ({"engine": "NoEngine", "vt_symbols": symbols}, 404),
        ({"vt_symbol": "rb2501.SHFE", "vt_symbols": symbols}, 422),
        ({"engine": "CtaStrategy", "vt_symbols": symbols}, 422),
        ({}, 422),
    ):
        await api.send("POST", "/strategies", {**body, "strategy_name": "other", **wrong}, status)
    assert (await api.get("/strategies/classes", expect=404, engine="NoEngine"))["code"] == "unknown_engine"


async def test_the_plan_of_a_strategy(api: Api) -> None:
    await api.send("POST", "/strategies", DEMO, 201)
    before = await api.get("/strategies/demo/plan")
    assert (before["auto_start"], before["is_active"]) == (False, True)
    changed = await api.send("PATCH", "/strategies/demo/plan", {"auto_start": True, "is_active": False})
    assert (changed["auto_start"], changed["is_active"]) == (True, False)
    for body in ({}, {"auto_start": None}, {"desired_state": "TRADING"}):
        await api.send("PATCH", "/strategies/demo/plan", body, 422)
    await api.get("/strategies/nobody/plan", expect=404)
