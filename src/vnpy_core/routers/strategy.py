"""The strategy routes: classes, and the strategies made of them."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.models import Model, Strategy
from vnpy_core.routers import examples
from vnpy_core.routers.answers import ClassPage, Parameters, Removed, StrategyPage, Variables
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded, json_response, list_page
from vnpy_core.routers.requests import NO_QUERY, ClassQuery, ParametersBody, StrategyBody, StrategyQuery
from vnpy_core.routers.service import Service

NamePath = Annotated[str, Path(description="Strategy / 策略名", examples=["demo"])]
ClassPath = Annotated[str, Path(description="Strategy class / 策略类名", examples=["DoubleMaStrategy"])]


def create_strategy_router(service: Service) -> APIRouter:
    """Return the routes under ``/strategies``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])
    _add_classes(router, service)
    _add_strategies(router, service)
    _add_commands(router, service)
    _add_values(router, service)
    return router


def _add_classes(router: APIRouter, service: Service) -> None:
    @router.get(
        "/classes",
        operation_id="list_strategy_classes",
        summary="List the strategy classes / 查询策略类",
        responses=answer(
            ClassPage(classes=[examples.STRATEGY_CLASS], broken_files={}, next_cursor=None), "Classes / 策略类列表", 404
        ),
    )
    async def list_strategy_classes(query: Annotated[ClassQuery, Query()]) -> Response:
        classes, broken = service.strategies.classes(query.engine), dict(service.strategies.broken_files())
        return json_response(msgspec.json.encode({"classes": classes, "broken_files": broken, "next_cursor": None}))

    @router.get(
        "/classes/{class_name}",
        operation_id="get_strategy_class",
        summary="Get a strategy class with its parameters / 查询策略类参数",
        responses=answer(examples.STRATEGY_CLASS, "Its parameters, with types and defaults / 参数、类型与默认值", 404),
    )
    async def get_strategy_class(class_name: ClassPath, query: Annotated[ClassQuery, Query()]) -> Response:
        return json_response(msgspec.json.encode(service.strategies.class_detail(class_name, query.engine)))


def _add_strategies(router: APIRouter, service: Service) -> None:
    @router.get(
        "",
        operation_id="list_strategies",
        summary="List strategies / 查询策略",
        responses=answer(StrategyPage(strategies=[examples.STRATEGY], next_cursor=None), "The strategies / 策略列表"),
    )
    @router.get("/", include_in_schema=False)
    async def list_strategies(request: Request, query: Annotated[StrategyQuery, Query()]) -> Response:
        table = service.read_model.strategies
        return list_page(request.scope, "strategies", table, _predicate(query), query.cursor, query.limit)

    @router.post(
        "",
        status_code=201,
        operation_id="add_strategy",
        summary="Add a strategy / 添加策略",
        responses=answer(examples.STRATEGY, "It was added / 已添加", 404, 409, 503, 504, status=201),
        dependencies=NO_QUERY,
    )
    @router.post("/", status_code=201, include_in_schema=False, dependencies=NO_QUERY)
    async def add_strategy(body: StrategyBody) -> Response:
        added = await service.strategies.add(
            body.class_name, body.strategy_name, body.symbols, body.setting, body.auto_start, engine=body.engine
        )
        return encoded(added, 201)

    @router.get(
        "/{name}",
        operation_id="get_strategy",
        summary="Get a strategy / 查询单个策略",
        responses=answer(examples.STRATEGY, "Its state / 策略状态", 404),
        dependencies=NO_QUERY,
    )
    async def get_strategy(name: NamePath) -> Response:
        return encoded(service.strategies.get(name))

    @router.delete(
        "/{name}",
        operation_id="remove_strategy",
        summary="Remove a strategy that does not trade / 移除策略",
        responses=answer(examples.REMOVED, "It is gone / 已移除", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def remove_strategy(name: NamePath) -> Response:
        await service.strategies.remove(name)
        return encoded(Removed(strategy_name=name))


def _add_commands(router: APIRouter, service: Service) -> None:
    failed = "409 with `traceback` if it raised. 若回调抛出异常，返回 409 与 `traceback`。"

    @router.post(
        "/{name}/init",
        operation_id="init_strategy",
        summary="Initialise a strategy / 初始化策略",
        description=f"Answers when `on_init` is done. 返回时 `on_init` 已完成。{failed}",
        responses=answer(examples.STRATEGY, "It is initialised / 已初始化", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def init_strategy(name: NamePath) -> Response:
        return encoded(await service.strategies.init(name))

    @router.post(
        "/{name}/start",
        operation_id="start_strategy",
        summary="Start a strategy / 启动策略",
        description=f"Answers when `on_start` is done. 返回时 `on_start` 已完成。{failed}",
        responses=answer(examples.STRATEGY, "It trades / 已启动", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def start_strategy(name: NamePath) -> Response:
        return encoded(await service.strategies.start(name))

    @router.post(
        "/{name}/stop",
        operation_id="stop_strategy",
        summary="Stop a strategy and cancel its orders / 停止策略并撤单",
        responses=answer(examples.STRATEGY, "It is stopped / 已停止", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def stop_strategy(name: NamePath) -> Response:
        return encoded(await service.strategies.stop(name))


def _add_values(router: APIRouter, service: Service) -> None:
    @router.get(
        "/{name}/parameters",
        operation_id="get_strategy_parameters",
        summary="Get a strategy's parameters / 查询策略参数",
        responses=answer(examples.PARAMETERS, "The parameters / 策略参数", 404),
        dependencies=NO_QUERY,
    )
    async def get_strategy_parameters(name: NamePath) -> Response:
        return encoded(Parameters(strategy_name=name, parameters=service.strategies.parameters(name)))

    @router.put(
        "/{name}/parameters",
        operation_id="set_strategy_parameters",
        summary="Change some of a strategy's parameters / 修改策略参数",
        description="Those left out stay as they are. 未给出的参数保持不变。",
        responses=answer(examples.PARAMETERS, "All its parameters now / 修改后的全部参数", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def set_strategy_parameters(name: NamePath, body: ParametersBody) -> Response:
        parameters = await service.strategies.set_parameters(name, body.parameters)
        return encoded(Parameters(strategy_name=name, parameters=parameters))

    @router.get(
        "/{name}/variables",
        operation_id="get_strategy_variables",
        summary="Get a strategy's variables / 查询策略变量",
        responses=answer(examples.VARIABLES, "The variables / 策略变量", 404),
        dependencies=NO_QUERY,
    )
    async def get_strategy_variables(name: NamePath) -> Response:
        return encoded(Variables(strategy_name=name, variables=service.strategies.variables(name)))


def _predicate(query: StrategyQuery) -> Callable[[Model], bool] | None:
    if query.engine is query.state is query.vt_symbol is None:
        return None
    return lambda model: isinstance(model, Strategy) and query.matches(model)
