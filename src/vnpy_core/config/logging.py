"""Where the log goes: structlog over the standard library, vn.py's loguru routed into it, written on one thread."""

import atexit
import contextlib
import copy
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from loguru import logger as loguru_logger

from vnpy_core.config.hiding import hider
from vnpy_core.config.log_file import LogFile
from vnpy_core.config.settings import LogSettings
from vnpy_core.errors import ConfigError

if TYPE_CHECKING:
    from loguru import Message, Record
    from structlog.typing import EventDict, Processor, WrappedLogger

LOG_FILE = "vnpy-core.log"
VNPY_LOGGER = "vnpy"
_QUEUE_LENGTH = 20_000
_STOP_TIMEOUT_S = 5.0
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")
_CHATTY = ("alembic", "httpx", "uvicorn")  # their INFO tells an operator nothing: a line for each request
_LOGURU_DEFAULT_SINK = 0

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; every line that is logged meanwhile bears it."""

logger = logging.getLogger(__name__)


class _Queue(QueueHandler):
    """Hands records to the writing thread. When that is 20,000 behind, the newest are dropped, and counted."""

    def __init__(self) -> None:
        self.records: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUE_LENGTH)
        super().__init__(self.records)
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The arguments may change before they are written; the traceback does not, and is rendered over there.
        record = copy.copy(record)
        if (request_id := REQUEST_ID.get()) and not hasattr(record, "request_id"):
            record.request_id = request_id
        if record.args:
            record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def take_dropped(self) -> int:
        dropped, self._dropped = self._dropped, 0
        return dropped


class _Writer:
    """The thread that renders and writes."""

    def __init__(self, source: _Queue, handlers: list[logging.Handler]) -> None:
        self._source = source
        self._handlers = handlers
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, for at most ten seconds; a disk that hangs for longer is left to itself."""
        with contextlib.suppress(queue.Full):
            self._source.records.put(None, timeout=_STOP_TIMEOUT_S)
        self._thread.join(_STOP_TIMEOUT_S)

    def _write(self) -> None:
        while (record := self._source.records.get()) is not None:
            self._handle(record)
            if dropped := self._source.take_dropped():
                text = f"{dropped} log lines were dropped: they came faster than they could be written"
                self._handle(logger.makeRecord(logger.name, logging.WARNING, __file__, 0, text, (), None))

    def _handle(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            try:
                handler.handle(record)
            except Exception:  # noqa: BLE001 - a line that cannot be rendered must not end the log
                handler.handleError(record)


# What undoes ``configure``, while it is in force.
_undo: list[Callable[[], None]] = []


def configure(settings: LogSettings, log_dir: Path, secrets: Iterable[str] = ()) -> None:
    """Send the log of the whole process to stderr and, by ``settings.file``, to ``log_dir``; again: replaces the first.

    Neither the loop nor the event thread waits for a disk: lines are rendered and written by a thread of their own,
    which takes ``secrets`` out of them, and whatever looks like one.

    Raises:
        ConfigError: ``log_dir`` cannot be written.
    """
    shutdown()
    hide = hider(secrets)
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_formatter(settings.format, hide, colors=sys.stderr.isatty()))
    handlers: list[logging.Handler] = [console]
    if settings.file:
        handlers.append(_file_handler(settings, log_dir, hide))
    source = _Queue()
    root = logging.getLogger()
    before = (root.level, logging.raiseExceptions, threading.excepthook)

    def undo() -> None:
        root.removeHandler(source)
        writer.stop()
        root.setLevel(before[0])
        logging.raiseExceptions, threading.excepthook = before[1:]
        logging.captureWarnings(False)
        for handler in handlers:
            handler.close()
        structlog.reset_defaults()
        atexit.unregister(shutdown)

    root.setLevel(settings.level)
    root.addHandler(source)
    logging.raiseExceptions = False  # a full disk must not print a traceback for each line
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    for name in _UVICORN:
        uvicorn_logger = logging.getLogger(name)
        uvicorn_logger.handlers.clear()
        uvicorn_logger.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    route_loguru()
    writer = _Writer(source, handlers)
    _undo.append(undo)
    atexit.register(shutdown)


def shutdown() -> None:
    """Write what is left and put the log back as it was before ``configure``; nothing happens without one."""
    while _undo:
        _undo.pop()()


def _file_handler(settings: LogSettings, log_dir: Path, hide: Callable[[str], str]) -> logging.Handler:
    path = log_dir / LOG_FILE
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        handler = LogFile(
            path, size_bytes=settings.file_size_mb << 20, count=settings.file_count, hours=settings.file_hours,
            days=settings.file_days,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"the log {path} cannot be written ({error.strerror}): set VNPY_LOG_DIR") from error
    handler.setFormatter(_formatter(settings.format, hide, colors=False))
    return handler


def _shared() -> "list[Processor]":
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=["source", "request_id", "vt_orderid"]),
    ]


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Hides secrets in the line as it is written, wherever in the record they were."""

    def __init__(self, hide: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def _formatter(kind: str, hide: Callable[[str], str], *, colors: bool) -> logging.Formatter:
    if kind == "json":
        last: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=plain)]
    return _Formatter(
        hide,
        foreign_pre_chain=_shared(),
        processors=[_add_timestamp, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _add_timestamp(logger: "WrappedLogger", method: str, event_dict: "EventDict") -> "EventDict":
    """Put when the line was logged, not when it is rendered, in front."""
    moment = datetime.fromtimestamp(event_dict["_record"].created, UTC)
    return {"timestamp": moment.isoformat(timespec="milliseconds"), **event_dict}


def _log_thread_error(args: Any) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread is not None else "?"
        logger.critical("Thread %s has ended by an error", name, exc_info=args.exc_value)


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
    target = logging.getLogger(VNPY_LOGGER if source else record["name"] or "loguru")
    level = record["level"].no
    if not target.isEnabledFor(level):
        return
    error = record["exception"]
    forwarded = target.makeRecord(
        target.name,
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
        target.handle(forwarded)
    finally:
        _forwarding.active = False
