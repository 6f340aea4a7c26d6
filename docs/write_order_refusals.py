"""Write docs/order-refusals.md."""

from pathlib import Path

from vnpy_core.trading.refusals import render_refusals

Path(__file__).with_name("order-refusals.md").write_text(render_refusals(), encoding="utf-8")
