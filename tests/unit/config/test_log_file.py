"""A file of the log is begun anew by age, also by that of the run before, and old ones are removed."""

import logging
import os
import time
from pathlib import Path

from vnpy_core.config.log_file import LogFile


def write(path: Path, *moments: float, hours: float = 24.0, days: float = 30.0) -> None:
    handler = LogFile(path, size_bytes=1 << 20, count=9, hours=hours, days=days)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for moment in moments:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))
        record = logging.LogRecord("a", logging.INFO, __file__, 1, f"{stamp} a line", (), None)
        record.created = moment
        handler.handle(record)
    handler.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_day_is_a_file(tmp_path: Path) -> None:
    now = time.time()
    write(tmp_path / "core.log", now, now + 3600, now + 86_500, now + 90_000)
    assert names(tmp_path) == ["core.log", "core.log.1"]
    assert len((tmp_path / "core.log.1").read_text().splitlines()) == 2


def test_the_age_of_a_file_is_known_after_a_restart(tmp_path: Path) -> None:
    now = time.time()
    write(tmp_path / "core.log", now - 90_000)
    write(tmp_path / "core.log", now)
    assert names(tmp_path) == ["core.log", "core.log.1"]
    write(tmp_path / "core.log", now + 60)
    assert len((tmp_path / "core.log").read_text().splitlines()) == 2


def test_age_may_not_matter(tmp_path: Path) -> None:
    now = time.time()
    write(tmp_path / "core.log", now - 900_000, now, hours=0, days=0)
    assert names(tmp_path) == ["core.log"]


def test_old_files_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    long_ago = time.time() - 40 * 86_400
    for name in ("core.log.1", "core.log.2", "core.log.kept", "other.log.1"):
        (tmp_path / name).write_text("old")
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "core.log.2").touch()
    write(tmp_path / "core.log", time.time())
    assert names(tmp_path) == ["core.log", "core.log.2", "core.log.kept", "other.log.1"]
