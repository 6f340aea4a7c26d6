"""Keep what strategies' performance is measured by.

Revision: 0010, after 0009. A service of the version before works on, and writes none of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_since_0004"
down_revision = "0009_since_0004"
branch_labels = None
depends_on = None

OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "symbol_closes",
        sa.Column("vt_symbol", sa.String(160), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("vt_symbol", "day"),
        **OPTIONS,
    )
    op.create_table(
        "symbol_terms",
        sa.Column("vt_symbol", sa.String(160), nullable=False),
        sa.Column("size", sa.Double(), nullable=False),
        sa.Column("net_position", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("vt_symbol"),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("symbol_terms")
    op.drop_table("symbol_closes")
