"""Write the table of settings into docs/configuration.md."""

import re
from pathlib import Path

from vnpy_core.config.template import render_reference

page = Path(__file__).with_name("configuration.md")
text = page.read_text(encoding="utf-8")
page.write_text(re.sub(r"\| key \|(.|\n)*?\n\n", lambda _: render_reference() + "\n", text), encoding="utf-8")
