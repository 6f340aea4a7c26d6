"""Keep the logs of strategies.

Revision: 0012, after 0011. A service of the version before works on, and keeps none.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012_since_0004"
down_revision = "0011_since_0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.create_table(
        "strategy_logs",
        sa.Column("log_id", sa.String(32), nullable=False),
        sa.Column("strategy_name", sa.String(128), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("datetime", TIME, nullable=False),
        sa.PrimaryKeyConstraint("log_id"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index("ix_strategy_logs_strategy_name_log_id", "strategy_logs", ["strategy_name", "log_id"])
    op.create_index("ix_strategy_logs_datetime", "strategy_logs", ["datetime"])


def downgrade() -> None:
    op.drop_table("strategy_logs")
