"""GatewaySchedule with a made-up clock: what it does when, what it says, and what a person's own doing is worth."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.facts import gateway

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.errors import Conflict
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.closed_days import ClosedDays
from vnpy_core.trading.schedule import GatewaySchedule, Hours
from vnpy_core.trading.trading_day import CHINA

CLOSED = ClosedDays()
CLOSED.load()


def settings(**given: Any) -> GatewaySettings:
    return GatewaySettings.model_validate({"class": "x.Y", "schedule": "cn_futures", **given})


def china(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


class Site:
    def __init__(self, now: str, **given: Any) -> None:
        self.time = china(now)
        self.done: list[str] = []
        self.said: list[str | None] = []
        self.is_connected = False
        self.schedule = GatewaySchedule(
            {"CTP": settings(**given), "SIM": settings(schedule=None)}, TradingCalendar(CLOSED), self,
            lambda name, detail: self.said.append(detail), now=lambda: self.time,
        )  # fmt: skip
        self.schedule.begin()
        self.is_connected = self.schedule.is_wanted("CTP") is True  # what the start of the service does

    async def connect(self, name: str) -> GatewayStatus:
        assert name == "CTP"
        self.done.append(f"+{self.time:%d %H:%M}")
        if self.is_connected:
            raise Conflict("it is connected")
        self.is_connected = True
        return gateway(name)

    async def disconnect(self, name: str) -> GatewayStatus:
        assert name == "CTP"
        self.done.append(f"-{self.time:%d %H:%M}")
        self.is_connected = False
        return gateway(name)

    async def until(self, moment: str) -> None:
        while self.time < china(moment):
            await self.schedule.look()
            self.time += timedelta(minutes=1)


async def test_it_connects_before_the_open_and_disconnects_after_the_close() -> None:
    site = Site("2026-01-09T08:00")  # a Friday
    await site.until("2026-01-13T00:00")
    assert site.done == ["+09 08:45", "-09 15:30", "+09 20:45", "-10 02:45", "+12 08:45", "-12 15:30", "+12 20:45"]
    assert site.said[:3] == [
        "disconnected as planned until 2026-01-09 08:45 in China", None,
        "disconnected as planned until 2026-01-09 20:45 in China",
    ]  # fmt: skip


async def test_it_stays_away_over_a_holiday_and_the_evening_before() -> None:
    site = Site("2026-02-13T12:00")
    await site.until("2026-02-25T00:00")
    assert site.done == ["-13 15:30", "+24 08:45", "-24 15:30", "+24 20:45"]
    assert site.said[1] == "disconnected as planned until 2026-02-24 08:45 in China"


async def test_shares_have_no_night_and_the_margins_are_settings() -> None:
    site = Site("2026-01-09T08:00", schedule="cn_equities", connect_before_min=5, disconnect_after_min=30)
    await site.until("2026-01-12T12:00")
    assert site.done == ["+09 09:10", "-09 15:30", "+12 09:10"]


async def test_what_a_person_does_holds_until_the_next_event() -> None:
    site = Site("2026-01-09T12:00")
    await site.until("2026-01-09T13:00")
    await site.disconnect("CTP")
    await site.until("2026-01-09T17:00")
    assert site.done == ["-09 13:00", "-09 15:30"]
    await site.connect("CTP")
    await site.until("2026-01-10T04:00")
    assert site.done[2:] == ["+09 17:00", "+09 20:45", "-10 02:45"]  # that it was connected is no error


async def test_hours_that_the_clock_jumps_over_are_made_up_for() -> None:
    site = Site("2026-01-09T14:00")
    site.time = china("2026-01-10T12:00")
    await site.schedule.look()
    assert site.done == ["-10 12:00"]


def test_what_has_no_schedule_is_left_alone() -> None:
    site = Site("2026-01-09T14:00")
    assert site.schedule.is_wanted("SIM") is None
    assert site.schedule.is_wanted("CTP") is True


class Guessed:
    def __contains__(self, day: object) -> bool:
        return True

    def is_estimated(self, year: int) -> bool:
        return True


@pytest.mark.parametrize(("moment", "wanted"), [("2026-01-09T10:00", True), ("2026-01-10T10:00", False)])
def test_it_is_connected_on_days_that_may_turn_out_to_be_trading_days(moment: str, wanted: bool) -> None:
    assert Hours(settings(), TradingCalendar(Guessed())).is_wanted(china(moment)) is wanted
