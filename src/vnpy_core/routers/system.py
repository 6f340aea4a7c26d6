"""The system routes: is it alive, is it ready, and how is it."""

from fastapi import APIRouter, Response

from vnpy_core.routers import examples
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY
from vnpy_core.routers.service import Service


def create_system_router(service: Service) -> APIRouter:
    """Return the routes under ``/system``."""
    router = APIRouter(prefix="/system", tags=["system"])

    @router.get(
        "/status",
        operation_id="get_system_status",
        summary="Everything an operator looks at first / 系统状态",
        responses=answer(examples.SYSTEM, "The state of every part / 各部分状态", 503),
        dependencies=NO_QUERY,
    )
    async def get_system_status() -> Response:
        return encoded(await service.status())

    return router


def create_health_router(service: Service) -> APIRouter:
    """Return the routes under ``/health``, which are outside the versioned API: probes must not depend on it."""
    router = APIRouter(prefix="/health", tags=["system"])
    not_alive = examples.LIVENESS.__class__(alive=False, event_thread=False, detail="The event thread is dead.")

    @router.get(
        "/live",
        operation_id="get_liveness",
        summary="Does the service make progress / 存活检查",
        responses=answer(examples.LIVENESS, "It does / 正常")
        | {503: answer(not_alive, "It does not: restart it / 异常，应重启", status=503)[503]},
        dependencies=NO_QUERY,
    )
    async def get_liveness() -> Response:
        liveness = service.liveness()
        return encoded(liveness, 200 if liveness.alive else 503)

    @router.get(
        "/ready",
        operation_id="get_readiness",
        summary="Can the service do its work / 就绪检查",
        responses=answer(examples.READINESS, "It can / 就绪")
        | {503: answer(examples.NOT_READY, "Something it needs is down / 依赖不可用", status=503)[503]},
        dependencies=NO_QUERY,
    )
    async def get_readiness() -> Response:
        readiness = await service.readiness()
        return encoded(readiness, 200 if readiness.ready else 503)

    return router
