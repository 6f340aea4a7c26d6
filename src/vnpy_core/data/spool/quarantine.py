"""Quarantine: the folder for what a spool could not deliver, with the reason, until the operator has looked at it."""

import json
import logging
from pathlib import Path

from vnpy_core.models import now_timestamp

_log = logging.getLogger(__name__)

_REFUSED = "refused.jsonl"


class Quarantine:
    """Damaged segments as they were found, and the records that were refused, a line each. One thread.

    Beyond ``max_bytes`` the oldest segments go; refused records fill at most a quarter of it, the oldest half goes.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    def segments(self) -> list[Path]:
        """Return the damaged segments that lie here, the oldest first."""
        return sorted(self.folder.glob("*.segment"))

    def move(self, segment: Path) -> None:
        """Put a damaged segment aside. If even that fails it stays where it is."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            target = self.folder / segment.name
            while target.exists():
                target = target.with_stem(f"{target.stem}-again")
            segment.rename(target)
            self._bound()
        except OSError as error:
            _log.warning("The damaged segment %s could not be put aside: %s", segment, error)

    def refuse(self, record: bytes, reason: str) -> None:
        """Keep a record that the store refuses for its content; on a full disk, in the log alone."""
        text = record.decode(errors="replace")
        line = json.dumps({"ts": now_timestamp(), "reason": reason, "record": text}, ensure_ascii=False) + "\n"
        path = self.folder / _REFUSED
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size + len(line) > self._max_bytes // 8:
                path.replace(path.with_stem("refused-earlier"))
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(line)
        except OSError as error:
            _log.warning("A record that was refused (%s) could not be kept (%s): %s", reason, error, text)

    def _bound(self) -> None:
        found = self.segments()
        sizes = [path.stat().st_size for path in found]
        while len(found) > 1 and sum(sizes) > self._max_bytes:
            _log.warning("The damaged segment %s is removed: too many lie in quarantine", found[0])
            found.pop(0).unlink()
            sizes.pop(0)
