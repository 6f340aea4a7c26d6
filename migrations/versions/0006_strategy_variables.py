"""Keep the saved variables of strategies, whether one is paused, and what its pos is checked against.

Revision: 0006, after 0005. A service of the versions since 0004 goes on writing meanwhile: to it no strategy is paused.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006_since_0004"
down_revision = "0005_since_0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
PAUSED = ("strategies", "strategy_states")


def upgrade() -> None:
    op.create_table(
        "strategy_variables",
        sa.Column("strategy_name", sa.String(128), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("engine", sa.String(64), nullable=False),
        sa.Column("datetime", TIME, nullable=False),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("fills", sa.JSON(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", TIME, nullable=False),
        sa.PrimaryKeyConstraint("strategy_name", "revision"),
        **OPTIONS,
    )
    op.create_table(
        "strategy_baselines",
        sa.Column("strategy_name", sa.String(128), nullable=False),
        sa.Column("beyond_trades", sa.Double(), nullable=False),
        sa.Column("set_by", sa.String(128), nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("strategy_name"),
        **OPTIONS,
    )
    for table in PAUSED:
        op.add_column(table, sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for table in PAUSED:
        op.drop_column(table, "paused")
    op.drop_table("strategy_baselines")
    op.drop_table("strategy_variables")
