"""The routes of charts: bars with indicators and a strategy's marks, and what indicators there are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from vnpy_core.data.chart_bars import ChartInterval
from vnpy_core.data.indicators import MAX_INDICATORS, Indicator, IndicatorParameter, IndicatorValues
from vnpy_core.enums import Direction, Offset, Scope
from vnpy_core.errors import Forbidden
from vnpy_core.routers import examples
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, Moment, RequestQuery, StrategyName, VtSymbol
from vnpy_core.routers.service import Service
from vnpy_core.strategies.chart_reports import Chart, ChartBar, ChartTrade, IndicatorPage
from vnpy_core.strategies.charts import MOST_BARS, ChartRequest

_INTERVALS = "1m, 5m, 15m, 30m, 1h, 1d"
EXAMPLE = Chart(
    vt_symbol="rb2501.SHFE", interval=ChartInterval.MINUTES_5,
    bars=[
        ChartBar(
            datetime="2026-01-05T01:30:00.000000+00:00", open_price=3499.0, high_price=3502.0, low_price=3498.0,
            close_price=3500.0, volume=420.0, turnover=1.47e7, open_interest=800_000.0,
        )
    ],
    forming=True, gap=None,
    indicators=[
        IndicatorValues(
            indicator="SMA:30", name="SMA", parameters={"timeperiod": 30}, outputs={"real": [3497.5]}
        ),
        IndicatorValues(indicator="SMAA", code="unknown_indicator", detail="There is no indicator 'SMAA'."),
    ],
    trades=[
        ChartTrade(
            datetime="2026-01-05T01:31:00.123456+00:00", vt_tradeid="SIM.T26010500001", vt_orderid="SIM.26010500001",
            direction=Direction.LONG, offset=Offset.OPEN, price=3500.0, volume=1.0,
        )
    ],
    orders=[examples.ORDER], next_cursor=None,
)  # fmt: skip
INDICATORS = IndicatorPage(
    indicators=[
        Indicator(
            name="SMA", title="Simple Moving Average", group="Overlap Studies", inputs=["close"],
            parameters=[IndicatorParameter(name="timeperiod", type="int", default=30, minimum=1, maximum=100_000)],
            outputs=["real"], overlay=True, settles=False,
        )
    ],
    next_cursor=None,
)  # fmt: skip


class ChartQuery(RequestQuery):
    interval: Annotated[
        ChartInterval, Field(description=f"{_INTERVALS}; days are trading days / 周期，日线按交易日")
    ] = ChartInterval.MINUTE
    from_: Annotated[
        Moment | None, Field(alias="from", description="First moment, with offset / 起始时刻（含时区）")
    ] = None
    to: Annotated[Moment | None, Field(description="Last moment, with offset / 截止时刻（含时区）")] = None
    cursor: Annotated[Moment | None, Field(description="next_cursor of the page before / 上一页的 next_cursor")] = None
    limit: Annotated[int, Field(ge=1, le=MOST_BARS, description="Bars on this page / 本页K线数")] = 500
    strategy: Annotated[
        StrategyName | None, Field(description="Whose fills and orders are marked / 标注该策略的成交与委托")
    ] = None
    indicator: Annotated[
        list[Annotated[str, Field(max_length=128)]] | None,
        Field(
            max_length=MAX_INDICATORS,
            description="NAME, NAME:30 or MACD:12,26,9; may be repeated / TA-Lib 指标，可重复",
            examples=[["SMA:30", "MACD:12,26,9"]],
        ),
    ] = None


def create_chart_router(service: Service) -> APIRouter:
    """Return the routes under ``/charts``."""
    router = APIRouter(prefix="/charts", tags=["charts"])

    @router.get(
        "/indicators",
        operation_id="list_indicators",
        summary="List the indicators / 查询技术指标",
        description=(
            "TA-Lib's functions of bars. A parameter's range is what TA-Lib takes while the others have their defaults."
            " TA-Lib 中可由K线计算的函数；参数范围为其余参数取默认值时 TA-Lib 接受的范围。"
        ),
        responses=answer(INDICATORS, "The indicators / 技术指标"),
        dependencies=NO_QUERY,
    )
    async def list_indicators() -> Response:
        return encoded(IndicatorPage(indicators=await service.reports.charts.catalogue(), next_cursor=None))

    @router.get(
        "/{vt_symbol}",
        operation_id="get_chart",
        summary="Bars with indicators and a strategy's marks / 查询K线图、指标与策略标注",
        description=(
            "The newest `limit` bars, the last one live; with `from`: the first ones from there. Stored bars, those "
            "made of stored minutes or ticks, and live ones are joined, each once. An indicator that cannot be "
            "computed says why in its `code`; the others are there. `strategy` takes the scope strategy:read. "
            "To go on live: subscribe to `bar.MINUTE` and `tick` of the symbol first, then ask, see docs/charts.md. "
            "默认返回最新的 `limit` 根K线（最后一根为实时）；给出 `from` 时从该时刻起。"
            "无法计算的指标在其 `code` 中说明原因。"
        ),
        responses=answer(EXAMPLE, "The chart / 图表", 403, 503),
    )
    async def get_chart(
        request: Request,
        vt_symbol: Annotated[VtSymbol, Path(description="symbol.EXCHANGE", examples=["rb2501.SHFE"])],
        query: Annotated[ChartQuery, Query()],
    ) -> Response:
        if query.strategy is not None and Scope.STRATEGY_READ not in identity_of(request.scope).scopes:
            raise Forbidden(f"Marks of a strategy take the scope {Scope.STRATEGY_READ}.")
        chart = await service.reports.charts.chart(
            ChartRequest(
                vt_symbol=vt_symbol, interval=query.interval, start=query.cursor or query.from_, end=query.to,
                limit=query.limit, strategy=query.strategy, indicators=tuple(query.indicator or ()),
            )
        )  # fmt: skip
        return encoded(chart)

    return router
