"""The routes of a strategy's plan: what the service is to bring it to when it starts, and who said so."""

from typing import Annotated, Self

from fastapi import APIRouter, Path, Response
from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from vnpy_core.enums import StrategyState
from vnpy_core.reports import StrategyPlan
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, Body
from vnpy_core.routers.service import Service

NamePath = Annotated[str, Path(description="Strategy / 策略名", examples=["demo"])]
EXAMPLE = StrategyPlan(
    strategy_name="demo", engine="CtaStrategy", is_active=True, auto_start=True, desired_state=StrategyState.TRADING,
    version=4, updated_by="alice", updated="2026-01-05T01:30:00.000000+00:00",
)  # fmt: skip


class PlanBody(Body):
    """What is to change; what is left out stays as it is."""

    auto_start: Annotated[
        bool | SkipJsonSchema[None],
        Field(description="To trade from the next start of the service on / 下次服务启动起自动交易"),
    ] = None
    is_active: Annotated[
        bool | SkipJsonSchema[None],
        Field(description="False: not loaded, and kept with its variables; must hold nothing / 停用但保留，须无持仓"),
    ] = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"auto_start": True}], "minProperties": 1})

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set or any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("give auto_start, is_active, or both, each true or false")
        return self


def create_strategy_plan_router(service: Service) -> APIRouter:
    """Return the routes ``/strategies/{name}/plan``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])

    @router.get(
        "/{name}/plan",
        operation_id="get_strategy_plan",
        summary="Get what a strategy is brought to at a start / 查询策略的启动计划",
        responses=answer(EXAMPLE, "Its plan, and who changed it last / 启动计划与最后修改人", 404),
        dependencies=NO_QUERY,
    )
    async def get_strategy_plan(name: NamePath) -> Response:
        return encoded(service.strategies.plan(name))

    @router.patch(
        "/{name}/plan",
        operation_id="change_strategy_plan",
        summary="Change what a strategy is brought to at a start / 修改策略的启动计划",
        description="One that is made inactive is let go of at once; it must hold nothing. 停用立即生效，须无持仓。",
        responses=answer(EXAMPLE, "Its plan now / 修改后的启动计划", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def change_strategy_plan(name: NamePath, body: PlanBody) -> Response:
        plan = await service.strategies.change_plan(name, auto_start=body.auto_start, is_active=body.is_active)
        return encoded(plan)

    return router
