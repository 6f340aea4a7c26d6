"""AuditTrail: what is written down of a command, and how it gets into the journal.

An entry is a fact: it is in the journal with the next group commit, which nobody waits for, and the recorder brings it
into the table ``audit_log``, also after a database was down. A trail without a journal (the command line) writes there.
"""

import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from vnpy_core.config.secret_names import SECRET_NAME
from vnpy_core.models import AuditEntry

MAX_DETAIL = 2000
_MAX_DEPTH = 4
_MAX_ITEMS = 50
# Only these are written down: what a new route brings along is no secret only once somebody has said so.
_FIELDS = frozenset(
    {
        "symbol", "exchange", "vt_symbol", "vt_symbols", "direction", "offset", "type", "price", "volume",
        "gateway_name", "reference", "client_order_id", "order_id", "orderid", "vt_orderid", "vt_orderids", "orders",
        "cancels", "strategy", "strategy_name", "class_name", "auto_start", "setting", "parameters", "data",
        "command_id", "dry_run", "username", "role", "disabled", "name", "scopes", "networks", "expires",
        "expires_in_days", "reason", "state", "rule", "rules", "limits", "active", "template", "algo_name", "interval",
        "start", "end", "flatten", "accept", "session_id", "key_id", "comment", "version", "replaces",
        "note", "matchers", "starts", "duration_s", "kind",
        "metric", "topic", "match", "op", "value", "window_s", "for_s", "resolve_s", "severity", "enabled",
    }
)  # fmt: skip
# Below these, names are the user's own, and all are written down but what sounds secret.
_FREE = frozenset({"setting", "parameters", "rules", "limits", "matchers", "match"})


class AuditTrail:
    """Loop only."""

    def __init__(self, emit: Callable[[AuditEntry], None]) -> None:
        self._emit = emit
        self._prefix = secrets.token_hex(3)
        self._numbers = itertools.count()

    def record(
        self, *, actor: str, credential: str, address: str, action: str, status: int, code: str | None = None,
        request_id: str = "", body: bytes = b"",
    ) -> None:  # fmt: skip
        """Write down one command. ``body`` is what came with it; the fields that may be seen are taken out of it."""
        self._emit(
            entry(
                self._new_id(), actor=actor, credential=credential, address=address, action=action, status=status,
                code=code, request_id=request_id, detail=detail_of(body),
            )
        )  # fmt: skip

    def _new_id(self) -> str:
        return f"{time.time_ns():016x}-{self._prefix}{next(self._numbers) % 0xFFFFFF:06x}"


def entry(audit_id: str, *, actor: str, credential: str, address: str, action: str, **rest: Any) -> AuditEntry:
    """Return an entry, its texts cut to what the table holds."""
    return AuditEntry(
        audit_id=audit_id, actor=actor[:128], credential=credential[:128], address=address[:128],
        action=_printable(action)[:255], **rest,
    )  # fmt: skip


def detail_of(body: bytes) -> str:
    """Return the fields of a JSON body that may be seen, as JSON cut to what the log holds; empty if there are none."""
    if not body:
        return ""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    seen = _seen(value, _MAX_DEPTH, free=False)
    return msgspec.json.encode(seen).decode()[:MAX_DETAIL] if seen else ""


def field_of(body: bytes, name: str) -> str:
    """Return a text field of a JSON body, or nothing."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    found = value.get(name) if isinstance(value, dict) else None
    return _printable(found)[:64] if isinstance(found, str) else ""


def _seen(value: Any, depth: int, *, free: bool) -> Any:
    if isinstance(value, dict):
        if depth == 0:
            return "…"
        return {
            _printable(name)[:64]: _seen(inner, depth - 1, free=free or name in _FREE)
            for name, inner in itertools.islice(value.items(), _MAX_ITEMS)
            if (free and not SECRET_NAME.search(name)) or (not free and name in _FIELDS)
        }
    if isinstance(value, list):
        if depth == 0:
            return "…"
        return [_seen(inner, depth - 1, free=free) for inner in value[:_MAX_ITEMS]]
    return _printable(value)[:200] if isinstance(value, str) else value


def _printable(text: str) -> str:
    """Return the text without what a terminal or PostgreSQL would take for more than text."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
