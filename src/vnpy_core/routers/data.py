"""The data routes: stored bars and ticks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from vnpy_core.models import Bar, Tick
from vnpy_core.routers import examples
from vnpy_core.routers.answers import BarPage, OverviewPage, TickPage
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, BarQuery, DownloadBody, HistoryQuery, TickBarQuery
from vnpy_core.routers.service import Service

_PAGING = """Oldest first. With `start`: from there on, page by page. Without it: the newest rows, on one page.

按时间升序。给出 `start` 时从该时刻起分页返回；未给出时返回最新的一页。"""


def create_data_router(service: Service) -> APIRouter:
    """Return the routes under ``/data``."""
    router = APIRouter(prefix="/data", tags=["data"])

    @router.get(
        "/bars",
        operation_id="list_bars",
        summary="List stored bars / 查询历史K线",
        description=_PAGING,
        responses=answer(BarPage(bars=[examples.BAR], next_cursor=None), "The bars / K线", 503),
    )
    async def list_bars(query: Annotated[BarQuery, Query()]) -> Response:
        start, limit = _first(query)
        bars = await service.data.bars(query.vt_symbol, query.interval, start, query.end, limit)
        return encoded(BarPage(bars=bars[: query.limit], next_cursor=_next(bars, query.limit)))

    @router.get(
        "/ticks",
        operation_id="list_stored_ticks",
        summary="List stored ticks / 查询历史Tick",
        description=_PAGING,
        responses=answer(TickPage(ticks=[examples.TICK], next_cursor=None), "The ticks / Tick", 503),
    )
    async def list_stored_ticks(query: Annotated[HistoryQuery, Query()]) -> Response:
        start, limit = _first(query)
        ticks = await service.data.ticks(query.vt_symbol, start, query.end, limit)
        return encoded(TickPage(ticks=ticks[: query.limit], next_cursor=_next(ticks, query.limit)))

    @router.get(
        "/ticks/bars",
        operation_id="list_bars_of_ticks",
        summary="Make bars of stored ticks / 由历史Tick合成K线",
        description=(
            f"{_PAGING}\n\nMade by the store at each request, of all ticks of a bar; a minute or an hour without a "
            "priced tick has none. A day's bar follows the sessions, and is not made.\n\n"
            "由存储端按请求即时合成；没有成交价的时段不产生K线，不提供日线。"
        ),
        responses=answer(BarPage(bars=[examples.BAR], next_cursor=None), "The bars / K线", 503),
    )
    async def list_bars_of_ticks(query: Annotated[TickBarQuery, Query()]) -> Response:
        start, limit = _first(query)
        bars = await service.data.bars_from_ticks(query.vt_symbol, query.interval, start, query.end, limit)
        return encoded(BarPage(bars=bars[: query.limit], next_cursor=_next(bars, query.limit)))

    @router.get(
        "/overview",
        operation_id="get_overview",
        summary="What the history store holds / 历史数据概览",
        responses=answer(
            OverviewPage(overview=[examples.OVERVIEW], next_cursor=None), "One line a series / 各数据序列", 503
        ),
        dependencies=NO_QUERY,
    )
    async def get_overview() -> Response:
        return encoded(OverviewPage(overview=await service.data.overview(), next_cursor=None))

    _add_downloads(router, service)
    return router


def _add_downloads(router: APIRouter, service: Service) -> None:
    @router.post(
        "/downloads",
        operation_id="download_bars",
        summary="Download bars and store them / 下载历史K线",
        description=(
            "From the gateway that has the contract if it gives history, else from vn.py's datafeed, as DataManager "
            "does. Answers when they are stored. 404: nobody has such bars. 409: nobody can be asked, the detail says "
            "what to set. 503: whoever can be asked is not connected or has failed. 504: it takes long and goes on. "
            "有历史数据的接口优先，否则使用数据服务（datafeed），下载后入库再返回；504 为耗时较长，仍在后台继续。"
        ),
        responses=answer(examples.DOWNLOAD, "What was stored / 已入库", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def download_bars(body: DownloadBody) -> Response:
        return encoded(
            await service.downloads.download(body.vt_symbol, body.interval, body.start, body.end, body.gateway_name)
        )


def _first(query: HistoryQuery) -> tuple[datetime | None, int]:
    """Return where the page begins, and how many rows to ask for: with a beginning, one more than it has.

    The cursor of a history is the moment of its next row.
    """
    given = [moment for moment in (query.cursor, query.start) if moment is not None]
    return (max(given), query.limit + 1) if given else (None, query.limit)


def _next(rows: Sequence[Bar] | Sequence[Tick], limit: int) -> str | None:
    return rows[limit].datetime if len(rows) > limit else None
