"""The page of refusals is what the source says."""

import re
from pathlib import Path

import vnpy_core
from vnpy_core.trading.refusals import refusals, render_refusals, render_risk_codes

SOURCE = Path(vnpy_core.__file__).parent
_OF_NO_ORDER = ("gateway_settings.py", "gateways.py", "refusals.py", "risk.py", "algos.py")
MODULES = [
    SOURCE / "engine" / "commands.py",
    *(path for path in (SOURCE / "trading").glob("*.py") if path.name not in _OF_NO_ORDER),
]


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "order-refusals.md"
    assert page.read_text(encoding="utf-8") == render_refusals(), "run: make docs"


def test_the_page_of_risk_control_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "risk.md"
    assert render_risk_codes() in page.read_text(encoding="utf-8"), "run: make docs"


def test_every_code_is_on_it_once() -> None:
    listed = [code for code, _, _ in refusals()]
    assert len(listed) == len(set(listed))
    used = {
        code
        for path in MODULES
        for code in re.findall(r'(?:code=|_refuse\(\s*)"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= set(listed)
