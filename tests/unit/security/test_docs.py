"""The page of the docs says what the scopes are."""

from pathlib import Path

from vnpy_core.bus.subscription import FAMILIES
from vnpy_core.enums import Role, Scope
from vnpy_core.security.scopes import MEANING, SCOPES_OF_FAMILY, SCOPES_OF_ROLE, missing_for_topic

PAGE = Path(__file__).resolve().parents[3] / "docs" / "security.md"


def test_the_page_lists_what_each_role_may() -> None:
    rows = []
    for scope in Scope:
        may = " | ".join("yes" if scope in SCOPES_OF_ROLE[role] else "" for role in Role)
        rows.append(f"| `{scope}` | {may} | {MEANING[scope]} |")
    assert "\n".join(rows) in PAGE.read_text(encoding="utf-8")


def test_every_family_of_topics_takes_something() -> None:
    assert SCOPES_OF_FAMILY.keys() == FAMILIES
    for family in FAMILIES:
        assert missing_for_topic(f"{family}.x", frozenset()) is not None
        assert missing_for_topic(family, SCOPES_OF_ROLE[Role.VIEWER]) is None


def test_a_wildcard_takes_what_all_of_it_takes() -> None:
    assert missing_for_topic("*", frozenset(Scope)) is None
    for scope in (Scope.TRADING_READ, Scope.STRATEGY_READ, Scope.RISK_READ, Scope.SYSTEM_READ):
        assert missing_for_topic("*.updated", SCOPES_OF_ROLE[Role.VIEWER] - {scope}) is not None
