"""LogFile: a file of the log, begun anew by size and by age, and kept by number and by age."""

import contextlib
import logging
import re
import time
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

_DAY_S = 86_400.0
_HOUR_S = 3600.0
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")


class LogFile(RotatingFileHandler):
    """As ``RotatingFileHandler``, by age as well; a file's age is that of its first line, also after a restart.

    ``hours`` and ``days`` of 0: age does not matter. Only files of this name are ever removed.
    """

    def __init__(self, path: Path, *, size_bytes: int, count: int, hours: float, days: float) -> None:
        super().__init__(path, maxBytes=size_bytes, backupCount=count, encoding="utf-8")
        self._path = path
        self._longest_s = hours * _HOUR_S
        self._keep_s = days * _DAY_S
        self._begun = _first_moment(path)
        self._remove_old()

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        if self._begun is None:
            self._begun = record.created
        elif self._longest_s and record.created - self._begun >= self._longest_s:
            return True
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:
        super().doRollover()
        self._begun = None
        self._remove_old()

    def _remove_old(self) -> None:
        if not self._keep_s:
            return
        oldest = time.time() - self._keep_s
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            with contextlib.suppress(OSError):
                if path.suffix[1:].isdigit() and path.stat().st_mtime < oldest:
                    path.unlink()


def _first_moment(path: Path) -> float | None:
    """Return when the first line that says so was logged."""
    try:
        with path.open("rb") as file:
            found = _MOMENT.search(file.read(4096).decode(errors="replace"))
    except OSError:
        return None
    return datetime.fromisoformat(found[0]).timestamp() if found is not None else None
