"""The SQL tables (long, as it is one list), as SQLAlchemy Core describes them: one schema for every server.

A facts table holds the latest state of each key, as the models have it: a column per field, and two more. ``seq`` is
the journal's number of the fact the row shows, and ``ts`` when that fact was stated. Orders and trades also have
``moment``, which the database computes: what they are listed by. The tables change together with ``migrations/``: a
contract test compares the two.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeDecorator

from vnpy_core.models import (
    Account,
    AlertRule,
    AuditEntry,
    Incident,
    Model,
    Order,
    OrderIntent,
    Position,
    Silence,
    Strategy,
    StrategyVariables,
    Trade,
    to_timestamp,
)

# Upgraded to at open; the newest revision in migrations/versions. Kept here as well, because looking there costs 80 ms.
SCHEMA_REVISION = "0013_since_0004"

metadata = MetaData(
    # Primary keys are named by the database: MySQL takes no name for them, and warns of each.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)


class WireTime(TypeDecorator[str]):
    """A wire timestamp in Python; in the database a time with microseconds, UTC."""

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value).astimezone(UTC)
        # The others have no time zone in their types, and would store the offset as text or drop it with a warning.
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what SQLAlchemy would; for SQLite, where it is a text, what writes that in a tenth of the time."""
        return _text_of_sqlite if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return to_timestamp(value.replace(tzinfo=UTC) if value.tzinfo is None else value)


def _text_of_sqlite(value: str | None) -> str | None:
    if value is None:
        return None
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


class No(ColumnElement[bool]):
    """The default ``false``, as each database tells it again: so the tables can be compared with the migrations."""

    inherit_cache = True


@compiles(No)
def _zero(element: No, compiler: SQLCompiler, **options: Any) -> str:
    return "0"


@compiles(No, "postgresql")
def _false(element: No, compiler: SQLCompiler, **options: Any) -> str:
    return "false"


LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
Bytes = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")

Name = String(128)
Gateway = String(64)
VtSymbol = String(160)
# A gateway's name, a dot and an id of the exchange's. Two of them make the key of a trade: 1,608 of the 3,072 bytes
# that an index of MySQL may have.
VtId = String(201)
# A VtId that rows are listed by: sorted by code points as Python does it, and as SQLite and utf8mb4_bin do anyway.
SortedVtId = VtId.with_variant(String(201, collation="C"), "postgresql")
Id = String(136)
EnumName = String(16)

# Ids differ in case alone at some exchanges ("a1", "A1"), which MySQL's default collation takes for the same.
_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _table(name: str, *items: Column[Any] | Index) -> Table:
    return Table(name, metadata, *items, **_OPTIONS)


def _facts(name: str, *items: Column[Any] | Index) -> Table:
    return _table(
        name, *items, Column("seq", BigInteger, nullable=False), Column("ts", WireTime, nullable=False)
    )


def _instrument() -> list[Column[Any]]:
    return [
        Column("gateway_name", Gateway, nullable=False),
        Column("symbol", Name, nullable=False),
        Column("exchange", EnumName, nullable=False),
    ]


def _moment() -> Column[Any]:
    """When it happened: gateways need not say, and then it is when we heard of it."""
    return Column("moment", WireTime, Computed("coalesce(datetime, ts)"))


orders = _facts(
    "orders",
    Column("vt_orderid", SortedVtId, primary_key=True),
    Column("orderid", Id, nullable=False),
    *_instrument(),
    Column("vt_symbol", VtSymbol, nullable=False),
    Column("type", EnumName, nullable=False),
    Column("direction", EnumName),
    Column("offset", EnumName, nullable=False),
    Column("price", Double),
    Column("volume", Double, nullable=False),
    Column("traded", Double, nullable=False),
    Column("status", EnumName, nullable=False),
    Column("datetime", WireTime),
    Column("reference", LongText, nullable=False),
    Column("client_order_id", Name),
    Column("rejected_reason", LongText),
    Column("replaces", VtId),
    Column("replaced_by", VtId),
    Column("external", Boolean, server_default=No(), nullable=False),
    _moment(),
    Index(None, "moment", "vt_orderid"),
    Index(None, "vt_symbol", "moment", "vt_orderid"),
    Index(None, "client_order_id"),
)

trades = _facts(
    "trades",
    # Both ids: an exchange gives both sides of a self-trade one trade id, and reuses it another day.
    Column("vt_tradeid", SortedVtId, primary_key=True),
    Column("vt_orderid", SortedVtId, primary_key=True),
    Column("tradeid", Id, nullable=False),
    Column("orderid", Id, nullable=False),
    *_instrument(),
    Column("vt_symbol", VtSymbol, nullable=False),
    Column("direction", EnumName),
    Column("offset", EnumName, nullable=False),
    Column("price", Double),
    Column("volume", Double, nullable=False),
    Column("datetime", WireTime),
    _moment(),
    Index(None, "moment", "vt_tradeid", "vt_orderid"),
    Index(None, "vt_symbol", "moment", "vt_tradeid", "vt_orderid"),
    Index(None, "vt_orderid"),
)

