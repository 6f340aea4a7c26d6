"""The journal's file: the SQL of it, blocking. One writer and one reader, each on a thread and connection of its own.

``facts`` holds every fact under its ``seq``; ``state`` says for each key which of them is the latest (written in the
same transaction), so that a start reads what lives and not what ever happened.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import msgspec

from vnpy_core.errors import Unavailable
from vnpy_core.events import Event

Synchronous = Literal["NORMAL", "FULL"]

SCHEMA_VERSION = 1
_LOCK_WAIT_S = 1.0
_PRUNE_ROWS = 1000

_SCHEMA = """
CREATE TABLE facts (
    seq INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    ts TEXT NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE state (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    final INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('pruned_seq', 0), ('checks', 0);
"""

# One statement is a whole commit. Each statement lets go of the interpreter and waits for it again, while the loop has
# it: with begin, a statement for each row and commit, that was most of what a commit took.
_TAKE_FACTS = """
CREATE TEMP VIEW taken AS SELECT seq, topic, kind, key, ts, payload, 0 AS final FROM facts;
CREATE TEMP TRIGGER take INSTEAD OF INSERT ON taken BEGIN
    INSERT INTO facts (seq, topic, kind, key, ts, payload)
    VALUES (NEW.seq, NEW.topic, NEW.kind, NEW.key, NEW.ts, NEW.payload);
    INSERT INTO state (kind, key, first_seq, seq, final) VALUES (NEW.kind, NEW.key, NEW.seq, NEW.seq, NEW.final)
    ON CONFLICT (kind, key) DO UPDATE SET
        first_seq = CASE WHEN final AND NOT excluded.final THEN excluded.seq ELSE first_seq END,
        seq = excluded.seq, final = excluded.final;
END;
"""
_ROWS, _COLUMNS = 64, 7
_INSERTS = [f"INSERT INTO taken VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * rows)}" for rows in range(_ROWS + 1)]  # noqa: S608
_LATEST = """
SELECT state.first_seq, facts.seq, facts.topic, facts.ts, facts.payload
FROM state CROSS JOIN facts ON facts.seq = state.seq
WHERE state.kind = :kind AND (NOT state.final OR state.seq >= coalesce(
    (SELECT seq FROM state WHERE kind = :kind AND final ORDER BY seq DESC LIMIT 1 OFFSET :newest - 1), 0))
ORDER BY state.first_seq
"""
_FIND = """
SELECT state.first_seq, facts.seq, facts.topic, facts.ts, facts.payload
FROM state CROSS JOIN facts ON facts.seq = state.seq
WHERE state.kind = ? AND state.key = ?
"""
# What may go of the rows up to :upto: those that are final, and those that a later one of their key has replaced.
_PRUNABLE = """
seq <= :upto AND seq > :after AND NOT EXISTS (
    SELECT 1 FROM state WHERE state.kind = facts.kind AND state.key = facts.key
    AND state.seq = facts.seq AND NOT state.final)
"""


class JournalRecord(msgspec.Struct, frozen=True, gc=False):
    """A fact as stored; ``payload`` is its JSON."""

    seq: int
    topic: str
    ts: str
    payload: bytes


class Latest(msgspec.Struct, frozen=True, gc=False):
    """The latest fact of a key, and the ``seq`` of the first one: the first ever, or since it was last final."""

    first_seq: int
    record: JournalRecord


class JournalReader:
    """The reading connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        self._connection = _connect(self._path)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, after: int, limit: int) -> list[JournalRecord]:
        rows = _opened(self._connection).execute(
            "SELECT seq, topic, ts, payload FROM facts WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
        return [JournalRecord(*row) for row in rows]

    def latest(self, kind: str, newest: int) -> list[Latest]:
        rows = _opened(self._connection).execute(_LATEST, {"kind": kind, "newest": newest})
        return [Latest(first_seq, JournalRecord(*row)) for first_seq, *row in rows]

    def find(self, kind: str, key: str) -> Latest | None:
        row = _opened(self._connection).execute(_FIND, (kind, key)).fetchone()
        return None if row is None else Latest(row[0], JournalRecord(*row[1:]))

    def checkpoint(self) -> int:
        """Move the log into the file, beside the writing, and return how many pages the log has."""
        _, pages, _ = _opened(self._connection).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)


class JournalWriter:
    """The writing connection. ``last_seq`` and ``first_seq`` may be read from any thread."""

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self.identity = 0
        self.last_seq = 0
        self.first_seq = 1
        self._path = path
        self._synchronous = synchronous
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"The folder of the journal cannot be made: {error}") from error
        self._connection = _connect(self._path)
        try:
            self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._prepare(self._connection)
        except BaseException:
            self.close()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise Unavailable(
                f"The journal {self._path} was written by a newer version (schema {version}, this one knows "
                f"{SCHEMA_VERSION}). Start that version, or move the file away.",
                code="journal_too_new",
            )
        if version == 0:
            connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        connection.executescript(_TAKE_FACTS)
        (self.last_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM facts").fetchone()
        connection.execute("INSERT INTO meta VALUES ('identity', abs(random())) ON CONFLICT (name) DO NOTHING")
        (self.identity,) = connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone()
        (pruned,) = connection.execute("SELECT value FROM meta WHERE name = 'pruned_seq'").fetchone()
        self.first_seq = pruned + 1

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()  # the last connection: SQLite moves the log into the file
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = _opened(self._connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def append(self, events: Sequence[Event]) -> None:
        values: list[object] = []
        for seq, event in enumerate(events, self.last_seq + 1):
            data = event.data
            values += seq, event.topic, data.topic, data.key, event.ts, event.payload, data.is_final
        size = _ROWS * _COLUMNS
        parts = [values[begin : begin + size] for begin in range(0, len(values), size)]
        connection = _opened(self._connection)
        with self._transaction() if len(parts) > 1 else nullcontext():
            for part in parts:
                connection.execute(_INSERTS[len(part) // _COLUMNS], part)
        for seq, event in enumerate(events, self.last_seq + 1):
            event.seq = seq
        self.last_seq += len(events)

    def check(self) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'checks'")

    def restart_log(self) -> None:
        """Move what is left of the log and begin it anew; nothing is appended meanwhile."""
        _opened(self._connection).execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def cursor(self, name: str) -> int:
        with self._transaction() as connection:
            connection.execute("INSERT INTO cursors VALUES (?, 0) ON CONFLICT (name) DO NOTHING", (name,))
            (seq,) = connection.execute("SELECT seq FROM cursors WHERE name = ?", (name,)).fetchone()
        return int(seq)

    def set_cursor(self, name: str, seq: int) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq", (name, seq)
            )

    def forget_cursor(self, name: str) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM cursors WHERE name = ?", (name,))

    def prune_limit(self, before_ts: str, keep_after_seq: int) -> int:
        """Return the last ``seq`` that is old enough; found by halving, as the facts' times grow with their numbers."""
        connection = _opened(self._connection)
        (passed,) = connection.execute("SELECT coalesce(min(seq), ?) FROM cursors", (self.last_seq,)).fetchone()
        low, high = 0, min(passed, keep_after_seq, self.last_seq - 1)
        while low < high:
            middle = (low + high + 1) // 2
            row = connection.execute(
                "SELECT ts FROM facts WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (middle,)
            ).fetchone()
            if row is None or row[0] < before_ts:
                low = middle
            else:
                high = middle - 1
        return low

    def prune_some(self, after: int, upto: int) -> tuple[int, int]:
        """Remove up to 1,000 rows after ``after``; return how many, and where to go on."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT seq FROM facts WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?",
                (after, upto, _PRUNE_ROWS - 1),
            ).fetchone()
            until = row[0] if row is not None else upto
            span = {"after": after, "upto": until}
            connection.execute(
                "DELETE FROM state WHERE final AND (kind, key, seq) IN "  # noqa: S608 - constant texts
                f"(SELECT kind, key, seq FROM facts WHERE {_PRUNABLE})",
                span,
            )
            removed = connection.execute(f"DELETE FROM facts WHERE {_PRUNABLE}", span).rowcount  # noqa: S608
            if removed:
                connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'pruned_seq'", (until,))
                self.first_seq = max(self.first_seq, until + 1)
        return removed, until


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=2 * _ROWS
    )
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _opened(connection: sqlite3.Connection | None) -> sqlite3.Connection:
    if connection is None:
        raise Unavailable("The journal is not open.")
    return connection


def explain(error: sqlite3.Error) -> str:
    """Return what is wrong and what the operator should do."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return f"cannot be written ({error}): free space on its disk. Nothing of it was written."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"is locked by another program ({error}): close whatever else has opened it."
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return f"cannot be written ({error}): give this process's user write access to it and its folder."
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return (
            f"is damaged ({error}). Stop the service, move the file and its -wal and -shm away, restore a backup if "
            "there is one, and start again; orders and trades recorded so far are also in the SQL database."
        )
    return f"failed ({error})."
