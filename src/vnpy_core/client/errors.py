"""What the client raises: the service's own errors, one class a status, and what can go wrong on the way to it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class ClientError(Exception):
    """Anything that the client raises."""


class Unreachable(ClientError):
    """The service could not be asked; nothing was done."""


class StreamEnded(ClientError):
    """The stream is over: the service refused it, or an operator ended it. ``code`` says why."""

    def __init__(self, code: int | str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ApiError(ClientError):
    """The service's answer is an error. ``code`` is for programs; ``extra`` has what else the answer says."""

    status: int = 0
    _classes: ClassVar[dict[int, type["ApiError"]]] = {}

    def __init__(
        self, detail: str, *, status: int = 0, code: str = "", request_id: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.detail = detail
        self.status = status or type(self).status
        self.code = code
        self.request_id = request_id
        self.extra = dict(extra or {})

    def __init_subclass__(cls) -> None:
        if "status" in cls.__dict__:
            ApiError._classes[cls.status] = cls

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail} (request {self.request_id})"

    @staticmethod
    def of(status: int, body: bytes) -> "ApiError":
        """Return the error that an answer is; ``body`` may be anything."""
        try:
            problem = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            problem = {"detail": body[:500].decode("utf-8", "replace")}
        known = {name: str(problem.pop(name, "")) for name in ("detail", "code", "request_id")}
        extra = {name: value for name, value in problem.items() if name not in ("type", "title", "status")}
        kind = ApiError._classes.get(status, ServerError if status >= 500 else ApiError)
        return kind(known.pop("detail"), status=status, extra=extra, **known)


class Unauthorized(ApiError):
    """The credentials are missing, wrong or no longer good."""

    status = 401


class Forbidden(ApiError):
    """The credentials are good, and do not allow this."""

    status = 403


class NotFound(ApiError):
    """No such order, strategy, gateway or contract."""

    status = 404


class Conflict(ApiError):
    """Refused as things stand; an order was not sent."""

    status = 409


class Invalid(ApiError):
    """Malformed; ``extra["errors"]`` lists the fields."""

    status = 422


class RateLimited(ApiError):
    """Too many requests; try again later."""

    status = 429


class ServerError(ApiError):
    """Something went wrong in the service; its log says what, under ``request_id``."""


class Unavailable(ServerError):
    """Something that is needed is down; nothing was sent, and it may be tried again."""

    status = 503


class OutcomeUnknown(ServerError):
    """It may have been done or not, and nobody could be asked. Of an order ``extra`` has the ``client_order_id``: look
    it up before you send anything in its place."""

    status = 504


class BrokenOff(OutcomeUnknown):
    """The connection broke off before the answer came."""
