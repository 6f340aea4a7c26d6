"""What the simulated exchange remembers when its client dies: one SQLite file, written before the client is told.

A killed process loses nothing: a committed write is with the operating system (``synchronous=OFF`` spares the wait for
the disk, so only a power failure can lose the last moments). One process has the file at a time.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Status
from vnpy.trader.object import OrderData, TradeData

from vnpy_core.engine.sim.exchange import Changes, sequence_of
from vnpy_core.engine.sim.history import MinuteBar
from vnpy_core.engine.sim.walk import WalkState
from vnpy_core.errors import Unavailable

_VERSION = 1
_T = TypeVar("_T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    seq INTEGER PRIMARY KEY, orderid TEXT, symbol TEXT, exchange TEXT, type TEXT, direction TEXT, offset TEXT,
    price REAL, volume REAL, traded REAL, status TEXT, datetime TEXT, reference TEXT, extra BLOB, triggered INTEGER
);
CREATE TABLE IF NOT EXISTS trades (
    seq INTEGER PRIMARY KEY, tradeid TEXT, orderid TEXT, symbol TEXT, exchange TEXT, direction TEXT, offset TEXT,
    price REAL, volume REAL, datetime TEXT
);
CREATE TABLE IF NOT EXISTS positions (
    vt_symbol TEXT, direction TEXT, sign INTEGER, today REAL, yesterday REAL, cost INTEGER,
    PRIMARY KEY (vt_symbol, direction)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS walks (vt_symbol TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bars (
    vt_symbol TEXT, minute INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL, turnover REAL,
    interest REAL, PRIMARY KEY (vt_symbol, minute)
) WITHOUT ROWID;
"""
KEPT_BAR_DAYS = 60


class AccountState(msgspec.Struct, frozen=True):
    """The account's money in millionths, the counters that make ids unique, and the time at the exchange.

    ``feed`` says which market the clock belongs to; ``feed_finished``: that recording has been replayed to its end.
    """

    deposit: int
    realised: int
    commission: int
    order_count: int
    trade_count: int
    day: date | None
    clock: datetime | None
    feed: str
    feed_finished: bool


class StoredPosition(msgspec.Struct, frozen=True):
    vt_symbol: str
    direction: Direction
    sign: int
    today: float
    yesterday: float
    cost: int


class Saved(msgspec.Struct, frozen=True):
    """Everything an exchange starts again from."""

    account: AccountState
    orders: list[tuple[OrderData, bool]]
    trades: list[TradeData]
    positions: list[StoredPosition]


class FeedState(msgspec.Struct, frozen=True):
    """Where random walks stand, and the minute bars they have finished."""

    walks: Mapping[str, WalkState]
    bars: Sequence[tuple[str, MinuteBar]]


class Store(Protocol):
    """Keeps an exchange. All calls come under the exchange's lock."""

    def load(self, name: str, zone: tzinfo) -> Saved | None:
        """Return what was saved, with ``name`` as gateway name and times in ``zone``; None: a new exchange."""
        ...

    def save(self, changes: Changes, account: AccountState) -> None:
        """Write all or nothing."""
        ...

    def save_feed(self, state: FeedState, account: AccountState) -> None:
        """Write where the feed stands and the minute bars it has finished."""
        ...

    def walks(self) -> dict[str, WalkState]: ...
    def bars(self, vt_symbol: str, start: int, end: int) -> list[MinuteBar]:
        """Return the bars from minute ``start`` to ``end`` of the epoch, ascending."""
        ...

    def close(self) -> None: ...


class MemoryStore:
    """Nothing outlives the process: the exchange itself is the memory, this keeps its minute bars."""

    def __init__(self) -> None:
        self._bars: dict[str, dict[int, MinuteBar]] = {}

    def load(self, name: str, zone: tzinfo) -> Saved | None:
        return None

    def save(self, changes: Changes, account: AccountState) -> None:
        return

    def save_feed(self, state: FeedState, account: AccountState) -> None:
        for vt_symbol, bar in state.bars:
            self._bars.setdefault(vt_symbol, {})[bar[0]] = bar

    def walks(self) -> dict[str, WalkState]:
        return {}

    def bars(self, vt_symbol: str, start: int, end: int) -> list[MinuteBar]:
        return [bar for minute, bar in self._bars.get(vt_symbol, {}).items() if start <= minute <= end]

    def close(self) -> None:
        return


