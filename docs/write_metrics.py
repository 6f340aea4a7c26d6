"""Write the tables of every metric into docs/monitoring.md."""

from pathlib import Path

from vnpy_core.monitoring.catalogue import TABLES_HEADING, render_catalogue

page = Path(__file__).with_name("monitoring.md")
text = page.read_text(encoding="utf-8")
page.write_text(text.partition(TABLES_HEADING)[0] + TABLES_HEADING + render_catalogue(), encoding="utf-8")
