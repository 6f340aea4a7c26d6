"""Write docs/order-refusals.md, and the codes into docs/risk.md."""

import re
from pathlib import Path

from vnpy_core.trading.refusals import render_refusals, render_risk_codes

Path(__file__).with_name("order-refusals.md").write_text(render_refusals(), encoding="utf-8")
risk = Path(__file__).with_name("risk.md")
text = risk.read_text(encoding="utf-8")
written = re.sub(r"\| code \|(.|\n)*?\n(?=\n)", lambda _: render_risk_codes(), text)
risk.write_text(written, encoding="utf-8")
