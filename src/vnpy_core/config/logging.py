"""Where the log goes: structlog over the standard library, and vn.py's loguru routed into it."""

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from loguru import logger as loguru_logger

if TYPE_CHECKING:
    from loguru import Message, Record

VNPY_LOGGER = "vnpy"
_LOGURU_DEFAULT_SINK = 0

_forwarding = threading.local()
_routed: list[int] = []


def route_loguru() -> None:
    """Send everything written to loguru to the standard library's logging as well; once, however often it is called.

    The sinks that the host has added stay. Only loguru's built-in one on stderr goes: it would print each line twice.
    """
    if _routed:
        return
    with contextlib.suppress(ValueError):  # the host, or vn.py, has removed it already
        loguru_logger.remove(_LOGURU_DEFAULT_SINK)
    _routed.append(loguru_logger.add(_forward, level=0, format="{message}", filter=_not_forwarded))


def _not_forwarded(record: "Record") -> bool:
    # A host may send the standard library's records to loguru: without this they would come back for ever.
    return not getattr(_forwarding, "active", False)


def _forward(message: "Message") -> None:
    record = message.record
    source = record["extra"].get("gateway_name")
    logger = logging.getLogger(VNPY_LOGGER if source else record["name"] or "loguru")
    level = record["level"].no
    if not logger.isEnabledFor(level):
        return
    error = record["exception"]
    forwarded = logger.makeRecord(
        logger.name,
        level,
        record["file"].path,
        record["line"],
        record["message"],
        (),
        (error.type, error.value, error.traceback) if error and error.type and error.value else None,
        func=record["function"],
        extra={"source": source} if source else None,
    )
    _forwarding.active = True
    try:
        logger.handle(forwarded)
    finally:
        _forwarding.active = False
