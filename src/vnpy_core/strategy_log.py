"""What is told of a strategy's log."""

from typing import Annotated

import msgspec

from vnpy_core.models import Timestamp


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that a strategy has written, or its engine about it."""

    log_id: Annotated[str, msgspec.Meta(description="Grows with time", examples=["0641a2b3c4d5e60000000001"])]
    strategy_name: Annotated[str, msgspec.Meta(examples=["demo"])]
    level: Annotated[str, msgspec.Meta(examples=["INFO", "WARNING", "ERROR"])]
    message: str
    source: Annotated[str, msgspec.Meta(examples=["CtaStrategy"])]
    datetime: Timestamp


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first."""

    log: list[LogLine]
    next_cursor: Annotated[str | None, msgspec.Meta(description="Ask again with it for older ones; null: no more")]