positions = _facts(
    "positions",
    Column("vt_positionid", String(250), primary_key=True),
    *_instrument(),
    Column("vt_symbol", VtSymbol, nullable=False),
    Column("direction", EnumName, nullable=False),
    Column("volume", Double, nullable=False),
    Column("frozen", Double, nullable=False),
    Column("price", Double),
    Column("pnl", Double),
    Column("yd_volume", Double, nullable=False),
)

accounts = _facts(
    "accounts",
    Column("vt_accountid", VtId, primary_key=True),
    Column("accountid", Id, nullable=False),
    Column("gateway_name", Gateway, nullable=False),
    Column("balance", Double),
    Column("frozen", Double),
    Column("available", Double),
)

order_intents = _facts(
    "order_intents",
    Column("intent_id", String(64), primary_key=True),
    Column("client_order_id", Name),
    *_instrument(),
    Column("direction", EnumName, nullable=False),
    Column("offset", EnumName, nullable=False),
    Column("type", EnumName, nullable=False),
    Column("price", Double, nullable=False),
    Column("volume", Double, nullable=False),
    Column("reference", LongText, nullable=False),
    Column("created", WireTime, nullable=False),
    Column("outcome", String(32)),
    Column("vt_orderid", VtId),
    Column("reason", LongText),
    Column("replaces", VtId),
    Index(None, "created"),
    Index(None, "client_order_id"),
)

