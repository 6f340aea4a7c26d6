"""The web application: routes, errors, documentation and ``/ws`` over one service, which somebody else starts."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from vnpy_core import __version__
from vnpy_core.errors import CoreError
from vnpy_core.monitoring.metrics import http_metrics
from vnpy_core.monitoring.tracing import TracedRequests
from vnpy_core.routers.alerts import create_alert_router
from vnpy_core.routers.algo import create_algo_router
from vnpy_core.routers.auth import create_auth_router
from vnpy_core.routers.calendar import create_calendar_router
from vnpy_core.routers.chart import create_chart_router
from vnpy_core.routers.data import create_data_router
from vnpy_core.routers.documentation import create_documentation_router, vendor_mount
from vnpy_core.routers.gate import AccessGate
from vnpy_core.routers.gateway_settings import create_gateway_settings_router
from vnpy_core.routers.http_meter import HttpMeter
from vnpy_core.routers.login_page import create_login_router
from vnpy_core.routers.openapi import DESCRIPTION, TAGS, document
from vnpy_core.routers.order_shortcut import OrderShortcut
from vnpy_core.routers.pages import PageCache
from vnpy_core.routers.performance import create_performance_router
from vnpy_core.routers.problems import AllowedMethods, LastResort, ProblemHandler, RequestContext
from vnpy_core.routers.reconciliation import create_reconciliation_router
from vnpy_core.routers.risk import create_risk_router
from vnpy_core.routers.rules import API_PREFIX
from vnpy_core.routers.service import Service
from vnpy_core.routers.strategy import create_strategy_router
from vnpy_core.routers.strategy_desk import create_strategy_desk_router
from vnpy_core.routers.strategy_files import create_strategy_files_router
from vnpy_core.routers.strategy_log import create_strategy_log_router
from vnpy_core.routers.strategy_plan import create_strategy_plan_router
from vnpy_core.routers.strategy_reload import create_strategy_reload_router
from vnpy_core.routers.system import create_health_router, create_metrics_router, create_system_router
from vnpy_core.routers.trading import create_trading_router
from vnpy_core.routers.websocket import WebSocketEndpoint

MAX_BODY_BYTES = 1 << 20


class Application(FastAPI):
    """Ours stand before the framework's own middleware, which took 18 µs of each request, whoever answers it."""

    allowed: AllowedMethods
    entrance: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.entrance(scope, receive, send)

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        return document(self)


def create_app(service: Service) -> Application:
    """Return the application; ``service`` must know who may come in, and be started by when requests come."""
    app = Application(
        title="VnPy Core",
        version=__version__,
        summary="vn.py as a service / vn.py 服务化",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        default_response_class=Response,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (
        create_trading_router(service),
        create_reconciliation_router(service),
        create_gateway_settings_router(service),
        create_calendar_router(service),
        create_performance_router(service),
        create_strategy_log_router(service),
        create_strategy_router(service),
        create_strategy_reload_router(service),
        create_strategy_files_router(service),
        create_strategy_desk_router(service),
        create_strategy_plan_router(service),
        create_risk_router(service),
        create_algo_router(service),
        create_data_router(service),
        create_chart_router(service),
        create_alert_router(service),
        create_system_router(service),
        create_auth_router(service),
    ):
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(create_health_router(service))
    app.include_router(create_metrics_router(service))
    app.include_router(create_documentation_router())
    app.include_router(create_login_router())
    app.router.routes.append(vendor_mount())
    app.router.routes.append(WebSocketRoute("/ws", WebSocketEndpoint(service), name="websocket"))

    app.allowed = AllowedMethods()
    paths = []
    for route in iter_route_contexts(app.routes):
        if route.path is not None and route.methods:
            app.allowed.add(route.path, route.methods)
            paths.append(route.path)
    meter = HttpMeter(paths)
    service.metrics.add("http", lambda: http_metrics(meter.requests, meter.seconds))
    problems = ProblemHandler(app.allowed)
    for kind in (CoreError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, problems)
    app.add_middleware(LastResort)
    entrance: ASGIApp = OrderShortcut(app.framework, service, f"{API_PREFIX}/trading/orders")
    entrance = AccessGate(PageCache(entrance), service.access, app.allowed)
    if service.tracing is not None:
        entrance = TracedRequests(entrance, service.tracing, meter.route_of, API_PREFIX)
    app.entrance = RequestContext(entrance, MAX_BODY_BYTES, meter)
    return app
