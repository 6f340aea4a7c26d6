"""Say of which symbols a strategy is, what it holds of each, and whether it is to be loaded.

Revision: 0007, after 0006. A service of a version before goes on writing meanwhile: it leaves the columns empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_since_0004"
down_revision = "0006_since_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("strategy_states", sa.Column("vt_symbols", sa.JSON()))
    op.add_column("strategy_states", sa.Column("positions", sa.JSON()))
    op.add_column("strategies", sa.Column("vt_symbols", sa.JSON()))
    op.add_column("strategies", sa.Column("is_active", sa.Boolean()))


def downgrade() -> None:
    for table, column in (
        ("strategies", "is_active"),
        ("strategies", "vt_symbols"),
        ("strategy_states", "positions"),
        ("strategy_states", "vt_symbols"),
    ):
        op.drop_column(table, column)
