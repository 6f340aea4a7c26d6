"""Keep alerts, the rules for them and their silences.

Revision: 0011, after 0010. A service of the version before works on, and writes none of them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011_since_0004"
down_revision = "0010_since_0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "alert_incidents",
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("alert_id", sa.String(250), nullable=False),
        sa.Column("rule", sa.String(128), nullable=False),
        sa.Column("severity", sa.String(128), nullable=False),
        sa.Column("summary", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("began", TIME, nullable=False),
        sa.Column("fired", TIME),
        sa.Column("acknowledged", TIME),
        sa.Column("acknowledged_by", sa.String(128)),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("silenced_by", sa.String(250)),
        sa.Column("resolved", TIME),
        sa.Column("notified", TIME),
        sa.Column("outstanding", sa.JSON(), nullable=False),
        sa.Column("delivered", sa.JSON(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", TIME, nullable=False),
        sa.PrimaryKeyConstraint("incident_id"),
        **OPTIONS,
    )
    op.create_index("ix_alert_incidents_alert_id", "alert_incidents", ["alert_id"])
    op.create_table(
        "alert_rules",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("updated", TIME, nullable=False),
        sa.Column("updated_by", sa.String(128), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **OPTIONS,
    )
    op.create_table(
        "alert_silences",
        sa.Column("silence_id", sa.String(64), nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("starts", TIME, nullable=False),
        sa.Column("ends", TIME, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", TIME, nullable=False),
        sa.PrimaryKeyConstraint("silence_id"),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("alert_silences")
    op.drop_table("alert_rules")
    op.drop_table("alert_incidents")
