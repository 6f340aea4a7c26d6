"""A CSV, CSV.gz or Parquet file as a table for DuckDB, and the numbers of its rows."""

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec
import numpy as np
from duckdb import DuckDBPyConnection

from vnpy_core.data.history.series import Int64s
from vnpy_core.errors import DataError, Invalid

SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet")
_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 1 << 16
_TEXT = "VARCHAR"


class Source(msgspec.Struct, frozen=True):
    """``relation`` has one row for each of the file's, in its order; ``fields`` are expressions of its columns.

    Args:
        first_row: the number of the first data row, as an editor or a spreadsheet counts: a header is row 1.
        broken: an expression that is the reason why a row cannot be split into its fields, '' for a blank one.
    """

    header: tuple[str, ...]
    fields: tuple[str, ...]
    types: tuple[str, ...]
    relation: str
    first_row: int
    broken: str = "null"

    def text(self, places: Sequence[int]) -> str:
        """Return an expression of what is written there, joined by a blank if it is in several columns."""
        return " || ' ' || ".join(f"trim(cast({self.fields[place]} as varchar))" for place in places)

    def value(self, place: int) -> str:
        """Return an expression of a number there, or of the text that is to be one."""
        return self.text([place]) if self.types[place] == _TEXT else self.fields[place]

    def absent(self, place: int, value: str) -> str:
        """Return the condition that ``value``, read from there, says nothing."""
        return f"({value} is null or {value} = '')" if self.types[place] == _TEXT else f"{value} is null"


def open_source(
    connection: DuckDBPyConnection, path: Path, folder: Path, names: Sequence[str] | None, delimiter: str | None
) -> Source:
    """Return the file as a source.

    Args:
        folder: where a link to the file is made, because DuckDB would take ``*`` or ``[`` in a name for a pattern.
        names: the columns of a file without header.

    Raises:
        Invalid: there is no such file, or it is of no known kind.
        DataError: it cannot be read.
    """
    suffix = next((known for known in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(known)), "")
    if not suffix:
        raise Invalid(f"{path.name} is of no known kind: {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise Invalid(f"There is no file {path}")
    link = folder / f"source{suffix}"
    link.symlink_to(path.resolve())
    if suffix == ".parquet":
        return _parquet(connection, path, link)
    return _csv(path, link, names, delimiter)


def _parquet(connection: DuckDBPyConnection, path: Path, link: Path) -> Source:
    relation = f"read_parquet({literal(str(link))})"
    try:
        found = connection.execute(f"describe select * from {relation}").fetchall()  # noqa: S608 (quoted)
    except duckdb.Error as error:
        raise DataError(f"{path.name} is no readable Parquet file: {str(error).splitlines()[0]}") from error
    names = tuple(row[0] for row in found)
    quoted = tuple('"' + name.replace('"', '""') + '"' for name in names)
    return Source(names, quoted, tuple(row[1] for row in found), relation, 1)


def _csv(path: Path, link: Path, names: Sequence[str] | None, delimiter: str | None) -> Source:
    first = _first_line(path)
    delimiter = delimiter or max(_DELIMITERS, key=first.count)
    header = tuple(names) if names else tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter)))
    if delimiter not in tuple(_DELIMITERS):
        raise Invalid(f"The delimiter {delimiter!r} is none of {' '.join(map(repr, _DELIMITERS))}")
    # Whole lines, split here: so a bad line is one bad row with its number, and DuckDB's parser is no faster.
    lines = (
        f"read_csv({literal(str(link))}, header=false, skip={0 if names else 1}, auto_detect=false, delim='\x01',"
        " quote='', escape='', strict_mode=false, store_rejects=true, rejects_limit=0,"
        f" columns={{'line': '{_TEXT}'}})"
    )
    mark = literal(delimiter)
    quoted = literal(f'("(?:[^"]|"")*"|[^{delimiter}]*)[{delimiter}]')
    fields = (
        f"case when contains(line, '\"') then list_transform(regexp_extract_all(line || {mark}, {quoted}, 1),"
        f" lambda field: trim(field, '\"')) else string_split(line, {mark}) end"
    )
    relation = f"(select line, {fields} as fields from (select rtrim(line, chr(13)) as line from {lines}))"  # noqa: S608
    count = len(header)
    return Source(
        header,
        tuple(f"fields[{place + 1}]" for place in range(count)),
        (_TEXT,) * count,
        relation,
        1 if names else 2,
        f"case when line is null or trim(line) = '' then ''"
        f" when len(fields) <> {count} then len(fields) || ' fields where {count} are expected' end",
    )


def _first_line(path: Path) -> str:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline=None) as file:
            line: str = file.readline(_SAMPLE_CHARACTERS)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    if not line.strip():
        raise DataError(f"{path.name} is empty, or its first line is")
    return line.rstrip("\r\n")


def unreadable_rows(connection: DuckDBPyConnection) -> tuple[Int64s, list[str]]:
    """Return the numbers of the lines that DuckDB could not read as text, ascending, and why."""
    tables = connection.execute("select count(*) from duckdb_tables() where table_name = 'reject_errors'").fetchall()
    if not tables[0][0]:
        return np.empty(0, np.int64), []
    found = connection.execute("select line, min(error_type) from reject_errors group by line order by line").fetchall()
    reasons = ["not UTF-8" if kind == "INVALID ENCODING" else str(kind).lower() for _, kind in found]
    return np.array([line for line, _ in found], np.int64), reasons


def row_numbers(places: Int64s, first_row: int, missing: Int64s) -> Int64s:
    """Return the file's numbers of rows by their places among those that were read; ``missing`` were not."""
    skipped = np.searchsorted(missing - first_row - np.arange(len(missing)), places, side="right")
    numbers: Int64s = places + first_row + skipped
    return numbers


def literal(text: str) -> str:
    """Return ``text`` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
