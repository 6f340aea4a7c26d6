"""The data routes: ranges, pages, and what is asked of the store."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.unit.routers.memory_service import Api

from vnpy_core.enums import Interval
from vnpy_core.errors import Conflict
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


async def test_a_download_is_asked_for_and_answered(api: Api) -> None:
    body = {"vt_symbol": "rb2501.SHFE", "interval": "1h", "start": "2026-01-05T09:00:00+08:00"}
    answered = await api.send("POST", "/data/downloads", body)
    assert (answered["vt_symbol"], answered["interval"], answered["count"]) == ("rb2501.SHFE", "HOUR", 1440)
    start = datetime(2026, 1, 5, 1, tzinfo=UTC)
    assert api.service.downloads.asked == [("rb2501.SHFE", Interval.HOUR, start, None, None)]
    api.service.downloads.failure = Conflict("No datafeed is configured.", code="no_datafeed")
    assert (await api.send("POST", "/data/downloads", body, 409))["code"] == "no_datafeed"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vt_symbol": "rb2501"}, "vt_symbol"),
        ({"vt_symbol": "../../etc/passwd"}, "vt_symbol"),
        ({"interval": "TICK"}, "interval"),
        ({"start": "2026-01-05"}, "start"),
        ({"start": None}, "start"),
        ({"end": "yesterday"}, "end"),
        ({"source": "datafeed"}, "source"),
    ],
)
async def test_a_malformed_download_is_refused_by_field(api: Api, change: dict[str, Any], field: str) -> None:
    body = {"vt_symbol": "rb2501.SHFE", "start": "2026-01-05T09:00:00+08:00"} | change
    problem = await api.send("POST", "/data/downloads", body, 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert api.service.downloads.asked == []
