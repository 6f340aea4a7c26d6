"""The version after this one: a copy of the package whose schema has a column and a table more."""

import shutil
from pathlib import Path

import vnpy_core
from vnpy_core.data.schema import migrations_path
from vnpy_core.data.tables import SCHEMA_REVISION

NUMBER = f"{int(SCHEMA_REVISION[:4]) + 1:04d}"
REVISION = f"{NUMBER}_since_{SCHEMA_REVISION[:4]}"
MIGRATION = f'''
import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{SCHEMA_REVISION}"


def upgrade():
    op.add_column("orders", sa.Column("desk", sa.String(32), nullable=True))
    op.create_table("desks", sa.Column("desk", sa.String(32), primary_key=True))


def downgrade():
    op.drop_table("desks")
    op.drop_column("orders", "desk")
'''


def make(folder: Path) -> Path:
    """Write it into ``folder`` and return what to put on PYTHONPATH. Each order that it records has a desk."""
    package = folder / "vnpy_core"
    shutil.copytree(Path(vnpy_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "_migrations").is_dir():
        shutil.copytree(migrations_path(), package / "_migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "_migrations" / "versions" / f"{NUMBER}_desks.py").write_text(MIGRATION)
    _edit(package / "data" / "tables.py", f'SCHEMA_REVISION = "{SCHEMA_REVISION}"', f'SCHEMA_REVISION = "{REVISION}"')
    with (package / "data" / "tables.py").open("a") as file:
        file.write('\n\norders.append_column(Column("desk", String(32)))\n')
    given = '    row["ts"] = record.ts\n'
    added = '    if record.topic == "order.updated":\n        row["desk"] = "new"\n'
    _edit(package / "data" / "repositories.py", given, given + added)
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))
