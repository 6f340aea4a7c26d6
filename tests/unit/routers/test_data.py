"""The data routes: ranges, pages, and what is asked of the store."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.unit.routers.memory_service import Api

from vnpy_core.enums import Interval
from vnpy_core.routers import examples


@pytest.mark.parametrize("interval", [None, "1m", "MINUTE"])
async def test_bars_are_asked_for_by_any_name_of_the_interval(api: Api, interval: str | None) -> None:
    query = {"vt_symbol": "rb2501.SHFE", "start": "2026-01-05T09:31:00 08:00", "limit": 3}
    page = await api.get("/data/bars", **query, **({"interval": interval} if interval else {}))
    assert [bar["datetime"][14:16] for bar in page["bars"]] == ["31", "32", "33"]
    ((_, asked, start, end, limit),) = api.service.data.asked
    assert (asked, end, limit) == (Interval.MINUTE, None, 4)
    assert start == datetime(2026, 1, 5, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("what", ["bars", "ticks"])
async def test_a_range_is_read_page_by_page_without_a_hole(api: Api, what: str) -> None:
    query: dict[str, Any] = {
        "vt_symbol": "rb2501.SHFE", "start": "2026-01-05T01:31:00Z", "end": "2026-01-05T01:38:00Z", "limit": 3,
    }  # fmt: skip
    seen: list[str] = []
    while True:
        page = await api.get(f"/data/{what}", **query)
        seen += [row["datetime"][14:16] for row in page[what]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ["31", "32", "33", "34", "35", "36", "37", "38"]


async def test_without_a_beginning_there_is_one_page(api: Api) -> None:
    page = await api.get("/data/ticks", vt_symbol="rb2501.SHFE", limit=10)
    assert (len(page["ticks"]), page["next_cursor"]) == (10, None)
    assert api.service.data.asked[-1][-1] == 10


async def test_what_is_not_stored_is_an_empty_list(api: Api) -> None:
    assert await api.get("/data/bars", vt_symbol="xx.SHFE") == {"bars": [], "next_cursor": None}


async def test_the_overview_has_a_line_a_series(api: Api) -> None:
    assert await api.get("/data/overview") == {
        "overview": [msgspec.to_builtins(examples.OVERVIEW)], "next_cursor": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "vt_symbol"),
        ({"vt_symbol": "rb2501.SHFE", "interval": "tick"}, "interval"),
        ({"vt_symbol": "rb2501.SHFE", "interval": "5m"}, "interval"),
        ({"vt_symbol": "rb2501.SHFE", "start": "2026-01-05"}, "start"),
        ({"vt_symbol": "rb2501.SHFE", "end": "1767600000"}, "end"),
        ({"vt_symbol": "rb2501.SHFE", "cursor": "x"}, "cursor"),
    ],
)
async def test_a_malformed_query_is_refused_by_field(api: Api, query: dict[str, Any], field: str) -> None:
    problem = await api.get("/data/bars", expect=422, **query)
    assert [error["field"] for error in problem["errors"]] == [field]
