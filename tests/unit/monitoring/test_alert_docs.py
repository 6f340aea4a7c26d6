"""The page of the docs has each default rule, and no other."""

import re
from pathlib import Path

from vnpy_core.config.alert_rules import DEFAULT_RULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "alerts.md"


def test_each_default_rule_has_its_cause_and_what_to_do() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| .{10,} \| .{10,} \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(DEFAULT_RULES)
