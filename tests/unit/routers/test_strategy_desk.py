"""The further routes of strategies: pause, reset, clone, saved states, errors, position."""

import pytest
from tests.unit.routers.memory_service import Api

DEMO = {"class_name": "DoubleMaStrategy", "strategy_name": "demo", "vt_symbol": "rb2501.SHFE"}
PATH = "/strategies/demo"


@pytest.fixture
async def demo(api: Api) -> Api:
    await api.send("POST", "/strategies", DEMO, 201)
    return api


async def test_pause_and_resume(demo: Api) -> None:
    assert (await demo.send("POST", f"{PATH}/pause"))["paused"] is True
    assert (await demo.get(PATH))["paused"] is True
    assert (await demo.send("POST", f"{PATH}/resume"))["paused"] is False


async def test_reset_takes_a_body_and_no_unknown_field(demo: Api) -> None:
    assert (await demo.send("POST", f"{PATH}/reset", {"zero_pos": True}))["pos"] == 0
    assert (await demo.send("POST", f"{PATH}/reset", {"zero": True}, 422))["code"] == "invalid"


async def test_clone_takes_over_what_is_not_given(demo: Api) -> None:
    cloned = await demo.send("POST", f"{PATH}/clone", {"strategy_name": "other", "setting": {"fast_window": 3}}, 201)
    assert (cloned["vt_symbol"], cloned["parameters"]["fast_window"]) == ("rb2501.SHFE", 3)
    again = await demo.send("POST", f"{PATH}/clone", {"strategy_name": "other"}, 409)
    assert again["code"] == "duplicate_strategy"


async def test_history_and_errors_are_lists(demo: Api) -> None:
    page = await demo.get(f"{PATH}/variables/history", limit=1)
    assert (page["history"][0]["variables"]["pos"], page["next_cursor"]) == (1.0, None)
    await demo.get(f"{PATH}/variables/history", expect=422, cursor="x")
    assert (await demo.get(f"{PATH}/errors"))["errors"][0]["kind"] == "FAILED"


async def test_a_position_is_accepted_in_the_name_of_who_asks(demo: Api) -> None:
    assert (await demo.get(f"{PATH}/position"))["state"] == "DIFFERS"
    accepted = await demo.send("POST", f"{PATH}/position/accept", {"keep": "trades"})
    assert accepted["state"] == "AGREES"
    assert accepted["set_by"]
    await demo.send("POST", f"{PATH}/position/accept", {"keep": "neither"}, 422)


@pytest.mark.parametrize("path", ["errors", "position", "variables/history"])
async def test_of_no_strategy_there_is_nothing(api: Api, path: str) -> None:
    await api.get(f"{PATH}/{path}", expect=404)
