"""The error tree: each class carries its HTTP status and code; its docstring is the operator's help."""

from typing import Any, ClassVar


class CoreError(Exception):
    """Something the service refuses or could not do. ``detail`` says what, and what to do about it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, code: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.error_code = code or self.code
        self.extra = extra


class ConfigError(CoreError):
    """The configuration is wrong: the message names the key and the nearest valid one. Correct it and start again."""

    code = "config"
    title = "Configuration error"


class AlreadyRunning(CoreError):
    """Another process holds this data folder or the database. Stop it, or give this one its own: VNPY_DATA_DIR,
    VNPY_CORE_SERVICE_PORT and VNPY_CORE_DATABASE__URL."""

    code = "already_running"
    title = "Already running"


class Unauthorized(CoreError):
    """Nobody says who asks, or it is not proved. See to the credentials or the secret of whoever asks."""

    status = 401
    code = "unauthorized"
    title = "Unauthorized"


class Forbidden(CoreError):
    """It is known who asks, and it is not allowed: the detail names the scope, the host or the origin that it takes."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class NotFound(CoreError):
    """No such order, strategy, gateway or contract."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(CoreError):
    """The request is well-formed and refused as things stand: the detail says why."""

    status = 409
    code = "conflict"
    title = "Conflict"


class OrderRefused(Conflict):
    """The order was not sent. ``code`` says which check refused it."""

    code = "order_refused"
    title = "Order refused"


class StrategyFailed(Conflict):
    """A callback of the strategy raised; ``traceback`` is in the answer. Correct the strategy, then init it again."""

    code = "strategy_failed"
    title = "Strategy failed"


class Invalid(CoreError):
    """The request is malformed; ``errors`` lists the fields."""

    status = 422
    code = "invalid"
    title = "Invalid request"


class TooManyRequests(CoreError):
    """More was asked than one may ask. Wait ``retry_after_s``; ``security.*_per_s`` set how much that is."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(CoreError):
    """Something the request needs is down (a gateway, a database). Try again when readiness says it is back."""

    status = 503
    code = "unavailable"
    title = "Unavailable"


class OutcomeUnknown(CoreError):
    """The command was handed over and not answered in time. Look at the order list before you repeat it."""

    status = 504
    code = "outcome_unknown"
    title = "Outcome unknown"


class DataError(CoreError):
    """A file cannot be imported as it is; ``rows`` lists the bad ones by number. Nothing of it was imported."""

    status = 422
    code = "bad_data"
    title = "Bad data"


class DataRejected(CoreError):
    """A store refused a record for its content (too long, not representable). Repeating it will not help."""

    status = 422
    code = "data_rejected"
    title = "Data rejected"
