"""List orders and trades by the moment they happened.

Revision: 0002, after 0001. A service of the version before goes on writing meanwhile: the database computes the column.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
KEYS = {"orders": ["vt_orderid"], "trades": ["vt_tradeid", "vt_orderid"]}


def upgrade() -> None:
    for table, key in KEYS.items():
        collate(table, key, "C")
        # SQLite adds no column that is stored; PostgreSQL before 18 knows no other.
        stored = True if op.get_bind().dialect.name == "postgresql" else None
        op.add_column(table, sa.Column("moment", TIME, sa.Computed("coalesce(datetime, ts)", persisted=stored)))
        index(table, "moment", *key)
        index(table, "vt_symbol", "moment", *key)
        drop_index(table, "datetime")
        drop_index(table, "vt_symbol", "datetime")


def downgrade() -> None:
    for table, key in KEYS.items():
        index(table, "datetime")
        index(table, "vt_symbol", "datetime")
        drop_index(table, "moment", *key)
        drop_index(table, "vt_symbol", "moment", *key)
        op.drop_column(table, "moment")
        collate(table, key, "default")


def collate(table: str, key: list[str], collation: str) -> None:
    """Have PostgreSQL sort the keys as the others do it, whatever the database's own collation is."""
    if op.get_bind().dialect.name == "postgresql":
        for column in key:
            op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE VARCHAR(201) COLLATE "{collation}"')


def index(table: str, *columns: str) -> None:
    op.create_index(named(table, *columns), table, list(columns))


def drop_index(table: str, *columns: str) -> None:
    op.drop_index(named(table, *columns), table)


def named(table: str, *columns: str) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")
