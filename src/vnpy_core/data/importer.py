"""Import of data files: bars, ticks and quotes from CSV, CSV.gz and Parquet, all of a file or nothing."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.files.columns import map_columns
from vnpy_core.data.files.source import Source, open_source
from vnpy_core.data.files.staging import READING, WRITING, Progress, RowError, Staging, Summary
from vnpy_core.data.files.times import TimeFormat, chosen_format, recognised_format, typed_format
from vnpy_core.data.files.zones import WallClock
from vnpy_core.data.history.series import BAR_MICROS, Int64s, parse_vt_symbol, to_moment, to_vt_symbol, value_columns
from vnpy_core.enums import Interval
from vnpy_core.errors import DataError, Invalid
from vnpy_core.models import Timestamp, to_timestamp
from vnpy_core.ports import HistoryStore, Series

__all__ = ["ImportReport", "ImportSpec", "Progress", "RowError", "import_file"]

_SHOWN_ERRORS = 20


class ImportSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds, as far as it does not say so itself.

    Args:
        columns: our column → the file's, where the names do not tell; ``datetime`` may be ``date+time``; an empty
            text leaves ours out.
        names: the columns of a file without a header, in their order.
        datetime_format: a strptime pattern, or ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``; the common
            forms are recognised without it.
        timezone: of times without a UTC offset. It must be given for them: none is guessed.
        bar_time: whether the file dates a bar by its start, as we do, or by its end.
        skip_bad_rows: import the others, instead of nothing.
        last_from_quotes: take the middle of bid and ask for the last price where there is none, so that bars can be
            built from quotes.
    """

    vt_symbol: str
    interval: Interval
    columns: Mapping[str, str] = {}
    names: Sequence[str] | None = None
    datetime_format: str | None = None
    timezone: str | None = None
    bar_time: Literal["start", "end"] = "start"
    delimiter: str | None = None
    skip_bad_rows: bool = False
    last_from_quotes: bool = False


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: ``rows`` = ``imported`` + ``bad`` + ``repeated`` (bars that are there twice, equal).

    ``columns``: which of ours was read from which of the file's.
    """

    path: Path
    vt_symbol: str
    interval: Interval
    columns: dict[str, str]
    time_format: str
    rows: int
    imported: int
    bad: int
    repeated: int
    errors: list[RowError]
    start: Timestamp
    end: Timestamp
    seconds: float


def import_file(
    path: Path,
    store: HistoryStore,
    spec: ImportSpec,
    progress: Progress | None = None,
    *,
    scratch_dir: Path | None = None,
) -> ImportReport:
    """Read ``path`` into ``store``; rows that are stored already are replaced. Interrupted, it leaves nothing.

    The file is first read into a scratch database (about its size, in ``scratch_dir`` or the system's folder for
    temporary files), where every row is checked, and then saved at once; memory stays flat. Ticks of one instant are
    kept, each a microsecond after the one before.

    Args:
        progress: told, in this thread, ("reading", bytes done, bytes) and then ("writing", rows done, rows).

    Raises:
        Invalid: the file or the specification is not understood.
        DataError: rows are bad, and are not to be skipped; ``rows`` has the first of them, ``bad`` their number.
        Unavailable: the store is.
    """
    began = time.monotonic()
    tell = progress or (lambda stage, done, total: None)
    symbol, exchange = parse_vt_symbol(spec.vt_symbol)
    zone = _zone(spec)
    with (
        tempfile.TemporaryDirectory(prefix="vnpy-core-import-", dir=scratch_dir) as folder,
        Staging(Path(folder), path.name) as staging,
    ):
        source = open_source(staging.connection, path, Path(folder), spec.names, spec.delimiter)
        columns = map_columns(source.header, spec.interval, spec.columns)
        times = _time_format(staging, source, columns["datetime"], spec)
        if not times.absolute and zone is None:
            raise Invalid(
                f"The times of {path.name} are {times.name}: say in which time zone they are, such as UTC or"
                " Asia/Shanghai"
            )
        size = path.stat().st_size
        staging.read(source, columns, times, spec.interval, lambda part: tell(READING, int(size * part), size))
        tell(READING, size, size)
        summary, clock = _check(staging, path, spec, None if times.absolute else zone)
        bad, errors = staging.bad_rows(_SHOWN_ERRORS)
        good = summary.rows - bad - staging.repeated
        if (bad and not spec.skip_bad_rows) or not good:
            raise _refusal(path, summary.rows, bad, errors)
        rows = _Rows(spec, clock)
        store.save(Series(symbol, exchange, spec.interval, part) for part in rows.parts(staging, good, tell))
    return ImportReport(
        path=path,
        vt_symbol=to_vt_symbol(symbol, exchange),
        interval=spec.interval,
        columns={ours: "+".join(source.header[place] for place in places) for ours, places in columns.items()},
        time_format=times.name,
        rows=summary.rows,
        imported=good,
        bad=bad,
        repeated=staging.repeated,
        errors=errors,
        start=to_timestamp(to_moment(rows.first)),
        end=to_timestamp(to_moment(rows.last)),
        seconds=time.monotonic() - began,
    )


class _Rows:
    """The checked rows of a file as the store wants them."""

    def __init__(self, spec: ImportSpec, clock: WallClock | None) -> None:
        self._spec = spec
        self._clock = clock
        self._earlier = BAR_MICROS[spec.interval] if spec.bar_time == "end" else 0
        self.first = 0
        self.last = 0

    def parts(self, staging: Staging, total: int, tell: Progress) -> Iterator[dict[str, NDArray[Any]]]:
        is_tick = self._spec.interval is Interval.TICK
        done = 0
        for columns in staging.chunks((*value_columns(self._spec.interval), *(("localtime",) if is_tick else ()))):
            times: Int64s = columns.pop("micros")
            if self._clock is not None:
                times = self._clock.to_utc(times)
            times = times - self._earlier
            if is_tick:
                times = _apart(times, self.last if done else None)
                if self._spec.last_from_quotes:
                    middle = (columns["bid_price_1"] + columns["ask_price_1"]) / 2
                    known = np.nan_to_num(columns["last_price"]) != 0
                    columns["last_price"] = np.where(known, columns["last_price"], middle)
            self.first = self.first if done else int(times[0])
            self.last = int(times[-1])
            done += len(times)
            yield {"datetime": times, **columns}
            tell(WRITING, done, total)


def _check(
    staging: Staging, path: Path, spec: ImportSpec, zone: ZoneInfo | None
) -> tuple[Summary, WallClock | None]:
    """Do the checks that need all rows, and bring them in order."""
    summary = staging.summary(BAR_MICROS.get(spec.interval, 0))
    if summary.close > summary.good // 2:
        raise Invalid(f"Most rows of {path.name} are nearer together than a bar of the interval {spec.interval}")
    clock = None
    if zone is not None and summary.good:
        clock = WallClock(zone, summary.first, summary.last)
        staging.refuse_doubtful(clock, zone.key)
    if not summary.ascending:
        staging.sort(spec.interval)
    return summary, clock


def _apart(times: Int64s, before: int | None) -> Int64s:
    """Return ascending times with each at least a microsecond after the one before."""
    steps = np.arange(len(times), dtype=np.int64)
    slack = times - steps
    if before is not None:
        slack[0] = max(slack[0], before + 1)
    moved: Int64s = np.maximum.accumulate(slack) + steps
    return moved


def _time_format(staging: Staging, source: Source, places: tuple[int, ...], spec: ImportSpec) -> TimeFormat:
    typed = typed_format(source.types[places[0]]) if len(places) == 1 else None
    if typed is not None:
        return typed
    if spec.datetime_format is not None:
        return chosen_format(spec.datetime_format)
    return recognised_format(staging.sample(source, places))


def _zone(spec: ImportSpec) -> ZoneInfo | None:
    """Return the zone; the specification is checked beside."""
    if spec.bar_time == "end" and spec.interval not in BAR_MICROS:
        raise Invalid(f"Only bars of {' and '.join(BAR_MICROS)} can be dated by their end")
    if spec.timezone is None:
        return None
    try:
        return ZoneInfo(spec.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"{spec.timezone!r} is not an IANA time zone such as Asia/Shanghai") from error


def _refusal(path: Path, rows: int, bad: int, errors: Sequence[RowError]) -> DataError:
    if not rows:
        return DataError(f"{path.name} has no rows")
    return DataError(
        f"{bad:,} of the {rows:,} rows of {path.name} are bad, so none was imported. Row {errors[0].row}:"
        f" {errors[0].reason}.",
        rows=[{"row": error.row, "reason": error.reason} for error in errors],
        bad=bad,
    )
