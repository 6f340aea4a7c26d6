"""The routes of strategies' performance: of one, and of several as a portfolio."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from vnpy_core.errors import NotFound
from vnpy_core.routers import performance_examples as examples
from vnpy_core.routers.calendar import AnyDay
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import RequestQuery, StrategyName
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy import NamePath
from vnpy_core.strategies.performance import Page, Span

_SPAN = """From recorded fills, valued at the last prices, by trading day. `from` and `to` are days, both inside;
returns and drawdowns are of `capital` (default: `performance.capital`), taken as the balance before `from`. How each
number is computed: docs/performance-of-strategies.md. 503 `performance_restoring`: the recorded fills are still being
read, after a start.

由已记录的成交计算，按最新价估值，按交易日统计；`from` 与 `to` 为交易日（含两端），收益与回撤以 `capital` 为期初资金。
启动后正在读取历史成交时返回 503。"""


class SpanQuery(RequestQuery):
    from_: Annotated[
        AnyDay | None, Field(alias="from", description="First trading day / 起始交易日", examples=["2026-01-05"])
    ] = None
    to: Annotated[AnyDay | None, Field(description="Last trading day / 截止交易日", examples=["2026-01-09"])] = None
    capital: Annotated[
        float | None,
        Field(gt=0, le=1e15, allow_inf_nan=False, description="Balance before the first day / 期初资金"),
    ] = None

    @property
    def span(self) -> Span:
        return Span(
            start=self.from_.isoformat() if self.from_ else None,
            end=self.to.isoformat() if self.to else None,
            capital=self.capital,
        )


class SpanPageQuery(SpanQuery):
    cursor: Annotated[
        AnyDay | None, Field(description="next_cursor of the page before / 上一页的 next_cursor")
    ] = None
    limit: Annotated[int, Field(ge=1, le=10_000, description="Days on this page / 本页天数")] = 1000

    @property
    def page(self) -> Page:
        return Page(after=self.cursor.isoformat() if self.cursor else None, limit=self.limit)


_Names = Annotated[
    list[StrategyName] | None,
    Field(max_length=1000, description="Of these, may be repeated; default: of all / 可重复；默认全部策略"),
]


class PortfolioQuery(SpanQuery):
    strategy: _Names = None


class PortfolioPageQuery(SpanPageQuery):
    strategy: _Names = None


def create_performance_router(service: Service) -> APIRouter:
    """Return the routes; to be included before those of ``/strategies/{name}``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])
    _add_portfolio(router, service)
    _add_single(router, service)
    return router


def _documented(summary: str, example: Any, what: str) -> dict[str, Any]:
    return {"summary": summary, "description": _SPAN, "responses": answer(example, what, 404, 503)}


def _add_portfolio(router: APIRouter, service: Service) -> None:
    @router.get(
        "/performance",
        operation_id="get_portfolio_performance",
        **_documented(
            "Performance of strategies as a portfolio / 策略组合绩效", examples.PERFORMANCE, "How they do / 组合绩效"
        ),
    )
    async def get_portfolio_performance(query: Annotated[PortfolioQuery, Query()]) -> Response:
        return encoded(await service.reports.performance.report(_named(service, query.strategy), query.span))

    @router.get(
        "/performance/daily",
        operation_id="list_portfolio_days",
        **_documented("Daily results of a portfolio / 策略组合逐日盈亏", examples.DAILY, "A row a day / 每日一行"),
    )
    async def list_portfolio_days(query: Annotated[PortfolioPageQuery, Query()]) -> Response:
        return encoded(await service.reports.performance.daily(_named(service, query.strategy), query.span, query.page))

    @router.get(
        "/performance/equity",
        operation_id="list_portfolio_equity",
        **_documented("Equity curve of a portfolio / 策略组合资金曲线", examples.EQUITY, "A point a day / 每日一点"),
    )
    async def list_portfolio_equity(query: Annotated[PortfolioPageQuery, Query()]) -> Response:
        names = _named(service, query.strategy)
        return encoded(await service.reports.performance.equity(names, query.span, query.page))


def _add_single(router: APIRouter, service: Service) -> None:
    @router.get(
        "/{name}/performance",
        operation_id="get_strategy_performance",
        **_documented("Performance of a strategy / 策略绩效", examples.PERFORMANCE, "How it does / 策略绩效"),
    )
    async def get_strategy_performance(name: NamePath, query: Annotated[SpanQuery, Query()]) -> Response:
        return encoded(await service.reports.performance.report(_named(service, [name]), query.span))

    @router.get(
        "/{name}/performance/daily",
        operation_id="list_strategy_days",
        **_documented("Daily results of a strategy / 策略逐日盈亏", examples.DAILY, "A row a day / 每日一行"),
    )
    async def list_strategy_days(name: NamePath, query: Annotated[SpanPageQuery, Query()]) -> Response:
        return encoded(await service.reports.performance.daily(_named(service, [name]), query.span, query.page))

    @router.get(
        "/{name}/performance/equity",
        operation_id="list_strategy_equity",
        **_documented("Equity curve of a strategy / 策略资金曲线", examples.EQUITY, "A point a day / 每日一点"),
    )
    async def list_strategy_equity(name: NamePath, query: Annotated[SpanPageQuery, Query()]) -> Response:
        return encoded(await service.reports.performance.equity(_named(service, [name]), query.span, query.page))


def _named(service: Service, names: list[str] | None) -> list[str]:
    """Return the strategies that are meant: those that are there or have traded; by default all of them.

    Raises:
        NotFound: one is not there, and never has traded.
    """
    there = {strategy.strategy_name for strategy in service.strategies.list()}
    if names is None:
        return sorted(there.union(service.reports.performance.names()))
    for name in names:
        if name not in there and not service.reports.performance.has_traded(name):
            raise NotFound(f"There is no strategy {name!r}.")
    return list(dict.fromkeys(names))
