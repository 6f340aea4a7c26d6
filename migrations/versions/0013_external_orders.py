"""Say which orders another program has sent.

Revision: 0013, after 0012. A service of the version before goes on writing meanwhile: its orders count as its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013_since_0004"
down_revision = "0012_since_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # SQLite keeps this text, and SQLAlchemy takes the rest of the line for part of the computed column before.
        op.execute("ALTER TABLE orders ADD COLUMN external\nBOOLEAN DEFAULT 0 NOT NULL")
    else:
        op.add_column("orders", sa.Column("external", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("orders", "external")
