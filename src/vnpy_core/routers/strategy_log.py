"""The route of a strategy's log."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from vnpy_core.errors import NotFound
from vnpy_core.models import to_timestamp
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import Moment, RequestQuery
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy import NamePath
from vnpy_core.strategy_log import LogLine, LogPage

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EXAMPLE = LogPage(
    log=[
        LogLine(
            log_id="0641a2b3c4d5e60000000001", strategy_name="demo", level="INFO", message="crossed over, bought 1",
            source="CtaStrategy", datetime="2026-01-05T01:30:00.123456+00:00",
        )
    ],
    next_cursor="0641a2b3c4d5e60000000001",
)  # fmt: skip


class LogQuery(RequestQuery):
    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None,
        Field(description="Lines of this level and above; default: of any / 该级别及以上，默认全部"),
    ] = None
    from_: Annotated[
        Moment | None, Field(alias="from", description="First moment, with offset / 起始时刻（含时区）")
    ] = None
    to: Annotated[Moment | None, Field(description="Last moment, with offset / 截止时刻（含时区）")] = None
    cursor: Annotated[
        str | None,
        Field(pattern=r"^[0-9a-f]{24}$", description="next_cursor of the page before / 上一页的 next_cursor"),
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Lines on this page / 本页行数")] = 100


def create_strategy_log_router(service: Service) -> APIRouter:
    """Return the route under ``/strategies/{name}``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])

    @router.get(
        "/{name}/log",
        operation_id="list_strategy_log",
        summary="Read a strategy's log / 查询策略日志",
        description=(
            "The newest first, also of a strategy that is gone. Live: subscribe to `strategy.log.<name>` on `/ws`. "
            "最新的在前，已移除的策略也可查询；实时日志请在 `/ws` 订阅 `strategy.log.<策略名>`。"
        ),
        responses=answer(EXAMPLE, "The lines / 日志", 404, 503),
    )
    async def list_strategy_log(name: NamePath, query: Annotated[LogQuery, Query()]) -> Response:
        lines = await service.reports.logs.page(
            name,
            levels=None if query.level is None else _LEVELS[_LEVELS.index(query.level) :],
            start=to_timestamp(query.from_) if query.from_ else None,
            end=to_timestamp(query.to) if query.to else None,
            before=query.cursor,
            limit=query.limit + 1,
        )
        if not lines and all(strategy.strategy_name != name for strategy in service.strategies.list()):
            raise NotFound(f"There is no strategy {name!r}, and no line of its log.")
        more = len(lines) > query.limit
        page = lines[: query.limit]
        return encoded(LogPage(log=page, next_cursor=page[-1].log_id if more else None))

    return router
