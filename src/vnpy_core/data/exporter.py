"""Export of stored bars and ticks to CSV, CSV.gz and Parquet; what is written, ``importer`` reads back."""

import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec

from vnpy_core.data.files.source import literal
from vnpy_core.data.files.staging import WRITING, Progress, open_scratch
from vnpy_core.data.history.series import (
    NO_TIME,
    chunks,
    parse_vt_symbol,
    time_columns,
    to_moment,
    to_vt_symbol,
    value_columns,
)
from vnpy_core.enums import Interval
from vnpy_core.errors import Invalid, NotFound, Unavailable
from vnpy_core.models import Timestamp, to_timestamp
from vnpy_core.ports import HistoryStore

_OPTIONS = {
    ".csv": "format csv, header true",
    ".csv.gz": "format csv, header true, compression gzip",
    ".parquet": "format parquet, compression zstd",
}
_CHUNK_ROWS = 100_000


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    vt_symbol: str
    interval: Interval
    rows: int
    start: Timestamp
    end: Timestamp
    seconds: float


def export_file(
    path: Path,
    store: HistoryStore,
    vt_symbol: str,
    interval: Interval,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress | None = None,
    *,
    scratch_dir: Path | None = None,
) -> ExportReport:
    """Write the rows with ``start <= datetime <= end`` (aware), ascending, to ``path``; an existing file is replaced.

    Columns have our names, times are UTC with their offset, what is not known is empty. The file appears when it is
    complete; memory stays flat.

    Raises:
        Invalid: the file's kind or the vt_symbol is not known, or a time has no zone.
        NotFound: there are no such rows.
        Unavailable: the store is, or the disk is full.
    """
    began = time.monotonic()
    suffix = next((known for known in (".csv.gz", ".csv", ".parquet") if path.name.lower().endswith(known)), None)
    if suffix is None:
        raise Invalid(f"{path.name} is of no known kind: {', '.join(_OPTIONS)}")
    for moment in (start, end):
        if moment is not None and moment.utcoffset() is None:
            raise Invalid(f"{moment.isoformat()} has no UTC offset")
    symbol, exchange = parse_vt_symbol(vt_symbol)
    key = f"{to_vt_symbol(symbol, exchange)}.{interval}"
    total = next((item.count for item in store.overview() if item.key == key), 0)
    rows, first, last = 0, 0, 0
    partial = path.with_name(f".{path.name}.part")
    with tempfile.TemporaryDirectory(prefix="vnpy-core-export-", dir=scratch_dir) as folder:
        scratch = open_scratch(Path(folder))
        try:
            for part in chunks(store, symbol, exchange, interval, start, end, rows=_CHUNK_ROWS):
                scratch.register("part", dict(part.columns))
                scratch.execute("insert into rows from part" if rows else "create table rows as from part").fetchall()
                scratch.unregister("part")
                times = part.columns["datetime"]
                first = first if rows else int(times[0])
                last = int(times[-1])
                rows += len(part)
                if progress is not None:
                    progress(WRITING, rows, max(total, rows))
            if not rows:
                raise NotFound(f"No rows of {vt_symbol} {interval} are stored in that range")
            query = f"select {_written(interval, suffix)} from rows"  # noqa: S608 (our names)
            scratch.execute(f"copy ({query}) to {literal(str(partial))} ({_OPTIONS[suffix]})").fetchall()
            partial.replace(path)
        except (duckdb.IOException, OSError) as error:
            raise Unavailable(f"{path} cannot be written: {str(error).splitlines()[0]}") from error
        finally:
            scratch.close()
            partial.unlink(missing_ok=True)
    return ExportReport(
        path=path,
        vt_symbol=to_vt_symbol(symbol, exchange),
        interval=interval,
        rows=rows,
        start=to_timestamp(to_moment(first)),
        end=to_timestamp(to_moment(last)),
        seconds=time.monotonic() - began,
    )


def _written(interval: Interval, suffix: str) -> str:
    """Return the columns as the file has them."""
    made = "make_timestamptz" if suffix == ".parquet" else "make_timestamp"
    columns = []
    for name in time_columns(interval):
        moment = f"{made}(nullif({name}, {NO_TIME}))"
        if suffix != ".parquet":
            moment = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%f') || '+00:00'"
        columns.append(f"{moment} as {name}")
    columns += [f"case when not isnan({name}) then {name} end as {name}" for name in value_columns(interval)]
    return ", ".join(columns)
