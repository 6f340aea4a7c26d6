"""Errors as RFC 9457 problem documents, one shape for all, and the request id that each of them carries."""

import itertools
import logging
import math
import re
import secrets
import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Protocol

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vnpy_core.config.logging import REQUEST_ID
from vnpy_core.errors import CoreError, Invalid, TooManyRequests, Unauthorized
from vnpy_core.instruments import Histogram

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# For browsers: nothing here is to be guessed at, framed, embedded or kept.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_ONLY_HTTPS = (b"strict-transport-security", b"max-age=31536000")
_SANE_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field of a request."""

    field: Annotated[str, msgspec.Meta(examples=["volume"])]
    message: Annotated[str, msgspec.Meta(examples=["Input should be greater than 0"])]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done (RFC 9457). ``code`` is for programs, ``detail`` for people."""

    type: Annotated[str, msgspec.Meta(examples=["urn:vnpy-core:problem:order_refused"])]
    title: Annotated[str, msgspec.Meta(examples=["Order refused"])]
    status: Annotated[int, msgspec.Meta(examples=[409])]
    detail: Annotated[str, msgspec.Meta(examples=["Not enough funds."])]
    code: Annotated[str, msgspec.Meta(examples=["order_refused"])]
    request_id: Annotated[str, msgspec.Meta(description="Also in X-Request-ID and in the log", examples=["7f3a-1"])]
    errors: Annotated[list[FieldError], msgspec.Meta(description="With 422: the fields")] = []
    traceback: Annotated[str | None, msgspec.Meta(description="With strategy_failed: where it raised")] = None
    vt_orderid: Annotated[str | None, msgspec.Meta(description="The order this is about, if there is one")] = None
    intent_id: Annotated[str | None, msgspec.Meta(description="The order intent this is about")] = None


def respond(
    request_id: str, status: int, code: str, title: str, detail: str, *,
    headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None,
) -> Response:  # fmt: skip
    document = {
        "type": f"urn:vnpy-core:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        **(extra or {}),
    }
    body = msgspec.json.encode(document, enc_hook=str)
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


class ProblemHandler:
    """Answers every exception a request ends with. ``allowed`` returns the methods that a path has."""

    def __init__(self, allowed: "AllowedMethods") -> None:
        self._allowed = allowed

    async def __call__(self, request: Request, error: Exception) -> Response:
        request_id = id_of(request.scope)
        if isinstance(error, CoreError):
            return problem_of(request_id, error)
        if isinstance(error, RequestValidationError):
            errors = [_field_error(one) for one in error.errors()]
            detail = "; ".join(f"{one.field}: {one.message}" for one in errors[:5])
            return respond(request_id, 422, Invalid.code, Invalid.title, detail, extra={"errors": errors})
        if isinstance(error, BodyTooLarge):
            return respond(request_id, 413, "body_too_large", "Body too large", error.detail)
        if isinstance(error, HTTPException):
            return self._framework_error(request, request_id, error)
        return unexpected(request_id, error)

    def _framework_error(self, request: Request, request_id: str, error: HTTPException) -> Response:
        status, path = error.status_code, request.url.path
        headers = dict(error.headers or {})
        if status == HTTPStatus.BAD_REQUEST:
            # The framework's word for a body that it cannot decode; what does not parse is answered like that too.
            return respond(request_id, 422, Invalid.code, Invalid.title, "The body is not JSON in UTF-8.")
        if status == HTTPStatus.NOT_FOUND:
            code, title, detail = "not_found", "Not found", f"There is nothing at {path}."
        elif status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(self._allowed.at(path) or ("GET", "HEAD"))  # static files are no route
            code, title = "method_not_allowed", "Method not allowed"
            detail = f"{path} does not take {request.method}, but {headers['Allow']}."
        else:
            code, title, detail = f"http_{status}", HTTPStatus(status).phrase.capitalize(), error.detail
        return respond(request_id, status, code, title, detail, headers=headers)


