"""Create the tables of users, API keys, sessions and the audit log.

Revision: 0003, after 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
NAME, ENUM, HASH, USERNAME, ID = sa.String(128), sa.String(16), sa.String(64), sa.String(64), sa.String(32)


def upgrade() -> None:
    create(
        "audit_log",
        ["audit_id"],
        required("audit_id", sa.String(64)),
        required("actor", NAME),
        required("credential", NAME),
        required("address", NAME),
        required("action", sa.String(255)),
        required("status", sa.BigInteger()),
        optional("code", NAME),
        required("request_id", NAME),
        required("detail", TEXT),
        required("seq", sa.BigInteger()),
        required("ts", TIME),
    )
    op.create_index(op.f("ix_audit_log_actor_audit_id"), "audit_log", ["actor", "audit_id"])
    create(
        "users",
        ["username"],
        required("username", USERNAME),
        required("role", ENUM),
        required("disabled", sa.Boolean()),
        optional("password_hash", sa.String(255)),
        optional("totp_secret", TEXT),
        required("totp_confirmed", sa.Boolean()),
        required("totp_step", sa.BigInteger()),
        optional("link_hash", HASH),
        optional("link_expires", TIME),
        required("created", TIME),
        optional("password_changed", TIME),
    )
    create(
        "api_keys",
        ["key_id"],
        required("key_id", ID),
        required("username", USERNAME),
        required("name", NAME),
        required("key_hash", HASH),
        required("scopes", sa.JSON()),
        required("networks", sa.JSON()),
        required("created", TIME),
        optional("expires", TIME),
        optional("last_used", TIME),
        optional("revoked", TIME),
    )
    create(
        "sessions",
        ["session_id"],
        required("session_id", ID),
        required("username", USERNAME),
        required("refresh_hash", HASH),
        required("address", NAME),
        required("client", NAME),
        required("created", TIME),
        required("expires", TIME),
        required("last_used", TIME),
        optional("revoked", TIME),
    )
    create(
        "access_revision",
        ["id"],
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        required("revision", sa.BigInteger()),
    )
    revisions = sa.table("access_revision", sa.column("id", sa.Integer()), sa.column("revision", sa.BigInteger()))
    op.bulk_insert(revisions, [{"id": 1, "revision": 0}])


def downgrade() -> None:
    for table in ("access_revision", "sessions", "api_keys", "users", "audit_log"):
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


def required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def optional(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)
