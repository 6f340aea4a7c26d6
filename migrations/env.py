"""What Alembic runs: the revisions, on the connection that the caller put into ``config.attributes``."""

from alembic import context

from vnpy_core.data.tables import metadata

connection = context.config.attributes["connection"]
sqlite = connection.dialect.name == "sqlite"
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    # SQLite cannot alter most of a column, so the table is copied; its DDL is transactional, whatever Alembic assumes.
    render_as_batch=sqlite,
    **({"transactional_ddl": True} if sqlite else {}),
)
with context.begin_transaction():
    context.run_migrations()