# What the engine says of a strategy; what the user wants of it is in ``strategies``.
strategy_states = _facts(
    "strategy_states",
    Column("strategy_name", Name, primary_key=True),
    Column("class_name", Name, nullable=False),
    Column("engine", Gateway, nullable=False),
    Column("vt_symbol", VtSymbol, nullable=False),
    Column("author", LongText, nullable=False),
    Column("state", EnumName, nullable=False),
    Column("inited", Boolean, nullable=False),
    Column("trading", Boolean, nullable=False),
    Column("auto_start", Boolean, nullable=False),
    Column("pos", Double),
    Column("parameters", JSON, nullable=False),
    Column("variables", JSON, nullable=False),
    Column("error", LongText),
    Column("desired_state", EnumName, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("paused", Boolean, nullable=False, server_default=No()),
    Column("vt_symbols", JSON),
    Column("positions", JSON),
)

# What strategies are given back at their next initialisation: every state they were saved in, the newest last.
strategy_variables = _facts(
    "strategy_variables",
    Column("strategy_name", Name, primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("engine", Gateway, nullable=False),
    Column("datetime", WireTime, nullable=False),
    Column("variables", JSON, nullable=False),
    Column("fills", JSON, nullable=False),
    Column("removed", Boolean, nullable=False),
)

strategies = _table(
    "strategies",
    Column("strategy_name", Name, primary_key=True),
    Column("class_name", Name, nullable=False),
    Column("engine", Gateway, nullable=False),
    Column("vt_symbol", VtSymbol, nullable=False),
    Column("setting", JSON, nullable=False),
    Column("auto_start", Boolean, nullable=False),
    Column("desired_state", EnumName, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_by", Name, nullable=False),
    Column("updated", WireTime, nullable=False),
    Column("paused", Boolean, nullable=False, server_default=No()),
    Column("vt_symbols", JSON),
    Column("is_active", Boolean),
)

# How much of a strategy's pos is in no recorded trade of its orders: what it began with, or what somebody accepted.
strategy_baselines = _table(
    "strategy_baselines",
    Column("strategy_name", Name, primary_key=True),
    Column("beyond_trades", Double, nullable=False),
    Column("set_by", Name, nullable=False),
    Column("set_at", WireTime, nullable=False),
)

# Strategy files that were uploaded: every version of each, for ever. ``result`` is what its check has found.
strategy_files = _table(
    "strategy_files",
    Column("file_name", Gateway, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("source", LongText, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("classes", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("comment", LongText, nullable=False),
    Column("uploaded_by", Name, nullable=False),
    Column("created", WireTime, nullable=False),
    Column("restores", Integer),
    Column("deleted", Boolean, nullable=False),
)

# What strategies' performance is measured by: the last price of each trading day, and what a symbol's contract is like,
# also of one that no gateway has any more. ``seq`` is the microsecond it was seen, so that no row goes back.
symbol_closes = _table(
    "symbol_closes",
    Column("vt_symbol", VtSymbol, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("price", Double, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

symbol_terms = _table(
    "symbol_terms",
    Column("vt_symbol", VtSymbol, primary_key=True),
    Column("size", Double, nullable=False),
    Column("net_position", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

strategy_logs = _table(
    "strategy_logs",
    Column("log_id", String(32), primary_key=True),
    Column("strategy_name", Name, nullable=False),
    Column("level", String(32), nullable=False),
    Column("message", LongText, nullable=False),
    Column("source", Gateway, nullable=False),
    Column("datetime", WireTime, nullable=False),
    Index(None, "strategy_name", "log_id"),
    Index(None, "datetime"),
)

# How far a sink that keeps its rows here has come, and in which journal: written in the transaction of the rows, so
# that a database that was restored, replaced or has lost its last moments is filled again from where it really is.
sink_cursors = _table(
    "sink_cursors",
    Column("sink", String(32), primary_key=True),
    Column("journal", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

# Facts that the database refuses for their content, as the journal had them: nothing in them is interpreted.
dead_letters = _table(
    "dead_letters",
    Column("sink", String(32), primary_key=True),
    Column("journal", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("topic", Name, nullable=False),
    Column("ts", String(40), nullable=False),
    Column("payload", Bytes, nullable=False),
    Column("reason", LongText, nullable=False),
    Column("buried", WireTime, nullable=False),
)

# Who did what. The service only ever adds to it; the entries of the command line have no number of the journal's.
audit_log = _facts(
    "audit_log",
    Column("audit_id", String(64), primary_key=True),
    Column("actor", Name, nullable=False),
    Column("credential", Name, nullable=False),
    Column("address", Name, nullable=False),
    Column("action", String(255), nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("code", Name),
    Column("request_id", Name, nullable=False),
    Column("detail", LongText, nullable=False),
    Index(None, "actor", "audit_id"),
)

alert_incidents = _facts(
    "alert_incidents",
    Column("incident_id", String(64), primary_key=True),
    Column("alert_id", String(250), nullable=False),
    Column("rule", Name, nullable=False),
    Column("severity", Name, nullable=False),
    Column("summary", LongText, nullable=False),
    Column("detail", LongText, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("value", Double),
    Column("state", EnumName, nullable=False),
    Column("began", WireTime, nullable=False),
    Column("fired", WireTime),
    Column("acknowledged", WireTime),
    Column("acknowledged_by", Name),
    Column("note", LongText, nullable=False),
    Column("silenced_by", String(250)),
    Column("resolved", WireTime),
    Column("notified", WireTime),
    Column("outstanding", JSON, nullable=False),
    Column("delivered", JSON, nullable=False),
    Column("failed", JSON, nullable=False),
    Index(None, "alert_id"),
)

alert_rules = _facts(
    "alert_rules",
    Column("name", Name, primary_key=True),
    Column("rule", JSON, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("updated", WireTime, nullable=False),
    Column("updated_by", Name, nullable=False),
)

alert_silences = _facts(
    "alert_silences",
    Column("silence_id", String(64), primary_key=True),
    Column("matchers", JSON, nullable=False),
    Column("starts", WireTime, nullable=False),
    Column("ends", WireTime, nullable=False),
    Column("reason", LongText, nullable=False),
    Column("created", WireTime, nullable=False),
    Column("created_by", Name, nullable=False),
    Column("over", Boolean, nullable=False),
)

users = _table(
    "users",
    Column("username", Gateway, primary_key=True),
    Column("role", EnumName, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", String(255)),
    Column("totp_secret", LongText),
    Column("totp_confirmed", Boolean, nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("link_hash", String(64)),
    Column("link_expires", WireTime),
    Column("created", WireTime, nullable=False),
    Column("password_changed", WireTime),
)

api_keys = _table(
    "api_keys",
    Column("key_id", String(32), primary_key=True),
    Column("username", Gateway, nullable=False),
    Column("name", Name, nullable=False),
    Column("key_hash", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("networks", JSON, nullable=False),
    Column("created", WireTime, nullable=False),
    Column("expires", WireTime),
    Column("last_used", WireTime),
    Column("revoked", WireTime),
)

sessions = _table(
    "sessions",
    Column("session_id", String(32), primary_key=True),
    Column("username", Gateway, nullable=False),
    Column("refresh_hash", String(64), nullable=False),
    Column("address", Name, nullable=False),
    Column("client", Name, nullable=False),
    Column("created", WireTime, nullable=False),
    Column("expires", WireTime, nullable=False),
    Column("last_used", WireTime, nullable=False),
    Column("revoked", WireTime),
)

# One row, counted up with each change of the three above: so each process knows when to read them again.
access_revision = _table(
    "access_revision",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

# One row: the service that works with this database, until ``expires``. Nobody does if ``holder``, a name drawn at its
# start, is NULL; the rest then tells who was the last.
database_lease = _table(
    "database_lease",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(32)),
    Column("journal", BigInteger),
    Column("host", Name),
    Column("pid", BigInteger),
    Column("data_dir", LongText),
    Column("acquired", WireTime),
    Column("renewed", WireTime),
    Column("expires", WireTime),
)

# Of these each fact is a row of its own.
HISTORIES: frozenset[Table] = frozenset((strategy_variables,))
# What was given over the API to connect a gateway by, encrypted (security/keys.py).
gateway_settings = _table(
    "gateway_settings",
    Column("gateway_name", Gateway, primary_key=True),
    Column("setting", LongText, nullable=False),
    Column("updated", WireTime, nullable=False),
)

FACT_TABLES: dict[type[Model], Table] = {
    Order: orders,
    Trade: trades,
    Position: positions,
    Account: accounts,
    OrderIntent: order_intents,
    Strategy: strategy_states,
    StrategyVariables: strategy_variables,
    AuditEntry: audit_log,
    Incident: alert_incidents,
    AlertRule: alert_rules,
    Silence: alert_silences,
}
