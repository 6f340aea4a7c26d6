"""The route of a strategy's log."""

import msgspec
from tests.unit.routers.memory_service import Api

from vnpy_core.routers.strategy_log import EXAMPLE

PATH = "/strategies/demo/log"


async def test_the_newest_lines_come_first_page_by_page_and_by_level(api: Api) -> None:
    levels = ("INFO", "DEBUG", "WARNING", "ERROR")
    api.service.reports.logs.lines = [
        msgspec.structs.replace(
            EXAMPLE.log[0], log_id=f"{n:024x}", level=levels[n % 4], datetime=f"2026-01-05T01:30:{n:02}.000000+00:00"
        )
        for n in range(8)
    ]
    page = await api.get(PATH, limit=5)
    assert [line["log_id"][-1] for line in page["log"]] == list("76543")
    rest = await api.get(PATH, limit=5, cursor=page["next_cursor"])
    assert ([line["log_id"][-1] for line in rest["log"]], rest["next_cursor"]) == (list("210"), None)
    assert [line["level"] for line in (await api.get(PATH, level="WARNING"))["log"]] == ["ERROR", "WARNING"] * 2
    span = {"from": "2026-01-05T09:30:02+08:00", "to": "2026-01-05T01:30:04Z"}
    assert [line["log_id"][-1] for line in (await api.get(PATH, **span))["log"]] == list("432")


async def test_a_strategy_that_is_there_may_have_none_and_others_are_unknown(api: Api) -> None:
    await api.get(PATH, 404)
    await api.service.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE", {}, False)
    assert await api.get(PATH) == {"log": [], "next_cursor": None}
    for wrong in ({"level": "LOUD"}, {"cursor": "x"}, {"limit": 0}, {"from": "2026-01-05"}):
        await api.get(PATH, 422, **wrong)