class FileStore:
    """One SQLite file, held exclusively.

    Raises:
        Unavailable: the file cannot be opened, belongs to another process, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"the simulated exchange cannot open {path}: {error}") from error
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=OFF"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(_SCHEMA)
            self._check_version()
        except sqlite3.Error as error:
            self._db.close()
            raise Unavailable(
                f"the simulated exchange cannot use {path} ({error}): end the process that has it, or move it away"
            ) from error
        except Unavailable:
            self._db.close()
            raise

    def _check_version(self) -> None:
        found = self._meta("version", int)
        if found is None:
            self._set_meta("version", _VERSION)
        elif found > _VERSION:
            raise Unavailable(f"{self.path} was written by a newer version: set `persist` to another path")

    def load(self, name: str, zone: tzinfo) -> Saved | None:
        account = self._meta("account", AccountState)
        if account is None:
            return None
        orders = [_order(name, zone, row) for row in self._db.execute("SELECT * FROM orders ORDER BY seq")]
        trades = [_trade(name, zone, row) for row in self._db.execute("SELECT * FROM trades ORDER BY seq")]
        positions = [
            StoredPosition(row[0], Direction[row[1]], *row[2:]) for row in self._db.execute("SELECT * FROM positions")
        ]
        return Saved(account, orders, trades, positions)

    def save(self, changes: Changes, account: AccountState) -> None:
        with self._transaction() as db:
            for order, triggered in changes.orders.values():
                db.execute("REPLACE INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", _order_row(order, triggered))
            for trade in changes.trades:
                db.execute("REPLACE INTO trades VALUES (?,?,?,?,?,?,?,?,?,?)", _trade_row(trade))
            for (vt_symbol, direction), (exposure, holding) in changes.holdings.items():
                volume_of = exposure.instrument.volume_of
                today, yesterday = volume_of(holding.today), volume_of(holding.yesterday)
                row = (vt_symbol, direction.name, holding.sign, today, yesterday, holding.cost)
                db.execute("REPLACE INTO positions VALUES (?,?,?,?,?,?)", row)
            if changes.dropped:
                gone = [(sequence_of(orderid),) for orderid in changes.dropped]
                db.executemany("DELETE FROM orders WHERE seq = ?", gone)
                db.execute("DELETE FROM trades WHERE orderid NOT IN (SELECT orderid FROM orders)")
            self._set_meta("account", account)

    def save_feed(self, state: FeedState, account: AccountState) -> None:
        with self._transaction() as db:
            rows = [(vt_symbol, msgspec.json.encode(walk)) for vt_symbol, walk in state.walks.items()]
            db.executemany("REPLACE INTO walks VALUES (?,?)", rows)
            if state.bars:
                bars = [(name, *bar) for name, bar in state.bars]
                db.executemany("REPLACE INTO bars VALUES (?,?,?,?,?,?,?,?,?)", bars)
                oldest = max(bar[0] for _, bar in state.bars) - KEPT_BAR_DAYS * 1440
                db.execute("DELETE FROM bars WHERE minute < ?", (oldest,))
            self._set_meta("account", account)

    def walks(self) -> dict[str, WalkState]:
        rows = self._db.execute("SELECT vt_symbol, state FROM walks")
        return {vt_symbol: msgspec.json.decode(state, type=WalkState) for vt_symbol, state in rows}

    def add_bars(self, rows: list[tuple[str, MinuteBar]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("REPLACE INTO bars VALUES (?,?,?,?,?,?,?,?,?)", [(name, *bar) for name, bar in rows])
        oldest = max(bar[0] for _, bar in rows) - KEPT_BAR_DAYS * 1440
        for name in {name for name, _ in rows}:
            self._db.execute("DELETE FROM bars WHERE vt_symbol = ? AND minute < ?", (name, oldest))
        self._db.execute("COMMIT")

    def bars(self, vt_symbol: str, start: int, end: int) -> list[MinuteBar]:
        query = "SELECT * FROM bars WHERE vt_symbol = ? AND minute BETWEEN ? AND ? ORDER BY minute"
        return [row[1:] for row in self._db.execute(query, (vt_symbol, start, end))]

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _meta(self, key: str, kind: type[_T]) -> _T | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def _set_meta(self, key: str, value: object) -> None:
        self._db.execute("REPLACE INTO meta VALUES (?,?)", (key, msgspec.json.encode(value)))


def _order_row(order: OrderData, triggered: bool) -> tuple[object, ...]:
    return (
        sequence_of(order.orderid), order.orderid, order.symbol, order.exchange.name, order.type.name,
        order.direction and order.direction.name, order.offset.name, order.price, order.volume, order.traded,
        order.status.name, _moment_text(order.datetime), order.reference,
        None if order.extra is None else msgspec.json.encode(order.extra), triggered,
    )  # fmt: skip


def _order(name: str, zone: tzinfo, row: tuple[Any, ...]) -> tuple[OrderData, bool]:
    _, orderid, symbol, exchange, kind, direction, offset, price, volume, traded, status, moment, reference = row[:13]
    order = OrderData(
        gateway_name=name, symbol=symbol, exchange=Exchange[exchange], orderid=orderid, type=OrderType[kind],
        direction=direction and Direction[direction], offset=Offset[offset], price=price, volume=volume,
        traded=traded, status=Status[status], datetime=_moment(moment, zone), reference=reference,
    )  # fmt: skip
    order.extra = None if row[13] is None else msgspec.json.decode(row[13])
    return order, bool(row[14])


def _trade_row(trade: TradeData) -> tuple[object, ...]:
    return (
        sequence_of(trade.tradeid.removeprefix("T")), trade.tradeid, trade.orderid, trade.symbol, trade.exchange.name,
        trade.direction and trade.direction.name, trade.offset.name, trade.price, trade.volume,
        _moment_text(trade.datetime),
    )  # fmt: skip


def _trade(name: str, zone: tzinfo, row: tuple[Any, ...]) -> TradeData:
    _, tradeid, orderid, symbol, exchange, direction, offset, price, volume, moment = row
    return TradeData(
        gateway_name=name, symbol=symbol, exchange=Exchange[exchange], orderid=orderid, tradeid=tradeid,
        direction=direction and Direction[direction], offset=Offset[offset], price=price, volume=volume,
        datetime=_moment(moment, zone),
    )  # fmt: skip


def _moment_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None, zone: tzinfo) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(zone)
