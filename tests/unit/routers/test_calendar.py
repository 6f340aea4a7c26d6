"""The route of the calendar; the calendar itself has its own tests."""

import pytest
from tests.unit.routers.memory_service import Api


async def test_a_day_with_its_sessions(api: Api) -> None:
    told = await api.get("/trading/calendar", vt_symbol="au2606.SHFE", date="2026-01-12")
    assert told["date"] == "2026-01-12"
    assert told["is_trading_day"] is True
    assert told["estimated"] is False
    assert [each["kind"] for each in told["sessions"]] == ["night", "day", "day", "day"]
    assert told["sessions"][0]["begin"] == "2026-01-09T13:00:00.000000+00:00"
    assert told["sessions"][0]["end"] == "2026-01-09T18:30:00.000000+00:00"


async def test_without_a_date_it_is_the_present_trading_day(api: Api) -> None:
    told = await api.get("/trading/calendar", vt_symbol="au2606.SHFE")
    assert told["date"] == told["trading_day"] == "2026-01-05"
    assert told["is_open"] is True
    assert told["next_close"] == "2026-01-05T02:15:00.000000+00:00"


async def test_what_is_not_known_is_null(api: Api) -> None:
    told = await api.get("/trading/calendar", vt_symbol="ES.CME")
    assert {told[name] for name in ("date", "is_trading_day", "sessions", "is_open", "trading_day")} == {None}
    assert (await api.get("/trading/calendar", vt_symbol="ES.CME", date="2026-01-05"))["date"] == "2026-01-05"


@pytest.mark.parametrize("day", ["2026-02-30", "20260105", "0001-01-01", "2026-01-05T00:00:00", ""])
async def test_what_is_no_day_is_refused(api: Api, day: str) -> None:
    await api.get("/trading/calendar", expect=422, vt_symbol="au2606.SHFE", date=day)
