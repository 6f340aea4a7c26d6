"""Say which service works with the database.

Revision: 0005, after 0004. A service of the version before works on, and neither takes the lease nor heeds it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005_since_0004"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.create_table(
        "database_lease",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(32)),
        sa.Column("journal", sa.BigInteger()),
        sa.Column("host", sa.String(128)),
        sa.Column("pid", sa.BigInteger()),
        sa.Column("data_dir", TEXT),
        sa.Column("acquired", TIME),
        sa.Column("renewed", TIME),
        sa.Column("expires", TIME),
        sa.PrimaryKeyConstraint("id"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.execute("INSERT INTO database_lease (id) VALUES (1)")


def downgrade() -> None:
    op.drop_table("database_lease")
