"""Say which order another one was sent in place of.

Revision: 0004, after 0003. A service of the version before goes on writing meanwhile: it leaves the columns empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = (("orders", "replaces"), ("orders", "replaced_by"), ("order_intents", "replaces"))


def upgrade() -> None:
    for table, column in COLUMNS:
        if op.get_bind().dialect.name == "sqlite":
            # SQLite keeps this text, and SQLAlchemy takes the rest of the line for part of the computed column before.
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column}\nVARCHAR(201)")
        else:
            op.add_column(table, sa.Column(column, sa.String(201)))


def downgrade() -> None:
    for table, column in COLUMNS:
        op.drop_column(table, column)
