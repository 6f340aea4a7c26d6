"""The system routes: is it alive, is it ready, how is it, and who else is there."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vnpy_core.reports import Liveness, Readiness
from vnpy_core.routers import examples
from vnpy_core.routers.answers import ServicePage, SessionEnded, SessionPage
from vnpy_core.routers.openapi import answer
from vnpy_core.routers.pages import encoded
from vnpy_core.routers.requests import NO_QUERY, ServiceQuery
from vnpy_core.routers.service import Service

_SERVICES = """Those that the registry lists and that have told lately that they are there, all on one page. While the
registry is down: those that it listed last, and `stale` is true.

注册中心列出且心跳有效的服务，全部在一页内返回。注册中心不可用时返回最后一次的结果，且 `stale` 为 true。"""

_SESSIONS = """Who is connected to `/ws`, to what it is subscribed, and whether it keeps up: `lag_ms` is the age of the
oldest event that waits for it. All on one page.

`/ws` 的全部连接、订阅及是否跟得上：`lag_ms` 为最早一条待发送事件的等待时间。全部在一页内返回。"""

SessionPath = Annotated[str, Path(description="Session / 会话", examples=["ws-1"])]


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

    @router.get(
        "/sessions",
        operation_id="list_sessions",
        summary="List the WebSocket sessions / 查询WebSocket会话",
        description=_SESSIONS,
        responses=answer(
            SessionPage(sessions=examples.SYSTEM.sessions, next_cursor=None), "The sessions / 会话列表"
        ),
        dependencies=NO_QUERY,
    )
    async def list_sessions() -> Response:
        return encoded(SessionPage(sessions=service.hub.statuses(), next_cursor=None))

    @router.delete(
        "/sessions/{session_id}",
        operation_id="end_session",
        summary="End a WebSocket session / 结束WebSocket会话",
        description="Its client is closed with code 4000, and may come again. 客户端收到关闭码 4000，可重新连接。",
        responses=answer(examples.SESSION_ENDED, "It is ended / 已结束", 404),
        dependencies=NO_QUERY,
    )
    async def end_session(session_id: SessionPath) -> Response:
        service.hub.end(session_id)
        return encoded(SessionEnded(session_id=session_id))

    @router.get(
        "/services",
        operation_id="list_services",
        summary="List the running services / 查询运行中的服务",
        description=_SERVICES,
        responses=answer(
            ServicePage(
                services=[examples.SERVICE], as_of=examples.SERVICE.last_heartbeat, stale=False, next_cursor=None
            ),
            "The services / 服务列表",
        ),
    )
    async def list_services(query: Annotated[ServiceQuery, Query()]) -> Response:
        registry = service.registry
        found = await (registry.services() if query.name is None else registry.discover(query.name))
        page = ServicePage(services=found.instances, as_of=found.as_of, stale=found.stale, next_cursor=None)
        return encoded(page)

    return router


def create_health_router(service: Service) -> APIRouter:
    """Return the routes under ``/health``, which are outside the versioned API: probes must not depend on it.

    Anybody may ask. Which part is down, and why, is told only to who is known.
    """
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
    async def get_liveness(request: Request) -> Response:
        liveness = service.liveness()
        if request.scope["vnpy_core.identity"] is None:
            liveness = Liveness(alive=liveness.alive, event_thread=liveness.event_thread)
        return encoded(liveness, 200 if liveness.alive else 503)

    @router.get(
        "/ready",
        operation_id="get_readiness",
        summary="Can the service do its work / 就绪检查",
        responses=answer(examples.READINESS, "It can / 就绪")
        | {503: answer(examples.NOT_READY, "Something it needs is down / 依赖不可用", status=503)[503]},
        dependencies=NO_QUERY,
    )
    async def get_readiness(request: Request) -> Response:
        readiness = await service.readiness()
        if request.scope["vnpy_core.identity"] is None:
            readiness = Readiness(ready=readiness.ready, dependencies=[])
        return encoded(readiness, 200 if readiness.ready else 503)

    return router


def create_metrics_router(service: Service) -> APIRouter:
    """Return ``/metrics``. It is no part of the API that OpenAPI describes: its format is that of Prometheus."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def get_metrics(request: Request) -> Response:
        content, content_type = service.metrics.render(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    return router
