"""The routes of charts: what is asked for, and who may see a strategy's marks."""

from tests.unit.routers.memory_service import Api

from vnpy_core.data.chart_bars import ChartInterval
from vnpy_core.enums import Role, Scope

PATH = "/charts/rb2501.SHFE"


async def test_what_is_asked_for_arrives(api: Api) -> None:
    span = {"from": "2026-01-05T09:30:00+08:00", "to": "2026-01-05T02:00:00Z"}
    await api.get(PATH, interval="5m", limit=7, strategy="demo", indicator=["SMA:30", "MACD:12,26,9"], **span)
    (asked,) = api.service.reports.charts.asked
    assert (asked.interval, asked.limit, asked.strategy) == (ChartInterval.MINUTES_5, 7, "demo")
    assert asked.indicators == ("SMA:30", "MACD:12,26,9")
    assert asked.start is not None
    assert asked.start.isoformat() == "2026-01-05T09:30:00+08:00"


async def test_a_cursor_goes_before_the_beginning(api: Api) -> None:
    cursor = "2026-01-06T01:30:00.000000+00:00"
    await api.get(PATH, cursor=cursor, **{"from": "2026-01-05T01:30:00Z"})
    (asked,) = api.service.reports.charts.asked
    assert asked.start is not None
    assert asked.start.isoformat(timespec="microseconds") == cursor


async def test_what_makes_no_sense_is_refused(api: Api) -> None:
    too_many = ["SMA"] * 21
    for wrong in ({"interval": "7m"}, {"limit": 0}, {"indicator": too_many}, {"from": "2026-01-05"}, {"start": "x"}):
        await api.get(PATH, 422, **wrong)
    await api.get("/charts/rb2501", 422)


async def test_marks_take_the_scope_of_strategies(api: Api) -> None:
    administration = api.service.access.administration
    await administration.add_user("reader", Role.VIEWER, None)
    key, _ = await administration.add_api_key("reader", "k", within=frozenset(Scope), scopes=[Scope.DATA_READ])
    only_data = {"Authorization": f"Bearer {key}"}
    assert (await api.http.get(PATH, headers=only_data)).status_code == 200
    refused = await api.http.get(PATH, params={"strategy": "demo"}, headers=only_data)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_indicators_are_listed_with_ranges(api: Api) -> None:
    listed = {each["name"]: each for each in (await api.get("/charts/indicators"))["indicators"]}
    assert len(listed) > 150
    (period,) = listed["SMA"]["parameters"]
    assert (period["name"], period["type"], period["default"], period["maximum"]) == ("timeperiod", "int", 30, 100_000)
    assert listed["MACD"]["outputs"] == ["macd", "macdsignal", "macdhist"]
    assert listed["BBANDS"]["overlay"]
    assert "MAVP" not in listed  # it takes periods, which no bar has
