"""The algo routes: templates, and the algorithms started from them."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.models import AlgoSpec
from vnpy_core.routers import risk_examples as examples
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded, json_response, list_page
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.risk_answers import AlgosStopped
from vnpy_core.routers.risk_requests import AlgoBody, AlgoQuery
from vnpy_core.routers.service import Service

NamePath = Annotated[str, Path(description="Algo / 算法名", examples=["TwapAlgo_1"])]


def create_algo_router(service: Service) -> APIRouter:
    """Return the routes under ``/algos``."""
    router = APIRouter(prefix="/algos", tags=["algos"])

    @router.get(
        "/templates",
        operation_id="list_algo_templates",
        summary="List the algorithms with their parameters / 查询算法模板",
        responses=answer(examples.TEMPLATES, "The templates / 算法模板"),
        dependencies=NO_QUERY,
    )
    async def list_algo_templates() -> Response:
        return json_response(msgspec.json.encode({"templates": service.algos.templates(), "next_cursor": None}))

    @router.get(
        "",
        operation_id="list_algos",
        summary="List the algos with their progress / 查询算法",
        description=(
            "Also those that have ended. One that ran when the service ended is STOPPED, and `error` says why. "
            "包含已结束的算法；服务结束时仍在运行的算法为 STOPPED，原因见 `error`。"
        ),
        responses=answer(examples.ALGOS, "The algos / 算法列表"),
    )
    async def list_algos(request: Request, query: Annotated[AlgoQuery, Query()]) -> Response:
        return list_page(request.scope, "algos", service.read_model.algos, query.predicate(), query.cursor, query.limit)

    @router.post(
        "",
        status_code=201,
        operation_id="start_algo",
        summary="Start an algo / 启动算法",
        description="Its orders pass risk control like any others. 其委托与其他委托一样经过风控。",
        responses=answer(examples.ALGO, "It runs / 已启动", 404, 409, 503, 504, status=201),
        dependencies=NO_QUERY,
    )
    async def start_algo(body: AlgoBody) -> Response:
        return encoded(await service.algos.start(AlgoSpec(**body.model_dump())), 201)

    @router.post(
        "/stop-all",
        operation_id="stop_all_algos",
        summary="Stop all algos / 停止全部算法",
        responses=answer(AlgosStopped(stopped=["TwapAlgo_1"]), "Those that ran / 已停止的算法", 503, 504),
        dependencies=NO_QUERY,
    )
    async def stop_all_algos() -> Response:
        return encoded(AlgosStopped(stopped=await service.algos.stop_all()))

    @router.get(
        "/{name}",
        operation_id="get_algo",
        summary="Get an algo / 查询单个算法",
        responses=answer(examples.ALGO, "Its progress / 算法进度", 404),
        dependencies=NO_QUERY,
    )
    async def get_algo(name: NamePath) -> Response:
        return encoded(service.algos.get(name))

    @router.post(
        "/{name}/pause",
        operation_id="pause_algo",
        summary="Pause an algo / 暂停算法",
        description="It sends nothing more; its orders go on working. 不再发出委托，已有委托继续有效。",
        responses=answer(examples.ALGO, "It is paused / 已暂停", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def pause_algo(name: NamePath) -> Response:
        return encoded(await service.algos.pause(name))

    @router.post(
        "/{name}/resume",
        operation_id="resume_algo",
        summary="Let a paused algo go on / 恢复算法",
        responses=answer(examples.ALGO, "It runs / 已恢复", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def resume_algo(name: NamePath) -> Response:
        return encoded(await service.algos.resume(name))

    @router.post(
        "/{name}/stop",
        operation_id="stop_algo",
        summary="Stop an algo and cancel its orders / 停止算法并撤单",
        description="What is filled before its orders are cancelled still counts. 撤单完成前的成交仍会计入。",
        responses=answer(examples.ALGO, "It is stopped / 已停止", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def stop_algo(name: NamePath) -> Response:
        return encoded(await service.algos.stop(name))

    return router
