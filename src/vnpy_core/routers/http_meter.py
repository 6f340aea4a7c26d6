"""HttpMeter: how many requests each route had, how they were answered, and how long that took."""

import re
from collections.abc import Iterable, Mapping

from starlette.routing import compile_path

from vnpy_core.instruments import Histogram, Reading

BOUNDS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
# What is asked for and is no route; its paths may be made up without end, so they have one name.
OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMeter:
    """Counted by method, path as in the OpenAPI document, and status. Loop only.

    ``RequestContext`` observes: a middleware of its own would cost more than all that is done here.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.answers: dict[tuple[str, str, int], Histogram] = {}
        self._plain: set[str] = set()
        # By the number of their segments: a few patterns each, of some eighty.
        self._patterns: dict[int, list[tuple[re.Pattern[str], str]]] = {}
        for path in paths:
            if "{" not in path:
                self._plain.add(path)
            elif all(path != known for _, known in self._patterns.get(path.count("/"), ())):
                self._patterns.setdefault(path.count("/"), []).append((compile_path(path)[0], path))

    @property
    def requests(self) -> Mapping[tuple[str, str, str], int]:
        return {
            (method, route, str(status)): seconds.read().count
            for (method, route, status), seconds in self.answers.items()
        }

    @property
    def seconds(self) -> Mapping[tuple[str, str], Reading]:
        """Return the times of all answers of a route, whatever they were."""
        found: dict[tuple[str, str], Reading] = {}
        for (method, route, _), seconds in self.answers.items():
            reading, known = seconds.read(), found.get((method, route))
            found[method, route] = reading if known is None else known.plus(reading)
        return found

    def route_of(self, path: str) -> str:
        """Return the path of the route that takes ``path``."""
        if path in self._plain:
            return path
        for pattern, route in self._patterns.get(path.count("/"), ()):
            if pattern.match(path):
                return route
        return OTHER

    def series(self, method: str, path: str, status: int) -> Histogram:
        """Return what takes the times of such an answer; that of a plain path is in ``answers`` once there was one."""
        key = (method if method in _METHODS else OTHER, self.route_of(path), status)
        seconds = self.answers.get(key)
        if seconds is None:
            seconds = self.answers[key] = Histogram(BOUNDS_S)
        return seconds
