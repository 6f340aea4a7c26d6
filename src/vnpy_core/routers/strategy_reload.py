"""The routes by which strategies go on with the code that is in their file now."""

from fastapi import APIRouter, Response

from vnpy_core.routers import examples
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy import ClassPath, NamePath
from vnpy_core.strategy_files import ClassReload, ReloadFailure

EXAMPLE = ClassReload(
    class_name="Breakout", module="strategies.breakout", reloaded=["demo"],
    failed=[
        ReloadFailure(
            strategy_name="demo2", code="strategy_failed", detail="Strategy 'demo2': … raised ValueError: window",
            traceback="Traceback …",
        )
    ],
)  # fmt: skip


def create_strategy_reload_router(service: Service) -> APIRouter:
    """Return the routes, which are under ``/strategies``."""
    router = APIRouter(prefix="/strategies", tags=["strategies"])

    @router.post(
        "/{name}/reload",
        operation_id="reload_strategy",
        summary="Go on with the strategy's file as it is now / 热重载策略",
        description=(
            "The file is imported anew and a new instance initialised while the old one trades on; then it takes over "
            "variables, orders and stop orders. If anything raises, 409 with `traceback`, and nothing has changed. "
            "重新导入策略文件并初始化新实例，期间原实例继续交易；随后由新实例接管变量、委托与停止单。"
            "出错则返回 409 与 `traceback`，一切不变。"
        ),
        responses=answer(examples.STRATEGY, "It goes on with the new version / 已切换到新版本", 404, 409, 503, 504),
        dependencies=NO_QUERY,
    )
    async def reload_strategy(name: NamePath) -> Response:
        return encoded(await service.strategy_reload.strategy(name))

    @router.post(
        "/classes/{class_name}/reload",
        operation_id="reload_strategy_class",
        summary="Load a class's file as it is now, for all its strategies / 重新加载策略类",
        description=(
            "Each strategy of it goes on with the new version or, if that fails for it, as before: see `failed`. "
            "A class of a file that is new in the user's folder is loaded. "
            "该类的每个策略切换到新版本；失败者保持原状，见 `failed`。也可加载用户目录中的新文件。"
        ),
        responses=answer(EXAMPLE, "What became of each / 各策略结果", 404, 409, 503),
        dependencies=NO_QUERY,
    )
    async def reload_strategy_class(class_name: ClassPath) -> Response:
        return encoded(await service.strategy_reload.of_class(class_name))

    return router
