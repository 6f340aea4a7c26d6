"""CoreDataEngine: vn.py's data manager, whose imports and downloads say what went wrong."""

import csv
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from vnpy.trader.constant import Exchange, Interval
from vnpy_datamanager import DataManagerApp, ManagerEngine

from vnpy_core.errors import DataError, Unavailable

_MAX_ROWS = 100


class CoreDataEngine(ManagerEngine):
    """The same methods. All of them block; ``file_path`` is a path of this machine, never to be taken from a client."""

    def import_data_from_csv(
        self,
        file_path: str,
        symbol: str,
        exchange: Exchange,
        interval: Interval,
        tz_name: str,
        datetime_head: str,
        open_head: str,
        high_head: str,
        low_head: str,
        close_head: str,
        volume_head: str,
        turnover_head: str,
        open_interest_head: str,
        datetime_format: str,
    ) -> tuple[datetime, datetime, int]:
        """Import a file, all of it or nothing, and return its first and last time and how many bars it has.

        Raises:
            DataError: the file is empty or lacks a column, or ``rows`` lists what is wrong in which line.
        """
        needed = (open_head, high_head, low_head, close_head, volume_head)
        _check_csv(Path(file_path), datetime_head, datetime_format, needed, (turnover_head, open_interest_head))
        found: tuple[datetime, datetime, int] = super().import_data_from_csv(
            file_path, symbol, exchange, interval, tz_name, datetime_head, open_head, high_head, low_head, close_head,
            volume_head, turnover_head, open_interest_head, datetime_format,
        )  # fmt: skip
        return found

    def download_bar_data(
        self, symbol: str, exchange: Exchange, interval: str, start: datetime, output: Callable[[str], Any]
    ) -> int:
        """Download bars from the gateway or the datafeed, save them, and return how many there were.

        Raises:
            Unavailable: there were none, and the source said why.
        """
        said: list[str] = []
        count: int = super().download_bar_data(symbol, exchange, interval, start, _recorded(said, output))
        return _counted(count, said)

    def download_tick_data(
        self, symbol: str, exchange: Exchange, start: datetime, output: Callable[[str], Any]
    ) -> int:
        """Do as ``download_bar_data``, from the datafeed alone."""
        said: list[str] = []
        count: int = super().download_tick_data(symbol, exchange, start, _recorded(said, output))
        return _counted(count, said)


class CoreDataApp(DataManagerApp):
    """vn.py's app with our engine."""

    engine_class = CoreDataEngine


def _check_csv(
    path: Path, datetime_head: str, datetime_format: str, needed: Sequence[str], optional: Sequence[str]
) -> None:
    """Read the file as vn.py will, and find what would make it raise half-way."""
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        reader = csv.DictReader(line.replace("\0", "") for line in file)
        columns = reader.fieldnames or ()
        missing = [name for name in (datetime_head, *needed) if name not in columns]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(columns) or 'none at all'}")
        empty = True
        for item in reader:
            empty = False
            try:
                _parse_time(item[datetime_head], datetime_format)
                for name in (*needed, *(name for name in optional if name in columns)):
                    float(item[name])
            except (ValueError, TypeError) as error:  # TypeError: the line is too short
                if len(rows) < _MAX_ROWS:
                    rows.append({"row": reader.line_num, "message": str(error)})
    if empty:
        raise DataError(f"{path} has no rows")
    if rows:
        raise DataError(f"{path}: line {rows[0]['row']}: {rows[0]['message']}; nothing was imported", rows=rows)


def _parse_time(text: str, datetime_format: str) -> None:
    if datetime_format:
        datetime.strptime(text, datetime_format)  # noqa: DTZ007 - the zone is given apart
    else:
        datetime.fromisoformat(text)


def _recorded(said: list[str], output: Callable[[str], Any]) -> Callable[[str], None]:
    def record(line: str) -> None:
        said.append(line)
        output(line)

    return record


def _counted(count: int, said: list[str]) -> int:
    if not count and said:
        raise Unavailable(f"Nothing was downloaded: {'; '.join(said)}")
    return count
