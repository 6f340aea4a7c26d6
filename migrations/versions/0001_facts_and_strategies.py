"""Create the tables of facts and strategies.

Revision: 0001, the first
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")
NAME, ENUM, ID = sa.String(128), sa.String(16), sa.String(136)
GATEWAY, VT_SYMBOL, VT_ID = sa.String(64), sa.String(160), sa.String(201)


def upgrade() -> None:
    create(
        "orders",
        ["vt_orderid"],
        required("vt_orderid", VT_ID),
        required("orderid", ID),
        *instrument(),
        required("vt_symbol", VT_SYMBOL),
        required("type", ENUM),
        optional("direction", ENUM),
        required("offset", ENUM),
        optional("price", sa.Double()),
        required("volume", sa.Double()),
        required("traded", sa.Double()),
        required("status", ENUM),
        optional("datetime", TIME),
        required("reference", TEXT),
        optional("client_order_id", NAME),
        optional("rejected_reason", TEXT),
        *journaled(),
    )
    index("orders", "datetime")
    index("orders", "vt_symbol", "datetime")
    index("orders", "client_order_id")
    create(
        "trades",
        ["vt_tradeid", "vt_orderid"],
        required("vt_tradeid", VT_ID),
        required("vt_orderid", VT_ID),
        required("tradeid", ID),
        required("orderid", ID),
        *instrument(),
        required("vt_symbol", VT_SYMBOL),
        optional("direction", ENUM),
        required("offset", ENUM),
        optional("price", sa.Double()),
        required("volume", sa.Double()),
        optional("datetime", TIME),
        *journaled(),
    )
    index("trades", "datetime")
    index("trades", "vt_symbol", "datetime")
    index("trades", "vt_orderid")
    create(
        "positions",
        ["vt_positionid"],
        required("vt_positionid", sa.String(250)),
        *instrument(),
        required("vt_symbol", VT_SYMBOL),
        required("direction", ENUM),
        required("volume", sa.Double()),
        required("frozen", sa.Double()),
        optional("price", sa.Double()),
        optional("pnl", sa.Double()),
        required("yd_volume", sa.Double()),
        *journaled(),
    )
    create(
        "accounts",
        ["vt_accountid"],
        required("vt_accountid", VT_ID),
        required("accountid", ID),
        required("gateway_name", GATEWAY),
        optional("balance", sa.Double()),
        optional("frozen", sa.Double()),
        optional("available", sa.Double()),
        *journaled(),
    )
    create(
        "order_intents",
        ["intent_id"],
        required("intent_id", sa.String(64)),
        optional("client_order_id", NAME),
        *instrument(),
        required("direction", ENUM),
        required("offset", ENUM),
        required("type", ENUM),
        required("price", sa.Double()),
        required("volume", sa.Double()),
        required("reference", TEXT),
        required("created", TIME),
        optional("outcome", sa.String(32)),
        optional("vt_orderid", VT_ID),
        optional("reason", TEXT),
        *journaled(),
    )
    index("order_intents", "created")
    index("order_intents", "client_order_id")
    create(
        "strategy_states",
        ["strategy_name"],
        *strategy(),
        required("author", TEXT),
        required("state", ENUM),
        required("inited", sa.Boolean()),
        required("trading", sa.Boolean()),
        required("auto_start", sa.Boolean()),
        optional("pos", sa.Double()),
        required("parameters", sa.JSON()),
        required("variables", sa.JSON()),
        optional("error", TEXT),
        required("desired_state", ENUM),
        required("revision", sa.BigInteger()),
        *journaled(),
    )
    create(
        "strategies",
        ["strategy_name"],
        *strategy(),
        required("setting", sa.JSON()),
        required("auto_start", sa.Boolean()),
        required("desired_state", ENUM),
        required("version", sa.Integer()),
        required("updated_by", NAME),
        required("updated", TIME),
    )
    create(
        "sink_cursors",
        ["sink"],
        required("sink", sa.String(32)),
        required("journal", sa.BigInteger()),
        required("seq", sa.BigInteger()),
    )
    create(
        "dead_letters",
        ["sink", "journal", "seq"],
        required("sink", sa.String(32)),
        sa.Column("journal", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        required("topic", NAME),
        required("ts", sa.String(40)),
        required("payload", BYTES),
        required("reason", TEXT),
        required("buried", TIME),
    )


def downgrade() -> None:
    for table in (
        "dead_letters",
        "sink_cursors",
        "strategies",
        "strategy_states",
        "order_intents",
        "accounts",
        "positions",
        "trades",
        "orders",
    ):
        op.drop_table(table)


def create(table: str, key: list[str], *columns: sa.Column[Any]) -> None:
    op.create_table(
        table,
        *columns,
        sa.PrimaryKeyConstraint(*key),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def optional(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def instrument() -> list[sa.Column[Any]]:
    return [required("gateway_name", GATEWAY), required("symbol", NAME), required("exchange", ENUM)]


def strategy() -> list[sa.Column[Any]]:
    return [
        required("strategy_name", NAME),
        required("class_name", NAME),
        required("engine", GATEWAY),
        required("vt_symbol", VT_SYMBOL),
    ]


def journaled() -> list[sa.Column[Any]]:
    return [required("seq", sa.BigInteger()), required("ts", TIME)]
