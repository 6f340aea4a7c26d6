"""HttpMeter: how many requests each route had, how they were answered, and how long that took."""

import re
import time
from collections import Counter
from collections.abc import Iterable

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from vnpy_core.instruments import Histogram

BOUNDS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
# What is asked for and is no route; its paths may be made up without end, so they have one name.
OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMeter:
    """Counted by method, path as in the OpenAPI document, and status. Loop only."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.seconds: dict[tuple[str, str], Histogram] = {}
        self._plain: set[str] = set()
        # By the number of their segments: a few patterns each, of some eighty.
        self._patterns: dict[int, list[tuple[re.Pattern[str], str]]] = {}
        for path in paths:
            if "{" not in path:
                self._plain.add(path)
            elif all(path != known for _, known in self._patterns.get(path.count("/"), ())):
                self._patterns.setdefault(path.count("/"), []).append((compile_path(path)[0], path))

    def route_of(self, path: str) -> str:
        """Return the path of the route that takes ``path``."""
        if path in self._plain:
            return path
        for pattern, route in self._patterns.get(path.count("/"), ()):
            if pattern.match(path):
                return route
        return OTHER

    def observe(self, method: str, path: str, status: int, took_s: float) -> None:
        if method not in _METHODS:
            method = OTHER
        route = self.route_of(path)
        self.requests[method, route, str(status)] += 1
        seconds = self.seconds.get((method, route))
        if seconds is None:
            seconds = self.seconds[method, route] = Histogram(BOUNDS_S)
        seconds.observe(took_s)


class MeteredRequests:
    """Middleware, outside of all that can answer; ``RequestContext`` notes the status."""

    def __init__(self, app: ASGIApp, meter: HttpMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            status = scope.get("vnpy_core.status", 500)
            self._meter.observe(scope["method"], scope["path"], status, time.perf_counter() - began)
