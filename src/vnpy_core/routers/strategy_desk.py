"""The routes of what is done with a strategy beside running it: pause, reset, clone, saved states, errors, position."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from vnpy_core.routers import examples
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, Body, JsonObject, Page, StrategyName, VtSymbol
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy import NamePath
from vnpy_core.routers.strategy_answers import ERRORS, POSITION, SAVED_STATES, SavedStatePage, StrategyErrorPage

PAUSED = msgspec.structs.replace(examples.STRATEGY, paused=True)


class HistoryPage(Page):
    limit: Annotated[int, Field(ge=1, le=1000, description="Rows on this page / 本页行数")] = 100
    cursor: Annotated[
        str | None,
        Field(
            pattern=r"^variables-[0-9a-f]{1,15}$",
            description="next_cursor of the page before / 上一页的 next_cursor",
            examples=["variables-19b8c3f2a01"],
        ),
    ] = None


class ResetBody(Body):
    """What becomes of the position."""

    zero_pos: Annotated[
        bool, Field(description="Begin with pos 0; else its pos is kept / 持仓归零；否则保留持仓")
    ] = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"zero_pos": False}]})


class CloneBody(Body):
    """The new strategy; what is left out is as in the one that it is made from."""

    strategy_name: StrategyName
    vt_symbols: Annotated[
        list[VtSymbol] | None, Field(min_length=1, max_length=1000, description="Its symbols / 合约")
    ] = None
    setting: Annotated[JsonObject, Field(description="Parameters that differ / 不同的参数")] = Field(
        default_factory=dict
    )
    auto_start: Annotated[
        bool, Field(description="Initialise and start it whenever the service starts / 服务启动时自动初始化并启动")
    ] = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"strategy_name": "demo-2", "vt_symbols": ["rb2505.SHFE"]}]}
    )


class AcceptBody(Body):
    """Which of the two is right."""

    keep: Annotated[
        Literal["pos", "trades"],
        Field(description="`pos`: the strategy's; `trades`: what its recorded trades say / 以策略持仓或成交记录为准"),
    ]

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep": "trades"}]})


def create_strategy_desk_router(service: Service) -> APIRouter:
    """Return further routes under ``/strategies``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])
    _add_commands(router, service)
    _add_reports(router, service)
    _add_position(router, service)
    return router


def _add_commands(router: APIRouter, service: Service) -> None:
    @router.post(
        "/{name}/pause",
        operation_id="pause_strategy",
        summary="Pause opening: only orders that reduce its position pass / 暂停开仓，仅允许减仓",
        description=(
            "It goes on running. Its working orders and stop orders that would open are cancelled, and new ones not "
            "sent; it stays so over a restart. 策略继续运行；会开仓的挂单与停止单被撤销，"
            "新的开仓委托不再发出；重启后仍有效。"
        ),
        responses=answer(PAUSED, "It is paused / 已暂停开仓", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def pause_strategy(name: NamePath) -> Response:
        return encoded(await service.strategy_desk.pause(name))

    @router.post(
        "/{name}/resume",
        operation_id="resume_strategy",
        summary="Let all orders of a paused strategy pass again / 恢复开仓",
        responses=answer(examples.STRATEGY, "It is not paused / 已恢复", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def resume_strategy(name: NamePath) -> Response:
        return encoded(await service.strategy_desk.resume(name))

    @router.post(
        "/{name}/reset",
        operation_id="reset_strategy",
        summary="Reset a strategy's variables / 重置策略变量",
        description=(
            "It is made anew with its setting, and has to be initialised again. Its position is kept, unless "
            "`zero_pos`. 以现有参数重新创建，需再次初始化；除非 `zero_pos`，持仓保留。"
        ),
        responses=answer(examples.STRATEGY, "It is as if just added / 已重置", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def reset_strategy(name: NamePath, body: ResetBody) -> Response:
        return encoded(await service.strategy_desk.reset(name, zero_pos=body.zero_pos))

    @router.post(
        "/{name}/clone",
        status_code=201,
        operation_id="clone_strategy",
        summary="Add another strategy of the same class and setting / 克隆策略",
        responses=answer(examples.STRATEGY, "It was added / 已添加", 404, 409, 503, 504, status=201),
        dependencies=NO_QUERY,
    )
    async def clone_strategy(name: NamePath, body: CloneBody) -> Response:
        cloned = await service.strategy_desk.clone(
            name, body.strategy_name, body.vt_symbols, body.setting, body.auto_start
        )
        return encoded(cloned, 201)


def _add_reports(router: APIRouter, service: Service) -> None:
    @router.get(
        "/{name}/variables/history",
        operation_id="list_strategy_variables_history",
        summary="List what a strategy's variables were saved as / 查询策略变量的保存历史",
        description="The newest first, a moment after they were saved. 最新在前，保存后片刻可查。",
        responses=answer(SAVED_STATES, "The saved states / 保存历史", 404, 503),
    )
    async def list_strategy_variables_history(name: NamePath, query: Annotated[HistoryPage, Query()]) -> Response:
        history, next_cursor = await service.strategy_desk.history(name, query.cursor, query.limit)
        return encoded(SavedStatePage(history=history, next_cursor=next_cursor))

    @router.get(
        "/{name}/errors",
        operation_id="list_strategy_errors",
        summary="List what went wrong with a strategy / 查询策略错误",
        description=(
            "Each failure of its code with the traceback, and each callback that held the event thread for too long "
            "with the place where it was. 策略代码异常及其堆栈；回调耗时过长时所在位置。"
        ),
        responses=answer(ERRORS, "The errors / 错误列表", 404),
        dependencies=NO_QUERY,
    )
    async def list_strategy_errors(name: NamePath) -> Response:
        return encoded(StrategyErrorPage(errors=service.strategy_desk.errors(name), next_cursor=None))


def _add_position(router: APIRouter, service: Service) -> None:
    @router.get(
        "/{name}/position",
        operation_id="get_strategy_position",
        summary="Compare a strategy's pos with its recorded trades / 核对策略持仓与成交记录",
        description=(
            "Also done when the service starts: one that differs is not started, and the alert "
            "`strategy.position.<name>` is raised. 服务启动时也会核对；不一致的策略不启动并告警。"
        ),
        responses=answer(POSITION, "How it stands / 核对结果", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def get_strategy_position(name: NamePath) -> Response:
        return encoded(await service.strategy_desk.position(name))

    @router.post(
        "/{name}/position/accept",
        operation_id="accept_strategy_position",
        summary="Say which is right, its pos or its recorded trades / 确认策略持仓",
        description=(
            "A strategy that was not started because of it is brought up then. `trades` corrects its pos, and takes "
            "that it does not trade. 因此未启动的策略随后启动；`trades` 会修正持仓，须先停止策略。"
        ),
        responses=answer(
            msgspec.structs.replace(POSITION, state="AGREES", pos=2.0, difference=0.0, set_by="ann"),
            "How it stands now / 当前结果", 404, 409, 503, 504,
        ),
        dependencies=NO_QUERY,
    )  # fmt: skip
    async def accept_strategy_position(request: Request, name: NamePath, body: AcceptBody) -> Response:
        by = identity_of(request.scope).username
        return encoded(await service.strategy_desk.accept_position(name, body.keep, by=by))
