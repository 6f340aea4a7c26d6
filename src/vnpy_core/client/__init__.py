"""The Python client: the whole API, typed, sync and async, and a stream that comes again where it was cut off.

>>> with VnPyCoreClient("http://127.0.0.1:8006") as core:  # doctest: +SKIP
...     accounts = list(core.trading.accounts())
"""

from vnpy_core.client.core import AsyncVnPyCoreClient, VnPyCoreClient
from vnpy_core.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    StreamEnded,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from vnpy_core.client.stream import AsyncStream, Gap, Stream, StreamEvent
from vnpy_core.client.trading import NewOrder

__all__ = [
    "ApiError", "AsyncStream", "AsyncVnPyCoreClient", "ClientError", "Conflict", "Forbidden", "Gap", "Invalid",
    "NewOrder", "NotFound", "OutcomeUnknown", "RateLimited", "ServerError", "Stream", "StreamEnded", "StreamEvent",
    "Unauthorized", "Unavailable", "Unreachable", "VnPyCoreClient",
]  # fmt: skip