def problem_of(request_id: str, error: CoreError) -> Response:
    """Answer what the service refuses or could not do."""
    if error.status >= 500:
        logger.warning("Request %s: %s: %s", request_id, error.error_code, error.detail)
    return respond(
        request_id, error.status, error.error_code, error.title, error.detail,
        headers=headers_of(error), extra=error.extra,
    )  # fmt: skip


def headers_of(error: CoreError) -> dict[str, str]:
    """Return the headers that HTTP wants with an error."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return {}


def unexpected(request_id: str, error: Exception) -> Response:
    """Answer what nobody foresaw: logged in full, told without internals."""
    logger.error("Request %s failed", request_id, exc_info=error)
    return respond(
        request_id, 500, CoreError.code, CoreError.title,
        f"Something went wrong in the service; its log says what, under request id {request_id}.",
    )  # fmt: skip


class AllowedMethods:
    """Which methods each path takes, over all routes: a 405 must name all of them."""

    def __init__(self) -> None:
        self._plain: dict[str, set[str]] = {}
        self._patterns: list[tuple[re.Pattern[str], frozenset[str]]] = []

    def add(self, path: str, methods: Collection[str]) -> None:
        """Note a route; ``path`` may have parameters in braces."""
        if "{" in path:
            self._patterns.append((compile_path(path)[0], frozenset(methods)))
        else:
            self._plain.setdefault(path, set()).update(methods)

    def at(self, path: str) -> list[str]:
        if (plain := self._plain.get(path)) is not None:
            return sorted(plain)
        return sorted({method for pattern, methods in self._patterns if pattern.match(path) for method in methods})


class BodyTooLarge(HTTPException):
    """An exception of the framework's, because it answers any other that comes while it reads the body itself."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"A body has at most {limit} bytes.")


class Meter(Protocol):
    @property
    def answers(self) -> Mapping[tuple[str, str, int], Histogram]: ...
    def series(self, method: str, path: str, status: int) -> Histogram: ...


class RequestContext:
    """Outermost of our own: gives each request its id and the headers for browsers, bounds its body, answers an
    exception that nothing below has answered, and has the whole of it metered."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, meter: Meter | None = None) -> None:
        self._app = LastResort(app)
        self._meter = meter
        self._max_body_bytes = max_body_bytes
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = next(
            (value for name, value in scope["headers"] if name == b"x-request-id" and _SANE_ID.fullmatch(value)), None
        ) or b"%b-%d" % (self._prefix.encode(), next(self._numbers))
        scope["vnpy_core.request_id"] = request_id.decode()
        REQUEST_ID.set(request_id.decode())
        left = self._max_body_bytes

        async def receive_bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise BodyTooLarge(self._max_body_bytes)
            return message

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["vnpy_core.status"] = message["status"]
                message["headers"] += ((b"x-request-id", request_id), *_HEADERS)
                if scope.get("scheme") == "https":
                    message["headers"].append(_ONLY_HTTPS)
            await send(message)

        meter = self._meter
        if meter is None:
            await self._app(scope, receive_bounded, send_with_id)
            return
        began = time.perf_counter()
        try:
            await self._app(scope, receive_bounded, send_with_id)
        finally:
            # Inlined: it is half of what metering costs a request.
            key = (scope["method"], scope["path"], scope.get("vnpy_core.status", 500))
            (meter.answers.get(key) or meter.series(*key)).observe(time.perf_counter() - began)


class LastResort:
    """Answers an exception that nothing below has answered. Also the framework's outermost, which else answers itself
    with a text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] != "http" or "vnpy_core.status" in scope:
                raise
            await unexpected(id_of(scope), error)(scope, receive, send)


def id_of(scope: Scope) -> str:
    return str(scope.get("vnpy_core.request_id", ""))


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = error["loc"]
    # A body that is no JSON has a position for a path; that is no field.
    field = ".".join(str(part) for part in path) if path and not isinstance(path[0], int) else str(where)
    return FieldError(field=field, message=str(error["msg"]).removeprefix("Value error, "))
