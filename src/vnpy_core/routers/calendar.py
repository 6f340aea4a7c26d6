"""The route of the trading calendar: when a contract trades, and what counts for which day."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from vnpy_core.enums import Exchange
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import RequestQuery, VtSymbol
from vnpy_core.routers.service import Service
from vnpy_core.trading.calendar import FIRST_DAY, LAST_DAY
from vnpy_core.trading.calendar_day import CalendarDay, SessionHours


def _day(text: object) -> date:
    """Parse YYYY-MM-DD and no other form of ISO 8601."""
    day = datetime.strptime(str(text), "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not a moment
    if day.isoformat() != text:
        raise ValueError("must be YYYY-MM-DD")
    return day


def _in_range(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"must be from {FIRST_DAY} to {LAST_DAY}")
    return day


AnyDay = Annotated[
    date,
    BeforeValidator(_day),
    AfterValidator(_in_range),
    WithJsonSchema({"type": "string", "format": "date", "pattern": r"^(199[2-9]|20\d\d)-\d\d-\d\d$"}),
]


class CalendarQuery(RequestQuery):
    vt_symbol: VtSymbol
    date: Annotated[
        AnyDay | None,
        Field(description="Default: the trading day of now / 默认当前交易日", examples=["2026-02-24"]),
    ] = None


EXAMPLE = CalendarDay(
    vt_symbol="au2606.SHFE",
    date="2026-01-05",
    is_trading_day=True,
    estimated=False,
    sessions=[
        SessionHours(kind="day", begin="2026-01-05T01:00:00.000000+00:00", end="2026-01-05T02:15:00.000000+00:00"),
        SessionHours(kind="day", begin="2026-01-05T02:30:00.000000+00:00", end="2026-01-05T03:30:00.000000+00:00"),
        SessionHours(kind="day", begin="2026-01-05T05:30:00.000000+00:00", end="2026-01-05T07:00:00.000000+00:00"),
    ],
    is_open=True,
    trading_day="2026-01-05",
    next_open="2026-01-05T02:30:00.000000+00:00",
    next_close="2026-01-05T02:15:00.000000+00:00",
)


def create_calendar_router(service: Service) -> APIRouter:
    """Return the route of the calendar, under ``/trading``."""
    router = APIRouter(prefix="/trading", tags=["trading"])

    @router.get(
        "/calendar",
        operation_id="get_calendar_day",
        summary="Tell when a contract trades / 查询交易日历",
        description=(
            "The sessions of the Chinese exchanges with their nights and holidays: a night belongs to the next trading "
            "day, and there is none before a holiday. Holidays of years that are not published yet are estimates: "
            "`estimated`. Exchanges that are not known have null. The simulated exchange trades in the session of its "
            "own setting, whatever this says. 国内交易所的日盘与夜盘时段（含节假日）：夜盘归属下一交易日，节前无夜盘；"
            "尚未公布年份的节假日为推算（`estimated`）；未知交易所返回 null。模拟交易所以其自身 session 设置为准。"
        ),
        responses=answer(EXAMPLE, "The day / 交易日"),
    )
    async def get_calendar_day(query: Annotated[CalendarQuery, Query()]) -> Response:
        symbol, _, exchange = query.vt_symbol.rpartition(".")
        return encoded(await service.life.calendar_day(symbol, Exchange(exchange), query.date))

    return router
